"""Two DAGs of one file, with tags."""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@task
def succeed() -> None:
    """Do nothing."""


@dag(schedule=None, catchup=False, tags=["tagged", "smoke"])
def tagged_smoke() -> None:
    succeed()


@dag(schedule=None, catchup=False, tags=["tagged", "smoke, weekly", "Zoë & co"])
def tagged_weekly() -> None:
    succeed()


tagged_smoke()
tagged_weekly()
