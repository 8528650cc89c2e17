"""Why a DAG run does not move, as far as Airflow shows it to this credential. It only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.airflow import Airflow
    from entrypoint.models import DagRun, RunRequest


def why_stuck(airflow: Airflow, run: DagRun, request: RunRequest, now: datetime) -> str | None:
    """Return the reason in a sentence, None if none is known. Raises the errors of `Airflow.get_dag`.

    A run of a paused DAG stays queued, or frozen if the DAG was paused on the way; a run with a date in the future waits for
    it, on Airflow 2 for ever (airflow-2.md 5, airflow-3.md 4).
    """
    if request.run_after is not None and request.run_after > now:
        return f"Its run_after, {request.run_after.isoformat()}, has not come yet."
    if run.logical_date is not None and run.logical_date > now:
        return f"Its logical date, {run.logical_date.isoformat()}, lies in the future."
    if airflow.get_dag(run.dag_id).is_paused:
        return "The DAG is paused in Airflow; nothing of it runs until somebody unpauses it."
    return None
