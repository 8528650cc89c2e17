"""The connection of one process to its Airflow: credential, patience, and the moment after which no request is worth it.

Shared by the main stage (`step.py`) and the post stage (`post.py`). It decides nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from entrypoint.airflow.client import Airflow, connect
from entrypoint.airflow.transport import Transport
from entrypoint.auth.credentials import Presented
from entrypoint.http.client import READ_TIMEOUT, Wire
from entrypoint.http.response import AIRFLOW
from entrypoint.http.retry import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.events import StepEvents
    from entrypoint.http.response import Party
    from entrypoint.inputs.settings import Settings
    from entrypoint.runners.base import Runner

BEFORE_TRIGGER = 60.0
"""Seconds for which an Airflow that does not answer is asked again while nothing depends on it yet."""
TO_EXPLAIN = 15.0
"""Seconds that an answer may take on which no verdict depends: meanwhile nobody looks at the run."""


class Connection:
    """One process's way to Airflow.

    Args:
        settings: where, and with which credential.
        clock: monotonic seconds.
        sleep: sleeps that many seconds.
        runner: masks secrets, and shows debug lines.
        console: is told what happens.
        read_timeout: seconds that any one answer may take.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        runner: Runner,
        console: StepEvents,
        *,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self.clock = clock
        self.runner = runner
        self.console = console
        self.patience = Patience(clock, sleep, self.console)
        self.until = clock()
        self._read_timeout = self._longest = read_timeout
        self._settings = settings

    def allow(self, seconds: float, longest: float = inf) -> float:
        """Set, and return, the moment after which no request is worth waiting for; and how long a single one may take."""
        self.until = self.clock() + seconds
        self._longest = min(longest, self._read_timeout)
        return self.until

    @contextmanager
    def brief(self) -> Iterator[None]:
        """While entered, no single answer may take longer than what only explains is worth."""
        longest = self._longest
        self._longest = min(longest, TO_EXPLAIN)
        try:
            yield
        finally:
            self._longest = longest

    def left(self) -> float:
        """Return the seconds until no request is worth waiting for."""
        return self.until - self.clock()

    def open(
        self,
        seconds: float = BEFORE_TRIGGER,
        longest: float = inf,
        *,
        unexpected: bool = False,
        allowed: bool = False,
    ) -> Airflow:
        """Find the Airflow, with that much patience. Raises the errors of `connect`, and of who grants the credential.

        `unexpected`, `allowed`: as of `Patience.read`.
        """
        access = self._settings.access
        until = self.allow(seconds, longest)
        presented = Presented(access.credential, self.runner.mask, self.wire)
        ask = partial(self.patience.read, until=until, unexpected=unexpected, allowed=allowed)
        named = access.url or ask(presented.web_server)
        assert named is not None  # noqa: S101 - only a credential that names the web server goes without the URL
        if named.startswith("http:"):
            self.console.unencrypted(named)
        transport = Transport(named, self.wire(AIRFLOW, present=True), access.headers)
        airflow: Airflow = ask(partial(connect, transport, presented))
        self.console.connected(airflow.version, named)
        left = transport.authorizer.left() if transport.authorizer else None
        if left is not None and self._settings.wait and left < self._settings.timeout:
            self.console.short_lived(left, self._settings.timeout)
        return airflow

    def wire(self, party: Party, *, present: bool = False) -> Wire:
        """Return a way to this party on which no answer takes longer than is worth waiting for."""
        return Wire(
            party,
            self._settings.access.tls,
            present=present,
            read_timeout=lambda: min(self._longest, max(1.0, self.left())),
            left=self.left,
            trace=self.runner.debug,
        )
