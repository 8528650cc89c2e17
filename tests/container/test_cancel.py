"""Cancelling the workflow, and killing the step, against real Airflows: the DAG run does not run on
unwatched.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.airflow import LocalAirflow
from dev.runner import Container, RunningStep, Step
from tests.airflow.job import at_work, patch, until
from tests.container.storm import DAG, state_of

PATIENCE = 60


@pytest.fixture
def step(airflow: LocalAirflow, container: Container, tmp_path: Path) -> Step:
    """A step that waits for a DAG run of ten minutes."""
    return step_of(airflow, container, tmp_path)


def step_of(airflow: LocalAirflow, container: Container, workspace: Path, **more: str) -> Step:
    """That step, with more inputs."""
    airflow.wait_for_dag(DAG)
    credential = {"airflow_url": airflow.url, "username": "user", "password": airflow.users["user"]}
    inputs = {"dag_id": DAG, "run_id": workspace.name, "conf": '{"seconds": 600}'}
    return Step(credential | inputs | more, launcher=container, workspace=workspace)


@pytest.fixture
def waiting(airflow: LocalAirflow, step: Step, tmp_path: Path) -> Iterator[RunningStep]:
    """That step, once the task of its DAG run is at work: a run that is stopped earlier may come
    back to life at once.
    """
    with step.start() as running:
        running.wait_for("The DAG run is running", PATIENCE)
        until(lambda: at_work(airflow, DAG, tmp_path.name), "at work")
        yield running


def test_cancel(airflow: LocalAirflow, step: Step, waiting: RunningStep, tmp_path: Path) -> None:
    """The runner's cancel stops the DAG run before its retrier ends, and the post stage confirms it
    without an error.
    """
    result = waiting.cancel()

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled"), result.log
    assert state_of(airflow, tmp_path.name) == "failed"
    post = step.run("post")
    assert post.exit_code == 0, post.log
    assert "error" not in {note.level for note in post.annotations}
    assert state_of(airflow, tmp_path.name) == "failed"


def test_kill(
    airflow: LocalAirflow, container: Container, step: Step, waiting: RunningStep, tmp_path: Path
) -> None:
    """After a kill of the step the DAG run still runs; the post stage stops it."""
    container.remove_leftovers()
    killed = waiting.wait(PATIENCE)

    assert killed.exit_code != 0
    assert state_of(airflow, tmp_path.name) == "running"
    post = step.run("post", timeout=PATIENCE)
    assert state_of(airflow, tmp_path.name) == "failed", post.log


@pytest.mark.parametrize(
    "inputs", [{"on_cancel": "leave"}, {"trigger": "false", "conf": ""}], ids=["leave", "only-wait"]
)
def test_left(
    airflow: LocalAirflow, container: Container, tmp_path: Path, inputs: dict[str, str]
) -> None:
    """A DAG run that is to be left, or that the step only waits for, goes on after the cancel and
    the post stage.
    """
    made = step_of(airflow, container, tmp_path, wait="false").run()
    assert made.outputs["result"] == "triggered", made.log
    step = step_of(airflow, container, tmp_path, **inputs)
    with step.start() as running:
        running.wait_for("The DAG run is running", PATIENCE)
        result = running.cancel()

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled"), result.log
    assert result.annotations[-1].title == "Cancelled, the DAG run goes on"
    post = step.run("post")
    assert post.exit_code == 0, post.log
    assert state_of(airflow, tmp_path.name) == "running"
    patch(airflow, f"/dags/{DAG}/dagRuns/{tmp_path.name}", state="failed")


def test_post_after_success(airflow: LocalAirflow, container: Container, tmp_path: Path) -> None:
    """After a main stage that has seen the run's end the post stage says and does nothing."""
    airflow.wait_for_dag("quick_success")
    inputs = {
        "airflow_url": airflow.url,
        "username": "user",
        "password": airflow.users["user"],
        "dag_id": "quick_success",
    }
    step = Step(inputs, launcher=container, workspace=tmp_path)
    assert step.run(timeout=PATIENCE).outputs["result"] == "success"

    post = step.run("post")

    assert (post.exit_code, post.raw, post.outputs, post.summary) == (0, "", {}, "")
