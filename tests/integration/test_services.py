"""The whole action with every service and a valid, wrong, read-only or expiring credential."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from dev.runner import ActionStep, Process
from tests.integration.scenarios import (
    AUTH_SCENARIOS,
    CHECKED,
    DECIDED,
    DEPLOYMENTS,
    DETACHED,
    RECIPES,
    SEVERAL,
    WITHOUT_DOCKER,
    AuthScenario,
)
from tests.support.step import run_step
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from dev.runner import StepResult
    from entrypoint.models import Outcome

READY_MADE = {"airflow-2", "astro", "composer", "astronomer-software", "iap", "basic-gateway"}
"""Services whose credential cannot be renewed."""
every_service = pytest.mark.parametrize("service", AUTH_SCENARIOS)


def run_as_process(
    scenario: AuthScenario, workspace: Path, wrong: dict[str, str] | None = None
) -> StepResult:
    """Run the step as a process."""
    env = {name: (wrong or {}).get(name, text) for name, text in scenario.environment.items()}
    input_changes = {
        name: text for name, text in (wrong or {}).items() if name not in scenario.environment
    }
    inputs = (
        scenario.inputs | {"dag_id": "sales", "poll_interval": "1", "logs": "none"} | input_changes
    )
    return ActionStep(inputs, launcher=Process(), workspace=workspace, env=env).run()


def run_with_virtual_time(
    scenario: AuthScenario, monkeypatch: pytest.MonkeyPatch, time: VirtualTime
) -> Outcome:
    """Run the step in this process, in virtual time."""
    for name, text in scenario.environment.items():
        monkeypatch.setenv(name, text)
    return run_step(scenario.inputs | {"dag_id": "sales"}, scenario.environment, time=time)


@every_service
def test_a_valid_credential_triggers_one_successful_run(service: str, tmp_path: Path) -> None:
    with AUTH_SCENARIOS[service]("user") as scenario:
        result = run_as_process(scenario, tmp_path)

        assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
        assert [run.state for run in scenario.airflow.runs("sales")] == ["success"]
        assert scenario.grants() == (0 if service in READY_MADE else 1)


@every_service
def test_a_wrong_credential_is_an_error_that_names_the_service(
    service: str, tmp_path: Path
) -> None:
    with AUTH_SCENARIOS[service]("user") as scenario:
        result = run_as_process(scenario, tmp_path, scenario.wrong)

        assert (result.exit_code, result.own_outputs) == (
            1,
            {"result": "error"} | airflow_version(result),
        ), result.log
        assert result.annotations[-1].title == {
            "mwaa": "Amazon MWAA refused the AWS credentials",
            "mwaa-2": "Amazon MWAA refused the AWS credentials",
            "entra": "The identity provider refused the client",
            "oauth-body": "The identity provider refused the client",
            "oauth-basic": "The identity provider refused the client",
            "mwaa-role": "AWS does not let this job assume the role",
            "mwaa-private": "AWS does not let this job assume the role",
            "mwaa-private-2": "AWS does not let this job assume the role",
            "composer-renewed": "Google refused GitHub's OIDC token",
            "iap-renewed": "Google refused GitHub's OIDC token",
            "google-id-token": "Google refused GitHub's OIDC token",
            "keycloak-oidc": "The identity provider refused the client",
            "basic-gateway": "A gateway in front of Airflow refused the request",
        }.get(service, "Airflow refused the credential")
        assert scenario.airflow.runs("sales") == []


def airflow_version(result: StepResult) -> dict[str, str]:
    """The output that Airflow may give before it refuses the credential."""
    return {name: text for name, text in result.outputs.items() if name == "airflow_version"}


@every_service
def test_a_read_only_credential_is_a_missing_permission(service: str, tmp_path: Path) -> None:
    with AUTH_SCENARIOS[service]("viewer") as scenario:
        result = run_as_process(scenario, tmp_path)

        assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
        assert result.annotations[-1].title == "A permission is missing"
        assert scenario.airflow.runs("sales") == []
        assert scenario.grants() <= 3, "a missing permission does not repeat the login"


@every_service
def test_an_expired_credential_is_renewed_where_possible(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the step ends, and the hint says how to continue the run."""
    with AUTH_SCENARIOS[service]("user") as scenario:
        time = VirtualTime()

        def expire_once(_: float) -> None:
            scenario.expire()
            time.on_sleep = lambda _: None

        time.on_sleep = expire_once  # the first sleep comes after the trigger
        outcome = run_with_virtual_time(scenario, monkeypatch, time)

        (run,) = scenario.airflow.runs("sales")
        if service in READY_MADE:
            assert outcome.result == "error"
            assert outcome.error is not None
            assert outcome.error.title == "Airflow no longer accepts the credential"
            assert "continues the same DAG run" in outcome.error.hint
            # An open stream goes on until the end, but without a poll nothing confirms that end.
            assert run.state == (
                "success" if scenario.airflow.received("GET", "/wait") else "queued"
            )
        else:
            assert outcome.result == "success", outcome.error
            assert run.state == "success"
            assert scenario.grants() == 2


def test_a_step_whose_token_expires_keeps_the_last_known_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with AUTH_SCENARIOS["astro"]("user") as scenario:
        scenario.airflow.states("sales", ["queued", "running", "running", "running", "success"])
        time = VirtualTime()

        def expire_when_running(_: float) -> None:
            if [run.state for run in scenario.airflow.runs("sales")] == ["running"]:
                scenario.expire()

        time.on_sleep = expire_when_running
        outcome = run_with_virtual_time(scenario, monkeypatch, time)

        assert outcome.result == "error"
        assert outcome.run is not None
        assert outcome.run.state == "running"


FILES = sorted((Path(__file__).parents[2] / "examples" / "workflows").glob("*.yml"))
_OTHERS = (*CHECKED, *DECIDED, *DEPLOYMENTS, *DETACHED, *RECIPES, *SEVERAL, *WITHOUT_DOCKER)
SERVICE_WORKFLOWS = [file for file in FILES if file.stem not in _OTHERS]


@pytest.mark.parametrize("file", SERVICE_WORKFLOWS, ids=lambda file: file.stem)
def test_each_example_workflow_has_the_inputs_of_its_service(file: Path) -> None:
    """The tests above run the action with them."""
    (job,) = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    (inputs,) = [step["with"] for step in job["steps"] if "airflow-dag-run" in step.get("uses", "")]
    with AUTH_SCENARIOS[file.stem]("user") as scenario:
        scenario_inputs = scenario.inputs

    test_only = set() if "ca_certificate" in inputs else {"ca_certificate"}
    assert set(inputs) - {"dag_id", "timeout", "run_id"} == set(scenario_inputs) - test_only
    assert header_names(inputs.get("headers", "")) == header_names(
        scenario_inputs.get("headers", "")
    )


def header_names(lines: str) -> list[str]:
    return [line.partition(":")[0].strip() for line in lines.splitlines() if line.strip()]
