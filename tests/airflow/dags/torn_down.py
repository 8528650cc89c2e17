"""A setup, a task that fails once, and a teardown; a resumed run needs all three again."""

from __future__ import annotations

from executions import record

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def torn_down() -> None:
    @task
    def make(run_id: str | None = None) -> None:
        """The setup."""
        record("make", run_id)

    @task
    def work(run_id: str | None = None) -> None:
        """Fails the first time."""
        if record("work", run_id) == 1:
            raise RuntimeError("Not today")

    @task
    def delete(run_id: str | None = None) -> None:
        """The teardown."""
        record("delete", run_id)

    begin, end = make(), delete()
    begin >> work() >> end.as_teardown(setups=begin)


torn_down()
