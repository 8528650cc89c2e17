"""Parse Python's printed tracebacks, line by line. This module sends nothing.

They appear in Airflow 2's task logs, and in the import errors of both APIs. The format is that of
the library module `traceback`: a heading, frames, and the exception. Chained exceptions follow one
another, and the one raised last is at the end.
"""

from __future__ import annotations

import re

from entrypoint.errors import ExceptionInfo, StackFrame
from entrypoint.masking import ESCAPES, masked

HEADING = "Traceback (most recent call last):"
_FRAME = re.compile(
    r'\s+File "(?P<filename>.+?)", line (?P<line>\d{1,9})(?:, in (?P<function>.+))?$'
)
_EXCEPTION = re.compile(r"(?P<kind>[^\W\d][\w.<>]{0,200}(?<!\.))(?:: (?P<text>.*))?$")
_CHAIN_MESSAGES = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_GROUP_HEADING = f"+ Exception Group {HEADING}"
_GROUP_INDENT = "  | "
_NESTED_INDENT = "    "
"""Indentation of the exceptions within an exception group, compared with the group itself."""
_PART = re.compile(r"\s+(?:\| ?(?P<line>.*)|\+-[-+ \d.]*)$")
"""A line of an exception within an exception group, or a rule between two of them."""
_MAX_FRAMES = 200
_MAX_EXCEPTIONS = 20
_MAX_CHARS = 2_000


class TracebackReader:
    """Parses a text line by line and keeps its last chain of exceptions."""

    def __init__(self) -> None:
        self._chain: list[ExceptionInfo] = []
        self._frames: list[StackFrame] | None = None
        self._chained = self._group = self._headed = self._coloured = self._links = False

    @property
    def last(self) -> tuple[ExceptionInfo, ...]:
        """The exception that was raised last, then its cause or context, and so on."""
        # One character more than the limit is kept, so that between_words sees the cut.
        return tuple(
            one._replace(text=between_words(one.text, _MAX_CHARS)) for one in reversed(self._chain)
        )

    @property
    def is_fresh(self) -> bool:
        """Whether no traceback has begun yet."""
        return not self._chain and self._frames is None

    @property
    def is_open(self) -> bool:
        """Whether a traceback has begun that no record has ended."""
        return self._frames is not None or self._chained

    @property
    def expects_frames(self) -> bool:
        """Whether a traceback has begun whose exception is yet to come."""
        return self._frames is not None

    def continues(self, text: str) -> bool:
        """Return whether a record with this text continues a traceback with a record per line."""
        text = _plain(text)
        if self._group:
            text = text.removeprefix(_GROUP_INDENT)
        if self._frames is not None:
            self._headed = self._headed or bool(_FRAME.match(text))
            is_exception = bool(self._frames) and _EXCEPTION.match(text) is not None
            return self._headed and (text.startswith("  ") or is_exception)
        if not (self._headed and self._chained):
            return False
        is_part = self._group and _PART.match(text) is not None
        return is_part or not text.strip() or text in _CHAIN_MESSAGES or text == HEADING

    def line(self, text: str, *, begins: bool = False) -> None:
        """Parse a line.

        Args:
            text: the line.
            begins: whether it begins a new record of the log, which ends the traceback before it.
        """
        raw, text = text, _plain(text)
        if self._group:
            raw, text = raw.removeprefix(_GROUP_INDENT), text.removeprefix(_GROUP_INDENT)
        if text.endswith(HEADING) and not (self._group and text.startswith(_NESTED_INDENT)):
            self._group, self._coloured = text.endswith(_GROUP_HEADING), raw != text
            if begins or not self._links:
                self._chain.clear()
            self._frames, self._chained, self._links = [], True, False
        elif begins:
            self._frames, self._chained, self._group, self._headed = None, False, False, False
        elif self._frames is not None:
            self._frame_or_exception(text, self._frames)
        elif self._chained and self._chain and text.strip():
            self._links = text.rstrip() in _CHAIN_MESSAGES
            if not self._links:
                self._add_to_text(text if self._coloured else raw)

    def _add_to_text(self, text: str) -> None:
        if self._group and (match := _PART.match(text)):
            text = match["line"] or ""
            if not text.strip() or text.startswith((" ", HEADING)) or text in _CHAIN_MESSAGES:
                return
        last = self._chain[-1]
        self._chain[-1] = last._replace(text=masked(f"{last.text}\n{text}")[: _MAX_CHARS + 1])

    def _frame_or_exception(self, text: str, frames: list[StackFrame]) -> None:
        if match := _FRAME.match(text):
            frames.append(
                StackFrame(match["filename"], int(match["line"]), match["function"] or "<module>")
            )
            del frames[:-_MAX_FRAMES]
        elif text[:1] not in ("", " ", "\t") and (match := _EXCEPTION.match(text)):
            # Only the class name, as in Airflow 3, because Airflow 2 loads DAG files as modules
            # with generated names.
            self._chain.append(
                ExceptionInfo(
                    match["kind"].rpartition(".")[2],
                    masked(match["text"] or "")[: _MAX_CHARS + 1],
                    tuple(frames),
                )
            )
            del self._chain[:-_MAX_EXCEPTIONS]
            self._frames = None


def _plain(text: str) -> str:
    """Return a line without the colours of a terminal, which Airflow 2 may print."""
    return ESCAPES.sub("", text) if "\x1b" in text else text


def between_words(text: str, limit: int) -> str:
    """Return the beginning of a text, cut at a space in its second half.

    Half a word may be half of a secret that only the runner knows. Without a space there, the text
    is cut at the limit, because otherwise nothing of it would remain.
    """
    if len(text) <= limit:
        return text
    blank = max(text.rfind(one, limit // 2, limit + 1) for one in " \t\n")
    return text[: blank if blank > 0 else limit]


def read_traceback(text: str) -> tuple[ExceptionInfo, ...]:
    """Return the last chain of exceptions in a text, beginning with the one raised last."""
    reader = TracebackReader()
    for line in text.splitlines():
        reader.line(line)
    return reader.last
