"""Show what GitHub's runner makes of printed output."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

from dev.runner.commands import StepLog
from dev.runner.files import split_lines
from dev.runner.masking import Masker
from entrypoint.runners import github as commands

if TYPE_CHECKING:
    from collections.abc import Callable


def printed_by(*functions: Callable[[], object]) -> str:
    """Return what these functions print on both streams, with the action's stream settings."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with redirect_stdout(stream), redirect_stderr(stream):
        commands.prepare_streams()
        for function in functions:
            function()
    return raw.getvalue().decode()


def runner_log(*functions: Callable[[], object]) -> StepLog:
    """Return the runner's log, annotations and masks for the output of these functions."""
    log = StepLog(Masker())
    for line in split_lines(printed_by(*functions)):
        log.feed(line)
    return log
