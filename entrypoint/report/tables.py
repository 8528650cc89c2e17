"""Show task instances in the summary: a table with failed ones first, and lists of names."""

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

_STATE_ORDER = (
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
    "upstream_failed": "not started, an upstream task failed",
    "up_for_retry": "failed, will be retried",
}
_MAX_ROWS_UNFOLDED = 100
"""Rows of the longest table that is not folded."""
_MAX_BYTES = MAX_SUMMARY_BYTES // 3
"""Bytes for the rows of the table; escaping at most doubles them."""


def task_table(tasks: Sequence[TaskInstance], unread: int = 0, unread_succeeded: int = 0) -> str:
    """Return the heading and the table of the task instances that fit.

    Args:
        tasks: the task instances that were read.
        unread: number of task instances that were not read.
        unread_succeeded: number of those that succeeded.
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
    """Count the successful task instances. The arguments are those of `task_table`."""
    done = sum(task.state == "success" for task in tasks) + unread_succeeded
    return f"Tasks: {done} of {len(tasks) + unread} succeeded"


def omitted_line(count: int) -> str:
    """Count the task instances that are not listed."""
    return f"{count} more task instances are not shown here; Airflow shows them all."


def by_state(tasks: Iterable[TaskInstance]) -> list[TaskInstance]:
    """Sort task instances by state, failed ones first; Airflow's order decides within a state."""
    rank = {state: index for index, state in enumerate(_STATE_ORDER)}
    return sorted(tasks, key=lambda task: rank.get(task.state, rank["running"]))


def state_in_words(task: TaskInstance) -> str:
    """Return Airflow's name of the state, or a phrase where the name is unclear."""
    if task.state is None:
        return "not started"
    return "stopped while it ran" if task.cut_off else _STATE_WORDS.get(task.state, task.state)


def _state(task: TaskInstance) -> str:
    words = state_in_words(task)
    if task.state is None:
        return words
    return f"{_STATE_SIGNS.get(task.state, '▫️')} {code(words) if words == task.state else words}"


def names(tasks: Iterable[TaskInstance]) -> list[str]:
    """Return the names of task instances, with mapped ones joined as `load[0-3, 7]`."""
    indexes: dict[tuple[str, int | None], list[int]] = {}
    for task in tasks:
        indexes.setdefault((task.task_id, task.iteration), []).append(task.map_index)
    return [
        (task_id if max(found) < 0 else f"{task_id}[{', '.join(_ranges(sorted(found)))}]")
        + ("" if iteration is None else f" (iteration {iteration})")
        for (task_id, iteration), found in indexes.items()
    ]


def _ranges(numbers: list[int]) -> list[str]:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
