"""Reading wide runs: all failed task instances, some others and counts."""

from __future__ import annotations

from typing import Any

import pytest

from entrypoint.diagnostics.task_lists import read_for_report, read_wide_run
from entrypoint.models import MAX_TASKS_LISTED, UNFINISHED, TaskInstance
from tests.support.factories import ManyTasks, a_run, a_task


def wide_run(**counts: int) -> list[TaskInstance]:
    """Return a run with a number of task instances in each state, successes first."""
    states = [
        state
        for state in sorted(counts, key=lambda state: state != "success")
        for _ in range(counts[state])
    ]
    return [
        a_task("load", map_index=index, state=None if state == "none" else state)
        for index, state in enumerate(states)
    ]


def count_in_state(tasks: tuple[TaskInstance, ...], state: str) -> int:
    return sum((task.state or "none") == state for task in tasks)


@pytest.mark.parametrize("count", [0, 1, MAX_TASKS_LISTED])
def test_small_run_is_read_with_one_request(count: int) -> None:
    airflow: Any = ManyTasks(wide_run(success=count))
    found = read_for_report(airflow, a_run())

    assert (len(found.instances), found.total, found.unread, found.unread_succeeded) == (
        count,
        count,
        0,
        0,
    )
    assert airflow.calls == [((), MAX_TASKS_LISTED)]


def test_wide_run_reads_all_failures_and_counts_the_rest() -> None:
    airflow: Any = ManyTasks(wide_run(success=3000, failed=700, upstream_failed=900, skipped=400))
    found = read_for_report(airflow, a_run())

    assert (found.total, found.unread) == (5000, 5000 - len(found.instances))
    assert count_in_state(found.instances, "failed") == 700
    assert count_in_state(found.instances, "upstream_failed") == MAX_TASKS_LISTED
    assert count_in_state(found.instances, "success") + found.unread_succeeded == 3000
    assert len({task.map_index for task in found.instances}) == len(found.instances)
    assert all(most is not None for states, most in airflow.calls if states != ("failed",))


@pytest.mark.parametrize("state", UNFINISHED)
def test_unfinished_task_instances_are_read_in_every_state(state: str) -> None:
    airflow: Any = ManyTasks(wide_run(success=3000, **{state: 3}))

    assert count_in_state(read_for_report(airflow, a_run()).instances, state) == 3
    assert read_wide_run(airflow, a_run(), None)[1].total == 3


def test_task_cleared_between_two_requests_is_listed_once_as_unfinished() -> None:
    airflow: Any = ManyTasks(wide_run(success=3000, failed=2))
    before = airflow.task_instances

    def cleared(*run: str, states: tuple[str, ...] = (), **more: Any) -> Any:
        response = before(*run, states=states, **more)
        if states == ("failed",):
            airflow.tasks = wide_run(success=3000, none=2)
        return response

    airflow.task_instances = cleared
    found = read_for_report(airflow, a_run())

    assert (count_in_state(found.instances, "failed"), count_in_state(found.instances, "none")) == (
        0,
        2,
    )
    assert len({task.map_index for task in found.instances}) == len(found.instances)
    assert found.total == 3002


def test_survey_returns_failed_and_unfinished_tasks_and_counts() -> None:
    airflow: Any = ManyTasks(wide_run(success=3000, failed=150, running=7))
    failed, open_, total = read_wide_run(airflow, a_run(), None)

    assert (len(failed.instances), failed.total, len(open_.instances), total) == (100, 150, 7, 3157)
    assert len(airflow.calls) == 3
