"""The action against a real Airflow of each version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.versions.scenarios import SCENARIOS

if TYPE_CHECKING:
    from tests.versions.airflow import VersionRun


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_step_does_what_it_can_and_says_what_it_cannot(
    version_run: VersionRun, scenario: str
) -> None:
    version_run.finish(scenario)
