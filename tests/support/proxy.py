"""A reverse proxy on the loopback in front of an Airflow, which loses requests or answers on
demand.

It knows HTTP and `fake_airflow`'s faults; it must not know what Airflow means by what it forwards.
"""

from __future__ import annotations

import threading
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode, urlsplit

from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, matches
from tests.support.stand_in import StandIn

if TYPE_CHECKING:
    import ssl

    from tests.support.fake_airflow.faults import Fault

HANG = 1.0
"""Seconds after which a hanging connection is closed, as a gateway's own time-out closes it."""
_TIMEOUT = 60.0
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
"""Headers that belong to one connection, or that the listener writes itself."""


class Proxy(StandIn):
    """Forwards to `upstream`, an http URL without a path."""

    def __init__(
        self, upstream: str, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        super().__init__(tls=tls, host=host, hang_at_most=HANG)
        self._upstream = urlsplit(upstream).netloc
        self._meeting: tuple[tuple[str, str], threading.Barrier] | None = None

    def lose(
        self,
        fault: Fault,
        *,
        on: tuple[str, str],
        when: Literal["before", "after"] = "after",
        times: int = 1,
        skip: int = 0,
    ) -> None:
        """Let the next `times` requests with this method and end of the path go wrong, after
        leaving `skip` of them alone.

        `before`: the request never reaches Airflow. `after`: it does, and its answer is lost.
        """
        self.fault(fault, on=on, when=when, times=times, skip=skip, retry_after=1)

    def gather(self, count: int, *, on: tuple[str, str]) -> None:
        """Hold back requests with this method and end of the path until there are so many, once:
        then all go on together.
        """

        def go() -> None:
            self._meeting = None

        self._meeting = on, threading.Barrier(count, action=go, timeout=_TIMEOUT)

    def received(self, method: str, path: str) -> list[int | None]:
        """The statuses that the client got for requests with this method and end of the path; None:
        no answer.
        """
        return [
            one.status for one in self.record if one.method == method and matches(path, one.path)
        ]

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """What Airflow answers. One that breaks off breaks off the client's connection as well."""
        query = urlencode(request.query, doseq=True)
        headers = {
            name: text for name, text in request.headers.items() if name.lower() not in _OURS
        }
        # The host is Airflow's own, and what it sends must be readable for a rule that cuts it.
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
        return super()._serve(request)
