"""Follow the DAG run until it ends, the time is over, or Airflow refuses the credential.

It does not know why the run does not move or why tasks failed.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from entrypoint.deadline import Deadline
from entrypoint.errors import (
    ActionError,
    Forbidden,
    RunNotFound,
    StateUnknown,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import Refusals
from entrypoint.run.schedule import poll_interval_after
from entrypoint.run.streaming import StateStream, StreamResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, RunState
    from entrypoint.run.schedule import UsualDuration


FRESH_SECONDS = 10.0
"""Age in seconds up to which the last known state still counts if the last poll fails."""


class WaitLimits(NamedTuple):
    """The time limits and the poll interval of a wait.

    Attributes:
        since: time of the trigger on the monotonic clock.
        timeout: seconds to wait, counted from `since`.
        start_timeout: seconds for which the run may stay queued.
        poll_interval: fixed seconds between polls, None for an automatic interval.
        expected: usual duration of the DAG's runs, for the automatic interval.
    """

    since: float
    timeout: float
    start_timeout: float = inf
    poll_interval: float | None = None
    expected: UsualDuration | None = None


class Seen(NamedTuple):
    """A run as a poll or its state stream showed it.

    Attributes:
        run: the run.
        since: clock time since which it has been in its state.
    """

    run: DagRun
    since: float


def poll(
    airflow: Airflow,
    run: DagRun,
    retrier: Retrier,
    limits: WaitLimits,
    next_poll: Callable[[DagRun], float] = lambda _: inf,
) -> Iterator[Seen]:
    """Yield the run after each poll, until it has ended or the time is over.

    A 404 for the run or a refused credential becomes final only after a minute, because a gateway
    that is just being replaced must not end a wait of hours.

    Args:
        airflow: API client.
        run: the run as the trigger returned it.
        retrier: clock, sleep and backoff.
        limits: time limits and poll interval.
        next_poll: function from a run to the clock time at which the consumer wants to see it
            again, even if its state has not changed.

    Raises:
        RunNotFound: the run was deleted during the wait.
        Unauthorized, Forbidden: Airflow now refuses the credential.
        StateUnknown: the time is over, and the last known state is too old.
    """
    return _Poller(airflow, run, retrier, limits, next_poll).polls()


class _Poller:
    def __init__(
        self,
        airflow: Airflow,
        run: DagRun,
        retrier: Retrier,
        limits: WaitLimits,
        next_poll: Callable[[DagRun], float],
    ) -> None:
        self._airflow = airflow
        self._run = run
        self._retrier = retrier
        self._limits = limits
        self._next_poll = next_poll
        self._stream = StateStream(airflow, retrier)
        self._state_since = limits.since
        self._deadline = limits.since + limits.timeout
        self._last_seen_at = retrier.clock()

    def polls(self) -> Iterator[Seen]:
        self._retrier.events.run_state(self._run)
        while not self._run.ended and self._seconds_left() > 0:
            result = self._pause()
            if result is not StreamResult.ONGOING or self._seconds_left() <= 0:
                self._poll()
                if result is StreamResult.ENDED and not self._run.ended:
                    self._stream.record_failure()
            yield Seen(self._run, self._state_since)

    def _seconds_left(self) -> float:
        """Return the seconds left before the run exceeds a limit in its current state."""
        end = self._deadline
        if self._run.state == "queued":
            end = min(end, self._state_since + self._limits.start_timeout)
        return end - self._retrier.clock()

    def _pause(self) -> StreamResult:
        """Sleep or read the state stream until the next poll; return the stream's result."""
        fixed, began, left = self._limits.poll_interval, self._retrier.clock(), self._seconds_left()
        if fixed is not None:
            self._retrier.sleep(min(fixed, left))
            return StreamResult.NOTHING
        waited = began - self._limits.since
        pause = self._retrier.jittered(
            poll_interval_after(waited, self._running_for(), self._limits.expected)
        )
        max_seconds = max(min(left, self._next_poll(self._run) - began), 0.0)
        result = self._stream.read(self._run, waited, max_seconds, self._on_state)
        if result is StreamResult.NOTHING:
            spent = self._retrier.clock() - began
            self._retrier.sleep(max(min(pause - spent, self._seconds_left()), 0.0))
        return result

    def _on_state(self, state: RunState) -> bool:
        """Record a streamed state; return whether to read on."""
        self._record(self._run._replace(state=state))
        return self._retrier.clock() < self._next_poll(self._run)

    def _poll(self) -> None:
        """Request the run and record its state. Raises like `poll`.

        At the end of the time, a refusal that is not final counts as a missing response. After only
        a few seconds without a response, the last known state still counts.
        """
        refusals = Refusals()
        try:
            deadline = Deadline.after(self._retrier.clock, self._seconds_left())
            seen = self._retrier.within(deadline).read(
                self._get, retry_refused=True, refusals=refusals
            )
        except (TransientError, UnexpectedResponse, Unauthorized, Forbidden, RunNotFound) as error:
            refused = not isinstance(error, (TransientError, UnexpectedResponse))
            if refused and refusals.final(self._retrier.clock()):
                raise
            age = self._retrier.clock() - self._last_seen_at
            if age > max(FRESH_SECONDS, 2 * (self._limits.poll_interval or 0.0)):
                raise _state_unknown(self._run, age, error) from None
            return
        self._record(seen)

    def _get(self) -> DagRun:
        seen = self._airflow.get_run(self._run.dag_id, self._run.run_id)
        if seen is None:
            raise _deleted(self._run)
        return seen

    def _record(self, run: DagRun) -> None:
        if run.state != self._run.state:
            self._state_since = self._retrier.clock()
        self._run, self._last_seen_at = run, self._retrier.clock()
        self._retrier.events.run_state(run)

    def _running_for(self) -> float | None:
        """Return the seconds for which the run has been running, None if it is not.

        It may have started before the first poll that showed it, so Airflow's clock counts too.
        """
        if self._run.state != "running":
            return None
        seen = self._retrier.clock() - self._state_since
        now, start = self._airflow.now, self._run.start_date
        return seen if now is None or start is None else max(seen, (now - start).total_seconds())


def _state_unknown(run: DagRun, seconds: float, error: ActionError) -> StateUnknown:
    return StateUnknown(
        "Airflow did not answer before the timeout",
        f"For {seconds:.0f} s no request for the run {run.run_id} of {run.dag_id} succeeded. Its "
        f"last known state is {run.state}, and it may have ended since. Last error: {error.title}. "
        f"{error.detail}",
        "Check the health and the log of the web server or gateway. Re-running this job continues "
        "the same DAG run.",
    )


def _deleted(run: DagRun) -> RunNotFound:
    return RunNotFound(
        "The DAG run was deleted while this step waited for it",
        f"Airflow no longer knows the run {run.run_id} of {run.dag_id}; its last known state is "
        f"{run.state}.",
        "Check Airflow's audit log to see who deleted it, then re-run this job.",
    )
