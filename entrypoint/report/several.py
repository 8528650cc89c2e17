"""Put the outcome of a step with several DAGs into words, annotations and the job summary.

The failures come first. What happened in one DAG run is written as for a single one.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.masking import masked
from entrypoint.models import PASSING, WORST_FIRST, TaskInstance
from entrypoint.report.dry_run import markdown_report
from entrypoint.report.facts import disabled_features
from entrypoint.report.failures import failed_tasks, reasons
from entrypoint.report.gantt import gantt
from entrypoint.report.markdown import block, code, fit, folded, link, prose, table
from entrypoint.report.sections import build_sections
from entrypoint.report.wording import RESULT_SIGNS, Message, ending_of, outcome_message, sign_of
from entrypoint.text import format_duration, list_names, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.models import Outcome, Result, StepOutcome, StopStatus
    from entrypoint.runners.base import Context, Level, Runner

MAX_ANNOTATIONS = 10
"""Annotations for DAGs that failed. GitHub keeps ten of each level for a step."""
_PHRASES: dict[Result, str] = {
    "success": "succeeded",
    "triggered": "were triggered",
    "checked": "would be triggered",
    "failed": "failed",
    "timeout": "did not end in time",
    "cancelled": "were cancelled",
    "error": "ended with an error",
}
_MAX_REASON_CHARS = 300
"""Characters of a reason in the table."""
_MAX_DETAILS = 20
"""DAG runs whose failures are explained below the table."""


def step_message(outcome: StepOutcome) -> Message:
    """Return the message for a step with several DAGs."""
    runs = outcome.runs
    if outcome.error is not None:
        return Message(outcome.error.title, outcome.error.detail, outcome.error.hint)
    if not runs:
        if outcome.cancelled:
            return Message("Cancelled, nothing to stop", "No DAG was triggered yet.", "")
        return Message(
            "No DAG was changed",
            f"None of the changed files belongs to a DAG of this Airflow.{_unmatched(outcome)} "
            "Nothing was triggered.",
            "",
        )
    if all(run.post for run in runs):
        return _post_message(runs)
    counts = Counter(run.result for run in runs)
    parts = [f"{counts[result]} {_PHRASES[result]}" for result in WORST_FIRST if counts[result]]
    detail = f"Of {len(runs)} DAGs {', '.join(parts)}.{_idle(outcome)}{_unmatched(outcome)}"
    return _end_message(outcome, detail)


def _end_message(outcome: StepOutcome, detail: str) -> Message:
    if any(run.dry_run for run in outcome.runs):
        return _dry_run_message(outcome, detail)
    if outcome.passes:
        only_triggered = outcome.result == "triggered"
        title = "All DAGs were triggered" if only_triggered else "All DAGs succeeded"
        return Message(title, detail, "")
    return Message("Not all DAGs succeeded", detail, _next_step(outcome))


def _next_step(outcome: StepOutcome) -> str:
    hint = "Fix the causes. Re-running this job continues only the runs that did not succeed."
    ended = [
        run.request.dag_id
        for run in outcome.runs
        if run.result == "failed" and run.request and run.run and run.run.state == "success"
    ]
    if not ended:
        return hint
    return (
        f"{hint} Airflow ended {list_names(ended)} as success, so there a re-run runs no task "
        "again: clear the tasks in Airflow first."
    )


def _dry_run_message(outcome: StepOutcome, detail: str) -> Message:
    detail += " Nothing was triggered, and nothing was changed."
    if outcome.passes:
        return Message("Dry run: the step would reach its trigger", detail, "")
    return Message(
        "Dry run: the step would not reach its trigger",
        detail,
        "Correct what the reports of these DAGs name. Without dry_run, none of the DAGs would run.",
    )


def _post_message(runs: tuple[Outcome, ...]) -> Message:
    """Return the message of the post stage after a cancel."""
    stops = Counter(run.stopped for run in runs)
    phrases: tuple[tuple[StopStatus, str], ...] = (
        ("unconfirmed", "may still run"),
        ("yes", "were stopped"),
        ("nothing", "had ended or did not exist"),
        ("left", "go on (on_cancel: leave)"),
    )
    parts = [f"{stops[status]} {phrase}" for status, phrase in phrases if stops[status]]
    detail = f"The workflow was cancelled. Of {len(runs)} DAG runs {', '.join(parts)}."
    if stops["unconfirmed"]:
        title = "Cancelled, could not confirm that the DAG run is stopped"
        return Message(
            title, detail, "Check them in Airflow, and mark failed those that still run."
        )
    return Message(
        "Cancelled, the DAG run goes on" if stops["left"] else "Cancelled, the DAG run is over",
        detail,
        "",
    )


def _idle(outcome: StepOutcome) -> str:
    names = [run.request.dag_id for run in outcome.runs if run.nothing_ran and run.request]
    return f" Nothing ran in {list_names(names)}: no task did any work." if names else ""


def _unmatched(outcome: StepOutcome) -> str:
    if not outcome.unmatched:
        return ""
    text = f" Changed files that belong to no DAG: {list_names(list(outcome.unmatched), 10)}."
    if outcome.new_files:
        names = list_names(list(outcome.new_files), 10)
        text += f" If {names} defines a DAG, Airflow does not have it yet, and it did not run."
    return text


def reason_of(outcome: Outcome) -> str:
    """Return why a DAG run did not pass, or ran nothing, as one line; otherwise an empty text."""
    if outcome.result in PASSING and not outcome.nothing_ran:
        return ""
    message = outcome_message(outcome)
    full = f"{message.title}. {message.detail}"
    first = message.reasons[0] if message.reasons and not outcome.nothing_ran else full
    return shortened(" ".join(masked(first).split()), _MAX_REASON_CHARS)


def worst_first(outcome: StepOutcome) -> list[Outcome]:
    """Return the DAG runs, the worst first, otherwise in the order of the input."""
    return sorted(outcome.runs, key=lambda run: WORST_FIRST.index(run.result))


def annotate_several(outcome: StepOutcome, runner: Runner) -> None:
    """Print one annotation for each DAG that did not pass, MAX_ANNOTATIONS at most.

    If all passed, it is one for the step: a warning if a DAG may not have run, or ran nothing.
    """
    message = step_message(outcome)
    bad = [run for run in worst_first(outcome) if run.result not in PASSING]
    if outcome.error is not None or not bad:
        doubtful = outcome.new_files or any(run.nothing_ran for run in outcome.runs)
        good: Level = "warning" if doubtful else "notice"
        level: Level = good if outcome.passes else "error"
        runner.annotate(level, message.title, message.detail, ending=ending_of(message))
        return
    shown = bad if len(bad) <= MAX_ANNOTATIONS else bad[: MAX_ANNOTATIONS - 1]
    for run in shown:
        single = outcome_message(run)
        name = run.request.dag_id if run.request else ""
        text = "\n".join([*single.reasons, single.detail])
        done = run.post and run.stop_settled
        runner.annotate(
            "notice" if done else "error",
            f"{name}: {single.title}",
            text,
            ending=ending_of(single, run.run_url),
        )
    if rest := [run.request.dag_id for run in bad[len(shown) :] if run.request]:
        text = f"{len(rest)} more did not succeed: {list_names(rest)}"
        done = all(run.post and run.stop_settled for run in bad)
        runner.annotate("notice" if done else "error", message.title, text)


def several_summary(outcome: StepOutcome, context: Context | None) -> str:
    """Return the job summary in Markdown, always below GitHub's size limit."""
    return fit(_blocks(outcome, context))


