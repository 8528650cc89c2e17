"""The scripted Airflow itself: what a test starts, scripts and asks afterwards."""

from __future__ import annotations

import contextlib
import copy
import socket
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import requests

from dev.airflow_settings import password_of
from tests.support.fake_airflow.connection import Listener
from tests.support.fake_airflow.faults import SLOW, Fault, Rule, echoed
from tests.support.fake_airflow.messages import (
    JSON,
    FakeResponse,
    ReceivedRequest,
    Recorded,
    Traffic,
    matches,
)
from tests.support.fake_airflow.scripting import Scripting
from tests.support.fake_airflow.tokens import Tokens
from tests.support.fake_airflow.v1.api import V1
from tests.support.fake_airflow.v2.api import V2
from tests.support.fake_airflow.world import World

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.routing import Accept
    from tests.support.fake_airflow.runs import FakeRun

Version = Literal["2.11.2", "3.3.2"]


class FakeAirflow(Scripting):
    """A scripted Airflow on `host`, this machine only unless told otherwise, to be used as a
    context manager.

    `prefix` is its base path ("/airflow"); `token_lifetime` the seconds an Airflow 3 token lives
    (it grants 10 more). `tokens` stand in place of the simple auth manager's; `accept` takes
    further credentials, in either version. `tls` is the server's side of TLS, by which the URL is
    https. `pools` maps names to slots, besides the default pool of 128. `clock` dates everything
    but tokens. Users are admin, op, user and viewer, each with its name as its role and
    `password_of` it as password.
    """

    def __init__(
        self,
        version: Version = "3.3.2",
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
        two = version == "2.11.2"
        super().__init__(
            World(dags, clock=clock, pools=pools, untouched=None if two else "skipped")
        )
        self.version = version
        self.api = "/api/v1" if two else "/api/v2"
        self.health("scheduler", "healthy")
        self.health("dag_processor", None if two else "healthy")
        self.health("triggerer", None)
        self._dialect = (
            V1(self._world, prefix)
            if two
            else V2(self._world, prefix, tokens or Tokens(token_lifetime))
        )
        self._dialect.accept = accept
        self._rules: list[Rule] = []
        self._echoes: list[tuple[tuple[str, str], int, str, str]] = []
        self._record: list[Recorded] = []
        # A bound socket that never listens: it keeps the port ours, and refusing, while nobody
        # listens.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener: Listener | None = None
        self._port.bind((host, 0))
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://{host}:{self._port.getsockname()[1]}{prefix}"

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
        """A new session that is authorised as this user, and unaware of proxies; the caller closes
        it.
        """
        session = requests.Session()
        session.trust_env = False
        if isinstance(self._dialect, V1):
            session.auth = (user, password_of(user))
        else:
            session.headers["Authorization"] = f"Bearer {self.token(user)}"
        return session

    @property
    def record(self) -> list[Recorded]:
        """Every request received, in the order of the answers."""
        with self._lock:
            return list(self._record)

    def received(self, method: str, path: str) -> list[Recorded]:
        """The recorded requests with this method whose path ends so; `*` stands for one segment."""
        return [one for one in self.record if one.method == method and matches(path, one.path)]

    def traffic(self, method: str, path: str) -> Traffic:
        """What these requests, chosen as by `received`, made the server send."""
        ours = [one.traffic for one in self.received(method, path)]
        return Traffic(len(ours), sum(one.content for one in ours), sum(one.wire for one in ours))

    def runs(self, dag_id: str) -> list[FakeRun]:
        """The DAG's runs as the server has them, oldest first (a copy)."""
        with self._lock:
            return copy.deepcopy(self._world.runs_of(dag_id))

    @property
    def hangs(self) -> bool:
        """Whether a request is still to get no answer for as long as its client has retrier."""
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
        """Lets the next `times` requests go wrong, before or after they took effect.

        `on`: method and end of the path, e.g. ("POST", "/dagRuns") or, `*` being one segment,
        ("GET", "/dagRuns/*"). `skip`: so many matching requests are left alone first. `retry_after`
        in seconds, for 429. `to`: where a redirect leads, by default this server's own log-in page.
        Faults are tried in the order they were scripted.
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

    def mend(self) -> None:
        """Nothing goes wrong any more."""
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
        """The next `times` such requests are answered with `after` and their own head and body, as
        a debugging gateway may.
        """
        with self._lock:
            self._echoes += [(on, status, content_type, after)] * times

    def token(self, user: str = "admin") -> str:
        """A good token, as if from elsewhere (Airflow 3 only)."""
        with self._lock:
            return self._v2().tokens.issue(user)

    def expire_tokens(self) -> None:
        """Every token issued so far has expired (Airflow 3 only)."""
        with self._lock:
            self._v2().tokens.expire()

    def change(self, how: Callable[[ReceivedRequest, bytes], bytes]) -> None:
        """From here on each answer but a stream is sent as this makes it of the request and the
        answer's bytes.
        """
        if self._listener is not None:
            self._listener.change = how

    def up(self) -> None:
        """Listens again, on the same port."""
        if self._listener is None:
            host, port = self._port.getsockname()
            self._listener = Listener(
                port,
                self._dialect.manners,
                self._serve,
                clock=self._world.now,
                context=self._tls,
                host=host,
            )

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Within the block connections are refused; those that were open are dropped."""
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

    def _v2(self) -> V2:
        if not isinstance(self._dialect, V2):
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
            self._record.append(Recorded.of(request, status, traffic))
            return answer, fault

    def _echo(self, request: ReceivedRequest) -> FakeResponse | None:
        for number, ((method, path), status, content_type, after) in enumerate(self._echoes):
            if method == request.method and matches(path, request.path):
                del self._echoes[number]
                return echoed(request, status, content_type, after)
        return None

    def _locked(self, stream: Iterator[bytes | float]) -> Iterator[bytes | float]:
        """The pieces of a stream, each made under the lock."""
        while True:
            with self._lock:
                piece = next(stream, None)
            if piece is None:
                return
            yield piece
            listener = self._listener
            if listener is None or listener.stopping.is_set():
                return
