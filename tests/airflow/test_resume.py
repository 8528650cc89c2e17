"""The tasks that a resumed run executes, as recorded by the tasks themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from entrypoint.models import CANCELLED_MARK
from tests.airflow.job import (
    RESUMED,
    Job,
    executions,
    open_gate,
    patch,
    task_states,
    the_run,
    until,
    verdict,
)

if TYPE_CHECKING:
    from dev.airflow import LocalAirflow


@pytest.fixture(scope="module", autouse=True)
def timed_out(airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job whose run of `gated_briefly` will time out.

    It starts first, so that no test waits for it.
    """
    job = Job(airflow, tmp_path_factory.mktemp("workspace"))
    assert job.run("gated_briefly", wait="false").outputs["result"] == "triggered"
    return job


def test_a_resumed_run_executes_the_tasks_that_a_cancel_skipped(job: Job) -> None:
    with job.step("gated").start() as first:
        first.wait_for("The DAG run is running")
        (run_id,) = (
            run["dag_run_id"] for run in job.airflow.runs("gated") if run["state"] == "running"
        )
        until(lambda: executions(job.airflow, run_id)["gate"], "at the sensor")
        cancelled = first.cancel()
    assert cancelled.outputs["result"] == "cancelled"
    assert task_states(job.airflow, "gated", run_id)["after"] == "skipped"
    assert CANCELLED_MARK in the_run(job.airflow, "gated", run_id)["note"]
    open_gate(job.airflow, run_id)

    result = job.run("gated")

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert RESUMED in result.summary
    assert set(task_states(job.airflow, "gated", run_id).values()) == {"success"}
    executed = executions(job.airflow, run_id)
    assert (executed["before"], executed["after"]) == (1, 1)
    run = the_run(job.airflow, "gated", run_id)
    assert (run["state"], CANCELLED_MARK in run["note"]) == ("success", False)


def test_a_resumed_run_keeps_a_skipped_branch_skipped(job: Job) -> None:
    first = job.run("branching")
    run_id = first.outputs["run_id"]
    assert (first.outputs["result"], first.outputs["failed_tasks"]) == ("failed", '["left"]')

    second = job.run("branching")

    assert (second.exit_code, second.outputs["result"]) == (0, "success"), second.log
    states = task_states(job.airflow, "branching", run_id)
    assert states == {"choose": "success", "left": "success", "right": "skipped", "join": "success"}
    assert executions(job.airflow, run_id) == {"choose": 1, "left": 2, "join": 1}


def test_a_resumed_run_executes_the_tasks_that_fail_fast_skipped(job: Job) -> None:
    """A slow teardown ends the run long after."""
    first = job.run("failing_fast")
    run_id = first.outputs["run_id"]
    assert first.outputs["result"] == "failed"
    states = task_states(job.airflow, "failing_fast", run_id)
    assert (states["a"], states["b"], states["c"], states["delete"]) == (
        "failed",
        "skipped",
        "skipped",
        "success",
    )

    second = job.run("failing_fast")

    assert (second.exit_code, second.outputs["result"]) == (0, "success"), second.log
    assert set(task_states(job.airflow, "failing_fast", run_id).values()) == {"success"}
    executed = executions(job.airflow, run_id)
    assert (executed["a"], executed["b"], executed["c"]) == (2, 1, 1)
    assert "or was stopped: b, c." in second.log


def test_a_resumed_run_executes_setup_and_teardown_of_the_failed_task(job: Job) -> None:
    first = job.run("torn_down")
    run_id = first.outputs["run_id"]
    assert (first.outputs["result"], first.outputs["failed_tasks"]) == ("failed", '["work"]')

    second = job.run("torn_down")

    assert (second.exit_code, second.outputs["result"]) == (0, "success"), second.log
    assert executions(job.airflow, run_id) == {"make": 2, "work": 2, "delete": 2}


def test_a_resumed_run_executes_the_tasks_that_a_timeout_skipped(timed_out: Job) -> None:
    """A `dagrun_timeout` leaves no failed task."""
    run_id = timed_out.results[0].outputs["run_id"]
    until(
        lambda: the_run(timed_out.airflow, "gated_briefly", run_id)["state"] == "failed",
        "timed out",
    )
    assert "failed" not in task_states(timed_out.airflow, "gated_briefly", run_id).values()
    open_gate(timed_out.airflow, run_id)

    result = timed_out.run("gated_briefly")

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert set(task_states(timed_out.airflow, "gated_briefly", run_id).values()) == {"success"}
    executed = executions(timed_out.airflow, run_id)
    assert (executed["before"], executed["after"]) == (1, 1)


def test_a_run_that_an_earlier_attempt_stopped_is_resumed(job: Job) -> None:
    """It counts as failed, although Airflow calls it a success."""
    run_id = f"overwritten-{uuid4()}"
    open_gate(job.airflow, run_id)
    assert job.run("gated", run_id=run_id).outputs["state"] == "success"
    path = f"/dags/gated/dagRuns/{run_id}"
    patch(
        job.airflow,
        f"{path}/setNote" if job.airflow.api == "/api/v1" else path,
        note=f"Mine.\n{CANCELLED_MARK}",
    )

    attached = job.run("gated", run_id=run_id, if_run_exists="attach")

    assert (attached.exit_code, attached.outputs["result"], attached.outputs["state"]) == (
        1,
        "failed",
        "success",
    )
    assert "stopped when its workflow was cancelled" in verdict(attached)
    assert executions(job.airflow, run_id) == {"before": 1, "gate": 1, "after": 1}

    resumed = job.run("gated", run_id=run_id)

    assert (resumed.exit_code, resumed.outputs["result"]) == (0, "success"), resumed.log
    assert executions(job.airflow, run_id) == {"before": 2, "gate": 2, "after": 2}
    assert the_run(job.airflow, "gated", run_id)["note"] == "Mine."
