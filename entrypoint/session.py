"""The connection of one process to its Airflow: credential, retrier, and the moment after which no
request is worth it.

Shared by the main stage (`step.py`) and the post stage (`post.py`). It decides nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from entrypoint.airflow.client import Airflow, connect
from entrypoint.airflow.transport import Transport
from entrypoint.auth.credentials import AirflowCredentials
from entrypoint.http.client import READ_TIMEOUT, HttpClient
from entrypoint.http.response import AIRFLOW
from entrypoint.http.retry import Retrier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.events import StepEvents
    from entrypoint.http.response import Service
    from entrypoint.inputs.settings import Settings
    from entrypoint.runners.base import Runner

SETUP_SECONDS = 60.0
"""Seconds for which an Airflow that does not answer is asked again while nothing depends on it
yet.
"""
OPTIONAL_TIMEOUT = 15.0
"""Seconds that an answer may take on which no verdict depends: meanwhile nobody looks at the
run.
"""


class Session:
    """One process's way to Airflow.

    Args:
        settings: where, and with which credential.
        clock: monotonic seconds.
        sleep: sleeps that many seconds.
        runner: masks secrets, and shows debug lines.
        events: is told what happens.
        read_timeout: seconds that any one answer may take.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        runner: Runner,
        events: StepEvents,
        *,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self.clock = clock
        self.runner = runner
        self.events = events
        self.retrier = Retrier(clock, sleep, self.events)
        self.deadline = clock()
        self._read_timeout = self._max_request_seconds = read_timeout
        self._settings = settings

    def set_deadline(self, seconds: float, max_request: float = inf) -> float:
        """Set, and return, the moment after which no request is worth waiting for; and how long a
        single one may take.
        """
        self.deadline = self.clock() + seconds
        self._max_request_seconds = min(max_request, self._read_timeout)
        return self.deadline

    @contextmanager
    def limit_requests(self) -> Iterator[None]:
        """While entered, no single answer may take longer than what only explains is worth."""
        max_request = self._max_request_seconds
        self._max_request_seconds = min(max_request, OPTIONAL_TIMEOUT)
        try:
            yield
        finally:
            self._max_request_seconds = max_request

    def seconds_left(self) -> float:
        """Return the seconds until no request is worth waiting for."""
        return self.deadline - self.clock()

    def connect(
        self,
        seconds: float = SETUP_SECONDS,
        max_request: float = inf,
        *,
        retry_unexpected: bool = False,
        retry_refused: bool = False,
    ) -> Airflow:
        """Find the Airflow, with that much retrier. Raises the errors of `connect`, and of who
        grants the credential.

        `retry_unexpected`, `retry_refused`: as of `Retrier.read`.
        """
        access = self._settings.access
        until = self.set_deadline(seconds, max_request)
        presented = AirflowCredentials(access.credential, self.runner.mask, self.http_client)
        ask = partial(
            self.retrier.read,
            until=until,
            retry_unexpected=retry_unexpected,
            retry_refused=retry_refused,
        )
        named = access.url or ask(presented.web_server)
        # Only a credential that names the web server goes without the URL
        assert named is not None  # noqa: S101
        if named.startswith("http:"):
            self.events.unencrypted(named)
        transport = Transport(named, self.http_client(AIRFLOW, present=True), access.headers)
        airflow: Airflow = ask(partial(connect, transport, presented))
        self.events.connected(airflow.version, named)
        left = transport.authorizer.seconds_left() if transport.authorizer else None
        if left is not None and self._settings.wait and left < self._settings.timeout:
            self.events.token_expires_early(left, self._settings.timeout)
        return airflow

    def http_client(self, party: Service, *, present: bool = False) -> HttpClient:
        """Return a way to this party on which no answer takes longer than is worth waiting for."""
        return HttpClient(
            party,
            self._settings.access.tls,
            present=present,
            read_timeout=lambda: min(self._max_request_seconds, max(1.0, self.seconds_left())),
            seconds_left=self.seconds_left,
            trace=self.runner.debug,
        )
