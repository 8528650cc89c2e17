"""The simulation of polling strategies, in simulated seconds."""

from __future__ import annotations

import pytest

from dev.waiting import STRATEGIES, SimulatedRun, Strategy, WaitingCosts, runs, simulate, table


@pytest.fixture(scope="module")
def figures() -> dict[str, WaitingCosts]:
    """Return what each strategy costs over many simulated runs."""
    made_up = list(runs(600))
    return {name: simulate(strategy, made_up) for name, strategy in STRATEGIES.items()}


def test_history_needs_fewer_requests_and_detects_the_end_sooner(
    figures: dict[str, WaitingCosts],
) -> None:
    """A fixed pause of 5 s needs far more requests."""
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


def test_ten_minute_dag_needs_less_than_half_of_a_5s_loops_requests() -> None:
    made_up = list(runs(300, usually=600))
    known, fixed = (
        simulate(STRATEGIES[name], made_up)
        for name in ("this action, polling with history", "fixed 5 s")
    )

    assert known.requests <= 0.45 * fixed.requests
    assert known.seen_after <= fixed.seen_after


def test_stream_needs_a_fraction_of_the_requests_and_detects_the_end_sooner(
    figures: dict[str, WaitingCosts],
) -> None:
    stream = figures["this action, states streamed by Airflow 3.1 and later"]
    fixed = figures["fixed 5 s"]

    assert stream.requests < 0.1 * fixed.requests
    assert stream.seen_after < 0.5 * fixed.seen_after


def test_each_request_is_counted_and_the_next_poll_detects_the_end() -> None:
    found = simulate(Strategy(lambda *_: 4.0), [SimulatedRun(10.0, ())] * 50)

    assert found.requests == 3
    assert 0.8 <= found.seen_after <= 3.2
    assert found.seen_after <= found.at_the_95th


def test_each_strategy_has_a_row() -> None:
    assert [line.split(" | ")[0].removeprefix("| ") for line in table()[2:]] == list(STRATEGIES)
