"""The post stage: whatever ended the main stage, the DAG run that it was answerable for does not run on unwatched.

It runs only where the main stage was cancelled or killed. Idempotent, and bounded at 60 seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.errors import ActionError
from entrypoint.gate.stop import stop
from entrypoint.models import Outcome, RunRequest

if TYPE_CHECKING:
    from entrypoint.connection import Connection
    from entrypoint.settings import Settings

BUDGET = 55.0
"""Seconds, connecting included: the other actions' post stages need theirs (runner.md 2.5)."""
ONE_REQUEST = 15.0


def stop_what_is_left(settings: Settings, run_id: str, line: Connection, *, stopped: bool = False) -> Outcome:
    """Make sure that the run which the main stage left behind is stopped, unless it is to be left.

    `stopped`: Airflow has taken the main stage's order to stop it, so that it is no success whatever it shows now.

    Returns:
        The outcome `cancelled`: with the run, if there is one, and what became of it.
    """
    end = line.clock() + BUDGET
    request = RunRequest(settings.dag_id, run_id, settings.conf)
    outcome = Outcome("cancelled", request=request, stopped="unconfirmed", post=True)
    try:
        airflow = line.open(BUDGET, ONE_REQUEST)
        outcome = outcome._replace(airflow_version=airflow.version, run_url=airflow.run_url(request.dag_id, run_id))
        if settings.on_cancel == "leave":
            return outcome._replace(run=airflow.get_run(request.dag_id, run_id), stopped="left")
        line.console.stopping(run_id)
        until = line.allow(end - line.clock(), ONE_REQUEST)
        run, confirmed = stop(
            airflow, request.dag_id, run_id, line.patience, last=None, once=False, until=until, ours=stopped
        )
    except ActionError as error:
        return outcome._replace(error=error)
    if run is None and confirmed:
        return outcome._replace(run_url=None, stopped="nothing")
    return outcome._replace(run=run, stopped="yes" if confirmed else "unconfirmed")
