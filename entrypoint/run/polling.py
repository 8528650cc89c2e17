"""Until the DAG run's end, or the deadline. Only these two end the wait, or a credential that is
refused for good.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

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
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, RunState
    from entrypoint.run.schedule import UsualDuration


FRESH_SECONDS = 10.0
"""Seconds for which a state that was seen is still what is known, if the last look before the end
of the time fails.
"""


class WaitLimits(NamedTuple):
    """How long to wait, and how often to look.

    Attributes:
        since: moment of the trigger on the monotonic clock.
        timeout: seconds from then on.
        start_timeout: seconds for which the run may stay queued.
        poll_interval: fixed pause between looks in seconds, None for the automatic pace.
        expected: how long the DAG usually takes, for that pace.
    """

    since: float
    timeout: float
    start_timeout: float = inf
    poll_interval: float | None = None
    expected: UsualDuration | None = None


def wait_for_end(
    airflow: Airflow,
    run: DagRun,
    retrier: Retrier,
    times: WaitLimits,
    *,
    on_poll: Callable[[DagRun], None] = lambda _: None,
    next_poll: Callable[[DagRun], float] = lambda _: inf,
) -> tuple[DagRun, float]:
    """Look at the run until it has ended or the time is over.

    That the run is gone or the credential refused must be said for a minute before it is believed:
    a gateway that is just being replaced must not end a wait of hours.

    Args: airflow: where the run is. run: the run as the trigger left it. retrier: clock, sleep, and
        the rule for failed looks. times: how long, and how often. on_poll: is called with the run
        after every look at it that is not the last. next_poll: returns the moment on the clock from
        which on that is wanted again, for a run that is like this.

    Returns: The run as last seen (not ended: the time is over), and the moment since which it is in
        that state.

    Raises: RunNotFound: somebody deleted the run meanwhile. Unauthorized, Forbidden: the credential
        is refused now. StateUnknown: the time is over, and Airflow has not said for a while how the
        run is, or a refusal is not believed.
    """
    return _Poller(airflow, run, retrier, times, next_poll).until_end(on_poll)


class _Poller:
    def __init__(
        self,
        airflow: Airflow,
        run: DagRun,
        retrier: Retrier,
        times: WaitLimits,
        next_poll: Callable[[DagRun], float],
    ) -> None:
        self._airflow = airflow
        self._run = run
        self._retrier = retrier
        self._times = times
        self._next_poll = next_poll
        self._stream = StateStream(airflow, retrier)
        self._entered = times.since
        self._deadline = times.since + times.timeout
        self._seen_at = retrier.clock()

    def until_end(self, on_poll: Callable[[DagRun], None]) -> tuple[DagRun, float]:
        self._retrier.events.run_state(self._run)
        while not self._run.ended and self._seconds_left() > 0:
            result = self._pause()
            if result is not StreamResult.ONGOING or self._seconds_left() <= 0:
                self._poll()
                if result is StreamResult.ENDED and not self._run.ended:
                    self._stream.record_failure()
            if not self._run.ended:
                on_poll(self._run)
        return self._run, self._entered

    def _seconds_left(self) -> float:
        """Return the seconds for which the run may go on as it is."""
        end = self._deadline
        if self._run.state == "queued":
            end = min(end, self._entered + self._times.start_timeout)
        return end - self._retrier.clock()

    def _pause(self) -> StreamResult:
        """Let the time until the next look pass, and tell what was result meanwhile."""
        fixed, began, left = self._times.poll_interval, self._retrier.clock(), self._seconds_left()
        if fixed is not None:
            self._retrier.sleep(min(fixed, left))
            return StreamResult.NOTHING
        waited = began - self._times.since
        pause = self._retrier.jittered(
            poll_interval_after(waited, self._running_for(), self._times.expected)
        )
        most = max(min(left, self._next_poll(self._run) - began), 0.0)
        result = self._stream.read(self._run, waited, most, self._streamed)
        if result is StreamResult.NOTHING:
            spent = self._retrier.clock() - began
            self._retrier.sleep(max(min(pause - spent, self._seconds_left()), 0.0))
        return result

    def _streamed(self, state: RunState) -> bool:
        self._record(self._run._replace(state=state))
        return self._retrier.clock() < self._next_poll(self._run)

    def _poll(self) -> None:
        """Look at the run. Raises as `wait`.

        It ends with the time of a run that stays as it is. What is not believed then is no more
        than a silence; and a silence of seconds leaves the state that was seen.
        """
        refusals = Refusals()
        try:
            until = self._retrier.clock() + self._seconds_left()
            seen = self._retrier.read(self._get, until=until, retry_refused=True, refusals=refusals)
        except (TransientError, UnexpectedResponse, Unauthorized, Forbidden, RunNotFound) as fault:
            refused = not isinstance(fault, (TransientError, UnexpectedResponse))
            if refused and refusals.final(self._retrier.clock()):
                raise
            silent = self._retrier.clock() - self._seen_at
            if silent > max(FRESH_SECONDS, 2 * (self._times.poll_interval or 0.0)):
                raise _silent(self._run, silent, fault) from None
            return
        self._record(seen)

    def _get(self) -> DagRun:
        seen = self._airflow.get_run(self._run.dag_id, self._run.run_id)
        if seen is None:
            raise _deleted(self._run)
        return seen

    def _record(self, run: DagRun) -> None:
        if run.state != self._run.state:
            self._entered = self._retrier.clock()
        self._run, self._seen_at = run, self._retrier.clock()
        self._retrier.events.run_state(run)

    def _running_for(self) -> float | None:
        """Return for how long the run has been running: by Airflow's clock, too, for it may have
        begun before it was seen.
        """
        if self._run.state != "running":
            return None
        seen = self._retrier.clock() - self._entered
        now, start = self._airflow.now, self._run.start_date
        return seen if now is None or start is None else max(seen, (now - start).total_seconds())


def _silent(run: DagRun, seconds: float, fault: ActionError) -> StateUnknown:
    return StateUnknown(
        "Airflow did not answer until the time was over",
        f"For {seconds:.0f} s nothing could be read of the run {run.run_id} of "
        f"{run.dag_id}; it was last seen {run.state}, "
        f"and may have ended since. Last: {fault.title}. {fault.detail}",
        "Look at the web server's or gateway's own health and log. Re-running this job "
        "continues the same DAG run.",
    )


def _deleted(run: DagRun) -> RunNotFound:
    return RunNotFound(
        "The DAG run was deleted while this step waited for it",
        f"Airflow no longer knows the run {run.run_id} of {run.dag_id}; it was last seen "
        f"{run.state}.",
        "Find out who deleted it (Airflow's audit log says so), then re-run this job.",
    )
