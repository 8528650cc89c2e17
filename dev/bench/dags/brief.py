"""Runs that end as soon as the scheduler handles them; their task needs no process."""

from __future__ import annotations

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import dag
except ImportError:  # Airflow 2
    from airflow.decorators import dag
    from airflow.operators.empty import EmptyOperator


@dag(schedule=None, catchup=False, max_active_runs=500, max_active_tasks=500)
def brief() -> None:
    """Define the DAG."""
    EmptyOperator(task_id="nothing")


brief()
