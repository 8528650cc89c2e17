"""Publish the result of a stage as annotations and as the job summary.

A bug in one of them is logged, and changes neither the others nor the result.
"""

from __future__ import annotations

import traceback
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.report.annotations import annotate, annotate_code
from entrypoint.report.plain_summary import plain_summary
from entrypoint.report.sections import broken_section
from entrypoint.report.several import annotate_several, several_plain_summary, several_summary
from entrypoint.report.summary import summary
from entrypoint.runners.github import head_repositories

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.models import Outcome, StepOutcome
    from entrypoint.runners.base import Context, Level, Runner


def publish(
    outcome: StepOutcome, context: Context | None, runner: Runner, *, write_summary: bool
) -> None:
    """Print the annotations of the outcome, and append the job summary if it is wanted."""
    if outcome.several or len(outcome.runs) != 1:
        _publish_several(outcome, context, runner, write_summary=write_summary)
    else:
        _publish_run(outcome.runs[0], context, runner, write_summary=write_summary)


def _publish_several(
    outcome: StepOutcome, context: Context | None, runner: Runner, *, write_summary: bool
) -> None:
    if not _guard("The reasons", runner, partial(annotate_several, outcome, runner)):
        level: Level = "notice" if outcome.passes else "error"
        _guard(
            "The result",
            runner,
            lambda: runner.annotate(level, f"Result: {outcome.result}", ""),
        )
    if write_summary:
        _guard(
            "The job summary",
            runner,
            lambda: runner.append_summary(
                several_summary(outcome, context)
                if runner.markdown
                else several_plain_summary(outcome)
            ),
        )


def _publish_run(
    outcome: Outcome, context: Context | None, runner: Runner, *, write_summary: bool
) -> None:
    if context is not None:
        _guard(
            "An annotation on a line of code",
            runner,
            partial(_annotate_code, outcome, context, runner),
        )
    if not _guard("The reason", runner, partial(annotate, outcome, runner)):
        level: Level = "notice" if outcome.passes else "error"
        _guard(
            "The result",
            runner,
            lambda: runner.annotate(level, f"Result: {outcome.result}", outcome.run_url or ""),
        )
    if write_summary:
        make = summary if runner.markdown else plain_summary
        _guard("The job summary", runner, lambda: runner.append_summary(make(outcome, context)))


def _annotate_code(outcome: Outcome, context: Context, runner: Runner) -> None:
    repositories = head_repositories(context) if context.system == "github" else ()
    annotate_code(outcome, context.workspace, runner, repositories)


def _guard(what: str, runner: Runner, write: Callable[[], None]) -> bool:
    """Call `write`, and return whether it succeeded.

    An unexpected exception is logged, with its traceback if debugging is on.
    """
    try:
        write()
    except OSError:
        return False  # the workspace or a stream cannot be read or written
    # The result must not depend on a bug here
    except Exception as error:  # noqa: BLE001
        runner.say(broken_section(what, error))
        for line in "".join(traceback.format_exception(error)).splitlines():
            runner.debug(line)
        return False
    return True
