"""The runner's signals reach the action, although they go to the docker client or to Node.

Measured: docs/notes/runner.md#signals-and-process-1.
"""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.engine import docker, entrypoint
from dev.runner import ActionStep, Container, RunningStep
from tests.container.forms import AnyLauncher
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault
from tests.support.step import admin_inputs

TIMEOUT = 7
"""Seconds until the runner gives up."""


@pytest.fixture
def waiting(container: Container, tmp_path: Path) -> Iterator[RunningStep]:
    """A running step that is connected to an Airflow without a response."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        inputs = {"airflow_url": url, "token": "t0ken-of-no-use", "dag_id": "nightly_sales"}
        with (
            ActionStep(inputs, launcher=container, workspace=tmp_path).start() as running,
            silent.accept()[0],
        ):
            yield running


def test_process_1_gets_the_sigint_and_ends_in_the_grace_period(
    waiting: RunningStep, container: Container
) -> None:
    [name] = container.leftovers()
    first = docker("exec", name, "cat", "/proc/1/cmdline").split("\0")

    waiting.signal(signal.SIGINT)
    result = waiting.wait(TIMEOUT)

    assert first[:-1] == entrypoint(container.image)
    assert result.conclusion == "failure"
    assert "Traceback" not in result.raw


def test_the_replay_removes_the_container_of_a_killed_client(
    waiting: RunningStep, container: Container
) -> None:
    """A kill reaches the client only, as on GitHub."""
    waiting.kill()
    assert waiting.wait(10).exit_code == -signal.SIGKILL

    assert len(container.leftovers()) == 1
    container.remove_leftovers()
    assert container.leftovers() == []


@pytest.fixture
def fake() -> Iterator[FakeAirflow]:
    """An Airflow with one DAG, whose run lasts until it is stopped."""
    with FakeAirflow(dags=[FakeDag("sales", tasks=(FakeTask("extract"),))]) as started:
        started.states("sales", ["running"])
        yield started


@pytest.fixture
def step(fake: FakeAirflow, launcher: AnyLauncher, tmp_path: Path) -> ActionStep:
    return step_of(fake, launcher, tmp_path)


def step_of(fake: FakeAirflow, launcher: AnyLauncher, workspace: Path, **more: str) -> ActionStep:
    return ActionStep(admin_inputs(fake) | more, launcher=launcher, workspace=workspace)


def test_a_signal_wakes_a_sleeping_step_which_stops_its_dag_run(
    fake: FakeAirflow, launcher: AnyLauncher, tmp_path: Path
) -> None:
    with step_of(fake, launcher, tmp_path, poll_interval="60").start() as running:
        running.wait_for("The DAG run is queued")
        running.signal(signal.SIGINT)
        result = running.wait(TIMEOUT)

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled")
    assert [run.state for run in fake.runs("sales")] == ["failed"]
    assert "Traceback" not in result.raw


def test_a_signal_during_the_report_cancels_the_step_and_leaves_the_run(
    fake: FakeAirflow, step: ActionStep
) -> None:
    fake.states("sales", ["success"])
    fake.fault(Fault.HANG, on=("GET", "/taskInstances"))
    with step.start() as running:
        running.wait_for("The DAG run is success")
        running.signal(signal.SIGINT)
        result = running.wait(TIMEOUT)

    assert (result.exit_code, result.outputs["result"], result.outputs["state"]) == (
        1,
        "cancelled",
        "success",
    )
    assert [run.state for run in fake.runs("sales")] == ["success"]
    assert result.annotations[-1].title in result.summary
    assert "Traceback" not in result.raw


def test_a_sigterm_during_the_stop_does_not_disturb_it(fake: FakeAirflow, step: ActionStep) -> None:
    fake.fault(Fault.HANG, on=("PATCH", "/dagRuns/*"), times=9)
    with step.start() as running:
        running.wait_for("The DAG run is queued")
        running.signal(signal.SIGINT)
        running.wait_for("Stopping the DAG run")
        running.signal(signal.SIGTERM)
        result = running.wait(TIMEOUT)

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled")
    assert (
        result.annotations[-1].title == "Cancelled, could not confirm that the DAG run is stopped"
    )
    assert result.annotations[-1].title in result.summary
    assert "Traceback" not in result.raw
