"""One task that sleeps: a DAG for each duration, so that its last runs are alike; `seconds` in a
run's conf wins.
"""

from __future__ import annotations

import time
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


def define(seconds: int) -> None:
    """Define the DAG whose runs take so many seconds, and what Airflow needs to start them."""

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
            """Occupies a worker."""
            time.sleep((dag_run.conf or {}).get("seconds", seconds))

        sleep()

    sleeps()


define(5)
define(30)
define(600)
