"""The imports of the DAG files, which every Airflow from 2.0 to 3.4 has under another name."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pendulum

try:
    from airflow.sdk import DAG, dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import dag, task
    from airflow.operators.python import get_current_context

__all__ = ["OPTIONS", "SCHEDULE", "current_run", "dag", "task"]

SCHEDULE = "schedule" if "schedule" in signature(DAG.__init__).parameters else "schedule_interval"
OPTIONS: dict[str, Any] = {
    SCHEDULE: None,
    "start_date": pendulum.datetime(2021, 1, 1, tz="UTC"),
    "catchup": False,
    "default_args": {"retries": 0},
}
"""Arguments of each DAG. 2.0 needs a start date and knows `schedule` by another name.

Before 2.4 Airflow finds only those DAGs that are global variables of their file.
"""


def current_run() -> Any:
    """Return the DAG run of the current task. In 2.0 its function gets no context."""
    return get_current_context()["dag_run"]
