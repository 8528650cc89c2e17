"""Fixtures of the tests against real Airflows."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from dev import postgresql
from dev.airflow import AIRFLOW_2, AIRFLOW_3, InstallError
from tests.airflow.detached import DetachedScenarios
from tests.airflow.job import TIMEOUT, Job
from tests.airflow.scenario import ScenarioRunner
from tests.airflow.scenarios import begin_with_scheduler, begin_without_scheduler
from tests.airflow.scenarios.commits import CommitScenario
from tests.airflow.scenarios.services import AuthScenarios, run_auth_scenarios_2
from tests.airflow.services import FEDERATED_LIFE, LIFE, auth_services
from tests.support.keycloak import Keycloak
from tests.support.missing import missing
from tests.support.services import FakeGitHubOidc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from tests.airflow.repository import GitRepository
    from tests.airflow.services import AuthService


@pytest.fixture
def job(airflow: LocalAirflow, tmp_path: Path) -> Job:
    """A job of a new workflow run, with each of the real Airflows."""
    return Job(airflow, tmp_path)


def start(request: pytest.FixtureRequest, fixtures: dict[str, str]) -> None:
    """Start what takes longest and little CPU time, if a test needs it: fixtures by its result."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for result, fixture in fixtures.items():
        if result in wanted:
            request.getfixturevalue(fixture)


@pytest.fixture(scope="session")
def scenarios_2(
    airflow_2: LocalAirflow,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> ScenarioRunner:
    """The finished scenarios with a real Airflow 2."""
    scenarios = run_scenarios(airflow_2, tmp_path_factory.mktemp("scenarios-2"))
    start(request, {"auth_scenarios_2": "auth_scenarios_2_started"})
    return scenarios


@pytest.fixture(scope="session")
def auth_scenarios_2_started(
    airflow_2: LocalAirflow, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[ScenarioRunner]]:
    """The login scenarios with a real Airflow 2, which run beside the tests."""
    scenarios = ScenarioRunner(airflow_2, tmp_path_factory.mktemp("logins-2"))
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run_auth_scenarios_2, scenarios)


@pytest.fixture(scope="session")
def auth_scenarios_2(auth_scenarios_2_started: Future[ScenarioRunner]) -> ScenarioRunner:
    """The finished login scenarios with a real Airflow 2."""
    return auth_scenarios_2_started.result(4 * TIMEOUT)


@pytest.fixture(scope="session")
def scenarios_3(
    airflow_3_with_postgresql: LocalAirflow,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> ScenarioRunner:
    """The finished scenarios with a real Airflow 3."""
    scenarios = run_scenarios(airflow_3_with_postgresql, tmp_path_factory.mktemp("scenarios-3"))
    start(
        request,
        {
            "auth_scenarios_3": "auth_scenarios_3_started",
            "commits": "commits_started",
            "detached": "detached_runs",
        },
    )
    return scenarios


@pytest.fixture(scope="session")
def auth_servers_3(
    airflow_3_with_postgresql: LocalAirflow,
) -> Iterator[tuple[dict[str, AuthService], Keycloak]]:
    """The web servers with the auth managers of a real Airflow 3, and Keycloak."""
    airflow = airflow_3_with_postgresql
    with (
        FakeGitHubOidc() as oidc,
        Keycloak(airflow.users, LIFE, oidc=oidc, federated_lifetime=FEDERATED_LIFE) as keycloak,
        auth_services(airflow, keycloak, oidc) as services,
    ):
        yield services, keycloak


@pytest.fixture(scope="session")
def auth_scenarios_3_started(
    airflow_3_with_postgresql: LocalAirflow,
    auth_servers_3: tuple[dict[str, AuthService], Keycloak],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Future[AuthScenarios]]:
    """The login scenarios with a real Airflow 3, which run beside the tests."""
    airflow, folder = airflow_3_with_postgresql, tmp_path_factory.mktemp("logins-3")
    services, keycloak = auth_servers_3
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(AuthScenarios(ScenarioRunner(airflow, folder), services).run, keycloak)


@pytest.fixture(scope="session")
def auth_scenarios_3(auth_scenarios_3_started: Future[AuthScenarios]) -> AuthScenarios:
    """The finished login scenarios with a real Airflow 3."""
    return auth_scenarios_3_started.result(4 * TIMEOUT)


@pytest.fixture(scope="session")
def commits_started(
    airflow_3_with_postgresql: LocalAirflow,
    repository: GitRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Future[CommitScenario]]:
    """Commits to the bundle of a real Airflow 3, whose steps run beside the tests."""
    scenarios = ScenarioRunner(airflow_3_with_postgresql, tmp_path_factory.mktemp("commits"))
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(CommitScenario(scenarios, repository).run)


@pytest.fixture(scope="session")
def commits(commits_started: Future[CommitScenario]) -> CommitScenario:
    """Commits to the bundle of a real Airflow 3, each with its finished step."""
    return commits_started.result(8 * TIMEOUT)


@pytest.fixture(scope="session")
def airflow_3_with_postgresql(airflow_3: LocalAirflow) -> LocalAirflow:
    """A real Airflow 3 with PostgreSQL, which serves concurrent clients."""
    if postgresql.installed() is None:
        missing(
            "There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)"
        )
    return airflow_3


@pytest.fixture
def scenarios(airflow: LocalAirflow, request: pytest.FixtureRequest) -> ScenarioRunner:
    """The finished scenarios with each of the real Airflows."""
    finished: ScenarioRunner = request.getfixturevalue(
        "scenarios_2" if airflow.api == "/api/v1" else "scenarios_3"
    )
    return finished


def run_scenarios(airflow: LocalAirflow, folder: Path) -> ScenarioRunner:
    """Run all scenarios. A failed scenario fails the tests that use its result."""
    scenarios = ScenarioRunner(airflow, folder)
    for begin in (begin_with_scheduler, begin_without_scheduler):
        begin(scenarios)
        scenarios.wait_for_all()
    return scenarios


@pytest.fixture(scope="session")
def detached_runs(
    dags: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[DetachedScenarios]]]:
    """Runs that no step waits for, with both Airflows at once."""
    if postgresql.installed() is None:
        missing(
            "There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)"
        )
    with ThreadPoolExecutor(2) as pool:
        runs = [
            DetachedScenarios(one, dags, tmp_path_factory.mktemp("detached"))
            for one in (AIRFLOW_2, AIRFLOW_3)
        ]
        yield {scenario.version.name: pool.submit(scenario.run) for scenario in runs}


@pytest.fixture(params=[AIRFLOW_2.name, AIRFLOW_3.name])
def detached(
    request: pytest.FixtureRequest, detached_runs: dict[str, Future[DetachedScenarios]]
) -> DetachedScenarios:
    """The finished runs with each of the real Airflows that have the listener."""
    try:
        return detached_runs[request.param].result(4 * TIMEOUT)
    except InstallError as error:
        missing(
            f"Airflow {request.param} cannot be installed: {error}",
            "Its packages have to be reachable",
        )
