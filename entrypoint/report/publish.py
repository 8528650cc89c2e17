"""The end of a stage, told: annotations on the code, the verdict, and the job summary unless it is not wanted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from entrypoint.report.annotations import annotate, annotate_code
from entrypoint.report.summary import summary
from entrypoint.report.text import text

if TYPE_CHECKING:
    from entrypoint.models import Outcome
    from entrypoint.runner import Context, Runner


def publish(outcome: Outcome, context: Context | None, runner: Runner, *, write_summary: bool) -> None:
    """Tell people what the gate decided."""
    if context is not None:
        with suppress(OSError):  # whatever the workspace holds, the verdict is told
            annotate_code(outcome, context.workspace, runner)
    annotate(outcome, runner)
    if write_summary:
        runner.append_summary((summary if runner.markdown else text)(outcome, context))
