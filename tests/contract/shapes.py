"""Keys and types of Airflow's responses, measured on 2.11.2 and 3.3.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import UnionType

Shape = dict[str, "type | UnionType"]

TEXT = str | None
NUMBER = int | float | None


def assert_shape(found: Mapping[str, Any], expected: Mapping[str, type | UnionType]) -> None:
    """Check that there are exactly these keys, each with a value of its type."""
    assert set(found) == set(expected)
    wrong = {key: found[key] for key, kind in expected.items() if not isinstance(found[key], kind)}
    assert not wrong


DAG_2: Shape = {
    **dict.fromkeys(
        ("dag_id", "dag_display_name", "default_view", "fileloc", "file_token", "last_parsed_time"),
        str,
    ),
    **dict.fromkeys(
        ("has_import_errors", "has_task_concurrency_limits", "is_active", "is_paused", "is_subdag"),
        bool,
    ),
    **dict.fromkeys(
        ("max_active_runs", "max_active_tasks", "max_consecutive_failed_dag_runs"), int
    ),
    **dict.fromkeys(
        ("description", "last_expired", "last_pickled", "next_dagrun", "next_dagrun_create_after"),
        TEXT,
    ),
    **dict.fromkeys(
        ("next_dagrun_data_interval_start", "next_dagrun_data_interval_end", "root_dag_id"), TEXT
    ),
    **dict.fromkeys(("pickle_id", "scheduler_lock", "timetable_description"), TEXT),
    "owners": list,
    "tags": list,
    "schedule_interval": dict | None,
}

DAG_3: Shape = {
    **dict.fromkeys(
        ("dag_id", "dag_display_name", "bundle_name", "relative_fileloc", "fileloc", "file_token"),
        str,
    ),
    **dict.fromkeys(
        ("is_paused", "is_stale", "has_import_errors", "has_task_concurrency_limits"), bool
    ),
    **dict.fromkeys(("is_backfillable", "timetable_partitioned", "timetable_periodic"), bool),
    **dict.fromkeys(
        ("max_active_runs", "max_active_tasks", "max_consecutive_failed_dag_runs"), int
    ),
    **dict.fromkeys(
        (
            "bundle_version",
            "description",
            "last_expired",
            "last_parsed_time",
            "next_dagrun_run_after",
        ),
        TEXT,
    ),
    **dict.fromkeys(("next_dagrun_data_interval_start", "next_dagrun_data_interval_end"), TEXT),
    **dict.fromkeys(
        ("next_dagrun_logical_date", "timetable_summary", "timetable_description"), TEXT
    ),
    "last_parse_duration": NUMBER,
    "allowed_run_types": list | None,
    "owners": list,
    "tags": list,
}

MORE_2: Shape = {
    **dict.fromkeys(("catchup", "render_template_as_native_obj"), bool),
    **dict.fromkeys(("last_parsed", "orientation", "timezone"), str),
    **dict.fromkeys(("doc_md", "start_date", "end_date"), TEXT),
    "concurrency": int,
    "dag_run_timeout": dict | None,
    "dataset_expression": dict | None,
    "is_paused_upon_creation": bool | None,
    "params": dict,
    "template_searchpath": list | None,
}

MORE_3: Shape = {
    **dict.fromkeys(("catchup", "render_template_as_native_obj", "is_favorite"), bool),
    **dict.fromkeys(("last_parsed", "timezone"), str),
    **dict.fromkeys(("dag_run_timeout", "doc_md", "start_date", "end_date"), TEXT),
    **dict.fromkeys(("active_runs_count", "concurrency"), int),
    **dict.fromkeys(("default_args", "latest_dag_version", "owner_links", "params"), dict),
    "asset_expression": dict | None,
    "is_paused_upon_creation": bool | None,
    "rerun_with_latest_version": bool | None,
    "template_search_path": list | None,
}

RUN_2: Shape = {
    **dict.fromkeys(
        ("dag_id", "dag_run_id", "state", "run_type", "execution_date", "logical_date"), str
    ),
    **dict.fromkeys(("data_interval_start", "data_interval_end"), str),
    **dict.fromkeys(("start_date", "end_date", "last_scheduling_decision", "note"), TEXT),
    "conf": dict,
    "external_trigger": bool,
}

RUN_3: Shape = {
    **dict.fromkeys(
        ("dag_id", "dag_run_id", "dag_display_name", "state", "run_type", "triggered_by"), str
    ),
    **dict.fromkeys(("queued_at", "run_after", "triggering_user_name"), str),
    **dict.fromkeys(
        ("logical_date", "data_interval_start", "data_interval_end", "start_date", "end_date"), TEXT
    ),
    **dict.fromkeys(
        ("last_scheduling_decision", "note", "bundle_version", "partition_key", "partition_date"),
        TEXT,
    ),
    "conf": dict,
    "dag_versions": list,
    "duration": NUMBER,
}

VERSION_3: Shape = {
    **dict.fromkeys(("id", "dag_id", "dag_display_name", "bundle_name", "created_at"), str),
    **dict.fromkeys(("bundle_version", "bundle_url"), TEXT),
    "version_number": int,
}

INSTANCE_2: Shape = {
    **dict.fromkeys(
        (
            "dag_id",
            "dag_run_id",
            "task_id",
            "task_display_name",
            "execution_date",
            "executor_config",
        ),
        str,
    ),
    **dict.fromkeys(("hostname", "operator", "pool", "queue", "unixname"), str),
    **dict.fromkeys(("map_index", "max_tries", "pool_slots", "priority_weight", "try_number"), int),
    **dict.fromkeys(
        (
            "start_date",
            "end_date",
            "state",
            "executor",
            "note",
            "queued_when",
            "rendered_map_index",
        ),
        TEXT,
    ),
    **dict.fromkeys(("sla_miss", "trigger", "triggerer_job"), dict | None),
    "duration": NUMBER,
    "pid": int | None,
    "rendered_fields": dict,
}

INSTANCE_3: Shape = {
    **{key: kind for key, kind in INSTANCE_2.items() if key not in {"execution_date", "sla_miss"}},
    **dict.fromkeys(("id", "dag_display_name", "operator_name", "run_after"), str),
    **dict.fromkeys(("logical_date", "scheduled_when"), TEXT),
    "dag_version": dict | None,
}

XCOM_2: Shape = {
    **dict.fromkeys(("dag_id", "execution_date", "key", "task_id", "timestamp"), str),
    "map_index": int,
}

XCOM_3: Shape = {
    **dict.fromkeys(
        (
            "dag_id",
            "dag_display_name",
            "run_id",
            "run_after",
            "key",
            "task_id",
            "task_display_name",
        ),
        str,
    ),
    "timestamp": str,
    "logical_date": TEXT,
    "map_index": int,
}

IMPORT_ERROR_2: Shape = {
    **dict.fromkeys(("filename", "stack_trace", "timestamp"), str),
    "import_error_id": int,
}
IMPORT_ERROR_3: Shape = IMPORT_ERROR_2 | {"bundle_name": str}

SLOTS = (
    "occupied_slots",
    "running_slots",
    "queued_slots",
    "scheduled_slots",
    "open_slots",
    "deferred_slots",
)
POOL_2: Shape = {
    **dict.fromkeys(("slots", *SLOTS), int),
    "name": str,
    "description": TEXT,
    "include_deferred": bool,
}
POOL_3: Shape = POOL_2 | {"team_name": TEXT}

QUESTION_3: Shape = {
    **dict.fromkeys(("subject", "created_at"), str),
    **dict.fromkeys(("body", "responded_at"), TEXT),
    **dict.fromkeys(("options", "assigned_users"), list),
    **dict.fromkeys(("chosen_options", "defaults"), list | None),
    **dict.fromkeys(("params", "params_input", "task_instance"), dict),
    **dict.fromkeys(("multiple", "response_received"), bool),
    "responded_by_user": dict | None,
}

DAG = {"2.11.2": DAG_2, "3.3.2": DAG_3}
DETAILS: dict[str, Shape] = {"2.11.2": DAG_2 | MORE_2, "3.3.2": DAG_3 | MORE_3}
RUN = {"2.11.2": RUN_2, "3.3.2": RUN_3}
INSTANCE = {"2.11.2": INSTANCE_2, "3.3.2": INSTANCE_3}
XCOM = {"2.11.2": XCOM_2, "3.3.2": XCOM_3}
IMPORT_ERROR = {"2.11.2": IMPORT_ERROR_2, "3.3.2": IMPORT_ERROR_3}
POOL = {"2.11.2": POOL_2, "3.3.2": POOL_3}
