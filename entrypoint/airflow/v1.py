"""Airflow 2's REST API, `/api/v1` (docs/notes/airflow-2.md)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from entrypoint.airflow.logs import TextLog
from entrypoint.airflow.responses import is_from_airflow, not_supported, optional, require_note
from entrypoint.airflow.rest import RestAirflow, run_path, segment
from entrypoint.errors import ActionError, NotSupported
from entrypoint.models import stopped_note

if TYPE_CHECKING:
    from entrypoint.airflow.logs import LogReader
    from entrypoint.airflow.rest import TasksToClear
    from entrypoint.http.response import Response
    from entrypoint.models import DagRun, RunRequest, TaskInstance


class V1(RestAirflow):
    """Airflow 2."""

    api: ClassVar[str] = "/api/v1"
    page: ClassVar[int] = 100_000
    """Airflow 2 honours any limit, and its order is not stable enough for pages.

    Measured: docs/notes/airflow-2.md#task-instances.
    """

    def check(self, request: RunRequest) -> None:
        """Check the parts of the request that this version would refuse.

        Raises:
            NotSupported: it contains one (docs/notes/airflow-2.md#differences-between-versions).
        """
        if request.commit is not None:
            raise NotSupported(
                "Airflow 2 does not say from which commit a DAG is",
                f"This is Airflow {self.version}; expect_commit needs Airflow 3 and a git bundle.",
                "Use wait_for_dag without expect_commit: it waits until Airflow has parsed the "
                "DAG's file after the start of this step.",
            )
        if request.run_after is not None:
            raise not_supported("run_after", self.version, "Airflow 3.0")
        if request.drain:
            raise not_supported("if_paused: drain", self.version, "Airflow 3.4")
        if request.partition_key is not None:
            raise not_supported("partition_key", self.version, "Airflow 3.2")
        if request.data_interval_start is not None and self._release < (2, 9):
            raise not_supported("data_interval_start", self.version, "Airflow 2.9")
        if request.note is not None and self._release < (2, 5):
            raise not_supported("note", self.version, "Airflow 2.5")

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the URL of the run in the grid view.

        Source: docs/notes/airflow-2.md#links-to-the-web-ui.
        """
        return (
            f"{self._transport.base_url}/dags/{segment(dag_id)}/grid?dag_run_id={segment(run_id)}"
        )

    def task_url(self, task: TaskInstance, dag_id: str, run_id: str) -> str:
        """Return the URL of the task instance's log in the grid view."""
        mapped = f"&map_index={task.map_index}" if task.map_index >= 0 else ""
        return f"{self.run_url(dag_id, run_id)}&task_id={segment(task.task_id)}{mapped}&tab=logs"

    def _trigger_body(self, request: RunRequest) -> dict[str, Any]:
        # Airflow refuses null for any key (docs/notes/airflow-2.md#trigger-request), so missing
        # values are left out.
        body: dict[str, Any] = {"dag_run_id": request.run_id, "conf": request.conf}
        for name in ("logical_date", "data_interval_start", "data_interval_end"):
            if (moment := getattr(request, name)) is not None:
                body[name] = moment.isoformat()
        if request.note is not None and self._release >= (2, 5):
            body["note"] = request.note
        return body

    def mark_failed(self, run: DagRun) -> DagRun | None:
        """See `Airflow`. The note is set first; if that fails, it is set again after the stop.

        It comes first because the scheduler may still set a stopped run to success.
        """
        note_is_set = False
        with suppress(ActionError):
            self.set_note(run, stopped_note(run))
            note_is_set = True
        stopped = self._patch_run(run, {"state": "failed"})
        if not note_is_set:
            with suppress(ActionError):
                self.set_note(run, stopped_note(run))
        return stopped

    def set_note(self, run: DagRun, note: str) -> None:
        """See `Airflow`. Notes exist since 2.5
        (docs/notes/airflow-2.md#differences-between-versions).
        """
        if self._release >= (2, 5):
            path = f"{run_path(run.dag_id, run.run_id)}/setNote"
            response = self._request("PATCH", path, {"note": note})
            require_note(response, self._run_or_none(response, run.dag_id, run.run_id), note)

    def _clear_request(self, run_id: str, tasks: TasksToClear) -> tuple[str, dict[str, Any]]:
        if self._release < (2, 4):
            # Its clearTaskInstances accepts no run id, and no other endpoint clears a single run.
            raise not_supported("if_run_exists: resume and restart", self.version, "Airflow 2.4")
        # Without reset_dag_runs the run would stay failed forever
        # (docs/notes/airflow-2.md#cleared-runs).
        body: dict[str, Any] = {"dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True}
        if not isinstance(tasks, str):
            # It accepts no map index here, so every instance of a mapped task runs again.
            body["task_ids"] = sorted({task.task_id for task in tasks})
        return "clearTaskInstances", body

    def _is_run_not_found(self, response: Response) -> bool:
        return isinstance(response.body, dict) and str(response.body.get("type", "")).endswith(
            "/Errors/NotFound"
        )

    def _dag_filters(self, tag: str | None) -> dict[str, str]:
        """See `RestAirflow`. Before 2.2 there were no filters, and each parameter is an error."""
        if self._release < (2, 2):
            return {}
        # It splits tags at commas, so it cannot look for a tag that contains one.
        tags = {} if tag is None or "," in tag else {"tags": tag}
        return {"only_active": "true", **tags}

    def _is_active(self, dag: dict[str, Any]) -> bool:
        return bool(dag.get("is_active", True))

    def _forbidden(self, response: Response) -> Exception:
        """Distinguish a bad credential from a missing permission, since 2.11.2 sends 403 for both.

        Measured: docs/notes/airflow-2.md#401-and-403.
        """
        if (
            not is_from_airflow(response)
            or self._transport.get(f"{self.api}/dags", self._deadline, {"limit": 1}).status == 200
        ):
            return super()._forbidden(response)
        return self._transport.refusal_error(response)

    # Diagnostics.

    _health: ClassVar[str] = "/health"
    _log_format: ClassVar[str] = "text/plain"

    def _log_reader(self, max_lines: int) -> LogReader:
        return TextLog(max_lines)

    def _seconds(self, response: Response, value: Any) -> float:
        if not isinstance(value, dict):
            raise response.unexpected("a duration is not an object.")
        parts = {
            key: optional(response, value, key, (int, float)) or 0
            for key in ("days", "seconds", "microseconds")
        }
        return parts["days"] * 86_400 + parts["seconds"] + parts["microseconds"] / 1e6

    def _xcom_params(self) -> dict[str, str]:
        """Request JSON. Before 2.10 there is only a repr (docs/notes/airflow-2.md#xcoms)."""
        if self._release < (2, 10):
            raise not_supported("xcom", self.version, "Airflow 2.10")
        return {"stringify": "false"}
