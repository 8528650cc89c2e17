"""What both dialects answer alike about the reasons of things: logs, XComs, pools, health, import
errors.

Read only, and nothing here may bear on the verdict. Subclasses add what differs.
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
_ALWAYS_UNMET = ("Task Instance State", "Trigger Rule", "Dagrun Running")
"""What is said of every task instance that waits: that it does, for the tasks before it, or for its
run.
"""


class DiagnosticRequests(TaskInstanceRequests):
    """The part of the `Airflow` protocol that explains."""

    @property
    def now(self) -> datetime | None:
        """See `Airflow`."""
        return self._transport.server_time

    # What a subclass says about its API.

    _health: ClassVar[str]
    _log_format: ClassVar[str]

    def _log_reader(self, keep: int) -> LogReader:
        raise NotImplementedError

    def _seconds(self, answer: Response, value: Any) -> float:
        """Read a duration of this API."""
        raise NotImplementedError

    def _xcom_params(self) -> dict[str, str]:
        """Return what asks for the value itself instead of its repr. Raises NotSupported."""
        raise NotImplementedError

    # Airflow 2 knows no such questions
    def hitl_requests(self, run: DagRun) -> tuple[HitlRequest, ...]:  # noqa: ARG002
        """See `Airflow`."""
        return ()

    # What both share.

    def log(self, run: DagRun, task: TaskInstance, keep: int) -> TaskLog:
        """See `Airflow`."""
        reader = self._log_reader(keep)
        path = f"{self._instance(run, task.task_id)}/logs/{max(task.try_number, 1)}"
        answer = self._transport.download(
            path, self._log_format, reader.take, _index(task.map_index)
        )
        self._expect(answer, "The log is not there")
        return reader.close()

    def xcom(self, run: DagRun, task_id: str, map_index: int, key: str, limit: int) -> Any:
        """See `Airflow`."""
        body = bytearray()

        def take(chunk: bytes) -> bool:
            body.extend(chunk)
            return len(body) <= limit

        path = f"{self._instance(run, task_id)}/xcomEntries/{segment(key)}"
        answer = self._transport.download(
            path, "application/json", take, {**self._xcom_params(), **_index(map_index)}
        )
        self._expect(answer, "The XCom is not there")
        if len(body) > limit:
            raise ResponseTooLarge(
                "The XCom is too large", f"{answer.source}, with more than {limit} bytes.", ""
            )
        try:
            return json.loads(body)["value"]
        except (ValueError, RecursionError, KeyError, TypeError):
            raise answer.unexpected("the JSON is cut off, or has no value.") from None

    def dagrun_timeout(self, dag_id: str) -> float | None:
        """See `Airflow`."""
        answer, details = self._details(dag_id)
        value = details.get("dag_run_timeout")
        return None if value is None else self._seconds(answer, value)

    def recent_durations(self, dag_id: str) -> tuple[float, ...]:
        """See `Airflow`."""
        runs = self._runs(dag_id, "success", limit=_MAX_RUNS, order_by="-start_date")
        return tuple(run.duration for run in runs if run.duration)

    def running_runs(self, dag_id: str) -> tuple[DagRun, ...]:
        """See `Airflow`."""
        return self._runs(dag_id, "running", limit=_MAX_ITEMS)

    def import_errors(self) -> tuple[DagImportError, ...]:
        """See `Airflow`."""
        answer, items = self._list("/importErrors", "import_errors", {"limit": _MAX_ITEMS})
        found = []
        for item in items:
            trace = optional(answer, item, "stack_trace", str) or ""
            file, bundle = (
                optional(answer, item, key, str) or "" for key in ("filename", "bundle_name")
            )
            found.append(DagImportError(file, trace, read_traceback(trace), bundle))
        return tuple(found)

    def health(self) -> Health:
        """See `Airflow`. It needs no permission, and is 200 whatever the state.

        Measured: docs/notes/airflow-2.md#health-endpoint, docs/notes/airflow-3.md#health-endpoint.
        """
        answer = self._transport.send("GET", f"{self.api}{self._health}", anonymous=True)
        body = require_object(answer, 200, {"scheduler": dict})
        return Health(
            *(_beats(body.get(name)) for name in ("scheduler", "dag_processor", "triggerer"))
        )

    def pool(self, name: str) -> Pool:
        """See `Airflow`."""
        answer = self._send("GET", f"/pools/{segment(name)}")
        body = require_object(answer, 200, {"name": str, "slots": int})
        free = body.get("open_slots")
        return Pool(name, body["slots"], free if isinstance(free, int) else body["slots"])

    def pool_task_instances(self, name: str) -> tuple[tuple[str, str, TaskInstance], ...]:
        """See `Airflow`."""
        answer, items, _ = self._tasks_page(
            "~", "~", pool=name, state=["running", "queued"], limit=_MAX_ITEMS
        )
        found = []
        for item in items:
            dag_id, run_id = (
                str(item.get(key)) if isinstance(item, dict) else ""
                for key in ("dag_id", "dag_run_id")
            )
            found.append((dag_id, run_id, self._task(answer, item, dag_id, run_id)))
        return tuple(found)

    def heartbeat_timeout(self, run: DagRun, task: TaskInstance) -> str | None:
        """See `Airflow`. The task's own log says nothing of it (measured on 2.11.2 and 3.3.2)."""
        params = {
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "task_id": task.task_id,
            "limit": _MAX_ITEMS,
        }
        answer, items = self._list("/eventLogs", "event_logs", params)
        for item in items:
            if item.get("event") == "heartbeat timeout" and item.get("task_id") == task.task_id:
                return str(optional(answer, item, "extra", str) or "")
        return None

    def unmet_dependencies(self, run: DagRun, task: TaskInstance) -> tuple[str, ...]:
        """See `Airflow`. The endpoint is there on both, measured on 2.11.2 and 3.3.2."""
        index = f"/{task.map_index}" if task.map_index >= 0 else ""
        answer = self._transport.get(f"{self._instance(run, task.task_id)}{index}/dependencies")
        self._expect(answer, "Airflow does not say what the task waits for")
        items = require_object(answer, 200, {"dependencies": list})["dependencies"]
        return tuple(
            str(item.get("reason"))
            for item in items
            if isinstance(item, dict) and item.get("name") not in _ALWAYS_UNMET
        )

    def _runs(self, dag_id: str, state: RunState, **params: Any) -> tuple[DagRun, ...]:
        path = f"/dags/{segment(dag_id)}/dagRuns"
        answer, items = self._list(path, "dag_runs", {"state": state, **params})
        ours = [
            item for item in items if (item.get("dag_id"), item.get("state")) == (dag_id, state)
        ]
        return tuple(
            self._run_in(answer, item) for item in ours if isinstance(item.get("dag_run_id"), str)
        )

    def _list(
        self, path: str, key: str, params: dict[str, Any]
    ) -> tuple[Response, list[dict[str, Any]]]:
        answer = self._transport.get(f"{self.api}{path}", params)
        if answer.status == 403:
            raise self._forbidden(answer)
        items = require_object(answer, 200, {key: list})[key]
        if not all(isinstance(item, dict) for item in items):
            raise answer.unexpected("an item of the list is no object.")
        return answer, items

    def _instance(self, run: DagRun, task_id: str) -> str:
        run_path = f"{self.api}/dags/{segment(run.dag_id)}/dagRuns/{segment(run.run_id)}"
        return f"{run_path}/taskInstances/{segment(task_id)}"

    def _expect(self, answer: Response, missing: str) -> None:
        if answer.status == 403:
            raise self._forbidden(answer)
        if answer.status == 404:
            raise NotFound(missing, f"{answer.source}: {answer.detail}", "")
        if answer.status != 200:
            raise answer.unexpected(answer.detail or "the status means nothing here.")


def _index(map_index: int) -> dict[str, int]:
    return {} if map_index < 0 else {"map_index": map_index}


def _beats(component: Any) -> bool | None:
    status = component.get("status") if isinstance(component, dict) else None
    return None if status is None else status == "healthy"
