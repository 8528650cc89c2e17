"""The connection of the process to Airflow: credential, retrier and deadline.

The main stage (`step.py`) and the post stage (`post.py`) use it. It decides nothing.
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
"""Seconds for which setup requests to Airflow and GitHub are retried."""
OPTIONAL_TIMEOUT = 15.0
"""Maximum seconds of an optional request. It is short because the step cannot poll the run while it
waits for the response.
"""


class Session:
    """The connection to Airflow, with the deadline of its requests.

    Args:
        settings: address, credential and TLS settings.
        clock: monotonic clock in seconds.
        sleep: sleep function, takes seconds.
        runner: masks secrets and prints debug lines.
        events: receives the events of the step, for the log.
        read_timeout: maximum seconds of any request.
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
        """Set and return the deadline of the following requests.

        Args:
            seconds: time until the deadline in seconds.
            max_request: maximum seconds of each request.
        """
        self.deadline = self.clock() + seconds
        self._max_request_seconds = min(max_request, self._read_timeout)
        return self.deadline

    @contextmanager
    def limit_requests(self) -> Iterator[None]:
        """Limit each request to OPTIONAL_TIMEOUT seconds inside this context."""
        max_request = self._max_request_seconds
        self._max_request_seconds = min(max_request, OPTIONAL_TIMEOUT)
        try:
            yield
        finally:
            self._max_request_seconds = max_request

    def seconds_left(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline - self.clock()

    def connect(
        self,
        seconds: float = SETUP_SECONDS,
        max_request: float = inf,
        *,
        retry_unexpected: bool = False,
        retry_refused: bool = False,
    ) -> Airflow:
        """Connect to Airflow and return its API client.

        Args:
            seconds: time for connecting in seconds, with all retries.
            max_request: maximum seconds of each request.
            retry_unexpected: see `Retrier.read`.
            retry_refused: see `Retrier.read`.

        Raises:
            ActionError: Airflow or the identity provider refused or did not answer in time.
        """
        access = self._settings.access
        until = self.set_deadline(seconds, max_request)
        credentials = AirflowCredentials(access.credential, self.runner.mask, self.http_client)
        read = partial(
            self.retrier.read,
            until=until,
            retry_unexpected=retry_unexpected,
            retry_refused=retry_refused,
        )
        url = access.url or read(credentials.web_server)
        assert url is not None  # noqa: S101 - MWAA's API returns the URL if no input does
        if url.startswith("http:"):
            self.events.unencrypted(url)
        transport = Transport(
            url, self.http_client(AIRFLOW, send_client_certificate=True), access.headers
        )
        airflow: Airflow = read(partial(connect, transport, credentials))
        self.events.connected(airflow.version, url)
        left = transport.authorizer.seconds_left() if transport.authorizer else None
        if left is not None and self._settings.wait and left < self._settings.timeout:
            self.events.token_expires_early(left, self._settings.timeout)
        return airflow

    def http_client(self, service: Service, *, send_client_certificate: bool = False) -> HttpClient:
        """Return an HTTP client for a service, limited by the deadline of this session."""
        return HttpClient(
            service,
            self._settings.access.tls,
            send_client_certificate=send_client_certificate,
            read_timeout=lambda: min(self._max_request_seconds, max(1.0, self.seconds_left())),
            seconds_left=self.seconds_left,
            trace=self.runner.debug,
        )
