"""A task that fails on both tries, each time for another reason."""

from __future__ import annotations

from datetime import timedelta

from executions import record

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 1, "retry_delay": timedelta(seconds=1)})
def retries_exhausted() -> None:
    @task
    def call_partner(run_id: str | None = None) -> None:
        if record("call_partner", run_id) == 1:
            raise ConnectionError("The partner does not answer")
        raise PermissionError("The partner has locked us out")

    call_partner()


retries_exhausted()
