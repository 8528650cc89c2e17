"""Counts executions: each appends its task_id to `$AIRFLOW_HOME/executions/<run id>`."""

from __future__ import annotations

import os
from pathlib import Path


def record(task_id: str, run_id: str | None) -> int:
    """Record one execution of the task in this run, and return how many there have been."""
    file = Path(os.environ["AIRFLOW_HOME"], "executions", str(run_id))
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as lines:
        lines.write(f"{task_id}\n")
    return file.read_text().split().count(task_id)


def is_open(run_id: str | None) -> bool:
    """Whether a test has let this run continue by creating `$AIRFLOW_HOME/open/<run id>`."""
    return Path(os.environ["AIRFLOW_HOME"], "open", str(run_id)).exists()