def _blocks(outcome: StepOutcome, context: Context | None) -> Iterator[str]:
    parts: dict[str, Callable[[StepOutcome], Iterator[str]]] = {
        "The heading": _heading,
        "The table of DAGs": _dag_table,
        "What failed": _details,
        "The reports of the dry run": _dry_runs,
        "The time line": _time_line,
        "The table of facts": partial(_facts, context=context),
        "The list of disabled features": _disabled_features,
    }
    return build_sections(((what, partial(make, outcome)) for what, make in parts.items()), prose)


def _heading(outcome: StepOutcome) -> Iterator[str]:
    message = step_message(outcome)
    yield f"## {RESULT_SIGNS[outcome.result]} {message.title}"
    if message.detail:
        yield block(message.detail) if outcome.error else prose(message.detail)
    if message.hint:
        yield f"**What to do next:** {prose(message.hint)}"


def _dag_table(outcome: StepOutcome) -> Iterator[str]:
    rows = [
        (
            f"{sign_of(run)} {run.result}",
            _dag_link(run),
            format_duration(run.run.duration if run.run else None),
            prose(reason_of(run)),
        )
        for run in worst_first(outcome)
    ]
    if rows:
        yield "\n".join(table(("Result", "DAG", "Duration", "Reason"), rows))


