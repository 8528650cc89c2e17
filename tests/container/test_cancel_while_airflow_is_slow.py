"""Cancelled while Airflow is slow, or gone: the end is orderly and honest, and the post stage makes
up for it.
"""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import password_of
from dev.runner import Container, Step
from tests.container.storm import DAG, LIMIT, PATIENCE, state_of
from tests.support.detour import Detour

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult

SLOW = 5.0
SLOW_TRIGGER = 1.5
POST_LIMIT = 60.0


@pytest.fixture(scope="session", autouse=True)
def hopeless(
    image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[tuple[StepResult, float]]]:
    """The post stage of a step that was killed, while Airflow is gone for good, and the seconds it
    took.

    It takes nearly a minute, so it begins with the first test of this file and runs beside the
    others.
    """
    workspace = tmp_path_factory.mktemp("workspace")

    def run(url: str) -> tuple[StepResult, float]:
        inputs = {
            "airflow_url": url,
            "username": "user",
            "password": password_of("user"),
            "dag_id": DAG,
        }
        step = Step(inputs, launcher=Container(image), workspace=workspace)
        step.state["RUN_ID"] = "out-of-reach"
        began = time.monotonic()
        return step.run("post", timeout=PATIENCE), time.monotonic() - began

    with socket.socket() as refusing, ThreadPoolExecutor(1) as pool:
        refusing.bind(("127.0.0.1", 0))  # and never listens
        yield pool.submit(run, f"http://127.0.0.1:{refusing.getsockname()[1]}")


@pytest.fixture
def detour(airflow: LocalAirflow) -> Iterator[Detour]:
    """The way to each of the real Airflows."""
    with Detour(airflow.url) as way:
        yield way


@pytest.fixture
def step(airflow: LocalAirflow, detour: Detour, container: Container, tmp_path: Path) -> Step:
    """A step that takes this way, to wait for a DAG run of ten minutes."""
    airflow.wait_for_dag(DAG)
    inputs = {
        "airflow_url": detour.url,
        "username": "user",
        "password": airflow.users["user"],
        "dag_id": DAG,
        "run_id": tmp_path.name,
        "conf": '{"seconds": 600}',
    }
    return Step(inputs, launcher=container, workspace=tmp_path)


@pytest.fixture
def waiting(step: Step) -> Iterator[RunningStep]:
    """That step, once it waits."""
    with step.start() as running:
        running.wait_for("The DAG run is running", PATIENCE)
        yield running


def cancel(waiting: RunningStep, link: str) -> None:
    """Cancel the step, and see that it ends in time and says what it does not know, and where to
    look.
    """
    began = time.monotonic()
    result = waiting.cancel()
    assert time.monotonic() - began < LIMIT, result.log
    verdict = result.annotations[-1]

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled"), result.log
    assert (verdict.level, verdict.title) == (
        "error",
        "Cancelled, could not confirm that the DAG run is stopped",
    )
    assert result.outputs["run_url"].startswith(link)
    assert result.outputs["run_url"] in verdict.message
    assert result.outputs["run_url"] in result.summary
    assert "Traceback" not in result.raw


def assert_stopped(airflow: LocalAirflow, run_id: str, post: StepResult) -> None:
    """The post stage was content, and rightly so."""
    assert post.exit_code == 0, post.log
    assert "error" not in {note.level for note in post.annotations}
    assert state_of(airflow, run_id) == "failed", post.log


def test_slow(
    airflow: LocalAirflow, detour: Detour, step: Step, waiting: RunningStep, tmp_path: Path
) -> None:
    """With an Airflow that answers each request after 5 s only, main cannot confirm the stop, and
    the post stage can.
    """
    detour.slow(SLOW)

    cancel(waiting, detour.url)

    assert_stopped(airflow, tmp_path.name, step.run("post", timeout=POST_LIMIT))


def test_down(
    airflow: LocalAirflow, detour: Detour, step: Step, waiting: RunningStep, tmp_path: Path
) -> None:
    """With an Airflow that is down at that moment, main cannot stop the run; the post stage does so
    once Airflow is back.
    """
    with ExitStack() as outage:
        outage.enter_context(detour.down())
        cancel(waiting, detour.url)
        assert state_of(airflow, tmp_path.name) == "running"
        with step.start("post") as post:
            post.wait_for("Trying again in")
            outage.close()
            assert_stopped(airflow, tmp_path.name, post.wait(POST_LIMIT))


@pytest.fixture
def triggering(step: Step, detour: Detour) -> Iterator[RunningStep]:
    """That step, when its trigger is on the way to an Airflow that will take a few seconds to make
    the run.
    """
    detour.slow(SLOW_TRIGGER, on=("POST", "/dagRuns"))
    with step.start() as running:
        assert detour.slowed.wait(PATIENCE), running.lines
        yield running


def test_cancelled_before_the_answer(
    airflow: LocalAirflow, detour: Detour, step: Step, triggering: RunningStep, tmp_path: Path
) -> None:
    """A cancel during the trigger stops the run that is on its way; what main had no time to
    confirm it does not claim.
    """
    result = triggering.cancel()

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled"), result.log
    # How long Airflow takes to make a run is up to the machine: the run may be there in main's
    # seconds, or later.
    if result.annotations[-1].title != "Cancelled, could not confirm that the DAG run is stopped":
        assert result.annotations[-1].title == "Cancelled, the DAG run is over", result.log
        assert detour.received("PATCH", "/dagRuns/*") == [200]
    # A run that has just been made may come back to life once more.
    assert_stopped(airflow, tmp_path.name, step.run("post", timeout=POST_LIMIT))


def test_killed_before_the_answer(
    airflow: LocalAirflow, container: Container, step: Step, triggering: RunningStep, tmp_path: Path
) -> None:
    """After a kill during the trigger the post stage waits for the run that is on its way, and
    stops it.
    """
    container.remove_leftovers()
    assert triggering.wait(PATIENCE).exit_code != 0
    assert state_of(airflow, tmp_path.name) is None

    assert_stopped(airflow, tmp_path.name, step.run("post", timeout=POST_LIMIT))


def test_down_for_good(hopeless: Future[tuple[StepResult, float]]) -> None:
    """With an Airflow that stays down, the post stage gives up within a minute and names the run it
    could not stop.
    """
    post, seconds = hopeless.result(PATIENCE)

    assert seconds < POST_LIMIT
    verdict = post.annotations[-1]
    assert (post.exit_code, verdict.level) == (1, "error")
    assert verdict.title == "Cancelled, could not confirm that the DAG run is stopped"
    assert f"out-of-reach of {DAG}" in verdict.message
    assert "connection was refused" in verdict.message
    assert "Traceback" not in post.raw
