"""One task that succeeds immediately."""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False)
def quick_success() -> None:
    @task
    def succeed() -> str:
        """Leaves an XCom."""
        print("It works")
        return "done"

    succeed()


quick_success()
