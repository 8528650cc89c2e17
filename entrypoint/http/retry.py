"""Retry idempotent requests on transient errors, with backoff, until a deadline.

This module sends and prints nothing itself. Only `run/trigger.py` may retry a POST.
"""

from __future__ import annotations

import random
from copy import copy
from math import inf
from typing import TYPE_CHECKING, TypeVar

from entrypoint.deadline import Deadline
from entrypoint.errors import (
    Forbidden,
    RunNotFound,
    StartPostponed,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from entrypoint.errors import ActionError
    from entrypoint.events import Events

T = TypeVar("T")

BACKOFF_SECONDS = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds to wait after the first, second … consecutive failure.

A fast retry can freeze an Airflow 3. Measured: docs/notes/waiting.md#a-frozen-api-server.
"""

MAX_RETRY_AFTER_SECONDS = 120.0
"""Maximum seconds for which a `Retry-After` is obeyed.

A maintenance page may ask for a day; the run would end long before the next poll.
"""


class Retrier:
    """Retries requests with backoff.

    Args:
        clock: returns monotonic seconds.
        sleep: sleeps for a number of seconds.
        events: receives each failure before its retry.
        jitter: returns a random factor for each backoff, so that concurrent waiters do not retry at
            the same moment.
        poll_jitter: returns the same for the pauses between successful polls.

    Attributes:
        deadline: when to give up; the last error is raised then.
        max_pause: maximum seconds of one backoff.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        events: Events,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311 - no secret
        # no secret either
        poll_jitter: Callable[[], float] = lambda: random.uniform(0.9, 1.1),  # noqa: S311
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self.events = events
        self.deadline = Deadline(clock, inf)
        self._count = [0]
        self.max_pause = inf
        self._postpones = False
        self._jitter = jitter
        self._poll_jitter = poll_jitter

    @property
    def retries(self) -> int:
        """Number of retries so far, whatever their deadlines."""
        return self._count[0]

    def within(self, deadline: Deadline) -> Self:
        """Return a retrier with the same clock and count that gives up at this deadline."""
        bound = copy(self)
        bound.deadline = deadline
        return bound

    def postponing(self) -> Self:
        """Return a retrier that raises StartPostponed in place of a pause."""
        bound = copy(self)
        bound._postpones = True  # noqa: SLF001 - its own copy
        return bound

    def reporting_to(self, events: Events) -> Self:
        """Return a retrier with the same clock and count that reports to another listener."""
        bound = copy(self)
        bound.events = events
        return bound

    def jittered(self, seconds: float) -> float:
        """Return the seconds multiplied by a random factor."""
        return seconds * self._poll_jitter()

    def read(
        self,
        fetch: Callable[[], T],
        *,
        retry_unexpected: bool = True,
        retry_refused: bool = False,
        refusals: Refusals | None = None,
    ) -> T:
        """Return the result of `fetch`, and retry it on transient errors.

        Args:
            fetch: sends one idempotent request.
            retry_unexpected: whether to retry an UnexpectedResponse too. Before the trigger it
                means a wrong URL.
            retry_refused: whether to retry a refusal or a missing run until `Refusals` calls it
                final. Set it only if the request was allowed, and the run existed, a moment ago. A
                role sync, a replica with another key, a cache or a gateway's rule can cause short
                refusals.
            refusals: records the refusals, for callers that use them afterwards.

        Raises:
            TransientError, UnexpectedResponse: the last error at the deadline.
            Unauthorized, Forbidden, RunNotFound: an error of `fetch`, if it is final.
        """
        failures, refusals = 0, refusals or Refusals()
        while True:
            try:
                return fetch()
            except (Unauthorized, Forbidden, RunNotFound) as refusal:
                refusals.record(self.clock())
                if not retry_refused or refusals.final(self.clock()):
                    raise
                self.backoff(refusal, failures)
            except TransientError as error:
                self.backoff(error, failures)
            except UnexpectedResponse as error:
                if not retry_unexpected:
                    raise
                self.backoff(error, failures)
            failures += 1

    def backoff(self, error: ActionError, failures: int) -> None:
        """Sleep after a failure, or raise it if the deadline has passed.

        Args:
            error: the failure.
            failures: number of consecutive failures before this one.
        """
        if self._postpones:
            raise StartPostponed(error, outage=True)
        if self.deadline.seconds_left() <= 0:
            raise error
        self.sleep(self.pause_after(error, failures))

    def pause_after(self, error: ActionError, failures: int) -> float:
        """Report a failure, and return the seconds until its retry."""
        seconds_left = self.deadline.seconds_left()
        pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)] * self._jitter()
        requested = min(getattr(error, "retry_after", None) or 0.0, MAX_RETRY_AFTER_SECONDS)
        pause = min(max(pause, requested), self.max_pause, seconds_left)
        self._count[0] += 1
        self.events.request_failed(error, pause)
        return pause


REFUSAL_SECONDS, REFUSAL_RESPONSES = 60.0, 3
"""Minimum seconds, and number of responses, after which refusals are final."""


class Refusals:
    """Consecutive refusals of one request."""

    def __init__(self) -> None:
        self._first = 0.0
        self._count = 0

    def record(self, now: float) -> None:
        """Record a refusal at this moment on the clock."""
        self._first = self._first if self._count else now
        self._count += 1

    def final(self, now: float) -> bool:
        """Return whether there were REFUSAL_RESPONSES refusals over at least REFUSAL_SECONDS."""
        return self._count >= REFUSAL_RESPONSES and now - self._first >= REFUSAL_SECONDS
