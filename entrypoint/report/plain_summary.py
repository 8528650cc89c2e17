"""Write the job summary as plain text, for systems that show only a log."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from entrypoint.report.facts import facts
from entrypoint.report.sections import build_sections
from entrypoint.report.tables import by_state, counted, names, omitted_line, state_in_words
from entrypoint.report.wording import outcome_message
from entrypoint.text import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.models import Outcome
    from entrypoint.runners.base import Context

_MAX_ROWS = 100
"""Task instances listed, the failed ones first, because a log cannot fold them."""
_MAX_NAME_WIDTH = 60
"""Characters of a name up to which the columns stay aligned."""


def plain_summary(outcome: Outcome, context: Context | None) -> str:
    """Return the job summary as text."""
    return "\n".join(_lines(outcome, context))


def _lines(outcome: Outcome, context: Context | None) -> Iterator[str]:
    parts: dict[str, Callable[[Outcome], Iterator[str]]] = {
        "The reason": _reason,
        "The link to the DAG run": _link,
        "The table of facts": partial(_facts, context=context),
        "The table of tasks": _tasks,
        "The list of disabled features": _disabled_features,
    }
    return build_sections((what, partial(make, outcome)) for what, make in parts.items())


def _reason(outcome: Outcome) -> Iterator[str]:
    message = outcome_message(outcome)
    heading = f"{message.title}: {outcome.run.dag_id}" if outcome.run else message.title
    yield from (heading, "=" * len(heading))
    yield from message.reasons
    yield from message.detail.split("\n")
    if message.hint:
        yield f"What to do next: {message.hint}"


def _link(outcome: Outcome) -> Iterator[str]:
    if outcome.run_url:
        yield f"DAG run: {outcome.run_url}"


def _facts(outcome: Outcome, context: Context | None) -> Iterator[str]:
    rows = facts(outcome, context)
    if rows:
        yield ""
    yield from (f"{name:<{max(len(name) for name, _ in rows)}}  {value}" for name, value in rows)


def _disabled_features(outcome: Outcome) -> Iterator[str]:
    if outcome.disabled_features:
        yield from ("", *outcome.disabled_features)


def _tasks(outcome: Outcome) -> Iterator[str]:
    tasks = outcome.tasks
    if not tasks:
        return
    yield ""
    yield counted(tasks, outcome.unread, outcome.unread_succeeded)
    shown = by_state(tasks)[:_MAX_ROWS]
    width = min(max(len(task.name) for task in shown), _MAX_NAME_WIDTH)
    for task in shown:
        tries = f"try {task.try_number}" if task.try_number > 1 else ""
        yield (
            f"  {task.name:<{width}}  {state_in_words(task):<10}  "
            f"{format_duration(task.duration or None):>10}  {tries}"
        ).rstrip()
    if len(outcome.failed_tasks) > _MAX_ROWS:
        yield f"All that failed: {', '.join(names(outcome.failed_tasks))}"
    if outcome.task_count > len(shown):
        yield f"  {omitted_line(outcome.task_count - len(shown))}"
