"""The end of a stage, told: annotations on the code, the verdict, and the job summary unless it is not wanted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from entrypoint.github import commands
from entrypoint.report.annotations import annotate, annotate_code
from entrypoint.report.summary import summary

if TYPE_CHECKING:
    from entrypoint.github.context import Context
    from entrypoint.models import Outcome


def publish(outcome: Outcome, context: Context | None, *, write_summary: bool) -> None:
    """Tell people what the gate decided."""
    if context is not None:
        with suppress(OSError):  # whatever the workspace holds, the verdict is told
            annotate_code(outcome, context.workspace)
    annotate(outcome)
    if write_summary:
        commands.append_summary(summary(outcome, context))
