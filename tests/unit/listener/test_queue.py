"""The listener's queue on a clock that the test turns: what is done when, and of which run how
often.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.listener import ByHand, raising

HOUR = 3600.0


@pytest.fixture
def world(listener: Any, caplog: pytest.LogCaptureFixture) -> ByHand:
    """It, with everything that it logs."""
    caplog.set_level(logging.INFO)
    return ByHand(listener)


def test_a_report(world: ByHand, caplog: pytest.LogCaptureFixture) -> None:
    """What is announced is done at once, in this order, and once; then there is nothing to do until
    the next announcement.
    """
    assert world.reporter.step() is None
    for run_id in ("r1", "r2"):
        world.note(run_id)
    assert world.reporter.step() == 0.0
    assert world.tried == [(0.0, "r1", "success")]
    world.pass_by(HOUR)
    assert [run_id for _, run_id, _ in world.tried] == ["r1", "r2"]
    assert world.reporter.step() is None
    assert caplog.messages == []


def test_nothing_waits_twice(world: ByHand) -> None:
    """Of one run only the last announcement is done; the same id in another DAG is another run."""
    for state in ("running", "failed", "success"):
        world.note("r1", state)
    assert world.waiting == ["r1"]
    world.pass_by(1)
    assert world.tried == [(0.0, "r1", "success")]


def test_the_newest_wins_while_one_is_in_work(world: ByHand, listener: Any) -> None:
    """What is announced of a run while it is being reported is done afterwards, whether that goes
    well or not.
    """
    for error in (
        None,
        listener.NotYetError(),
        listener.LaterError("503"),
        listener.GivenUpError("404"),
    ):
        world.tried.clear()

        def outcome(_: str, state: str | None, error: Any = error) -> bool:
            if state == "running":
                world.note("r1", "success")
                if error:
                    raise error
            return True

        world.outcome = outcome
        world.note("r1", "running")
        world.pass_by(HOUR)
        assert [state for *_, state in world.tried] == ["running", "success"]
        assert world.waiting == []


def test_the_queue_is_bounded(
    world: ByHand, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Of more runs than may wait the newest are given up, which is logged once; those that wait are
    announced anew as ever.
    """
    for number in range(listener.MOST + 50):
        world.note(f"r{number}")
    world.note("r0", "failed")
    assert len(world.waiting) == listener.MOST == 1000
    assert caplog.messages == [
        "1000 DAG runs wait to be reported to GitHub: further ones are given up"
    ]
    world.pass_by(1)
    assert len(world.tried) == 1000
    assert (0.0, "r0", "failed") in world.tried
    for number in range(listener.MOST + 1):
        world.note(f"r{number}")
    assert len(caplog.messages) == 2


def test_not_committed_yet(world: ByHand, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What the database does not say yet is read again four times a second, and after half a minute
    taken as it is.
    """

    def outcome(_: str, state: str | None) -> bool:
        if state is not None:
            raise listener.NotYetError
        return True

    world.outcome = outcome
    world.note("r1")
    world.pass_by(2)
    assert [moment for moment, *_ in world.tried] == [0.25 * number for number in range(8)]
    world.pass_by(HOUR)
    assert {state for moment, _, state in world.tried if moment <= 30} == {"success"}
    assert world.tried[-1] == (30.25, "r1", None)
    assert (world.waiting, caplog.messages) == ([], [])


def test_others_go_on_meanwhile(world: ByHand, listener: Any) -> None:
    """A run that is not committed yet keeps no other one waiting."""
    world.outcome = lambda run_id, _: run_id != "r1" or raising(listener.NotYetError())()
    for run_id in ("r1", "r2", "r3"):
        world.note(run_id)
    world.pass_by(0.1)
    assert [run_id for _, run_id, _ in world.tried] == ["r1", "r2", "r3"]


def test_an_announcement_at_the_last_moment(world: ByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is announced between the thread's look and its rest is not left for the next
    announcement.
    """

    def step() -> float | None:
        if world.waiting:
            raise EOFError
        world.note("r1")
        return None

    monkeypatch.setattr(world.reporter, "step", step)
    monkeypatch.setattr(world.reporter._turn, "wait", lambda _: pytest.fail("It rests"))
    with pytest.raises(EOFError):
        world.reporter._work()
