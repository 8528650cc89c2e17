"""Airflow's listener with its real thread: a long outage and a forked process."""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.reporting import reporting
from tests.support.fake_airflow.faults import Fault
from tests.support.stub_server import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.reporting import ReportingScenario

WAIT_SECONDS = 60.0
RUNS = 200


@pytest.fixture
def scenario(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReportingScenario]:
    """The scenario, with short pauses."""
    monkeypatch.setattr(listener, "RETRY_PAUSES", (0.01, 0.05))
    monkeypatch.setattr(listener, "REREAD_SECONDS", 0.01)
    with reporting(listener, monkeypatch) as made:
        yield made


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"Timed out waiting for {what}"
        time.sleep(0.01)


def announce(
    scenario: ReportingScenario, run_id: str, state: str = "success", environment: str | None = None
) -> None:
    """Commit a final state and call the listener's hook, as Airflow does."""
    scenario.set_run(run_id, state, environment=environment)
    dag_run = SimpleNamespace(dag_id="sales", run_id=run_id, state=state, run_type="manual")
    getattr(scenario.listener, f"on_dag_run_{state}")(dag_run, "")


def test_two_hundred_runs_are_reported_once_each_after_an_outage(
    scenario: ReportingScenario, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reporter = scenario.listener._REPORTER
    for number in range(RUNS):
        scenario.begin_run(f"r{number}", "production")
    before = scenario.posts
    scenario.github.fault(Fault.HTML_503, times=UNLIMITED)
    for _ in range(3):
        for number in range(RUNS):
            announce(scenario, f"r{number}", "failed", "production")
    wait_until(lambda: sum(one.status == 503 for one in scenario.github.record) >= 5, "attempts")
    assert len(reporter._waiting) == RUNS
    scenario.github.clear_faults()
    wait_until(lambda: not reporter._waiting, "the reports")

    codes = [scenario.github.deployment_states(one["id"]) for one in scenario.github.deployments]
    assert codes == [["in_progress", "failure"]] * RUNS
    assert scenario.posts - before == RUNS
    assert sum("Reports to GitHub fail" in text for text in caplog.messages) == 1
    assert sum("Reports to GitHub work again" in text for text in caplog.messages) == 1


def test_no_announcement_is_lost_while_the_thread_goes_to_sleep(
    scenario: ReportingScenario,
) -> None:
    def reported(count: int) -> bool:
        return scenario.states == ["pending", "success"] * count

    for number in range(1, 51):
        scenario.begin_run(f"r{number}")
        announce(scenario, f"r{number}")
        wait_until(partial(reported, number), "a report")
    assert scenario.posts == 50


def test_an_end_is_reported_once_it_is_committed(
    scenario: ReportingScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.begin_run()
    announced = scenario.runs["r1"]._replace(state="success")
    read: list[Any] = []

    def read_run(*_: str) -> Any:
        read.append(announced if len(read) > 2 else announced._replace(state="running"))
        return read[-1]

    monkeypatch.setattr(scenario.listener, "read_run", read_run)
    announce(scenario, "r1")
    wait_until(lambda: scenario.states == ["pending", "success"], "the report")
    assert len(read) == 4


def test_an_announcement_does_not_wait_for_a_hanging_github(scenario: ReportingScenario) -> None:
    """It is made in Airflow's scheduler."""
    reporter = scenario.listener._REPORTER
    scenario.begin_run("r0")
    scenario.github.fault(Fault.HANG)
    announce(scenario, "r0")
    wait_until(lambda: bool(scenario.github.record), "the thread to hang")
    for number in range(RUNS):
        announce(scenario, f"r{number}")
    assert len(reporter._waiting) == RUNS
    assert (reporter._failures, len(scenario.github.record)) == (0, 1)


def exit_code_of_fork(work: Callable[[], None]) -> int:
    """Fork a process for this work and kill it if it does not end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the process has threads on purpose
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    codes: list[int] = []

    def ended() -> bool:
        found, status = os.waitpid(child, os.WNOHANG)
        codes.extend([os.waitstatus_to_exitcode(status)] if found else [])
        return bool(codes)

    try:
        wait_until(ended, "the forked process")
    finally:
        if not codes:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return codes[0]


def test_a_forked_process_reports_only_its_own_runs(scenario: ReportingScenario) -> None:
    reporter = scenario.listener._REPORTER
    for run_id in ("before", "child"):
        scenario.begin_run(run_id, "production")
    scenario.begin_run("parent")
    announce(scenario, "before", "success", "production")
    wait_until(lambda: not reporter._waiting, "a report")
    scenario.github.fault(Fault.HTML_503, times=UNLIMITED, on=("GET", "/commits/*/statuses"))
    announce(scenario, "parent")
    wait_until(lambda: reporter._failures > 1, "attempts")

    def work() -> None:
        own = scenario.listener._REPORTER
        assert not own._waiting
        announce(scenario, "child", "success", "production")
        wait_until(lambda: not own._waiting, "the report")

    before = scenario.github.connections
    with reporter._condition:  # the thread may hold it during a fork
        assert exit_code_of_fork(work) == 0
    assert scenario.github.connections == before + 1
    scenario.github.clear_faults()
    wait_until(lambda: scenario.states == ["pending", "success"], "the parent's report")
    codes = [scenario.github.deployment_states(one["id"]) for one in scenario.github.deployments]
    assert codes == [["in_progress", "success"]] * 2
