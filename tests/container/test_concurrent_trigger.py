"""Exactly one DAG run, although twenty machines ask for the same one at once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from dev import postgresql
from dev.runner import Step
from tests.support.missing import missing

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import Container

HOW_MANY = 20
RUN_ID = "wanted-by-twenty"
PATIENCE = 300.0
"""Seconds: twenty Pythons start at once, on two cores."""
RIDDEN_OUT = "Trying again in"
"""What the log says after a request that failed in passing."""


@pytest.fixture
def airflow(airflow_3: LocalAirflow) -> LocalAirflow:
    """A real Airflow 3 to which many clients may talk at once."""
    if postgresql.installed() is None:
        missing(
            "There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)"
        )
    return airflow_3


def test_twenty_at_once(airflow: LocalAirflow, container: Container, tmp_path: Path) -> None:
    """Twenty containers with one run id make one DAG run, all report its verdict, and of clear
    answers one says it made it.
    """
    airflow.wait_for_dag("quick_success")
    inputs = {
        "airflow_url": airflow.url,
        "username": "user",
        "password": airflow.users["user"],
        "dag_id": "quick_success",
        "run_id": RUN_ID,
    }
    steps = [Step(inputs, launcher=container, workspace=tmp_path) for _ in range(HOW_MANY)]

    with ExitStack() as stack:
        all_running = [stack.enter_context(step.start()) for step in steps]
        results = [running.wait(PATIENCE) for running in all_running]

    assert [
        run["state"] for run in airflow.runs("quick_success") if run["dag_run_id"] == RUN_ID
    ] == ["success"]
    told = [
        (result.exit_code, result.outputs.get("result"), result.outputs.get("run_id"))
        for result in results
    ]
    assert told == [(0, "success", RUN_ID)] * HOW_MANY, "".join(result.log for result in results)
    # A step whose trigger's answer got lost cannot know who made the run that it finds, and calls
    # it its own .
    made = [result for result in results if result.outputs["created"] == "true"]
    assert len([result for result in made if RIDDEN_OUT not in result.log]) <= 1
    assert made
