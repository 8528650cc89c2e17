"""Request what explains a DAG run: logs, XComs, pools, health and import errors.

All requests are read-only, and the result of the step must not depend on them. The subclasses in
`v1.py` and `v2.py` add what differs between the APIs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from entrypoint.airflow.responses import optional, require_object
from entrypoint.airflow.rest import segment
from entrypoint.airflow.task_instances import TaskInstanceRequests
from entrypoint.airflow.tracebacks import read_traceback
from entrypoint.errors import NotFound, ResponseTooLarge
from entrypoint.models import DagImportError, Health, Pool

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.airflow.logs import LogReader
    from entrypoint.http.response import Response
    from entrypoint.models import DagRun, HitlRequest, RunState, TaskInstance, TaskLog

_MAX_ITEMS = 100
_MAX_RUNS = 10
_USUAL_DEPENDENCIES = ("Task Instance State", "Trigger Rule", "Dagrun Running")
"""Dependencies that are unmet for each waiting task instance.

They are its own state, its upstream tasks, and its run.
"""


class DiagnosticRequests(TaskInstanceRequests):
    """The diagnostic methods of the `Airflow` protocol."""

    @property
    def now(self) -> datetime | None:
        """See `Airflow`."""
        return self._transport.server_time

    # Subclasses define these for their API.

    _health: ClassVar[str]
    _log_format: ClassVar[str]

    def _log_reader(self, max_lines: int) -> LogReader:
        raise NotImplementedError

    def _seconds(self, response: Response, value: Any) -> float:
        """Parse a duration in the format of this API."""
        raise NotImplementedError

    def _xcom_params(self) -> dict[str, str]:
        """Return the query that requests the XCom's value instead of its repr.

        Raises:
            NotSupported: this Airflow returns only the repr.
        """
        raise NotImplementedError

    # Airflow 2 has no such questions
    def hitl_requests(self, run: DagRun) -> tuple[HitlRequest, ...]:  # noqa: ARG002
        """See `Airflow`."""
        return ()

    # Both APIs share the rest.

    def log(self, run: DagRun, task: TaskInstance, max_lines: int) -> TaskLog:
        """See `Airflow`."""
        reader = self._log_reader(max_lines)
        path = f"{self._task_instance_path(run, task.task_id)}/logs/{max(task.try_number, 1)}"
        response = self._transport.download(
            path, self._log_format, reader.consume, _map_index_params(task.map_index)
        )
        self._require_ok(response, "The log is missing")
        return reader.close()

    def xcom(self, run: DagRun, task_id: str, map_index: int, key: str, limit: int) -> Any:
        """See `Airflow`."""
        body = bytearray()

        def consume(chunk: bytes) -> bool:
            body.extend(chunk)
            return len(body) <= limit

        path = f"{self._task_instance_path(run, task_id)}/xcomEntries/{segment(key)}"
        response = self._transport.download(
            path,
            "application/json",
            consume,
            {**self._xcom_params(), **_map_index_params(map_index)},
        )
        self._require_ok(response, "The XCom is missing")
        if len(body) > limit:
            raise ResponseTooLarge(
                "The XCom is too large", f"{response.source}, with more than {limit} bytes.", ""
            )
        try:
            return json.loads(body)["value"]
        except (ValueError, RecursionError, KeyError, TypeError):
            raise response.unexpected("the JSON is cut off, or has no value.") from None

    def dagrun_timeout(self, dag_id: str) -> float | None:
        """See `Airflow`."""
        response, details = self._details(dag_id)
        value = details.get("dag_run_timeout")
        return None if value is None else self._seconds(response, value)

    def recent_durations(self, dag_id: str) -> tuple[float, ...]:
        """See `Airflow`."""
        runs = self._runs(dag_id, "success", limit=_MAX_RUNS, order_by="-start_date")
        return tuple(run.duration for run in runs if run.duration)

    def running_runs(self, dag_id: str) -> tuple[DagRun, ...]:
        """See `Airflow`."""
        return self._runs(dag_id, "running", limit=_MAX_ITEMS)

    def import_errors(self) -> tuple[DagImportError, ...]:
        """See `Airflow`."""
        response, items = self._list("/importErrors", "import_errors", {"limit": _MAX_ITEMS})
        found = []
        for item in items:
            trace = optional(response, item, "stack_trace", str) or ""
            file, bundle = (
                optional(response, item, key, str) or "" for key in ("filename", "bundle_name")
            )
            found.append(DagImportError(file, trace, read_traceback(trace), bundle))
        return tuple(found)

    def health(self) -> Health:
        """See `Airflow`. The endpoint needs no permission and responds with 200 in every state.

        Measured: docs/notes/airflow-2.md#health-endpoint, docs/notes/airflow-3.md#health-endpoint.
        """
        response = self._transport.send("GET", f"{self.api}{self._health}", anonymous=True)
        body = require_object(response, 200, {"scheduler": dict})
        return Health(
            *(_is_healthy(body.get(name)) for name in ("scheduler", "dag_processor", "triggerer"))
        )

    def pool(self, name: str) -> Pool:
        """See `Airflow`."""
        response = self._send("GET", f"/pools/{segment(name)}")
        body = require_object(response, 200, {"name": str, "slots": int})
        free = body.get("open_slots")
        return Pool(name, body["slots"], free if isinstance(free, int) else body["slots"])

    def pool_task_instances(self, name: str) -> tuple[tuple[str, str, TaskInstance], ...]:
        """See `Airflow`."""
        response, items, _ = self._tasks_page(
            "~", "~", pool=name, state=["running", "queued"], limit=_MAX_ITEMS
        )
        found = []
        for item in items:
            dag_id, run_id = (
                str(item.get(key)) if isinstance(item, dict) else ""
                for key in ("dag_id", "dag_run_id")
            )
            found.append((dag_id, run_id, self._task(response, item, dag_id, run_id)))
        return tuple(found)

    def heartbeat_timeout(self, run: DagRun, task: TaskInstance) -> str | None:
        """See `Airflow`. The task's own log does not contain it (measured on 2.11.2 and 3.3.2)."""
        params = {
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "task_id": task.task_id,
            "limit": _MAX_ITEMS,
        }
        response, items = self._list("/eventLogs", "event_logs", params)
        for item in items:
            if item.get("event") == "heartbeat timeout" and item.get("task_id") == task.task_id:
                return str(optional(response, item, "extra", str) or "")
        return None

    def unmet_dependencies(self, run: DagRun, task: TaskInstance) -> tuple[str, ...]:
        """See `Airflow`. Both APIs have the endpoint (measured on 2.11.2 and 3.3.2)."""
        index = f"/{task.map_index}" if task.map_index >= 0 else ""
        response = self._transport.get(
            f"{self._task_instance_path(run, task.task_id)}{index}/dependencies"
        )
        self._require_ok(response, "Airflow does not say what the task waits for")
        items = require_object(response, 200, {"dependencies": list})["dependencies"]
        return tuple(
            str(item.get("reason"))
            for item in items
            if isinstance(item, dict) and item.get("name") not in _USUAL_DEPENDENCIES
        )

    def _runs(self, dag_id: str, state: RunState, **params: Any) -> tuple[DagRun, ...]:
        path = f"/dags/{segment(dag_id)}/dagRuns"
        response, items = self._list(path, "dag_runs", {"state": state, **params})
        matching = [
            item for item in items if (item.get("dag_id"), item.get("state")) == (dag_id, state)
        ]
        return tuple(
            self._parse_run(response, item)
            for item in matching
            if isinstance(item.get("dag_run_id"), str)
        )

    def _list(
        self, path: str, key: str, params: dict[str, Any]
    ) -> tuple[Response, list[dict[str, Any]]]:
        response = self._transport.get(f"{self.api}{path}", params)
        if response.status == 403:
            raise self._forbidden(response)
        items = require_object(response, 200, {key: list})[key]
        if not all(isinstance(item, dict) for item in items):
            raise response.unexpected("an item of the list is not an object.")
        return response, items

    def _task_instance_path(self, run: DagRun, task_id: str) -> str:
        run_path = f"{self.api}/dags/{segment(run.dag_id)}/dagRuns/{segment(run.run_id)}"
        return f"{run_path}/taskInstances/{segment(task_id)}"

    def _require_ok(self, response: Response, missing: str) -> None:
        if response.status == 403:
            raise self._forbidden(response)
        if response.status == 404:
            raise NotFound(missing, f"{response.source}: {response.detail}", "")
        if response.status != 200:
            raise response.unexpected(response.detail or "this status is not expected here.")


def _map_index_params(map_index: int) -> dict[str, int]:
    return {} if map_index < 0 else {"map_index": map_index}


def _is_healthy(component: Any) -> bool | None:
    status = component.get("status") if isinstance(component, dict) else None
    return None if status is None else status == "healthy"
