"""The job summary: the verdict first, then the facts, then the task instances, failed ones first.

Readable by somebody who has never seen Airflow.
"""

from __future__ import annotations

from datetime import UTC
from itertools import accumulate
from typing import TYPE_CHECKING

from entrypoint.errors import shortened
from entrypoint.github.commands import SUMMARY_LIMIT
from entrypoint.report.markdown import block, code, link, prose, table
from entrypoint.report.wording import origin, took, words

if TYPE_CHECKING:
    from entrypoint.github.context import Context
    from entrypoint.models import Outcome, TaskInstance

_SIGN = {"success": "✅", "triggered": "🚀", "failed": "❌", "timeout": "⏳", "cancelled": "🛑", "error": "❌"}
_ORDER = ("failed", "upstream_failed", "up_for_retry", "running", "queued", "scheduled", None, "skipped", "success")
_TASK_SIGN = {"success": "✅", "failed": "❌", "upstream_failed": "🚫", "skipped": "⏭️", "running": "🔵"}
_MEANING = {
    "upstream_failed": "not started, a task before it failed",
    "skipped": "skipped",
    "up_for_retry": "failed, will be tried again",
}
_ROWS = 1000
"""Task instances in the table, for the reader's sake."""
_ROOM = SUMMARY_LIMIT // 3
"""Bytes for the rows of that table; everything else is far shorter than the rest, and escaping doubles them at the most."""


def summary(outcome: Outcome, context: Context | None) -> str:
    """Return the job summary in Markdown, below GitHub's limit whatever comes."""
    said = words(outcome)
    subject = f": {code(outcome.run.dag_id)}" if outcome.run else ""
    detail = shortened(said.detail, 20_000)
    lines = [f"## {_SIGN[outcome.result]} {said.title}{subject}", ""]
    lines += [block(detail) if outcome.error else prose(detail), ""]
    if said.hint:
        lines += [f"**What to do next:** {said.hint}", ""]
    if outcome.run_url:
        lines += [link("**Open the DAG run in Airflow**", outcome.run_url), ""]
    if outcome.request:
        first, *facts = _facts(outcome, context)
        lines += [*table(first, facts), ""]
    if outcome.tasks:
        lines += _tasks(outcome.tasks)
    return "\n".join(lines)


def _facts(outcome: Outcome, context: Context | None) -> list[tuple[str, str]]:
    request, run = outcome.request, outcome.run
    assert request is not None  # noqa: S101 - the caller has looked
    rows = [("DAG", code(request.dag_id))]
    if outcome.run_url:
        rows.append(("DAG run", link(code(request.run_id), outcome.run_url)))
    if run is not None:
        rows.append(("State in Airflow", code(run.state)))
    if run is not None:
        rows.append(("This step", origin(outcome) + (f" (attempt {context.attempt})" if context else "")))
    if context is not None:
        rows.append(("Commit", link(code(context.sha[:12]), context.commit_url)))
    if run is not None and run.start_date is not None:
        rows.append(("Started", f"{run.start_date.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"))
    if run is not None and run.duration is not None:
        rows.append(("Took", took(run.duration)))
    if outcome.airflow_version:
        rows.append(("Airflow", code(outcome.airflow_version)))
    if outcome.ridden_out:
        rows.append(("Failed requests ridden out", str(outcome.ridden_out)))
    return rows


def _tasks(tasks: tuple[TaskInstance, ...]) -> list[str]:
    done = sum(task.state == "success" for task in tasks)
    rank = {state: place for place, state in enumerate(_ORDER)}
    ordered = sorted(tasks, key=lambda task: rank.get(task.state, len(rank)))
    rows = [
        (link(code(task.name), task.url), _state(task.state), _took(task), str(task.try_number or ""))
        for task in ordered[:_ROWS]
    ]
    sizes = accumulate(len(" ".join(row).encode(errors="backslashreplace")) + 20 for row in rows)
    rows = [row for row, size in zip(rows, sizes, strict=True) if size <= _ROOM]
    lines = [f"### Tasks: {done} of {len(tasks)} succeeded", "", *table(("Task", "State", "Took", "Tries"), rows), ""]
    if len(ordered) > len(rows):
        lines += [f"{len(ordered) - len(rows)} more task instances are not shown here; Airflow shows them all.", ""]
    return lines


def _took(task: TaskInstance) -> str:
    """Say how long it took; Airflow gives a duration of nothing to what was never started."""
    return took(task.duration or None)


def _state(state: str | None) -> str:
    if state is None:
        return "not started"
    meaning = _MEANING.get(state)
    return f"{_TASK_SIGN.get(state, '▫️')} {meaning or code(state)}"
