"""A cancelled or killed step stops its DAG run, against real Airflows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.airflow import LocalAirflow
from dev.runner import ActionStep, RunningStep
from tests.airflow.job import at_work, patch, until
from tests.container.forms import AnyLauncher, both_forms
from tests.container.interruptions import DAG, state_of

TIMEOUT = 60


@pytest.fixture
def step(airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path) -> ActionStep:
    """A step that waits for a DAG run of ten minutes."""
    return step_of(airflow, launcher, tmp_path)


def step_of(
    airflow: LocalAirflow, launcher: AnyLauncher, workspace: Path, **more: str
) -> ActionStep:
    """Return that step with more inputs."""
    airflow.wait_for_dag(DAG)
    credential = {"airflow_url": airflow.url, "username": "user", "password": airflow.users["user"]}
    inputs = {"dag_id": DAG, "run_id": workspace.name, "conf": '{"seconds": 600}'}
    return ActionStep(credential | inputs | more, launcher=launcher, workspace=workspace)


@pytest.fixture
def waiting(airflow: LocalAirflow, step: ActionStep, tmp_path: Path) -> Iterator[RunningStep]:
    """That step while a task of its DAG run has a process. An earlier stop may be undone."""
    with step.start() as running:
        running.wait_for("The DAG run is running", TIMEOUT)
        until(lambda: at_work(airflow, DAG, tmp_path.name), "at work")
        yield running


@both_forms
def test_a_cancelled_step_stops_its_dag_run_and_the_post_stage_confirms_it(
    airflow: LocalAirflow, step: ActionStep, waiting: RunningStep, tmp_path: Path
) -> None:
    """Within the grace period of the runner."""
    result = waiting.cancel()

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled"), result.log
    assert state_of(airflow, tmp_path.name) == "failed"
    post = step.run("post")
    assert post.exit_code == 0, post.log
    assert "error" not in {note.level for note in post.annotations}
    assert state_of(airflow, tmp_path.name) == "failed"


@both_forms
def test_the_post_stage_stops_the_dag_run_of_a_killed_step(
    airflow: LocalAirflow,
    launcher: AnyLauncher,
    step: ActionStep,
    waiting: RunningStep,
    tmp_path: Path,
) -> None:
    launcher.remove_leftovers()
    killed = waiting.wait(TIMEOUT)

    assert killed.exit_code != 0
    assert state_of(airflow, tmp_path.name) == "running"
    post = step.run("post", timeout=TIMEOUT)
    assert state_of(airflow, tmp_path.name) == "failed", post.log


@pytest.mark.parametrize(
    "inputs", [{"on_cancel": "leave"}, {"trigger": "false", "conf": ""}], ids=["leave", "only-wait"]
)
def test_a_dag_run_continues_with_on_cancel_leave_or_trigger_false(
    airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path, inputs: dict[str, str]
) -> None:
    made = step_of(airflow, launcher, tmp_path, wait="false").run()
    assert made.outputs["result"] == "triggered", made.log
    step = step_of(airflow, launcher, tmp_path, **inputs)
    with step.start() as running:
        running.wait_for("The DAG run is running", TIMEOUT)
        result = running.cancel()

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled"), result.log
    assert result.annotations[-1].title == "Cancelled, the DAG run goes on"
    post = step.run("post")
    assert post.exit_code == 0, post.log
    assert state_of(airflow, tmp_path.name) == "running"
    patch(airflow, f"/dags/{DAG}/dagRuns/{tmp_path.name}", state="failed")


def test_the_post_stage_does_nothing_after_a_finished_run(
    airflow: LocalAirflow, launcher: AnyLauncher, tmp_path: Path
) -> None:
    airflow.wait_for_dag("quick_success")
    inputs = {
        "airflow_url": airflow.url,
        "username": "user",
        "password": airflow.users["user"],
        "dag_id": "quick_success",
    }
    step = ActionStep(inputs, launcher=launcher, workspace=tmp_path)
    assert step.run(timeout=TIMEOUT).outputs["result"] == "success"

    post = step.run("post")

    assert (post.exit_code, post.raw, post.outputs, post.summary) == (0, "", {}, "")
