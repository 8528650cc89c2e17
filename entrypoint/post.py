"""The post stage: whatever ended the main stage, the DAG run that it was answerable for does not
run on unwatched.

It runs only where the main stage was cancelled or killed. Idempotent, and bounded at 60 seconds,
all of which it takes if it
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
    from entrypoint.session import Session

BUDGET_SECONDS = 50.0
"""Seconds, connecting included; the container takes some as well, and other actions' post stages
need theirs.

Measured: docs/notes/runner.md#time-after-a-cancel.
"""
REQUEST_SECONDS = 15.0
MAX_PAUSE_SECONDS = 5.0
"""Seconds between two requests, whatever the server asks for: the budget is short, and nobody comes
after it.
"""
READ_SECONDS = 10.0
"""Seconds for finding out how a run is that is left alone."""


def stop_run_left_behind(
    outcome: Outcome, session: Session, *, stopped: bool = False, created: bool = False
) -> Outcome:
    """Make sure that the run which the main stage left behind is stopped.

    Args: outcome: with the request, by which the run is known. session: the connection, not opened
        yet. stopped: Airflow has taken the main stage's order to stop it, so that it is no success
        whatever it shows now. created: Airflow has said that it made the run.

    Returns:
        The outcome with the run, if there is one, and what became of it.
    """
    request = outcome.request
    assert request is not None  # noqa: S101 - by this stage it is known
    until = session.clock() + BUDGET_SECONDS
    session.retrier.max_pause = MAX_PAUSE_SECONDS
    try:
        airflow = session.connect(
            BUDGET_SECONDS, REQUEST_SECONDS, retry_unexpected=True, retry_refused=True
        )
    except ActionError as error:
        return outcome._replace(stop_error=error)
    outcome = _at(outcome, airflow)
    session.events.stopping(request.run_id)
    session.set_deadline(until - session.clock(), REQUEST_SECONDS)
    end = stop(
        airflow,
        request.dag_id,
        request.run_id,
        session.retrier,
        last_seen=None,
        confirm=True,
        until=until,
        already_stopped=stopped,
        created=created,
    )
    if not end.confirmed:
        return outcome._replace(run=end.run, stop_error=end.fault)
    if end.run is None:
        return outcome._replace(run_url=None, stopped="nothing")
    return outcome._replace(run=end.run, stopped="yes" if end.by_this_step else "nothing")


def report_run_left_running(outcome: Outcome, session: Session) -> Outcome:
    """Find out how the run is that is to be left alone; what cannot be found out is no fault of
    this stage. As above.
    """
    request = outcome.request
    assert request is not None  # noqa: S101 - as above
    outcome = outcome._replace(stopped="left")
    with suppress(ActionError):
        airflow = session.connect(READ_SECONDS)
        outcome = _at(outcome, airflow)
        fetch = partial(airflow.get_run, request.dag_id, request.run_id)
        outcome = outcome._replace(
            run=session.retrier.read(fetch, until=session.set_deadline(READ_SECONDS))
        )
    return outcome


def _at(outcome: Outcome, airflow: Airflow) -> Outcome:
    request = outcome.request
    assert request is not None  # noqa: S101 - as above
    return outcome._replace(
        airflow_version=airflow.version, run_url=airflow.run_url(request.dag_id, request.run_id)
    )
