"""The connection of the process to Airflow: credential, retrier and deadline.

The main stage (`step.py`) and the post stage (`post.py`) use it. It decides nothing.
"""

from __future__ import annotations

import time
from copy import copy
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from entrypoint.airflow.client import Airflow, connect
from entrypoint.airflow.transport import Transport
from entrypoint.auth.credentials import AirflowCredentials
from entrypoint.credentials import Mwaa
from entrypoint.deadline import Deadline
from entrypoint.github_api.client import GitHubRepository
from entrypoint.http.aws import MWAA, host
from entrypoint.http.client import READ_TIMEOUT, HttpClient
from entrypoint.http.response import AIRFLOW
from entrypoint.http.retry import Retrier

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.events import StepEvents
    from entrypoint.http.response import Service
    from entrypoint.inputs.settings import Settings
    from entrypoint.runners.base import Context, Runner

SETUP_SECONDS = 60.0
"""Seconds for which setup requests to Airflow and GitHub are retried."""


class Session:
    """The connections of this process: credentials, HTTP clients, clock and retrier.

    Args:
        settings: address, credential and TLS settings.
        clock: monotonic clock in seconds.
        sleep: sleep function, takes seconds.
        runner: masks secrets and prints debug lines.
        events: receives the events of the step, for the log.
        read_timeout: maximum seconds of any request.
        now: returns seconds since the epoch, in which tokens expire.
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
        now: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.runner = runner
        self.events = events
        self.retrier = Retrier(clock, sleep, self.events)
        self._read_timeout = read_timeout
        self._now = now
        self._settings = settings

    def named(self, dag_id: str) -> Session:
        """Return the same session, whose events name the DAG."""
        bound = copy(self)
        bound.events = self.events.named(dag_id)
        bound.retrier = self.retrier.reporting_to(bound.events)
        return bound

    def deadline(self, seconds: float, per_request: float = inf) -> Deadline:
        """Return the deadline in so many seconds.

        Args:
            seconds: time until the deadline in seconds.
            per_request: maximum seconds of one request.
        """
        return Deadline.after(self.clock, seconds, min(per_request, self._read_timeout))

    def connect(
        self, deadline: Deadline, *, retry_unexpected: bool = False, retry_refused: bool = False
    ) -> Airflow:
        """Connect to Airflow and return its API client, with this deadline.

        Args:
            deadline: until when to retry.
            retry_unexpected: see `Retrier.read`.
            retry_refused: see `Retrier.read`.

        Raises:
            ActionError: Airflow or the identity provider refused or did not answer in time.
        """
        access = self._settings.access
        credentials = AirflowCredentials(
            access.credential, self.runner.mask, self.http_client, access.composer, self._now
        )
        read = partial(
            self.retrier.within(deadline).read,
            retry_unexpected=retry_unexpected,
            retry_refused=retry_refused,
        )
        url = access.url or read(partial(credentials.web_server, deadline))
        transport = self._transport(url, credentials)
        airflow: Airflow = read(partial(connect, transport, credentials, deadline))
        self.events.connected(airflow.version, transport.base_url)
        left = transport.authorizer.seconds_left(deadline) if transport.authorizer else None
        if left is not None and self._settings.wait and left < self._settings.timeout:
            self.events.token_expires_early(left, self._settings.timeout)
        return airflow

    def github_repository(self, context: Context) -> GitHubRepository | None:
        """Return the API of the workflow's repository, None if the step does not run on GitHub."""
        if not context.api_url:
            return None
        token = self._settings.github_token
        return GitHubRepository(context.api_url, context.repository, token, self.http_client)

    def _transport(self, url: str | None, credentials: AirflowCredentials) -> Transport:
        """Return what sends requests to the Airflow at this URL."""
        access = self._settings.access
        if isinstance(access.credential, Mwaa) and access.credential.access == "rest_api":
            from entrypoint.airflow.invoke_rest_api import InvokeRestApi  # noqa: PLC0415

            if url is None:
                self.events.feature_disabled(
                    "Left out: links to Airflow's pages, which lead to AWS's console. They need "
                    "the permission airflow:GetEnvironment, and a network that reaches "
                    f"{host('api.airflow', access.credential.region)}."
                )
            mwaa = access.credential
            return InvokeRestApi(mwaa.environment, mwaa.region, self.http_client(MWAA), url)
        assert url is not None  # noqa: S101 - an API returns the URL if no input does
        if url.startswith("http:"):
            self.events.unencrypted(url)
        return Transport(
            url,
            self.http_client(AIRFLOW, send_client_certificate=True),
            access.headers,
            None if access.gateway is None else credentials.for_proxy(access.gateway),
        )

    def http_client(self, service: Service, *, send_client_certificate: bool = False) -> HttpClient:
        """Return an HTTP client for a service."""
        return HttpClient(
            service,
            self._settings.access.tls,
            send_client_certificate=send_client_certificate,
            trace=self.runner.debug,
        )
