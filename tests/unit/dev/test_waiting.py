"""What the simulation of waiting promises of the action's pace: counts and seconds of simulated
time, no clock.
"""

from __future__ import annotations

import pytest

from dev.waiting import STRATEGIES, Figures, Run, Strategy, runs, simulate, table


@pytest.fixture(scope="module")
def figures() -> dict[str, Figures]:
    """What each strategy costs over many made-up runs."""
    made_up = list(runs(600))
    return {name: simulate(strategy, made_up) for name, strategy in STRATEGIES.items()}


def test_history_dominates(figures: dict[str, Figures]) -> None:
    """With history there are fewer requests than without, and the end is seen sooner; a fixed 5 s
    needs far more.
    """
    without, known, fixed = (
        figures[name]
        for name in (
            "this action, polling without history",
            "this action, polling with history",
            "fixed 5 s",
        )
    )

    assert known.requests < 0.9 * without.requests
    assert known.seen_after < 0.8 * without.seen_after
    assert known.requests < 0.45 * fixed.requests
    assert known.seen_after < 1.2 * fixed.seen_after
    assert known.short_seen_after < fixed.short_seen_after


def test_ten_minutes() -> None:
    """If a DAG usually takes ten minutes, there are less than half of a 5 s loop's requests, and
    the end is seen no later.
    """
    made_up = list(runs(300, usually=600))
    known, fixed = (
        simulate(STRATEGIES[name], made_up)
        for name in ("this action, polling with history", "fixed 5 s")
    )

    assert known.requests <= 0.45 * fixed.requests
    assert known.seen_after <= fixed.seen_after


def test_being_told_dominates(figures: dict[str, Figures]) -> None:
    """Whom Airflow tells by itself sends a fraction of the requests, and knows sooner than by a
    look every five seconds.
    """
    told, fixed = figures["this action, told by Airflow 3.1 and later"], figures["fixed 5 s"]

    assert told.requests < 0.1 * fixed.requests
    assert told.seen_after < 0.5 * fixed.seen_after


def test_what_is_counted() -> None:
    """A request is counted each time, and the end is seen by the first look after it."""
    found = simulate(Strategy(lambda *_: 4.0), [Run(10.0, ())] * 50)

    assert found.requests == 3
    assert 0.8 <= found.seen_after <= 3.2
    assert found.seen_after <= found.at_the_95th


def test_the_table() -> None:
    """Each strategy has a row."""
    assert [line.split(" | ")[0].removeprefix("| ") for line in table()[2:]] == list(STRATEGIES)
