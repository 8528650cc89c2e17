"""Python's printed tracebacks, read line by line: in Airflow 2's task logs, and in the import
errors of both. Pure.

The form is Python's own (the library module `traceback`): a heading, frames, the exception; chained
ones follow one another, the one that was raised last at the end.
"""

from __future__ import annotations

import re

from entrypoint.errors import ExceptionInfo, StackFrame
from entrypoint.masking import masked

_HEADING = "Traceback (most recent call last):"
_FRAME = re.compile(
    r'\s+File "(?P<filename>.+?)", line (?P<line>\d{1,9})(?:, in (?P<function>.+))?$'
)
_EXCEPTION = re.compile(r"(?P<kind>[^\W\d][\w.<>]{0,200}(?<!\.))(?:: (?P<text>.*))?$")
_LINKS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_GROUP_HEADING = f"+ Exception Group {_HEADING}"
_IN_GROUP = "  | "
_DEEPER = "    "
"""What stands before the lines of an exception group itself; those of its parts are further
indented.
"""
_MAX_FRAMES = 200
_MAX_EXCEPTIONS = 20
_MAX_CHARS = 2_000


class TracebackReader:
    """Takes a text line by line and remembers the last chain of exceptions in it."""

    def __init__(self) -> None:
        self._chain: list[ExceptionInfo] = []
        self._frames: list[StackFrame] | None = None
        self._chained = self._group = False

    @property
    def last(self) -> tuple[ExceptionInfo, ...]:
        """The exception that was raised last, then what it was raised from, and so on."""
        # One more character is kept than is shown: it tells what was cut.
        return tuple(
            one._replace(text=between_words(one.text, _MAX_CHARS)) for one in reversed(self._chain)
        )

    def line(self, text: str, *, begins: bool = False) -> None:
        """Read a line. `begins` says that it begins a new record of the log, which ends whatever
        went before.
        """
        if self._group:
            text = text.removeprefix(_IN_GROUP)
        if text.endswith(_HEADING) and not (self._group and text.startswith(_DEEPER)):
            self._group = text.endswith(_GROUP_HEADING)
            if begins or not self._chained:
                self._chain.clear()
            self._frames, self._chained = [], True
        elif begins:
            self._frames, self._chained, self._group = None, False, False
        elif self._frames is not None:
            self._within(text, self._frames)
        elif self._chained and self._chain and text.strip() and text not in _LINKS:
            last = self._chain[-1]
            self._chain[-1] = last._replace(text=masked(f"{last.text}\n{text}")[: _MAX_CHARS + 1])

    def _within(self, text: str, frames: list[StackFrame]) -> None:
        if match := _FRAME.match(text):
            frames.append(
                StackFrame(match["filename"], int(match["line"]), match["function"] or "<module>")
            )
            del frames[:-_MAX_FRAMES]
        elif text[:1] not in ("", " ", "\t") and (match := _EXCEPTION.match(text)):
            # The class alone, as Airflow 3 has it: Airflow 2 loads DAG files as modules with
            # made-up names.
            self._chain.append(
                ExceptionInfo(
                    match["kind"].rpartition(".")[2],
                    masked(match["text"] or "")[: _MAX_CHARS + 1],
                    tuple(frames),
                )
            )
            del self._chain[:-_MAX_EXCEPTIONS]
            self._frames = None


def between_words(text: str, limit: int) -> str:
    """Return the beginning of a text, cut at a blank of its second half: a half word may be half a
    secret of the runner's.

    Without a blank there it is cut anywhere, or nothing would be seen of it.
    """
    if len(text) <= limit:
        return text
    blank = max(text.rfind(one, limit // 2, limit + 1) for one in " \t\n")
    return text[: blank if blank > 0 else limit]


def read_traceback(text: str) -> tuple[ExceptionInfo, ...]:
    """Return the last chain of exceptions in a text: the one that was raised last first."""
    reader = TracebackReader()
    for line in text.splitlines():
        reader.line(line)
    return reader.last
