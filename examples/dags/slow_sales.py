"""One task that sleeps for `seconds`, to try waiting, timeouts and cancels.

Works unchanged on Airflow 2.11 and 3.
"""

from __future__ import annotations

import time

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models import Param


@dag(
    schedule=None,
    catchup=False,
    params={"seconds": Param(60, type="number", minimum=0, description="How long to sleep")},
    default_args={"retries": 0},
)
def slow_sales() -> None:
    """Run one slow task."""

    @task
    def crunch(params: dict[str, float] | None = None) -> None:
        """Sleep."""
        seconds = (params or {})["seconds"]
        print(f"Crunching for {seconds} s", flush=True)
        time.sleep(seconds)

    crunch()


slow_sales()
