"""What tests of every folder share: the real Airflows, each started once, when the first test asks
for it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import HealthCheck, settings

from dev import postgresql
from dev.airflow import AIRFLOW_2, AIRFLOW_3, InstallError, LocalAirflow
from entrypoint import masking
from tests.airflow.repository import GitHubRepository
from tests.support import guard
from tests.support.listener import loaded
from tests.support.missing import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

# No test is timed: a slow machine is no fault, and whatever could hang has a deadline of its own.
settings.register_profile(
    "house", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


_REAL = {"airflow", "airflow_2", "airflow_3", "image", "container"}
"""Fixtures behind which something real runs that this project did not write."""


def pytest_configure(config: pytest.Config) -> None:
    """No test of any folder is without the guard against leaks."""
    config.pluginmanager.register(guard, "guard")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test with real parts in it is run once more before it counts as red; the report lists each
    that needed it.

    A busy machine now and then freezes an Airflow for half a minute
    (docs/notes/airflow-3.md#sqlite-and-parallel-requests,
    docs/notes/waiting.md#a-frozen-api-server). What is wrong for good is red both times. A leaked
    secret is red at once.
    """
    for item in items:
        if _has_real_parts(item):
            item.add_marker(pytest.mark.flaky(reruns=1, rerun_except=guard.Leak))


def _has_real_parts(item: pytest.Item) -> bool:
    """Whether it asks for one of the real fixtures by name, or as the server that this case of the
    contract is about.
    """
    case = getattr(item, "callspec", None)
    return bool(_REAL & {*getattr(item, "fixturenames", ()), case and case.params.get("server")})


@pytest.fixture(autouse=True)
def _no_secrets() -> None:
    """A step is a process of its own: it knows no secret of another test's."""
    masking.forget()


@pytest.fixture(scope="session")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with the DAG files of the tests and of the examples."""
    folder = tmp_path_factory.mktemp("dags")
    for source in (ROOT / "tests" / "airflow" / "dags", ROOT / "examples" / "dags"):
        shutil.copytree(
            source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitHubRepository:
    """The git repository of which the real Airflow 3 has a bundle."""
    return GitHubRepository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def airflow_2(dags: Path) -> Iterator[LocalAirflow]:
    """A real Airflow 2."""
    yield from _started(LocalAirflow(AIRFLOW_2, dags=dags))


@pytest.fixture(scope="session")
def airflow_3(dags: Path, repository: GitHubRepository) -> Iterator[LocalAirflow]:
    """A real Airflow 3; with PostgreSQL where there is one, for with SQLite two clients at once are
    too many for it.
    """
    database: Literal["sqlite", "postgresql"] = "postgresql" if postgresql.installed() else "sqlite"
    yield from _started(
        LocalAirflow(AIRFLOW_3, dags=dags, database=database, settings=repository.settings)
    )


@pytest.fixture(scope="session", params=["airflow_2", "airflow_3"])
def airflow(request: pytest.FixtureRequest) -> LocalAirflow:
    """Each of the real Airflows."""
    started: LocalAirflow = request.getfixturevalue(request.param)
    return started


def _started(airflow: LocalAirflow) -> Iterator[LocalAirflow]:
    try:
        airflow.start()
    except InstallError as error:
        missing(
            f"Airflow {airflow.version} cannot be installed: {error}",
            "Its packages have to be reachable",
        )
    yield airflow
    airflow.stop()


@pytest.fixture
def listener() -> Iterator[Any]:
    """Airflow's half of the detached gate, without an Airflow."""
    with loaded() as module:
        yield module
