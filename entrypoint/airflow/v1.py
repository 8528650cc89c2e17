"""Airflow 2's REST API, `/api/v1` (docs/notes/airflow-2.md).

What older versions do not have is in docs/notes/airflow-versions.md#what-differs-by-version.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from entrypoint.airflow.responses import is_from_airflow, not_supported, optional, require_note
from entrypoint.airflow.rest import RestAirflow, run_path, segment
from entrypoint.errors import (
    ActionError,
    Conflict,
    InvalidConf,
    NotSupported,
    RunNotFound,
    TransientError,
)
from entrypoint.http.client import NO_DEADLINE
from entrypoint.models import TaskLog, stopped_note

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from entrypoint.airflow.log_follower import LogFollower
    from entrypoint.airflow.logs import LogReader
    from entrypoint.airflow.rest import TasksToClear
    from entrypoint.airflow.transport import Transport
    from entrypoint.deadline import Deadline
    from entrypoint.http.response import Response
    from entrypoint.models import DagRun, RunRequest, RunState, TaskInstance
    from entrypoint.permissions import Probe


class V1(RestAirflow):
    """Airflow 2."""

    def __init__(
        self, transport: Transport, version: str, deadline: Deadline = NO_DEADLINE
    ) -> None:
        super().__init__(transport, version, deadline)
        self._logical_dates: dict[tuple[str, str], datetime] = {}

    api: ClassVar[str] = "/api/v1"
    page: ClassVar[int] = 100_000
    """Airflow 2 honours any limit, and its order is not stable enough for pages.

    Measured: docs/notes/airflow-2.md#task-instances.
    """

    @property
    def _can_filter_tasks(self) -> bool:
        """See `RestAirflow`. 2.7.1 brought the filters by run and by task (source)."""
        return self._release >= (2, 7, 1)

    def check(self, request: RunRequest) -> None:
        """Check the parts of the request that this version would refuse.

        Raises:
            NotSupported: it contains one (docs/notes/airflow-2.md#differences-between-versions).
        """
        self._require_paths(request)
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
        if request.xcoms:
            self._xcom_params()

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the URL of the run in the grid view, before 2.3 in the graph view.

        The graph view needs the logical date. Until the run has one, return a list of runs that has
        only this one (docs/notes/airflow-2.md#links-to-the-web-ui).
        """
        base, dag, run = self._transport.ui_url, segment(dag_id), segment(run_id)
        if self._release >= (2, 3):
            return f"{base}/dags/{dag}/grid?dag_run_id={run}"
        date = self._logical_dates.get((dag_id, run_id))
        if date is None:
            return f"{base}/dagrun/list/?_flt_3_dag_id={dag}&_flt_3_run_id={run}"
        return f"{base}/graph?dag_id={dag}&execution_date={_without_plus(date)}"

    def task_url(self, task: TaskInstance, dag_id: str, run_id: str) -> str:
        """Return the URL of the task instance's log in the grid view, before 2.3 of its own."""
        date = self._logical_dates.get((dag_id, run_id))
        if self._release < (2, 3) and date is not None:
            return (
                f"{self._transport.ui_url}/log?dag_id={segment(dag_id)}"
                f"&task_id={segment(task.task_id)}&execution_date={_without_plus(date)}"
            )
        if self._release < (2, 3):
            return self.run_url(dag_id, run_id)
        mapped = f"&map_index={task.map_index}" if task.map_index >= 0 else ""
        return f"{self.run_url(dag_id, run_id)}&task_id={segment(task.task_id)}{mapped}&tab=logs"

    def _trigger_body(self, request: RunRequest) -> dict[str, Any]:
        # Airflow refuses null for any key (docs/notes/airflow-2.md#trigger-request), so missing
        # values are left out.
        body: dict[str, Any] = {"dag_run_id": request.run_id, "conf": request.conf}
        for name in ("logical_date", "data_interval_start", "data_interval_end"):
            if (moment := getattr(request, name)) is not None:
                old = name == "logical_date" and self._release < (2, 2)
                body["execution_date" if old else name] = moment.isoformat()
        if request.note is not None and self._release >= (2, 5, 2):
            body["note"] = request.note
        return body

    def trigger(self, request: RunRequest) -> DagRun:
        """See `Airflow`.

        From 2.6 on, a run id that Airflow's own pattern refuses is a 500 without a reason
        (docs/notes/airflow-2.md#run-ids).
        """
        try:
            return super().trigger(request)
        except TransientError as error:
            no_reason = error.status == 500 and not isinstance(error.body, dict)
            if no_reason and self._release >= (2, 6):
                error.hint = (
                    f"{error.hint} If other triggers succeed, check whether this Airflow sets "
                    "[scheduler] allowed_run_id_pattern: it answers 500 to a run id that does not "
                    f"match, like {request.run_id}. Then set run_id."
                )
            raise

    def complete_trigger(self, run: DagRun, request: RunRequest) -> DagRun:
        """See `Airflow`. 2.5.0 and 2.5.1 have notes, but refuse one in the trigger."""
        if request.note is not None and (2, 5) <= self._release < (2, 5, 2):
            with suppress(ActionError):
                self.set_note(run, request.note)
                return run._replace(note=request.note)
        return run

    def explain_failed_trigger(self, request: RunRequest) -> ActionError | None:
        """See `Airflow`.

        Before 2.9 a conf that the params refuse is a 500 without a reason, and before 2.2 a logical
        date that is taken (docs/notes/airflow-versions.md#what-differs-by-version).
        """
        with suppress(ActionError):
            without_reason = (2, 3) <= self._release < (2, 9)
            if without_reason and (problem := self._refused_param(request)):
                return InvalidConf(
                    "Airflow refused the DAG run's parameters",
                    f"{problem}. Airflow {self.version} answers such a conf with 500 and no "
                    "reason; this one is from the DAG's own schema.",
                    "Correct conf in this step; the DAG's params define what is allowed.",
                )
            if self._release < (2, 2) and request.logical_date is not None:
                ids = self.runs_at(request.dag_id, request.logical_date)
                if others := [run_id for run_id in ids if run_id != request.run_id]:
                    return Conflict(
                        "The run id or the logical date is taken",
                        f"It is that of the run {others[0]}.",
                        "",
                    )
        return None

    def _parse_run(self, response: Response, dag_id: str, run_id: str) -> DagRun:
        run = super()._parse_run(response, dag_id, run_id)
        if run.logical_date is not None:
            self._logical_dates[dag_id, run_id] = run.logical_date
        if run.note is None and (2, 5) <= self._release < (2, 5, 2):
            # The note is set after the trigger. Until then it does not tell who made the run.
            return run._replace(unknown_fields=(*run.unknown_fields, "note"))
        return run

    def _runs(self, dag_id: str, state: RunState, **params: Any) -> tuple[DagRun, ...]:
        """See `RestAirflow`. 2.0 can neither sort nor filter the runs, so it finds none."""
        return super()._runs(dag_id, state, **params) if self._release >= (2, 1) else ()

    def _run_filters(self, state: RunState) -> dict[str, str]:
        """See `RestAirflow`. Before 2.3 no parameter filters by state: choose from the newest."""
        newest = {"order_by": "-start_date"}
        return super()._run_filters(state) if self._release >= (2, 3) else newest

    def mark_failed(self, run: DagRun) -> DagRun | None:
        """See `Airflow`. The note is set first; if that fails, it is set again after the stop.

        It comes first because the scheduler may still set a stopped run to success.

        Raises:
            NotSupported: before 2.2 no request changes the state of a run.
        """
        if self._release < (2, 2):
            raise NotSupported(
                "This Airflow cannot stop a DAG run",
                f"The API of Airflow {self.version} cannot change a run's state; 2.2 can.",
                "Mark the run failed in Airflow's UI, or upgrade Airflow.",
            )
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

    def _clear_request(
        self, dag_id: str, run_id: str, tasks: TasksToClear
    ) -> tuple[str, dict[str, Any]]:
        # Without reset_dag_runs the run would stay failed forever
        # (docs/notes/airflow-2.md#cleared-runs).
        body: dict[str, Any] = {"only_failed": False, "reset_dag_runs": True}
        if self._release >= (2, 4):
            body["dag_run_id"] = run_id
        else:
            # It accepts no run id. A DAG has at most one run for each logical date.
            body |= dict.fromkeys(("start_date", "end_date"), self._logical_date(dag_id, run_id))
        if isinstance(tasks, str):
            return "clearTaskInstances", body
        if self._release >= (2, 1):
            # It accepts no map index here, so every instance of a mapped task runs again.
            body["task_ids"] = sorted({task.task_id for task in tasks})
        elif any(task.state not in ("failed", "upstream_failed", None) for task in tasks):
            # Tasks that it leaves skipped could make the run a success with half of its DAG.
            raise NotSupported(
                "This Airflow cannot resume the DAG run",
                f"Airflow {self.version} can clear the failed tasks of a run or all, and of this "
                "run some were skipped or interrupted.",
                "Set if_run_exists: restart, which runs all of its tasks again, or upgrade to "
                "Airflow 2.1.",
            )
        else:
            body["only_failed"] = True
        return "clearTaskInstances", body

    def _logical_date(self, dag_id: str, run_id: str) -> str:
        """Return the logical date of a run that a response has shown.

        Raises:
            RunNotFound: no response has, and Airflow does not have the run.
        """
        if (dag_id, run_id) not in self._logical_dates:
            self.get_run(dag_id, run_id)
        if (date := self._logical_dates.get((dag_id, run_id))) is None:
            raise RunNotFound(
                "The DAG run cannot be cleared",
                f"Airflow has no run {run_id} of {dag_id} with a logical date.",
                "Re-run this job: the run may have been deleted a moment ago.",
            )
        return date.isoformat()

    def log(self, run: DagRun, task: TaskInstance, max_lines: int) -> TaskLog:
        """See `Airflow`. The logs of mapped task instances are there from 2.4 on."""
        if task.map_index >= 0 and self._release < (2, 4):
            reason = f"Airflow {self.version} does not return the log of a mapped task instance"
            return TaskLog((), written=False, unavailable=f"{reason} (2.4 does); its UI shows it")
        return super().log(run, task, max_lines)

    def continue_log(
        self, run: DagRun, task: TaskInstance, try_number: int, follower: LogFollower
    ) -> None:
        """See `Airflow`. The logs of mapped task instances are there from 2.4 on."""
        if task.map_index >= 0 and self._release < (2, 4):
            raise not_supported("the log of a mapped task instance", self.version, "Airflow 2.4")
        super().continue_log(run, task, try_number, follower)

    def _is_run_not_found(self, response: Response) -> bool:
        return isinstance(response.body, dict) and str(response.body.get("type", "")).endswith(
            "/Errors/NotFound"
        )

    def _dag_filters(self, tag: str | None, *, stale: bool) -> dict[str, str]:
        """See `RestAirflow`. Before 2.2 there were no filters, and each parameter is an error."""
        if self._release < (2, 2):
            return {}
        # It splits tags at commas, so it cannot look for a tag that contains one.
        tags = {} if tag is None or "," in tag else {"tags": tag}
        return {"only_active": "false" if stale else "true", **tags}

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

    def probes(self, dag_id: str) -> tuple[Probe, ...]:
        """See `Airflow`. Measured: docs/notes/airflow-2.md#permissions."""
        # Imported here, because only a dry run needs it.
        from entrypoint.airflow.probes import missing_run_id, probes_1  # noqa: PLC0415

        run_id = missing_run_id()
        dag, run = f"/dags/{segment(dag_id)}", run_path(dag_id, run_id)
        return tuple(probes_1(dag, run, run_id, stops=self._release >= (2, 2)))

    # Diagnostics.

    _health: ClassVar[str] = "/health"
    _log_format: ClassVar[str] = "text/plain"

    def _log_reader(self, max_lines: int) -> LogReader:
        # Imported here, because only the end of a run needs it.
        from entrypoint.airflow.text_log import TextLog  # noqa: PLC0415

        return TextLog(max_lines)

    def follow_log(self, max_lines: int, on_line: Callable[[str], None]) -> LogFollower:
        """See `Airflow`."""
        # Imported here, because most steps do not need these modules.
        from entrypoint.airflow.log_follower import TextFollower  # noqa: PLC0415
        from entrypoint.airflow.text_log import TextLog  # noqa: PLC0415

        return TextFollower(TextLog(max_lines, on_line))

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


def _without_plus(moment: datetime) -> str:
    """Return a date in UTC for a link, ending in Z.

    A login page in between would turn the plus sign of an offset into a blank.
    """
    return segment(moment.isoformat().replace("+00:00", "Z"))
