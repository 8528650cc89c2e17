"""From what Airflow said to what the gate decided."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.errors import ActionError
from entrypoint.gate.verdict import has_red_tasks, judge
from entrypoint.models import CANCELLED, DagRun
from tests.support.nouns import a_task

if TYPE_CHECKING:
    from entrypoint.models import TakenOver


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
def test_the_table(state: str, wait: bool, result: str) -> None:  # noqa: FBT001
    """Airflow's state and the input wait decide, and nothing else."""
    assert judge(run(state), None, wait=wait) == result


def test_only_airflow_s_success_is_a_success() -> None:
    """No other state ever becomes green while waiting."""
    manners: tuple[TakenOver | None, ...] = (None, "attached", "resumed", "restarted")
    for state, taken_over in product(("queued", "running", "failed"), manners):
        assert judge(run(state), taken_over, wait=True) != "success"


@pytest.mark.parametrize(("taken_over", "result"), [("attached", "failed"), ("resumed", "success"), (None, "success")])
def test_a_run_that_was_cancelled_has_failed_unless_it_was_brought_back_to_life(taken_over: Any, result: str) -> None:
    """What the scheduler makes of a stopped run is no verdict; what becomes of it after a resume is."""
    assert judge(run("success", f"by octocat\n{CANCELLED}"), taken_over, wait=True) == result


@pytest.mark.parametrize(
    ("state", "taken_over", "wait", "result"),
    [
        ("success", None, True, "failed"),
        ("success", "attached", True, "failed"),
        ("failed", None, True, "failed"),
        ("running", None, True, "timeout"),
        ("queued", None, False, "triggered"),
    ],
)
def test_red_tasks_make_a_success_a_failure_and_nothing_else(
    state: str,
    taken_over: Any,
    wait: bool,  # noqa: FBT001
    result: str,
) -> None:
    """With fail_on_failed_tasks a run that Airflow calls a success fails; every other end stays what it is."""
    assert judge(run(state), taken_over, wait=wait, red_tasks=True) == result


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
def test_red_tasks(state: str, states: tuple[str | None, ...], red: bool) -> None:  # noqa: FBT001 - a table's column
    """Task instances are red that failed themselves, whatever Airflow makes of their run."""
    tasks = tuple(a_task(f"t{number}", state=one) for number, one in enumerate(states))

    assert has_red_tasks(run(state), tasks) is red


def test_red_tasks_that_cannot_be_known() -> None:
    """A success whose tasks could not be read is an error, not a green that rests on a guess; other ends need no tasks."""
    with pytest.raises(ActionError, match="fail_on_failed_tasks") as caught:
        has_red_tasks(run("success"), None)

    assert "permission" in caught.value.hint
    assert [has_red_tasks(run(state), None) for state in ("failed", "running", "queued")] == [False] * 3
