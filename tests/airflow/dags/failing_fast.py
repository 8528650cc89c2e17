"""`fail_fast`: a failure skips the remaining tasks, and a slow teardown delays the end."""

from __future__ import annotations

import time

from executions import record

try:
    from airflow.sdk import dag, task

    FAIL_FAST = {"fail_fast": True}
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

    FAIL_FAST = {"fail_stop": True}

SECONDS = 12
"""Longer than the action allows between the skip of a task and the end of the run."""


@dag(schedule=None, catchup=False, default_args={"retries": 0}, max_active_tasks=1, **FAIL_FAST)
def failing_fast() -> None:
    @task
    def make(run_id: str | None = None) -> None:
        """The setup."""
        record("make", run_id)

    @task(priority_weight=1000)
    def a(run_id: str | None = None) -> None:
        """Fails the first time."""
        if record("a", run_id) == 1:
            raise RuntimeError("Not today")

    @task
    def b(run_id: str | None = None) -> None:
        """Has not started when `a` fails."""
        record("b", run_id)

    @task
    def c(run_id: str | None = None) -> None:
        """As `b`."""
        record("c", run_id)

    @task
    def delete(run_id: str | None = None) -> None:
        """The teardown; slow the first time."""
        if record("delete", run_id) == 1:
            time.sleep(SECONDS)

    begin, end = make(), delete()
    begin >> [a(), b(), c()] >> end.as_teardown(setups=begin)


failing_fast()
