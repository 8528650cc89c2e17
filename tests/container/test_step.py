"""The whole action, in its image or by native/, against real Airflows."""

import json
from pathlib import Path

from dev.airflow import LocalAirflow
from dev.runner import ActionStep, StepResult
from tests.container import attack
from tests.container.forms import AnyLauncher, both_forms

TIMEOUT = 120


def run_step(
    airflow: LocalAirflow, launcher: AnyLauncher, workspace: Path, **inputs: str
) -> StepResult:
    """Run the step as a user; the environment attacks it if the workspace is not empty."""
    airflow.wait_for_dag(inputs["dag_id"])
    credential = {"airflow_url": airflow.url, "username": "user", "password": airflow.users["user"]}
    env = attack.environment(launcher, workspace) if any(workspace.iterdir()) else {}
    step = ActionStep(credential | inputs, launcher=launcher, workspace=workspace, env=env)
    return step.run(timeout=TIMEOUT)


def states(airflow: LocalAirflow, dag_id: str, run_id: str) -> list[str]:
    """Return the states of the DAG runs with this run id, by Airflow's API."""
    return [run["state"] for run in airflow.runs(dag_id) if run["dag_run_id"] == run_id]


@both_forms
def test_a_successful_run_passes(
    airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path
) -> None:
    result = run_step(airflow, launcher, tmp_path, dag_id="quick_success")

    assert (result.exit_code, result.conclusion) == (0, "success"), result.log
    assert (
        result.outputs.items()
        >= {"result": "success", "state": "success", "created": "true"}.items()
    )
    assert json.loads(result.outputs["failed_tasks"]) == []
    assert result.outputs["airflow_version"] == airflow.version
    assert states(airflow, "quick_success", result.outputs["run_id"]) == ["success"]
    assert [note for note in result.annotations if note.level == "error"] == []


def test_a_failed_run_fails_the_step_and_outputs_name_the_failed_task(
    airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path
) -> None:
    result = run_step(airflow, launcher, tmp_path, dag_id="failing_sales")

    assert (result.exit_code, result.conclusion) == (1, "failure"), result.log
    assert (
        result.outputs.items() >= {"result": "failed", "state": "failed", "created": "true"}.items()
    )
    assert json.loads(result.outputs["failed_tasks"]) == ["transform"]
    assert states(airflow, "failing_sales", result.outputs["run_id"]) == ["failed"]
    assert [note.level for note in result.annotations if note.level == "error"] == ["error"]
    assert result.outputs["run_url"] in result.summary


def test_with_wait_false_the_step_passes_once_the_run_is_accepted(
    airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path
) -> None:
    result = run_step(
        airflow, launcher, tmp_path, dag_id="quick_success", wait="false", run_id="not-waited-for"
    )

    assert (result.exit_code, result.outputs["result"], result.outputs["run_id"]) == (
        0,
        "triggered",
        "not-waited-for",
    )
    assert len(states(airflow, "quick_success", "not-waited-for")) == 1


@both_forms
def test_an_attacking_workspace_cannot_turn_a_failure_into_a_success(
    airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path
) -> None:
    attack.write_modules(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    result = run_step(airflow, launcher, tmp_path, dag_id="quick_failure")

    assert attack.MARK not in result.raw
    assert (result.exit_code, result.outputs["result"]) == (1, "failed"), result.log
    assert json.loads(result.outputs["failed_tasks"]) == ["fail"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_step_uses_no_deprecated_command_and_masks_its_password(
    airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path
) -> None:
    """Nothing is set for later steps, and no output has the password."""
    result = run_step(
        airflow, launcher, tmp_path, dag_id="quick_success", wait="false", run_id="well-behaved"
    )

    assert (result.unexpected_commands, result.env, result.path) == ((), {}, ())
    assert airflow.users["user"] in result.masks
