"""The scripted Airflow itself: what a test starts, scripts and asks afterwards."""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, Literal

import requests

from tests.support.fake_airflow.faults import Fault, Rule
from tests.support.fake_airflow.messages import JSON, Answer, Recorded, Request, matches
from tests.support.fake_airflow.nouns import FakeDag, FakeRun
from tests.support.fake_airflow.v1 import V1
from tests.support.fake_airflow.v2 import V2
from tests.support.fake_airflow.wire import Listener
from tests.support.fake_airflow.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import Self

Version = Literal["2.11.2", "3.3.2"]


class FakeAirflow:
    """A scripted Airflow on 127.0.0.1, to be used as a context manager.

    `prefix` is its base path ("/airflow"); `token_lifetime` the seconds an Airflow 3 token lives (it grants 10 more).
    Users are admin and viewer, each with its name as password.
    """

    def __init__(
        self,
        version: Version = "3.3.2",
        *,
        dags: Iterable[FakeDag] = (),
        prefix: str = "",
        token_lifetime: int = 86400,
    ) -> None:
        self.version = version
        self.api = "/api/v1" if version == "2.11.2" else "/api/v2"
        self._world = World(dags)
        self._dialect = V1(self._world, prefix) if version == "2.11.2" else V2(self._world, prefix, token_lifetime)
        self._lock = threading.RLock()
        self._rules: list[Rule] = []
        self._echoes: list[tuple[tuple[str, str], int, str, str]] = []
        self._record: list[Recorded] = []
        # A bound socket that never listens: it keeps the port ours, and refusing, while nobody listens.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener: Listener | None = None
        self._port.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._port.getsockname()[1]}{prefix}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._take_down()
        finally:
            self._port.close()

    def session(self, user: str = "admin") -> requests.Session:
        """A new session that is authorised as this user, and unaware of proxies; the caller closes it."""
        session = requests.Session()
        session.trust_env = False
        if isinstance(self._dialect, V1):
            session.auth = (user, user)
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

    def runs(self, dag_id: str) -> list[FakeRun]:
        """The DAG's runs as the server has them, oldest first (a copy)."""
        with self._lock:
            return copy.deepcopy(self._world.runs_of(dag_id))

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

        `on`: method and end of the path, e.g. ("POST", "/dagRuns") or, `*` being one segment, ("GET", "/dagRuns/*").
        `skip`: so many matching requests are left alone first. `retry_after` in seconds, for 429. `to`: where a
        redirect leads, by default this server's own log-in page. Faults are tried in the order they were scripted.
        """
        with self._lock:
            self._rules.append(Rule(fault, on, when, times, skip, retry_after, to or f"{self.url}/login/?next=%2Fhome"))

    def echo(
        self, on: tuple[str, str], status: int, content_type: str = JSON, *, after: str = "", times: int = 1
    ) -> None:
        """The next `times` such requests are answered with `after` and their own head and body, as a debugging gateway may."""
        with self._lock:
            self._echoes += [(on, status, content_type, after)] * times

    def states(self, dag_id: str, states: Iterable[str]) -> None:
        """What each successive look at a run of the DAG shows, the last one repeating; a clear begins anew."""
        with self._lock:
            self._world.scripts[dag_id] = tuple(states)

    def create_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        conf: dict[str, Any] | None = None,
        note: str | None = None,
        logical_date: datetime | None = None,
        state: str = "queued",
    ) -> None:
        """Somebody else makes a run."""
        with self._lock:
            run = FakeRun(dag_id, run_id, conf or {}, note, logical_date, logical_date, logical_date, user="somebody")
            self._world.create(run).enter(state)

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Somebody deletes a run."""
        with self._lock:
            del self._world.runs[dag_id, run_id]

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Somebody sets a run's state; it stays so until it is cleared."""
        with self._lock:
            self._world.hold(self._world.runs[dag_id, run_id], state)

    def pause(self, dag_id: str, *, paused: bool = True) -> None:
        """Somebody pauses a DAG, or lets it go on."""
        with self._lock:
            self._world.paused[dag_id] = paused

    def scheduler(self, status: Literal["healthy", "unhealthy"]) -> None:
        """Without a healthy scheduler no run moves."""
        with self._lock:
            self._world.scheduler = status

    def token(self, user: str = "admin") -> str:
        """A good token, as if from elsewhere (Airflow 3 only)."""
        with self._lock:
            return self._v2().tokens.issue(user)

    def expire_tokens(self) -> None:
        """Every token issued so far has expired (Airflow 3 only)."""
        with self._lock:
            self._v2().tokens.expire()

    def up(self) -> None:
        """Listens again, on the same port."""
        if self._listener is None:
            self._listener = Listener(self._port.getsockname()[1], self._dialect.manners, self._serve)

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

    def _serve(self, request: Request) -> tuple[Answer | None, Fault | None]:
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(request)), None)
            fault: Fault | None = None
            if (answer := self._echo(request)) is not None:
                pass
            elif rule is None:
                answer = self._dialect.answer(request)
            else:
                answer, fault = rule.apply(lambda: self._dialect.answer(request))
            if answer is not None and answer.stream is not None:
                answer = Answer(answer.status, stream=self._locked(answer.stream))
            status = answer.status if answer is not None else None
            self._record.append(
                Recorded(request.method, request.path, request.query, request.headers, request.body, status)
            )
            return answer, fault

    def _echo(self, request: Request) -> Answer | None:
        for number, ((method, path), status, content_type, after) in enumerate(self._echoes):
            if method == request.method and matches(path, request.path):
                del self._echoes[number]
                text = f"{after}{request.headers}{request.body.decode()}"
                body = json.dumps({"detail": text}) if content_type == JSON else text
                return Answer(status, body.encode(), content_type)
        return None

    def _locked(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks of a stream, each made under the lock, with a breath between them."""
        while True:
            with self._lock:
                piece = next(stream, None)
            if piece is None:
                return
            yield piece
            listener = self._listener
            if listener is None or (piece == b"\n" and listener.stopping.wait(0.005)):
                return
