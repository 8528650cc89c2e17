"""A DAG that only its schedule may start (Airflow 3.2 and later)."""

from __future__ import annotations

from datetime import datetime, timezone
from inspect import signature

from everywhere import OPTIONS, dag, task

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    DAG = None

if DAG is not None and "allowed_run_types" in signature(DAG.__init__).parameters:
    FAR = datetime(2100, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - like the other files
    OPTIONS = {**OPTIONS, "schedule": "@yearly", "start_date": FAR}

    @dag("no_manual_runs", allowed_run_types=["scheduled"], **OPTIONS)
    def no_manual_runs() -> None:
        @task
        def succeed() -> None: ...

        succeed()

    no_manual_runs_dag = no_manual_runs()
