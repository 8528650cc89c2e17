"""A pause between two looks in which Airflow itself tells the run's state, where it can (3.1 and
later; docs/notes/waiting.md#intervals-of-a-stream).

It costs Airflow less than being asked, and tells the end sooner. What is result ends no wait: then
a look decides. An Airflow that is to stop waits for such answers to end, so none is listened to for
long.
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
"""Seconds for which one answer is listened to: ten minutes are nine of them, whatever the
jitter.
"""
MAX_SILENCE_SECONDS = 15.0
"""Seconds without a word, three times the longest interval, after which a look decides: a gateway
may keep words back.
"""
MAX_FAILURES = 2
"""Failures in a row after which nothing is listened to any more."""
GRACE_SECONDS = 1.0
"""Seconds that the last word may come late."""
_MIN_INTERVAL = 0.1


class StreamResult(Enum):
    """What listening came to: the run goes on, it ended, or nothing that can be relied on."""

    ONGOING = auto()
    ENDED = auto()
    NOTHING = auto()


class StateStream:
    """Listens to one Airflow, as long as that works.

    Args:
        airflow: who tells.
        retrier: clock and jitter.
    """

    def __init__(self, airflow: Airflow, retrier: Retrier) -> None:
        self._airflow = airflow
        self._retrier = retrier
        self._failures = 0

    def read(
        self, run: DagRun, waited: float, most: float, tell: Callable[[RunState], bool]
    ) -> StreamResult:
        """Listen for a while.

        Args: run: the DAG run. waited: seconds since the trigger. most: seconds after which to
            stop, if not before. tell: is given the state of a run that goes on, time and again, and
            returns whether to go on as well.
        """
        if self._failures >= MAX_FAILURES:
            return StreamResult.NOTHING
        lasts = min(self._retrier.jittered(MAX_STREAM_SECONDS), most)
        result, until, last_word = StreamResult.NOTHING, self._retrier.clock() + lasts, -inf

        def take(state: RunState) -> bool:
            nonlocal result, last_word
            last_word = self._retrier.clock()
            if state in ("success", "failed"):
                result = StreamResult.ENDED
            elif not tell(state) or self._retrier.clock() >= until:
                result = StreamResult.ONGOING
            return result is StreamResult.NOTHING

        pause = max(min(stream_interval(waited), most), _MIN_INTERVAL)
        try:
            self._airflow.stream_states(
                run, pause, take, MAX_SILENCE_SECONDS, lasts + min(pause, GRACE_SECONDS)
            )
        except ActionError as error:
            # Whatever else it is, the look that follows meets it too, and knows what it means.
            if isinstance(error, NotSupported):
                self._failures = MAX_FAILURES
            now = self._retrier.clock()
            if (
                result is StreamResult.NOTHING
                and now >= until
                and now - last_word <= pause + GRACE_SECONDS
            ):
                result = StreamResult.ONGOING  # its time was over between two words
        if result is StreamResult.NOTHING:
            self.record_failure()
        elif result is StreamResult.ONGOING:
            self._failures = 0
        return result

    def record_failure(self) -> None:
        """Take note that what was result was nothing, or was not so."""
        self._failures += 1


def stream_interval(waited: float) -> float:
    """Return the seconds between two words for a run that was triggered so many seconds ago.

    Each costs Airflow 2.5 to 2.9 ms (docs/notes/waiting.md#cost-for-the-server), so a hundred at 1
    s take a quarter of its processor.
    """
    return 1.0 if waited < 40 else 2.0 if waited < 600 else 3.0 if waited < 1800 else 5.0
