"""How a request that may be repeated is repeated: while Airflow fails in passing, with growing pauses, until a deadline.

The only place that repeats reads. It sends nothing by itself and prints nothing; `run/trigger.py` alone may repeat a POST.
"""

from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import AirflowUnreachable, Forbidden, RunNotFound, Unauthorized, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.errors import ActionError
    from entrypoint.events import Progress

T = TypeVar("T")

PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds after the first, second … failure in a row. Never a fast retry: it can freeze an Airflow 3.

Measured: docs/notes/waiting.md#a-frozen-api-server.
"""

MAX_RETRY_AFTER = 120.0
"""Seconds for which a server's `Retry-After` is obeyed: a maintenance page may ask for a day, and then the run has ended long
before anybody looks again."""


class Patience:
    """A clock, a sleep and the rule for failures.

    Args:
        clock: monotonic seconds.
        sleep: sleeps that many seconds.
        progress: is told of every failure that is ridden out.
        spread: random factor for each pause after a failure, so that many waiters do not return in step.
        jitter: the same for the pauses between looks that go well.

    Attributes:
        ridden_out: how many failures were.
        longest: seconds of the longest pause.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        progress: Progress,
        spread: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311 - no secret
        jitter: Callable[[], float] = lambda: random.uniform(0.9, 1.1),  # noqa: S311 - as above
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self.progress = progress
        self.ridden_out = 0
        self.longest = inf
        self._spread = spread
        self._jitter = jitter

    def about(self, seconds: float) -> float:
        """Return about so many seconds."""
        return seconds * self._jitter()

    def read(
        self,
        look: Callable[[], T],
        *,
        until: float,
        unexpected: bool = True,
        allowed: bool = False,
        refusals: Refusals | None = None,
    ) -> T:
        """Return what `look` returns, repeating it while it fails in passing.

        Args:
            look: one request that changes nothing.
            until: moment on the clock after which the last failure is raised.
            unexpected: whether an UnexpectedAnswer is ridden out as well. Before the trigger it is not: it means a wrong URL.
            allowed: whether this was allowed, and the run there, a moment ago. Then a refusal, or that there is no run, is
                believed only once it has been said for long enough (`Refusals`): a role that is just synchronised, a replica
                with another key, a cache or a gateway's rule pass.
            refusals: notes them, for whoever wants to know afterwards whether they are believed.

        Raises:
            AirflowUnreachable, UnexpectedAnswer: the last failure, once `until` has come.
            Unauthorized, Forbidden, RunNotFound: what `look` raises, if it stays so.
        """
        failures, refusals = 0, refusals or Refusals()
        while True:
            try:
                return look()
            except (Unauthorized, Forbidden, RunNotFound) as refusal:
                refusals.one_more(self.clock())
                if not allowed or refusals.believed(self.clock()):
                    raise
                self.ride_out(refusal, failures, until)
            except AirflowUnreachable as fault:
                self.ride_out(fault, failures, until)
            except UnexpectedAnswer as fault:
                if not unexpected:
                    raise
                self.ride_out(fault, failures, until)
            failures += 1

    def ride_out(self, fault: ActionError, failures: int, until: float) -> None:
        """Sleep after a failure, the longer the more there were in a row before; raise it if the time is over."""
        left = until - self.clock()
        if left <= 0:
            raise fault
        pause = PAUSES[min(failures, len(PAUSES) - 1)] * self._spread()
        asked = min(getattr(fault, "retry_after", None) or 0.0, MAX_RETRY_AFTER)
        pause = min(max(pause, asked), self.longest, left)
        self.ridden_out += 1
        self.progress.fault(fault, pause)
        self.sleep(pause)


BELIEVED, BELIEVED_LOOKS = 60.0, 3
"""Seconds and answers after which a refusal of what was allowed a moment ago is believed."""


class Refusals:
    """Refusals of one thing, without an answer in between."""

    def __init__(self) -> None:
        self._first = 0.0
        self._count = 0

    def one_more(self, now: float) -> None:
        """Take note of a refusal at this moment on the clock."""
        self._first = self._first if self._count else now
        self._count += 1

    def believed(self, now: float) -> bool:
        """Return whether they are enough for BELIEVED seconds and BELIEVED_LOOKS answers."""
        return self._count >= BELIEVED_LOOKS and now - self._first >= BELIEVED
