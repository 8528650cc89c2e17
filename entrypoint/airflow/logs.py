"""Parse a task's log in chunks: its last lines, and the exception that ended the try.

This module sends nothing. Logs can be many MB (docs/notes/airflow-3.md#task-logs), so the memory
that it needs is bounded.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any

from entrypoint.airflow.tracebacks import TracebackReader, between_words
from entrypoint.errors import ExceptionInfo, StackFrame
from entrypoint.masking import masked, masked_end, masked_head
from entrypoint.models import TaskLog

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_RAW_BYTES = 524_288
"""Maximum length of a line in the response, in bytes; longer lines are cut."""
_MIN_SECRET_PREFIX_CHARS = 4
"""Minimum length of a secret's beginning that is masked at the end of an incomplete line.

With fewer characters ordinary words would be masked too.
"""
_MAX_LINE_CHARS = 2_000
_MAX_TAIL_CHARS = 131_072
"""Maximum characters of all lines that are kept."""
_RECORD = re.compile(
    r"\[\d{4}-[^\]]{5,60}\] \{[^}]{1,200}\} (?P<level>[A-Z]{4,8}) - (?P<message>.*)"
)
"""`[2026-11-20T09:52:17.555+0000] {file.py:12} ERROR - text`

A line without this head continues the line before it.
"""
_TASK_FAILED_EVENT = "Task failed with exception"
"""The message with which both Airflows log the exception that ended the try.

Exceptions of callbacks after it do not matter.
"""
_KILLED_MESSAGE = re.compile(r"Task exited with return code -\d")
_ERROR_LEVELS = ("ERROR", "CRITICAL", "FATAL")
_AIRFLOW_PATH = "/site-packages/airflow/"
"""Path of Airflow's own frames, which surround every task and do not help a reader."""
_MAX_HEAD_LINES = 10
_MAX_FRAMES = 200
_MAX_EXCEPTIONS = 20


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
        self._last_error: str | None = None
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
        if not self._written:
            return TaskLog(tuple(self._head), written=False)
        return TaskLog(
            tuple(self._tail), self._count - len(self._tail), self._raised(), self._last_error
        )

    def line(self, line: str) -> None:
        """Parse one line, without its line break."""
        raise NotImplementedError

    def _raised(self) -> tuple[ExceptionInfo, ...]:
        raise NotImplementedError

    def _show(self, text: str) -> None:
        text = masked(text)
        if not self._written:
            # These lines say where Airflow looked for the log. They matter only if there is none.
            self._head = [*self._head, between_words(text, _MAX_LINE_CHARS)][:_MAX_HEAD_LINES]
            return
        for line in text.split("\n"):
            self._count += 1
            self._tail.append(between_words(line, _MAX_LINE_CHARS))
            if self._on_line is not None:
                self._on_line(self._tail[-1])
            self._size += len(self._tail[-1])
            while len(self._tail) > self._max_lines or (
                self._size > _MAX_TAIL_CHARS and len(self._tail) > 1
            ):
                self._size -= len(self._tail.popleft())


class TextLog(LogReader):
    """Parses Airflow 2's log, a text (docs/notes/airflow-2.md#task-logs)."""

    def __init__(self, max_lines: int, on_line: Callable[[str], None] | None = None) -> None:
        super().__init__(max_lines, on_line)
        self._traceback = TracebackReader()
        self._hidden = self._killed = False

    def line(self, line: str) -> None:
        """See `LogReader`."""
        record = _RECORD.match(line)
        message = record["message"] if record else line
        self._traceback.line(message, begins=record is not None)
        self._written = self._written or record is not None or bool(self._traceback.last)
        # A frame's source line follows it with a deeper indentation.
        self._hidden = (
            _AIRFLOW_PATH in line
            if line.startswith('  File "')
            else self._hidden and line.startswith("    ")
        )
        if not self._hidden and not _is_group_marker(message.removeprefix(" INFO - ")):
            self._show(line)
        if record is None:
            return
        # Airflow reports a killed process with level INFO. Such a process raised no exception.
        self._killed = _KILLED_MESSAGE.match(message) is not None or self._killed
        if record["level"] in _ERROR_LEVELS or _KILLED_MESSAGE.match(message):
            self._last_error = between_words(masked(message), _MAX_LINE_CHARS)

    def _raised(self) -> tuple[ExceptionInfo, ...]:
        return () if self._killed else self._traceback.last


class JsonLog(LogReader):
    """Parses Airflow 3's log: one JSON object in each line, with exceptions in `error_detail`.

    Measured: docs/notes/airflow-3.md#task-logs.
    """

    def __init__(self, max_lines: int, on_line: Callable[[str], None] | None = None) -> None:
        super().__init__(max_lines, on_line)
        self._last_raised: tuple[ExceptionInfo, ...] = ()
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
        if _is_group_marker(str(entry.get("event", ""))):
            return
        level = str(entry.get("level") or "").upper()
        stamp = f"[{entry['timestamp']}] " if isinstance(entry.get("timestamp"), str) else ""
        self._written = self._written or bool(stamp)
        event = str(entry.get("event") or "")
        if may_be_incomplete(entry):
            event = masked_end(event, _MIN_SECRET_PREFIX_CHARS)
        self._show(f"{stamp}{f'{level} - ' if level else ''}{event}")
        raised = _chain(entry.get("error_detail"))
        if level in _ERROR_LEVELS and event.strip() and not self._final:
            self._last_error = between_words(
                masked(_with_details(event.strip(), entry)), _MAX_LINE_CHARS
            )
            self._last_raised, self._final = raised, event == _TASK_FAILED_EVENT
        if raised:
            for one in reversed(raised):
                for frame in one.frames:
                    if _AIRFLOW_PATH not in frame.filename:
                        self._show(
                            f'  File "{frame.filename}", line {frame.line}, in {frame.function}'
                        )
                self._show(str(one))

    def _raised(self) -> tuple[ExceptionInfo, ...]:
        return self._last_raised


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


def _is_group_marker(text: str) -> bool:
    """Return whether a line only marks a group that Airflow's UI folds."""
    return text.startswith("::endgroup::") or text == "::group::Log message source details"


def _with_details(event: str, entry: dict[str, Any]) -> str:
    """Append the supervisor's details about a process that ended by itself."""
    details = [
        f"{key} {entry[key]}" for key in ("exit_code", "signal_name") if entry.get(key) is not None
    ]
    return f"{event} ({', '.join(details)})" if details else event


def _chain(detail: Any) -> tuple[ExceptionInfo, ...]:
    """Parse `error_detail`: the exception that ended the try, then its causes.

    A cause is what Python calls cause or context.
    """
    if not isinstance(detail, list):
        return ()
    return tuple(_exception(item) for item in detail[:_MAX_EXCEPTIONS] if isinstance(item, dict))


def _exception(item: dict[str, Any]) -> ExceptionInfo:
    frames = item.get("frames")
    return ExceptionInfo(
        kind=str(item.get("exc_type") or "Exception"),
        text=between_words(masked(str(item.get("exc_value") or "")), _MAX_LINE_CHARS),
        frames=tuple(
            StackFrame(frame["filename"], frame["lineno"], str(frame.get("name") or "?"))
            for frame in (frames if isinstance(frames, list) else [])[-_MAX_FRAMES:]
            if isinstance(frame, dict)
            and isinstance(frame.get("filename"), str)
            and type(frame.get("lineno")) is int
            and frame["lineno"] > 0
        ),
    )
