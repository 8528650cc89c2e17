"""Follow DAG runs until they end, their time is over, or Airflow refuses the credential.

It does not know why a run does not move or why tasks failed.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol

from entrypoint.errors import (
    ActionError,
    Forbidden,
    RunNotFound,
    StateUnknown,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
    Unreachable,
)
from entrypoint.http.retry import Refusals
from entrypoint.run.schedule import poll_interval_after
from entrypoint.run.streaming import StateStream, StreamResult, stream_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from entrypoint.airflow.client import Airflow
    from entrypoint.deadline import Deadline
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, RunState
    from entrypoint.run.schedule import UsualDuration


FRESH_SECONDS = 10.0
"""Age in seconds up to which the last known state still counts if the last poll fails."""
SEVERAL_RUNS_FACTOR = 2.5
"""Factor of the interval for several runs, because a list costs Airflow more than one run."""
WORK_INTERVAL = 0.95
"""Interval of a stream in seconds if there is other work between its states."""
TOLERANCE_SECONDS = 0.475
"""Seconds by which other work may begin early, so that it need not wait for the next state."""
_MAX_WORK = 3
"""Parts of other work in a row."""
_MIN_WORK_SECONDS = 0.5
"""Seconds that must be left before the next poll for other work to begin."""
MAX_LIST_FAILURES = 2
"""Failures in a row after which several runs are no longer requested by one list."""


class WaitLimits(NamedTuple):
    """The time limits and the poll interval of a wait.

    Attributes:
        since: time of the trigger on the monotonic clock.
        deadline: the end of the timeout, with the maximum seconds of one request.
        start_timeout: seconds for which the run may stay queued.
        poll_interval: fixed seconds between polls, None for an automatic interval.
        expected: usual duration of the DAG's runs, for the automatic interval.
    """

    since: float
    deadline: Deadline
    start_timeout: float = inf
    poll_interval: float | None = None
    expected: UsualDuration | None = None


class Work(Protocol):
    """What a consumer does while the run is not polled."""

    def due(self, run: DagRun) -> float:
        """Return the clock time from which there is something to do."""

    def do(self, run: DagRun, deadline: Deadline) -> None:
        """Do a part of it, by one short request. It may come TOLERANCE_SECONDS early."""


class FollowedRun:
    """One DAG run that `poll` follows, as it was seen last.

    Args:
        run: the run as the trigger returned it.
        limits: time limits and poll interval.
        seen_at: clock time of that response.
        next_poll: function from a run to the clock time at which the consumer wants to see it
            again, even if its state has not changed.
        on_state: called with the run at first, and for each poll and each streamed state.
        next_read: function from a run to the clock time at which the consumer has to read its
            tasks, infinite if it need not. The run is yielded then, without a poll of it.
        work: what to do between two polls, or between two states of a stream.

    Attributes:
        run: the run as the last poll or its state stream showed it.
        since: clock time since which it has been in its state.
        checked_at: clock time of the end of the last request for it, whether it failed or not.
        worked_at: clock time at which its other work began last.
        failures: requests for it alone in a row that had no complete response.
        done: whether `poll` has stopped to follow it: it ended, its time is over, or it failed.
        error: why it cannot be followed any more, None if it can.
    """

    def __init__(
        self,
        run: DagRun,
        limits: WaitLimits,
        seen_at: float,
        next_poll: Callable[[DagRun], float] = lambda _: inf,
        on_state: Callable[[DagRun], None] = lambda _: None,
        *,
        next_read: Callable[[DagRun], float] = lambda _: inf,
        work: Work | None = None,
    ) -> None:
        self.work = work
        self.run = run
        self.limits = limits
        self.seen_at = seen_at
        self.next_poll = next_poll
        self.on_state = on_state
        self.next_read = next_read
        self.since = limits.since
        self.checked_at = seen_at
        self.worked_at = -inf
        self.failures = 0
        self.done = False
        self.error: ActionError | None = None
        self.refusals = Refusals()

    def record(self, run: DagRun, now: float) -> None:
        """Record the run as it was seen at this moment. One that goes on is followed again."""
        if run.state != self.run.state:
            self.since = now
        self.run, self.seen_at, self.checked_at, self.failures = run, now, now, 0
        self.done = self.done and run.ended
        self.refusals = Refusals()

    @property
    def deadline(self) -> Deadline:
        """When the run exceeds a limit in its current state."""
        end = self.limits.deadline
        if self.run.state == "queued":
            end = end._replace(at=min(end.at, self.since + self.limits.start_timeout))
        return end

    def is_over(self) -> bool:
        """Return whether there is nothing more to wait for.

        The time is over only after a request at its end. Before, the consumer may have been busy
        with another run for long, and this one may have ended in time.
        """
        return self.run.ended or self.error is not None or self.deadline.at <= self.checked_at


def poll(airflow: Airflow, runs: Sequence[FollowedRun], retrier: Retrier) -> Iterator[FollowedRun]:
    """Yield each run at first, after each poll and at each `next_read`, until it is `done`.

    One run is followed by its state stream, if Airflow has one; several are requested together.
    Between two polls, the consumer may add runs, and record that an ended one was cleared.

    A 404 for a run or a refused credential becomes final only after a minute, because a gateway
    that is just being replaced must not end a wait of hours. The run's error is then RunNotFound
    (it was deleted during the wait), Unauthorized or Forbidden (Airflow now refuses the
    credential). It is StateUnknown if the time is over and the last known state is too old.

    Args:
        airflow: API client.
        runs: the runs to follow.
        retrier: clock, sleep and backoff.
    """
    poller = _Poller(airflow, retrier)
    known: list[FollowedRun] = []
    while True:
        new = [followed for followed in runs if followed not in known]
        known += new
        for followed in new:
            followed.on_state(followed.run)
        waiting = new or [followed for followed in known if not followed.done]
        if not waiting:
            return
        if not new:
            poller.poll(waiting)
        for followed in waiting:
            followed.done = followed.is_over()
            yield followed


class _Poller:
    def __init__(self, airflow: Airflow, retrier: Retrier) -> None:
        self._airflow = airflow
        self._retrier = retrier
        self._stream = StateStream(retrier)
        self._list_failures = 0
        self._due: float | None = None

    def poll(self, waiting: list[FollowedRun]) -> None:
        """Pause, then poll these runs once, unless a consumer has to read tasks before."""
        result = StreamResult.NOTHING
        now = self._retrier.clock()
        factor = SEVERAL_RUNS_FACTOR if len(waiting) > 1 else 1.0
        if self._due is None:
            self._due = now + min(self._interval(followed, now, factor) for followed in waiting)
        end = min(followed.deadline.at for followed in waiting)
        read_at = min(followed.next_read(followed.run) for followed in waiting)
        if read_at < min(self._due, end):
            self._pause(waiting, read_at)
            return
        pause, self._due = max(self._due - now, 0.0), None
        if len(waiting) == 1 and waiting[0].limits.poll_interval is None and read_at == inf:
            result = self._read_stream(waiting[0])
        end = min(followed.deadline.at for followed in waiting)
        if result is StreamResult.NOTHING:
            self._pause(waiting, min(now + pause, end))
        if result is not StreamResult.ONGOING or end <= self._retrier.clock():
            self._look(waiting)
            if result is StreamResult.ENDED and not waiting[0].run.ended:
                self._stream.record_failure()

    def _pause(self, waiting: list[FollowedRun], until: float) -> None:
        """Sleep until this clock time, but for other work that is due before."""
        while True:
            due = min(_work_due(followed) for followed in waiting)
            start = max(due, self._retrier.clock())
            if start > until - _MIN_WORK_SECONDS:
                break
            self._retrier.sleep(max(start - self._retrier.clock(), 0.0))
            self._work(waiting)
        self._retrier.sleep(max(until - self._retrier.clock(), 0.0))

    def _work(self, waiting: list[FollowedRun], tolerance: float = 0.0) -> None:
        """Do the other work that is due, that of the run whose turn was longest ago first.

        The runs share one pace, so the work of all may be due at the same time.

        Args:
            waiting: the runs.
            tolerance: seconds by which it may be early.
        """
        for _ in range(_MAX_WORK):
            soon = self._retrier.clock() + tolerance
            due = [followed for followed in waiting if _work_due(followed) <= soon]
            followed = min(due, key=lambda each: each.worked_at, default=None)
            if followed is None or followed.work is None:
                break
            followed.worked_at = self._retrier.clock()
            followed.work.do(followed.run, followed.deadline)

    def _interval(self, followed: FollowedRun, now: float, factor: float) -> float:
        """Return the seconds from one poll of this run to the next.

        The factor is that of an automatic interval.
        """
        limits = followed.limits
        if limits.poll_interval is not None:
            return limits.poll_interval
        waited, running = now - limits.since, self._running_for(followed)
        return factor * self._retrier.jittered(
            poll_interval_after(waited, running, limits.expected)
        )

    def _read_stream(self, followed: FollowedRun) -> StreamResult:
        began = self._retrier.clock()
        if followed.deadline.at <= began:
            return StreamResult.NOTHING
        max_seconds = min(followed.deadline.at, followed.next_poll(followed.run)) - began

        waited = began - followed.limits.since
        interval = WORK_INTERVAL if followed.work else stream_interval(waited)

        def on_state(state: RunState) -> bool:
            self._record(followed, followed.run._replace(state=state))
            self._work([followed], TOLERANCE_SECONDS)
            wanted = min(followed.next_poll(followed.run), followed.next_read(followed.run))
            return self._retrier.clock() < wanted

        airflow = self._airflow.within(followed.limits.deadline)
        return self._stream.read(airflow, followed.run, interval, max(max_seconds, 0.0), on_state)

    def _look(self, waiting: list[FollowedRun]) -> None:
        """Request these runs, and retry with backoff until a response shows one of them.

        At the end of the time, a refusal that is not final counts as a missing response. After only
        a few seconds without a response, the last known state still counts.
        """
        clock, failures = self._retrier.clock, 0
        deadline = min((followed.deadline for followed in waiting), key=lambda each: each.at)
        while True:
            errors = self._request(waiting, deadline)
            final = any(followed.error for followed in errors)
            if final or len(errors) < len(waiting) or deadline.has_passed():
                break
            self._retrier.within(deadline).backoff(next(iter(errors.values())), failures)
            failures += 1
        for followed, error in errors.items():
            age = clock() - followed.seen_at
            fresh = age <= max(FRESH_SECONDS, 2 * (followed.limits.poll_interval or 0.0))
            if followed.error is None and followed.is_over() and not fresh:
                followed.error = _state_unknown(followed.run, age, error)

    def _request(
        self, waiting: list[FollowedRun], deadline: Deadline
    ) -> dict[FollowedRun, ActionError]:
        """Request each run once, and return those that no response showed, with the reason."""
        airflow = self._airflow.within(deadline)
        errors: dict[FollowedRun, ActionError] = {}
        listed: dict[tuple[str, str], DagRun] = {}
        list_failed = False
        if len(waiting) > 1 and self._list_failures < MAX_LIST_FAILURES:
            try:
                listed = airflow.list_runs([_key(followed) for followed in waiting])
                self._list_failures = 0
            except ActionError:
                # Even if it hangs: a gateway may hold back only the list.
                list_failed = True
        # Those whose requests fail come last, so that a request that hangs delays no others.
        order = sorted(waiting, key=lambda each: (_key(each) not in listed, each.failures))
        for place, followed in enumerate(order):
            try:
                seen = listed.get(_key(followed)) or airflow.get_run(*_key(followed))
                if seen is None:
                    raise _deleted(followed.run)
                self._record(followed, seen)
            except (Unauthorized, Forbidden, RunNotFound) as refusal:
                errors[followed], followed.checked_at = refusal, self._retrier.clock()
                followed.refusals.record(self._retrier.clock())
                if followed.refusals.final(self._retrier.clock()):
                    followed.error = refusal
            except Unreachable as error:
                followed.checked_at = self._retrier.clock()
                followed.failures += 1
                errors |= dict.fromkeys(order[place:], error)
                break
            except (TransientError, UnexpectedResponse) as error:
                errors[followed], followed.checked_at = error, self._retrier.clock()
        # A failure of the list counts only if Airflow answers otherwise.
        self._list_failures += list_failed and len(errors) < len(waiting)
        return errors

    def _record(self, followed: FollowedRun, run: DagRun) -> None:
        followed.record(run, self._retrier.clock())
        followed.on_state(run)

    def _running_for(self, followed: FollowedRun) -> float | None:
        """Return the seconds for which the run has been running, None if it is not.

        It may have started before the first poll that showed it, so Airflow's clock counts too.
        """
        run = followed.run
        if run.state != "running":
            return None
        seen = self._retrier.clock() - followed.since
        now, start = self._airflow.now, run.start_date
        return seen if now is None or start is None else max(seen, (now - start).total_seconds())


def _work_due(followed: FollowedRun) -> float:
    return inf if followed.work is None else followed.work.due(followed.run)


def _key(followed: FollowedRun) -> tuple[str, str]:
    return followed.run.dag_id, followed.run.run_id


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
