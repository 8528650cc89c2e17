"""Signals: the runner sends them to the docker client, and they have to reach the action.

Measured: docs/notes/runner.md#signals-and-process-1.
"""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.airflow_settings import password_of
from dev.engine import docker, entrypoint
from dev.runner import Container, RunningStep, Step
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault

PATIENCE = 7
"""Seconds after which the runner loses its own."""


@pytest.fixture
def waiting(container: Container, tmp_path: Path) -> Iterator[RunningStep]:
    """A step whose action is up: it has connected to an Airflow, which keeps it waiting for an
    answer.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        inputs = {"airflow_url": url, "token": "t0ken-of-no-use", "dag_id": "nightly_sales"}
        with (
            Step(inputs, launcher=container, workspace=tmp_path).start() as running,
            silent.accept()[0],
        ):
            yield running


def test_process_one_gets_the_signal(waiting: RunningStep, container: Container) -> None:
    """The action's Python is process 1 of its container, and ends within the runner's retrier after
    a SIGINT.
    """
    [name] = container.leftovers()
    first = docker("exec", name, "cat", "/proc/1/cmdline").split("\0")

    waiting.signal(signal.SIGINT)
    result = waiting.wait(PATIENCE)

    assert first[:-1] == entrypoint(container.image)
    assert result.conclusion == "failure"
    assert "Traceback" not in result.raw


def test_a_killed_client_leaves_its_container(waiting: RunningStep, container: Container) -> None:
    """A kill reaches the client alone, as on GitHub: the container runs on, and the replay finds
    and removes it.
    """
    waiting.kill()
    assert waiting.wait(10).exit_code == -signal.SIGKILL

    assert len(container.leftovers()) == 1
    container.remove_leftovers()
    assert container.leftovers() == []


@pytest.fixture
def fake() -> Iterator[FakeAirflow]:
    """An Airflow with one DAG, whose run goes on until it is stopped."""
    with FakeAirflow(dags=[FakeDag("sales", tasks=(FakeTask("extract"),))]) as started:
        started.states("sales", ["running"])
        yield started


@pytest.fixture
def step(fake: FakeAirflow, container: Container, tmp_path: Path) -> Step:
    """A step with a run of that DAG."""
    return step_of(fake, container, tmp_path)


def step_of(fake: FakeAirflow, container: Container, workspace: Path, **more: str) -> Step:
    """That step, with more inputs."""
    inputs = {
        "airflow_url": fake.url,
        "username": "admin",
        "password": password_of("admin"),
        "dag_id": "sales",
    }
    return Step(inputs | more, launcher=container, workspace=workspace)


def test_during_a_sleep(fake: FakeAirflow, container: Container, tmp_path: Path) -> None:
    """A signal wakes a step that would sleep for a minute, and it stops its DAG run."""
    with step_of(fake, container, tmp_path, poll_interval="60").start() as running:
        running.wait_for("The DAG run is queued")
        running.signal(signal.SIGINT)
        result = running.wait(PATIENCE)

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled")
    assert [run.state for run in fake.runs("sales")] == ["failed"]
    assert "Traceback" not in result.raw


def test_during_the_report(fake: FakeAirflow, step: Step) -> None:
    """A signal while the tasks of a run that has succeeded are read ends the step as cancelled, and
    leaves the run alone.
    """
    fake.states("sales", ["success"])
    fake.fault(Fault.HANG, on=("GET", "/taskInstances"))
    with step.start() as running:
        running.wait_for("The DAG run is success")
        running.signal(signal.SIGINT)
        result = running.wait(PATIENCE)

    assert (result.exit_code, result.outputs["result"], result.outputs["state"]) == (
        1,
        "cancelled",
        "success",
    )
    assert [run.state for run in fake.runs("sales")] == ["success"]
    assert result.annotations[-1].title in result.summary
    assert "Traceback" not in result.raw


def test_a_second_signal(fake: FakeAirflow, step: Step) -> None:
    """A SIGTERM while the run is being stopped disturbs neither that nor the report."""
    fake.fault(Fault.HANG, on=("PATCH", "/dagRuns/*"), times=9)
    with step.start() as running:
        running.wait_for("The DAG run is queued")
        running.signal(signal.SIGINT)
        running.wait_for("Stopping the DAG run")
        running.signal(signal.SIGTERM)
        result = running.wait(PATIENCE)

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled")
    assert (
        result.annotations[-1].title == "Cancelled, could not confirm that the DAG run is stopped"
    )
    assert result.annotations[-1].title in result.summary
    assert "Traceback" not in result.raw
