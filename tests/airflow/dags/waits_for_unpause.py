"""A run that waits until its DAG is unpaused; this needs neither worker nor scheduler."""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, is_paused_upon_creation=True, default_args={"retries": 0})
def waits_for_unpause() -> None:
    @task
    def succeed() -> None: ...

    succeed()


waits_for_unpause()
