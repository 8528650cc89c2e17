"""A run that fails the first time and succeeds after a clear; it counts executions."""

from __future__ import annotations

from executions import record

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def unstable() -> None:
    @task
    def prepare(run_id: str | None = None) -> None:
        """Must not run again in a resumed run."""
        record("prepare", run_id)

    @task
    def wobble(run_id: str | None = None) -> None:
        """Fails the first time."""
        if record("wobble", run_id) == 1:
            raise RuntimeError("Not today")

    prepare() >> wobble()


unstable()
