"""The task instances of a DAG run: as many as are wanted, page by page, or only how many there
are.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from entrypoint.airflow.responses import optional, parse_datetime, require_object
from entrypoint.airflow.rest import RestAirflow, segment
from entrypoint.errors import TransientError
from entrypoint.http.response import CHECK_AIRFLOW_HINT
from entrypoint.models import TaskInstance, TaskList

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.http.response import Response

_STATES_SINCE = {"awaiting_input": (3, 3)}
"""States that an older Airflow does not have, and refuses to be asked for
(docs/notes/airflow-3.md#task-states).
"""
MAX_PAGES = 500
"""Answers that one list may take: 50,000 task instances, which is more than an Airflow 2's one
answer can hold.
"""


class TaskInstanceRequests(RestAirflow):
    """The part of the `Airflow` protocol that reads task instances. Subclasses add what differs."""

    page: ClassVar[int]
    """Task instances that this API gives in one answer."""

    def task_url(self, task: TaskInstance, dag_id: str, run_id: str) -> str:
        """Return the task instance's page in Airflow's UI."""
        raise NotImplementedError

    def task_instances(
        self,
        dag_id: str,
        run_id: str,
        *,
        states: tuple[str, ...] = (),
        changed_since: datetime | None = None,
        most: int | None = None,
    ) -> TaskList:
        """See `Airflow`."""
        params: dict[str, Any] = {}
        if states:
            params["state"] = [
                state for state in states if self._release >= _STATES_SINCE.get(state, ())
            ]
        if changed_since is not None and self._release >= (2, 11):
            params["updated_at_gte"] = changed_since.isoformat()
        tasks: dict[tuple[str, int], TaskInstance] = {}
        offset, total, wanted = 0, 0, inf if most is None else most
        for number in range(MAX_PAGES):
            if number and self._transport.seconds_left() <= 0:
                raise _too_slow(len(tasks), total)
            limit = int(min(self.page, wanted - offset))
            answer, items, total = self._tasks_page(
                dag_id, run_id, **params, limit=limit, offset=offset
            )
            known = len(tasks)
            for item in items:
                task = self._task(answer, item, dag_id, run_id)
                tasks[task.key] = task
            offset += len(items)
            if offset >= min(total, wanted):
                return TaskList(tuple(tasks.values()), total)
            # Half a list is none: what is missing may be what failed.
            if len(tasks) == known:
                raise answer.unexpected(
                    f"of {total} task instances it gives {known} again and again."
                )
        raise answer.unexpected(
            f"of {total} task instances {MAX_PAGES} answers hold only {len(tasks)}."
        )

    def _task(self, answer: Response, item: Any, dag_id: str, run_id: str) -> TaskInstance:
        if not isinstance(item, dict) or not isinstance(item.get("task_id"), str):
            raise answer.unexpected("a task instance has no task_id.")
        map_index = optional(answer, item, "map_index", int)
        task = TaskInstance(
            task_id=item["task_id"],
            map_index=-1 if map_index is None else map_index,
            state=optional(answer, item, "state", str),
            try_number=optional(answer, item, "try_number", int) or 0,
            duration=optional(answer, item, "duration", (int, float)),
            url="",
            start_date=parse_datetime(answer, item.get("start_date")),
            end_date=parse_datetime(answer, item.get("end_date")),
            max_tries=optional(answer, item, "max_tries", int) or 0,
            pool=optional(answer, item, "pool", str),
        )
        return task._replace(url=self.task_url(task, dag_id, run_id))

    def _tasks_page(
        self, dag_id: str, run_id: str, **params: Any
    ) -> tuple[Response, list[Any], int]:
        """Return the answer, its task instances as JSON, and how many there are in all."""
        path = f"{self.api}/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}/taskInstances"
        answer = self._transport.get(path, params)
        if answer.status == 403:
            raise self._forbidden(answer)
        body = require_object(answer, 200, {"task_instances": list, "total_entries": int})
        return answer, body["task_instances"], body["total_entries"]


def _too_slow(read: int, total: int) -> TransientError:
    return TransientError(
        "Airflow gives the task instances too slowly",
        f"Of {total} task instances {read} were read when the time for it was over.",
        CHECK_AIRFLOW_HINT,
    )
