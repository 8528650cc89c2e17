"""Show what tasks write while they write it (the input `logs: live`).

One log takes one request, and Airflow has no request for several. So the requests have a limit for
the whole step (`Pace`), and the tasks take turns: at most MAX_SHOWN at a time, then those that have
waited longest. A try that ended before its turn is shown as a whole.
"""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from entrypoint.deadline import OPTIONAL_TIMEOUT
from entrypoint.diagnostics.optional import PERIOD_SECONDS
from entrypoint.errors import ActionError, Forbidden, NotFound, NotSupported
from entrypoint.permissions import Feature
from entrypoint.run.polling import TOLERANCE_SECONDS
from entrypoint.text import list_names, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from entrypoint.airflow.client import Airflow
    from entrypoint.airflow.log_follower import LogFollower
    from entrypoint.deadline import Deadline
    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.diagnostics.progress import ProgressTracker
    from entrypoint.events import StepEvents
    from entrypoint.models import DagRun, TaskInstance, TaskKey, TaskLog

MAX_SHOWN = 4
"""Tries whose logs are followed at the same time."""
LIST_SECONDS = 30.0
"""Seconds after which the task instances are read again while logs are followed.

One log that has new lines in each read is followed without this, because each request for the task
instances makes its lines later. The progress reads them once a minute anyway.
"""
SETTLE_SECONDS = 2.0
"""Seconds after which a try that has ended writes no more.

Airflow itself still writes a few lines when it has already set the state.
"""
REQUEST_SECONDS = 5.0
"""Maximum seconds of a request while the run goes on, because it delays the next poll.

The run cannot end before a task that still runs. So the log of such a task may take longer at the
second attempt (OPTIONAL_TIMEOUT).
"""
MAX_UNSEEN = 20
"""Tries that are shown as a whole after the end of the run."""
MAX_CHARS = 20_000_000
"""Characters of one try's log that are shown."""
_BATCH_LINES = 1000
_UNSERVED_SECONDS = 60.0
"""Seconds until the next read of a log that Airflow does not serve while the task runs."""
_GRACE_SECONDS = 10.0
"""Seconds after which a running task without a log is a reason to say so."""
_MAX_REASON_CHARS = 300
_MAX_TRIES = 5_000
"""Tries that are followed. A wide run has more."""
_MAX_LOGS_KEPT = 20
_MAX_FINAL_READS = 5
_MAX_NAMES = 5
_WAITING = (None, "scheduled", "queued")


class TryKey(NamedTuple):
    """A try of a task instance."""

    task: TaskKey
    number: int


class _Tail:
    """The part of one try's log that has been shown.

    Attributes:
        read_at: clock time of the last read, or since when it waits for the first.
        next_at: clock time from which it is read again.
        ended_at: clock time at which the try was known to have ended, None if it runs.
        said_end: whether its last read came after its end.
        is_shown: whether it has been read.
        is_quiet: whether the last read brought nothing.
        is_unsupported: whether this Airflow, or the way to it, has no such log.
        failures: reads in a row that failed.
    """

    def __init__(self, task: TaskInstance, number: int, now: float) -> None:
        self.task = task
        self.number = number
        self.since = self.read_at = self.next_at = now
        self.ended_at: float | None = None
        self.said_end = self.is_shown = self.is_quiet = self.is_unsupported = False
        self.follower: LogFollower | None = None
        self.chars = self.failures = 0
        self.lines: list[str] = []

    @property
    def name(self) -> str:
        """Name in front of each line."""
        return self.task.name if self.number < 2 else f"{self.task.name} (try {self.number})"

    def end(self, now: float) -> None:
        """Record that the try has ended."""
        if self.ended_at is None:
            self.ended_at, self.next_at = now, now + SETTLE_SECONDS


class _Request(NamedTuple):
    """A possible request.

    Attributes:
        at: clock time from which it may be sent.
        rank: which of several comes first.
        waits_since: clock time since which it waits.
        extra: whether it comes between two regular ones.
        tail: the log, None for the task instances.
    """

    at: float
    rank: int
    waits_since: float
    extra: bool
    tail: _Tail | None


