"""From what Airflow said to what the gate decided."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from entrypoint.errors import ActionError
from entrypoint.models import CANCELLED_MARK, DagRun
from entrypoint.run.result import has_failed_tasks, result_of
from tests.support.factories import a_task


def run(state: Any, note: str | None = None) -> DagRun:
    """Return a run in this state."""
    return DagRun("sales", "r1", state, {}, note=note)


@pytest.mark.parametrize(
    ("state", "wait", "result"),
    [
        ("success", True, "success"),
        ("success", False, "success"),
        ("failed", True, "failed"),
        ("failed", False, "failed"),
        ("queued", True, "timeout"),
        ("running", True, "timeout"),
        ("queued", False, "triggered"),
        ("running", False, "triggered"),
    ],
)
def test_the_table(state: str, wait: bool, result: str) -> None:
    """Airflow's state and the input wait decide, and nothing else."""
    assert result_of(run(state), wait=wait) == result


def test_only_airflow_s_success_is_a_success() -> None:
    """No other state ever becomes green while waiting."""
    for state, stale_mark in product(("queued", "running", "failed"), (False, True)):
        assert result_of(run(state), wait=True, stale_mark=stale_mark) != "success"


@pytest.mark.parametrize(("stale_mark", "result"), [(False, "failed"), (True, "success")])
def test_a_run_that_a_cancel_stopped_has_failed_until_it_has_run_again(
    stale_mark: bool, result: str
) -> None:
    """What the scheduler makes of a stopped run is green for nobody; what becomes of it after a
    resume is.
    """
    assert (
        result_of(run("success", f"by octocat\n{CANCELLED_MARK}"), wait=True, stale_mark=stale_mark)
        == result
    )


@pytest.mark.parametrize(
    ("state", "wait", "result"),
    [
        ("success", True, "failed"),
        ("failed", True, "failed"),
        ("running", True, "timeout"),
        ("queued", False, "triggered"),
    ],
)
def test_red_tasks_make_a_success_a_failure_and_nothing_else(
    state: str,
    wait: bool,
    result: str,
) -> None:
    """With fail_on_failed_tasks a run that Airflow calls a success fails; every other end stays
    what it is.
    """
    assert result_of(run(state), wait=wait, failed_tasks=True) == result


@pytest.mark.parametrize(
    ("states", "red"),
    [
        ((), False),
        (("success", "skipped", "upstream_failed", "removed", None), False),
        (("success", "failed", "success"), True),
        (("failed",), True),
        (("up_for_retry",), False),
    ],
)
@pytest.mark.parametrize("state", ["success", "failed", "running"])
# A table's column
def test_red_tasks(state: str, states: tuple[str | None, ...], red: bool) -> None:
    """Task instances are red that failed themselves, whatever Airflow makes of their run."""
    tasks = tuple(a_task(f"t{number}", state=one) for number, one in enumerate(states))

    assert has_failed_tasks(run(state), tasks) is red


def test_red_tasks_that_cannot_be_known() -> None:
    """A success whose tasks could not be read is an error, not a green that rests on a guess; other
    ends need no tasks.
    """
    with pytest.raises(ActionError, match="fail_on_failed_tasks") as caught:
        has_failed_tasks(run("success"), None)

    assert "permission" in caught.value.hint
    assert [has_failed_tasks(run(state), None) for state in ("failed", "running", "queued")] == [
        False
    ] * 3
