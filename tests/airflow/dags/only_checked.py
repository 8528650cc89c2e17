"""A DAG with params that only dry runs use, so that nothing else changes its DAG runs."""

from __future__ import annotations

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models import Param


@dag(
    schedule=None,
    catchup=False,
    params={"region": Param("EMEA", type="string", enum=["APAC", "EMEA", "LATAM"])},
)
def only_checked() -> None:
    @task
    def succeed() -> None:
        """Do nothing."""

    succeed()


only_checked()
