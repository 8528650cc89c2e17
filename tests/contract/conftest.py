"""Whom the contract of Airflow's API is checked against: the scripted Airflows and the real ones, under one interface.

The real ones are the session fixtures `airflow_2` and `airflow_3`.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import requests

from dev.airflow import LocalAirflow
from tests.contract.scripted import DAGS
from tests.contract.talk import Talk, starter
from tests.support.fake_airflow import FakeAirflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TWO = ("fake_2", "airflow_2")
THREE = ("fake_3", "airflow_3")
AT_MOST = 120.0  # seconds for a real run of a few seconds


class Server(Protocol):
    """What `FakeAirflow` and `LocalAirflow` have in common."""

    url: str
    api: str
    version: str

    def session(self, user: str = "admin") -> requests.Session:
        """A session authorised as this user."""


class Api:
    """One user's talk with one Airflow. Paths are below /api/v1 or /api/v2."""

    def __init__(self, server: Server, session: requests.Session) -> None:
        self.server = server
        self.version = server.version
        self._session = session

    def get(self, path: str, **query: Any) -> requests.Response:
        """GET."""
        return self._session.get(f"{self.server.url}{self.server.api}{path}", params=query, timeout=60)

    def read(self, path: str, accept: str) -> requests.Response:
        """GET with an Accept header."""
        url = f"{self.server.url}{self.server.api}{path}"
        return self._session.get(url, headers={"Accept": accept}, timeout=60)

    def post(self, path: str, body: Any) -> requests.Response:
        """POST JSON."""
        return self._session.post(f"{self.server.url}{self.server.api}{path}", json=body, timeout=60)

    def patch(self, path: str, body: Any) -> requests.Response:
        """PATCH JSON."""
        return self._session.patch(f"{self.server.url}{self.server.api}{path}", json=body, timeout=60)

    def anonymous(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request without the user's credential; here the path is the whole one."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, f"{self.server.url}{path}", timeout=60, **options)

    def clear_failed(self, dag_id: str, run_id: str) -> requests.Response:
        """Clears the failed tasks of a run, each version in its way."""
        if self.version == "3.3.2":
            return self.post(f"/dags/{dag_id}/dagRuns/{run_id}/clear", {"dry_run": False, "only_failed": True})
        wish = {"dag_run_id": run_id, "dry_run": False, "only_failed": True, "reset_dag_runs": True}
        return self.post(f"/dags/{dag_id}/clearTaskInstances", wish)

    def trigger(self, dag_id: str, **body: Any) -> requests.Response:
        """POST a run; Airflow 3 wants to hear of a logical date, Airflow 2 does not want to hear of none."""
        nothing = {} if self.version == "2.11.2" else {"logical_date": None}
        return self.post(f"/dags/{dag_id}/dagRuns", nothing | body)

    def wait(self, dag_id: str, run_id: str, *states: str) -> dict[str, Any]:
        """The run, once it is in one of these states (default: ended)."""
        deadline, pause = time.monotonic() + AT_MOST, 0.01
        while True:
            run: dict[str, Any] = self.get(f"/dags/{dag_id}/dagRuns/{run_id}").json()
            if run["state"] in (states or ("success", "failed")):
                return run
            assert time.monotonic() < deadline, f"still {run['state']}"
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def ended(self, dag_id: str) -> str:
        """The id of a new run that has ended."""
        run_id = new_id()
        assert self.trigger(dag_id, dag_run_id=run_id).status_code == 200
        self.wait(dag_id, run_id)
        return run_id


def new_id() -> str:
    """A run id nobody has used, so that a server may live as long as it likes."""
    return f"contract-{uuid.uuid4()}"


def reason(answer: requests.Response) -> str:
    """What an error says, wherever its version puts the words; checks the shape on the way."""
    body = answer.json()
    if answer.headers["Content-Type"] == "application/problem+json":
        assert set(body) == {"detail", "status", "title", "type"}
        assert body["status"] == answer.status_code
        return f"{body['title']}: {body['detail']}"
    assert answer.headers["Content-Type"] == "application/json"
    (text,) = body.values()
    return str(text)


@pytest.fixture(scope="session")
def fake_2() -> Iterator[FakeAirflow]:
    """The scripted Airflow 2."""
    with FakeAirflow("2.11.2", dags=DAGS) as fake:
        yield fake


@pytest.fixture(scope="session")
def fake_3() -> Iterator[FakeAirflow]:
    """The scripted Airflow 3."""
    with FakeAirflow("3.3.2", dags=DAGS) as fake:
        yield fake


@pytest.fixture(scope="session", params=TWO + THREE)
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the four; a module that speaks of one version only narrows it by parametrising it indirectly."""
    found: Server = request.getfixturevalue(request.param)
    if isinstance(found, LocalAirflow):
        for dag in DAGS:
            found.wait_for_dag(dag.dag_id)
    return found


@pytest.fixture(scope="session")
def login(server: Server) -> Iterator[Callable[[str], Api]]:
    """Makes the talk of any user, once."""
    sessions: dict[str, requests.Session] = {}

    def as_user(user: str) -> Api:
        if user not in sessions:
            sessions[user] = server.session(user)
        return Api(server, sessions[user])

    yield as_user
    for session in sessions.values():
        session.close()


@pytest.fixture(scope="session")
def admin(login: Callable[[str], Api]) -> Api:
    """Somebody who may do everything."""
    return login("admin")


@pytest.fixture(scope="session")
def viewer(login: Callable[[str], Api]) -> Api:
    """Somebody who may only read."""
    return login("viewer")


@pytest.fixture(scope="session")
def success(admin: Api) -> str:
    """The id of a run of quick_success that has ended."""
    return admin.ended("quick_success")


@pytest.fixture(scope="session")
def failure(admin: Api) -> str:
    """The id of a run of quick_failure that has ended."""
    return admin.ended("quick_failure")


@pytest.fixture(params=["2.11.2", "3.3.2"])
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Talk]]:
    """Starts a scripted Airflow of either version."""
    with starter(request.param) as start:
        yield start


@pytest.fixture
def start_3() -> Iterator[Callable[..., Talk]]:
    """Starts a scripted Airflow 3."""
    with starter("3.3.2") as start:
        yield start
