"""Airflow 3's REST API, `/api/v2` (docs/notes/airflow-3.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from entrypoint.airflow.logs import JsonLog
from entrypoint.airflow.parse import parse_task_instance
from entrypoint.airflow.responses import not_supported, optional, require_note, require_object
from entrypoint.airflow.rest import RestAirflow, run_path, segment
from entrypoint.airflow.state_stream import StateLineReader
from entrypoint.errors import NotSupported
from entrypoint.models import DagBundle, HitlRequest, stopped_note

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.log_follower import LogFollower
    from entrypoint.airflow.logs import LogReader
    from entrypoint.airflow.rest import TasksToClear
    from entrypoint.http.response import Response
    from entrypoint.models import DagRun, RunRequest, RunState, TaskInstance
    from entrypoint.permissions import Probe

_ISO_DURATION = re.compile(
    r"P(?:(?P<days>\d{1,7})D)?(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?"
    r"(?:(?P<seconds>\d{1,9}(?:\.\d{1,9})?)S)?)?"
)
_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


class V2(RestAirflow):
    """Airflow 3."""

    api: ClassVar[str] = "/api/v2"
    page: ClassVar[int] = 100
    """Airflow 3 silently reduces a larger limit (docs/notes/airflow-3.md#task-instances)."""

    _task_order: ClassVar[dict[str, str]] = {"order_by": "id"}

    def check(self, request: RunRequest) -> None:
        """Check the parts of the request that this version would ignore or refuse.

        Raises:
            NotSupported: it contains one (docs/notes/airflow-3.md#trigger-request).
        """
        self._require_paths(request)
        if request.partition_key is not None and self._release < (3, 2):
            raise not_supported("partition_key", self.version, "Airflow 3.2")
        if request.drain and self._release < (3, 4):
            raise not_supported("if_paused: drain", self.version, "Airflow 3.4")
        if request.data_interval_start is not None and request.logical_date is None:
            raise NotSupported(
                "data_interval_start needs logical_date",
                f"Airflow {self.version} silently ignores a data interval without a logical date.",
                "Give logical_date as well, or leave the data interval out.",
            )

    def stream_states(
        self,
        run: DagRun,
        interval: float,
        consume: Callable[[RunState], bool],
        max_silence: float,
        max_seconds: float,
    ) -> None:
        """See `Airflow`. The endpoint exists since 3.1 (docs/notes/airflow-3.md#wait-endpoint)."""
        if self._release < (3, 1):
            return super().stream_states(run, interval, consume, max_silence, max_seconds)
        path = f"{self.api}{run_path(run.dag_id, run.run_id)}/wait"
        self._transport.stream(
            path,
            self._deadline,
            {"interval": interval},
            StateLineReader(consume).consume,
            max_silence=max_silence,
            max_seconds=max_seconds,
        )
        return None

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the URL of the run's page (docs/notes/airflow-3.md#links-to-the-web-ui)."""
        return f"{self._transport.ui_url}/dags/{segment(dag_id)}/runs/{segment(run_id)}"

    def task_url(self, task: TaskInstance, dag_id: str, run_id: str) -> str:
        """Return the URL of the task instance's page, whose first tab is its log."""
        return self._task_page(task, dag_id, run_id)

    def _task_page(self, task: TaskInstance, dag_id: str, run_id: str, tab: str = "") -> str:
        """Return the URL of a tab of the task instance's page (`tab` begins with a slash)."""
        mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
        region = (
            f"?region_id={segment(task.region_id)}&region_index={task.region_index}"
            if task.region_id
            else ""
        )
        return f"{self.run_url(dag_id, run_id)}/tasks/{segment(task.task_id)}{mapped}{tab}{region}"

    def _trigger_body(self, request: RunRequest) -> dict[str, Any]:
        # logical_date is required but may be null; no other key may be null or unknown
        # (docs/notes/airflow-3.md#trigger-request).
        body: dict[str, Any] = {
            "dag_run_id": request.run_id,
            "logical_date": request.logical_date.isoformat() if request.logical_date else None,
            "conf": request.conf,
        }
        for name in ("data_interval_start", "data_interval_end", "run_after"):
            if (moment := getattr(request, name)) is not None:
                body[name] = moment.isoformat()
        for name in ("partition_key", "note"):
            if (text := getattr(request, name)) is not None:
                body[name] = text
        # An older Airflow refuses a field that it does not know.
        if request.bundle_version is not None and self._release >= (3, 4):
            body["bundle_version"] = request.bundle_version
        if request.drain:
            body["drain_dag"] = True
        return body

    @property
    def can_clear_to_latest(self) -> bool:
        """See `Airflow`. Measured: docs/notes/airflow-3.md#cleared-runs."""
        return self._release >= (3, 1)

    def latest_dag_version(self, dag_id: str) -> str | None:
        """See `Airflow`. Measured: docs/notes/airflow-3.md#bundle-versions."""
        # A commit that leaves the structure as it is does not change it before 3.3.
        return super().latest_dag_version(dag_id) if self._release >= (3, 3) else None

    def dag_bundle(self, name: str) -> DagBundle | None:
        """See `Airflow`. Measured: docs/notes/airflow-3.md#dag-bundles."""
        if self._release < (3, 4):
            return super().dag_bundle(name)
        response = self._request("GET", f"/dagBundles/{segment(name)}")
        if response.status == 404:
            return None
        body = require_object(response, 200, {"name": str})
        return DagBundle(name, optional(response, body, "version", str))

    def mark_failed(self, run: DagRun) -> DagRun | None:
        """See `Airflow`. One request, because there may be no time for two."""
        return self._patch_run(run, {"state": "failed", "note": stopped_note(run)})

    def set_note(self, run: DagRun, note: str) -> None:
        """See `Airflow`."""
        response = self._request("PATCH", run_path(run.dag_id, run.run_id), {"note": note})
        require_note(response, self._run_or_none(response, run.dag_id, run.run_id), note)

    def _clear_request(
        self, dag_id: str, run_id: str, tasks: TasksToClear
    ) -> tuple[str, dict[str, Any]]:
        if isinstance(tasks, str):
            return f"dagRuns/{segment(run_id)}/clear", {"only_failed": False}
        body: dict[str, Any] = {
            "dag_run_id": run_id,
            "task_ids": [
                task.task_id if task.map_index < 0 else (task.task_id, task.map_index)
                for task in tasks
            ],
            "only_failed": False,
            "reset_dag_runs": True,
        }
        if any(task.region_id for task in tasks):
            # A task id stands for the task in every iteration of its loop, so that the loop would
            # begin again (docs/notes/airflow-versions.md#loops).
            ids = {task.id for task in tasks} | self._set_up_ids(dag_id, tasks, body)
            del body["task_ids"]
            body["task_instance_ids"] = sorted(ids)
        return "clearTaskInstances", body

    def _set_up_ids(
        self, dag_id: str, tasks: tuple[TaskInstance, ...], body: dict[str, Any]
    ) -> set[str]:
        """Return the ids of the setup and teardown tasks of these task instances.

        Airflow adds them to a clear by task ids, and not to one by ids
        (docs/notes/airflow-versions.md#loops). A dry run lists them.
        """
        response = self._request(
            "POST", f"/dags/{segment(dag_id)}/clearTaskInstances", {"dry_run": True, **body}
        )
        items = require_object(response, 200, {"task_instances": list})["task_instances"]
        found = [parse_task_instance(response, item) for item in items]
        named = {task.task_id for task in tasks}
        regions = {("", -1), *((task.region_id, task.region_index) for task in tasks)}
        return {
            task.id
            for task in found
            if task.task_id not in named and (task.region_id, task.region_index) in regions
        }

    def _is_run_not_found(self, response: Response) -> bool:
        return isinstance(response.body, dict) and "was not found" in str(
            response.body.get("detail")
        )

    def _dag_filters(self, tag: str | None, *, stale: bool) -> dict[str, str]:
        """See `RestAirflow`."""
        tags = {} if tag is None else {"tags": tag}
        return {"exclude_stale": "false" if stale else "true", **tags}

    def _is_active(self, dag: dict[str, Any]) -> bool:
        return not dag.get("is_stale")

    def probes(self, dag_id: str) -> tuple[Probe, ...]:
        """See `Airflow`. Measured: docs/notes/airflow-3.md#permissions."""
        # Imported here, because only a dry run needs it.
        from entrypoint.airflow.probes import missing_run_id, probes_2  # noqa: PLC0415

        run_id = missing_run_id()
        dag, run = f"/dags/{segment(dag_id)}", run_path(dag_id, run_id)
        return tuple(probes_2(dag, run, run_id, asks_humans=self._release >= (3, 1)))

    # Diagnostics.

    _health: ClassVar[str] = "/monitor/health"
    _log_format: ClassVar[str] = "application/x-ndjson"

    def _log_reader(self, max_lines: int) -> LogReader:
        return JsonLog(max_lines)

    def follow_log(self, max_lines: int, on_line: Callable[[str], None]) -> LogFollower:
        """See `Airflow`."""
        # Imported here, because most steps do not need this module.
        from entrypoint.airflow.log_follower import JsonFollower  # noqa: PLC0415

        return JsonFollower(JsonLog(max_lines, on_line))

    def _seconds(self, response: Response, value: Any) -> float:
        """Parse an ISO 8601 duration."""
        match = _ISO_DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None or not any(match.groups()):
            raise response.unexpected("a duration is not ISO 8601.")
        return sum(float(number) * _SECONDS[unit] for unit, number in match.groupdict(0).items())

    def _xcom_params(self) -> dict[str, str]:
        return {}

    def hitl_requests(self, run: DagRun) -> tuple[HitlRequest, ...]:
        """See `Airflow`. They exist since 3.1 (docs/notes/airflow-3.md#required-actions)."""
        if self._release < (3, 1):
            return ()
        path = f"{run_path(run.dag_id, run.run_id)}/hitlDetails"
        response, items = self._list(
            path, "hitl_details", {"response_received": "false", "limit": self.page}
        )
        found = []
        for item in items:
            task = self._task(response, item.get("task_instance"), run.dag_id, run.run_id)
            subject = optional(response, item, "subject", str) or ""
            url = self._task_page(task, run.dag_id, run.run_id, "/required_actions")
            found.append(HitlRequest(task.task_id, task.map_index, subject, url))
        return tuple(found)
