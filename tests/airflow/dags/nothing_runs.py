"""DAGs whose runs succeed although no task does any work."""

from __future__ import annotations

from datetime import UTC, datetime

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, start_date=datetime(2100, 1, 1, tzinfo=UTC))
def starts_later() -> None:
    @task
    def load() -> None: ...

    load()


@dag(schedule=None, catchup=False)
def short_circuit() -> None:
    @task.short_circuit
    def has_sales() -> bool:
        return False

    @task
    def load() -> None: ...

    has_sales() >> load()


starts_later()
short_circuit()
