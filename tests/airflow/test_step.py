"""The whole gate against real Airflows: what it lets pass, what it refuses, and whether it says
why.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.airflow.job import Job, get, task_states, the_run, verdict
from tests.support.fake_airflow.connection import Listener, Manners
from tests.support.fake_airflow.messages import page
from tests.support.markdown import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.airflow import LocalAirflow


@pytest.fixture
def paused(airflow: LocalAirflow) -> Iterator[str]:
    """A DAG that is paused."""
    airflow.wait_for_dag("paused_dag")
    airflow.pause("paused_dag")
    yield "paused_dag"
    airflow.pause("paused_dag")


def a_date() -> datetime:
    """A date of the past of which no DAG run is known, with microseconds."""
    # No secret
    return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(microseconds=random.randrange(10**14))  # noqa: S311


def test_success(job: Job) -> None:
    """A DAG run that succeeds lets the workflow go on; its id comes from the commit, its note says
    who asked for it.
    """
    result = job.run("quick_success")

    assert (result.exit_code, result.conclusion) == (0, "success"), result.log
    assert (
        result.outputs.items()
        >= {"result": "success", "state": "success", "created": "true"}.items()
    )
    assert json.loads(result.outputs["failed_tasks"]) == []
    assert result.outputs["airflow_version"] == job.airflow.version
    assert result.outputs["run_id"].startswith("github__0123456789ab__")
    run = the_run(job.airflow, "quick_success", result.outputs["run_id"])
    assert run["state"] == "success"
    assert datetime.fromisoformat(run["end_date"]) == datetime.fromisoformat(
        result.outputs["end_date"]
    )
    assert "octocat" in run["note"]
    assert "https://github.com/octo-org/sales-pipeline/actions/runs/" in run["note"]
    assert verdict(result).startswith("DAG run succeeded: ")


def test_the_request_reaches_airflow(job: Job) -> None:
    """A run id with `+` and `:`, conf, note, logical date and data interval arrive as they were
    given.
    """
    run_id, date = f"release-1.0+3:{uuid4().hex}", a_date()
    asked = {
        "data_interval_start": date - timedelta(days=1),
        "data_interval_end": date,
        "logical_date": date,
    }
    conf, note = {"région": ["Åland", None, 1.5]}, "Grüße, *nobody* <b>else</b>"
    dates = {name: value.isoformat() for name, value in asked.items()}

    result = job.run("quick_success", run_id=run_id, note=note, conf=json.dumps(conf), **dates)

    assert (result.exit_code, result.outputs["run_id"]) == (0, run_id), result.log
    assert datetime.fromisoformat(result.outputs["logical_date"]) == date
    run = the_run(job.airflow, "quick_success", run_id)
    assert (run["state"], run["conf"], run["note"]) == ("success", conf, note)
    assert {name: datetime.fromisoformat(run[name]) for name in asked} == asked


def test_failure(job: Job) -> None:
    """A DAG run that fails stops the workflow; outputs, verdict and summary name the task that
    failed, and it alone.
    """
    result = job.run("failing_sales")

    assert (result.exit_code, result.conclusion) == (1, "failure"), result.log
    assert (
        result.outputs.items() >= {"result": "failed", "state": "failed", "created": "true"}.items()
    )
    assert json.loads(result.outputs["failed_tasks"]) == ["transform"]
    assert verdict(result).startswith("DAG run failed: ")
    assert "transform failed: SalesFileError" in verdict(result)
    states = task_states(job.airflow, "failing_sales", result.outputs["run_id"])
    assert states == {"extract": "success", "transform": "failed", "load": "upstream_failed"}
    summary = read(result.summary)
    assert "Tasks: 1 of 3 succeeded" in summary.headings
    assert [row[0] for row in summary.tables[-1][1:]] == ["transform", "load", "extract"]


def test_without_waiting(job: Job) -> None:
    """With `wait: false` the workflow goes on as soon as Airflow has accepted the run."""
    result = job.run("quick_success", wait="false")

    assert (result.exit_code, result.outputs["result"]) == (0, "triggered"), result.log
    assert the_run(job.airflow, "quick_success", result.outputs["run_id"])["run_type"] == "manual"


def test_sixty_tasks(job: Job) -> None:
    """The summary lists every task instance of a run, however Airflow pages them."""
    result = job.run("empty_many")

    assert result.outputs["result"] == "success", result.log
    assert "60 of 60 succeeded" in result.summary
    tasks = read(result.summary).tables[-1]
    assert sorted(row[0] for row in tasks[1:]) == [f"empty_{number:02}" for number in range(60)]


def test_a_paused_dag_is_refused(job: Job, paused: str) -> None:
    """A run of a paused DAG would wait for ever, so none is triggered, and the verdict says why and
    what to do.
    """
    before = job.airflow.runs(paused)

    result = job.run(paused)

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert verdict(result).startswith("The DAG is paused: ")
    assert "if_paused: unpause" in verdict(result)
    assert job.airflow.runs(paused) == before


def test_a_paused_dag_is_unpaused(job: Job, paused: str) -> None:
    """With `if_paused: unpause` the DAG is unpaused, and its run succeeds."""
    result = job.run(paused, if_paused="unpause")

    assert result.outputs["result"] == "success", result.log
    assert get(job.airflow, f"/dags/{paused}")["is_paused"] is False


def test_an_unknown_dag(job: Job) -> None:
    """A DAG that Airflow does not know is an error with its name."""
    result = job.run("quick_success", dag_id="no_such_dag")

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert verdict(result).startswith("Airflow has no such DAG: ")
    assert "no_such_dag" in verdict(result)


def test_a_wrong_password_and_a_missing_permission(job: Job) -> None:
    """A refused credential and one that may only look are told apart, on the Airflow 2 that answers
    403 to both too.
    """
    before = job.airflow.runs("quick_success")
    wrong = "not-the-password-at-all"

    refused = job.run("quick_success", password=wrong)
    forbidden = job.run("quick_success", username="viewer", password=job.airflow.users["viewer"])

    assert (refused.exit_code, forbidden.exit_code) == (1, 1)
    assert verdict(refused).startswith("Airflow refused the credential: ")
    assert verdict(forbidden).startswith("A permission is missing: ")
    assert job.airflow.runs("quick_success") == before


def test_a_conf_that_fails_the_schema(job: Job) -> None:
    """A conf that the DAG's params do not allow is refused in Airflow's own words, and no run is
    made.
    """
    before = job.airflow.runs("nightly_sales")

    result = job.run("nightly_sales", conf='{"region": "MARS"}')

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert "'MARS' is not one of ['AMER', 'APAC', 'EMEA']" in verdict(result)
    assert job.airflow.runs("nightly_sales") == before


def test_a_wrong_base_url(job: Job) -> None:
    """A page of Airflow's UI instead of its base URL is no Airflow, whatever status it answers
    with.
    """
    result = job.run("quick_success", airflow_url=f"{job.airflow.url}/nonsense")

    assert (result.exit_code, result.outputs) == (1, {"result": "error"})
    assert verdict(result).startswith("That is not an answer of Airflow's API: ")
    assert "airflow_url" in verdict(result)


def test_another_server(airflow_3: LocalAirflow, tmp_path: Path) -> None:
    """A server that answers everything with an HTML page and status 200 never makes the step
    pass.
    """
    manners = Manners(server="nginx", keep_alive=False, gzip=False)
    listener = Listener(0, manners, lambda _: (page(200, "Welcome to nginx!"), None))
    try:
        host, port = listener.socket.getsockname()
        result = Job(airflow_3, tmp_path).run("quick_success", airflow_url=f"http://{host}:{port}")
    finally:
        listener.close()

    assert (result.exit_code, result.outputs) == (1, {"result": "error"})
    assert "Welcome to nginx!" in verdict(result)


def test_run_after_on_airflow_2(airflow_2: LocalAirflow, tmp_path: Path) -> None:
    """Airflow 2 knows no `run_after`: an error that says so, and no run."""
    before = airflow_2.runs("quick_success")

    result = Job(airflow_2, tmp_path).run("quick_success", run_after="2099-01-01T00:00:00Z")

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert verdict(result).startswith("This Airflow does not know run_after: ")
    assert airflow_2.runs("quick_success") == before


def test_run_after_on_airflow_3(airflow_3: LocalAirflow, tmp_path: Path) -> None:
    """Airflow 3 keeps a run queued until its `run_after`, and the verdict of a shorter wait says
    so.
    """
    result = Job(airflow_3, tmp_path).run(
        "quick_success", run_after="2099-01-01T00:00:00Z", timeout="1s"
    )

    assert (result.exit_code, result.outputs["result"], result.outputs["state"]) == (
        1,
        "timeout",
        "queued",
    )
    assert "before 2099-01-01T00:00:00+00:00" in verdict(result)
