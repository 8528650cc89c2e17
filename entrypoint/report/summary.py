"""Write the job summary: result, reasons, facts, failed tasks, time line and all tasks.

It must be readable without knowledge of Airflow. If it is too long, whole blocks are left out.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from entrypoint.report.dry_run import markdown_report
from entrypoint.report.facts import CODE_FACTS, disabled_features, facts
from entrypoint.report.failures import failed_tasks, reasons
from entrypoint.report.gantt import MAX_BARS, gantt
from entrypoint.report.markdown import block, code, fit, folded, link, prose, table
from entrypoint.report.sections import build_sections
from entrypoint.report.tables import task_table
from entrypoint.report.timestamps import later
from entrypoint.report.wording import outcome_message, sign_of
from entrypoint.text import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.models import Outcome
    from entrypoint.runners.base import Context

_MAX_DETAIL_CHARS = 20_000
"""Characters of the message's detail."""


def summary(outcome: Outcome, context: Context | None) -> str:
    """Return the job summary in Markdown, always below GitHub's size limit."""
    return fit(_blocks(outcome, context))


def _blocks(outcome: Outcome, context: Context | None) -> Iterator[str]:
    """Yield the blocks, the most important first."""
    parts: dict[str, Callable[[Outcome], Iterator[str]]] = {
        "The heading": _heading,
        "The reason": _reason,
        "What to do next": _next,
        "The link to the DAG run": _run_link,
        "The report of the dry run": markdown_report,
        "The table of facts": partial(_fact_table, context=context),
        "What failed": failed_tasks,
        "The time line": _time_line,
        "The table of tasks": _tasks,
        "The list of disabled features": disabled_features,
    }
    return build_sections(((what, partial(make, outcome)) for what, make in parts.items()), prose)


def _heading(outcome: Outcome) -> Iterator[str]:
    subject = f": {code(outcome.run.dag_id)}" if outcome.run else ""
    yield f"## {sign_of(outcome)} {outcome_message(outcome).title}{subject}"


def _reason(outcome: Outcome) -> Iterator[str]:
    message = outcome_message(outcome)
    yield from reasons(outcome, message)
    detail = shortened(message.detail, _MAX_DETAIL_CHARS)
    yield block(detail) if outcome.error else prose(detail)


def _next(outcome: Outcome) -> Iterator[str]:
    if hint := outcome_message(outcome).hint:
        yield f"**What to do next:** {prose(hint)}"


def _run_link(outcome: Outcome) -> Iterator[str]:
    if outcome.run_url:
        yield link("**Open the DAG run in Airflow**", outcome.run_url)


def _fact_table(outcome: Outcome, context: Context | None) -> Iterator[str]:
    if outcome.request:
        first, *rest = _facts(outcome, context)
        yield "\n".join(table(first, rest))


def _tasks(outcome: Outcome) -> Iterator[str]:
    if outcome.tasks:
        yield task_table(outcome.tasks, outcome.unread, outcome.unread_succeeded)


def _facts(outcome: Outcome, context: Context | None) -> list[tuple[str, str]]:
    """Return the facts as Markdown, with links and with names as code."""
    links = {"DAG run": outcome.run_url, "Commit": context.commit_url if context else ""}
    return [(name, _fact(name, value, links.get(name))) for name, value in facts(outcome, context)]


def _fact(name: str, value: str, url: str | None) -> str:
    if name not in CODE_FACTS:
        return value
    return link(code(value), url) if url else code(value)


def _time_line(outcome: Outcome) -> Iterator[str]:
    if not outcome.tasks:
        return
    run, until = outcome.run, None
    if run is not None and run.start_date is not None:
        until = run.end_date or later(run.start_date, outcome.seconds_in_state)
    chart = gantt(outcome.tasks, until)
    if not chart:
        return
    started = sum(
        task.start_date is not None and task.state != "upstream_failed" for task in outcome.tasks
    )
    if started > MAX_BARS:
        of_all = f"{started} of {outcome.task_count}" if outcome.unread else f"{started}"
        yield folded(
            f"Time line (UTC) of {of_all} task instances, in at most {MAX_BARS} bars", chart
        )
    else:
        yield f"### Time line (UTC)\n\n{chart}"
