"""A run whose first task is running until the test opens the gate, and whose second one comes after
it.
"""

from __future__ import annotations

import time

from executions import is_open

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def held() -> None:
    @task
    def hold(run_id: str | None = None) -> None:
        """Occupies a worker, for five minutes at the most."""
        deadline = time.monotonic() + 300
        while not is_open(run_id):
            if time.monotonic() > deadline:
                raise TimeoutError("Nobody has opened the gate")
            time.sleep(0.2)

    @task
    def publish() -> None:
        """Never starts if somebody has paused the DAG meanwhile."""

    hold() >> publish()


held()
