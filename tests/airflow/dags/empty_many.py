"""60 tasks without a process: more than one page of task instances."""

from __future__ import annotations

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import dag
except ImportError:  # Airflow 2
    from airflow.decorators import dag
    from airflow.operators.empty import EmptyOperator


@dag(schedule=None, catchup=False, max_active_tasks=60)
def empty_many() -> None:
    for number in range(60):
        EmptyOperator(task_id=f"empty_{number:02}")


empty_many()
