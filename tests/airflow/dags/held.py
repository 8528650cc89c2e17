"""A run whose first task runs until the test lets it continue; a second task follows."""

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
        """Occupies a worker for at most five minutes."""
        deadline = time.monotonic() + 300
        while not is_open(run_id):
            if time.monotonic() > deadline:
                raise TimeoutError("The test did not let this run continue")
            time.sleep(0.2)

    @task
    def publish() -> None:
        """Never starts if the DAG was paused before."""

    hold() >> publish()


held()
