"""A run that fails the first time and succeeds once it has been cleared, and counts how often its
tasks were executed.
"""

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
        """Succeeds every time; a resumed run must not execute it again."""
        record("prepare", run_id)

    @task
    def wobble(run_id: str | None = None) -> None:
        """Fails the first time."""
        if record("wobble", run_id) == 1:
            raise RuntimeError("Not today")

    prepare() >> wobble()


unstable()
