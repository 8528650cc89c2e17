"""A DAG that only its schedule may start (Airflow 3.2 and later)."""

from __future__ import annotations

from inspect import signature

import pendulum
from everywhere import OPTIONS, dag, task

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    DAG = None

if DAG is not None and "allowed_run_types" in signature(DAG.__init__).parameters:
    FAR = pendulum.datetime(2100, 1, 1, tz="UTC")
    OPTIONS = {**OPTIONS, "schedule": "@yearly", "start_date": FAR}

    @dag("no_manual_runs", allowed_run_types=["scheduled"], **OPTIONS)
    def no_manual_runs() -> None:
        @task
        def succeed() -> None: ...

        succeed()

    no_manual_runs_dag = no_manual_runs()
