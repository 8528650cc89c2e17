"""Create exactly one DAG run, whatever happens between request and response.

The step chooses the run id before it sends the POST. So after a POST without a clear response, a
GET of that id decides. If the run exists, this step or an earlier attempt of it created the run. If
not, the POST had no effect, and only then is it repeated
(docs/notes/airflow-2.md#trigger-without-a-clear-answer,
docs/notes/airflow-3.md#trigger-without-a-clear-answer). No other module may repeat that POST.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.errors import (
    ActionError,
    Conflict,
    CredentialRenewed,
    DagNotFound,
    Forbidden,
    RunExists,
    ServerFailure,
    TransientError,
    TriggerRefused,
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

SETTLE_SECONDS = 30.0
"""Seconds to poll for the run after the last POST had no clear response.

Measured: docs/notes/airflow-3.md#timing.
"""
SETTLE_POLL_SECONDS = 5.0
"""Seconds between two such polls."""
HTTP_SERVER_ERROR = 500
"""The status of a failure in Airflow itself; a gateway's are 502, 503 and 504."""
MAX_TRIGGER_ATTEMPTS = 5
"""Maximum POSTs, even if a GET after each shows that there is no run."""


def trigger(
    airflow: Airflow,
    request: RunRequest,
    retrier: Retrier,
    *,
    settle_not_found: bool = True,
    may_be_ours: Callable[[DagRun], bool] = lambda _: True,
) -> tuple[DagRun, bool]:
    """Create the DAG run.

    Args:
        airflow: API client.
        request: the DAG run to create.
        retrier: clock, sleep, backoff, and the deadline for an unclear response.
        settle_not_found: whether to poll for the run even if Airflow does not know the DAG.
        may_be_ours: function that returns whether this step may have created a run that was found
            after an unclear response.

    Returns:
        The run, and whether this step created it. If not, another client created a run with this
        id first.

    Raises:
        RunExists: another run has the logical date.
        TriggerUnclear: at the deadline it is still unknown whether the run exists.
        TransientError, UnexpectedResponse: each POST failed, and SETTLE_SECONDS seconds after the
            last one there is no run.
        InvalidConf, DagNotFound, Forbidden, Unauthorized, TriggerRefused: Airflow or a gateway
            refused and created nothing.
    """
    run, made = _trigger(airflow, request, retrier, settle_not_found, may_be_ours)
    return airflow.complete_trigger(run, request) if made else run, made


def _trigger(
    airflow: Airflow,
    request: RunRequest,
    retrier: Retrier,
    settle_not_found: bool,  # noqa: FBT001 - like `trigger`
    may_be_ours: Callable[[DagRun], bool],
) -> tuple[DagRun, bool]:
    unclear = False
    for failures in range(MAX_TRIGGER_ATTEMPTS):
        try:
            return airflow.trigger(request), True
        except ActionError as error:
            response = error
        retryable = isinstance(response, (TransientError, UnexpectedResponse))
        unclear = unclear or _is_unclear(response)
        last = (
            not retryable
            or isinstance(response, ServerFailure)
            or failures + 1 == MAX_TRIGGER_ATTEMPTS
        )
        # An earlier POST may still take effect although a gateway refuses this one. A 404 for a
        # DAG that existed a moment ago may be wrong as well. So give the run time to appear.
        settle = (
            SETTLE_SECONDS
            if last and (unclear or (settle_not_found and isinstance(response, DagNotFound)))
            else 0.0
        )
        with _raise_unclear(request):
            if _is_unclear(response):
                retrier.backoff(response, failures)
            found = _find(airflow, request, retrier, settle=settle)
            explained = None if found is not None else _explained(airflow, request, response)
            if explained is not None and failures and not settle:
                # The refusal is certain for this request, but an earlier POST was unclear.
                found = _find(airflow, request, retrier, settle=SETTLE_SECONDS)
        if found is None and explained is not None:
            raise _without_conflict(request, explained)
        if found is not None:
            # Another client may have created a run with this id while the response was unclear.
            made = (unclear or not isinstance(response, Conflict)) and may_be_ours(found)
            return found, made and not differences(found, request)
        if last:
            break
    if unclear and (
        isinstance(response, (Conflict, Forbidden, Unauthorized, TriggerRefused))
        or retrier.deadline.has_passed()
    ):
        raise _trigger_unclear(request, response)
    raise _without_conflict(request, response)


def _is_unclear(response: ActionError) -> bool:
    """Return whether the POST may still take effect.

    One whose credential was refused may have taken effect behind a gateway that refused its
    response, so a GET has to show that; but it does not take effect later.
    """
    return isinstance(response, (TransientError, UnexpectedResponse)) and not isinstance(
        response, CredentialRenewed
    )


def _find(
    airflow: Airflow, request: RunRequest, retrier: Retrier, *, settle: float
) -> DagRun | None:
    """Return the run if it exists or appears within `settle` seconds, else None.

    A busy Airflow may still be creating it.
    """
    fetch = partial(airflow.get_run, request.dag_id, request.run_id)
    end = retrier.deadline.at_most(settle)
    while True:
        found = retrier.read(fetch, retry_refused=True)
        if found is not None or end.has_passed():
            return found
        retrier.sleep(min(SETTLE_POLL_SECONDS, end.seconds_left()))


def _explained(airflow: Airflow, request: RunRequest, response: ActionError) -> ActionError | None:
    """Return the reason for a 500 without one, if a repetition would meet it again."""
    if not isinstance(response, TransientError) or response.status != HTTP_SERVER_ERROR:
        return None
    return airflow.explain_failed_trigger(request)


@contextmanager
def _raise_unclear(request: RunRequest) -> Iterator[None]:
    """Raise TriggerUnclear if a request inside fails, so that the error names the run id."""
    try:
        yield
    except (TransientError, UnexpectedResponse, Unauthorized, Forbidden) as error:
        raise _trigger_unclear(request, error) from None


def _trigger_unclear(request: RunRequest, error: ActionError) -> TriggerUnclear:
    return TriggerUnclear(
        "Airflow may or may not have made the DAG run",
        "Its response to the trigger was lost, and no later request has found the run. The run's "
        f"id is {request.run_id}. Last error: {error.detail}",
        "Look for that run id in Airflow. Re-running this job is safe: it finds the run if it "
        "exists.",
    )


def _without_conflict(request: RunRequest, error: ActionError) -> ActionError:
    return _conflict_error(request, error) if isinstance(error, Conflict) else error


def _conflict_error(request: RunRequest, conflict: Conflict) -> RunExists:
    """Return the error for a conflict when there is no run with this id.

    Then another run has the logical date, if the request has one.
    Measured: docs/notes/airflow-3.md#conflicts.
    """
    if request.logical_date is None:
        return RunExists(
            "Airflow says that the DAG run exists, but does not return it",
            f"It refused the run id {request.run_id} as taken: {conflict.detail}",
            "Re-run this job: the run may have been deleted at this moment.",
        )
    return RunExists(
        "The logical date is taken by another DAG run",
        f"Airflow has a run of {request.dag_id} for {request.logical_date.isoformat()} "
        f"under another id: {conflict.detail}",
        "Choose another logical_date, or leave it out: Airflow allows one run for each "
        "logical date.",
    )
