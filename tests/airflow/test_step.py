"""The whole action with real Airflows."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.airflow.job import Job, get, task_states, the_run, verdict
from tests.support.fake_airflow.connection import ConnectionPolicy, SocketServer
from tests.support.fake_airflow.messages import page
from tests.support.markdown import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.airflow import LocalAirflow


@pytest.fixture
def paused(airflow: LocalAirflow) -> Iterator[str]:
    airflow.wait_for_dag("paused_dag")
    airflow.pause("paused_dag")
    yield "paused_dag"
    airflow.pause("paused_dag")


def a_date() -> datetime:
    """Return a random past date with microseconds, which no DAG run is expected to have."""
    microseconds = random.randrange(10**14)  # noqa: S311 - no secret
    return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def test_a_successful_run_passes_with_an_id_from_the_commit_and_a_note(job: Job) -> None:
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


def test_run_id_conf_note_and_dates_arrive_unchanged(job: Job) -> None:
    run_id, date = f"release-1.0+3:{uuid4().hex}", a_date()
    given = {
        "data_interval_start": date - timedelta(days=1),
        "data_interval_end": date,
        "logical_date": date,
    }
    conf, note = {"région": ["Åland", None, 1.5]}, "Grüße, *nobody* <b>else</b>"
    dates = {name: value.isoformat() for name, value in given.items()}

    result = job.run("quick_success", run_id=run_id, note=note, conf=json.dumps(conf), **dates)

    assert (result.exit_code, result.outputs["run_id"]) == (0, run_id), result.log
    assert datetime.fromisoformat(result.outputs["logical_date"]) == date
    run = the_run(job.airflow, "quick_success", run_id)
    assert (run["state"], run["conf"], run["note"]) == ("success", conf, note)
    assert {name: datetime.fromisoformat(run[name]) for name in given} == given


def test_a_failed_run_fails_the_step_and_names_the_failed_task_only(job: Job) -> None:
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


def test_with_wait_false_the_step_passes_once_the_run_is_accepted(job: Job) -> None:
    result = job.run("quick_success", wait="false")

    assert (result.exit_code, result.outputs["result"]) == (0, "triggered"), result.log
    assert the_run(job.airflow, "quick_success", result.outputs["run_id"])["run_type"] == "manual"


def test_the_summary_lists_every_task_instance_of_several_pages(job: Job) -> None:
    result = job.run("empty_many")

    assert result.outputs["result"] == "success", result.log
    assert "60 of 60 succeeded" in result.summary
    tasks = read(result.summary).tables[-1]
    assert sorted(row[0] for row in tasks[1:]) == [f"empty_{number:02}" for number in range(60)]


def test_a_paused_dag_is_an_error_and_no_run_is_triggered(job: Job, paused: str) -> None:
    before = job.airflow.runs(paused)

    result = job.run(paused)

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert verdict(result).startswith("The DAG is paused: ")
    assert "if_paused: unpause" in verdict(result)
    assert job.airflow.runs(paused) == before


def test_if_paused_unpause_unpauses_the_dag(job: Job, paused: str) -> None:
    result = job.run(paused, if_paused="unpause")

    assert result.outputs["result"] == "success", result.log
    assert get(job.airflow, f"/dags/{paused}")["is_paused"] is False


def test_an_unknown_dag_is_an_error_with_its_name(job: Job) -> None:
    result = job.run("quick_success", dag_id="no_such_dag")

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert verdict(result).startswith("Airflow has no such DAG: ")
    assert "no_such_dag" in verdict(result)


def test_a_wrong_password_and_a_missing_permission_are_different_errors(job: Job) -> None:
    """Airflow 2 answers 403 to both."""
    before = job.airflow.runs("quick_success")
    wrong = "not-the-password-at-all"

    refused = job.run("quick_success", password=wrong)
    forbidden = job.run("quick_success", username="viewer", password=job.airflow.users["viewer"])

    assert (refused.exit_code, forbidden.exit_code) == (1, 1)
    assert verdict(refused).startswith("Airflow refused the credential: ")
    assert verdict(forbidden).startswith("A permission is missing: ")
    assert job.airflow.runs("quick_success") == before


def test_a_conf_that_violates_the_params_is_refused_with_airflows_message(job: Job) -> None:
    before = job.airflow.runs("nightly_sales")

    result = job.run("nightly_sales", conf='{"region": "MARS"}')

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert "'MARS' is not one of ['AMER', 'APAC', 'EMEA']" in verdict(result)
    assert job.airflow.runs("nightly_sales") == before


def test_a_page_of_the_ui_as_airflow_url_is_an_error(job: Job) -> None:
    """Whatever its status."""
    result = job.run("quick_success", airflow_url=f"{job.airflow.url}/nonsense")

    assert (result.exit_code, result.own_outputs) == (1, {"result": "error"})
    assert verdict(result).startswith("Airflow's API sent an unexpected response: ")
    assert "airflow_url" in verdict(result)


def test_a_server_with_html_and_status_200_never_makes_the_step_pass(
    airflow_3: LocalAirflow, tmp_path: Path
) -> None:
    manners = ConnectionPolicy(server="nginx", keep_alive=False, gzip=False)
    listener = SocketServer(0, manners, lambda _: (page(200, "Welcome to nginx!"), None))
    try:
        host, port = listener.socket.getsockname()
        result = Job(airflow_3, tmp_path).run("quick_success", airflow_url=f"http://{host}:{port}")
    finally:
        listener.close()

    assert (result.exit_code, result.own_outputs) == (1, {"result": "error"})
    assert "Welcome to nginx!" in verdict(result)


def test_run_after_is_an_error_on_airflow_2(airflow_2: LocalAirflow, tmp_path: Path) -> None:
    before = airflow_2.runs("quick_success")

    result = Job(airflow_2, tmp_path).run("quick_success", run_after="2099-01-01T00:00:00Z")

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert verdict(result).startswith("This Airflow does not know run_after: ")
    assert airflow_2.runs("quick_success") == before


def test_run_after_keeps_the_run_queued_on_airflow_3(
    airflow_3: LocalAirflow, tmp_path: Path
) -> None:
    """A timeout before it says so."""
    result = Job(airflow_3, tmp_path).run(
        "quick_success", run_after="2099-01-01T00:00:00Z", timeout="1s"
    )

    assert (result.exit_code, result.outputs["result"], result.outputs["state"]) == (
        1,
        "timeout",
        "queued",
    )
    assert "before 2099-01-01T00:00:00+00:00" in verdict(result)
