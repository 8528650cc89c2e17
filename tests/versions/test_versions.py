"""The action against a real Airflow of each version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev import airflow_install, airflow_settings
from dev.airflow_install import InstallError
from dev.airflow_settings import Version
from tests.versions.scenarios import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.versions.airflow import VersionRun


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_step_does_what_it_can_and_says_what_it_cannot(
    version_run: VersionRun, scenario: str
) -> None:
    version_run.finish(scenario)


def test_a_python_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (airflow_settings, airflow_install):
        monkeypatch.setattr(module, "ROOT", tmp_path)

    with pytest.raises(InstallError, match=r"Airflow 0\.0\.1 needs Python 3\.99, and uv neither"):
        airflow_install.install(Version("0.0.1", (3, 99), locked=False), lambda _: None)
