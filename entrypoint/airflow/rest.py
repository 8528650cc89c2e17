"""Implement the requests that both APIs share, and parse their JSON into models.

A missing or malformed field raises UnexpectedResponse, because it must never produce a success.
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
"""Fields of a DAG run that some Airflow versions do not return."""


def segment(text: str) -> str:
    """Quote a path segment or query value, `+` and `:` in run ids included."""
    return quote(text, safe="", errors="backslashreplace")


class RestAirflow:
    """The part of the `Airflow` protocol that is the same in both APIs."""

    api: ClassVar[str]

    def __init__(self, transport: Transport, version: str) -> None:
        self._transport = transport
        self.base_url = transport.base_url
        self.version = version
        self._release = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())

    # Subclasses define these for their API.

    def check(self, request: RunRequest) -> None:
        """See `Airflow`."""
        raise NotImplementedError

    def _trigger_body(self, request: RunRequest) -> dict[str, Any]:
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

    def _clear_request(self, run_id: str, tasks: TasksToClear) -> tuple[str, dict[str, Any]]:
        """Return path (below the DAG) and body of the clear request.

        Without `dry_run: false`, which `clear` adds, both APIs only list the task instances.
        """
        raise NotImplementedError

    def _is_run_not_found(self, response: Response) -> bool:
        raise NotImplementedError

    def _is_active(self, dag: dict[str, Any]) -> bool:
        raise NotImplementedError

    def stream_states(  # Airflow 2 has no such endpoint
        self,
        run: DagRun,  # noqa: ARG002
        interval: float,  # noqa: ARG002
        consume: Callable[[RunState], bool],  # noqa: ARG002
        max_silence: float,  # noqa: ARG002
        max_seconds: float,  # noqa: ARG002
    ) -> None:
        """See `Airflow`."""
        raise NotSupported(
            "This Airflow cannot stream a run's state",
            f"This is Airflow {self.version}; the stream needs 3.1.",
            "",
        )

    # Both APIs share the rest.

    def get_dag(self, dag_id: str) -> Dag:
        """See `Airflow`."""
        response = self._send("GET", f"/dags/{segment(dag_id)}")
        if response.status == 404:
            raise dag_not_found(dag_id, response)
        body = require_object(response, 200, {"dag_id": str, "is_paused": bool})
        return Dag(
            dag_id=body["dag_id"],
            is_paused=body["is_paused"],
            is_active=self._is_active(body),
            has_import_errors=bool(body.get("has_import_errors")),
            file=str(body.get("relative_fileloc") or body.get("fileloc") or ""),
            max_active_runs=optional(response, body, "max_active_runs", int),
            bundle=optional(response, body, "bundle_name", str) or "",
            bundle_version=optional(response, body, "bundle_version", str),
            last_parsed=parse_datetime(response, body.get("last_parsed_time")),
            file_token=optional(response, body, "file_token", str) or "",
        )

    def request_reparse(self, dag: Dag) -> None:
        """See `Airflow`. Only a refusal raises an error here.

        An Airflow without this endpoint responds with 404, and with 409 if a parse is already
        requested (measured on 3.3.2). Both are ignored.
        """
        response = self._transport.put(f"{self.api}/parseDagFile/{segment(dag.file_token)}")
        if response.status == 403:
            raise self._forbidden(response)

    def latest_dag_version(self, dag_id: str) -> str | None:
        """See `Airflow`. Airflow 2 has no DAG versions."""
        response, details = self._details(dag_id)
        version = optional(response, details, "latest_dag_version", dict) or {}
        return cast("str | None", optional(response, version, "bundle_version", str))

    def _details(self, dag_id: str) -> tuple[Response, dict[str, Any]]:
        response = self._send("GET", f"/dags/{segment(dag_id)}/details")
        if response.status == 404:
            raise dag_not_found(dag_id, response)
        return response, require_object(response, 200, {})

    def unpause(self, dag_id: str) -> None:
        """See `Airflow`."""
        response = self._send(
            "PATCH", f"/dags/{segment(dag_id)}?update_mask=is_paused", {"is_paused": False}
        )
        if response.status == 404:
            raise dag_not_found(dag_id, response)
        if require_object(response, 200, {"is_paused": bool})["is_paused"]:
            raise response.unexpected("the DAG is still paused.")

    def trigger(self, request: RunRequest) -> DagRun:
        """See `Airflow`."""
        response = self._send(
            "POST", f"/dags/{segment(request.dag_id)}/dagRuns", self._trigger_body(request)
        )
        if response.status == 409:
            raise Conflict("The run id or the logical date is taken", response.detail, "")
        if response.status == 404:
            raise dag_not_found(request.dag_id, response)
        if response.status in (400, 422) and response.body is not None:
            raise InvalidConf(
                "Airflow refused the DAG run's parameters",
                response.detail,
                "Correct conf (or the dates and the partition key) in this step; the DAG's "
                "params define what is allowed.",
            )
        return self._require_run(response, request.dag_id, request.run_id)

    def get_run(self, dag_id: str, run_id: str) -> DagRun | None:
        """See `Airflow`."""
        response = self._send("GET", f"/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}")
        return self._run_or_none(response, dag_id, run_id)

    def clear(self, dag_id: str, run_id: str, tasks: TasksToClear) -> None:
        """See `Airflow`."""
        path, body = self._clear_request(run_id, tasks)
        response = self._send("POST", f"/dags/{segment(dag_id)}/{path}", {"dry_run": False, **body})
        if response.status == 404 and _has_detail(response):
            raise RunNotFound(
                "The DAG run cannot be cleared",
                f"{response.source}: {response.detail}",
                "Re-run this job: the run or the DAG may have been deleted a moment ago.",
            )
        require_object(
            response,
            200,
            {"dag_run_id": str} if path.endswith("/clear") else {"task_instances": list},
        )

    def _send(self, method: str, path: str, body: Any = None) -> Response:
        response = self._transport.send(method, f"{self.api}{path}", body=body)
        if response.status == 403:
            raise self._forbidden(response)
        return response

    def _forbidden(self, response: Response) -> Exception:
        return forbidden(response)

    def _run_or_none(self, response: Response, dag_id: str, run_id: str) -> DagRun | None:
        if response.status == 404 and self._is_run_not_found(response):
            return None
        return self._require_run(response, dag_id, run_id)

    def _require_run(self, response: Response, dag_id: str, run_id: str) -> DagRun:
        """Parse a DAG run, and check that it is the requested one.

        A response about another run proves nothing.
        """
        body = require_object(response, 200, {"dag_id": str, "dag_run_id": str, "state": str})
        if (body["dag_id"], body["dag_run_id"]) != (dag_id, run_id) or body[
            "state"
        ] not in get_args(RunState):
            raise response.unexpected(
                "it is about another run, or in a state that Airflow does not have."
            )
        return self._parse_run(response, body)

    def _parse_run(self, response: Response, body: dict[str, Any]) -> DagRun:
        """Parse a DAG run whose identity and state are already checked."""
        return DagRun(
            dag_id=body["dag_id"],
            run_id=body["dag_run_id"],
            state=cast("RunState", body["state"]),
            conf=optional(response, body, "conf", dict) or {},
            logical_date=parse_datetime(response, body.get("logical_date")),
            start_date=parse_datetime(response, body.get("start_date")),
            end_date=parse_datetime(response, body.get("end_date")),
            bundle_version=optional(response, body, "bundle_version", str),
            note=optional(response, body, "note", str),
            run_after=parse_datetime(response, body.get("run_after")),
            data_interval_start=parse_datetime(response, body.get("data_interval_start")),
            data_interval_end=parse_datetime(response, body.get("data_interval_end")),
            partition_key=optional(response, body, "partition_key", str),
            unknown_fields=tuple(name for name in _VERSIONED_FIELDS if name not in body),
        )


def require_note(response: Response, run: DagRun | None, note: str) -> None:
    """Check that the run has this note, unless it is gone or this Airflow returns no notes.

    Raises:
        UnexpectedResponse: the run has another note.
    """
    if run is not None and "note" not in run.unknown_fields and (run.note or "") != note:
        raise response.unexpected("the run has another note.")


def _has_detail(response: Response) -> bool:
    """Return whether a 404 comes from Airflow itself, and not from a gateway."""
    return isinstance(response.body, dict) and "detail" in response.body


def dag_not_found(dag_id: str, response: Response) -> Exception:
    """Return the error for a 404 about a DAG.

    It is DagNotFound only if Airflow itself sent the 404.
    """
    if not _has_detail(response):
        return response.unexpected("Airflow's own 404 looks different.")
    return DagNotFound(
        "Airflow has no such DAG",
        f"dag_id {dag_id!r}: {response.detail}",
        "Check dag_id and that the DAG is deployed to this Airflow. A DAG whose file fails to "
        "import cannot run either: Airflow's home page shows import errors at its top.",
    )


def not_supported(name: str, version: str, since: str) -> NotSupported:
    """Return the error for an input that this Airflow version does not support."""
    return NotSupported(
        f"This Airflow does not know {name}",
        f"This is Airflow {version}; {name} needs {since}.",
        f"Remove {name} from this step, or upgrade Airflow.",
    )
