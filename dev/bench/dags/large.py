"""Failed runs with thousands of task instances without a process, a log of 5 MB, or both."""

from __future__ import annotations

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.operators.empty import EmptyOperator

LINE = "It is a long way from the first line of this log to the line that says what went wrong"
PER_TASK = 1000  # instances per mapped task, and lines per print


def define(dag_id: str, instances: int, log: int) -> None:
    """Define a DAG with a failing task.

    Args:
        dag_id: id of the DAG
        instances: number of further task instances
        log: bytes that the failing task prints
    """

    @dag(
        dag_id=dag_id,
        schedule=None,
        catchup=False,
        max_active_tasks=6000,
        default_args={"retries": 0},
    )
    def large() -> None:
        @task
        def load() -> None:
            """Fail."""
            lines = [f"{number:09} {LINE}" for number in range(log // (len(LINE) + 11))]
            for first in range(0, len(lines), PER_TASK):
                print("\n".join(lines[first : first + PER_TASK]))
            raise ValueError("The last row has no amount")

        for number in range(instances // PER_TASK):
            # Mapped over a parameter of EmptyOperator; the scheduler sets their states.
            EmptyOperator.partial(task_id=f"fill_{number}").expand(
                params=[{"number": each} for each in range(PER_TASK)]
            )
        load()

    large()


define("tasks_2000", 2000, 100)
define("tasks_5000", 5000, 100)
define("log_5_mb", 0, 5_000_000)
define("tasks_5000_log_5_mb", 5000, 5_000_000)
