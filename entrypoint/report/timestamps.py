"""Moments as people read them. Airflow may say any date that there is: arithmetic at either end of
time must not fail.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_LAST = datetime.max.replace(tzinfo=UTC) - timedelta(seconds=1)
"""So that a little later there is still a moment."""


def in_utc(moment: datetime) -> datetime:
    """Return the moment in UTC; the last second of all time is the one before it."""
    return min(_shifted(moment), _LAST)


def later(moment: datetime, seconds: float) -> datetime:
    """Return the moment so many seconds later, if there is one."""
    try:
        return in_utc(moment) + timedelta(seconds=seconds)
    except OverflowError:
        return _LAST


def format_time(moment: datetime, timespec: str = "seconds") -> str:
    """Write the moment in UTC, `2026-01-31 09:30:15`: the year in four digits, which `%Y` does not
    promise.
    """
    return _shifted(moment).replace(tzinfo=None).isoformat(" ", timespec)


def _shifted(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # within a day of either end of time: it stays where it is
        return moment.replace(tzinfo=UTC)
