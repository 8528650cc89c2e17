"""The listener's failures on a clock that the test turns: the pauses between tries, what is given
up, and what is logged.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import pytest

from tests.support.listener import ByHand, raising

HOUR = 3600.0


@pytest.fixture
def world(listener: Any, caplog: pytest.LogCaptureFixture) -> ByHand:
    """It, with everything that it logs."""
    caplog.set_level(logging.INFO)
    return ByHand(listener)


def test_growing_pauses(world: ByHand, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """While GitHub fails nobody asks it, for pauses that grow to a minute; that it fails, and works
    again, is logged once.
    """
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


def test_as_long_as_github_asks(world: ByHand, listener: Any) -> None:
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


def test_given_up(world: ByHand, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What has failed for an hour is given up, with one line for each run that says the last
    reason.
    """
    world.outcome = raising(listener.LaterError("GET /x answered 503"))
    for run_id in ("r1", "r2"):
        world.note(run_id)
    world.pass_by(HOUR - 1)
    assert world.waiting == ["r1", "r2"]
    world.pass_by(HOUR)
    assert world.waiting == []
    assert caplog.messages[1:] == [
        f"Given up to report the DAG run {run_id} of sales to GitHub: GET /x answered 503"
        for run_id in ("r1", "r2")
    ]


def test_refused(world: ByHand, listener: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What will not work is logged with its reason and not tried again; what nobody expects is,
    too, but without its text.
    """
    for run_id, error in (
        ("r1", listener.GivenUpError("404 'Not Found'")),
        ("r2", KeyError("Zq8")),
        ("r3", OSError()),
    ):
        world.outcome = raising(error)
        world.note(run_id)
        world.pass_by(HOUR)
    assert (len(world.tried), world.waiting) == (3, [])
    assert caplog.messages == [
        f"Given up to report the DAG run {run_id} of sales to GitHub: {why}"
        for run_id, why in (("r1", "404 'Not Found'"), ("r2", "KeyError"), ("r3", "OSError"))
    ]


def test_one_that_always_fails(world: ByHand, listener: Any) -> None:
    """A run that GitHub never gets through with goes behind the others: they wait for one pause,
    not for an hour.
    """
    world.outcome = lambda run_id, _: run_id != "r1" or raising(listener.LaterError("502"))()
    for run_id in ("r1", "r2", "r3"):
        world.note(run_id)
    world.pass_by(2.1)
    assert world.waiting == ["r1"]
    world.note("r4")
    world.pass_by(60)
    assert world.waiting == ["r1"]
    world.pass_by(2 * HOUR)
    assert world.waiting == []


def test_a_try_that_takes_long(world: ByHand, listener: Any) -> None:
    """A pause is counted from the end of a try, which may have taken longer than the pause."""

    def outcome(*_: Any) -> bool:
        world.time.now += 20
        raise errors.pop()

    errors = [
        listener.LaterError("Timeout"),
        listener.LaterError("429", 30.0),
        listener.NotYetError(),
    ]
    world.outcome = outcome
    world.note("r1")
    for wait in (0.25, 30.0, 5.0):
        assert world.reporter.step() == 0.0
        assert world.reporter.step() == wait
        world.time.now += wait


def test_those_that_are_given_up_are_no_storm(world: ByHand, listener: Any) -> None:
    """GitHub is left alone after each failure, that of a run which is given up included."""
    world.outcome = raising(listener.LaterError("503", 60.0))
    for number in range(20):
        world.note(f"r{number}")
    world.pass_by(3 * HOUR)
    moments = [moment for moment, *_ in world.tried]
    assert min(later - earlier for earlier, later in pairwise(moments)) >= 60
    assert world.waiting == []


def test_what_says_nothing_about_github(
    world: ByHand, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A run for which GitHub was not asked does not end the trouble: nobody knows yet whether it is
    over.
    """
    world.outcome = lambda run_id, _: (
        not run_id.startswith("r") and raising(listener.LaterError("503"))()
    )
    world.note("github")
    for number in range(20):
        world.note(f"r{number}")
    world.pass_by(100)
    assert world.waiting == ["github"]
    assert [moment for moment, run_id, _ in world.tried if run_id == "github"] == [
        0,
        2,
        7,
        17,
        37,
        77,
    ]
    assert len(caplog.messages) == 1
