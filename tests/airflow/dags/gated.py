"""Runs that wait in their middle until the test lets them continue, without a process.

`gated` waits for at most two minutes; `gated_briefly` times out eight seconds after each start.
"""

from __future__ import annotations

from datetime import timedelta

from executions import is_open, record

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


def before_gate_after() -> None:
    @task
    def before(run_id: str | None = None) -> None:
        """Must not run again in a resumed run."""
        record("before", run_id)

    # With a shorter interval Airflow 3 may fail the sensor, because it pokes again before the
    # scheduler has handled the last poke.
    @task.sensor(poke_interval=5, timeout=120, mode="reschedule")
    def gate(run_id: str | None = None) -> bool:
        record("gate", run_id)
        return is_open(run_id)

    @task
    def after(run_id: str | None = None) -> None:
        """Does not run if the run is stopped before."""
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
