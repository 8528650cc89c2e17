"""Fixtures for all test folders: above all the real Airflows, one start per session."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import HealthCheck, settings

from dev import postgresql
from dev.airflow import AIRFLOW_2, AIRFLOW_3, InstallError, LocalAirflow
from entrypoint import masking
from tests.airflow.repository import GitRepository
from tests.support import leak_guard
from tests.support.file import made_file
from tests.support.listener import loaded_listener
from tests.support.missing import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

# No deadline: a slow machine is not a bug, and everything that could hang has its own timeout.
settings.register_profile(
    "default-profile", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default-profile")


_REAL = {"version_run", "airflow", "airflow_2", "airflow_3", "image", "container"}
"""Fixtures that run real software which is not part of this project."""
_PARTS = ("airflow_2", "airflow_3", "neither")
"""The parts of the tests that `make test` runs side by side."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that selects a part of the tests, so that each real Airflow starts once."""
    parser.addoption("--part", choices=_PARTS, help="run only the tests with this real Airflow")


def pytest_configure(config: pytest.Config) -> None:
    """Register the leak guard for every test folder."""
    config.pluginmanager.register(leak_guard, "leak_guard")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Rerun a failed test once if it uses real software; the report lists each rerun.

    A busy machine sometimes freezes an Airflow for half a minute
    (docs/notes/airflow-3.md#sqlite-and-parallel-requests,
    docs/notes/waiting.md#a-frozen-api-server). A real bug fails both times. A leaked secret fails
    the test without a rerun.
    """
    for item in items:
        if _REAL & _fixtures(item):
            item.add_marker(pytest.mark.flaky(reruns=1, rerun_except=leak_guard.Leak))
    if part := config.getoption("--part"):
        others = [item for item in items if _part(item) != part]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _part(item) == part]


def _fixtures(item: pytest.Item) -> set[str]:
    """Return the fixtures of a test, by name or as the parameter of `server` or `airflow`."""
    case = getattr(item, "callspec", None)
    chosen = [case.params.get(name) for name in ("server", "airflow")] if case else []
    return {*getattr(item, "fixturenames", ()), *(one for one in chosen if isinstance(one, str))}


def _part(item: pytest.Item) -> str:
    """Return the part of a test. Both Airflows of `detached_runs` start beside Airflow 3."""
    fixtures = _fixtures(item)
    if fixtures & {"airflow_3", "detached_runs"}:
        return "airflow_3"
    return "airflow_2" if "airflow_2" in fixtures else "neither"


@pytest.fixture(autouse=True)
def _no_secrets() -> None:
    """Forget all masked secrets, because each step is a process of its own."""
    masking.forget()


@pytest.fixture(scope="session")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one folder with the DAG files of the tests and of the examples."""
    folder = tmp_path_factory.mktemp("dags")
    for source in (ROOT / "tests" / "airflow" / "dags", ROOT / "examples" / "dags"):
        shutil.copytree(
            source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    """Return the git repository that is a DAG bundle of the real Airflow 3."""
    return GitRepository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def airflow_2(dags: Path) -> Iterator[LocalAirflow]:
    yield from _started(LocalAirflow(AIRFLOW_2, dags=dags))


@pytest.fixture(scope="session")
def airflow_3(dags: Path, repository: GitRepository) -> Iterator[LocalAirflow]:
    """Start Airflow 3, on PostgreSQL if it is installed.

    SQLite cannot serve two clients at the same time.
    """
    database: Literal["sqlite", "postgresql"] = "postgresql" if postgresql.installed() else "sqlite"
    yield from _started(
        LocalAirflow(AIRFLOW_3, dags=dags, database=database, settings=repository.settings)
    )


@pytest.fixture(scope="session", params=["airflow_2", "airflow_3"])
def airflow(request: pytest.FixtureRequest) -> LocalAirflow:
    """Run the test once for each real Airflow version."""
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


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make airflow-dag-run.pyz."""
    return made_file(tmp_path_factory.mktemp("file"))


@pytest.fixture
def listener() -> Iterator[Any]:
    """Load Airflow's part of the detached mode, without an Airflow."""
    with loaded_listener() as module:
        yield module
