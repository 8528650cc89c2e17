"""Choose the pause between two polls of a DAG run.

It is pure, so that `make bench` can simulate it (`dev/waiting.py`). Each poll costs Airflow some
work, and each second between the run's end and the next poll makes the step longer.
"""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_INTERVAL, MAX_INTERVAL = 1.0, 10.0
"""Shortest and longest pause in seconds if the DAG has no usual duration."""
MAX_INTERVAL_WITH_HISTORY = 30.0
"""Longest pause in seconds if the DAG has a usual duration."""
MIN_RUNS = 3
"""Successful runs that are needed for a usual duration."""
_MIN_SPREAD, _MAX_SPREAD = 0.08, 0.6
"""Limits of the spread of a usual duration."""
_MAX_STRETCH = 5.0
"""Longest pause with a usual duration, as a multiple of the pause without one, because even a
DAG that has never failed may fail early.
"""
_OUTLIER_SHARE, _OUTLIER_SPREAD = 0.1, 1.5
"""Share of runs with an unusual duration (early failures and stragglers), and its spread."""
_REQUEST_COST = 0.05
"""Cost of a request, as seconds of delay. All values here are the best ones of a simulation."""


class UsualDuration(NamedTuple):
    """The usual duration of a DAG's runs.

    Attributes:
        median: seconds.
        spread: standard deviation of the logarithms.
    """

    median: float
    spread: float


def usual_duration(durations: Sequence[float]) -> UsualDuration | None:
    """Return the usual duration, None if there are too few runs.

    Args:
        durations: durations of the last successful runs in seconds.
    """
    logs = [log(duration) for duration in durations if duration > 0]
    if len(logs) < MIN_RUNS:
        return None
    middle = median(logs)
    # For a normal distribution, 1.48 times the median absolute deviation is the standard deviation.
    deviation = 1.48 * median([abs(value - middle) for value in logs]) * (1 + 2 / len(logs))
    return UsualDuration(exp(middle), min(max(deviation, _MIN_SPREAD), _MAX_SPREAD))


def median(values: Sequence[float]) -> float:
    """Return the median.

    Importing `statistics` would take a tenth of the time of all imports before the trigger.
    """
    ordered = sorted(values)
    half = len(ordered) // 2
    return (ordered[half] + ordered[~half]) / 2


def poll_interval_after(
    waited: float, running: float | None = None, expected: UsualDuration | None = None
) -> float:
    """Return the seconds until the next poll.

    A poll every τ seconds costs λ/τ + h·τ/2, where λ is the cost of a request and h the chance that
    the run ends in the next second. So the best τ is √(2λ/h)
    (docs/notes/waiting.md#the-best-interval). Without a usual duration h falls as 1/t, and τ grows
    as √t, which is better than doubling. With one, h follows from the last runs.

    Args:
        waited: seconds since the trigger.
        running: seconds since the run started, None if it has not.
        expected: usual duration of the DAG's runs.
    """
    pause = min(max(0.5 * sqrt(max(waited, 0.0)), MIN_INTERVAL), MAX_INTERVAL)
    if running is None or expected is None:
        return pause
    best = sqrt(2 * _REQUEST_COST / _chance(max(running, MIN_INTERVAL), expected))
    return max(min(best, _MAX_STRETCH * pause, MAX_INTERVAL_WITH_HISTORY), MIN_INTERVAL)


def _chance(running: float, expected: UsualDuration) -> float:
    """Return the chance that a run that still runs ends in the next second."""
    ends, lasts = _log_normal(running, expected.median, expected.spread)
    ends_otherwise, lasts_otherwise = _log_normal(running, expected.median, _OUTLIER_SPREAD)
    return ((1 - _OUTLIER_SHARE) * ends + _OUTLIER_SHARE * ends_otherwise) / (
        (1 - _OUTLIER_SHARE) * lasts + _OUTLIER_SHARE * lasts_otherwise
    )


def _log_normal(seconds: float, middle: float, spread: float) -> tuple[float, float]:
    """Return the density at `seconds`, and the share of runs that take longer."""
    distance = log(seconds / middle) / spread
    return exp(-(distance**2) / 2) / (seconds * spread * sqrt(2 * pi)), erfc(distance / sqrt(2)) / 2
