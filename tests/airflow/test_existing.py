"""Re-runs and run ids that exist: what the step does, and what Airflow executes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.airflow.job import (
    RESUMED,
    Job,
    executions,
    open_gate,
    task_states,
    the_run,
    until,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.airflow import LocalAirflow

ATTACHED = "it existed already; this step triggered nothing"


@pytest.fixture(scope="module")
def new_job(airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Job]:
    """Return a factory of jobs of new workflow runs."""
    return lambda: Job(airflow, tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def chosen() -> dict[str, str]:
    """Inputs with run id, conf and logical date."""
    microseconds = random.randrange(10**14)  # noqa: S311 - no secret
    date = datetime(2002, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return {
        "run_id": f"chosen+{uuid4()}",
        "conf": '{"region": "APAC"}',
        "logical_date": date.isoformat(),
    }


@pytest.fixture(scope="module")
def failed(new_job: Callable[[], Job], chosen: dict[str, str]) -> Job:
    """A job whose DAG run has failed. Tests must not change that."""
    job = new_job()
    assert job.run("unstable", **chosen).outputs["result"] == "failed"
    return job


@pytest.fixture(scope="module")
def resumed(new_job: Callable[[], Job]) -> Job:
    """A job whose second attempt has resumed the DAG run. Tests must leave it a success."""
    job = new_job()
    run_id = job.run("unstable").outputs["run_id"]
    assert executions(job.airflow, run_id) == {"prepare": 1, "wobble": 1}
    job.run("unstable")
    assert executions(job.airflow, run_id) == {"prepare": 1, "wobble": 2}
    return job


def dag_run(job: Job) -> str:
    """Return the id of the DAG run that every attempt of the job named."""
    (run_id,) = {result.outputs["run_id"] for result in job.results}
    return run_id


# An existing run with each value of if_run_exists.


def test_a_re_run_resumes_the_failed_run(resumed: Job) -> None:
    """Succeeded tasks are not executed again; log and summary say what happened."""
    first, second = resumed.results
    run_id = dag_run(resumed)

    assert [(result.exit_code, result.outputs["result"]) for result in (first, second)] == [
        (1, "failed"),
        (0, "success"),
    ]
    assert [result.outputs["created"] for result in (first, second)] == ["true", "false"]
    assert task_states(resumed.airflow, "unstable", run_id) == {
        "prepare": "success",
        "wobble": "success",
    }
    assert the_run(resumed.airflow, "unstable", run_id)["state"] == "success"
    assert "triggered by this step (attempt 1)" in first.summary
    assert RESUMED in second.log
    assert f"{RESUMED} (attempt 2)" in second.summary
    assert second.outputs["failed_tasks"] == "[]"


def test_a_re_run_of_a_success_passes_without_execution(resumed: Job) -> None:
    run_id, before = dag_run(resumed), executions(resumed.airflow, dag_run(resumed))

    again = resumed.run("unstable")

    assert (again.exit_code, again.outputs["result"], again.outputs["created"]) == (
        0,
        "success",
        "false",
    )
    assert f"{ATTACHED} (attempt " in again.summary
    assert the_run(resumed.airflow, "unstable", run_id)["state"] == "success"
    assert executions(resumed.airflow, run_id) == before


def test_restart_executes_every_task_of_a_successful_run_again(resumed: Job) -> None:
    run_id, before = dag_run(resumed), executions(resumed.airflow, dag_run(resumed))

    again = resumed.run("unstable", if_run_exists="restart")

    assert (again.exit_code, again.outputs["result"], again.outputs["created"]) == (
        0,
        "success",
        "false",
    ), again.log
    assert "all its tasks run again (attempt " in again.summary
    assert executions(resumed.airflow, run_id) - before == {"prepare": 1, "wobble": 1}


def test_attach_fails_with_a_failed_run_and_does_not_change_it(
    failed: Job, chosen: dict[str, str]
) -> None:
    before = executions(failed.airflow, chosen["run_id"])

    again = failed.run("unstable", **chosen, if_run_exists="attach")

    assert (again.exit_code, again.outputs["result"], again.outputs["failed_tasks"]) == (
        1,
        "failed",
        '["wobble"]',
    )
    assert ATTACHED in again.summary
    assert the_run(failed.airflow, "unstable", chosen["run_id"])["state"] == "failed"
    assert executions(failed.airflow, chosen["run_id"]) == before


def test_fail_is_an_error_that_names_the_existing_run(failed: Job, chosen: dict[str, str]) -> None:
    again = failed.run("unstable", **chosen, if_run_exists="fail")

    assert (again.exit_code, again.outputs["result"], again.outputs["created"]) == (
        1,
        "error",
        "false",
    )
    assert verdict(again).startswith("The DAG run exists already: ")
    assert chosen["run_id"] in verdict(again)
    assert the_run(failed.airflow, "unstable", chosen["run_id"])["state"] == "failed"


@pytest.mark.parametrize(
    ("other", "ours"),
    [
        ({"conf": '{"region": "EMEA"}'}, 'conf.region is "APAC", this step asks for "EMEA"'),
        ({"conf": ""}, 'conf.region is "APAC", this step asks for nothing'),
        (
            {"logical_date": "2001-01-01T00:00:00Z"},
            ", this step asks for 2001-01-01 00:00:00+00:00",
        ),
    ],
    ids=["conf", "no conf", "logical_date"],
)
def test_a_run_id_used_by_another_request_is_an_error_that_shows_both(
    failed: Job, chosen: dict[str, str], other: dict[str, str], ours: str
) -> None:
    """Nothing is executed."""
    before = failed.airflow.runs("unstable"), executions(failed.airflow, chosen["run_id"])

    again = failed.run("unstable", **(chosen | other))

    assert (again.exit_code, again.outputs["result"]) == (1, "error")
    assert verdict(again).startswith("The run id is taken by another request: ")
    assert ours in verdict(again)
    assert (
        "logical_date" not in other
        or f"logical_date is {chosen['logical_date'].replace('T', ' ')}" in verdict(again)
    )
    assert (failed.airflow.runs("unstable"), executions(failed.airflow, chosen["run_id"])) == before


def test_a_used_logical_date_is_an_error_of_its_own(failed: Job, chosen: dict[str, str]) -> None:
    before = failed.airflow.runs("unstable")

    result = failed.run("unstable", **(chosen | {"run_id": f"other-{uuid4()}"}))

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert verdict(result).startswith("The logical date is taken by another DAG run: ")
    assert chosen["logical_date"] in verdict(result)
    assert failed.airflow.runs("unstable") == before


# Waiting for a run that another client has triggered.


def test_with_trigger_false_the_end_of_the_existing_run_decides(
    failed: Job, chosen: dict[str, str]
) -> None:
    """Nothing is compared or started again."""
    before = executions(failed.airflow, chosen["run_id"])

    result = Job(failed.airflow, failed.workspace).run(
        "unstable", trigger="false", run_id=chosen["run_id"]
    )

    assert (result.exit_code, result.outputs["result"], result.outputs["created"]) == (
        1,
        "failed",
        "false",
    )
    assert result.outputs["failed_tasks"] == '["wobble"]'
    assert executions(failed.airflow, chosen["run_id"]) == before


def test_with_trigger_false_a_missing_run_is_an_error(failed: Job) -> None:
    before, run_id = failed.airflow.runs("unstable"), f"missing-{uuid4()}"

    result = failed.run("unstable", trigger="false", run_id=run_id)

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert verdict(result).startswith("There is no such DAG run to wait for: ")
    assert run_id in verdict(result)
    assert failed.airflow.runs("unstable") == before


def test_with_trigger_false_a_conf_is_an_input_error(failed: Job, chosen: dict[str, str]) -> None:
    result = failed.run("unstable", trigger="false", run_id=chosen["run_id"], conf=chosen["conf"])

    assert (result.exit_code, result.own_outputs) == (1, {"result": "error"})
    assert "conf: it is given, but trigger is false." in verdict(result)


def test_a_running_run_is_waited_for(job: Job) -> None:
    """Nothing is triggered, and each task is executed once."""
    run_id = job.run("gated", wait="false").outputs["run_id"]
    until(
        lambda: task_states(job.airflow, "gated", run_id)["before"] == "success",
        "past the first task",
    )

    with job.step("gated").start() as second:
        second.wait_for("The DAG run is running")
        open_gate(job.airflow, run_id)
        result = second.wait()

    assert (result.exit_code, result.outputs["result"], result.outputs["created"]) == (
        0,
        "success",
        "false",
    ), result.log
    assert f"{ATTACHED} (attempt 2)" in result.summary
    assert the_run(job.airflow, "gated", run_id)["state"] == "success"
    executed = executions(job.airflow, run_id)
    assert (executed["before"], executed["after"]) == (1, 1)
