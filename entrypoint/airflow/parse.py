"""Parse the JSON of both APIs into models.

A missing or malformed field raises UnexpectedResponse, because it must never produce a success.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from entrypoint.airflow.responses import optional, parse_datetime, require_object
from entrypoint.models import Dag, DagRun, RunState, TaskInstance

if TYPE_CHECKING:
    from entrypoint.http.response import Response

_VERSIONED_FIELDS = (
    "data_interval_start",
    "data_interval_end",
    "run_after",
    "partition_key",
    "note",
)
"""Fields of a DAG run that some Airflow versions do not return."""


_LOOP_GATE = "LoopGateOperator"
"""The operator of the task that Airflow adds to each loop
(docs/notes/airflow-versions.md#loops).
"""


_DECISION = re.compile("ShortCircuit|Branch|LatestOnly")
"""In the names of the operators that decide which tasks after them run, and of decorated ones."""
_MARKER = re.compile("(?:Empty|Dummy)Operator$")


def parse_dag(response: Response, body: dict[str, Any], *, is_active: bool) -> Dag:
    """Parse a DAG. The field that tells whether it is active differs between the APIs."""
    run_types = optional(response, body, "allowed_run_types", list)
    return Dag(
        dag_id=body["dag_id"],
        is_paused=body["is_paused"],
        is_active=is_active,
        has_import_errors=bool(body.get("has_import_errors")),
        file=str(body.get("relative_fileloc") or body.get("fileloc") or ""),
        max_active_runs=optional(response, body, "max_active_runs", int),
        bundle=optional(response, body, "bundle_name", str) or "",
        bundle_version=optional(response, body, "bundle_version", str),
        last_parsed=parse_datetime(response, body.get("last_parsed_time")),
        file_token=optional(response, body, "file_token", str) or "",
        fileloc=str(body.get("fileloc") or ""),
        is_draining=body.get("scheduling_state") == "draining",
        allows_manual_runs=run_types is None or "manual" in run_types,
    )


def require_run(response: Response, dag_id: str, run_id: str) -> DagRun:
    """Parse a DAG run, and check that it is the requested one.

    A response about another run proves nothing.

    Raises:
        UnexpectedResponse: it is another run, or in a state that Airflow does not have.
    """
    body = require_object(response, 200, {"dag_id": str, "dag_run_id": str, "state": str})
    is_requested = (body["dag_id"], body["dag_run_id"]) == (dag_id, run_id)
    if not is_requested or body["state"] not in get_args(RunState):
        raise response.unexpected(
            "it is about another run, or in a state that Airflow does not have."
        )
    return parse_run(response, body)


def parse_run(response: Response, body: dict[str, Any]) -> DagRun:
    """Parse a DAG run whose identity and state are already checked."""
    return DagRun(
        dag_id=body["dag_id"],
        run_id=body["dag_run_id"],
        state=cast("RunState", body["state"]),
        conf=optional(response, body, "conf", dict) or {},
        # Before 2.2 only by its old name (docs/notes/airflow-versions.md#what-differs-by-version).
        logical_date=parse_datetime(response, body.get("logical_date", body.get("execution_date"))),
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


def parse_task_instance(response: Response, item: Any) -> TaskInstance:
    """Parse a task instance, without the URL of its page.

    Raises:
        UnexpectedResponse: it has no task id, or a field of another type.
    """
    if not isinstance(item, dict) or not isinstance(item.get("task_id"), str):
        raise response.unexpected("a task instance has no task_id.")
    map_index, region_index = (
        optional(response, item, key, int) for key in ("map_index", "region_index")
    )
    loop = optional(response, item, "loop_iteration", dict) or {}
    loop_id = optional(response, loop, "loop_id", str) or ""
    return TaskInstance(
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
        id=optional(response, item, "id", str) or "",
        region_id=optional(response, item, "region_id", str) or "",
        region_index=-1 if region_index is None else region_index,
        iteration=optional(response, loop, "iteration", int),
        state_reason=optional(response, item, "state_reason", str),
        loop_id=loop_id,
        is_loop_gate=bool(loop_id) and item.get("operator") == _LOOP_GATE,
        control=_control(str(item.get("operator") or "")),
    )


def _control(operator: str) -> Literal["", "decision", "marker"]:
    if _DECISION.search(operator):
        return "decision"
    return "marker" if _MARKER.match(operator) else ""
