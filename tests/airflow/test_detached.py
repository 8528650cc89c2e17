"""Steps that do not wait, and the listener that reports the end of their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.airflow import AIRFLOW_2
from tests.airflow.detached import SCENARIOS

if TYPE_CHECKING:
    from tests.airflow.detached import DetachedScenarios


def test_the_step_passes_at_once_and_outputs_its_status_or_deployment(
    detached: DetachedScenarios,
) -> None:
    for scenario in SCENARIOS:
        step = detached.steps[scenario]
        assert (step.exit_code, step.outputs["result"]) == (0, "triggered"), step.log
        output = "deployment_id" if scenario == "deployed" else "status_url"
        assert step.outputs[output], step.outputs
        assert "pending" in step.summary


@pytest.mark.parametrize(
    ("scenario", "end"), [("success", "success"), ("failure", "failure"), ("timeout", "failure")]
)
def test_each_end_moves_the_status_exactly_once(
    detached: DetachedScenarios, scenario: str, end: str
) -> None:
    assert detached.states(scenario) == ["pending", end]


def test_a_failure_names_the_failed_tasks(detached: DetachedScenarios) -> None:
    assert "failed" in detached.described("failure")
    assert detached.described("failure").endswith(": fail")
    assert ":" not in detached.described("timeout")


def test_a_deployment_ends_as_the_run_does(detached: DetachedScenarios) -> None:
    assert detached.states("deployed") == ["in_progress", "success"]
    (deployment,) = detached.github.deployments
    assert detached.steps["deployed"].outputs["deployment_id"] == str(deployment["id"])
    assert deployment["environment"] == "production"


def test_a_cleared_run_is_pending_again_and_gets_its_new_end(detached: DetachedScenarios) -> None:
    assert detached.states("again") == ["pending", "success", "pending", "success"]


def test_a_run_that_was_set_to_failed_is_reported_once(detached: DetachedScenarios) -> None:
    """Airflow 3 calls the listener for a state set by API.

    Airflow 2 does not, so a sweep finds it.
    """
    expected = ["pending"] if detached.version == AIRFLOW_2 else ["pending", "failure"]
    assert detached.before_sweep["by hand"] == expected
    assert detached.states("by hand") == ["pending", "failure"]
    for number in range(2):
        assert detached.steps[f"by hand again {number}"].outputs["result"] == "failed"


def test_a_sweep_reports_what_a_killed_scheduler_did_not(detached: DetachedScenarios) -> None:
    assert detached.before_sweep["killed"] == ["pending"]
    assert detached.states("killed") == ["pending", "success"]
    for number in range(2):
        assert detached.steps[f"killed again {number}"].outputs["result"] == "success"


def test_a_forged_marker_is_not_reported(detached: DetachedScenarios) -> None:
    """A marker for a commit without a status causes a GET only."""
    looked_at = f"GET /repos/octo-org/sales/commits/{'f' * 40}/statuses"
    commit = detached.commits["success"]

    assert set(detached.forged) == {looked_at}
    assert detached.states("success") == ["pending", "success"]
    assert detached.github.statuses_of("f" * 40) == []
    assert [
        one for one in detached.github.statuses_of(commit) if "forged" in str(one["target_url"])
    ] == []


def test_airflows_logs_name_abandoned_runs_without_secrets(detached: DetachedScenarios) -> None:
    assert (
        "Could not report the DAG run forged-0 of quick_success to GitHub: "
        "octo-org/secrets is not among"
    ) in (detached.logs)
    assert "Reports to GitHub fail" in detached.logs
    secrets = [
        detached.github.token,
        *detached.github.app.issued,
        *detached.github.app.private_key.splitlines()[1:-1],
    ]
    assert [secret for secret in secrets if secret in detached.logs] == []
