"""Read the task instances of a DAG run. In a wide run, only count most of them.

A run is wide if it has too many task instances to read all of them.

Measured: docs/notes/waiting.md#wide-runs-and-large-logs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from entrypoint.models import MAX_TASKS_LISTED, UNFINISHED, TaskList

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.airflow.client import Airflow
    from entrypoint.models import DagRun, TaskInstance, TaskKey

PAGE = 100
"""Task instances that one response may hold in every supported Airflow."""


def read_wide_run(
    airflow: Airflow, run: DagRun, since: datetime | None
) -> tuple[TaskList, TaskList, int]:
    """Read the failed and the unfinished task instances of a wide run.

    This usually takes three requests. The unfinished ones are read last: if there are none, no task
    instance was cleared between the requests.

    Returns:
        One page of the task instances that failed since `since`, one page of the unfinished ones,
        and the number of all task instances.
    """
    fetch = partial(airflow.task_instances, run.dag_id, run.run_id)
    total = fetch(most=0).total
    failed = fetch(states=("failed",), changed_since=since, most=PAGE)
    return failed, fetch(states=UNFINISHED, most=PAGE), total


def read_for_report(airflow: Airflow, run: DagRun) -> TaskList:
    """Return all task instances, or a selection of a wide run's.

    The selection has all that failed and enough others to show MAX_TASKS_LISTED. It counts the
    successful ones that it leaves out.
    """
    fetch = partial(airflow.task_instances, run.dag_id, run.run_id)
    first = fetch(most=MAX_TASKS_LISTED)
    if not first.unread:
        return first
    succeeded = fetch(states=("success",), most=0).total
    blocked = fetch(states=("upstream_failed",), most=MAX_TASKS_LISTED)
    failed = fetch(states=("failed",))
    open_ = fetch(states=UNFINISHED, most=MAX_TASKS_LISTED)
    found: dict[TaskKey, TaskInstance] = {}
    # The latest read wins.
    for part in (open_, failed, blocked, first):
        for task in part.instances:
            found.setdefault(task.key, task)
    read = sum(task.state == "success" for task in found.values())
    return TaskList(tuple(found.values()), max(first.total, len(found)), max(succeeded - read, 0))
