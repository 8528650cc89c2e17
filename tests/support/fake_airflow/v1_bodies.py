"""What Airflow 2.11.2's answers look like: the nouns of `world.py` as the JSON of /api/v1."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from tests.support.fake_airflow.nouns import FakeDag, FakeRun, FakeTaskInstance
    from tests.support.fake_airflow.world import World

PARSED = "2026-11-20T09:52:17.555773+00:00"


def stamp(moment: datetime | None) -> str | None:
    """A date as Airflow 2 writes it."""
    return moment.isoformat() if moment else None


def dag(world: World, dag: FakeDag) -> dict[str, Any]:
    """GET /dags/{id}."""
    return {
        "dag_display_name": dag.dag_id,
        "dag_id": dag.dag_id,
        "default_view": "grid",
        "description": None,
        "file_token": "bm9uZQ",
        "fileloc": f"/opt/airflow/dags/{dag.dag_id}.py",
        "has_import_errors": False,
        "has_task_concurrency_limits": False,
        "is_active": not dag.broken,
        "is_paused": world.paused[dag.dag_id],
        "is_subdag": False,
        "last_expired": None,
        "last_parsed_time": PARSED,
        "last_pickled": None,
        "max_active_runs": 16,
        "max_active_tasks": 16,
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
        "tags": [],
        "timetable_description": "Never, external triggers only",
    }


def details(world: World, dag_: FakeDag) -> dict[str, Any]:
    """GET /dags/{id}/details."""
    params = {}
    for name, schema in dag_.params_schema.items():
        rules = {key: rule for key, rule in schema.items() if key != "default"}
        shape = {"__class": "airflow.models.param.Param", "description": None, "schema": rules}
        params[name] = shape | {"value": schema.get("default")}
    nothing = ("dag_run_timeout", "dataset_expression", "doc_md", "end_date", "is_paused_upon_creation", "start_date")
    rest = {"catchup": False, "concurrency": 16, "last_parsed": PARSED, "orientation": "LR", "params": params}
    rest |= {"render_template_as_native_obj": False, "template_searchpath": None, "timezone": "UTC"}
    return dag(world, dag_) | dict.fromkeys(nothing) | rest


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
    ran = instance.try_number > 0
    duration = None
    if instance.start_date and instance.end_date:
        duration = (instance.end_date - instance.start_date).total_seconds()
    return {
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "duration": duration,
        "end_date": stamp(instance.end_date),
        "execution_date": stamp(run.logical_date),
        "executor": None,
        "executor_config": "{}",
        "hostname": "vm" if ran else "",
        "map_index": instance.task.map_index,
        "max_tries": instance.max_tries,
        "note": None,
        "operator": "PythonOperator",
        "pid": 4711 if ran else None,
        "pool": "default_pool",
        "pool_slots": 1,
        "priority_weight": 1,
        "queue": "default",
        "queued_when": stamp(run.queued_at) if ran else None,
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
    """One row of what a clear lists."""
    names = {"dag_id": run.dag_id, "dag_run_id": run.run_id, "task_id": instance.task.task_id}
    return names | {"execution_date": stamp(run.logical_date)}


def log(instance: FakeTaskInstance, try_number: int) -> str:
    """One try's log as text: the host name, then the lines (airflow-2.md 7)."""
    if try_number < 1:
        return f"default_host\nError fetching the logs. Try number {try_number} is invalid.\n"
    source = "*** Found local files:\n***   * /opt/airflow/logs/attempt.log"
    if try_number > instance.try_number:
        source = "*** Log file not found on worker 'vm'."
    lines = ["vm", " INFO - ::group::Log message source details", source, " INFO - ::endgroup::"]
    if try_number > instance.try_number:
        return "\n".join([*lines, "", ""])
    at = "[2026-11-20T09:52:17.555+0000]"
    lines += [f"{at} {{local_task_job_runner.py:123}} INFO - ::group::Pre task execution logs"]
    lines += [f"{at} {{taskinstance.py:740}} INFO - ::endgroup::"]
    lines += [f"{at} {{logging_mixin.py:190}} INFO - {line}" for line in instance.task.log]
    if (try_number, "failed") in instance.outcomes:
        exc_type, exc_value = instance.task.error
        lines += [
            f"{at} {{taskinstance.py:3336}} ERROR - Task failed with exception",
            "Traceback (most recent call last):",
            f'  File "/opt/airflow/dags/dag.py", line 16, in {instance.task.task_id}',
            f"{exc_type}: {exc_value}",
        ]
    lines += [f"{at} {{local_task_job_runner.py:266}} INFO - Task exited with return code 0"]
    return "\n".join([*lines, ""])


def import_error(dag: FakeDag) -> dict[str, Any]:
    """One row of GET /importErrors."""
    return {
        "filename": f"/opt/airflow/dags/{dag.dag_id}.py",
        "import_error_id": zlib.crc32(dag.dag_id.encode()),
        "stack_trace": dag.broken,
        "timestamp": PARSED,
    }


def xcom(run: FakeRun, instance: FakeTaskInstance, key: str) -> dict[str, Any]:
    """One row of GET .../xcomEntries; the entry itself has a value besides."""
    return {
        "dag_id": run.dag_id,
        "execution_date": stamp(run.logical_date),
        "key": key,
        "map_index": instance.task.map_index,
        "task_id": instance.task.task_id,
        "timestamp": stamp(instance.end_date),
    }
