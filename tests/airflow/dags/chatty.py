"""Tasks that write while they run, for `logs: live`. The params say how much and how long.

`steady` writes a numbered line at a fixed interval, `retried` succeeds at its third try, `many` are
ten instances of a mapped task, `large` writes many lines at once.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

try:
    from airflow.sdk import DAG, Param, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task
    from airflow.models.param import Param


def write(name: str, count: int, pause: float) -> None:
    """Print numbered lines with the time at which each was written."""
    for number in range(count):
        print(f"{name} line {number} at {time.time():.3f}", flush=True)
        time.sleep(pause)


with DAG(
    "chatty",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    params={
        "steady": Param(20, type="integer"),
        "many": Param(4, type="integer"),
        "large": Param(2000, type="integer"),
    },
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
):

    @task
    def steady(**context: object) -> None:
        write("steady", context["params"]["steady"], 0.5)  # type: ignore[index]

    @task
    def retried(**context: object) -> None:
        attempt = context["ti"].try_number  # type: ignore[attr-defined]
        write(f"retried {attempt}", 4, 0.5)
        print("::error::not a command", flush=True)
        if attempt < 3:
            raise ValueError(f"try {attempt} is not enough")

    @task
    def many(which: int, **context: object) -> None:
        write(f"many {which}", context["params"]["many"], 0.5)  # type: ignore[index]

    @task
    def large(**context: object) -> None:
        for number in range(context["params"]["large"]):  # type: ignore[index]
            print(f"large line {number} {'x' * 140}")

    steady()
    retried()
    many.expand(which=list(range(10)))
    large()
