"""What the tests against real Airflows share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import Job

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow import LocalAirflow


@pytest.fixture
def job(airflow: LocalAirflow, tmp_path: Path) -> Job:
    """A job of a new workflow run, in front of each of the real Airflows."""
    return Job(airflow, tmp_path)
