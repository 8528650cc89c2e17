"""The whole action through every door: the right credential, a wrong one, one without the right,
and one that dies.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from dev.runner import Process, Step
from tests.integration.scenarios import DEPLOYMENTS, DETACHED, RECIPES, SCENES, Scene
from tests.support.step import run_step
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from dev.runner import StepResult
    from entrypoint.models import Outcome

READY_MADE = {"airflow-2", "astro", "composer", "astronomer-software", "iap"}
"""Doors whose credential cannot be renewed."""
BAD_KEYS = {"mwaa", "mwaa-2"}
"""Doors whose credential is in the environment."""
every = pytest.mark.parametrize("door", SCENES)


def step(scene: Scene, workspace: Path, wrong: dict[str, str] | None = None) -> StepResult:
    """The step's end."""
    env = {name: (wrong or {}).get(name, text) for name, text in scene.environment.items()}
    more = {name: text for name, text in (wrong or {}).items() if name not in scene.environment}
    inputs = scene.inputs | {"dag_id": "sales", "poll_interval": "1", "logs": "none"} | more
    return Step(inputs, launcher=Process(), workspace=workspace, env=env).run()


def live(scene: Scene, monkeypatch: pytest.MonkeyPatch, time: VirtualTime) -> Outcome:
    """The step in this process, on a clock that only sleeping moves."""
    for name, text in scene.environment.items():
        monkeypatch.setenv(name, text)
    return run_step(scene.inputs | {"dag_id": "sales"}, scene.environment, time=time)


@every
def test_the_right_credential(door: str, tmp_path: Path) -> None:
    """The step is green, and Airflow has one DAG run, which succeeded."""
    with SCENES[door]("user") as scene:
        result = step(scene, tmp_path)

        assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
        assert [run.state for run in scene.airflow.runs("sales")] == ["success"]
        assert scene.granted() == (0 if door in READY_MADE else 1)


@every
def test_a_wrong_credential(door: str, tmp_path: Path) -> None:
    """The step is red, the annotation says who refused what, and nothing is triggered."""
    with SCENES[door]("user") as scene:
        result = step(scene, tmp_path, scene.wrong)

        assert (result.exit_code, result.outputs) == (1, {"result": "error"} | versioned(result)), (
            result.log
        )
        assert result.annotations[-1].title == {
            "mwaa": "Amazon MWAA refused the AWS credentials",
            "mwaa-2": "Amazon MWAA refused the AWS credentials",
            "entra": "The identity provider refused the client",
            "oauth-body": "The identity provider refused the client",
            "oauth-basic": "The identity provider refused the client",
        }.get(door, "Airflow refused the credential")
        assert scene.airflow.runs("sales") == []


def versioned(result: StepResult) -> dict[str, str]:
    """The output that is known even so, if Airflow said it before it refused."""
    return {name: text for name, text in result.outputs.items() if name == "airflow_version"}


@every
def test_a_missing_permission(door: str, tmp_path: Path) -> None:
    """A good credential that may only read is told from a bad one, and nothing is triggered."""
    with SCENES[door]("viewer") as scene:
        result = step(scene, tmp_path)

        assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
        assert result.annotations[-1].title == "A permission is missing"
        assert scene.airflow.runs("sales") == []
        assert scene.granted() <= 3, "who lacks a right does not log in again and again"


@every
def test_it_dies_while_waiting(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be renewed is, and the step goes on; what cannot ends it with how long the run may
    take.
    """
    with SCENES[door]("user") as scene:
        time = VirtualTime()

        def die_at_once(_: float) -> None:
            scene.expire()
            time.on_sleep = lambda _: None

        time.on_sleep = die_at_once  # the first sleep is the one after the trigger
        outcome = live(scene, monkeypatch, time)

        (run,) = scene.airflow.runs("sales")
        if door in READY_MADE:
            assert outcome.result == "error"
            assert outcome.error is not None
            assert outcome.error.title == "Airflow no longer accepts the credential"
            assert "continues the same DAG run" in outcome.error.hint
            # Who listens goes on hearing, up to the end; but what no look may confirm is no
            # verdict.
            assert run.state == ("success" if scene.airflow.received("GET", "/wait") else "queued")
        else:
            assert outcome.result == "success", outcome.error
            assert run.state == "success"
            assert scene.granted() == 2


def test_the_last_known_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose token dies knows the run as it saw it last, not as the trigger left it."""
    with SCENES["astro"]("user") as scene:
        scene.airflow.states("sales", ["queued", "running", "running", "running", "success"])
        time = VirtualTime()

        def die_when_it_runs(_: float) -> None:
            if [run.state for run in scene.airflow.runs("sales")] == ["running"]:
                scene.expire()

        time.on_sleep = die_when_it_runs
        outcome = live(scene, monkeypatch, time)

        assert outcome.result == "error"
        assert outcome.run is not None
        assert outcome.run.state == "running"


FILES = sorted((Path(__file__).parents[2] / "examples" / "workflows").glob("*.yml"))
DOORS = [file for file in FILES if file.stem not in (*DEPLOYMENTS, *DETACHED, *RECIPES)]


@pytest.mark.parametrize("file", DOORS, ids=lambda file: file.stem)
def test_a_workflow_to_copy(file: Path) -> None:
    """Each workflow in examples/ gives the very inputs and headers with which its door was opened
    above.
    """
    (job,) = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    (inputs,) = [step["with"] for step in job["steps"] if "airflow-dag-run" in step.get("uses", "")]
    with SCENES[file.stem]("user") as scene:
        tried = scene.inputs

    of_the_stand_in = set() if "ca_certificate" in inputs else {"ca_certificate"}
    assert set(inputs) - {"dag_id", "timeout"} == set(tried) - of_the_stand_in
    assert header_names(inputs.get("headers", "")) == header_names(tried.get("headers", ""))


def header_names(lines: str) -> list[str]:
    """What stands before the colons."""
    return [line.partition(":")[0].strip() for line in lines.splitlines() if line.strip()]
