"""The task instances of a DAG run as far as anybody needs them: of a wide run most are counted, not
read.

Measured: docs/notes/waiting.md#wide-runs-and-large-logs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from entrypoint.models import MAX_TASKS_LISTED, UNFINISHED, TaskList

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.airflow.client import Airflow
    from entrypoint.models import DagRun, TaskInstance

PAGE = 100
"""Task instances that one answer of any Airflow may hold."""


def read_wide_run(
    airflow: Airflow, run: DagRun, since: datetime | None
) -> tuple[TaskList, TaskList, int]:
    """Ask for what is worth to be known of a wide run, in three requests unless it is very red.

    The open ones come last: if none is there then, nobody had cleared any of the others before.

    Returns: Those that failed since `since`, those that have not ended (a page of each is read),
        and how many there are in all.
    """
    fetch = partial(airflow.task_instances, run.dag_id, run.run_id)
    total = fetch(most=0).total
    failed = fetch(states=("failed",), changed_since=since, most=PAGE)
    return failed, fetch(states=UNFINISHED, most=PAGE), total


def read_for_report(airflow: Airflow, run: DagRun) -> TaskList:
    """Return all task instances; of a wide run all that failed, and so many others that
    MAX_TASKS_LISTED can be shown.

    How many of those that are left out succeeded is counted.
    """
    fetch = partial(airflow.task_instances, run.dag_id, run.run_id)
    first = fetch(most=MAX_TASKS_LISTED)
    if not first.unread:
        return first
    succeeded = fetch(states=("success",), most=0).total
    blocked = fetch(states=("upstream_failed",), most=MAX_TASKS_LISTED)
    failed = fetch(states=("failed",))
    open_ = fetch(states=UNFINISHED, most=MAX_TASKS_LISTED)
    found: dict[tuple[str, int], TaskInstance] = {}
    # What was read last counts.
    for part in (open_, failed, blocked, first):
        for task in part.instances:
            found.setdefault(task.key, task)
    read = sum(task.state == "success" for task in found.values())
    return TaskList(tuple(found.values()), max(first.total, len(found)), max(succeeded - read, 0))
