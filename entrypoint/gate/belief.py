"""When a refusal of what was allowed a moment ago is believed: once it has been said for a while, and more than once."""

from __future__ import annotations

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
