"""Loops: task groups that run again and again in one DAG run (Airflow 3.4 and later)."""

from __future__ import annotations

from typing import Any

from everywhere import OPTIONS, dag, task
from executions import record

try:
    from airflow.sdk import setup, task_group, teardown
except ImportError:  # Airflow 2
    setup = task_group = teardown = None


def _loop(failing: int | None) -> None:
    """Build three iterations of a plain and a mapped task; in one of them `improve` fails once.

    A setup and a teardown surround the loop, as of a cluster that it needs.
    """

    @task
    def prepare(run_id: str) -> None:
        """Must not run again in a resumed run."""
        record("prepare", run_id)

    @setup
    def set_up(run_id: str) -> None:
        record("set-up", run_id)

    @task_group
    def refine() -> None:
        @task
        def improve(*, loop: Any, run_id: str) -> int:
            print(f"this is iteration {loop.index}")
            count = record(f"improve-{loop.index}", run_id)
            if loop.index == failing and count == 1:
                raise ValueError(f"iteration {loop.index} does not converge")
            return 10 * loop.index

        @task
        def check(number: int, *, loop: Any) -> int:
            return number + loop.index

        improve() >> check.expand(number=[100, 200])

    @task
    def publish(run_id: str) -> None:
        record("publish", run_id)

    @teardown
    def tear_down(run_id: str) -> None:
        record("tear-down", run_id)

    up, down = set_up(), tear_down()
    prepare() >> up >> refine.loop(max_iterations=3) >> publish() >> down
    up >> down


if task_group is not None and hasattr(task_group(lambda: None), "loop"):

    @dag("loop_success", **OPTIONS)
    def loop_success() -> None:
        _loop(None)

    @dag("loop_failure", **OPTIONS)
    def loop_failure() -> None:
        _loop(1)

    loop_success_dag = loop_success()
    loop_failure_dag = loop_failure()
