"""The end of a stage, told: annotations on the code, the verdict, and the job summary unless it is
not wanted.

Whatever breaks here costs what it is about, and a line says so. What the gate decided stands.
"""

from __future__ import annotations

import traceback
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.report.annotations import annotate, annotate_code
from entrypoint.report.plain_summary import plain_summary
from entrypoint.report.sections import broken_section
from entrypoint.report.summary import summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.models import Outcome
    from entrypoint.runners.base import Context, Level, Runner


def publish(
    outcome: Outcome, context: Context | None, runner: Runner, *, write_summary: bool
) -> None:
    """Tell people what the gate decided."""
    if context is not None:
        _guard(
            "A failure on its line of code",
            runner,
            partial(annotate_code, outcome, context.workspace, runner),
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


def _guard(what: str, runner: Runner, tell: Callable[[], None]) -> bool:
    """Tell it, and return whether that went well; if not, say so, and with debugging on where it
    broke.
    """
    try:
        tell()
    except OSError:
        return False  # of the workspace or the streams: whatever they hold or lack
    # The last line of defence: the verdict does not depend on it
    except Exception as error:  # noqa: BLE001
        runner.say(broken_section(what, error))
        for line in "".join(traceback.format_exception(error)).splitlines():
            runner.debug(line)
        return False
    return True
