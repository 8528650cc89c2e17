"""Airflow 3.3.2's checks before it creates a DAG run.

Measured: docs/notes/airflow-3.md#trigger-request.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.messages import RefusedError, as_json
from tests.support.fake_airflow.params import param_error
from tests.support.fake_airflow.runs import FakeRun

if TYPE_CHECKING:
    from tests.support.fake_airflow.models import FakeDag

DATES = ("logical_date", "data_interval_start", "data_interval_end", "run_after")
KEYS = {*DATES, "dag_run_id", "conf", "note", "partition_key"}
RESERVED = ("scheduled__", "backfill__", "asset_triggered__")
NO_OBJECT = "Input should be a valid dictionary or object to extract fields from"
EXTRA = "Extra inputs are not permitted"
PATTERN = "^[A-Za-z0-9_.~:+-]+$"
GENERATED = (
    r"^(?:manual|scheduled|asset_triggered)__(?:\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+00:00)$"
)


def problems(body: Any, *, knows_versions: bool = False) -> list[dict[str, Any]]:
    """Return pydantic's errors for a body, as in a 422 response.

    From 3.4 on a trigger knows bundle versions.
    """
    if body is None:
        return [problem("missing", "Field required", None)]
    if not isinstance(body, dict):
        return [problem("model_attributes_type", NO_OBJECT, body)]
    found = []
    if "logical_date" not in body:
        found.append(problem("missing", "Field required", body, "logical_date"))
    for name in DATES:
        found += _date_problems(name, body.get(name))
    for name in ("dag_run_id", "note", "partition_key"):
        if not isinstance(body.get(name), str | None):
            found.append(problem("string_type", "Input should be a valid string", body[name], name))
    if not isinstance(body.get("conf"), dict | None):
        found.append(
            problem("dict_type", "Input should be a valid dictionary", body["conf"], "conf")
        )
    known = KEYS | {"bundle_version"} if knows_versions else KEYS
    extra = [name for name in body if name not in known]
    found += [problem("extra_forbidden", EXTRA, body[name], name) for name in extra]
    if not found and (body.get("data_interval_start") is None) != (
        body.get("data_interval_end") is None
    ):
        text = (
            "Value error, Either both data_interval_start and data_interval_end must be "
            "provided or both must be None"
        )
        found.append(problem("value_error", text, body))
    return found


def run_from(dag: FakeDag, body: dict[str, Any], user: str, now: datetime) -> FakeRun:
    """Return the run for a valid body; refuse 400 what Airflow itself refuses."""
    dates = {name: datetime.fromisoformat(body[name]) if body.get(name) else None for name in DATES}
    run_id = (
        body.get("dag_run_id")
        or f"manual__{(dates['logical_date'] or dates['run_after'] or now).isoformat()}"
    )
    conf = body.get("conf") or {}
    if text := _refusal(dag, run_id, conf, body.get("partition_key")):
        raise RefusedError(as_json(400, {"detail": text}))
    logical_date = dates["logical_date"]
    run = FakeRun(
        dag.dag_id,
        run_id,
        conf,
        body.get("note"),
        logical_date,
        run_after=dates["run_after"],
        user=user,
    )
    if logical_date is not None:
        run.data_interval_start = dates["data_interval_start"] or logical_date
        run.data_interval_end = dates["data_interval_end"] or logical_date
    return run


def _refusal(
    dag: FakeDag, run_id: str, conf: dict[str, Any], partition_key: str | None
) -> str | None:
    if not dag.manual_runs:
        return f"Dag with dag_id: '{dag.dag_id}' does not allow manual runs"
    if partition_key is not None:
        return f"Dag '{dag.dag_id}' is not a partitioned Dag and does not accept a partition_key."
    if run_id.startswith(RESERVED):
        return (
            f"A manual DAG run cannot use ID '{run_id}' since it is reserved for "
            f"{run_id.partition('__')[0]} runs"
        )
    if ".." in run_id:
        return f"The run_id '{run_id}' must not contain '..' to prevent path traversal"
    if not re.match(PATTERN, run_id):
        return (
            f"The run_id provided '{run_id}' does not match regex pattern '{PATTERN}' or "
            f"'{GENERATED}'"
        )
    return param_error(dag, conf, "No value passed")


def _date_problems(name: str, value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        text = "Input should be a valid datetime or date, input is too short"
        return [problem("datetime_from_date_parsing", text, value, name)]
    if moment.tzinfo is None:
        return [problem("timezone_aware", "Input should have timezone info", value, name)]
    return []


def problem(kind: str, text: str, value: Any, *where: str) -> dict[str, Any]:
    """Return one of pydantic's errors for the body."""
    return {"type": kind, "loc": ["body", *where], "msg": text, "input": value}
