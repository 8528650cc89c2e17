"""Cancelling a step while Airflow is slow or down."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import password_of
from dev.runner import ActionStep
from entrypoint.models import SavedRun
from tests.container.interruptions import DAG, LIMIT, TIMEOUT, state_of
from tests.support.slow_proxy import SlowProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult
    from tests.container.forms import AnyLauncher, MakeLauncher

SLOW = 5.0
SLOW_TRIGGER = 1.5
POST_LIMIT = 60.0


@pytest.fixture(scope="session", autouse=True)
def post_while_airflow_is_down(
    make_launcher: MakeLauncher, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[tuple[StepResult, float]]]:
    """The result and the seconds of a post stage while Airflow is down.

    It takes nearly a minute, so it runs beside the other tests of this file.
    """
    workspace = tmp_path_factory.mktemp("workspace")

    def run(url: str) -> tuple[StepResult, float]:
        inputs = {
            "airflow_url": url,
            "username": "user",
            "password": password_of("user"),
            "dag_id": DAG,
        }
        step = ActionStep(inputs, launcher=make_launcher(), workspace=workspace)
        step.state["RUNS"] = json.dumps([SavedRun(DAG, "out-of-reach")._asdict()])
        began = time.monotonic()
        return step.run("post", timeout=TIMEOUT), time.monotonic() - began

    with socket.socket() as refusing, ThreadPoolExecutor(1) as pool:
        refusing.bind(("127.0.0.1", 0))  # never listens
        yield pool.submit(run, f"http://127.0.0.1:{refusing.getsockname()[1]}")


@pytest.fixture
def slow_proxy(airflow: LocalAirflow) -> Iterator[SlowProxy]:
    with SlowProxy(airflow.url) as way:
        yield way


@pytest.fixture
def step(
    airflow: LocalAirflow, slow_proxy: SlowProxy, launcher: AnyLauncher, tmp_path: Path
) -> ActionStep:
    """A step that waits through the proxy for a DAG run of ten minutes."""
    airflow.wait_for_dag(DAG)
    inputs = {
        "airflow_url": slow_proxy.url,
        "username": "user",
        "password": airflow.users["user"],
        "dag_id": DAG,
        "run_id": tmp_path.name,
        "conf": '{"seconds": 600}',
    }
    return ActionStep(inputs, launcher=launcher, workspace=tmp_path)


@pytest.fixture
def waiting(step: ActionStep) -> Iterator[RunningStep]:
    """That step once it waits."""
    with step.start() as running:
        running.wait_for("The DAG run is running", TIMEOUT)
        yield running


def cancel(waiting: RunningStep, link: str) -> None:
    """Cancel the step; it must end in time with an honest error and a link to the run."""
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
    """Check that the post stage succeeded and the DAG run is stopped."""
    assert post.exit_code == 0, post.log
    assert "error" not in {note.level for note in post.annotations}
    assert state_of(airflow, run_id) == "failed", post.log


def test_main_cannot_confirm_the_stop_with_a_slow_airflow_but_post_can(
    airflow: LocalAirflow,
    slow_proxy: SlowProxy,
    step: ActionStep,
    waiting: RunningStep,
    tmp_path: Path,
) -> None:
    """Airflow takes 5 s for each response."""
    slow_proxy.slow(SLOW)

    cancel(waiting, slow_proxy.url)

    assert_stopped(airflow, tmp_path.name, step.run("post", timeout=POST_LIMIT))


def test_the_post_stage_stops_the_run_once_airflow_is_up_again(
    airflow: LocalAirflow,
    slow_proxy: SlowProxy,
    step: ActionStep,
    waiting: RunningStep,
    tmp_path: Path,
) -> None:
    with ExitStack() as outage:
        outage.enter_context(slow_proxy.down())
        cancel(waiting, slow_proxy.url)
        assert state_of(airflow, tmp_path.name) == "running"
        with step.start("post") as post:
            post.wait_for("Trying again in")
            outage.close()
            assert_stopped(airflow, tmp_path.name, post.wait(POST_LIMIT))


@pytest.fixture
def triggering(step: ActionStep, slow_proxy: SlowProxy) -> Iterator[RunningStep]:
    """That step while a slow Airflow handles its trigger request."""
    slow_proxy.slow(SLOW_TRIGGER, on=("POST", "/dagRuns"))
    with step.start() as running:
        assert slow_proxy.slowed.wait(TIMEOUT), running.lines
        yield running


def test_a_cancel_during_the_trigger_stops_the_new_run(
    airflow: LocalAirflow,
    slow_proxy: SlowProxy,
    step: ActionStep,
    triggering: RunningStep,
    tmp_path: Path,
) -> None:
    """The main stage does not claim a stop that it could not confirm."""
    result = triggering.cancel()

    assert (result.exit_code, result.outputs["result"]) == (1, "cancelled"), result.log
    # A slow machine may create the run during the main stage or after it.
    if result.annotations[-1].title != "Cancelled, could not confirm that the DAG run is stopped":
        assert result.annotations[-1].title == "Cancelled, the DAG run is over", result.log
        assert slow_proxy.received("PATCH", "/dagRuns/*") == [200]
    # The stop of a new run may be undone once.
    assert_stopped(airflow, tmp_path.name, step.run("post", timeout=POST_LIMIT))


def test_the_post_stage_waits_for_and_stops_a_run_after_a_kill_during_the_trigger(
    airflow: LocalAirflow,
    launcher: AnyLauncher,
    step: ActionStep,
    triggering: RunningStep,
    tmp_path: Path,
) -> None:
    launcher.remove_leftovers()
    assert triggering.wait(TIMEOUT).exit_code != 0
    assert state_of(airflow, tmp_path.name) is None

    assert_stopped(airflow, tmp_path.name, step.run("post", timeout=POST_LIMIT))


def test_the_post_stage_gives_up_within_a_minute_and_names_the_run(
    post_while_airflow_is_down: Future[tuple[StepResult, float]],
) -> None:
    post, seconds = post_while_airflow_is_down.result(TIMEOUT)

    assert seconds < POST_LIMIT
    verdict = post.annotations[-1]
    assert (post.exit_code, verdict.level) == (1, "error")
    assert verdict.title == "Cancelled, could not confirm that the DAG run is stopped"
    assert f"out-of-reach of {DAG}" in verdict.message
    assert "connection was refused" in verdict.message
    assert "Traceback" not in post.raw
