"""Exactly one DAG run, although twenty steps trigger it at once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from dev import postgresql
from dev.runner import ActionStep
from tests.support.missing import missing

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from tests.container.forms import AnyLauncher

HOW_MANY = 20
RUN_ID = "wanted-by-twenty"
TIMEOUT = 300.0
"""Seconds; twenty Pythons start at once on two cores."""
RETRIED = "Trying again in"
"""The text in the log after a transient error."""


@pytest.fixture
def airflow(airflow_3: LocalAirflow) -> LocalAirflow:
    """A real Airflow 3 with PostgreSQL, which serves concurrent clients."""
    if postgresql.installed() is None:
        missing(
            "There is no PostgreSQL server", "Install one (on Debian: apt-get install postgresql)"
        )
    return airflow_3


def test_twenty_steps_with_one_run_id_make_one_dag_run(
    airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path
) -> None:
    """All report its result.

    At most one of those without a lost response says that it made the run.
    """
    airflow.wait_for_dag("quick_success")
    inputs = {
        "airflow_url": airflow.url,
        "username": "user",
        "password": airflow.users["user"],
        "dag_id": "quick_success",
        "run_id": RUN_ID,
    }
    steps = [ActionStep(inputs, launcher=launcher, workspace=tmp_path) for _ in range(HOW_MANY)]

    with ExitStack() as stack:
        all_running = [stack.enter_context(step.start()) for step in steps]
        results = [running.wait(TIMEOUT) for running in all_running]

    assert [
        run["state"] for run in airflow.runs("quick_success") if run["dag_run_id"] == RUN_ID
    ] == ["success"]
    reported = [
        (result.exit_code, result.outputs.get("result"), result.outputs.get("run_id"))
        for result in results
    ]
    assert reported == [(0, "success", RUN_ID)] * HOW_MANY, "".join(
        result.log for result in results
    )
    # A step that lost the response to its trigger cannot know who made the run, and calls it its
    # own.
    made = [result for result in results if result.outputs["created"] == "true"]
    assert len([result for result in made if RETRIED not in result.log]) <= 1
    assert made
