"""Fixtures: the scripted and the real Airflows under one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.airflow import LocalAirflow
from tests.contract.api import Api, Server, new_id
from tests.contract.client import ApiClient, starter
from tests.contract.readonly_user import without_rights
from tests.contract.scripted import DAGS, ONLY_3
from tests.support.fake_airflow import FakeAirflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

TWO = ("fake_2", "airflow_2")
THREE = ("fake_3", "airflow_3")


@pytest.fixture(scope="session")
def fake_2() -> Iterator[FakeAirflow]:
    with FakeAirflow("2.11.2", dags=DAGS, pools={"tiny": 1}) as fake:
        yield fake


@pytest.fixture(scope="session")
def fake_3() -> Iterator[FakeAirflow]:
    with FakeAirflow("3.3.2", dags=DAGS + ONLY_3, pools={"tiny": 1}) as fake:
        yield fake


@pytest.fixture(scope="session", params=TWO + THREE)
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the four servers.

    The module of one version narrows this by indirect parametrisation.
    """
    found: Server = request.getfixturevalue(request.param)
    if isinstance(found, LocalAirflow):
        for dag in DAGS + (ONLY_3 if found.version == "3.3.2" else ()):
            found.wait_for_dag(dag.dag_id)
    return found


@pytest.fixture(scope="session")
def login(server: Server) -> Iterator[Callable[[str], Api]]:
    """Return a function that logs a user in, once per user."""
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
    return login("admin")


@pytest.fixture(scope="session")
def viewer(login: Callable[[str], Api]) -> Api:
    return login("viewer")


@pytest.fixture(scope="session")
def success(admin: Api) -> str:
    """The id of a run of quick_success that has succeeded.

    A fresh Airflow 3 on a busy machine may lose its first task.
    """
    for _ in range(5):
        run_id = admin.ended("quick_success")
        if admin.wait("quick_success", run_id)["state"] == "success":
            break
    return run_id


@pytest.fixture(scope="session")
def failure(admin: Api) -> str:
    """The id of a run of quick_failure that has ended."""
    return admin.ended("quick_failure")


@pytest.fixture(scope="session")
def sales(admin: Api) -> str:
    """The id of a run of nightly_sales that has ended."""
    return admin.ended("nightly_sales")


class FailedRuns:
    """Runs that fail, each for another reason. `runs[dag_id]` is the id of the ended run."""

    def __init__(self, admin: Api) -> None:
        self._admin = admin
        self._runs: dict[str, str] = {}
        self._start("too_slow")  # takes longest; the others run one by one

    def __getitem__(self, dag_id: str) -> str:
        if dag_id not in self._runs:
            self._start(dag_id)
        assert self._admin.wait(dag_id, self._runs[dag_id])["state"] == "failed"
        return self._runs[dag_id]

    def _start(self, dag_id: str) -> None:
        self._runs[dag_id] = new_id()
        assert self._admin.trigger(dag_id, dag_run_id=self._runs[dag_id]).status_code == 200


@pytest.fixture(scope="session")
def failed_runs(admin: Api, success: str) -> FailedRuns:
    assert success  # must be the first run
    return FailedRuns(admin)


@pytest.fixture(scope="session")
def readonly_user(server: Server) -> Iterator[Api]:
    """A user without the permission to read anything that explains a run."""
    with without_rights(server) as session:
        yield Api(server, session)


@pytest.fixture(params=["2.11.2", "3.3.2"])
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., ApiClient]]:
    with starter(request.param) as start:
        yield start


@pytest.fixture
def start_3() -> Iterator[Callable[..., ApiClient]]:
    with starter("3.3.2") as start:
        yield start
