"""Runs that stand still in their middle until the test opens the gate, without a process that would
have to be killed.

`gated` waits for two minutes at the most; `gated_briefly` times out as a whole after eight seconds
of each attempt.
"""

from __future__ import annotations

from datetime import timedelta

from executions import is_open, record

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


def before_gate_after() -> None:
    """Three tasks in a row."""

    @task
    def before(run_id: str | None = None) -> None:
        """Succeeds every time; a resumed run must not execute it again."""
        record("before", run_id)

    # Airflow 3 may fail a sensor that pokes again before the scheduler has heard of the last one:
    # no shorter interval.
    @task.sensor(poke_interval=5, timeout=120, mode="reschedule")
    def gate(run_id: str | None = None) -> bool:
        """Waits."""
        record("gate", run_id)
        return is_open(run_id)

    @task
    def after(run_id: str | None = None) -> None:
        """What a stopped run has not come to."""
        record("after", run_id)

    before() >> gate() >> after()


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def gated() -> None:
    before_gate_after()


@dag(schedule=None, catchup=False, default_args={"retries": 0}, dagrun_timeout=timedelta(seconds=8))
def gated_briefly() -> None:
    before_gate_after()


gated()
gated_briefly()
