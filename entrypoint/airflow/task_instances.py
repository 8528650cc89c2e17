"""Request the task instances of a DAG run, page by page, or only their number."""

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
"""States with the Airflow version that introduced them.

An older Airflow refuses them as a filter (docs/notes/airflow-3.md#task-states).
"""
MAX_PAGES = 500
"""Maximum number of pages of one list: 50,000 task instances.

This is more than one response of an Airflow 2 can hold.
"""


class TaskInstanceRequests(RestAirflow):
    """The part of the `Airflow` protocol that reads task instances."""

    page: ClassVar[int]
    """Maximum number of task instances in one response of this API."""

    def task_url(self, task: TaskInstance, dag_id: str, run_id: str) -> str:
        """Return the URL of the task instance's page in Airflow's UI."""
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
            response, items, total = self._tasks_page(
                dag_id, run_id, **params, limit=limit, offset=offset
            )
            known = len(tasks)
            for item in items:
                task = self._task(response, item, dag_id, run_id)
                tasks[task.key] = task
            offset += len(items)
            if offset >= min(total, wanted):
                return TaskList(tuple(tasks.values()), total)
            # An incomplete list is an error, because a missing task instance may have failed.
            if len(tasks) == known:
                raise response.unexpected(
                    f"it returns the same {known} of {total} task instances again."
                )
        raise response.unexpected(
            f"{MAX_PAGES} pages contain only {len(tasks)} of {total} task instances."
        )

    def _task(self, response: Response, item: Any, dag_id: str, run_id: str) -> TaskInstance:
        if not isinstance(item, dict) or not isinstance(item.get("task_id"), str):
            raise response.unexpected("a task instance has no task_id.")
        map_index = optional(response, item, "map_index", int)
        task = TaskInstance(
            task_id=item["task_id"],
            map_index=-1 if map_index is None else map_index,
            state=optional(response, item, "state", str),
            try_number=optional(response, item, "try_number", int) or 0,
            duration=optional(response, item, "duration", (int, float)),
            url="",
            start_date=parse_datetime(response, item.get("start_date")),
            end_date=parse_datetime(response, item.get("end_date")),
            max_tries=optional(response, item, "max_tries", int) or 0,
            pool=optional(response, item, "pool", str),
        )
        return task._replace(url=self.task_url(task, dag_id, run_id))

    def _tasks_page(
        self, dag_id: str, run_id: str, **params: Any
    ) -> tuple[Response, list[Any], int]:
        """Return the response, its task instances as JSON, and their total number."""
        path = f"{self.api}/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}/taskInstances"
        response = self._transport.get(path, params)
        if response.status == 403:
            raise self._forbidden(response)
        body = require_object(response, 200, {"task_instances": list, "total_entries": int})
        return response, body["task_instances"], body["total_entries"]


def _too_slow(read: int, total: int) -> TransientError:
    return TransientError(
        "Airflow gives the task instances too slowly",
        f"Of {total} task instances {read} were read before the deadline.",
        CHECK_AIRFLOW_HINT,
    )
