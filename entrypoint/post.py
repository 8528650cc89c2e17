"""The post stage: whatever ended the main stage, the DAG run that it was answerable for does not run on unwatched.

It runs only where the main stage was cancelled or killed. Idempotent, and bounded at 60 seconds, all of which it takes if it
has to: there is nobody after it.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.errors import ActionError
from entrypoint.run.stop import stop

if TYPE_CHECKING:
    from entrypoint.airflow.client import Airflow
    from entrypoint.models import Outcome
    from entrypoint.session import Connection

BUDGET = 50.0
"""Seconds, connecting included; the container takes some as well, and other actions' post stages need theirs.

Measured: docs/notes/runner.md#time-after-a-cancel.
"""
ONE_REQUEST = 15.0
LONGEST_PAUSE = 5.0
"""Seconds between two requests, whatever the server asks for: the budget is short, and nobody comes after it."""
TO_SAY = 10.0
"""Seconds for finding out how a run is that is left alone."""


def stop_what_is_left(outcome: Outcome, line: Connection, *, stopped: bool = False, created: bool = False) -> Outcome:
    """Make sure that the run which the main stage left behind is stopped.

    Args:
        outcome: with the request, by which the run is known.
        line: the connection, not opened yet.
        stopped: Airflow has taken the main stage's order to stop it, so that it is no success whatever it shows now.
        created: Airflow has said that it made the run.

    Returns:
        The outcome with the run, if there is one, and what became of it.
    """
    request = outcome.request
    assert request is not None  # noqa: S101 - by this stage it is known
    until = line.clock() + BUDGET
    line.patience.longest = LONGEST_PAUSE
    try:
        airflow = line.open(BUDGET, ONE_REQUEST, unexpected=True, allowed=True)
    except ActionError as error:
        return outcome._replace(stop_fault=error)
    outcome = _at(outcome, airflow)
    line.console.stopping(request.run_id)
    line.allow(until - line.clock(), ONE_REQUEST)
    end = stop(
        airflow,
        request.dag_id,
        request.run_id,
        line.patience,
        last=None,
        once=False,
        until=until,
        ours=stopped,
        made=created,
    )
    if not end.confirmed:
        return outcome._replace(run=end.run, stop_fault=end.fault)
    if end.run is None:
        return outcome._replace(run_url=None, stopped="nothing")
    return outcome._replace(run=end.run, stopped="yes" if end.ours else "nothing")


def tell_what_is_left(outcome: Outcome, line: Connection) -> Outcome:
    """Find out how the run is that is to be left alone; what cannot be found out is no fault of this stage. As above."""
    request = outcome.request
    assert request is not None  # noqa: S101 - as above
    outcome = outcome._replace(stopped="left")
    with suppress(ActionError):
        airflow = line.open(TO_SAY)
        outcome = _at(outcome, airflow)
        look = partial(airflow.get_run, request.dag_id, request.run_id)
        outcome = outcome._replace(run=line.patience.read(look, until=line.allow(TO_SAY)))
    return outcome


def _at(outcome: Outcome, airflow: Airflow) -> Outcome:
    request = outcome.request
    assert request is not None  # noqa: S101 - as above
    return outcome._replace(airflow_version=airflow.version, run_url=airflow.run_url(request.dag_id, request.run_id))
