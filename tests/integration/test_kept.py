"""The Airflow of `make demo KEEP=true` is found by other programs, and by a shell."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from dev import kept
from dev.airflow_api import AirflowApi
from dev.airflow_settings import AIRFLOW_3
from tests.support.fake_airflow import FakeAirflow, FakeDag

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_kept_airflow_is_found_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its password has quotes, which a shell must not read as its own."""
    monkeypatch.setattr(kept, "FILE", tmp_path / "demo.env")
    show = f'. {kept.FILE}; printf %s "$AIRFLOW_USERNAME $AIRFLOW_PASSWORD $AIRFLOW_URL"'
    airflow = AirflowApi(AIRFLOW_3, "")
    with FakeAirflow("3.3.2", dags=(FakeDag("sales"),)) as fake:
        airflow.url = fake.url
        assert kept.find() is None
        with kept.announced(airflow):
            found = kept.find()
            shown = subprocess.run(["/bin/sh", "-c", show], capture_output=True, check=True).stdout
        assert kept.find() is None

    assert found is not None
    assert found.url == fake.url
    assert shown.decode() == f"admin {airflow.users['admin']} {fake.url}"
    with kept.announced(airflow):  # as after a SIGKILL: the file is there, the Airflow is not
        assert kept.find() is None
