"""A deadline as a value: until when requests are worth sending, and how long one may take."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_REQUEST_SECONDS = 1.0
"""Seconds that a request gets even at its deadline, so that a last poll is possible."""

OPTIONAL_TIMEOUT = 15.0
"""Maximum seconds of an optional request. It is short because the step cannot poll the run while it
waits for the response.
"""


class Deadline(NamedTuple):
    """A moment on a clock.

    Attributes:
        clock: returns monotonic seconds.
        at: the moment on that clock.
        per_request: maximum seconds of one request.
    """

    clock: Callable[[], float]
    at: float
    per_request: float = inf

    @classmethod
    def after(
        cls, clock: Callable[[], float], seconds: float, per_request: float = inf
    ) -> Deadline:
        """Return the deadline in so many seconds."""
        return cls(clock, clock() + seconds, per_request)

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, negative after it."""
        return self.at - self.clock()

    def has_passed(self) -> bool:
        """Return whether the deadline has come."""
        return self.seconds_left() <= 0

    def request_seconds(self) -> float:
        """Return the maximum seconds of a request that is sent now."""
        return min(self.per_request, max(MIN_REQUEST_SECONDS, self.seconds_left()))

    def at_most(self, seconds: float) -> Deadline:
        """Return this deadline, or the one in so many seconds if that is earlier."""
        return self._replace(at=min(self.at, self.clock() + seconds))

    def extended(self, seconds: float) -> Deadline:
        """Return the deadline so many seconds later."""
        return self._replace(at=self.at + seconds)

    def limited(self, per_request: float) -> Deadline:
        """Return the deadline with at most so many seconds for one request."""
        return self._replace(per_request=min(self.per_request, per_request))
