"""The timeout of the step before the end of the DAG run."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from tests.airflow.job import Job, patch, task_states, the_run, until, verdict

if TYPE_CHECKING:
    from dev.runner import StepResult

DAG = "slow_sales"
FOREVER = '{"seconds": 600}'


def run_out_of_time(job: Job, **inputs: str) -> StepResult:
    """Return the result of a step that waits a few seconds for a running run of ten minutes."""
    run_id = f"too-long-{uuid4()}"
    assert job.run(DAG, conf=FOREVER, run_id=run_id, wait="false").exit_code == 0
    until(lambda: the_run(job.airflow, DAG, run_id)["state"] == "running", "running")
    result = job.run(DAG, conf=FOREVER, run_id=run_id, timeout="3s", **inputs)
    assert (result.exit_code, result.outputs["result"]) == (1, "timeout"), result.log
    assert verdict(result).startswith("DAG run did not end in time: ")
    return result


def test_with_on_timeout_leave_the_dag_run_continues(job: Job) -> None:
    result = run_out_of_time(job)

    run_id = result.outputs["run_id"]
    assert the_run(job.airflow, DAG, run_id)["state"] == "running"
    assert "may still succeed" in verdict(result)
    patch(job.airflow, f"/dags/{DAG}/dagRuns/{run_id}", state="failed")


def test_with_on_timeout_cancel_the_dag_run_and_its_task_are_stopped(job: Job) -> None:
    result = run_out_of_time(job, on_timeout="cancel")

    run_id = result.outputs["run_id"]
    assert the_run(job.airflow, DAG, run_id)["state"] == "failed"
    assert task_states(job.airflow, DAG, run_id) == {"crunch": "failed"}
    assert result.outputs["state"] == "failed"
    assert "was stopped" in verdict(result)


def test_start_timeout_ends_the_wait_for_a_queued_run(job: Job) -> None:
    dag_id, before = "one_at_a_time", f"in-the-way-{uuid4()}"
    assert job.run(dag_id, conf='{"seconds": 600}', run_id=before, wait="false").exit_code == 0
    until(lambda: the_run(job.airflow, dag_id, before)["state"] == "running", "running")

    result = job.run(dag_id, start_timeout="3s", on_timeout="cancel")

    assert (result.exit_code, result.outputs["result"]) == (1, "timeout"), result.log
    assert verdict(result).startswith("DAG run did not start in time: ")
    assert the_run(job.airflow, dag_id, result.outputs["run_id"])["state"] == "failed"
    assert the_run(job.airflow, dag_id, before)["state"] == "running"
    patch(job.airflow, f"/dags/{dag_id}/dagRuns/{before}", state="failed")
