"""How a request that may be repeated is repeated: while Airflow fails in passing, with growing
pauses, until a deadline.

The only place that repeats reads. It sends nothing by itself and prints nothing; `run/trigger.py`
alone may repeat a POST.
"""

from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import (
    Forbidden,
    RunNotFound,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.errors import ActionError
    from entrypoint.events import Events

T = TypeVar("T")

BACKOFF_SECONDS = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds after the first, second … failure in a row. Never a fast retry: it can freeze an Airflow
3.

Measured: docs/notes/waiting.md#a-frozen-api-server.
"""

MAX_RETRY_AFTER_SECONDS = 120.0
"""Seconds for which a server's `Retry-After` is obeyed: a maintenance page may ask for a day, and
then the run has ended long before anybody looks again."""


class Retrier:
    """A clock, a sleep and the rule for failures.

    Args: clock: monotonic seconds. sleep: sleeps that many seconds. events: is told of every
        failure that is ridden out. jitter: random factor for each pause after a failure, so that
        many waiters do not return in step. poll_jitter: the same for the pauses between looks that
        go well.

    Attributes:
        retries: how many failures were.
        max_pause: seconds of the max_pause pause.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        events: Events,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311 - no secret
        # As above
        poll_jitter: Callable[[], float] = lambda: random.uniform(0.9, 1.1),  # noqa: S311
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self.events = events
        self.retries = 0
        self.max_pause = inf
        self._jitter = jitter
        self._poll_jitter = poll_jitter

    def jittered(self, seconds: float) -> float:
        """Return about so many seconds."""
        return seconds * self._poll_jitter()

    def read(
        self,
        fetch: Callable[[], T],
        *,
        until: float,
        retry_unexpected: bool = True,
        retry_refused: bool = False,
        refusals: Refusals | None = None,
    ) -> T:
        """Return what `fetch` returns, repeating it while it fails in passing.

        Args: fetch: one request that changes nothing. until: moment on the clock after which the
            last failure is raised. retry_unexpected: whether an UnexpectedResponse is ridden out as
            well. Before the trigger it is not: it means a wrong URL. retry_refused: whether this
            was retry_refused, and the run there, a moment ago. Then a refusal, or that there is no
            run, is believed only once it has been said for long enough (`Refusals`): a role that is
            just synchronised, a replica with another key, a cache or a gateway's rule pass.
            refusals: notes them, for whoever wants to know afterwards whether they are believed.

        Raises:
            TransientError, UnexpectedResponse: the last failure, once `until` has come.
            Unauthorized, Forbidden, RunNotFound: what `fetch` raises, if it stays so.
        """
        failures, refusals = 0, refusals or Refusals()
        while True:
            try:
                return fetch()
            except (Unauthorized, Forbidden, RunNotFound) as refusal:
                refusals.record(self.clock())
                if not retry_refused or refusals.final(self.clock()):
                    raise
                self.backoff(refusal, failures, until)
            except TransientError as fault:
                self.backoff(fault, failures, until)
            except UnexpectedResponse as fault:
                if not retry_unexpected:
                    raise
                self.backoff(fault, failures, until)
            failures += 1

    def backoff(self, fault: ActionError, failures: int, until: float) -> None:
        """Sleep after a failure, the longer the more there were in a row before; raise it if the
        time is over.
        """
        left = until - self.clock()
        if left <= 0:
            raise fault
        pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)] * self._jitter()
        asked = min(getattr(fault, "retry_after", None) or 0.0, MAX_RETRY_AFTER_SECONDS)
        pause = min(max(pause, asked), self.max_pause, left)
        self.retries += 1
        self.events.request_failed(fault, pause)
        self.sleep(pause)


REFUSAL_SECONDS, REFUSAL_RESPONSES = 60.0, 3
"""Seconds and answers after which a refusal of what was allowed a moment ago is believed."""


class Refusals:
    """Refusals of one thing, without an answer in between."""

    def __init__(self) -> None:
        self._first = 0.0
        self._count = 0

    def record(self, now: float) -> None:
        """Take note of a refusal at this moment on the clock."""
        self._first = self._first if self._count else now
        self._count += 1

    def final(self, now: float) -> bool:
        """Return whether they are enough for BELIEVED seconds and REFUSAL_RESPONSES answers."""
        return self._count >= REFUSAL_RESPONSES and now - self._first >= REFUSAL_SECONDS
