"""A reverse proxy on the loopback in front of a real Airflow, which loses requests or answers on demand.

It knows HTTP and `fake_airflow`'s faults; it must not know what Airflow means by what it forwards.
"""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode, urlsplit

from tests.support.fake_airflow.faults import Fault, Rule
from tests.support.fake_airflow.messages import Answer, Recorded, Request, matches
from tests.support.fake_airflow.wire import Listener, Manners

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

HANG = 1.0
"""Seconds after which a hanging connection is closed, as a gateway's own time-out closes it."""
_TIMEOUT = 60.0
_OURS = frozenset({"connection", "content-length", "content-type", "date", "keep-alive", "server", "transfer-encoding"})
"""Headers that belong to one connection, or that the listener writes itself."""


class Proxy:
    """Forwards to `upstream`, a base URL without a path. A context manager; `url` is where it listens."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._record: list[Recorded] = []
        self._meeting: tuple[tuple[str, str], threading.Barrier] | None = None
        manners = Manners(server="proxy", keep_alive=True, gzip=False)
        self._listener = Listener(0, manners, self._serve, hang_at_most=HANG)
        host, port = self._listener.socket.getsockname()
        self.url = f"http://{host}:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()

    def lose(
        self,
        fault: Fault,
        *,
        on: tuple[str, str],
        when: Literal["before", "after"] = "after",
        times: int = 1,
        skip: int = 0,
    ) -> None:
        """Let the next `times` requests with this method and end of the path go wrong, after leaving `skip` of them alone.

        `before`: the request never reaches Airflow. `after`: it does, and its answer is lost.
        """
        with self._lock:
            self._rules.append(Rule(fault, on, when, times, skip, retry_after=1, to=""))

    def gather(self, count: int, *, on: tuple[str, str]) -> None:
        """Hold back requests with this method and end of the path until there are so many, once: then all go on together."""

        def go() -> None:
            self._meeting = None

        self._meeting = on, threading.Barrier(count, action=go, timeout=_TIMEOUT)

    def received(self, method: str, path: str) -> list[int | None]:
        """The statuses that the client got for requests with this method and end of the path; None: no answer."""
        with self._lock:
            return [one.status for one in self._record if one.method == method and matches(path, one.path)]

    def _serve(self, request: Request) -> tuple[Answer | None, Fault | None]:
        if (meeting := self._meeting) and request.method == meeting[0][0] and matches(meeting[0][1], request.path):
            meeting[1].wait()
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(request)), None)
        answer, fault = (self._forward(request), None) if rule is None else rule.apply(lambda: self._forward(request))
        with self._lock:
            status = answer.status if answer else None
            self._record.append(
                Recorded(request.method, request.path, request.query, request.headers, request.body, status)
            )
        return answer, fault

    def _forward(self, request: Request) -> Answer:
        query = urlencode(request.query, doseq=True)
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _OURS}
        # The host is Airflow's own, and what it sends must be readable for a rule that cuts it.
        headers |= {"Host": self._upstream, "Accept-Encoding": "identity"}
        if "Content-Type" in request.headers:
            headers["Content-Type"] = request.headers["Content-Type"]
        connection = HTTPConnection(self._upstream, timeout=_TIMEOUT)
        try:
            connection.request(
                request.method, f"{request.path}?{query}" if query else request.path, request.body, headers
            )
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        kept = tuple((name, text) for name, text in response.getheaders() if name.lower() not in _OURS)
        return Answer(response.status, body, response.getheader("Content-Type"), kept)
