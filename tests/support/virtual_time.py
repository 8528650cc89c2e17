"""Virtual time: it passes only by sleeping, and between lines of a fake server's stream."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_START = 1000.0
MAX_WAIT = 2.0
"""Real seconds that a server waits until its client has read the clock."""
DISCONNECT_SECONDS = 0.002
"""Real seconds within which a client that disconnects has disconnected."""


@dataclass
class VirtualTime:
    """A clock that moves only by sleeping or streaming, and calls `on_sleep` each time."""

    now: float = _START
    slept: list[float] = field(default_factory=list)
    on_sleep: Callable[[float], None] = lambda _: None
    moves_wall: bool = False
    """Whether `wall_time` moves, so that the stand-ins' tokens expire with this clock."""

    def __post_init__(self) -> None:
        self._pending: float | None = None
        self._changed = threading.Condition()

    def clock(self) -> float:
        """Return the seconds. A client that has received a line has waited for it."""
        with self._changed:
            pending, self._pending = self._pending, None
            self._changed.notify_all()
            if pending:
                self.now += pending
        if pending:
            self.on_sleep(pending)
        return self.now

    def wall(self) -> float:
        """Return the seconds since the epoch: those of the machine, and the virtual ones."""
        return time.time() + (self.now - _START)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep(seconds)

    def wait_before_line(self, seconds: float, is_disconnected: Callable[[float], bool]) -> bool:
        """Let the seconds before a server's next line pass.

        They pass when the client reads the clock after it has received the line, so that the server
        is never a line ahead.

        Returns:
            False if the client has disconnected
        """
        with self._changed:
            self._changed.wait_for(lambda: self._pending is None, timeout=MAX_WAIT)
        if seconds and is_disconnected(DISCONNECT_SECONDS):
            return False
        with self._changed:
            self._pending = seconds
        return True

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let the fake servers of this process use this clock inside this context."""
        _CURRENT.append(self)
        try:
            yield
        finally:
            _CURRENT.remove(self)


def after(seconds: float, do: Callable[[], object]) -> VirtualTime:
    """Return a clock that calls a function once, after so many seconds."""
    time = VirtualTime()
    start, waiting = time.now, [do]

    def happen(_: float) -> None:
        if waiting and time.now - start >= seconds:
            waiting.pop()()

    time.on_sleep = happen
    return time


_CURRENT: list[VirtualTime] = []


def wait_before_line(seconds: float, is_disconnected: Callable[[float], bool]) -> bool:
    """Let the seconds before a server's next line pass.

    Virtual seconds if a clock is installed, real ones otherwise.
    """
    return (
        _CURRENT[-1].wait_before_line(seconds, is_disconnected)
        if _CURRENT
        else not is_disconnected(seconds)
    )


def wall_time() -> float:
    """Return the seconds since the epoch, with those of an installed clock that moves them."""
    return _CURRENT[-1].wall() if _CURRENT and _CURRENT[-1].moves_wall else time.time()
