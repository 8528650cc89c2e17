"""Signals, and nothing else: this module is imported first, so it imports nothing heavy.

The runner cancels with SIGINT, 7.5 s later SIGTERM, 2.5 s later it kills
(docs/notes/runner.md#cancellation). A signal is noted at any time; it interrupts only between `arm`
and `disarm`, so that imports, the stop of the DAG run and the report are never torn apart.
"""

from __future__ import annotations

import signal


class Interrupted(BaseException):
    """The workflow was cancelled. A BaseException, so that nothing on the way takes it for a failed
    request.
    """


class Interrupts:
    """Turns the first SIGINT or SIGTERM into an `Interrupted` at the next moment at which that is
    allowed.
    """

    def __init__(self) -> None:
        self._noted = False
        self._armed = False

    def install(self) -> None:
        """Take over SIGINT and SIGTERM. As PID 1 the process would otherwise not even see the
        latter.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def arm(self) -> None:
        """From here on a signal interrupts; so does one that was noted before."""
        self._armed = True
        if self._noted:
            self._interrupt()

    def disarm(self) -> None:
        """From here on a signal is only noted."""
        self._armed = False

    def _handle(self, _number: int, _frame: object) -> None:
        self._noted = True
        if self._armed:
            self._interrupt()

    def _interrupt(self) -> None:
        self._armed = False
        raise Interrupted