def _dag_link(outcome: Outcome) -> str:
    name = code(outcome.request.dag_id if outcome.request else "")
    return link(name, outcome.run_url) if outcome.run_url else name


def _details(outcome: StepOutcome) -> Iterator[str]:
    """Yield the causes and logs of the DAG runs that failed or did not end in time."""
    explained = [run for run in worst_first(outcome) if run.result in ("failed", "timeout")]
    for run in explained[:_MAX_DETAILS]:
        yield f"### {RESULT_SIGNS[run.result]} {_dag_link(run)}"
        yield from reasons(run, outcome_message(run))
        yield from failed_tasks(run)
    if len(explained) > _MAX_DETAILS:
        yield f"{len(explained) - _MAX_DETAILS} more are only in the table above."


def _dry_runs(outcome: StepOutcome) -> Iterator[str]:
    """Yield the report of each dry run, folded if it is good."""
    reported = [run for run in worst_first(outcome) if run.dry_run]
    for run in reported[:_MAX_DETAILS]:
        report = "\n\n".join(markdown_report(run))
        name = run.request.dag_id if run.request else ""
        yield folded(name, report) if run.passes else f"## Dry run of {code(name)}\n\n{report}"
    if len(reported) > _MAX_DETAILS:
        yield f"{len(reported) - _MAX_DETAILS} more reports are only in the log."


def _time_line(outcome: StepOutcome) -> Iterator[str]:
    """Yield a chart with a bar for each DAG run."""
    bars = [
        TaskInstance(
            task_id=run.run.dag_id,
            map_index=-1,
            state=run.run.state,
            try_number=1,
            duration=run.run.duration,
            url="",
            start_date=run.run.start_date,
            end_date=run.run.end_date,
        )
        for run in outcome.runs
        if run.run is not None
    ]
    if chart := gantt(bars):
        yield folded("Time line (UTC)", chart)


def _facts(outcome: StepOutcome, context: Context | None) -> Iterator[str]:
    rows: list[tuple[str, str]] = []
    if context is not None and context.sha:
        commit = code(context.sha[:12])
        rows.append(("Commit", link(commit, context.commit_url) if context.commit_url else commit))
    first = outcome.runs[0] if outcome.runs else None
    if first is not None and first.airflow_version:
        rows.append(("Airflow", code(first.airflow_version)))
    if first is not None and first.retries:
        rows.append(("Retried requests", str(first.retries)))
    if rows:
        yield "\n".join(table(("Fact", "Value"), rows))
    if outcome.runs and outcome.unmatched:
        names = ", ".join(code(name) for name in outcome.unmatched[:100])
        yield folded(f"{len(outcome.unmatched)} changed files belong to no DAG", names)


def _disabled_features(outcome: StepOutcome) -> Iterator[str]:
    for run in outcome.runs[:1]:
        yield from disabled_features(run)


def several_plain_summary(outcome: StepOutcome) -> str:
    """Return the job summary as text."""
    message = step_message(outcome)
    lines = [message.title, "=" * len(message.title), *message.detail.split("\n")]
    if message.hint:
        lines.append(f"What to do next: {message.hint}")
    runs = worst_first(outcome)
    names = [run.request.dag_id if run.request else "" for run in runs]
    width = min(max(map(len, names), default=0), 60)
    for run, name in zip(runs, names, strict=True):
        duration = format_duration(run.run.duration if run.run else None)
        lines.append(
            f"  {run.result:<9}  {name:<{width}}  {duration:>10}  {reason_of(run)}".rstrip()
        )
    return "\n".join(lines)
