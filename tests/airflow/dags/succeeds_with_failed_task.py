"""A task fails, but the last task always runs, so that the run is a success."""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def succeeds_with_failed_task() -> None:
    @task
    def fail() -> None:
        raise ValueError("Nobody will notice")

    @task(trigger_rule="all_done")
    def clean_up() -> None:
        """The leaf, which alone decides the run's state."""
        print("Cleaned up")

    fail() >> clean_up()


succeeds_with_failed_task()
