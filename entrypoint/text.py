"""Shorten and format text for users, without secrets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.masking import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrypoint.models import DagRun, TaskInstance

MAX_NAMES_LISTED = 10
"""Names in a list. The rest is only counted."""
_MAX_REASON_CHARS = 500


def shortened(text: str, limit: int) -> str:
    """Mask the secrets in a text, then `cut` it."""
    return cut(masked(text), limit)


def cut(text: str, limit: int) -> str:
    """Cut a text at whitespace to at most `limit` characters before the ellipsis.

    A cut inside a word could leave half of a secret that only the runner knows and could not mask.
    """
    if len(text) <= limit:
        return text
    head = text[:limit]
    blank = max(head.rfind(one) for one in " \n\t")
    return f"{head[: blank + 1].rstrip()}…"


def format_duration(seconds: float | None) -> str:
    """Format a duration for users: `4.2 s`, `2 m 13 s`, `1 h 02 m`."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} m"


def list_names(names: Sequence[str], limit: int = MAX_NAMES_LISTED) -> str:
    """Return the first `limit` names and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{', '.join(names[:limit])}{more}"


def try_label(task: TaskInstance) -> str:
    """Return the number of the try as a suffix, empty if the task has no retries."""
    return (
        f" (try {task.try_number} of {max(task.max_tries + 1, task.try_number)})"
        if task.max_tries
        else ""
    )


def retry_reason(task: TaskInstance) -> str:
    """Say why a retry policy decided as it did (Airflow 3.4), empty if there is none."""
    words = " ".join((task.state_reason or "").split())
    return f"the retry policy says: {shortened(words, _MAX_REASON_CHARS)}" if words else ""


def duration_suffix(run: DagRun) -> str:
    """Return the duration of the run as the end of a sentence, empty if it is unknown."""
    return f" after {format_duration(run.duration)}" if run.duration is not None else ""
