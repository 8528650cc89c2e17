"""DAGs with a schedule, paused at first."""

from __future__ import annotations

import time

import pendulum
from everywhere import OPTIONS, SCHEDULE, current_run, dag, task
from executions import is_open

OPTIONS = {**OPTIONS, SCHEDULE: "0 3 * * *", "catchup": True}
ONE_DAY = {"end_date": pendulum.datetime(2021, 1, 2, tz="UTC")}


@dag("backlog", is_paused_upon_creation=True, max_active_runs=3, **OPTIONS)
def backlog() -> None:
    """Has years of runs to catch up with, once it is unpaused."""

    @task
    def wait() -> None:
        """Wait until the test opens the gate, two minutes at most."""
        for _ in range(240):
            if is_open(current_run().run_id):
                return
            time.sleep(0.5)

    wait()


@dag("one_day", is_paused_upon_creation=True, **{**OPTIONS, **ONE_DAY})
def one_day() -> None:
    """Has one scheduled run, once it is unpaused."""

    @task
    def succeed() -> None: ...

    succeed()


@dag("paused_forever", is_paused_upon_creation=True, **OPTIONS)
def paused_forever() -> None:
    @task
    def succeed() -> None:
        """Never runs: only refused steps name this DAG."""

    succeed()


backlog_dag = backlog()
paused_forever_dag = paused_forever()
one_day_dag = one_day()
