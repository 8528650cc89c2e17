"""300 task instances: 290 without a process, and 10 of which 3 fail."""

from __future__ import annotations

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.operators.empty import EmptyOperator


@dag(schedule=None, catchup=False, max_active_tasks=300, default_args={"retries": 0})
def wide() -> None:
    @task
    def check(number: int) -> None:
        """Fails for every third number."""
        if number % 3 == 2:
            raise ValueError(f"Number {number} is wrong")

    EmptyOperator.partial(task_id="fill").expand(
        params=[{"number": number} for number in range(290)]
    )
    check.expand(number=list(range(10)))


wide()
