"""The listener's queue on a clock that the test turns: what is tried when, how often, and what is logged of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.listener import by_hand
from tests.support.virtual import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0


class World:
    """A reporter, its clock, and what was tried: when, which run, announced as what. `outcome` is called at each try."""

    def __init__(self, listener: Any) -> None:
        self.time = VirtualTime(0.0)
        self.tried: list[tuple[float, str, str | None]] = []
        self.outcome: Callable[[str, str | None], bool] = lambda *_: True
        self.reporter = by_hand(listener, self._do, self.time.clock)

    def note(self, run_id: str, state: str = "success") -> None:
        """An announcement."""
        self.reporter.note("sales", run_id, state)

    def pass_by(self, seconds: float) -> None:
        """Let the thread do what it does in so many seconds."""
        until = self.time.now + seconds
        for _ in range(100_000):
            wait = self.reporter.step()
            if wait != 0.0 and (wait is None or self.time.now + wait >= until):
                break
            self.time.now += wait
        else:
            pytest.fail("It never rests")
        self.time.now = max(until, self.time.now)

    @property
    def waiting(self) -> list[str]:
        """The runs that wait."""
        return [run_id for _, run_id in self.reporter._waiting]

    def _do(self, dag_id: str, run_id: str, state: str | None) -> bool:
        assert dag_id == "sales"
        self.tried.append((self.time.now, run_id, state))
        return self.outcome(run_id, state)


@pytest.fixture
def world(listener: Any, caplog: pytest.LogCaptureFixture) -> World:
    """It, with everything that it logs."""
    caplog.set_level(logging.INFO)
    return World(listener)


def raising(error: Exception) -> Callable[..., bool]:
    """An outcome."""

    def outcome(*_: Any) -> bool:
        raise error

    return outcome


def test_a_report(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What is announced is done at once, in this order, and once; then there is nothing to do until the next announcement."""
    assert world.reporter.step() is None
    for run_id in ("r1", "r2"):
        world.note(run_id)
    assert world.reporter.step() == 0.0
    assert world.tried == [(0.0, "r1", "success")]
    world.pass_by(HOUR)
    assert [run_id for _, run_id, _ in world.tried] == ["r1", "r2"]
    assert world.reporter.step() is None
    assert caplog.messages == []


def test_nothing_waits_twice(world: World) -> None:
    """Of one run only the last announcement is done; the same id in another DAG is another run."""
    for state in ("running", "failed", "success"):
        world.note("r1", state)
    assert world.waiting == ["r1"]
    world.pass_by(1)
    assert world.tried == [(0.0, "r1", "success")]


def test_the_newest_wins_while_one_is_in_work(world: World, listener: Any) -> None:
    """What is announced of a run while it is being reported is done afterwards, whether that goes well or not."""
    for error in (None, listener.NotYetError(), listener.LaterError("503"), listener.GivenUpError("404")):
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


def test_the_queue_is_bounded(world: World, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Of more runs than may wait the newest are given up, which is logged once; those that wait are announced anew as ever."""
    for number in range(listener.MOST + 50):
        world.note(f"r{number}")
    world.note("r0", "failed")
    assert len(world.waiting) == listener.MOST == 1000
    assert caplog.messages == ["1000 DAG runs wait to be reported to GitHub: further ones are given up"]
    world.pass_by(1)
    assert len(world.tried) == 1000
    assert (0.0, "r0", "failed") in world.tried
    for number in range(listener.MOST + 1):
        world.note(f"r{number}")
    assert len(caplog.messages) == 2


def test_not_committed_yet(world: World, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What the database does not say yet is read again four times a second, and after half a minute taken as it is."""

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


def test_others_go_on_meanwhile(world: World, listener: Any) -> None:
    """A run that is not committed yet keeps no other one waiting."""
    world.outcome = lambda run_id, _: run_id != "r1" or raising(listener.NotYetError())()
    for run_id in ("r1", "r2", "r3"):
        world.note(run_id)
    world.pass_by(0.1)
    assert [run_id for _, run_id, _ in world.tried] == ["r1", "r2", "r3"]


def test_growing_pauses(world: World, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """While GitHub fails nobody asks it, for pauses that grow to a minute; that it fails, and works again, is logged once."""
    world.outcome = raising(listener.LaterError("GET /x answered 503"))
    for run_id in ("r1", "r2"):
        world.note(run_id)
    world.pass_by(200)
    assert [moment for moment, *_ in world.tried] == [0, 2, 7, 17, 37, 77, 137, 197]
    world.outcome = lambda *_: True
    world.note("r3")
    world.pass_by(57)
    world.pass_by(1)
    assert sorted(world.tried[8:]) == [(257.0, run_id, "success") for run_id in ("r1", "r2", "r3")]
    assert caplog.messages == [
        "Reports to GitHub fail, and are tried again for an hour: GET /x answered 503",
        "Reports to GitHub work again",
    ]
    world.outcome = raising(listener.LaterError("GET /x answered 502"))
    world.note("r4")
    world.pass_by(3)
    assert [moment for moment, *_ in world.tried[11:]] == [258.0, 260.0]
    assert len(caplog.messages) == 3


def test_as_long_as_github_asks(world: World, listener: Any) -> None:
    """A pause that GitHub asks for is kept if it is longer, by all."""
    world.outcome = raising(listener.LaterError("429", 100.0))
    world.note("r1")
    world.pass_by(1)
    world.outcome = lambda *_: True
    world.note("r2")
    world.pass_by(98.9)
    assert len(world.tried) == 1
    world.pass_by(1)
    assert [moment for moment, *_ in world.tried[1:]] == [100.0, 100.0]
    world.outcome = raising(listener.LaterError("429", 1.0))
    world.note("r3")
    world.pass_by(2.1)
    assert len(world.tried) == 5


def test_given_up(world: World, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What has failed for an hour is given up, with one line for each run that says the last reason."""
    world.outcome = raising(listener.LaterError("GET /x answered 503"))
    for run_id in ("r1", "r2"):
        world.note(run_id)
    world.pass_by(HOUR - 1)
    assert world.waiting == ["r1", "r2"]
    world.pass_by(HOUR)
    assert world.waiting == []
    assert caplog.messages[1:] == [
        f"Given up to report the DAG run {run_id} of sales to GitHub: GET /x answered 503" for run_id in ("r1", "r2")
    ]


def test_refused(world: World, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What will not work is logged with its reason and not tried again; what nobody expects is, too, but without its text."""
    for run_id, error in (("r1", listener.GivenUpError("404 'Not Found'")), ("r2", KeyError("Zq8")), ("r3", OSError())):
        world.outcome = raising(error)
        world.note(run_id)
        world.pass_by(HOUR)
    assert (len(world.tried), world.waiting) == (3, [])
    assert caplog.messages == [
        f"Given up to report the DAG run {run_id} of sales to GitHub: {why}"
        for run_id, why in (("r1", "404 'Not Found'"), ("r2", "KeyError"), ("r3", "OSError"))
    ]
