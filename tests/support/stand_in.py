"""What every stand-in is: a server on the loopback that notes what it receives and goes wrong on
demand.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from tests.support.fake_airflow.connection import Listener, Manners
from tests.support.fake_airflow.faults import Fault, Rule, echoed
from tests.support.fake_airflow.messages import (
    JSON,
    FakeResponse,
    ReceivedRequest,
    Recorded,
    Traffic,
)

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self

WITHOUT_END = 1_000_000
"""Times that no test reaches."""


class StandIn:
    """A context manager that answers as its subclass says; `url` is where, by default the root.

    `tls` is the server's side of TLS; without it, it speaks plain HTTP. `host` is the name by which
    the URL calls it. `hang_at_most`: seconds after which a hanging connection is closed. `port`:
    which one; 0: any that is free.
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
        self._record: list[Recorded] = []
        manners = Manners(server="stand-in", keep_alive=True, gzip=False)
        self._listener = Listener(
            port, manners, self._serve, hang_at_most=hang_at_most, context=tls
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
        """What it says to a request when nothing goes wrong."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._listener.socket.getsockname()[1]
        return port

    @property
    def record(self) -> list[Recorded]:
        """Every request received, in the order of the answers."""
        with self._lock:
            return list(self._record)

    @property
    def connections(self) -> int:
        """How many connections there were, those without any request included."""
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
        """Lets the next `times` requests go wrong, as `FakeAirflow.fault` does."""
        with self._lock:
            self._rules.append(
                Rule(fault, on, when, times, skip, retry_after, f"{self.origin}/login")
            )

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._rules.clear()

    def redirect(
        self,
        status: Literal[301, 302, 303, 307, 308],
        to: str,
        *,
        on: tuple[str, str] | None = None,
        when: Literal["before", "after"] = "before",
        times: int = WITHOUT_END,
    ) -> None:
        """Sends requests elsewhere: all from now on, unless told which and how many."""
        with self._lock:
            self._rules.append(Rule(Fault.REDIRECT, on, when, times, 0, 0, to, status))

    def echo(self, status: int, content_type: str = JSON, *, times: int = 1) -> None:
        """The next `times` requests are answered with their own head and body, as a debugging
        gateway may.
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
            self._record.append(Recorded.of(request, answer.status if answer else None, Traffic(1)))
        return answer, fault

    def _own(self, request: ReceivedRequest) -> FakeResponse:
        with self._lock:
            told = self._echoes.pop(0) if self._echoes else None
        return echoed(request, *told) if told else self.answer(request)
