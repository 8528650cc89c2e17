"""What GitHub's runner makes of what a piece of code prints."""

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


def printed_by(*speeches: Callable[[], object]) -> str:
    """What these print, one after the other, on both streams, prepared as the process prepares
    them.
    """
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with redirect_stdout(stream), redirect_stderr(stream):
        commands.prepare_streams()
        for speak in speeches:
            speak()
    return raw.getvalue().decode()


def heard(*speeches: Callable[[], object]) -> StepLog:
    """The log, annotations and masks that the runner takes from what these print, one after the
    other.
    """
    log = StepLog(Masker())
    for line in split_lines(printed_by(*speeches)):
        log.feed(line)
    return log
