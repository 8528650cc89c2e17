"""What Airflow 3.3.2's answers look like: the nouns of `world.py` as the JSON of /api/v2."""

from __future__ import annotations

import uuid
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.support.fake_airflow.nouns import FakeDag, FakeRun, FakeTaskInstance
    from tests.support.fake_airflow.world import World

PARSED = "2026-11-20T09:52:17.555773Z"
BEAT = "2026-11-20T09:52:17.555773+00:00"


def stamp(moment: datetime | None) -> str | None:
    """A date as pydantic writes it."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def dag(world: World, dag: FakeDag) -> dict[str, Any]:
    """GET /dags/{id}."""
    return {
        "dag_id": dag.dag_id,
        "dag_display_name": dag.dag_id,
        "is_paused": world.paused[dag.dag_id],
        "is_stale": bool(dag.broken),
        "last_parsed_time": PARSED,
        "last_parse_duration": 0.1,
        "last_expired": None,
        "bundle_name": "dags-folder",
        "bundle_version": world.bundle_version(dag),
        "relative_fileloc": f"{dag.dag_id}.py",
        "fileloc": f"/opt/airflow/dags/{dag.dag_id}.py",
        "description": None,
        "timetable_summary": None,
        "timetable_description": "Never, external triggers only",
        "timetable_partitioned": False,
        "timetable_periodic": False,
        "tags": [],
        "max_active_tasks": 16,
        "max_active_runs": 16,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": False,
        "has_import_errors": bool(dag.broken),
        "next_dagrun_logical_date": None,
        "next_dagrun_data_interval_start": None,
        "next_dagrun_data_interval_end": None,
        "next_dagrun_run_after": None,
        "allowed_run_types": None,
        "owners": ["airflow"],
        "is_backfillable": False,
        "file_token": "bm9uZQ",
    }


def details(world: World, dag_: FakeDag) -> dict[str, Any]:
    """GET /dags/{id}/details."""
    params = {
        name: {"value": schema.get("default"), "schema": _without_default(schema), "description": None, "source": None}
        for name, schema in dag_.params_schema.items()
    }
    nothing = [
        *("dag_run_timeout", "asset_expression", "doc_md", "start_date", "end_date", "is_paused_upon_creation"),
        *("template_search_path", "rerun_with_latest_version"),
    ]
    return (
        dag(world, dag_)
        | dict.fromkeys(nothing)
        | {
            "catchup": False,
            "params": params,
            "render_template_as_native_obj": False,
            "timezone": "UTC",
            "last_parsed": PARSED,
            "default_args": {},
            "owner_links": {},
            "is_favorite": False,
            "active_runs_count": sum(run.state in {"queued", "running"} for run in world.runs_of(dag_.dag_id)),
            "concurrency": 16,
            "latest_dag_version": version(dag_.dag_id, world.bundle_version(dag_)),
        }
    )


def version(dag_id: str, bundle_version: str | None) -> dict[str, Any]:
    """A DAG version, as DAGs, runs and task instances carry it."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, dag_id)),
        "version_number": 1,
        "dag_id": dag_id,
        "bundle_name": "dags-folder",
        "bundle_version": bundle_version,
        "created_at": PARSED,
        "dag_display_name": dag_id,
        "bundle_url": None,
    }


def _without_default(schema: Any) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "default"}


def run(run: FakeRun) -> dict[str, Any]:
    """GET /dags/{id}/dagRuns/{id}."""
    return {
        "dag_run_id": run.run_id,
        "dag_id": run.dag_id,
        "logical_date": stamp(run.logical_date),
        "queued_at": stamp(run.queued_at),
        "start_date": stamp(run.start_date),
        "end_date": stamp(run.end_date),
        "duration": run.duration,
        "data_interval_start": stamp(run.data_interval_start),
        "data_interval_end": stamp(run.data_interval_end),
        "run_after": stamp(run.run_after),
        "last_scheduling_decision": stamp(run.start_date),
        "run_type": "manual",
        "state": run.state,
        "triggered_by": "rest_api",
        "triggering_user_name": run.user,
        "conf": run.conf,
        "note": run.note,
        "dag_versions": [version(run.dag_id, run.bundle_version)],
        "bundle_version": run.bundle_version,
        "dag_display_name": run.dag_id,
        "partition_key": run.partition_key,
        "partition_date": None,
    }


