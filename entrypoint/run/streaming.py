"""Read a run's state from Airflow's state stream between two polls, if Airflow has one.

Airflow 3.1 and later have it (docs/notes/waiting.md#intervals-of-a-stream). A stream costs Airflow
less than polls, and shows the end sooner. A streamed state never ends the wait; a GET of the run
confirms it. An Airflow that shuts down waits for open streams, so each stream is short.
"""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING

from entrypoint.errors import ActionError, NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, RunState

MAX_STREAM_SECONDS = 70.0
"""Seconds for which one stream is read. A wait of ten minutes takes nine streams."""
MAX_SILENCE_SECONDS = 15.0
"""Seconds without a state after which the run is polled instead: three times the longest interval.
A gateway may hold states back.
"""
MAX_FAILURES = 2
"""Failures in a row after which no stream is opened any more."""
GRACE_SECONDS = 1.0
"""Seconds by which the last state of a stream may be late."""
_MIN_INTERVAL = 0.1
"""Shortest interval of a stream in seconds."""


class StreamResult(Enum):
    """The result of a stream: the run goes on, it has ended, or its state is unreliable."""

    ONGOING = auto()
    ENDED = auto()
    NOTHING = auto()


class StateStream:
    """Read the state streams of one Airflow until MAX_FAILURES failures in a row.

    Args:
        retrier: clock and jitter.
    """

    def __init__(self, retrier: Retrier) -> None:
        self._retrier = retrier
        self._failures = 0

    def read(
        self,
        airflow: Airflow,
        run: DagRun,
        interval: float,
        max_seconds: float,
        on_state: Callable[[RunState], bool],
    ) -> StreamResult:
        """Read one stream.

        Args:
            airflow: API client with the deadline of the wait.
            run: the DAG run.
            interval: seconds between two states.
            max_seconds: maximum seconds to read.
            on_state: called with each state of a run that goes on; returns whether to read on.
        """
        if self._failures >= MAX_FAILURES:
            return StreamResult.NOTHING
        duration = min(self._retrier.jittered(MAX_STREAM_SECONDS), max_seconds)
        result, last_state_at = StreamResult.NOTHING, -inf
        until = self._retrier.clock() + duration

        def receive(state: RunState) -> bool:
            nonlocal result, last_state_at
            if state in ("success", "failed"):
                result = StreamResult.ENDED
            elif not on_state(state) or self._retrier.clock() >= until:
                result = StreamResult.ONGOING
            last_state_at = self._retrier.clock()  # the callback may have taken seconds
            return result is StreamResult.NOTHING

        interval = max(min(interval, max_seconds), _MIN_INTERVAL)
        try:
            airflow.stream_states(
                run, interval, receive, MAX_SILENCE_SECONDS, duration + min(interval, GRACE_SECONDS)
            )
        except ActionError as error:
            # The error itself is ignored: if it persists, the next poll fails and handles it.
            if isinstance(error, NotSupported):
                self._failures = MAX_FAILURES
            now = self._retrier.clock()
            if (
                result is StreamResult.NOTHING
                and now >= until
                and now - last_state_at <= interval + GRACE_SECONDS
            ):
                result = StreamResult.ONGOING  # the time was over between two states
        if result is StreamResult.NOTHING:
            self.record_failure()
        elif result is StreamResult.ONGOING:
            self._failures = 0
        return result

    def record_failure(self) -> None:
        """Count a stream that sent no reliable state, or a wrong one."""
        self._failures += 1


def stream_interval(waited: float) -> float:
    """Return the seconds between two states of a stream.

    Each state costs Airflow 2.5 to 2.9 ms (docs/notes/waiting.md#cost-for-the-server), so a hundred
    streams with an interval of 1 s take a quarter of its processor.

    Args:
        waited: seconds since the trigger.
    """
    return 1.0 if waited < 40 else 2.0 if waited < 600 else 3.0 if waited < 1800 else 5.0
