"""JSON bodies of Airflow 3.3.2's responses, made from the objects of `database.py`."""

from __future__ import annotations

import uuid
import zlib
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.bodies import token_of
from tests.support.fake_airflow.runs import FINISHED

if TYPE_CHECKING:
    from datetime import datetime

    from tests.support.fake_airflow.database import Database
    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance

PARSED = "2026-11-20T09:52:17.555773Z"
DAGS = "/opt/airflow/dags"


def stamp(moment: datetime | None) -> str | None:
    """Format a date as pydantic does."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def dag(database: Database, dag: FakeDag) -> dict[str, Any]:
    """GET /dags/{id}."""
    return {
        "dag_id": dag.dag_id,
        "dag_display_name": dag.dag_id,
        "is_paused": database.paused[dag.dag_id],
        "is_stale": dag.is_stale,
        "last_parsed_time": stamp(database.parsed_at(dag.dag_id)),
        "last_parse_duration": 0.1,
        "last_expired": None,
        "bundle_name": "dags-folder",
        "bundle_version": database.bundle_version(dag),
        "relative_fileloc": dag.relative_file,
        "fileloc": f"{DAGS}/{dag.relative_file}",
        "description": None,
        "timetable_summary": None,
        "timetable_description": "Never, external triggers only",
        "timetable_partitioned": False,
        "timetable_periodic": False,
        "tags": [
            {"name": name, "dag_id": dag.dag_id, "dag_display_name": dag.dag_id}
            for name in dag.tags
        ],
        "max_active_tasks": dag.max_active_tasks,
        "max_active_runs": dag.max_active_runs,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": False,
        "has_import_errors": bool(dag.broken),
        "next_dagrun_logical_date": None,
        "next_dagrun_data_interval_start": None,
        "next_dagrun_data_interval_end": None,
        "next_dagrun_run_after": None,
        "allowed_run_types": None if dag.manual_runs else ["scheduled"],
        "owners": ["airflow"],
        "is_backfillable": False,
        "file_token": token_of(dag.relative_file),
    }


def details(database: Database, dag_: FakeDag) -> dict[str, Any]:
    """GET /dags/{id}/details."""
    params = {
        name: {
            "value": schema.get("default"),
            "schema": {
                key: value for key, value in schema.items() if key not in {"default", "description"}
            },
            "description": schema.get("description"),
            "source": None,
        }
        for name, schema in dag_.params_schema.items()
    }
    nothing = [
        *("asset_expression", "doc_md", "end_date", "is_paused_upon_creation"),
        *("template_search_path", "rerun_with_latest_version"),
    ]
    return (
        dag(database, dag_)
        | dict.fromkeys(nothing)
        | {
            "catchup": False,
            "params": params,
            "render_template_as_native_obj": False,
            "timezone": "UTC",
            "last_parsed": stamp(database.parsed_at(dag_.dag_id)),
            "default_args": {},
            "owner_links": {},
            "is_favorite": False,
            "active_runs_count": sum(
                run.state in {"queued", "running"} for run in database.runs_of(dag_.dag_id)
            ),
            "concurrency": dag_.max_active_tasks,
            "dag_run_timeout": _iso(dag_.dag_run_timeout),
            "start_date": dag_.start_date,
            "latest_dag_version": version(
                dag_.dag_id, dag_.latest_dag_version or database.bundle_version(dag_)
            ),
        }
    )


def version(dag_id: str, bundle_version: str | None) -> dict[str, Any]:
    """Return a DAG version, as part of DAGs, runs and task instances."""
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


def _iso(seconds: float | None) -> str | None:
    """Format a duration as pydantic does."""
    if seconds is None:
        return None
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    units = zip((hours, minutes, rest), "HMS", strict=True)
    time = "".join(f"{value:g}{unit}" for value, unit in units if value)
    return f"P{f'{days:g}D' if days else ''}{f'T{time}' if time else ''}"


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
    ran = instance.started > 0
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
        "duration": instance.duration,
        "state": instance.state,
        "try_number": instance.try_number,
        "max_tries": instance.max_tries,
        "task_display_name": instance.task.task_id,
        "dag_display_name": run.dag_id,
        "hostname": "vm" if ran else "",
        "unixname": "root",
        "pool": instance.task.pool,
        "pool_slots": instance.task.pool_slots,
        "queue": "default",
        "priority_weight": 1,
        "operator": instance.task.operator,
        "operator_name": instance.task.operator,
        "queued_when": stamp(instance.queued_at),
        "scheduled_when": stamp(instance.scheduled_at),
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


def loop(instance: FakeTaskInstance) -> dict[str, Any]:
    """Return what 3.4 adds to a task instance; one outside a loop has no region."""
    task, region = instance.task, instance.region
    inside = {} if region is None else {"region_id": region[0], "region_index": region[1]}
    iteration = {"loop_id": task.task_id.rpartition(".")[0], "iteration": task.iteration}
    return {
        **inside,
        "in_loop": region is not None,
        "loop_iteration": None if region is None else iteration,
        "team_name": None,
        "state_reason": task.state_reason,
    }


def import_error(file: str, trace: str) -> dict[str, Any]:
    """One row of GET /importErrors."""
    return {
        "import_error_id": zlib.crc32(file.encode()),
        "timestamp": PARSED,
        "filename": file,
        "bundle_name": "dags-folder",
        "stack_trace": trace,
    }


def xcom(run: FakeRun, instance: FakeTaskInstance, key: str) -> dict[str, Any]:
    """Return one row of GET .../xcomEntries, without the value."""
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


def question(run: FakeRun, instance_: FakeTaskInstance) -> dict[str, Any]:
    """Return one row of GET .../hitlDetails."""
    asked = instance_.task.question
    assert asked is not None
    answered = instance_.state in FINISHED
    who = {"id": "other-user", "name": "other-user"}
    return {
        "options": list(asked.options),
        "subject": asked.subject,
        "body": asked.body,
        "defaults": None,
        "multiple": False,
        "params": {},
        "assigned_users": [],
        "created_at": stamp(instance_.start_date),
        "responded_by_user": who if answered else None,
        "responded_at": stamp(instance_.end_date) if answered else None,
        "chosen_options": list(asked.options[:1]) if answered else None,
        "params_input": {},
        "response_received": answered,
        "task_instance": instance(run, instance_),
    }
