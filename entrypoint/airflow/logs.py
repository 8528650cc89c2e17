"""Parse a task's log in chunks: its last lines, and the exception that ended the try.

This module sends nothing. Logs can be many MB (docs/notes/airflow-3.md#task-logs), so the memory
that it needs is bounded.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from entrypoint.airflow.tracebacks import between_words
from entrypoint.errors import ExceptionInfo, StackFrame
from entrypoint.masking import masked, masked_end, masked_head
from entrypoint.models import TaskLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAX_RAW_BYTES = 524_288
"""Maximum length of a line in the response, in bytes; longer lines are cut."""
_MIN_SECRET_PREFIX_CHARS = 4
"""Minimum length of a secret's beginning that is masked at the end of an incomplete line.

With fewer characters ordinary words would be masked too.
"""
MAX_LINE_CHARS = 2_000
"""Maximum length of a line that is kept."""
_MAX_TAIL_CHARS = 131_072
"""Maximum characters of all lines that are kept."""
TASK_FAILED_EVENT = "Task failed with exception"
"""The message with which both Airflows log the exception that ended the try.

Exceptions of callbacks after it do not matter.
"""
ERROR_LEVELS = ("ERROR", "CRITICAL", "FATAL")
AIRFLOW_PATH = "/site-packages/airflow/"
"""Path of Airflow's own frames, which surround every task and do not help a reader."""
MAX_HEAD_LINES = 10
"""Lines that are kept of what says where Airflow looked for the log."""
_MAX_FRAMES = 200
_MAX_EXCEPTIONS = 20
_MAX_GROUP_DEPTH = 3


class LogReader:
    """Parses a log in chunks and keeps its last lines. Subclasses implement a format.

    Args:
        max_lines: maximum number of lines to keep.
        on_line: called with each line of the task's log, whether it is kept or not. The reader then
            gets no lines that only say where Airflow looked for the log.
    """

    def __init__(self, max_lines: int, on_line: Callable[[str], None] | None = None) -> None:
        self._max_lines = max_lines
        self._on_line = on_line
        self._tail: deque[str] = deque()
        self._size = 0
        self._count = 0
        self._incomplete_line = b""
        self._written = on_line is not None
        self._head: list[str] = []

    def consume(self, chunk: bytes) -> bool:
        """Parse a chunk. Always returns True, because the last lines are at the end."""
        *lines, rest = (self._incomplete_line + chunk).split(b"\n")
        for line in lines:
            self.line(_decode(line))
        # Bytes beyond the limit are dropped. One byte more is kept to show that the line was cut.
        self._incomplete_line = rest[: _MAX_RAW_BYTES + 1]
        return True

    def close(self) -> TaskLog:
        """Return the parsed log."""
        if self._incomplete_line:
            # The log may have ended within this line.
            rest, self._incomplete_line = self._incomplete_line, b""
            self.line(masked_end(_decode(rest).removesuffix("\ufffd"), _MIN_SECRET_PREFIX_CHARS))
        raised, last_error = self._end()
        if not self._is_written():
            return TaskLog(tuple(self._head), written=False)
        return TaskLog(tuple(self._tail), self._count - len(self._tail), raised, last_error)

    def line(self, line: str) -> None:
        """Parse one line, without its line break."""
        raise NotImplementedError

    def _is_written(self) -> bool:
        """Return whether the task has written a log."""
        return self._written

    def _end(self) -> tuple[tuple[ExceptionInfo, ...], str | None]:
        """Return the exception that ended the try, then its causes; and the last error message."""
        raise NotImplementedError

    def _show(self, text: str) -> None:
        if self._written:
            self._keep(masked(text))
        else:
            # These lines say where Airflow looked for the log. They matter only if there is none.
            self._add_to_head(text)

    def _add_to_head(self, text: str) -> None:
        if len(self._head) < MAX_HEAD_LINES:
            self._head.append(between_words(masked(text), MAX_LINE_CHARS))

    def _keep(self, text: str) -> None:
        for line in text.split("\n"):
            self._count += 1
            self._tail.append(between_words(line.rstrip("\r"), MAX_LINE_CHARS))
            if self._on_line is not None:
                self._on_line(self._tail[-1])
            self._size += len(self._tail[-1])
            while len(self._tail) > self._max_lines or (
                self._size > _MAX_TAIL_CHARS and len(self._tail) > 1
            ):
                self._size -= len(self._tail.popleft())


