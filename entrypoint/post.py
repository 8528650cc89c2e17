"""The post stage: stop the DAG runs that a cancelled or killed main stage left running.

It does nothing after a main stage that ended normally. It is idempotent and takes at most 60
seconds. It may use all of them, because no later stage could stop the runs.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.airflow.client import Run
from entrypoint.errors import ActionError
from entrypoint.models import Outcome, RunRequest, SavedRun
from entrypoint.run.stop import RunToStop, Stopped, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def left_behind(saved: SavedRun, error: ActionError | None = None) -> Outcome:
    """Return the outcome of a run that the main stage left behind.

    Args:
        saved: the run as the main stage saved it.
        error: why the post stage cannot stop it, if it cannot.
    """
    return Outcome(
        "cancelled",
        request=RunRequest(saved.dag_id, saved.run_id, {}),
        run_url=saved.run_url,
        stopped="unconfirmed",
        stop_error=error,
        post=True,
    )


def stop_runs_left_behind(runs: Sequence[SavedRun], session: Session) -> list[Outcome]:
    """Stop the DAG runs of the main stage, and confirm that they are stopped.

    Args:
        runs: the runs that the main stage saved.
        session: the connection, not opened yet.

    Returns:
        For each run an outcome with the run, if it exists, and with `stopped` or `stop_error`.
    """
    deadline = session.deadline(BUDGET_SECONDS, REQUEST_SECONDS)
    session.retrier.max_pause = MAX_PAUSE_SECONDS
    try:
        airflow = session.connect(deadline, retry_unexpected=True, retry_refused=True)
    except ActionError as error:
        return [left_behind(saved, error) for saved in runs]
    to_stop = []
    for saved in runs:
        session.events.stopping(saved.run_id)
        run = Run(airflow, saved.dag_id, saved.run_id)
        to_stop.append(RunToStop(run, created=saved.created, stopped=saved.stopped))
    results = stop(to_stop, session.retrier.within(deadline), confirm=True)
    return [
        _stopped(left_behind(saved), each.run, result)
        for saved, each, result in zip(runs, to_stop, results, strict=True)
    ]


def _stopped(outcome: Outcome, run: Run, result: Stopped) -> Outcome:
    outcome = outcome._replace(
        airflow_version=run.airflow.version, run_url=run.airflow.run_url(run.dag_id, run.run_id)
    )
    if not result.confirmed:
        return outcome._replace(run=result.run, stop_error=result.error)
    if result.run is None:
        return outcome._replace(run_url=None, stopped="nothing")
    return outcome._replace(run=result.run, stopped="yes" if result.by_this_step else "nothing")


def report_runs_left_running(runs: Sequence[SavedRun], session: Session) -> list[Outcome]:
    """Read the states of runs that are left running (`on_cancel: leave`). Errors are ignored."""
    outcomes = [left_behind(saved)._replace(stopped="left") for saved in runs]
    with suppress(ActionError):
        airflow = session.connect(session.deadline(READ_SECONDS))
        deadline = session.deadline(READ_SECONDS)
        for place, saved in enumerate(runs):
            outcomes[place] = outcomes[place]._replace(
                airflow_version=airflow.version,
                run_url=airflow.run_url(saved.dag_id, saved.run_id),
            )
            fetch = partial(airflow.within(deadline).get_run, saved.dag_id, saved.run_id)
            run = session.retrier.within(deadline).read(fetch)
            outcomes[place] = outcomes[place]._replace(run=run)
    return outcomes
