"""Airflow 2.11.2's checks before it creates a DAG run.

Measured: docs/notes/airflow-2.md#trigger-request.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.params import param_error
from tests.support.fake_airflow.runs import FakeRun

if TYPE_CHECKING:
    from tests.support.fake_airflow.models import FakeDag

DATES = ("logical_date", "execution_date", "data_interval_start", "data_interval_end")
READ_ONLY = (
    "state",
    "start_date",
    "end_date",
    "dag_id",
    "external_trigger",
    "last_scheduling_decision",
    "run_type",
)
KEYS = {*DATES, "dag_run_id", "conf", "note"}
RESERVED = ("scheduled__", "backfill__", "dataset_triggered__")
NOTE_LIMIT = 1000  # characters
PATTERN = r"^[A-Za-z0-9_.~:+-]+$"


class BadRequestError(Exception):
    """A 400 with this title and detail."""

    def __init__(self, detail: str, title: str = "Bad Request") -> None:
        super().__init__(detail)
        self.detail, self.title = detail, title


class UncaughtError(Exception):
    """Airflow's own bug: a 500 page for a client's error."""


def check_types(body: dict[str, Any]) -> None:
    """Check what the OpenAPI layer checks, before it checks the credential and the DAG."""
    for name in READ_ONLY:
        if name in body:
            raise BadRequestError(f"Property is read-only - '{name}'")
    if not isinstance(body.get("conf", {}), dict):
        raise BadRequestError(f"{body['conf']!r} is not of type 'object' - 'conf'")
    for name in (*DATES, "dag_run_id", "note"):
        if not isinstance(body.get(name), str | None):
            raise BadRequestError(f"{body[name]!r} is not of type 'string' - '{name}'")
    for name in DATES:
        if body.get(name) is not None and _moment(body[name]) is None:
            raise BadRequestError(f"{body[name]!r} is not a 'date-time' - '{name}'")


def check_fields(body: dict[str, Any], *, has_note: bool = True) -> None:
    """Check what the schema of a DAG run checks; `detail` is a Python repr."""
    keys = KEYS if has_note else KEYS - {"note"}
    wrong = {name: ["Unknown field."] for name in body if name not in keys}
    if body.get("dag_run_id", "") is None:
        wrong["dag_run_id"] = ["Field may not be null."]
    for name, limit in (("dag_run_id", 250), ("note", NOTE_LIMIT)):
        if len(body.get(name) or "") > limit:
            wrong[name] = [f"Longer than maximum length {limit}."]
    if wrong:
        raise BadRequestError(str(wrong))
    if body.get("logical_date", "") is None:
        raise BadRequestError("'None' is not an instance of 'str'", "Incorrect datetime argument")
    if len({body[name] for name in ("logical_date", "execution_date") if name in body}) > 1:
        text = f"{body['logical_date']!r} != {body['execution_date']!r}"
        raise BadRequestError(text, "logical_date conflicts with execution_date")
    if ("data_interval_start" in body) != ("data_interval_end" in body):
        text = "Both 'data_interval_start' and 'data_interval_end' must be specified together"
        raise BadRequestError(str({"_schema": [text]}))


def run_from(dag: FakeDag, body: dict[str, Any], now: datetime) -> FakeRun:
    """Return the run for a checked body. It does not run before its logical date."""
    dates = {name: _moment(body[name]) for name in DATES if name in body}
    logical_date = dates.get("logical_date") or dates.get("execution_date") or now
    run_id = body.get("dag_run_id") or f"manual__{logical_date.isoformat()}"
    return FakeRun(
        dag.dag_id,
        run_id,
        body.get("conf", {}),
        body.get("note"),
        logical_date,
        dates.get("data_interval_start") or logical_date,
        dates.get("data_interval_end") or logical_date,
        logical_date,
    )


def check_run(dag: FakeDag, run: FakeRun, *, gives_reason: bool = True) -> None:
    """Check what Airflow checks last, after the search for duplicates.

    Before 2.9 it fails at a conf that the params refuse.
    """
    if run.run_id.startswith(RESERVED):
        kind = run.run_id.partition("__")[0]
        raise BadRequestError(
            f"A manual DAG run cannot use ID '{run.run_id}' since it is reserved for {kind} runs"
        )
    if not re.match(PATTERN, run.run_id):
        raise UncaughtError(run.run_id)
    if text := param_error(dag, run.conf, "No value passed and Param has no default value"):
        raise BadRequestError(text) if gives_reason else UncaughtError(text)


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