class JsonLog(LogReader):
    """Parses Airflow 3's log: one JSON object in each line, with exceptions in `error_detail`.

    Measured: docs/notes/airflow-3.md#task-logs.
    """

    def __init__(self, max_lines: int, on_line: Callable[[str], None] | None = None) -> None:
        super().__init__(max_lines, on_line)
        self._last_raised: tuple[ExceptionInfo, ...] = ()
        self._last_error: str | None = None
        self._final = False

    def line(self, line: str) -> None:
        """See `LogReader`."""
        if not line.strip():
            return
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict):
            self.entry(entry)
        else:
            self._show(line)

    def entry(self, entry: dict[str, Any]) -> None:
        """Parse one object."""
        if is_group_marker(str(entry.get("event", ""))):
            return
        level = str(entry.get("level") or "").upper()
        stamp = f"[{entry['timestamp']}] " if isinstance(entry.get("timestamp"), str) else ""
        self._written = self._written or bool(stamp)
        event = str(entry.get("event") or "")
        if may_be_incomplete(entry):
            event = masked_end(event, _MIN_SECRET_PREFIX_CHARS)
        self._show(f"{stamp}{f'{level} - ' if level else ''}{event}")
        raised = exception_chain(entry.get("error_detail"))
        if level in ERROR_LEVELS and event.strip() and not self._final:
            self._last_error = between_words(
                masked(_with_details(event.strip(), entry)), MAX_LINE_CHARS
            )
            self._last_raised, self._final = raised, event == TASK_FAILED_EVENT
        for line in exception_lines(raised):
            self._show(line)

    def _end(self) -> tuple[tuple[ExceptionInfo, ...], str | None]:
        return self._last_raised, self._last_error


def may_be_incomplete(entry: dict[str, Any]) -> bool:
    """Return whether the line may be the beginning of one: JSON that Airflow could not parse."""
    return str(entry.get("event") or "").startswith("{") and not entry.keys() - {
        "timestamp",
        "event",
    }


def _decode(line: bytes) -> str:
    """Return a line of the response as text.

    Only a line that is cut is masked before it is parsed, because a secret may equal a JSON key.
    """
    text = (
        line.decode("utf-8", "replace")
        if len(line) <= _MAX_RAW_BYTES
        else masked_head(line, _MAX_RAW_BYTES)
    )
    return text.rstrip("\r")


def is_group_marker(text: str) -> bool:
    """Return whether a line only marks a group that Airflow's UI folds."""
    return text.startswith("::endgroup::") or text == "::group::Log message source details"


def _with_details(event: str, entry: dict[str, Any]) -> str:
    """Append the supervisor's details about a process that ended by itself."""
    details = [
        f"{key} {entry[key]}" for key in ("exit_code", "signal_name") if entry.get(key) is not None
    ]
    return f"{event} ({', '.join(details)})" if details else event


def exception_chain(detail: Any) -> tuple[ExceptionInfo, ...]:
    """Parse `error_detail`: the exception that ended the try, then its causes.

    A cause is what Python calls cause or context.
    """
    if not isinstance(detail, list):
        return ()
    return tuple(_exception(item) for item in detail[:_MAX_EXCEPTIONS] if isinstance(item, dict))


def exception_lines(raised: tuple[ExceptionInfo, ...]) -> Iterator[str]:
    """Yield the lines that show these exceptions, as Python prints them."""
    for one in reversed(raised):
        for frame in one.frames:
            if AIRFLOW_PATH not in frame.filename:
                yield f'  File "{frame.filename}", line {frame.line}, in {frame.function}'
        yield str(one)


def _exception(item: dict[str, Any]) -> ExceptionInfo:
    frames = item.get("frames")
    text = "\n".join([str(item.get("exc_value") or ""), *_notes(item), *_parts(item)])
    return ExceptionInfo(
        kind=str(item.get("exc_type") or "Exception"),
        text=between_words(masked(text), MAX_LINE_CHARS),
        frames=tuple(
            StackFrame(frame["filename"], frame["lineno"], str(frame.get("name") or "?"))
            for frame in (frames if isinstance(frames, list) else [])[-_MAX_FRAMES:]
            if isinstance(frame, dict)
            and isinstance(frame.get("filename"), str)
            and type(frame.get("lineno")) is int
            and frame["lineno"] > 0
        ),
    )


def _notes(item: dict[str, Any]) -> list[str]:
    """Return the notes of an exception (`add_note`)."""
    notes = item.get("exc_notes")
    return [str(note) for note in (notes if isinstance(notes, list) else [])[:_MAX_EXCEPTIONS]]


def _parts(item: dict[str, Any], depth: int = 0) -> list[str]:
    """Return the exceptions of an exception group, a line for each.

    Each part is a list like `error_detail`, of which the first is the exception itself.
    """
    parts = item.get("exceptions")
    lines: list[str] = []
    for part in (parts if isinstance(parts, list) else [])[:_MAX_EXCEPTIONS]:
        one = part[0] if isinstance(part, list) and part else part
        if isinstance(one, dict) and depth < _MAX_GROUP_DEPTH:
            kind, text = one.get("exc_type") or "Exception", one.get("exc_value") or ""
            lines += [f"{kind}: {text}" if text else str(kind), *_parts(one, depth + 1)]
    return lines[:_MAX_EXCEPTIONS]
