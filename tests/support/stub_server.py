"""The base class of all stub servers: records requests, and fails on demand."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from tests.support.fake_airflow.connection import ConnectionPolicy, SocketServer
from tests.support.fake_airflow.faults import Fault, Rule, echoed
from tests.support.fake_airflow.messages import (
    JSON,
    FakeResponse,
    ReceivedRequest,
    RecordedRequest,
    Traffic,
)

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self

UNLIMITED = 1_000_000
"""A number of requests that no test reaches."""


class StubServer:
    """A server on the loopback, as a context manager; subclasses implement `answer`.

    Args:
        tls: the server's TLS context; without it the server speaks plain HTTP
        host: host name in the URL
        hang_at_most: seconds after which a hanging connection is closed
        port: port number, 0 for any free one
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        hang_at_most: float = 60,
        port: int = 0,
    ) -> None:
        self._lock = threading.RLock()
        self._rules: list[Rule] = []
        self._echoes: list[tuple[int, str]] = []
        self._record: list[RecordedRequest] = []
        connection_policy = ConnectionPolicy(server="stub", keep_alive=True, gzip=False)
        self._listener = SocketServer(
            port, connection_policy, self._serve, hang_at_most=hang_at_most, context=tls
        )
        self.url = self.origin = f"{'https' if tls else 'http'}://{host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        if self._listener.crash is not None:
            raise self._listener.crash

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """Return the response to a request without a scripted fault."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        port: int = self._listener.socket.getsockname()[1]
        return port

    @property
    def record(self) -> list[RecordedRequest]:
        """Every request received, in the order of the responses."""
        with self._lock:
            return list(self._record)

    @property
    def connections(self) -> int:
        """Number of connections, including those without a request."""
        return self._listener.accepted

    def fault(
        self,
        fault: Fault,
        *,
        on: tuple[str, str] | None = None,
        when: Literal["before", "after"] = "before",
        times: int = 1,
        skip: int = 0,
        retry_after: int = 7,
    ) -> None:
        """Let the next `times` requests fail, as `FakeAirflow.fault` does."""
        with self._lock:
            self._rules.append(
                Rule(fault, on, when, times, skip, retry_after, f"{self.origin}/login")
            )

    def clear_faults(self) -> None:
        with self._lock:
            self._rules.clear()

    def redirect(
        self,
        status: Literal[301, 302, 303, 307, 308],
        to: str,
        *,
        on: tuple[str, str] | None = None,
        when: Literal["before", "after"] = "before",
        times: int = UNLIMITED,
    ) -> None:
        """Redirect requests: all from now on, or `times` requests that match `on`."""
        with self._lock:
            self._rules.append(Rule(Fault.REDIRECT, on, when, times, 0, 0, to, status))

    def echo(self, status: int, content_type: str = JSON, *, times: int = 1) -> None:
        """Answer the next `times` requests with their own headers and body.

        A debugging gateway may do so.
        """
        with self._lock:
            self._echoes += [(status, content_type)] * times

    def _serve(self, request: ReceivedRequest) -> tuple[FakeResponse | None, Fault | None]:
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(request)), None)
        answer, fault = (
            (self._own(request), None) if rule is None else rule.apply(lambda: self._own(request))
        )
        with self._lock:
            self._record.append(
                RecordedRequest.of(request, answer.status if answer else None, Traffic(1))
            )
        return answer, fault

    def _own(self, request: ReceivedRequest) -> FakeResponse:
        with self._lock:
            echo_response = self._echoes.pop(0) if self._echoes else None
        return echoed(request, *echo_response) if echo_response else self.answer(request)
