"""Draw the task instances on a time axis, as a Mermaid chart.

The chart is optional, because a table has the same facts. Mermaid's rules
(docs/notes/runner.md#mermaid-charts): times without a zone, no `:`, `;` or `#` in names, at most
50,000 characters.
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
"""Bars in a chart; more are unreadable."""
_CHARS_TO_REPLACE = re.compile(r"[^\w .()\[\]/-]+")
_MAX_NAME_CHARS = 48
"""Characters of a name in the chart."""
_MIN_BAR = timedelta(milliseconds=1)
"""Shortest bar."""
_BAR_STYLES = {"failed": "✗", "success": "✓"}
"""Sign before each name, so that colour is not the only sign of a state.

It also keeps a name from being one of Mermaid's keywords.
"""


@dataclass(slots=True)
class _Bar:
    name: str
    start: datetime
    end: datetime
    state: str


def gantt(tasks: Iterable[TaskInstance], until: datetime | None = None) -> str:
    """Return a fenced Mermaid chart with a bar for each task instance that started.

    If more than MAX_BARS started, the instances of a mapped task become one bar. If there are still
    too many, the chart has the failed ones and the longest. It is empty for fewer than two.

    Args:
        tasks: task instances of the run.
        until: time of the last poll, the end of bars without one.
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
        assert task.start_date is not None  # noqa: S101 - `gantt` has filtered them
        name = task.task_id if merge else task.name
        start = in_utc(task.start_date)
        # A cleared task keeps its old end, which may be before its new start.
        end = max(in_utc(task.end_date) if task.end_date else latest, start)
        bar = bars.setdefault(name, _Bar(name, start, end, task.state or ""))
        bar.start, bar.end = min(bar.start, start), max(bar.end, end)
        if task.state == "failed" or bar.state == "success":
            bar.state = task.state or ""
    return list(bars.values())


def _line(bar: _Bar) -> str:
    status = {"failed": "crit, ", "success": "done, "}.get(bar.state, "active, ")
    name = _CHARS_TO_REPLACE.sub("_", masked(bar.name))[:_MAX_NAME_CHARS]
    start, end = (
        format_time(moment, "milliseconds")
        for moment in (bar.start, max(bar.end, bar.start + _MIN_BAR))
    )
    return f"    {_BAR_STYLES.get(bar.state, '…')} {name} :{status}{start}, {end}"
