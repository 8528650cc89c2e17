"""A reverse proxy in front of an Airflow, which drops requests or responses on demand.

It knows HTTP and the faults of `fake_airflow`; it must not know the meaning of what it forwards.
"""

from __future__ import annotations

import threading
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode, urlsplit

from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, matches
from tests.support.stub_server import StubServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tests.support.fake_airflow.faults import Fault

HANG = 1.0
"""Seconds until a hanging connection is closed, like a gateway's timeout."""
_TIMEOUT = 60.0  # seconds
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
        "server",
        "transfer-encoding",
    }
)
"""Headers that belong to one connection, or that the server writes itself."""


class Proxy(StubServer):
    """Forward requests to `upstream`, an http URL without a path."""

    def __init__(
        self, upstream: str, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        super().__init__(tls=tls, host=host, hang_at_most=HANG)
        self._upstream = urlsplit(upstream).netloc
        self._meeting: tuple[tuple[str, str], threading.Barrier] | None = None
        self._calls: list[tuple[tuple[str, str], Callable[[], object]]] = []

    def fail_requests(
        self,
        fault: Fault,
        *,
        on: tuple[str, str],
        when: Literal["before", "after"] = "after",
        times: int = 1,
        skip: int = 0,
    ) -> None:
        """Let the next matching requests fail.

        Args:
            fault: how they fail
            on: method and end of the path
            when: "before" Airflow gets the request, or "after", so that only the response is lost
            times: number of requests that fail
            skip: number of matching requests that pass first
        """
        self.fault(fault, on=on, when=when, times=times, skip=skip, retry_after=1)

    def hold_until(self, count: int, *, on: tuple[str, str]) -> None:
        """Hold matching requests until there are `count` of them, once; then forward them."""

        def release() -> None:
            self._meeting = None

        self._meeting = on, threading.Barrier(count, action=release, timeout=_TIMEOUT)

    def call_before(self, call: Callable[[], object], *, on: tuple[str, str]) -> None:
        """Call a function before the next matching request is forwarded, once."""
        self._calls.append((on, call))

    def received(self, method: str, path: str) -> list[int | None]:
        """Return the statuses of the responses to matching requests; None for no response."""
        return [
            one.status for one in self.record if one.method == method and matches(path, one.path)
        ]

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """Forward the request.

        If Airflow's response breaks off, the client's connection breaks off as well.
        """
        query = urlencode(request.query, doseq=True)
        headers = {
            name: text for name, text in request.headers.items() if name.lower() not in _OURS
        }
        # Airflow must see its own host name, and a fault can only cut an uncompressed body.
        headers |= {"Host": self._upstream, "Accept-Encoding": "identity"}
        if "Content-Type" in request.headers:
            headers["Content-Type"] = request.headers["Content-Type"]
        connection = HTTPConnection(self._upstream, timeout=_TIMEOUT)
        try:
            connection.request(
                request.method,
                f"{request.path}?{query}" if query else request.path,
                request.body,
                headers,
            )
            response = connection.getresponse()
            body = response.read()
        except HTTPException as error:
            raise ConnectionResetError from error
        finally:
            connection.close()
        kept = tuple(
            (name, text) for name, text in response.getheaders() if name.lower() not in _OURS
        )
        return FakeResponse(response.status, body, response.getheader("Content-Type"), kept)

    def _serve(self, request: ReceivedRequest) -> tuple[FakeResponse | None, Fault | None]:
        if (
            (meeting := self._meeting)
            and request.method == meeting[0][0]
            and matches(meeting[0][1], request.path)
        ):
            meeting[1].wait()
        for planned in [one for one in self._calls if request.method == one[0][0]]:
            (_, path), call = planned
            if matches(path, request.path):
                self._calls.remove(planned)
                call()
        return super()._serve(request)
