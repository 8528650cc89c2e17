"""The real Airflows of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev import postgresql
from tests.support.missing import missing

if TYPE_CHECKING:
    from dev.airflow import LocalAirflow


def test_airflow_3_uses_postgresql_if_it_is_installed(airflow_3: LocalAirflow) -> None:
    if postgresql.installed() is None:
        missing(
            "There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)"
        )

    airflow_3.wait_for_dag("quick_success")
    airflow_3.pause("quick_success", False)

    assert not (airflow_3.home / "airflow.db-wal").exists()
