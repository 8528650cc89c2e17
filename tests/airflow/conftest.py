"""What the tests against real Airflows share."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from dev import postgresql
from dev.airflow import AIRFLOW_2, AIRFLOW_3, InstallError
from tests.airflow.detached import Detached
from tests.airflow.job import PATIENCE, Job
from tests.airflow.scenario import Stage
from tests.airflow.scenarios import first_act, second_act
from tests.airflow.scenarios.commits import Commits
from tests.airflow.scenarios.services import Through
from tests.airflow.services import LIFE, opened
from tests.support.keycloak import Keycloak
from tests.support.missing import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from tests.airflow.repository import GitHubRepository


@pytest.fixture
def job(airflow: LocalAirflow, tmp_path: Path) -> Job:
    """A job of a new workflow run, in front of each of the real Airflows."""
    return Job(airflow, tmp_path)


@pytest.fixture(scope="session")
def stage_2(airflow_2: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The plays in front of a real Airflow 2, all over."""
    return performed(airflow_2, tmp_path_factory.mktemp("stage-2"))


@pytest.fixture(scope="session")
def stage_3(
    airflow_3_for_many: LocalAirflow,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Stage:
    """The plays in front of a real Airflow 3, all over."""
    stage = performed(airflow_3_for_many, tmp_path_factory.mktemp("stage-3"))
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for result, play in (
        ("through_3", "going_through_3"),
        ("commits", "commits_go_on"),
        ("detached", "detached_runs"),
    ):
        if result in wanted:
            request.getfixturevalue(play)  # takes longest, and next to nothing else: time to begin
    return stage


@pytest.fixture(scope="session")
def going_through_3(
    airflow_3_for_many: LocalAirflow, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Through]]:
    """The plays at the doors of a real Airflow 3, begun: they go on beside the tests."""
    airflow, folder = airflow_3_for_many, tmp_path_factory.mktemp("doors-3")
    with (
        Keycloak(airflow.users, LIFE) as keycloak,
        opened(airflow, keycloak) as doors,
        ThreadPoolExecutor(1) as pool,
    ):
        yield pool.submit(Through(Stage(airflow, folder), doors).perform, keycloak)


@pytest.fixture(scope="session")
def through_3(going_through_3: Future[Through]) -> Through:
    """The plays at the doors of a real Airflow 3, all over."""
    return going_through_3.result(4 * PATIENCE)


@pytest.fixture(scope="session")
def commits_go_on(
    airflow_3_for_many: LocalAirflow,
    repository: GitHubRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Future[Commits]]:
    """Commits to the bundle of a real Airflow 3, begun: they go on beside the tests."""
    stage = Stage(airflow_3_for_many, tmp_path_factory.mktemp("commits"))
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(Commits(stage, repository).perform)


@pytest.fixture(scope="session")
def commits(commits_go_on: Future[Commits]) -> Commits:
    """Commits to the bundle of a real Airflow 3, each with its step, all over."""
    return commits_go_on.result(8 * PATIENCE)


@pytest.fixture(scope="session")
def airflow_3_for_many(airflow_3: LocalAirflow) -> LocalAirflow:
    """A real Airflow 3 to which many clients may talk at once."""
    if postgresql.installed() is None:
        missing(
            "There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)"
        )
    return airflow_3


@pytest.fixture
def stage(airflow: LocalAirflow, request: pytest.FixtureRequest) -> Stage:
    """The plays in front of each of the real Airflows, all over."""
    over: Stage = request.getfixturevalue("stage_2" if airflow.api == "/api/v1" else "stage_3")
    return over


def performed(airflow: LocalAirflow, folder: Path) -> Stage:
    """A stage on which all plays are over, well or badly: who asks for the result of one is
    told.
    """
    stage = Stage(airflow, folder)
    for act in (first_act, second_act):
        act(stage)
        stage.end()
    return stage


@pytest.fixture(scope="session")
def detached_runs(
    dags: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Detached]]]:
    """What becomes of runs that nobody waits for, played in front of both Airflows at once: most of
    it is waiting.
    """
    if postgresql.installed() is None:
        missing(
            "There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)"
        )
    with ThreadPoolExecutor(2) as pool:
        plays = [
            Detached(one, dags, tmp_path_factory.mktemp("detached"))
            for one in (AIRFLOW_2, AIRFLOW_3)
        ]
        yield {play.version.name: pool.submit(play.perform) for play in plays}


@pytest.fixture(params=[AIRFLOW_2.name, AIRFLOW_3.name])
def detached(
    request: pytest.FixtureRequest, detached_runs: dict[str, Future[Detached]]
) -> Detached:
    """What became of them in front of each of the real Airflows with the listener in it."""
    try:
        return detached_runs[request.param].result(4 * PATIENCE)
    except InstallError as error:
        missing(
            f"Airflow {request.param} cannot be installed: {error}",
            "Its packages have to be reachable",
        )
