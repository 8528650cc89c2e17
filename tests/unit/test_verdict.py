"""From what Airflow said to what the gate decided."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.gate.verdict import judge
from entrypoint.models import CANCELLED, DagRun

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
