"""How long to pause between two looks at a DAG run. Pure, so that it can be simulated: `make bench`
does (`dev/waiting.py`).

Every look costs Airflow some work, and every second between the run's end and the next look costs
whoever waits for it.
"""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_INTERVAL, MAX_INTERVAL = 1.0, 10.0
"""Seconds between two looks while nothing is known of the DAG."""
MAX_INTERVAL_WITH_HISTORY = 30.0
"""The same while its history says that the end is not near."""
MIN_RUNS = 3
"""Successful runs from which on the next one can be expected to take about as long."""
_MIN_SPREAD, _MAX_SPREAD = 0.08, 0.6
_MAX_STRETCH = 5.0
"""How many times the pause without history it may be at the most: a DAG that never fails may."""
_OUTLIER_SHARE, _OUTLIER_SPREAD = 0.1, 1.5
"""The share of runs that end at another time than usual, and the spread of these: early failures,
and stragglers.
"""
_REQUEST_COST = 0.05
"""What a request is worth in seconds that the end is seen later. The simulation chose it, as it did
the others here.
"""


class UsualDuration(NamedTuple):
    """How long a DAG's runs usually take: the median in seconds, and the spread of the logarithms
    around it.
    """

    median: float
    spread: float


def usual_duration(durations: Sequence[float]) -> UsualDuration | None:
    """Return what the durations (seconds) of the last successful runs say, None if there are too
    few of them.
    """
    logs = [log(duration) for duration in durations if duration > 0]
    if len(logs) < MIN_RUNS:
        return None
    middle = median(logs)
    # The median absolute deviation, as the standard deviation that a normal distribution would have
    # with it.
    deviation = 1.48 * median([abs(one - middle) for one in logs]) * (1 + 2 / len(logs))
    return UsualDuration(exp(middle), min(max(deviation, _MIN_SPREAD), _MAX_SPREAD))


def median(values: Sequence[float]) -> float:
    """Return the median. Not `statistics.median`: to import that costs a tenth of all imports
    before the trigger.
    """
    ordered = sorted(values)
    half = len(ordered) // 2
    return (ordered[half] + ordered[~half]) / 2


def poll_interval_after(
    waited: float, running: float | None = None, expected: UsualDuration | None = None
) -> float:
    """Return the seconds until the next look.

    A look every τ seconds costs λ/τ + h·τ/2, h being the chance that the run ends in the next
    second, so that the best τ is √(2λ/h) (docs/notes/waiting.md#the-best-interval). Without history
    h falls as 1/t, and τ grows as √t; doubling is dominated. With history, h is what the last runs
    say.

    Args:
        waited: seconds since the trigger.
        running: seconds since the run began, None if it has not.
        expected: how long it usually takes.
    """
    pause = min(max(0.5 * sqrt(max(waited, 0.0)), MIN_INTERVAL), MAX_INTERVAL)
    if running is None or expected is None:
        return pause
    best = sqrt(2 * _REQUEST_COST / _chance(max(running, MIN_INTERVAL), expected))
    return max(min(best, _MAX_STRETCH * pause, MAX_INTERVAL_WITH_HISTORY), MIN_INTERVAL)


def _chance(running: float, expected: UsualDuration) -> float:
    """Return the chance that a run which has not ended yet ends in the next second."""
    ends, lasts = _log_normal(running, expected.median, expected.spread)
    ends_otherwise, lasts_otherwise = _log_normal(running, expected.median, _OUTLIER_SPREAD)
    return ((1 - _OUTLIER_SHARE) * ends + _OUTLIER_SHARE * ends_otherwise) / (
        (1 - _OUTLIER_SHARE) * lasts + _OUTLIER_SHARE * lasts_otherwise
    )


def _log_normal(seconds: float, middle: float, spread: float) -> tuple[float, float]:
    """Return the density at that moment, and the share of what lasts longer."""
    distance = log(seconds / middle) / spread
    return exp(-(distance**2) / 2) / (seconds * spread * sqrt(2 * pi)), erfc(distance / sqrt(2)) / 2
