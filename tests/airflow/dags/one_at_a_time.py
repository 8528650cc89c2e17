"""A DAG with at most one active run, which lasts for the param `seconds`."""

from __future__ import annotations

import time

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models import Param


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params={"seconds": Param(5, type="number", minimum=0)},
    default_args={"retries": 0},
)
def one_at_a_time() -> None:
    @task
    def occupy(params: dict[str, float] | None = None) -> None:
        time.sleep((params or {})["seconds"])

    occupy()


one_at_a_time()
