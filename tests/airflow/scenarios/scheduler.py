"""An Airflow whose scheduler stands still: its process is stopped, and goes on later as if nothing
had been.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import requests

from tests.airflow.job import PATIENCE, get, until
from tests.airflow.scenarios.blocked import WAITING, notice_and_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow import LocalAirflow
    from dev.runner import StepResult
    from tests.airflow.scenario import Stage

STOPS = 10
"""How often the scheduler is stopped anew because it was stopped in the middle of writing, and
nobody else could.
"""
STALE = 6.0
"""Seconds since its last heartbeat after which a scheduler is dead for Airflow when the step looks,
15 s later.
"""


def no_scheduler(stage: Stage) -> StepResult:
    """Stop the scheduler, and look when it has been silent for so long that Airflow takes it for
    dead 15 s later.
    """
    airflow, dag_id = stage.airflow, "quick_success"
    airflow.wait_for_dag(dag_id)
    with _frozen_scheduler(airflow):
        until(lambda: _silent_for(airflow) > STALE, "without heartbeats")
        with stage.started(dag_id, run_id=WAITING) as waiting:
            waiting.wait_for("::notice title=Waiting", PATIENCE)
            stage.over("hostile")  # Airflow 2 answers nobody else while it reads a long log
            return notice_and_end(stage, "no scheduler", dag_id, waiting)


@contextmanager
def _frozen_scheduler(airflow: LocalAirflow) -> Iterator[None]:
    """The Airflow with a scheduler that stands still, but not while it keeps others from writing
    into the database.
    """
    try:
        for _ in range(STOPS):
            airflow.freeze("scheduler")
            if _can_write(airflow):
                break
            airflow.freeze("scheduler", False)
        else:
            pytest.fail("The scheduler keeps the database locked whenever it is stopped")
        yield
    finally:
        airflow.freeze("scheduler", False)
        until(lambda: _scheduler(airflow)["status"] == "healthy", "healthy again")


def _can_write(airflow: LocalAirflow) -> bool:
    try:
        airflow.pause("quick_success", False)
    except requests.RequestException:
        return False
    return True


def _scheduler(airflow: LocalAirflow) -> dict[str, str]:
    """What Airflow says of its scheduler."""
    found: dict[str, str] = get(
        airflow, "/health" if airflow.api == "/api/v1" else "/monitor/health"
    )["scheduler"]
    return found


def _silent_for(airflow: LocalAirflow) -> float:
    """Seconds since the scheduler's last heartbeat, by Airflow's own record."""
    heartbeat = datetime.fromisoformat(_scheduler(airflow)["latest_scheduler_heartbeat"])
    return (datetime.now(UTC) - heartbeat).total_seconds()
