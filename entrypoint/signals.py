"""Handle the signals of a cancel. This module is imported first, so it imports nothing slow.

To cancel, the runner sends SIGINT, after 7.5 s SIGTERM, and after another 2.5 s SIGKILL
(docs/notes/runner.md#cancellation). Signals are recorded at any time, but they interrupt only
between `arm` and `disarm`. So they never interrupt an import, the stop of
the DAG run or the report.

Windows has no signals between processes, only the events of a console: Ctrl-C arrives as SIGINT,
Ctrl-Break as SIGBREAK.
"""

from __future__ import annotations

import _thread
import os
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

REPEAT_SECONDS = 0.1
"""Seconds after which a signal to the main thread is repeated."""


class Interrupted(BaseException):
    """The workflow was cancelled.

    A BaseException, so that no `except Exception` treats it as a failed request.
    """


class Interrupts:
    """Raise `Interrupted` for the first SIGINT or SIGTERM, as soon as it may interrupt."""

    def __init__(self) -> None:
        self._received = False
        self._armed = False

    def install(self) -> None:
        """Install the handlers. Without one, PID 1 of a container never receives SIGTERM."""
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._handle)

    def interrupt_at_end_of(self, pipe: TextIO | None) -> None:
        """Treat the end of this pipe as a SIGINT, from a thread that only reads it.

        It ends when the process at its other end closes it or ends, on every system. Call this
        method in the main thread.
        """
        if pipe is not None:
            _thread.start_new_thread(
                _interrupt_at_end,
                (pipe.fileno(), _thread.get_ident(), lambda: self._received),
            )

    def arm(self) -> None:
        """Let signals interrupt from now on, and raise for one that was recorded before."""
        self._armed = True
        if self._received:
            self._interrupt()

    def disarm(self) -> None:
        """Only record signals from now on."""
        self._armed = False

    def _handle(self, _number: int, _frame: object) -> None:
        self._received = True
        if self._armed:
            self._interrupt()

    def _interrupt(self) -> None:
        self._armed = False
        raise Interrupted


def _interrupt_at_end(descriptor: int, main_thread: int, is_received: Callable[[], bool]) -> None:
    while os.read(descriptor, 1):
        pass
    if not hasattr(signal, "pthread_kill"):
        signal.raise_signal(signal.SIGINT)
        return
    # Not `raise_signal`, because a signal of this thread ends no wait of the main thread. One that
    # arrives just before a wait of the main thread does not end it either, so it is repeated.
    while not is_received():
        signal.pthread_kill(main_thread, signal.SIGINT)
        time.sleep(REPEAT_SECONDS)
