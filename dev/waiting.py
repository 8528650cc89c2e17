"""`make bench`: simulate how many requests waiting costs, and how soon it sees the end.

No Airflow is involved; the poll intervals are the action's own (`entrypoint/run/schedule.py`,
`streaming.py`). Runs are simulated as in docs/notes/waiting.md#simulated-runs: DAGs whose usual
duration is log-normal from 20 s to 2 h around 6 min, each with ten earlier runs; 5 % of the runs
fail early and 3 % take two to five times as long as usual.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import ceil, exp
from statistics import mean, quantiles
from typing import TYPE_CHECKING

from entrypoint.run.schedule import UsualDuration, poll_interval_after, usual_duration
from entrypoint.run.streaming import MAX_STREAM_SECONDS, stream_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Pace = Callable[[float, UsualDuration | None], float]
    """Seconds since the run began, and its usual duration → seconds until the next poll."""

RUNS = 3000  # number of simulated runs
SHORT = 60.0
"""Seconds below which a run is short."""
SEED = 20_261_128


@dataclass(frozen=True, slots=True)
class Strategy:
    """When to poll, and how many requests a poll costs after so many seconds."""

    pace: Pace
    requests: Callable[[float], float] = lambda _: 1.0


STRATEGIES = {
    "fixed 1 s": Strategy(lambda *_: 1.0),
    "fixed 5 s": Strategy(lambda *_: 5.0),
    "fixed 10 s": Strategy(lambda *_: 10.0),
    "this action, polling without history": Strategy(lambda waited, _: poll_interval_after(waited)),
    "this action, polling with history": Strategy(
        lambda waited, expected: poll_interval_after(waited, waited, expected)
    ),
    "this action, states streamed by Airflow 3.1 and later": Strategy(
        lambda waited, _: stream_interval(waited),
        lambda waited: stream_interval(waited) / MAX_STREAM_SECONDS,
    ),
}


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """A DAG run's duration in seconds, and the durations of earlier runs."""

    duration: float
    past: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WaitingCosts:
    """Means over many runs.

    Attributes:
        requests: requests per run
        seen_after: seconds until the end is seen
        at_the_95th: the 95th percentile of these seconds
        short_seen_after: the same seconds for short runs
    """

    requests: float
    seen_after: float
    at_the_95th: float
    short_seen_after: float


def runs(
    count: int = RUNS, *, usually: float | None = None, seed: int = SEED
) -> Iterator[SimulatedRun]:
    """Yield simulated runs; with `usually`, of one such DAG without failures and stragglers."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(count):
        middle = usually or min(max(360 * exp(chance.gauss(0, 1.2)), 20), 7200)
        spread = 0.1 if usually else min(max(0.2 * exp(chance.gauss(0, 0.5)), 0.05), 0.6)
        past = tuple(middle * exp(chance.gauss(0, spread)) for _ in range(10))
        duration, kind = middle * exp(chance.gauss(0, spread)), 1.0 if usually else chance.random()
        if kind < 0.05:
            duration *= chance.random()
        elif kind < 0.08:
            duration *= chance.uniform(2, 5)
        yield SimulatedRun(max(duration, 1.0), past)


def simulate(strategy: Strategy, made_up: list[SimulatedRun], seed: int = SEED) -> WaitingCosts:
    """Wait for the end of each run, with a jitter of a tenth."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    requests, late, short = [], [], []
    for run in made_up:
        expected, waited, count = usual_duration(run.past), 0.0, 0.0
        while waited < run.duration:
            count += strategy.requests(waited)
            waited += strategy.pace(waited, expected) * chance.uniform(0.9, 1.1)
        requests.append(ceil(count))
        late.append(waited - run.duration)
        if run.duration < SHORT:
            short.append(waited - run.duration)
    return WaitingCosts(
        mean(requests), mean(late), quantiles(late, n=20)[-1], mean(short) if short else 0.0
    )


def table() -> list[str]:
    """Return the lines of a Markdown table."""
    everything, ten_minutes = list(runs()), list(runs(500, usually=600))
    lines = [
        (
            "| strategy | requests a run | end seen after, mean (p95) s | runs under 60 s | a "
            "10 min run: requests, end seen |"
        ),
        "|---|---|---|---|---|",
    ]
    for name, strategy in STRATEGIES.items():
        all_of_them, ten = simulate(strategy, everything), simulate(strategy, ten_minutes)
        lines.append(
            f"| {name} | {all_of_them.requests:.0f} "
            f"| {all_of_them.seen_after:.1f} ({all_of_them.at_the_95th:.1f}) "
            f"| {all_of_them.short_seen_after:.1f} | {ten.requests:.0f}, {ten.seen_after:.1f} s |"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
