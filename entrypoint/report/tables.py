"""Task instances in the summary: the table, failed ones first, and a short way to write many
names.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from entrypoint.models import MAX_TASKS_LISTED
from entrypoint.report.markdown import code, folded, link, table
from entrypoint.runners.github import MAX_SUMMARY_BYTES
from entrypoint.text import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entrypoint.models import TaskInstance

_ORDER = (
    "failed",
    "upstream_failed",
    "up_for_retry",
    "running",
    "queued",
    "scheduled",
    None,
    "skipped",
    "success",
)
_STATE_SIGNS = {
    "success": "✅",
    "failed": "❌",
    "upstream_failed": "🚫",
    "skipped": "⏭️",
    "running": "🔵",
}
_STATE_WORDS = {
    "upstream_failed": "not started, a task before it failed",
    "up_for_retry": "failed, will be tried again",
}
_MAX_ROWS_UNFOLDED = 100
"""Rows up to which the table is not folded."""
_MAX_BYTES = MAX_SUMMARY_BYTES // 3
"""Bytes for the rows of that table; escaping doubles them at the most."""


def task_table(tasks: Sequence[TaskInstance], unread: int = 0, unread_succeeded: int = 0) -> str:
    """Return the heading and the table of the task instances, as many as there is room for.

    Args:
        tasks: the task instances that were read.
        unread: how many there are beyond those.
        unread_succeeded: how many of these succeeded.
    """
    total = len(tasks) + unread
    rows = [
        (
            link(code(task.name), task.url),
            _state(task),
            format_duration(task.duration or None),
            str(task.try_number or ""),
        )
        for task in by_state(tasks)[:MAX_TASKS_LISTED]
    ]
    sizes = accumulate(len(" ".join(row).encode(errors="backslashreplace")) + 20 for row in rows)
    rows = [row for row, size in zip(rows, sizes, strict=True) if size <= _MAX_BYTES]
    lines = table(("Task", "State", "Took", "Tries"), rows)
    if total > len(rows):
        lines += ["", omitted_line(total - len(rows))]
    heading, text = counted(tasks, unread, unread_succeeded), "\n".join(lines)
    return folded(heading, text) if len(rows) > _MAX_ROWS_UNFOLDED else f"### {heading}\n\n{text}"


def counted(tasks: Sequence[TaskInstance], unread: int, unread_succeeded: int) -> str:
    """Say how many of all succeeded. The arguments are those of `task_table`."""
    done = sum(task.state == "success" for task in tasks) + unread_succeeded
    return f"Tasks: {done} of {len(tasks) + unread} succeeded"


def omitted_line(count: int) -> str:
    """Say that so many are not listed."""
    return f"{count} more task instances are not shown here; Airflow shows them all."


def by_state(tasks: Iterable[TaskInstance]) -> list[TaskInstance]:
    """Return the task instances in the order in which people want to see them, those of one state
    in Airflow's order.
    """
    rank = {state: place for place, state in enumerate(_ORDER)}
    return sorted(tasks, key=lambda task: rank.get(task.state, rank["running"]))


def state_in_words(task: TaskInstance) -> str:
    """Say the state of a task instance: by Airflow's name, unless that says too little."""
    if task.state is None:
        return "not started"
    return "stopped while it ran" if task.cut_off else _STATE_WORDS.get(task.state, task.state)


def _state(task: TaskInstance) -> str:
    said = state_in_words(task)
    if task.state is None:
        return said
    return f"{_STATE_SIGNS.get(task.state, '▫️')} {code(said) if said == task.state else said}"


def names(tasks: Iterable[TaskInstance]) -> list[str]:
    """Write the names of task instances, those of a mapped task together: `load[0-3, 7]`."""
    indexes: dict[str, list[int]] = {}
    for task in tasks:
        indexes.setdefault(task.task_id, []).append(task.map_index)
    return [
        task_id if max(found) < 0 else f"{task_id}[{', '.join(_ranges(sorted(found)))}]"
        for task_id, found in indexes.items()
    ]


def _ranges(numbers: list[int]) -> list[str]:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
