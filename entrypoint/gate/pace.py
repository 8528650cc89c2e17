"""How long to pause between two looks at a DAG run. Pure, so that it can be simulated: `make bench` does (`dev/waiting.py`).

Every look costs Airflow some work, and every second between the run's end and the next look costs whoever waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST, LONGEST = 1.0, 10.0
"""Seconds between two looks while nothing is known of the DAG."""
ENOUGH = 3
"""Successful runs from which on the next one can be expected to take about as long."""
_LEAST_SPREAD, _MOST_SPREAD = 0.08, 0.6
_BEGINS, _ENDS = 1.5, 2.5
"""How many spreads before and after the usual duration an end is likely."""
_SELDOM = 3.0
_LOOKS = 20
"""Looks in a time as long as the spread while the end is likely."""
_LONGEST_THEN = 5.0


@dataclass(frozen=True, slots=True)
class Usual:
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
    deviation = 1.48 * median(abs(one - middle) for one in logs) * (1 + 2 / len(logs))
    return Usual(exp(middle), min(max(deviation, _LEAST_SPREAD), _MOST_SPREAD))


def pause_after(waited: float, running: float | None = None, expected: Usual | None = None) -> float:
    """Return the seconds until the next look.

    Without history the chance that a run ends in the next second falls as 1/t, so that the best pause grows as the square
    root of the time; doubling is dominated (waiting.md 3). With history, looks are few before the end is likely and many
    while it is.

    Args:
        waited: seconds since the trigger.
        running: seconds since the run began, None if it has not.
        expected: how long it usually takes.
    """
    pause = min(max(0.5 * sqrt(max(waited, 0.0)), SHORTEST), LONGEST)
    if running is None or expected is None:
        return pause
    begins = expected.median * exp(-_BEGINS * expected.spread)
    if running < begins:
        # Not beyond the moment from which on the end is likely: that costs a few looks more and is told sooner (simulated).
        return min(_SELDOM * pause, max(begins - running, SHORTEST))
    if running < expected.median * exp(_ENDS * expected.spread):
        return min(max(expected.spread * expected.median / _LOOKS, SHORTEST), _LONGEST_THEN)
    return pause
