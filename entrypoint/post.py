"""The post stage: stop the DAG run that a cancelled or killed main stage left running.

It does nothing after a main stage that ended normally. It is idempotent and takes at most 60
seconds. It may use all of them, because no later stage could stop the run.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.airflow.client import Run
from entrypoint.errors import ActionError
from entrypoint.run.stop import Known, stop

if TYPE_CHECKING:
    from entrypoint.airflow.client import Airflow
    from entrypoint.models import Outcome
    from entrypoint.session import Session

BUDGET_SECONDS = 50.0
"""Seconds for connecting and stopping. The container's start and other actions' post stages need
time too. Measured: docs/notes/runner.md#time-after-a-cancel.
"""
REQUEST_SECONDS = 15.0
"""Maximum seconds of each request."""
MAX_PAUSE_SECONDS = 5.0
"""Maximum seconds between two requests, even if `Retry-After` is longer: the budget is short."""
READ_SECONDS = 10.0
"""Seconds for reading the state of a run that is left running."""


def stop_run_left_behind(
    outcome: Outcome, session: Session, *, stopped: bool = False, created: bool = False
) -> Outcome:
    """Stop the DAG run of the main stage, and confirm that it is stopped.

    Args:
        outcome: the outcome so far, with the request that names the run.
        session: the connection, not opened yet.
        stopped: whether the main stage has already stopped the run. Then a state `success` does not
            mean that it succeeded.
        created: whether Airflow confirmed that it created the run.

    Returns:
        The outcome with the run, if it exists, and with `stopped` or `stop_error`.
    """
    request = outcome.request
    assert request is not None  # noqa: S101 - this stage always sets it
    deadline = session.deadline(BUDGET_SECONDS, REQUEST_SECONDS)
    session.retrier.max_pause = MAX_PAUSE_SECONDS
    try:
        airflow = session.connect(deadline, retry_unexpected=True, retry_refused=True)
    except ActionError as error:
        return outcome._replace(stop_error=error)
    outcome = _with_airflow(outcome, airflow)
    session.events.stopping(request.run_id)
    run = Run(airflow, request.dag_id, request.run_id)
    known = Known(created=created, stopped=stopped)
    result = stop(run, session.retrier.within(deadline), known, confirm=True)
    if not result.confirmed:
        return outcome._replace(run=result.run, stop_error=result.error)
    if result.run is None:
        return outcome._replace(run_url=None, stopped="nothing")
    return outcome._replace(run=result.run, stopped="yes" if result.by_this_step else "nothing")


def report_run_left_running(outcome: Outcome, session: Session) -> Outcome:
    """Read the state of a run that is left running (`on_cancel: leave`). Errors are ignored."""
    request = outcome.request
    assert request is not None  # noqa: S101 - as above
    outcome = outcome._replace(stopped="left")
    with suppress(ActionError):
        airflow = session.connect(session.deadline(READ_SECONDS))
        outcome = _with_airflow(outcome, airflow)
        deadline = session.deadline(READ_SECONDS)
        fetch = partial(airflow.within(deadline).get_run, request.dag_id, request.run_id)
        outcome = outcome._replace(run=session.retrier.within(deadline).read(fetch))
    return outcome


def _with_airflow(outcome: Outcome, airflow: Airflow) -> Outcome:
    request = outcome.request
    assert request is not None  # noqa: S101 - as above
    return outcome._replace(
        airflow_version=airflow.version, run_url=airflow.run_url(request.dag_id, request.run_id)
    )
