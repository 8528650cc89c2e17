"""Fixtures: the Airflows of the chosen versions, one start each.

The variable AIRFLOW_VERSIONS chooses them, with blanks in between; by default an old one and the
newest. 2.11.2 and 3.3.2 can be chosen too. VERSIONS_RESULTS is a folder for a report of each, which
`dev.versions` reads.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dev import postgresql
from dev.airflow import InstallError
from dev.airflow_settings import AIRFLOW_2, AIRFLOW_3, RELEASES
from tests.contract.api import Api
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask
from tests.support.missing import missing
from tests.versions.airflow import VersionRun
from tests.versions.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow_settings import Version as Release
    from tests.support.fake_airflow import OtherVersion

IN_CI = ("2.5.1", RELEASES[-1].name)
"""An old version, which needs most of the rules for old ones, and the newest."""


DAGS_2_5 = (
    FakeDag("plain_success"),
    FakeDag("with_params", params_schema={"days": {"type": "integer", "default": 7}}),
)
DAGS_3_4 = (
    FakeDag(
        "loop_failure",
        tasks=(
            FakeTask("prepare"),
            FakeTask("refine.improve", iteration=0, xcom={"return_value": 0}),
            FakeTask("refine.check", iteration=0, map_index=0, xcom={"return_value": 100}),
            FakeTask("refine.check", iteration=0, map_index=1, xcom={"return_value": 200}),
            FakeTask("refine.improve", iteration=1, ends="failed"),
        ),
    ),
)
FAKES: dict[str, OtherVersion] = {"api_2_5": "2.5.1", "api_3_4": "3.4.0b2"}
"""The fixtures with a scripted and a real Airflow of one version."""


def chosen() -> tuple[Release, ...]:
    """Return the chosen releases."""
    names = os.environ.get("AIRFLOW_VERSIONS", "").split() or IN_CI
    known = (*RELEASES, AIRFLOW_2, AIRFLOW_3)
    return tuple(release for release in known if release.name in names)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each scenario with each chosen version."""
    names = [release.name for release in chosen()]
    if "version_run" in metafunc.fixturenames:
        metafunc.parametrize("version_run", names, indirect=True, scope="session")
    for fixture, name in FAKES.items():
        if fixture in metafunc.fixturenames:
            kinds = ["fake", "real"] if name in names else ["fake"]
            metafunc.parametrize(fixture, kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def started(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[VersionRun]]]:
    """Start all chosen versions at the same time, with their scenarios."""
    if postgresql.installed() is None:
        missing(
            "There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)"
        )
    runs = {
        release.name: VersionRun(release, tmp_path_factory.mktemp("version"), SCENARIOS)
        for release in chosen()
    }

    def start(run: VersionRun) -> VersionRun:
        run.start()
        return run

    with ThreadPoolExecutor(len(runs)) as pool:
        yield {name: pool.submit(start, run) for name, run in runs.items()}
    for run in runs.values():
        run.stop()
        if folder := os.environ.get("VERSIONS_RESULTS"):
            run.write(Path(folder) / f"{run.airflow.version}.json")


@pytest.fixture(scope="session")
def version_run(
    request: pytest.FixtureRequest, started: dict[str, Future[VersionRun]]
) -> VersionRun:
    """One version whose scenarios have started."""
    try:
        return started[request.param].result()
    except InstallError as error:
        missing(
            f"Airflow {request.param} cannot be installed: {error}",
            "Its packages have to be reachable",
        )


@pytest.fixture(scope="session")
def api_2_5(request: pytest.FixtureRequest) -> Iterator[Api]:
    """Return the API of 2.5.1, scripted and real."""
    yield from _api(request, "2.5.1", DAGS_2_5)


@pytest.fixture(scope="session")
def api_3_4(request: pytest.FixtureRequest) -> Iterator[Api]:
    """Return the API of 3.4, scripted and real."""
    yield from _api(request, "3.4.0b2", DAGS_3_4)


def _api(
    request: pytest.FixtureRequest, name: OtherVersion, dags: tuple[FakeDag, ...]
) -> Iterator[Api]:
    if request.param == "fake":
        with FakeAirflow(name, dags=dags) as fake, fake.session() as session:
            server: Any = fake
            yield Api(server, session)
        return
    real = request.getfixturevalue("started")[name].result().airflow
    with real.session() as session:
        yield Api(real, session)
