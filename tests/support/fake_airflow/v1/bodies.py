"""JSON bodies of Airflow 2.11.2's responses, made from the objects of `database.py`."""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.bodies import token_of

if TYPE_CHECKING:
    from datetime import datetime

    from tests.support.fake_airflow.database import Database
    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance

PARSED = "2026-11-20T09:52:17.555773+00:00"
DAGS = "/opt/airflow/dags"


def stamp(moment: datetime | None) -> str | None:
    """Format a date as Airflow 2 does."""
    return moment.isoformat() if moment else None


def dag(database: Database, dag: FakeDag) -> dict[str, Any]:
    """GET /dags/{id}."""
    return {
        "dag_display_name": dag.dag_id,
        "dag_id": dag.dag_id,
        "default_view": "grid",
        "description": None,
        "file_token": token_of(dag.relative_file),
        "fileloc": f"{DAGS}/{dag.relative_file}",
        "has_import_errors": bool(dag.broken),
        "has_task_concurrency_limits": False,
        "is_active": not dag.is_stale,
        "is_paused": database.paused[dag.dag_id],
        "is_subdag": False,
        "last_expired": None,
        "last_parsed_time": stamp(database.parsed_at(dag.dag_id)),
        "last_pickled": None,
        "max_active_runs": dag.max_active_runs,
        "max_active_tasks": dag.max_active_tasks,
        "max_consecutive_failed_dag_runs": 0,
        "next_dagrun": None,
        "next_dagrun_create_after": None,
        "next_dagrun_data_interval_end": None,
        "next_dagrun_data_interval_start": None,
        "owners": ["airflow"],
        "pickle_id": None,
        "root_dag_id": None,
        "schedule_interval": None,
        "scheduler_lock": None,
        "tags": [{"name": name} for name in dag.tags],
        "timetable_description": "Never, external triggers only",
    }


def details(database: Database, dag_: FakeDag) -> dict[str, Any]:
    """GET /dags/{id}/details."""
    params = {}
    for name, schema in dag_.params_schema.items():
        rules = {key: rule for key, rule in schema.items() if key not in {"default", "description"}}
        shape = {
            "__class": "airflow.models.param.Param",
            "description": schema.get("description"),
            "schema": rules,
        }
        params[name] = shape | {"value": schema.get("default")}
    nothing = ("dataset_expression", "doc_md", "end_date", "is_paused_upon_creation")
    rest: dict[str, Any] = {
        "catchup": False,
        "concurrency": dag_.max_active_tasks,
        "last_parsed": stamp(database.parsed_at(dag_.dag_id)),
        "orientation": "LR",
    }
    rest |= {
        "render_template_as_native_obj": False,
        "template_searchpath": None,
        "timezone": "UTC",
        "params": params,
    }
    return (
        dag(database, dag_)
        | dict.fromkeys(nothing)
        | rest
        | {"dag_run_timeout": _delta(dag_.dag_run_timeout), "start_date": dag_.start_date}
    )


def _delta(seconds: float | None) -> dict[str, Any] | None:
    if seconds is None:
        return None
    whole = timedelta(seconds=seconds)
    return {
        "__type": "TimeDelta",
        "days": whole.days,
        "microseconds": whole.microseconds,
        "seconds": whole.seconds,
    }


def run(run: FakeRun) -> dict[str, Any]:
    """GET /dags/{id}/dagRuns/{id}."""
    return {
        "conf": run.conf,
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "data_interval_end": stamp(run.data_interval_end),
        "data_interval_start": stamp(run.data_interval_start),
        "end_date": stamp(run.end_date),
        "execution_date": stamp(run.logical_date),
        "external_trigger": True,
        "last_scheduling_decision": stamp(run.start_date),
        "logical_date": stamp(run.logical_date),
        "note": run.note,
        "run_type": "manual",
        "start_date": stamp(run.start_date),
        "state": run.state,
    }


def instance(run: FakeRun, instance: FakeTaskInstance) -> dict[str, Any]:
    """One row of GET .../taskInstances."""
    ran = instance.started > 0
    return {
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "duration": instance.duration,
        "end_date": stamp(instance.end_date),
        "execution_date": stamp(run.logical_date),
        "executor": None,
        "executor_config": "{}",
        "hostname": "vm" if ran else "",
        "map_index": instance.task.map_index,
        "max_tries": instance.max_tries,
        "note": None,
        "operator": instance.task.operator,
        "pid": 4711 if ran else None,
        "pool": instance.task.pool,
        "pool_slots": instance.task.pool_slots,
        "priority_weight": 1,
        "queue": "default",
        "queued_when": stamp(instance.queued_at),
        "rendered_fields": {"templates_dict": None, "op_args": [], "op_kwargs": {}} if ran else {},
        "rendered_map_index": None,
        "sla_miss": None,
        "start_date": stamp(instance.start_date),
        "state": instance.state,
        "task_display_name": instance.task.task_id,
        "task_id": instance.task.task_id,
        "trigger": None,
        "triggerer_job": None,
        "try_number": instance.try_number,
        "unixname": "root",
    }


def reference(run: FakeRun, instance: FakeTaskInstance) -> dict[str, Any]:
    """Return one row of a clear's list."""
    names = {"dag_id": run.dag_id, "dag_run_id": run.run_id, "task_id": instance.task.task_id}
    return names | {"execution_date": stamp(run.logical_date)}


def import_error(file: str, trace: str) -> dict[str, Any]:
    """One row of GET /importErrors."""
    return {
        "filename": f"{DAGS}/{file}",
        "import_error_id": zlib.crc32(file.encode()),
        "stack_trace": trace,
        "timestamp": PARSED,
    }


def xcom(run: FakeRun, instance: FakeTaskInstance, key: str) -> dict[str, Any]:
    """Return one row of GET .../xcomEntries, without the value."""
    return {
        "dag_id": run.dag_id,
        "execution_date": stamp(run.logical_date),
        "key": key,
        "map_index": instance.task.map_index,
        "task_id": instance.task.task_id,
        "timestamp": stamp(instance.end_date),
    }
