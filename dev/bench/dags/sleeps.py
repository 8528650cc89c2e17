"""One task that sleeps: a DAG per duration, so that its earlier runs are alike.

`seconds` in a run's conf overrides the duration.
"""

from __future__ import annotations

import time
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


def define(seconds: int) -> None:
    """Define the DAG whose runs sleep for this number of seconds."""

    @dag(
        dag_id=f"sleep_{seconds}",
        schedule=None,
        catchup=False,
        max_active_runs=100,
        max_active_tasks=100,
        default_args={"retries": 0},
    )
    def sleeps() -> None:
        @task
        def sleep(dag_run: Any = None) -> None:
            """Occupy a worker."""
            time.sleep((dag_run.conf or {}).get("seconds", seconds))

        sleep()

    sleeps()


define(5)
define(30)
define(600)
