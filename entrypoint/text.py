"""Shorten and format text for people, without secrets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.masking import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrypoint.models import DagRun, TaskInstance

MAX_NAMES_LISTED = 10
"""Names in a list of names before the rest is only counted."""


def shortened(text: str, limit: int) -> str:
    """Return the text for people: without secrets, then `cut`."""
    return cut(masked(text), limit)


def cut(text: str, limit: int) -> str:
    """Return the text, cut to `limit` characters at a blank: half of a secret that only the runner
    knows would be seen.
    """
    if len(text) <= limit:
        return text
    head = text[:limit]
    blank = max(head.rfind(one) for one in " \n\t")
    return f"{head[: blank + 1].rstrip()}…"


def format_duration(seconds: float | None) -> str:
    """Write a duration for people: `4.2 s`, `2 m 13 s`, `1 h 02 m`."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} m"


def list_names(names: Sequence[str], limit: int = MAX_NAMES_LISTED) -> str:
    """Return the first `limit` names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{', '.join(names[:limit])}{more}"


def try_label(task: TaskInstance) -> str:
    """Say which try it was, if there may be several."""
    return (
        f" (try {task.try_number} of {max(task.max_tries + 1, task.try_number)})"
        if task.max_tries
        else ""
    )


def duration_suffix(run: DagRun) -> str:
    """Return how long the run took, as the end of a sentence about it; empty if that is not
    known.
    """
    return f" after {format_duration(run.duration)}" if run.duration is not None else ""
