"""A run that waits until somebody lets its DAG go on, for as long as that takes: it needs neither
worker nor scheduler.
"""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, is_paused_upon_creation=True, default_args={"retries": 0})
def behind_doors() -> None:
    @task
    def succeed() -> None:
        """All that comes after the wait."""

    succeed()


behind_doors()
