"""The one verdict annotation of the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.errors import shortened
from entrypoint.github import commands
from entrypoint.report.wording import words

if TYPE_CHECKING:
    from entrypoint.models import Outcome


def annotate(outcome: Outcome) -> None:
    """Print the verdict: an error unless the step passes, a warning if it passes with failed tasks, else a notice."""
    said = words(outcome)
    remedy = "".join(f"\n{line}" for line in (said.hint, outcome.run_url and f"DAG run: {outcome.run_url}") if line)
    good = outcome.passes or (outcome.post and outcome.stopped in ("yes", "nothing", "left"))
    level: commands.Level = "error" if not good else "warning" if outcome.failed_tasks else "notice"
    commands.annotate(level, said.title, shortened(said.detail, commands.MESSAGE_LIMIT - len(remedy)) + remedy)
