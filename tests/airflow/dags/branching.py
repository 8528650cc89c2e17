"""A branch with one skipped side; the other side fails the first time."""

from __future__ import annotations

from executions import record

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def branching() -> None:
    @task.branch
    def choose(run_id: str | None = None) -> str:
        """Chooses the left side."""
        record("choose", run_id)
        return "left"

    @task
    def left(run_id: str | None = None) -> None:
        """Fails the first time."""
        if record("left", run_id) == 1:
            raise RuntimeError("Not today")

    @task
    def right(run_id: str | None = None) -> None:
        """Must never run."""
        record("right", run_id)

    @task(trigger_rule="none_failed_min_one_success")
    def join(run_id: str | None = None) -> None:
        record("join", run_id)

    choose() >> [left(), right()] >> join()


branching()
