"""A run whose `dagrun_timeout` ends it before or during a long task: no task failed."""

from __future__ import annotations

import time
from datetime import timedelta

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(
    schedule=None, catchup=False, default_args={"retries": 0}, dagrun_timeout=timedelta(seconds=10)
)
def too_slow() -> None:
    @task
    def crunch() -> None:
        """Sleeps for much longer than the run may take."""
        time.sleep(300)

    @task
    def publish() -> None:
        """Never runs."""

    crunch() >> publish()


too_slow()
