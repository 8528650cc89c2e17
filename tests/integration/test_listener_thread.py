"""Airflow's listener with its real thread and over real sockets: a whole outage, and a process that
was forked.
"""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.reporting import reporting
from tests.support.fake_airflow.faults import Fault
from tests.support.stand_in import WITHOUT_END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.reporting import World

PATIENCE = 60.0
RUNS = 200


@pytest.fixture
def world(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Everything, with pauses that are short."""
    monkeypatch.setattr(listener, "PAUSES", (0.01, 0.05))
    monkeypatch.setattr(listener, "SOON", 0.01)
    with reporting(listener, monkeypatch) as made:
        yield made


def until(condition: Callable[[], bool], what: str) -> None:
    """Return when this is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"Waited in vain for {what}"
        time.sleep(0.01)


def announce(
    world: World, run_id: str, state: str = "success", environment: str | None = None
) -> None:
    """Airflow commits an end, and announces it."""
    world.run(run_id, state, environment=environment)
    dag_run = SimpleNamespace(dag_id="sales", run_id=run_id, state=state, run_type="manual")
    getattr(world.listener, f"on_dag_run_{state}")(dag_run, "")


def test_an_outage(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Two hundred runs that end while GitHub is down are each reported exactly once when it is
    back, in bounded memory.
    """
    caplog.set_level(logging.INFO)
    reporter = world.listener._REPORTER
    for number in range(RUNS):
        world.begin(f"r{number}", "production")
    before = world.posted
    world.github.fault(Fault.HTML_503, times=WITHOUT_END)
    for _ in range(3):
        for number in range(RUNS):
            announce(world, f"r{number}", "failed", "production")
    until(lambda: sum(one.status == 503 for one in world.github.record) >= 5, "attempts")
    assert len(reporter._waiting) == RUNS
    world.github.mend()
    until(lambda: not reporter._waiting, "the reports")

    ends = [world.github.deployment_states(one["id"]) for one in world.github.deployments]
    assert ends == [["in_progress", "failure"]] * RUNS
    assert world.posted - before == RUNS
    assert sum("Reports to GitHub fail" in text for text in caplog.messages) == 1
    assert sum("Reports to GitHub work again" in text for text in caplog.messages) == 1


def test_an_announcement_is_not_missed(world: World) -> None:
    """However announcements and the thread's rests fall together, each one is reported."""
    for number in range(1, 51):
        world.begin(f"r{number}")
        announce(world, f"r{number}")
        until(lambda count=number: world.states == ["pending", "success"] * count, "a report")  # type: ignore[misc]
    assert world.posted == 50


def test_it_waits_for_the_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that is announced before it is committed is reported when it is."""
    world.begin()
    announced = world.runs["r1"]._replace(state="success")
    read: list[Any] = []

    def read_run(*_: str) -> Any:
        read.append(announced if len(read) > 2 else announced._replace(state="running"))
        return read[-1]

    monkeypatch.setattr(world.listener, "read_run", read_run)
    announce(world, "r1")
    until(lambda: world.states == ["pending", "success"], "the report")
    assert len(read) == 4


def test_a_github_that_hangs(world: World) -> None:
    """While the thread waits for an answer, an announcement waits for nothing: it is made where
    Airflow schedules.
    """
    reporter = world.listener._REPORTER
    world.begin("r0")
    world.github.fault(Fault.HANG)
    announce(world, "r0")
    until(lambda: bool(world.github.record), "the thread to hang")
    for number in range(RUNS):
        announce(world, f"r{number}")
    assert len(reporter._waiting) == RUNS
    assert (reporter._failures, len(world.github.record)) == (0, 1)


def in_a_fork(work: Callable[[], None]) -> int:
    """The exit code of a process that is forked to do this, and killed if it does not end."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # this process has threads: that is the point
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    ends: list[int] = []

    def ended() -> bool:
        found, status = os.waitpid(child, os.WNOHANG)
        ends.extend([os.waitstatus_to_exitcode(status)] if found else [])
        return bool(ends)

    try:
        until(ended, "the forked process")
    finally:
        if not ends:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return ends[0]


def test_a_forked_process(world: World) -> None:
    """A process that is forked while much waits reports what it is told of itself, and nothing of
    its parent's.
    """
    reporter = world.listener._REPORTER
    for run_id in ("before", "child"):
        world.begin(run_id, "production")
    world.begin("parent")
    announce(world, "before", "success", "production")
    until(lambda: not reporter._waiting, "a report")
    world.github.fault(Fault.HTML_503, times=WITHOUT_END, on=("GET", "/commits/*/statuses"))
    announce(world, "parent")
    until(lambda: reporter._failures > 1, "attempts")

    def work() -> None:
        own = world.listener._REPORTER
        assert not own._waiting
        announce(world, "child", "success", "production")
        until(lambda: not own._waiting, "the report")

    before = world.github.connections
    with reporter._turn:  # as the thread may have it at that moment
        assert in_a_fork(work) == 0
    assert world.github.connections == before + 1
    world.github.mend()
    until(lambda: world.states == ["pending", "success"], "the parent's report")
    ends = [world.github.deployment_states(one["id"]) for one in world.github.deployments]
    assert ends == [["in_progress", "success"]] * 2
