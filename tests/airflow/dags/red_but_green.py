"""A task fails, but the last one runs whatever happened, so that Airflow calls the run a
success.
"""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def red_but_green() -> None:
    @task
    def fail() -> None:
        """Raises."""
        raise ValueError("Nobody will notice")

    @task(trigger_rule="all_done")
    def clean_up() -> None:
        """The leaf, which alone decides about the run's state."""
        print("Cleaned up")

    fail() >> clean_up()


red_but_green()
