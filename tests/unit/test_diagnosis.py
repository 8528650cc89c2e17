"""Why a run does not move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from entrypoint.gate.diagnosis import why_stuck
from entrypoint.models import Dag, DagRun, RunRequest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@dataclass
class Paused:
    """An Airflow of which only the pause matters."""

    is_paused: bool

    def get_dag(self, dag_id: str) -> Dag:
        """Show the DAG."""
        return Dag(dag_id, is_paused=self.is_paused, is_active=True, has_import_errors=False)


@pytest.mark.parametrize(
    ("paused", "logical_date", "run_after", "reason"),
    [
        (True, None, None, "paused"),
        (False, LATER, None, "logical date"),
        (False, None, LATER, "run_after"),
        (False, NOW, NOW, None),
        (False, None, None, None),
    ],
)
def test_the_reason_is_named(
    paused: bool,  # noqa: FBT001
    logical_date: datetime | None,
    run_after: datetime | None,
    reason: str | None,
) -> None:
    """A pause and a date in the future are told apart; without either nothing is made up."""
    airflow: Any = Paused(paused)
    request = RunRequest("sales", "r1", {}, run_after=run_after)
    said = why_stuck(airflow, DagRun("sales", "r1", "queued", {}, logical_date=logical_date), request, NOW)
    assert said is None if reason is None else reason in str(said)
