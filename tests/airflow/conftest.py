"""What the tests against real Airflows share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev import postgresql
from tests.airflow.job import Job
from tests.airflow.plays import first_act, second_act
from tests.airflow.stage import Stage
from tests.support.missing import missing

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow import LocalAirflow


@pytest.fixture
def job(airflow: LocalAirflow, tmp_path: Path) -> Job:
    """A job of a new workflow run, in front of each of the real Airflows."""
    return Job(airflow, tmp_path)


@pytest.fixture(scope="session")
def stage_2(airflow_2: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The plays in front of a real Airflow 2, all over."""
    return performed(airflow_2, tmp_path_factory.mktemp("stage-2"))


@pytest.fixture(scope="session")
def stage_3(airflow_3: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The plays in front of a real Airflow 3, all over."""
    if postgresql.installed() is None:
        missing("There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)")
    return performed(airflow_3, tmp_path_factory.mktemp("stage-3"))


@pytest.fixture
def stage(airflow: LocalAirflow, request: pytest.FixtureRequest) -> Stage:
    """The plays in front of each of the real Airflows, all over."""
    over: Stage = request.getfixturevalue("stage_2" if airflow.api == "/api/v1" else "stage_3")
    return over


def performed(airflow: LocalAirflow, folder: Path) -> Stage:
    """A stage on which all plays are over, well or badly: who asks for the result of one is told."""
    stage = Stage(airflow, folder)
    for act in (first_act, second_act):
        act(stage)
        stage.end()
    return stage
