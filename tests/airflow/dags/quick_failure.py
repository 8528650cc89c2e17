"""One task that fails immediately."""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def quick_failure() -> None:
    @task
    def fail() -> None:
        raise ValueError("It does not work")

    fail()


quick_failure()
