"""The result of the step from Airflow's state."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from entrypoint.models import CANCELLED_MARK, DagRun, TaskVerdict
from entrypoint.run.result import result_of
from tests.support.factories import a_task, an_outcome


def run_in(state: Any, note: str | None = None) -> DagRun:
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
def test_result_follows_from_state_and_wait(state: str, wait: bool, result: str) -> None:
    assert result_of(run_in(state), wait=wait) == result


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed"])
@pytest.mark.parametrize("decided", ["success", "failed", None])
def test_required_tasks_decide_in_place_of_the_run(state: str, decided: Any) -> None:
    """A run that ends before they have decided has failed."""
    result = result_of(run_in(state), wait=True, verdict=TaskVerdict(("a",), decided))
    ended = state in ("success", "failed")
    assert result == (decided or ("failed" if ended else "timeout"))
    if ended:
        stopped = run_in(state, CANCELLED_MARK)
        assert result_of(stopped, wait=True, verdict=TaskVerdict(("a",), decided)) == "failed"


def test_only_success_passes_while_waiting() -> None:
    for state, stale_mark in product(("queued", "running", "failed"), (False, True)):
        assert result_of(run_in(state), wait=True, stale_mark=stale_mark) != "success"


@pytest.mark.parametrize(("stale_mark", "result"), [(False, "failed"), (True, "success")])
def test_cancelled_run_has_failed_until_it_is_resumed(stale_mark: bool, result: str) -> None:
    assert (
        result_of(
            run_in("success", f"by octocat\n{CANCELLED_MARK}"), wait=True, stale_mark=stale_mark
        )
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
def test_fail_on_failed_tasks_changes_only_a_success(
    state: str,
    wait: bool,
    result: str,
) -> None:
    assert result_of(run_in(state), wait=wait, failed_tasks=True) == result


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
def test_only_tasks_that_failed_themselves_are_failed(
    states: tuple[str | None, ...], red: bool
) -> None:
    tasks = tuple(a_task(f"t{number}", state=one) for number, one in enumerate(states))

    assert bool(an_outcome(tasks=tasks).failed_tasks) is red
