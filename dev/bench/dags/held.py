"""Runs that stay `running` at no cost, because their task waits for a pool without slots."""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=500,
    max_active_tasks=500,
    default_args={"retries": 0},
)
def held() -> None:
    """Define the DAG."""

    @task(pool="closed")
    def never() -> None:
        """Never start."""

    never()


held()
