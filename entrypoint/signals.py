"""Handle SIGINT and SIGTERM. This module is imported first, so it imports nothing slow.

To cancel, the runner sends SIGINT, after 7.5 s SIGTERM, and after another 2.5 s SIGKILL
(docs/notes/runner.md#cancellation). Signals are recorded at any time, but they interrupt only
between `arm` and `disarm`. So they never interrupt an import, the stop of
the DAG run or the report.
"""

from __future__ import annotations

import signal


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
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

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
