"""The whole gate in its image against real Airflows: what the next step of a workflow gets to
see.
"""

import json
from pathlib import Path

from dev.airflow import LocalAirflow
from dev.runner import Container, Step, StepResult
from tests.container import hostile

TIMEOUT = 120


def run_gate(
    airflow: LocalAirflow, container: Container, workspace: Path, **inputs: str
) -> StepResult:
    """The step with a user's name and password, in a job whose environment is hostile if the
    workspace is.
    """
    airflow.wait_for_dag(inputs["dag_id"])
    credential = {"airflow_url": airflow.url, "username": "user", "password": airflow.users["user"]}
    env = hostile.ENV if any(workspace.iterdir()) else {}
    step = Step(credential | inputs, launcher=container, workspace=workspace, env=env)
    return step.run(timeout=TIMEOUT)


def states(airflow: LocalAirflow, dag_id: str, run_id: str) -> list[str]:
    """The states of the DAG runs with this run id, by Airflow's own record: one, if all is well."""
    return [run["state"] for run in airflow.runs(dag_id) if run["dag_run_id"] == run_id]


def test_success(airflow: LocalAirflow, container: Container, tmp_path: Path) -> None:
    """A DAG run that succeeds lets the workflow go on."""
    result = run_gate(airflow, container, tmp_path, dag_id="quick_success")

    assert (result.exit_code, result.conclusion) == (0, "success"), result.log
    assert (
        result.outputs.items()
        >= {"result": "success", "state": "success", "created": "true"}.items()
    )
    assert json.loads(result.outputs["failed_tasks"]) == []
    assert result.outputs["airflow_version"] == airflow.version
    assert states(airflow, "quick_success", result.outputs["run_id"]) == ["success"]
    assert [note for note in result.annotations if note.level == "error"] == []


def test_failure(airflow: LocalAirflow, container: Container, tmp_path: Path) -> None:
    """A DAG run that fails stops the workflow, and the outputs name the task that failed."""
    result = run_gate(airflow, container, tmp_path, dag_id="failing_sales")

    assert (result.exit_code, result.conclusion) == (1, "failure"), result.log
    assert (
        result.outputs.items() >= {"result": "failed", "state": "failed", "created": "true"}.items()
    )
    assert json.loads(result.outputs["failed_tasks"]) == ["transform"]
    assert states(airflow, "failing_sales", result.outputs["run_id"]) == ["failed"]
    assert [note.level for note in result.annotations if note.level == "error"] == ["error"]
    assert result.outputs["run_url"] in result.summary


def test_without_waiting(airflow: LocalAirflow, container: Container, tmp_path: Path) -> None:
    """With `wait: false` the workflow goes on as soon as Airflow has accepted the run."""
    result = run_gate(
        airflow, container, tmp_path, dag_id="quick_success", wait="false", run_id="not-waited-for"
    )

    assert (result.exit_code, result.outputs["result"], result.outputs["run_id"]) == (
        0,
        "triggered",
        "not-waited-for",
    )
    assert len(states(airflow, "quick_success", "not-waited-for")) == 1


def test_hostile_workspace(airflow: LocalAirflow, container: Container, tmp_path: Path) -> None:
    """A failure stays one although the workspace and the job's environment would have the step
    pass.
    """
    hostile.plant(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    result = run_gate(airflow, container, tmp_path, dag_id="quick_failure")

    assert hostile.MARK not in result.raw
    assert (result.exit_code, result.outputs["result"]) == (1, "failed"), result.log
    assert json.loads(result.outputs["failed_tasks"]) == ["fail"]
    assert sorted(tmp_path.rglob("*")) == before


def test_the_runner_is_never_misused(
    airflow: LocalAirflow, container: Container, tmp_path: Path
) -> None:
    """No deprecated command, nothing for later steps' environment, no password anywhere, and a mask
    for it.
    """
    result = run_gate(
        airflow, container, tmp_path, dag_id="quick_success", wait="false", run_id="well-behaved"
    )

    assert (result.unexpected_commands, result.env, result.path) == ((), {}, ())
    assert airflow.users["user"] in result.masks
