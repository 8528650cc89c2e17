"""What is read of a wide run: all that failed, as many others as are shown, and numbers for the
rest.
"""

from __future__ import annotations

from typing import Any

import pytest

from entrypoint.diagnostics.task_lists import read_for_report, read_wide_run
from entrypoint.models import MAX_TASKS_LISTED, UNFINISHED, TaskInstance
from tests.support.factories import ManyTasks, a_run, a_task


def wide(**counts: int) -> list[TaskInstance]:
    """A run with so many task instances in each state, the successes first."""
    states = [
        state
        for state in sorted(counts, key=lambda state: state != "success")
        for _ in range(counts[state])
    ]
    return [
        a_task("load", map_index=index, state=None if state == "none" else state)
        for index, state in enumerate(states)
    ]


def counted(tasks: tuple[TaskInstance, ...], state: str) -> int:
    """How many of them are in this state."""
    return sum((task.state or "none") == state for task in tasks)


@pytest.mark.parametrize("count", [0, 1, MAX_TASKS_LISTED])
def test_a_run_that_can_be_shown_is_read_as_a_whole(count: int) -> None:
    """One look gives all, whatever their states."""
    airflow: Any = ManyTasks(wide(success=count))
    found = read_for_report(airflow, a_run())

    assert (len(found.instances), found.total, found.unread, found.unread_succeeded) == (
        count,
        count,
        0,
        0,
    )
    assert airflow.asked == [((), MAX_TASKS_LISTED)]


def test_of_a_wide_run_all_failures_are_read_and_the_rest_is_counted() -> None:
    """However many failed, all of them are there; of the others as many as can be shown of each
    kind.
    """
    airflow: Any = ManyTasks(wide(success=3000, failed=700, upstream_failed=900, skipped=400))
    found = read_for_report(airflow, a_run())

    assert (found.total, found.unread) == (5000, 5000 - len(found.instances))
    assert counted(found.instances, "failed") == 700
    assert counted(found.instances, "upstream_failed") == MAX_TASKS_LISTED
    assert counted(found.instances, "success") + found.unread_succeeded == 3000
    assert len({task.map_index for task in found.instances}) == len(found.instances)
    assert all(most is not None for states, most in airflow.asked if states != ("failed",))


@pytest.mark.parametrize("state", UNFINISHED)
def test_what_has_not_ended_is_read_too(state: str) -> None:
    """A run whose time is over shows what it waits for, in whatever state that is."""
    airflow: Any = ManyTasks(wide(success=3000, **{state: 3}))

    assert counted(read_for_report(airflow, a_run()).instances, state) == 3
    assert read_wide_run(airflow, a_run(), None)[1].total == 3


def test_what_was_read_last_counts() -> None:
    """A task instance that somebody cleared in the middle of it is open, and is there once."""
    airflow: Any = ManyTasks(wide(success=3000, failed=2))
    before = airflow.task_instances

    def cleared(*run: str, states: tuple[str, ...] = (), **more: Any) -> Any:
        answer = before(*run, states=states, **more)
        if states == ("failed",):
            airflow.tasks = wide(success=3000, none=2)
        return answer

    airflow.task_instances = cleared
    found = read_for_report(airflow, a_run())

    assert (counted(found.instances, "failed"), counted(found.instances, "none")) == (0, 2)
    assert len({task.map_index for task in found.instances}) == len(found.instances)
    assert found.total == 3002


def test_a_survey() -> None:
    """What failed, what is open, and how many there are, each only as far as is wanted."""
    airflow: Any = ManyTasks(wide(success=3000, failed=150, running=7))
    failed, open_, total = read_wide_run(airflow, a_run(), None)

    assert (len(failed.instances), failed.total, len(open_.instances), total) == (100, 150, 7, 3157)
    assert len(airflow.asked) == 3
