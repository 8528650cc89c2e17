"""The nouns: what they derive."""

from datetime import timedelta
from typing import get_args

import pytest

from entrypoint.models import CANCELLED_MARK, Result, RunState
from tests.support.factories import START, a_run, a_task, an_outcome


@pytest.mark.parametrize("state", get_args(RunState))
def test_ended(state: RunState) -> None:
    """A DAG run is over in two of its four states."""
    assert a_run(state=state).ended is (state in {"success", "failed"})


def test_duration() -> None:
    """A DAG run has a duration once it has a start and an end."""
    assert a_run(end_date=START + timedelta(minutes=1, milliseconds=5)).duration == 60.005
    assert a_run(end_date=None).duration is None
    assert a_run(start_date=None).duration is None


@pytest.mark.parametrize(
    ("note", "cancelled"),
    [
        (None, False),
        ("", False),
        ("why", False),
        (CANCELLED_MARK, True),
        (f"why\n{CANCELLED_MARK}", True),
    ],
)
def test_cancelled(note: str | None, cancelled: bool) -> None:
    """A DAG run was stopped by a cancelled workflow if its note says so."""
    assert a_run(note=note).cancelled is cancelled


@pytest.mark.parametrize(
    ("map_index", "name"), [(-1, "extract"), (0, "extract[0]"), (17, "extract[17]")]
)
def test_name_of_a_task_instance(map_index: int, name: str) -> None:
    """A mapped task instance is told apart by its index."""
    assert a_task(map_index=map_index).name == name


@pytest.mark.parametrize("result", get_args(Result))
def test_passes(result: Result) -> None:
    """The step passes exactly with success and triggered."""
    assert an_outcome(result=result).passes is (result in {"success", "triggered"})


def test_failed_tasks() -> None:
    """Only what failed itself is a failed task, not what could not start because of it."""
    states = ("success", "failed", "upstream_failed", "skipped", None, "up_for_retry", "failed")
    tasks = tuple(a_task(f"t{number}", state=state) for number, state in enumerate(states))

    assert [task.task_id for task in an_outcome(tasks=tasks).failed_tasks] == ["t1", "t6"]
    assert an_outcome(tasks=None).failed_tasks == ()
