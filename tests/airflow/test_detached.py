"""The detached gate on real Airflows of both versions, with the listener in them and GitHub's
stand-in beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.airflow import AIRFLOW_2
from tests.airflow.detached import PLAYS

if TYPE_CHECKING:
    from tests.airflow.detached import Detached


def test_the_step_lets_something_stand_for_the_run(detached: Detached) -> None:
    """Nobody waits: the step passes at once, and says what stands on GitHub for the run."""
    for play in PLAYS:
        step = detached.steps[play]
        assert (step.exit_code, step.outputs["result"]) == (0, "triggered"), step.log
        told = "deployment_id" if play == "deployed" else "status_url"
        assert step.outputs[told], step.outputs
        assert "pending" in step.summary


@pytest.mark.parametrize(
    ("play", "end"), [("success", "success"), ("failure", "failure"), ("timeout", "failure")]
)
def test_an_end_is_reported(detached: Detached, play: str, end: str) -> None:
    """A success, a failure and a `dagrun_timeout` each move the status to its end, exactly once."""
    assert detached.states(play) == ["pending", end]


def test_what_failed_is_named(detached: Detached) -> None:
    """A failure names the tasks that failed."""
    assert "failed" in detached.described("failure")
    assert detached.described("failure").endswith(": fail")
    assert ":" not in detached.described("timeout")


def test_a_deployment(detached: Detached) -> None:
    """A deployment ends as the run does, and the step said which it is."""
    assert detached.states("deployed") == ["in_progress", "success"]
    (deployment,) = detached.github.deployments
    assert detached.steps["deployed"].outputs["deployment_id"] == str(deployment["id"])
    assert deployment["environment"] == "production"


def test_a_run_that_was_cleared(detached: Detached) -> None:
    """A run that is cleared after its end is pending again, and gets its new end."""
    assert detached.states("again") == ["pending", "success", "pending", "success"]


def test_a_run_that_was_failed_by_hand(detached: Detached) -> None:
    """Airflow 3 tells of a state that was set by API, Airflow 2 does not: a sweep finds it, and a
    second one adds nothing.
    """
    told = ["pending"] if detached.version == AIRFLOW_2 else ["pending", "failure"]
    assert detached.before_sweep["by hand"] == told
    assert detached.states("by hand") == ["pending", "failure"]
    for number in range(2):
        assert detached.steps[f"by hand again {number}"].outputs["result"] == "failed"


def test_a_scheduler_that_was_killed(detached: Detached) -> None:
    """What a scheduler took with it when it was killed is found by a sweep, once."""
    assert detached.before_sweep["killed"] == ["pending"]
    assert detached.states("killed") == ["pending", "success"]
    for number in range(2):
        assert detached.steps[f"killed again {number}"].outputs["result"] == "success"


def test_what_is_forged_is_not_sent(detached: Detached) -> None:
    """A marker for another repository, API or form sends nothing; one for a commit without a status
    is only looked at.
    """
    looked_at = f"GET /repos/octo-org/sales/commits/{'f' * 40}/statuses"
    commit = detached.commits["success"]

    assert set(detached.forged) == {looked_at}
    assert detached.states("success") == ["pending", "success"]
    assert detached.github.statuses_of("f" * 40) == []
    assert [
        one for one in detached.github.statuses_of(commit) if "forged" in str(one["target_url"])
    ] == []


def test_what_was_given_up_is_logged_without_secrets(detached: Detached) -> None:
    """Airflow's logs name the runs that were given up, and why; the token and the App's key are in
    none of them.
    """
    assert (
        "Given up to report the DAG run forged-0 of quick_success to GitHub: "
        "octo-org/secrets is not among"
    ) in (detached.logs)
    assert "Reports to GitHub fail" in detached.logs
    secrets = [
        detached.github.token,
        *detached.github.app.issued,
        *detached.github.app.private_key.splitlines()[1:-1],
    ]
    assert [secret for secret in secrets if secret in detached.logs] == []
