"""Format timestamps. Airflow may return any date, so arithmetic must not overflow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_LATEST_TIME = datetime.max.replace(tzinfo=UTC) - timedelta(seconds=1)
"""The latest moment returned: a bar in a chart may add a little to it without an overflow."""


def in_utc(moment: datetime) -> datetime:
    """Return the moment in UTC, but at most _LATEST_TIME."""
    return min(_shifted(moment), _LATEST_TIME)


def later(moment: datetime, seconds: float) -> datetime:
    """Return the moment `seconds` later, or _LATEST_TIME if that overflows."""
    try:
        return in_utc(moment) + timedelta(seconds=seconds)
    except OverflowError:
        return _LATEST_TIME


def format_time(moment: datetime, timespec: str = "seconds") -> str:
    """Return the moment in UTC, as `2026-01-31 09:30:15`.

    It does not use `strftime`, whose `%Y` may give fewer than four digits.
    """
    return _shifted(moment).replace(tzinfo=None).isoformat(" ", timespec)


def _shifted(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # within a day of the first or last date: keep it
        return moment.replace(tzinfo=UTC)
