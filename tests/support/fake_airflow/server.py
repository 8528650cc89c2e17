"""The fake Airflow server that a test starts, scripts and inspects."""

from __future__ import annotations

import contextlib
import copy
import socket
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import requests

from dev.airflow_settings import password_of
from tests.support.fake_airflow.connection import SocketServer
from tests.support.fake_airflow.database import Database
from tests.support.fake_airflow.faults import SLOW, Fault, Rule, echoed
from tests.support.fake_airflow.messages import (
    JSON,
    FakeResponse,
    ReceivedRequest,
    RecordedRequest,
    Traffic,
    matches,
)
from tests.support.fake_airflow.scripting import Scripting
from tests.support.fake_airflow.tokens import Tokens
from tests.support.fake_airflow.v1.api import FakeV1
from tests.support.fake_airflow.v2.api import FakeV2

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.routing import Accept
    from tests.support.fake_airflow.runs import FakeRun

Version = Literal["2.11.2", "3.3.2"]
"""The versions with which the tests run."""
OtherVersion = Literal["2.4.3", "2.5.1", "3.1.8", "3.4.0b2"]
"""Versions for the few tests of what differs in them."""


class FakeAirflow(Scripting):
    """A fake Airflow, as a context manager.

    Args:
        version: version whose API it has
        dags: its DAGs
        prefix: base path, such as "/airflow"
        token_lifetime: validity of an Airflow 3 token in seconds, plus 10 of leeway
        pools: name to slots, besides the default pool of 128
        clock: time for everything except tokens
        tokens: replaces the simple auth manager's tokens
        accept: accepts further credentials, in either version
        tls: the server's TLS context, for an https URL
        host: address to listen on

    Users are admin, op, user and viewer; each has the role of its name and `password_of` it as its
    password.
    """

    def __init__(
        self,
        version: Version | OtherVersion = "3.3.2",
        *,
        dags: Iterable[FakeDag] = (),
        prefix: str = "",
        token_lifetime: int = 86400,
        pools: Mapping[str, int] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tokens: Tokens | None = None,
        accept: Accept = lambda _: None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        two = version.startswith("2")
        super().__init__(
            Database(dags, clock=clock, pools=pools, not_started=None if two else "skipped")
        )
        self.version = version
        self.api = "/api/v1" if two else "/api/v2"
        self.health("scheduler", "healthy")
        self.health("dag_processor", None if two else "healthy")
        self.health("triggerer", None)
        self._dialect = (
            FakeV1(self._database, prefix)
            if two
            else FakeV2(self._database, prefix, tokens or Tokens(token_lifetime))
        )
        self._dialect.airflow = version
        self._dialect.accept = accept
        self._rules: list[Rule] = []
        self._echoes: list[tuple[tuple[str, str], int, str, str]] = []
        self._record: list[RecordedRequest] = []
        # A bound socket that never listens: it reserves the port, and refuses connections.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener: SocketServer | None = None
        self._port.bind((host, 0))
        self._tls = tls
        self._address = self._port.getsockname()
        self.url = f"{'https' if tls else 'http'}://{host}:{self._address[1]}{prefix}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._take_down()
        finally:
            self._port.close()

    def session(self, user: str = "admin") -> requests.Session:
        """Return a new session with this user's credential, without proxies; callers close it."""
        session = requests.Session()
        session.trust_env = False
        if isinstance(self._dialect, FakeV1):
            session.auth = (user, password_of(user))
        else:
            session.headers["Authorization"] = f"Bearer {self.token(user)}"
        return session

    @property
    def record(self) -> list[RecordedRequest]:
        """Every request received, in the order of the responses."""
        with self._lock:
            return list(self._record)

    def received(self, method: str, path: str) -> list[RecordedRequest]:
        """Return the recorded requests with this method and end of the path; `*` is one segment."""
        return [one for one in self.record if one.method == method and matches(path, one.path)]

    def traffic(self, method: str, path: str) -> Traffic:
        """Return the traffic of the requests that `received` finds."""
        ours = [one.traffic for one in self.received(method, path)]
        return Traffic(len(ours), sum(one.content for one in ours), sum(one.wire for one in ours))

    def runs(self, dag_id: str) -> list[FakeRun]:
        """Return a copy of the DAG's runs, oldest first."""
        with self._lock:
            return copy.deepcopy(self._database.runs_of(dag_id))

    @property
    def hangs(self) -> bool:
        """Whether a scripted fault will still keep a client waiting until its timeout."""
        return any(rule.fault in SLOW and rule.times for rule in self._rules)

    def fault(
        self,
        fault: Fault,
        *,
        on: tuple[str, str] | None = None,
        when: Literal["before", "after"] = "before",
        times: int = 1,
        skip: int = 0,
        retry_after: int = 7,
        to: str = "",
    ) -> None:
        """Let the next `times` requests fail. Faults apply in the order of their definition.

        Args:
            fault: kind of fault
            on: method and end of the path, e.g. ("POST", "/dagRuns") or ("GET", "/dagRuns/*")
            when: whether the request fails before or after it takes effect
            times: number of requests
            skip: number of matching requests that pass first
            retry_after: seconds in the Retry-After header of a 429
            to: target of a redirect, by default this server's own login page
        """
        with self._lock:
            self._rules.append(
                Rule(
                    fault,
                    on,
                    when,
                    times,
                    skip,
                    retry_after,
                    to or f"{self.url}/login/?next=%2Fhome",
                )
            )

    def clear_faults(self) -> None:
        with self._lock:
            self._rules.clear()

    def echo(
        self,
        on: tuple[str, str],
        status: int,
        content_type: str = JSON,
        *,
        after: str = "",
        times: int = 1,
    ) -> None:
        """Answer such requests with `after` and their own headers and body.

        A debugging gateway may do so.
        """
        with self._lock:
            self._echoes += [(on, status, content_type, after)] * times

    def token(self, user: str = "admin") -> str:
        """Return a valid token, as if from elsewhere (Airflow 3 only)."""
        with self._lock:
            return self._v2().tokens.issue(user)

    def expire_tokens(self) -> None:
        """Expire every token issued so far (Airflow 3 only)."""
        with self._lock:
            self._v2().tokens.expire()

    def change(self, how: Callable[[ReceivedRequest, bytes], bytes]) -> None:
        """Pass each further response, except streams, through this function before sending."""
        if self._listener is not None:
            self._listener.change = how

    def up(self) -> None:
        """Listen again, on the same port."""
        if self._listener is None:
            host, port = self._address
            self._listener = SocketServer(
                port,
                self._dialect.connection_policy,
                self._serve,
                clock=self._database.now,
                context=self._tls,
                host=host,
            )

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections inside this context, and drop the open ones."""
        self._take_down()
        try:
            yield
        finally:
            self.up()

    def _take_down(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            if listener.crash is not None:
                raise listener.crash

    def _v2(self) -> FakeV2:
        if not isinstance(self._dialect, FakeV2):
            raise TypeError("Airflow 2 has no tokens")
        return self._dialect

    def _serve(self, request: ReceivedRequest) -> tuple[FakeResponse | None, Fault | None]:
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(request)), None)
            fault: Fault | None = None
            if (answer := self._echo(request)) is not None:
                pass
            elif rule is None:
                answer = self._dialect.answer(request)
            else:
                answer, fault = rule.apply(lambda: self._dialect.answer(request))
            status, traffic = answer.status if answer is not None else None, Traffic(1)
            if answer is not None:
                stream = self._locked(answer.stream) if answer.stream is not None else None
                answer = replace(answer, stream=stream, traffic=traffic)
            self._record.append(RecordedRequest.of(request, status, traffic))
            return answer, fault

    def _echo(self, request: ReceivedRequest) -> FakeResponse | None:
        for number, ((method, path), status, content_type, after) in enumerate(self._echoes):
            if method == request.method and matches(path, request.path):
                del self._echoes[number]
                return echoed(request, status, content_type, after)
        return None

    def _locked(self, stream: Iterator[bytes | float]) -> Iterator[bytes | float]:
        """Yield the pieces of a stream, each made under the lock."""
        while True:
            with self._lock:
                piece = next(stream, None)
            if piece is None:
                return
            yield piece
            listener = self._listener
            if listener is None or listener.stopping.is_set():
                return
