"""How long to pause between two looks at a DAG run. Pure, so that it can be simulated: `make bench` does (`dev/waiting.py`).

Every look costs Airflow some work, and every second between the run's end and the next look costs whoever waits for it.
"""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST, LONGEST = 1.0, 10.0
"""Seconds between two looks while nothing is known of the DAG."""
LONGEST_KNOWN = 30.0
"""The same while its history says that the end is not near."""
ENOUGH = 3
"""Successful runs from which on the next one can be expected to take about as long."""
_LEAST_SPREAD, _MOST_SPREAD = 0.08, 0.6
_SELDOM = 5.0
"""How many times the pause without history it may be at the most: a DAG that never fails may."""
_UNUSUAL, _UNUSUAL_SPREAD = 0.1, 1.5
"""The share of runs that end at another time than usual, and the spread of these: early failures, and stragglers."""
_PRICE = 0.05
"""What a request is worth in seconds that the end is seen later. The simulation chose it, as it did the others here."""


class Usual(NamedTuple):
    """How long a DAG's runs usually take: the median in seconds, and the spread of the logarithms around it."""

    median: float
    spread: float


def usual(durations: Sequence[float]) -> Usual | None:
    """Return what the durations (seconds) of the last successful runs say, None if there are too few of them."""
    logs = [log(duration) for duration in durations if duration > 0]
    if len(logs) < ENOUGH:
        return None
    middle = median(logs)
    # The median absolute deviation, as the standard deviation that a normal distribution would have with it.
    deviation = 1.48 * median([abs(one - middle) for one in logs]) * (1 + 2 / len(logs))
    return Usual(exp(middle), min(max(deviation, _LEAST_SPREAD), _MOST_SPREAD))


def median(values: Sequence[float]) -> float:
    """Return the median. Not `statistics.median`: to import that costs a tenth of all imports before the trigger."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return (ordered[half] + ordered[~half]) / 2


def pause_after(waited: float, running: float | None = None, expected: Usual | None = None) -> float:
    """Return the seconds until the next look.

    A look every τ seconds costs λ/τ + h·τ/2, h being the chance that the run ends in the next second, so that the
    best τ is √(2λ/h) (docs/notes/waiting.md#the-best-interval). Without history h falls as 1/t, and τ grows as √t;
    doubling is dominated. With history, h is what the last runs say.

    Args:
        waited: seconds since the trigger.
        running: seconds since the run began, None if it has not.
        expected: how long it usually takes.
    """
    pause = min(max(0.5 * sqrt(max(waited, 0.0)), SHORTEST), LONGEST)
    if running is None or expected is None:
        return pause
    best = sqrt(2 * _PRICE / _chance(max(running, SHORTEST), expected))
    return max(min(best, _SELDOM * pause, LONGEST_KNOWN), SHORTEST)


def _chance(running: float, expected: Usual) -> float:
    """Return the chance that a run which has not ended yet ends in the next second."""
    ends, lasts = _log_normal(running, expected.median, expected.spread)
    ends_otherwise, lasts_otherwise = _log_normal(running, expected.median, _UNUSUAL_SPREAD)
    return ((1 - _UNUSUAL) * ends + _UNUSUAL * ends_otherwise) / ((1 - _UNUSUAL) * lasts + _UNUSUAL * lasts_otherwise)


def _log_normal(seconds: float, middle: float, spread: float) -> tuple[float, float]:
    """Return the density at that moment, and the share of what lasts longer."""
    distance = log(seconds / middle) / spread
    return exp(-(distance**2) / 2) / (seconds * spread * sqrt(2 * pi)), erfc(distance / sqrt(2)) / 2