def instance(run: FakeRun, instance: FakeTaskInstance) -> dict[str, Any]:
    """One row of GET .../taskInstances."""
    ran = instance.try_number > 0
    duration = None
    if instance.start_date and instance.end_date:
        duration = (instance.end_date - instance.start_date).total_seconds()
    return {
        "id": instance.id,
        "task_id": instance.task.task_id,
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "map_index": instance.task.map_index,
        "logical_date": stamp(run.logical_date),
        "run_after": stamp(run.run_after),
        "start_date": stamp(instance.start_date),
        "end_date": stamp(instance.end_date),
        "duration": duration,
        "state": instance.state,
        "try_number": instance.try_number,
        "max_tries": instance.max_tries,
        "task_display_name": instance.task.task_id,
        "dag_display_name": run.dag_id,
        "hostname": "vm" if ran else "",
        "unixname": "root",
        "pool": "default_pool",
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
        "operator": "PythonOperator",
        "operator_name": "PythonOperator",
        "queued_when": stamp(run.queued_at) if ran else None,
        "scheduled_when": stamp(run.queued_at) if ran else None,
        "pid": 4711 if ran else None,
        "executor": None,
        "executor_config": "{}",
        "note": None,
        "rendered_map_index": None,
        "rendered_fields": {"templates_dict": None, "op_args": [], "op_kwargs": {}} if ran else {},
        "trigger": None,
        "triggerer_job": None,
        "dag_version": version(run.dag_id, run.bundle_version),
    }


def log_lines(instance: FakeTaskInstance, try_number: int) -> Iterator[dict[str, Any]]:
    """The structured entries of one try's log (airflow-3.md 8)."""
    yield {"event": "::group::Log message source details"}
    yield {"event": f"/opt/airflow/logs/attempt={try_number}.log"}
    yield {"event": "::endgroup::"}
    yield _entry("::group::Pre Execute", "task", 2412)
    yield _entry("::endgroup::", "task", 2232)
    for line in instance.task.log:
        yield _entry(line, "task.stdout", None)
    if (try_number, "failed") in instance.outcomes:
        exc_type, exc_value = instance.task.error
        detail = {
            "exc_type": exc_type,
            "exc_value": exc_value,
            "exc_notes": [],
            "syntax_error": None,
            "is_cause": False,
            "frames": [{"filename": "/opt/airflow/dags/dag.py", "lineno": 16, "name": instance.task.task_id}],
            "is_group": False,
            "exceptions": [],
        }
        yield _entry("Task failed with exception", "task", 1676) | {"level": "error", "error_detail": [detail]}
    yield _entry("::group::Post Execute", "task", 1677)
    yield _entry("::endgroup::", "task", 2379)


def _entry(event: str, logger: str, lineno: int | None) -> dict[str, Any]:
    where = {"filename": "task_runner.py", "lineno": lineno} if lineno else {}
    return {"timestamp": PARSED, "event": event, "level": "info", "logger": logger} | where


def import_error(dag: FakeDag) -> dict[str, Any]:
    """One row of GET /importErrors."""
    return {
        "import_error_id": zlib.crc32(dag.dag_id.encode()),
        "timestamp": PARSED,
        "filename": f"{dag.dag_id}.py",
        "bundle_name": "dags-folder",
        "stack_trace": dag.broken,
    }


def xcom(run: FakeRun, instance: FakeTaskInstance, key: str) -> dict[str, Any]:
    """One row of GET .../xcomEntries; the entry itself has a value besides."""
    return {
        "key": key,
        "timestamp": stamp(instance.end_date),
        "logical_date": stamp(run.logical_date),
        "map_index": instance.task.map_index,
        "task_id": instance.task.task_id,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "dag_display_name": run.dag_id,
        "task_display_name": instance.task.task_id,
        "run_after": stamp(run.run_after),
    }
