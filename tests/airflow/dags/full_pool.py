"""A task in the pool `tiny`, which the test creates with one slot; it lasts for `seconds`."""

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
    params={"seconds": Param(5, type="number", minimum=0)},
    default_args={"retries": 0},
)
def full_pool() -> None:
    @task(pool="tiny")
    def occupy(params: dict[str, float] | None = None) -> None:
        time.sleep((params or {})["seconds"])

    occupy()


full_pool()