class LiveLogs:
    """The live logs of one DAG run.

    Args:
        optional: client for optional requests.
        clock: function that returns monotonic seconds.
        events: listener that prints the lines.
        progress: tracker of the run's task instances.
        keep: number of last lines of each log to keep for the summary.
    """

    def __init__(
        self,
        optional: OptionalRequests,
        clock: Callable[[], float],
        events: StepEvents,
        progress: ProgressTracker,
        keep: int,
    ) -> None:
        self._optional = optional
        self._clock = clock
        self._events = events
        self._progress = progress
        self._keep = keep
        self._began = optional.airflow.now
        self._tails: dict[TryKey, _Tail] = {}
        self._last_try: dict[TaskKey, int] = {}
        self._complete: set[TryKey] = set()
        self._logs: dict[TryKey, TaskLog] = {}
        self._wants_list = self._was_rest = False
        self._said: set[str] = set()
        self._updated_at = -inf

    def log_of(self, task: TaskInstance) -> TaskLog | None:
        """Return what the log of the task instance's last try says, None if it is not known."""
        return self._logs.get(_last_key(task))

    def has_shown(self, task: TaskInstance) -> bool:
        """Return whether all lines of the task instance's last try were shown."""
        return _last_key(task) in self._complete

    # While the run goes on.

    def due(self, run: DagRun) -> float:
        """Return the clock time from which `do` has something to do."""
        if run.state != "running" or Feature.LOGS in self._optional.disabled_features:
            return inf
        if self._updated_at != self._progress.read_at:
            self._update(self._progress.tasks, whole=self._progress.knows_unfinished)
        return self._next_request().at

    def do(self, run: DagRun, deadline: Deadline) -> None:
        """Send one request: for the task instances, or for the log that has waited longest."""
        self._update(self._progress.tasks, whole=self._progress.knows_unfinished)
        request = self._next_request()
        self._optional.pace.record(self._clock(), extra=request.extra)
        tail = request.tail
        self._was_rest = tail is not None and tail.ended_at is not None and not tail.is_shown
        if tail is None:
            self._wants_list = False
            self._progress.refresh(run, deadline.at_most(REQUEST_SECONDS))
        else:
            patient = tail.failures and tail.ended_at is None
            limit = OPTIONAL_TIMEOUT if patient else REQUEST_SECONDS
            self._read(run, tail, deadline.at_most(limit))

    def _next_request(self) -> _Request:
        """Return the next request.

        The log of a task that has just started comes first, then the log that has waited longest. A
        log keeps its place until its end, unless the last read brought nothing and others wait. One
        that ended before its turn needs no place.
        """
        pace, now = self._optional.pace, self._clock()
        regular_at, extra_at, spare_at = pace.regular_at(), pace.extra_at(), pace.extra_at(2)
        places = MAX_SHOWN - sum(
            tail.is_shown and not tail.is_quiet and not tail.said_end
            for tail in self._tails.values()
        )
        found = [self._list_request(regular_at, extra_at)]
        tails, crowded = self._tails, len(self._tails) > MAX_SHOWN + MAX_UNSEEN
        for key, tail in tails.items():
            if any((key.task, number) in tails for number in range(1, key.number)):
                continue  # its earlier tries come first
            if tail.ended_at is not None and tail.is_shown:
                # If its last read came after its end, at most Airflow's own last lines are missing.
                wanted = not tail.said_end or crowded or TryKey(key.task, key.number + 1) in tails
                at, rank = (extra_at, 1) if wanted else (spare_at, 4)
            elif tail.ended_at is not None:
                at, rank = regular_at, 2 + self._was_rest  # at most every second time
            elif places <= 0 and (tail.is_quiet or not tail.is_shown):
                continue
            else:
                at, rank = (regular_at, 2) if tail.is_shown else (extra_at, 0)
            extra = at != regular_at
            found.append(_Request(max(at, tail.next_at), rank, tail.read_at, extra, tail))
        # What is due, or nearly, is chosen by its rank.
        soon = max(min(request.at for request in found), now + TOLERANCE_SECONDS)
        return min(
            (request for request in found if request.at <= soon),
            key=lambda request: (request.rank, request.waits_since),
        )

    def _list_request(self, regular_at: float, extra_at: float) -> _Request:
        """Return the next request for the task instances."""
        read_at = self._progress.read_at
        running = [tail for tail in self._tails.values() if tail.ended_at is None]
        if self._wants_list:
            return _Request(extra_at, 1, read_at, True, None)
        if not running:
            return _Request(max(extra_at, read_at + PERIOD_SECONDS), 1, read_at, True, None)
        if len(running) > 1 or running[0].is_quiet:
            return _Request(max(regular_at, read_at + LIST_SECONDS), 1, read_at, False, None)
        return _Request(inf, 1, read_at, False, None)

    # Which tries there are.

    def _update(self, tasks: Iterable[TaskInstance], *, whole: bool = True) -> None:
        """Record the tries that have begun, and those that have ended.

        Args:
            tasks: task instances.
            whole: whether they have all that are unfinished, so that others have ended. If not, the
                log of another one tells its end.
        """
        now = self._clock()
        self._updated_at = self._progress.read_at
        running: set[TryKey] = set()
        listed: set[TaskKey] = set()
        for task in tasks:
            key, started = task.key, task.state not in _WAITING and task.start_date is not None
            number = max(task.try_number, 1)
            listed.add(key)
            last = number if started else number - 1
            known = self._last_try.setdefault(key, self._first_try(task, started=started) - 1)
            for missed in range(known + 1, last + 1):
                if len(self._last_try) + len(self._tails) < _MAX_TRIES:
                    self._tails[TryKey(key, missed)] = _Tail(task, missed, now)
            self._last_try[key] = last = max(known, last)
            current = self._tails.get(TryKey(key, last))
            if current is not None:
                current.task = task
                if started and not task.ended and task.state != "up_for_retry":
                    running.add(TryKey(key, last))
        for try_key, tail in self._tails.items():
            if try_key not in running and (whole or try_key.task in listed):
                tail.end(now)

    def _first_try(self, task: TaskInstance, *, started: bool) -> int:
        """Return the first try to show of a task instance that was not seen before.

        Earlier ones, and one that had ended before this step began, are of an earlier attempt.
        """
        if not started:
            # From 2.10 on, Airflow counts a try when it schedules it. Before, it counts it when it
            # starts, and this shows one that an earlier attempt of the step has shown.
            return max(task.try_number + (task.state is None), 1)
        old = task.end_date is not None and self._began is not None and task.end_date < self._began
        return max(task.try_number, 1) + old

    # Reading.

    def _read(
        self, run: DagRun, tail: _Tail, deadline: Deadline, *, settled: bool | None = None
    ) -> bool:
        """Read what is new in a log, and return whether everything was read."""
        began = self._clock()
        if settled is None:
            settled = tail.ended_at is not None and began >= tail.next_at - TOLERANCE_SECONDS
        follower = tail.follower or self._follow(tail)
        failure = self._optional.within(deadline).fetch(
            Feature.LOGS, lambda airflow: _continue(airflow, run, tail, follower), _NOT_SENT
        )
        if tail.is_unsupported:
            # The log says so once, and each further read would fail again.
            del self._tails[TryKey(tail.task.key, tail.number)]
            return True
        tail.is_quiet = not self._flush(tail)
        tail.is_shown = True
        tail.read_at = now = self._clock()
        tail.next_at = now if failure in ("", _NO_LOG) else now + PERIOD_SECONDS
        if follower.lost:
            follower.lost = False
            self._say_once(f"The log of {tail.name} has become shorter. Lines of it may be missing")
        tail.failures = tail.failures + 1 if failure else 0
        reason = failure or (not follower.written and _problem(follower.sources))
        if (
            reason
            and tail.ended_at is None
            and began - tail.since >= _GRACE_SECONDS
            and tail.failures != 1
        ):
            tail.next_at += _UNSERVED_SECONDS
            self._say_unserved(tail, reason)
        if failure == _NO_LOG or (not failure and follower.complete):
            if settled:
                self._close(tail, follower, complete=not failure)
                return True
            if follower.ended and tail.ended_at is None:
                # Perhaps another task has started.
                self._wants_list = tail.said_end = True
                tail.end(now)
        return False

    def _follow(self, tail: _Tail) -> LogFollower:
        def add(line: str) -> None:
            if tail.chars <= MAX_CHARS:
                tail.chars += len(line)
                rest = "(the rest of this log is not shown; Airflow's UI has it)"
                tail.lines.append(line if tail.chars <= MAX_CHARS else rest)
                if len(tail.lines) >= _BATCH_LINES:
                    self._flush(tail)

        tail.follower = self._optional.airflow.follow_log(self._keep, add)
        return tail.follower

    def _flush(self, tail: _Tail) -> bool:
        """Print the lines that were read, and return whether there were any."""
        lines, tail.lines = tail.lines, []
        if lines:
            self._events.task_lines(tail.name, lines)
        return bool(lines)

    def _close(self, tail: _Tail, follower: LogFollower, *, complete: bool) -> None:
        key = TryKey(tail.task.key, tail.number)
        del self._tails[key]
        log = follower.close()
        self._flush(tail)
        if not complete or not follower.written:
            return
        self._complete.add(key)
        if len(self._logs) < _MAX_LOGS_KEPT and (log.raised or log.last_error):
            self._logs[key] = log

    def _say_unserved(self, tail: _Tail, reason: str) -> None:
        self._say_once(
            f"Airflow does not return the log of {tail.name} while it runs: "
            f"{shortened(reason, _MAX_REASON_CHARS)}. Such logs follow when their tasks have ended",
            key="unserved",
        )

    def _say_once(self, sentence: str, key: str = "") -> None:
        if (key or sentence) not in self._said:
            self._said.add(key or sentence)
            self._events.unshown_logs(sentence)

    # After the end of the run, or of the step's wait.

    def finish(self, run: DagRun, tasks: Iterable[TaskInstance], deadline: Deadline) -> None:
        """Read what has not been shown yet, until the deadline."""
        self._update(tasks)
        tails = sorted(self._tails.values(), key=lambda tail: (not tail.is_shown, tail.since))
        shown = sum(tail.is_shown for tail in tails)
        for tail in tails[: shown + MAX_UNSEEN]:
            for _ in range(_MAX_FINAL_READS):
                if deadline.has_passed() or Feature.LOGS in self._optional.disabled_features:
                    break
                whole = tail.ended_at is not None or run.ended
                follower = tail.follower
                if self._read(run, tail, deadline, settled=whole) or (
                    not whole and follower is not None and follower.complete
                ):
                    break
        left = [tail.name for tail in self._tails.values() if tail.ended_at is not None]
        if left and Feature.LOGS not in self._optional.disabled_features:
            self._events.unshown_logs(
                f"{len(left)} logs were not shown completely: {list_names(left, _MAX_NAMES)}. "
                "Airflow's UI has them"
            )


_PROBLEM = re.compile(r"could not|cannot|failed|not found|error|!!!!", re.IGNORECASE)
_NO_LOG = "it has no log"
_NOT_SENT = "it refused the request"


def _problem(sources: Iterable[str]) -> str:
    """Return what Airflow says about logs that it could not read."""
    return "; ".join(source for source in sources if _PROBLEM.search(source))


def _last_key(task: TaskInstance) -> TryKey:
    return TryKey(task.key, max(task.try_number, 1))


def _continue(airflow: Airflow, run: DagRun, tail: _Tail, follower: LogFollower) -> str:
    """Read what is new in the log, and return what went wrong, empty if nothing did.

    Most errors are not raised, because they would be logged each time.
    """
    try:
        airflow.continue_log(run, tail.task, tail.number, follower)
    except Forbidden:
        raise
    except NotSupported:
        tail.is_unsupported = True
        raise
    except NotFound:
        return _NO_LOG
    except ActionError as error:
        return " ".join(f"{error.title}. {error.detail}".split()).removesuffix(".")
    return ""
