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
    StartPostponed,
    TransientError,
    TriggerRefused,
    TriggerUnclear,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import Refusals
from entrypoint.run.existing import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.airflow.client import Airflow
    from entrypoint.deadline import Deadline
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


class Attempts:
    """The triggers of one of several DAG runs. Other runs are started between two of them.

    Attributes:
        sent: number of triggers without a clear response.
        unclear: whether no request since the last trigger has told if the run exists.
        response: the failure of the last one.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.unclear = False
        self.response: ActionError
        self._end: Deadline
        self._repeatable = True
        self._refusals = Refusals()

    def find(self, fetch: Callable[[], DagRun | None], retrier: Retrier) -> DagRun | None:
        """Return the run if it exists by now.

        Any failure is retried, as after a single trigger, because the run may be going on.

        Args:
            fetch: requests the run.
            retrier: raises StartPostponed in place of a pause.

        Raises:
            StartPostponed: Airflow does not say.
            Unauthorized, Forbidden: it has refused the credential for a while.
        """
        found = retrier.read(fetch, retry_refused=True, refusals=self._refusals)
        self._refusals = Refusals()
        return found

    def record(self, response: ActionError, *, last: bool, end: Deadline) -> None:
        """Record a trigger without a clear response.

        Args:
            response: the failure.
            last: whether a repetition would fail again.
            end: until when the run may still appear.
        """
        self.sent += 1
        self.unclear, self.response, self._end = True, response, end
        self._repeatable = not last

    def forbid(self, reason: ActionError) -> None:
        """Record the reason why a repetition would fail again."""
        self.response, self._repeatable = reason, False

    def require_repeatable(self, *, last_chance: bool) -> None:
        """Check that there may be another trigger, after a request that showed no run.

        Args:
            last_chance: whether to use the last one of MAX_TRIGGER_ATTEMPTS now.

        Raises:
            StartPostponed: there may not be one now, or the run of the last one may still appear.
            ActionError: the failure of the last trigger, which created nothing.
        """
        self.unclear = False
        most = MAX_TRIGGER_ATTEMPTS if last_chance else MAX_TRIGGER_ATTEMPTS - 1
        if not self.sent or (self._repeatable and self.sent < most):
            return
        may_follow = self._repeatable and self.sent < MAX_TRIGGER_ATTEMPTS
        if not may_follow and self._end.has_passed():
            raise self.response
        raise StartPostponed(self.response, outage=False)


def trigger(
    airflow: Airflow,
    request: RunRequest,
    retrier: Retrier,
    *,
    settle_not_found: bool = True,
    may_be_ours: Callable[[DagRun], bool] = lambda _: True,
    attempts: Attempts | None = None,
) -> tuple[DagRun, bool]:
    """Create the DAG run.

    Args:
        airflow: API client.
        request: the DAG run to create.
        retrier: clock, sleep, backoff, and the deadline for an unclear response.
        settle_not_found: whether to poll for the run even if Airflow does not know the DAG.
        may_be_ours: function that returns whether this step may have created a run that was found
            after an unclear response.
        attempts: the earlier triggers; None if this call repeats the POST itself.

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
        StartPostponed: with `attempts`, this POST had no clear response, and there is no run yet.
    """
    run, made = _trigger(airflow, request, retrier, settle_not_found, may_be_ours, attempts)
    return airflow.complete_trigger(run, request) if made else run, made


def adopt(
    airflow: Airflow, request: RunRequest, found: DagRun, may_be_ours: Callable[[DagRun], bool]
) -> tuple[DagRun, bool]:
    """Return a run that was found after an unclear response, like `trigger`.

    Another client may have created a run with this id while the response was unclear.
    """
    made = may_be_ours(found) and not differences(found, request)
    return airflow.complete_trigger(found, request) if made else found, made


def _trigger(  # noqa: PLR0917 - like `trigger`
    airflow: Airflow,
    request: RunRequest,
    retrier: Retrier,
    settle_not_found: bool,  # noqa: FBT001 - like `trigger`
    may_be_ours: Callable[[DagRun], bool],
    attempts: Attempts | None,
) -> tuple[DagRun, bool]:
    unclear = attempts is not None and attempts.sent > 0
    for failures in range(MAX_TRIGGER_ATTEMPTS):
        try:
            return airflow.trigger(request), True
        except ActionError as error:
            response = error
        unclear = unclear or _is_unclear(response)
        last = failures + 1 == MAX_TRIGGER_ATTEMPTS or not _is_repeatable(response)
        if attempts is not None and _is_unclear(response):
            attempts.record(response, last=last, end=retrier.deadline.at_most(SETTLE_SECONDS))
            return _find_or_postpone(airflow, request, retrier, may_be_ours, attempts)
        # An earlier POST may still take effect although a gateway refuses this one. A 404 for a
        # DAG that existed a moment ago may be wrong as well. So give the run time to appear.
        not_found = settle_not_found and isinstance(response, DagNotFound)
        settle = SETTLE_SECONDS * (last and (unclear or not_found))
        # A gateway may have refused the response of a trigger that Airflow has executed.
        _set_unclear(attempts, unclear=isinstance(response, CredentialRenewed))
        with _raise_unclear(request):
            if _is_unclear(response):
                retrier.backoff(response, failures)
            found = _find(airflow, request, retrier, settle=settle)
            _set_unclear(attempts, unclear=False)
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
    raise _final_error(request, response, unclear=unclear, late=retrier.deadline.has_passed())


def _set_unclear(attempts: Attempts | None, *, unclear: bool) -> None:
    if attempts is not None:
        attempts.unclear = unclear


def _final_error(
    request: RunRequest, response: ActionError, *, unclear: bool, late: bool
) -> ActionError:
    """Return the error for a trigger after which no run was found."""
    refused = isinstance(response, (Conflict, Forbidden, Unauthorized, TriggerRefused))
    if unclear and (refused or late):
        return trigger_unclear(request, response)
    return _without_conflict(request, response)


def _find_or_postpone(
    airflow: Airflow,
    request: RunRequest,
    retrier: Retrier,
    may_be_ours: Callable[[DagRun], bool],
    attempts: Attempts,
) -> tuple[DagRun, bool]:
    """Return the run if it exists after a POST without a clear response, like `trigger`."""
    with _raise_unclear(request):
        found = _find(airflow, request, retrier, settle=0.0)
        explained = None if found is not None else _explained(airflow, request, attempts.response)
    attempts.unclear = False
    if found is not None:
        made = may_be_ours(found)
        return found, made and not differences(found, request)
    if explained is not None:
        if attempts.sent == 1:
            raise _without_conflict(request, explained)
        # The refusal is certain for this request, but an earlier POST was unclear.
        attempts.forbid(explained)
    raise StartPostponed(attempts.response, outage=False)


def _is_repeatable(response: ActionError) -> bool:
    """Return whether the same POST may have another result."""
    return isinstance(response, (TransientError, UnexpectedResponse)) and not isinstance(
        response, ServerFailure
    )


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
        raise trigger_unclear(request, error) from None


def trigger_unclear(request: RunRequest, error: ActionError) -> TriggerUnclear:
    """Return the error for a trigger without a clear response, and requests that all failed."""
    return TriggerUnclear(
        "Airflow may or may not have made the DAG run",
        "Its response to the trigger was lost, and no later request has found the run. The run's "
        f"id is {request.run_id}. Last error: {error.detail}",
        "Look for that run id in Airflow. Re-running this job is safe: it finds the run if it "
        "exists.",
    )


def _without_conflict(request: RunRequest, error: ActionError) -> ActionError:
    return conflict_error(request, error) if isinstance(error, Conflict) else error


def conflict_error(request: RunRequest, conflict: Conflict) -> RunExists:
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
