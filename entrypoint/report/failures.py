"""Show why task instances failed: the first causes, then all, with their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.masking import masked
from entrypoint.report.markdown import block, code, folded, link, prose
from entrypoint.report.tables import names
from entrypoint.report.wording import MAX_FAILURES_LISTED
from entrypoint.text import format_duration, retry_reason, shortened, try_label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Failure, Outcome
    from entrypoint.report.wording import Message

_MAX_CAUSE_CHARS = 4_000
"""Characters of one exception chain; a summary of 1 MiB may have twenty of them."""
_MAX_LOG_CHARS = 30_000
"""Characters of one log; a summary of 1 MiB may have twenty of them."""
_MAX_NAMES_CHARS = 200_000
"""Characters of the list of all failed task instances."""
_MAX_EVIDENCE_CHARS = 2_000
"""Characters of a blocker's detail."""


def reasons(outcome: Outcome, message: Message) -> Iterator[str]:
    """Yield the reasons for the result, for the first screen of the summary."""
    if outcome.error is not None:
        return
    for blocker in outcome.blockers:
        where = f" {link('See it in Airflow.', blocker.url)}" if blocker.url else ""
        yield (
            f"⏸️ **{prose(blocker.title)}.** "
            f"{prose(shortened(blocker.detail, _MAX_EVIDENCE_CHARS))}{where}"
        )
    if not (outcome.blockers or outcome.failures):
        yield from (prose(line) for line in message.reasons)
    for failure in outcome.failures[:MAX_FAILURES_LISTED]:
        yield f"{_name(failure)}:\n\n{block(_cause(failure))}"
    rest = len(outcome.failed_tasks) - MAX_FAILURES_LISTED
    if outcome.failures and rest > 0:
        yield f"{rest} more failed: see below."


def failed_tasks(outcome: Outcome) -> Iterator[str]:
    """Yield all failed task instances by name, with the causes and logs that were read."""
    if not outcome.failed_tasks:
        return
    count = len(outcome.failed_tasks)
    if (
        count <= MAX_FAILURES_LISTED
        and len(outcome.failures) == count
        and not any(failure.log for failure in outcome.failures)
    ):
        return
    all_names = shortened(", ".join(names(outcome.failed_tasks)), _MAX_NAMES_CHARS)
    yield f"### Failed: {count} of {outcome.task_count} task instances"
    if count > MAX_FAILURES_LISTED:
        yield code(all_names)
    if all_names.endswith("…"):
        yield "There are more; the output failed_tasks lists all of them."
    for place, failure in enumerate(outcome.failures):
        if place >= MAX_FAILURES_LISTED:
            yield f"{_name(failure)}:\n\n{block(_cause(failure))}"
        if failure.log:
            yield folded(_log_title(failure), block(_tail(failure)))
    if count > len(outcome.failures):
        yield f"The logs of {count - len(outcome.failures)} more were not read; Airflow shows them."


def _name(failure: Failure) -> str:
    task = failure.task
    after = f" after {format_duration(task.duration)}" if task.duration else ""
    return f"❌ {link(code(task.name), task.url)} failed{after}{try_label(task)}"


def _cause(failure: Failure) -> str:
    """Return the exception chain with the line that raised each, or the cause as one line."""
    if not failure.raised:
        return shortened(failure.cause, _MAX_CAUSE_CHARS)
    parts = []
    limit = _MAX_CAUSE_CHARS // len(failure.raised)
    for raised in failure.raised:
        place = raised.frames[-1] if raised.frames else None
        where = f"{place.filename}, line {place.line}, in {place.function}" if place else ""
        parts.append(
            shortened(str(raised), limit) + (f"\n    {shortened(where, limit)}" if where else "")
        )
    text = "\ncaused by\n".join(parts)
    reason = retry_reason(failure.task)
    return f"{text}\n{reason}" if reason else text


def _log_title(failure: Failure) -> str:
    before = (
        f", the last {len(failure.log)} of {failure.lines_omitted + len(failure.log)} lines"
        if failure.lines_omitted
        else ""
    )
    return f"Log of {failure.task.name}{try_label(failure.task)}{before}"


def _tail(failure: Failure) -> str:
    text = masked("\n".join(failure.log))
    if len(text) <= _MAX_LOG_CHARS:
        return text
    tail = text[-_MAX_LOG_CHARS:]
    return f"(the beginning of the log is cut off here)\n{tail[tail.find(chr(10)) + 1 :]}"
