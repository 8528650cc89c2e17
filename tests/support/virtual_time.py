"""Time that passes only when a test lets it: by sleeping, and from one line of a scripted server's
stream to the next.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT_MOST = 2.0
"""Real seconds for which a server waits until its client has looked at the clock."""
MEANWHILE = 0.002
"""Real seconds in which a client that is about to go is gone."""


@dataclass
class VirtualTime:
    """A clock whose seconds pass only while somebody sleeps or listens. `on_sleep` may do things
    meanwhile.
    """

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    on_sleep: Callable[[float], None] = lambda _: None

    def __post_init__(self) -> None:
        self._owed: float | None = None
        self._paid = threading.Condition()

    def clock(self) -> float:
        """Return the seconds; whoever was sent a line has waited for it."""
        with self._paid:
            owed, self._owed = self._owed, None
            self._paid.notify_all()
            if owed:
                self.now += owed
        if owed:
            self.on_sleep(owed)
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let them pass."""
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep(seconds)

    def before_a_line(self, seconds: float, gone: Callable[[float], bool]) -> bool:
        """For a server: let the seconds before its next line pass. False if the client has gone in
        the meantime.

        They pass when the client, who is sent the line then, looks at the clock, so that a server
        is never a line ahead.
        """
        with self._paid:
            self._paid.wait_for(lambda: self._owed is None, timeout=AT_MOST)
        if seconds and gone(MEANWHILE):
            return False
        with self._paid:
            self._owed = seconds
        return True

    @contextmanager
    def rules(self) -> Iterator[None]:
        """While entered, it is the time of this process's scripted servers."""
        _RULING.append(self)
        try:
            yield
        finally:
            _RULING.remove(self)


def after(seconds: float, do: Callable[[], object]) -> VirtualTime:
    """A clock; when so much of it has passed, something happens once."""
    time = VirtualTime()
    start, waiting = time.now, [do]

    def happen(_: float) -> None:
        if waiting and time.now - start >= seconds:
            waiting.pop()()

    time.on_sleep = happen
    return time


_RULING: list[VirtualTime] = []


def before_a_line(seconds: float, gone: Callable[[float], bool]) -> bool:
    """Let the seconds before a server's next line pass: virtual ones if a test has some, else real
    ones.
    """
    return _RULING[-1].before_a_line(seconds, gone) if _RULING else not gone(seconds)
