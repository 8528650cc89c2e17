"""Exactly one DAG run, whatever happens between request and answer.

The run id is chosen beforehand, so an unclear answer is settled by reading that id: found is this
step's run, or an earlier attempt's; not found means that nothing was made, and only then is the
POST repeated (docs/notes/airflow-2.md#trigger-without-a-clear-answer,
docs/notes/airflow-3.md#trigger-without-a-clear-answer). Nobody else may repeat that POST.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.errors import (
    ActionError,
    Conflict,
    DagNotFound,
    Forbidden,
    RunExists,
    TransientError,
    TriggerUnclear,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.run.existing import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, RunRequest

SETTLE_SECONDS, SETTLE_POLL_SECONDS = 30.0, 5.0
"""Seconds for which a run whose last trigger had no clear answer is looked for, and between two
looks.

Measured: docs/notes/airflow-3.md#timing.
"""
MAX_TRIGGER_ATTEMPTS = 5
"""How often the POST is repeated although reading works and says that nothing was made."""


def trigger(
    airflow: Airflow,
    request: RunRequest,
    retrier: Retrier,
    *,
    until: float,
    settle_not_found: bool = True,
    may_be_ours: Callable[[DagRun], bool] = lambda _: True,
) -> tuple[DagRun, bool]:
    """Make the DAG run.

    Args: airflow: where. request: the run. retrier: clock, sleep and the rule for failures. until:
        moment on the clock up to which an unclear answer is looked after. settle_not_found: fetch
        for the run as well if Airflow says that there is no such DAG. may_be_ours: whether a run
        that was found after an unclear answer can be the one that this step asked for.

    Returns: The run, and whether this step made it: False means that somebody else was faster with
        the same id.

    Raises: RunExists: the logical date is taken by another run. TriggerUnclear: it could not be
        found out until `until` whether the run exists. TransientError, UnexpectedResponse: Airflow
        failed again and again, and SETTLE_SECONDS seconds later there is no run. InvalidConf,
        DagNotFound, Forbidden, Unauthorized: Airflow refused, and made nothing.
    """
    lost = False
    for failures in range(MAX_TRIGGER_ATTEMPTS):
        try:
            return airflow.trigger(request), True
        except (TransientError, UnexpectedResponse) as fault:
            answer: ActionError = fault
            lost, last = True, failures + 1 == MAX_TRIGGER_ATTEMPTS
        except ActionError as refusal:
            answer, last = refusal, True
        # A gateway may refuse what it has let through, and the DAG was there a moment ago: its 404
        # is odd.
        late = (
            SETTLE_SECONDS
            if last and (lost or (settle_not_found and isinstance(answer, DagNotFound)))
            else 0.0
        )
        with _unclear_for_good(request):
            if isinstance(answer, (TransientError, UnexpectedResponse)):
                retrier.backoff(answer, failures, until)
            found = _find(airflow, request, retrier, until, late=late)
        if found is not None:
            # Somebody else may have been faster with the same id while the answer was unclear.
            made = (lost or not isinstance(answer, Conflict)) and may_be_ours(found)
            return found, made and not differences(found, request)
        if last:
            break
    if lost and (
        isinstance(answer, (Conflict, Forbidden, Unauthorized)) or retrier.clock() >= until
    ):
        raise _unclear(request, answer)
    raise _taken(request, answer) if isinstance(answer, Conflict) else answer


def _find(
    airflow: Airflow, request: RunRequest, retrier: Retrier, until: float, *, late: float
) -> DagRun | None:
    """Return the run if it is there, or comes within so many seconds: a busy Airflow may still be
    at it.
    """
    fetch = partial(airflow.get_run, request.dag_id, request.run_id)
    end = min(retrier.clock() + late, until)
    while True:
        found = retrier.read(fetch, until=until, retry_refused=True)
        if found is not None or retrier.clock() >= end:
            return found
        retrier.sleep(min(SETTLE_POLL_SECONDS, end - retrier.clock()))


@contextmanager
def _unclear_for_good(request: RunRequest) -> Iterator[None]:
    """Name the run that may exist if the time is over before reading could settle it."""
    try:
        yield
    except (TransientError, UnexpectedResponse, Unauthorized, Forbidden) as fault:
        raise _unclear(request, fault) from None


def _unclear(request: RunRequest, fault: ActionError) -> TriggerUnclear:
    return TriggerUnclear(
        "Airflow may or may not have made the DAG run",
        "Its answer to the trigger was lost, and no fetch has shown the run since. The "
        f"run's id is {request.run_id}. "
        f"Last: {fault.detail}",
        "Look for that run id in Airflow. Re-running this job is safe: it finds the run if "
        "it exists.",
    )


def _taken(request: RunRequest, conflict: Conflict) -> RunExists:
    """Name what is taken: there is no run of this id, so it is the logical date, if one was asked
    for.

    Measured: docs/notes/airflow-3.md#conflicts.
    """
    if request.logical_date is None:
        return RunExists(
            "Airflow says that the DAG run exists, and does not show it",
            f"It refused the run id {request.run_id} as taken: {conflict.detail}",
            "Somebody may have deleted the run at this moment: re-run this job.",
        )
    return RunExists(
        "The logical date is taken by another DAG run",
        f"Airflow has a run of {request.dag_id} for {request.logical_date.isoformat()} "
        f"under another id: {conflict.detail}",
        "Choose another logical_date, or leave it out: Airflow allows one run for each "
        "logical date.",
    )
