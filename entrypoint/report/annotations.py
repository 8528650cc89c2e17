"""Print the final annotations: on failing lines of the checkout, and one for the result.

GitHub keeps ten of each level for a step (docs/notes/runner.md#annotations). This action prints one
for the result, up to MAX_CODE_ANNOTATIONS on code, at most two warnings (about a secret and about
plain HTTP) and three notices (about a large conf and the first blockers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.report.wording import ending_of, outcome_message
from entrypoint.runners.checkout import has_line, in_repository, locate
from entrypoint.text import shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from entrypoint.errors import ExceptionInfo, StackFrame
    from entrypoint.models import Outcome
    from entrypoint.runners.base import Level, Runner

MAX_CODE_ANNOTATIONS = 6
"""Annotations on lines of code."""
_MAX_CHARS = 2_000
"""Characters of an exception in the body of an annotation."""
_MAX_KIND_CHARS = 100
"""Characters of an exception's type in the title."""
_MAX_FRAMES = 50
"""Frames of each exception that are matched with the checkout, the innermost ones."""


def annotate(outcome: Outcome, runner: Runner) -> None:
    """Print the result as an annotation.

    It is an error unless the step passes, a warning if it passes with failed tasks or without any
    that ran, else a notice.
    """
    message = outcome_message(outcome)
    text = "\n".join([*message.reasons, message.detail])
    good = outcome.passes or (outcome.post and outcome.stop_settled)
    doubtful = outcome.failed_tasks or outcome.nothing_ran
    level: Level = "error" if not good else "warning" if doubtful else "notice"
    runner.annotate(level, message.title, text, ending=ending_of(message, outcome.run_url))


def annotate_code(
    outcome: Outcome,
    workspace: Path,
    runner: Runner,
    repositories: Collection[str] = (),
) -> None:
    """Print up to MAX_CODE_ANNOTATIONS annotations on the lines that raised exceptions.

    The exceptions that failed the tasks come first, then their causes. GitHub looks for the file
    below the root of the workflow's repository. So a file of another repository is only named.

    Args:
        outcome: the outcome with the exceptions.
        workspace: directory of the checkouts.
        runner: the runner that prints.
        repositories: owner and name of the workflow's repository, and of the fork that a pull
            request comes from; empty to name files as they are below the workspace.
    """
    chains = [(f"{failure.task.name} failed", failure.raised) for failure in outcome.failures]
    if outcome.error is not None and outcome.error.raised:
        chains.append((outcome.error.title, outcome.error.raised))
    files = locate(
        {frame.filename for _, chain in chains for raised in chain for frame in raised.frames},
        workspace,
        runner.say,
    )
    marked: set[tuple[str, int]] = set()
    for title, raised in _round_robin(chains):
        place = _place(raised.frames[-_MAX_FRAMES:], files, workspace)
        if place is None or place in marked:
            continue
        marked.add(place)
        if len(marked) > MAX_CODE_ANNOTATIONS:
            runner.say(
                f"More than {MAX_CODE_ANNOTATIONS} lines of code raised exceptions. The others are "
                "not annotated; the job summary has the exceptions"
            )
            return
        level: Level = "warning" if outcome.passes else "error"
        where = f"\nDAG run: {outcome.run_url}" if outcome.run_url else ""
        message = shortened(str(raised), _MAX_CHARS)
        heading = f"{title}: {shortened(raised.kind, _MAX_KIND_CHARS)}"
        file, line = place
        if repositories:
            file, origin = in_repository(workspace, file)
            if origin and origin.lower() not in map(str.lower, repositories):
                where = f"\nIn {origin}: {file}, line {line}{where}"
                runner.annotate(level, heading, message, ending=where)
                continue
        runner.annotate(level, heading, message, ending=where, file=file, line=line)


def _round_robin(
    chains: list[tuple[str, tuple[ExceptionInfo, ...]]],
) -> Iterable[tuple[str, ExceptionInfo]]:
    """Yield the first exception of each chain, then the second of each, and so on."""
    for turn in range(max((len(chain) for _, chain in chains), default=0)):
        for title, chain in chains:
            if turn < len(chain):
                yield title, chain[turn]


def _place(
    frames: tuple[StackFrame, ...], files: dict[str, str], workspace: Path
) -> tuple[str, int] | None:
    """Return file and line of the innermost frame that lies in the workspace."""
    for frame in reversed(frames):
        path = files.get(frame.filename)
        if path is not None and has_line(workspace, path, frame.line):
            return path, frame.line
    return None
