"""Derived properties of the models."""

from datetime import timedelta
from typing import get_args

import pytest

from entrypoint.models import CANCELLED_MARK, Result, RunState
from tests.support.factories import START, a_run, a_task, an_outcome


@pytest.mark.parametrize("state", get_args(RunState))
def test_run_has_ended_in_two_of_four_states(state: RunState) -> None:
    assert a_run(state=state).ended is (state in {"success", "failed"})


def test_run_has_a_duration_with_start_and_end() -> None:
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
def test_note_tells_that_a_run_was_cancelled(note: str | None, cancelled: bool) -> None:
    assert a_run(note=note).cancelled is cancelled


@pytest.mark.parametrize(
    ("map_index", "name"), [(-1, "extract"), (0, "extract[0]"), (17, "extract[17]")]
)
def test_name_of_a_mapped_task_instance_has_its_index(map_index: int, name: str) -> None:
    assert a_task(map_index=map_index).name == name


@pytest.mark.parametrize("result", get_args(Result))
def test_step_passes_with_success_triggered_and_checked(result: Result) -> None:
    assert an_outcome(result=result).passes is (result in {"success", "triggered", "checked"})


def test_upstream_failed_task_is_no_failed_task() -> None:
    states = ("success", "failed", "upstream_failed", "skipped", None, "up_for_retry", "failed")
    tasks = tuple(a_task(f"t{number}", state=state) for number, state in enumerate(states))

    assert [task.task_id for task in an_outcome(tasks=tasks).failed_tasks] == ["t1", "t6"]
    assert an_outcome(tasks=None).failed_tasks == ()
