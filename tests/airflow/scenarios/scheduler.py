"""A scheduler whose process is stopped and continued."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import requests

from tests.airflow.job import TIMEOUT, get, until
from tests.airflow.scenarios.blocked import WAITING, notice_and_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow import LocalAirflow
    from dev.runner import StepResult
    from tests.airflow.scenario import ScenarioRunner

STOPS = 10
"""Attempts; a scheduler that is stopped while it writes keeps the database locked."""
STALE = 6.0
"""Seconds since the last heartbeat. 15 s later, when the step asks, the scheduler is unhealthy."""


def no_scheduler(scenarios: ScenarioRunner) -> StepResult:
    """Stop the scheduler, and start a step that sees it as unhealthy 15 s later."""
    airflow, dag_id = scenarios.airflow, "quick_success"
    airflow.wait_for_dag(dag_id)
    with _frozen_scheduler(airflow):
        until(lambda: _silent_for(airflow) > STALE, "without heartbeats")
        with scenarios.started(dag_id, run_id=WAITING) as waiting:
            waiting.wait_for("::notice title=Waiting", TIMEOUT)
            # Airflow 2 serves no other request while it reads a long log.
            scenarios.wait_until_done("hostile")
            return notice_and_end(scenarios, "no scheduler", dag_id, waiting)


@contextmanager
def _frozen_scheduler(airflow: LocalAirflow) -> Iterator[None]:
    """Stop the scheduler at a moment when it does not lock the database."""
    try:
        for _ in range(STOPS):
            airflow.freeze("scheduler")
            if _can_write(airflow):
                break
            airflow.freeze("scheduler", False)
            # It goes on in the middle of what it was writing.
            until(lambda: _can_write(airflow), "able to write again")
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
    """Return the scheduler's part of Airflow's health."""
    found: dict[str, str] = get(
        airflow, "/health" if airflow.api == "/api/v1" else "/monitor/health"
    )["scheduler"]
    return found


def _silent_for(airflow: LocalAirflow) -> float:
    """Return the seconds since the scheduler's last heartbeat."""
    heartbeat = datetime.fromisoformat(_scheduler(airflow)["latest_scheduler_heartbeat"])
    return (datetime.now(UTC) - heartbeat).total_seconds()
