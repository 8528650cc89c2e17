"""A DAG that is paused from its creation, so that its runs stay queued."""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, is_paused_upon_creation=True)
def paused_dag() -> None:
    @task
    def succeed() -> None:
        """Runs once the DAG is unpaused."""

    succeed()


paused_dag()
