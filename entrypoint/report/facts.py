"""List the facts about a DAG run and its step, for the table in the job summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.report.markdown import prose
from entrypoint.report.timestamps import format_time
from entrypoint.report.wording import code_of, origin, report_line, verdict_sentence
from entrypoint.text import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import DagRun, Outcome
    from entrypoint.runners.base import Context

CODE_FACTS = frozenset(
    {"DAG", "DAG run", "State in Airflow", "Commit", "Bundle version", "Airflow"}
)
"""Facts whose values are names, which Markdown shows as code."""


def facts(outcome: Outcome, context: Context | None) -> list[tuple[str, str]]:
    """Return name and value of each known fact, the most important first.

    Without a request there are none.
    """
    request, run = outcome.request, outcome.run
    if request is None:
        return []
    rows = [("DAG", request.dag_id)]
    if outcome.run_url:
        rows.append(("DAG run", request.run_id))
    if run is not None:
        rows.append(("State in Airflow", run.state))
    rows += _step_facts(outcome, context)
    rows += _run_facts(run)
    if run is not None and outcome.taken_over in ("resumed", "restarted"):
        rows.append(("Runs with", code_of(run)))
    if outcome.airflow_version:
        rows.append(("Airflow", outcome.airflow_version))
    if outcome.retries:
        rows.append(("Retried requests", str(outcome.retries)))
    return rows


def _step_facts(outcome: Outcome, context: Context | None) -> Iterator[tuple[str, str]]:
    """Yield what the step did, and for which commit."""
    if outcome.run is not None or outcome.dry_run is not None:
        step = "a dry run" if outcome.dry_run else origin(outcome)
        yield "This step", step + (f" (attempt {context.attempt})" if context else "")
    if outcome.verdict is not None:
        yield "Decided by", f"required_tasks: {verdict_sentence(outcome.verdict)}"
    if context is not None and context.sha:
        yield "Commit", context.sha[:12]
    if outcome.report is not None:
        yield "Reported as", report_line(outcome.report)


def disabled_features(outcome: Outcome) -> Iterator[str]:
    """Yield a line of Markdown for each feature that the credential does not permit."""
    yield from (f"- {prose(sentence)}" for sentence in outcome.disabled_features)


def _run_facts(run: DagRun | None) -> Iterator[tuple[str, str]]:
    """Yield the known facts of the run itself."""
    if run is None:
        return
    if run.start_date is not None:
        yield "Started", f"{format_time(run.start_date)} UTC"
    if run.duration is not None:
        yield "Took", format_duration(run.duration)
    if run.bundle_version:
        yield "Bundle version", run.bundle_version
