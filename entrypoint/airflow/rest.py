"""What the two dialects share: quoted paths, JSON into models, and the answers that mean the same
on both.

A field that is missing or of the wrong shape is an unexpected answer, never a guess: a green that
rests on a guess is false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args
from urllib.parse import quote

from entrypoint.airflow.responses import forbidden, optional, parse_datetime, require_object
from entrypoint.errors import Conflict, DagNotFound, InvalidConf, NotSupported, RunNotFound
from entrypoint.models import Dag, DagRun, RunRequest, RunState, TaskInstance

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.transport import Transport
    from entrypoint.http.response import Response


TasksToClear = Literal["all"] | tuple[TaskInstance, ...]
"""Which task instances to clear: all, or the given ones."""


_VERSIONED_FIELDS = (
    "data_interval_start",
    "data_interval_end",
    "run_after",
    "partition_key",
    "note",
)
"""Fields of a DAG run that not every Airflow shows."""


def segment(text: str) -> str:
    """Quote one path segment or query value: `+` and `:` in run ids too."""
    return quote(text, safe="", errors="backslashreplace")


class RestAirflow:
    """The part of the `Airflow` protocol that both APIs answer alike. Subclasses add what
    differs.
    """

    api: ClassVar[str]

    def __init__(self, transport: Transport, version: str) -> None:
        self._transport = transport
        self.base_url = transport.base_url
        self.version = version
        self._release = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())

    # What a subclass says about its API.

    def check(self, request: RunRequest) -> None:
        """See `Airflow`."""
        raise NotImplementedError

    def _body(self, request: RunRequest) -> dict[str, Any]:
        raise NotImplementedError

    def mark_failed(self, run: DagRun) -> DagRun | None:
        """See `Airflow`."""
        raise NotImplementedError

    def set_note(self, run: DagRun, note: str) -> None:
        """See `Airflow`."""
        raise NotImplementedError

    def _patch_run(self, run: DagRun, body: dict[str, str]) -> DagRun | None:
        path = f"/dags/{segment(run.dag_id)}/dagRuns/{segment(run.run_id)}"
        return self._run_or_none(self._send("PATCH", path, body), run.dag_id, run.run_id)

    def _clearing(self, run_id: str, tasks: TasksToClear) -> tuple[str, dict[str, Any]]:
        """Return path (below the DAG) and body of the request that clears; both APIs list only
        unless told otherwise.
        """
        raise NotImplementedError

    def _says_no_run(self, answer: Response) -> bool:
        raise NotImplementedError

    def _active(self, dag: dict[str, Any]) -> bool:
        raise NotImplementedError

    def stream_states(  # Airflow 2 tells nothing by itself
        self,
        run: DagRun,  # noqa: ARG002
        interval: float,  # noqa: ARG002
        take: Callable[[RunState], bool],  # noqa: ARG002
        max_silence: float,  # noqa: ARG002
        max_seconds: float,  # noqa: ARG002
    ) -> None:
        """See `Airflow`."""
        raise NotSupported(
            "This Airflow does not tell a run's state by itself",
            f"Airflow {self.version}; it needs 3.1.",
            "",
        )

    # What both share.

    def get_dag(self, dag_id: str) -> Dag:
        """See `Airflow`."""
        answer = self._send("GET", f"/dags/{segment(dag_id)}")
        if answer.status == 404:
            raise dag_not_found(dag_id, answer)
        body = require_object(answer, 200, {"dag_id": str, "is_paused": bool})
        return Dag(
            dag_id=body["dag_id"],
            is_paused=body["is_paused"],
            is_active=self._active(body),
            has_import_errors=bool(body.get("has_import_errors")),
            file=str(body.get("relative_fileloc") or body.get("fileloc") or ""),
            max_active_runs=optional(answer, body, "max_active_runs", int),
            bundle=optional(answer, body, "bundle_name", str) or "",
            bundle_version=optional(answer, body, "bundle_version", str),
            last_parsed=parse_datetime(answer, body.get("last_parsed_time")),
            file_token=optional(answer, body, "file_token", str) or "",
        )

    def request_reparse(self, dag: Dag) -> None:
        """See `Airflow`. 404 where there is no such endpoint yet, 409 if it was asked already
        (measured on 3.3.2).
        """
        answer = self._transport.put(f"{self.api}/parseDagFile/{segment(dag.file_token)}")
        if answer.status == 403:
            raise self._forbidden(answer)

    def latest_dag_version(self, dag_id: str) -> str | None:
        """See `Airflow`. Airflow 2 knows no such versions."""
        answer, details = self._details(dag_id)
        version = optional(answer, details, "latest_dag_version", dict) or {}
        return cast("str | None", optional(answer, version, "bundle_version", str))

    def _details(self, dag_id: str) -> tuple[Response, dict[str, Any]]:
        answer = self._send("GET", f"/dags/{segment(dag_id)}/details")
        if answer.status == 404:
            raise dag_not_found(dag_id, answer)
        return answer, require_object(answer, 200, {})

    def unpause(self, dag_id: str) -> None:
        """See `Airflow`."""
        answer = self._send(
            "PATCH", f"/dags/{segment(dag_id)}?update_mask=is_paused", {"is_paused": False}
        )
        if answer.status == 404:
            raise dag_not_found(dag_id, answer)
        if require_object(answer, 200, {"is_paused": bool})["is_paused"]:
            raise answer.unexpected("the DAG is still paused.")

    def trigger(self, request: RunRequest) -> DagRun:
        """See `Airflow`."""
        answer = self._send("POST", f"/dags/{segment(request.dag_id)}/dagRuns", self._body(request))
        if answer.status == 409:
            raise Conflict("The run id or the logical date is taken", answer.detail, "")
        if answer.status == 404:
            raise dag_not_found(request.dag_id, answer)
        if answer.status in (400, 422) and answer.body is not None:
            raise InvalidConf(
                "Airflow refused the DAG run's parameters",
                answer.detail,
                "Correct conf (or the dates and the partition key) in this step; the DAG's "
                "params say what is allowed.",
            )
        return self._run(answer, request.dag_id, request.run_id)

    def get_run(self, dag_id: str, run_id: str) -> DagRun | None:
        """See `Airflow`."""
        answer = self._send("GET", f"/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}")
        return self._run_or_none(answer, dag_id, run_id)

    def clear(self, dag_id: str, run_id: str, tasks: TasksToClear) -> None:
        """See `Airflow`."""
        path, body = self._clearing(run_id, tasks)
        answer = self._send("POST", f"/dags/{segment(dag_id)}/{path}", {"dry_run": False, **body})
        if answer.status == 404 and _is_airflows(answer):
            raise RunNotFound(
                "The DAG run cannot be cleared",
                f"{answer.source}: {answer.detail}",
                "Somebody may have deleted the run or the DAG at this moment: re-run this job.",
            )
        require_object(
            answer,
            200,
            {"dag_run_id": str} if path.endswith("/clear") else {"task_instances": list},
        )

    def _send(self, method: str, path: str, body: Any = None) -> Response:
        answer = self._transport.send(method, f"{self.api}{path}", body=body)
        if answer.status == 403:
            raise self._forbidden(answer)
        return answer

    def _forbidden(self, answer: Response) -> Exception:
        return forbidden(answer)

    def _run_or_none(self, answer: Response, dag_id: str, run_id: str) -> DagRun | None:
        if answer.status == 404 and self._says_no_run(answer):
            return None
        return self._run(answer, dag_id, run_id)

    def _run(self, answer: Response, dag_id: str, run_id: str) -> DagRun:
        """Read a DAG run, and make sure that it is this one: an answer about another run proves
        nothing.
        """
        body = require_object(answer, 200, {"dag_id": str, "dag_run_id": str, "state": str})
        if (body["dag_id"], body["dag_run_id"]) != (dag_id, run_id) or body[
            "state"
        ] not in get_args(RunState):
            raise answer.unexpected(
                "it is about another run, or in a state that Airflow does not have."
            )
        return self._run_in(answer, body)

    def _run_in(self, answer: Response, body: dict[str, Any]) -> DagRun:
        """Read a DAG run whose identity and state were looked at."""
        return DagRun(
            dag_id=body["dag_id"],
            run_id=body["dag_run_id"],
            state=cast("RunState", body["state"]),
            conf=optional(answer, body, "conf", dict) or {},
            logical_date=parse_datetime(answer, body.get("logical_date")),
            start_date=parse_datetime(answer, body.get("start_date")),
            end_date=parse_datetime(answer, body.get("end_date")),
            bundle_version=optional(answer, body, "bundle_version", str),
            note=optional(answer, body, "note", str),
            run_after=parse_datetime(answer, body.get("run_after")),
            data_interval_start=parse_datetime(answer, body.get("data_interval_start")),
            data_interval_end=parse_datetime(answer, body.get("data_interval_end")),
            partition_key=optional(answer, body, "partition_key", str),
            unknown_fields=tuple(name for name in _VERSIONED_FIELDS if name not in body),
        )


def require_note(answer: Response, run: DagRun | None, note: str) -> None:
    """Raise UnexpectedResponse unless the run has this note now, or is gone, or this Airflow does
    not show notes.
    """
    if run is not None and "note" not in run.unknown_fields and (run.note or "") != note:
        raise answer.unexpected("the note is another one.")


def _is_airflows(answer: Response) -> bool:
    """Whether an answer that something is not there is Airflow's own, and no gateway's."""
    return isinstance(answer.body, dict) and "detail" in answer.body


def dag_not_found(dag_id: str, answer: Response) -> Exception:
    """Return the error for a 404 about a DAG: that there is none, or that this is not Airflow's own
    404.
    """
    if not _is_airflows(answer):
        return answer.unexpected("Airflow's own 404 looks different.")
    return DagNotFound(
        "Airflow has no such DAG",
        f"dag_id {dag_id!r}: {answer.detail}",
        "Check dag_id and that the DAG is deployed to this Airflow. A DAG whose file fails "
        "to import cannot be run either: "
        "Airflow's home page shows import errors at its top.",
    )


def not_supported(name: str, version: str, since: str) -> NotSupported:
    """Return the error for an input that this Airflow cannot honour."""
    return NotSupported(
        f"This Airflow does not know {name}",
        f"Airflow {version} answers here; {name} needs {since}.",
        f"Remove {name} from this step, or upgrade Airflow.",
    )
