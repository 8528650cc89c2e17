"""The real Airflow for the measurements, with the admin's requests to it.

It must not know the tools.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dev.airflow import LocalAirflow
from dev.airflow_api import HTTP_TIMEOUT
from dev.airflow_settings import AIRFLOW_2, AIRFLOW_3, ROOT
from dev.bench import cpu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import requests

    from dev.airflow_settings import Version

DAGS = ROOT / "dev" / "bench" / "dags"
_SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "32",  # Airflow's default; the tests use less
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",  # Airflow's default
}


class BenchRunner:
    """A running Airflow with the benchmark's DAGs."""

    def __init__(self, airflow: LocalAirflow, version: Version) -> None:
        self.airflow = airflow
        self.version = version
        self.server = "webserver" if version == AIRFLOW_2 else "api-server"

    @property
    def description(self) -> str:
        """The version and the database."""
        return f"{self.version.name} ({'SQLite' if self.version == AIRFLOW_2 else 'PostgreSQL'})"

    def server_cpu(self) -> float:
        """Return the CPU seconds that its web server's processes have used so far."""
        return cpu.of_session(self.airflow.components.pid(self.server))

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Trigger a run as the admin, and return its mark."""
        mark = uuid4().hex
        body = {"conf": {"mark": mark, **conf}} | (
            {} if self.version == AIRFLOW_2 else {"logical_date": None}
        )
        with self.airflow.session() as session:
            answer = session.post(self._runs(dag_id), json=body, timeout=HTTP_TIMEOUT)
        answer.raise_for_status()
        return mark

    def runs_by_mark(self, dag_id: str) -> dict[str, dict[str, Any]]:
        """Return Airflow's DAG runs by the mark in their conf, or by their id."""
        return {
            (run["conf"] or {}).get("mark") or run["dag_run_id"]: run
            for run in self.airflow.runs(dag_id)
        }

    def ends(self, dag_id: str) -> dict[str, float]:
        """Return the end of each finished run as Unix time, by mark."""
        runs = self.runs_by_mark(dag_id).items()
        return {
            mark: datetime.fromisoformat(run["end_date"]).timestamp()
            for mark, run in runs
            if run["end_date"]
        }

    def create_history(self, dag_id: str, seconds: list[float], limit: float) -> None:
        """Run the DAG with these durations, all at the same time, until all have succeeded.

        Raises:
            TimeoutError: after `limit` seconds
        """
        self.airflow.wait_for_dag(dag_id)
        for each in seconds:
            self.trigger(dag_id, {"seconds": each})
        time.sleep(max(seconds))
        until(
            lambda: all(run["state"] == "success" for run in self.airflow.runs(dag_id)),
            "a history",
            limit,
        )

    def end(self, session: requests.Session, dag_id: str, run_id: str, state: str) -> None:
        """Set a run to a final state."""
        url = f"{self._runs(dag_id)}/{run_id}"
        session.patch(url, json={"state": state}, timeout=HTTP_TIMEOUT).raise_for_status()

    def close_pool(self, name: str) -> None:
        """Create a pool without slots."""
        with self.airflow.session() as session:
            body = {"name": name, "slots": 0}
            answer = session.post(
                f"{self.airflow.url}{self.airflow.api}/pools", json=body, timeout=HTTP_TIMEOUT
            )
        if answer.status_code != 409:
            answer.raise_for_status()

    def _runs(self, dag_id: str) -> str:
        return f"{self.airflow.url}{self.airflow.api}/dags/{dag_id}/dagRuns"


@contextmanager
def opened(
    version: Version = AIRFLOW_3, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[BenchRunner]:
    """Start a fresh Airflow: 3 on PostgreSQL, 2 on SQLite.

    `settings` are further environment variables.
    """
    database = "sqlite" if version == AIRFLOW_2 else "postgresql"
    with LocalAirflow(
        version,
        dags=DAGS,
        database=database,  # type: ignore[arg-type]
        settings={**_SETTINGS, **settings},
    ) as airflow:
        yield BenchRunner(airflow, version)


def until(done: Callable[[], object], what: str, limit: float) -> None:
    """Return when `done` returns true.

    Raises:
        TimeoutError: after `limit` seconds
    """
    deadline = time.monotonic() + limit
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {limit:.0f} s")
        time.sleep(1)
