"""The time is over before the DAG run is, on real Airflows: what the step says, and what becomes of
the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from tests.airflow.job import Job, patch, task_states, the_run, until, verdict

if TYPE_CHECKING:
    from dev.runner import StepResult

DAG = "slow_sales"
FOREVER = '{"seconds": 600}'


def run_out_of_time(job: Job, **inputs: str) -> StepResult:
    """The result of a step that waits a few seconds for a run of ten minutes, which is running when
    it begins.
    """
    run_id = f"too-long-{uuid4()}"
    assert job.run(DAG, conf=FOREVER, run_id=run_id, wait="false").exit_code == 0
    until(lambda: the_run(job.airflow, DAG, run_id)["state"] == "running", "running")
    result = job.run(DAG, conf=FOREVER, run_id=run_id, timeout="3s", **inputs)
    assert (result.exit_code, result.outputs["result"]) == (1, "timeout"), result.log
    assert verdict(result).startswith("DAG run did not end in time: ")
    return result


def test_leave(job: Job) -> None:
    """With `on_timeout: leave`, the default, the DAG run goes on, and the verdict says that it may
    still succeed.
    """
    result = run_out_of_time(job)

    run_id = result.outputs["run_id"]
    assert the_run(job.airflow, DAG, run_id)["state"] == "running"
    assert "may still succeed" in verdict(result)
    patch(job.airflow, f"/dags/{DAG}/dagRuns/{run_id}", state="failed")


def test_cancel(job: Job) -> None:
    """With `on_timeout: cancel` the DAG run and its running task are over when the step is, and the
    verdict says so.
    """
    result = run_out_of_time(job, on_timeout="cancel")

    run_id = result.outputs["run_id"]
    assert the_run(job.airflow, DAG, run_id)["state"] == "failed"
    assert task_states(job.airflow, DAG, run_id) == {"crunch": "failed"}
    assert result.outputs["state"] == "failed"
    assert "was stopped" in verdict(result)


def test_start_timeout(job: Job) -> None:
    """A DAG run that stays queued because another one runs ends the wait after `start_timeout`."""
    dag_id, before = "one_at_a_time", f"in-the-way-{uuid4()}"
    assert job.run(dag_id, conf='{"seconds": 600}', run_id=before, wait="false").exit_code == 0
    until(lambda: the_run(job.airflow, dag_id, before)["state"] == "running", "running")

    result = job.run(dag_id, start_timeout="3s", on_timeout="cancel")

    assert (result.exit_code, result.outputs["result"]) == (1, "timeout"), result.log
    assert verdict(result).startswith("DAG run did not start in time: ")
    assert the_run(job.airflow, dag_id, result.outputs["run_id"])["state"] == "failed"
    assert the_run(job.airflow, dag_id, before)["state"] == "running"
    patch(job.airflow, f"/dags/{dag_id}/dagRuns/{before}", state="failed")
