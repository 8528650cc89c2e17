"""The task instances on a time axis, as a Mermaid chart. It is an extra: a table carries every fact
that it shows.

Mermaid's own rules (docs/notes/runner.md#mermaid-charts): naive times to the second or below, no
`:` `;` `#` in names, 50,000 characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from entrypoint.masking import masked
from entrypoint.report.timestamps import format_time, in_utc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from entrypoint.models import TaskInstance

MAX_BARS = 60
"""More are not readable."""
_NOT_IN_NAMES = re.compile(r"[^\w .()\[\]/-]+")
_MAX_NAME_CHARS = 48
_MIN_BAR_SECONDS = timedelta(milliseconds=1)
_BAR_STYLES = {"failed": "✗", "success": "✓"}
"""Before each name: colour must not be the only carrier, and a name must not be one of Mermaid's
words.
"""


@dataclass(slots=True)
class _Bar:
    name: str
    start: datetime
    end: datetime
    state: str


def gantt(tasks: Iterable[TaskInstance], until: datetime | None = None) -> str:
    """Return a Mermaid fence with a bar for each task instance that started; empty if there are
    fewer than two.

    With more than MAX_BARS the instances of a mapped task become one bar; of what is still too
    many, failed ones and the longest are shown.

    Args:
        tasks: the task instances.
        until: when they were last seen: the end of what has none.
    """
    started = [
        task for task in tasks if task.start_date is not None and task.state != "upstream_failed"
    ]
    if len(started) < 2:
        return ""
    bars = _bars(started, until, merge=len(started) > MAX_BARS)
    if len(bars) > MAX_BARS:
        bars = sorted(bars, key=lambda bar: (bar.state != "failed", bar.start - bar.end))[:MAX_BARS]
    lines = [_line(bar) for bar in sorted(bars, key=lambda bar: (bar.start, bar.name))]
    head = (
        "```mermaid",
        "gantt",
        "    dateFormat YYYY-MM-DD HH:mm:ss.SSS",
        "    axisFormat %H:%M:%S",
    )
    return "\n".join([*head, *lines, "```"])


def _bars(tasks: list[TaskInstance], until: datetime | None, *, merge: bool) -> list[_Bar]:
    moments = [moment for task in tasks for moment in (task.start_date, task.end_date)]
    latest = max(in_utc(moment) for moment in (*moments, until) if moment is not None)
    bars: dict[str, _Bar] = {}
    for task in tasks:
        assert task.start_date is not None  # noqa: S101 - the caller has looked
        name = task.task_id if merge else task.name
        start = in_utc(task.start_date)
        # A task that is cleared keeps its old end, which may lie before its new start.
        end = max(in_utc(task.end_date) if task.end_date else latest, start)
        bar = bars.setdefault(name, _Bar(name, start, end, task.state or ""))
        bar.start, bar.end = min(bar.start, start), max(bar.end, end)
        if task.state == "failed" or bar.state == "success":
            bar.state = task.state or ""
    return list(bars.values())


def _line(bar: _Bar) -> str:
    status = {"failed": "crit, ", "success": "done, "}.get(bar.state, "active, ")
    name = _NOT_IN_NAMES.sub("_", masked(bar.name))[:_MAX_NAME_CHARS]
    start, end = (
        format_time(moment, "milliseconds")
        for moment in (bar.start, max(bar.end, bar.start + _MIN_BAR_SECONDS))
    )
    return f"    {_BAR_STYLES.get(bar.state, '…')} {name} :{status}{start}, {end}"
