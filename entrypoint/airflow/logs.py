"""A task's log, read piece by piece into its tail and the exception that ended the try. Pure: it
sends nothing.

Logs can be many MB (docs/notes/airflow-3.md#task-logs); what is kept is bounded whatever comes.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any

from entrypoint.airflow.tracebacks import TracebackReader, between_words
from entrypoint.errors import ExceptionInfo, StackFrame
from entrypoint.masking import masked, masked_end, masked_head
from entrypoint.models import TaskLog

_MAX_RAW_BYTES = 524_288
"""Bytes of one line of the answer; what is longer is cut there."""
_MIN_HALF_CHARS = 4
"""Characters of a secret's beginning that is masked where a log ends without a line break: with
fewer also words end.
"""
_MAX_LINE_CHARS = 2_000
_TAIL = 131_072
"""Characters of one line, and of all lines that are kept."""
_RECORD = re.compile(
    r"\[\d{4}-[^\]]{5,60}\] \{[^}]{1,200}\} (?P<level>[A-Z]{4,8}) - (?P<message>.*)"
)
"""`[2026-11-20T09:52:17.555+0000] {file.py:12} ERROR - text`; lines without this head continue the
one before.
"""
_ENDED = "Task failed with exception"
"""With these words both Airflows log the exception that ended the try; callbacks that fail after it
do not matter.
"""
_KILLED = re.compile(r"Task exited with return code -\d")
_SEVERE = ("ERROR", "CRITICAL", "FATAL")
_AIRFLOW = "/site-packages/airflow/"
"""Airflow's own frames surround every task; who reads the tail of a log is not helped by them."""
_MAX_HEAD_CHARS = 10
_MAX_FRAMES = 200
_MAX_EXCEPTIONS = 20


class LogReader:
    """Takes a log piece by piece, and keeps its tail. Subclasses know a format.

    Args:
        keep: how many lines to keep.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._tail: deque[str] = deque()
        self._size = 0
        self._count = 0
        self._rest = b""
        self._last_error: str | None = None
        self._written = False
        self._head: list[str] = []

    def take(self, chunk: bytes) -> bool:
        """Read on. Always True: the tail is at the end."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(_decoded(line))
        # What is beyond the limit is dropped while it arrives; one byte more tells that it was.
        self._rest = rest[: _MAX_RAW_BYTES + 1]
        return True

    def close(self) -> TaskLog:
        """Return what was read."""
        if self._rest:
            # The log may have been broken off within this line.
            rest, self._rest = self._rest, b""
            self._line(masked_end(_decoded(rest).removesuffix("\ufffd"), _MIN_HALF_CHARS))
        if not self._written:
            return TaskLog(tuple(self._head), written=False)
        return TaskLog(
            tuple(self._tail), self._count - len(self._tail), self._raised(), self._last_error
        )

    def _line(self, line: str) -> None:
        raise NotImplementedError

    def _raised(self) -> tuple[ExceptionInfo, ...]:
        raise NotImplementedError

    def _show(self, text: str) -> None:
        text = masked(text)
        if not self._written:
            # Where the log was looked for: worth a line only if there is none.
            self._head = [*self._head, between_words(text, _MAX_LINE_CHARS)][:_MAX_HEAD_CHARS]
            return
        for line in text.split("\n"):
            self._count += 1
            self._tail.append(between_words(line, _MAX_LINE_CHARS))
            self._size += len(self._tail[-1])
            while len(self._tail) > self._keep or (self._size > _TAIL and len(self._tail) > 1):
                self._size -= len(self._tail.popleft())


class TextLog(LogReader):
    """Airflow 2's log as text: a line of the log, or one that continues it
    (docs/notes/airflow-2.md#task-logs).
    """

    def __init__(self, keep: int) -> None:
        super().__init__(keep)
        self._traceback = TracebackReader()
        self._hidden = self._killed = False

    def _line(self, line: str) -> None:
        record = _RECORD.match(line)
        message = record["message"] if record else line
        self._traceback.line(message, begins=record is not None)
        self._written = self._written or record is not None or bool(self._traceback.last)
        # A frame's source follows it, further indented.
        self._hidden = (
            _AIRFLOW in line
            if line.startswith('  File "')
            else self._hidden and line.startswith("    ")
        )
        if not self._hidden and not _is_mark(message.removeprefix(" INFO - ")):
            self._show(line)
        if record is None:
            return
        # A process that was killed is reported with the level INFO, and had no time to raise.
        self._killed = _KILLED.match(message) is not None or self._killed
        if record["level"] in _SEVERE or _KILLED.match(message):
            self._last_error = between_words(masked(message), _MAX_LINE_CHARS)

    def _raised(self) -> tuple[ExceptionInfo, ...]:
        return () if self._killed else self._traceback.last


class JsonLog(LogReader):
    """Airflow 3's log, a JSON object in each line, exceptions structured as `error_detail`.

    Measured: docs/notes/airflow-3.md#task-logs.
    """

    def __init__(self, keep: int) -> None:
        super().__init__(keep)
        self._last_raised: tuple[ExceptionInfo, ...] = ()
        self._settled = False

    def _line(self, line: str) -> None:
        if not line.strip():
            return
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            self._show(line)
            return
        if _is_mark(str(entry.get("event", ""))):
            return
        level = str(entry.get("level") or "").upper()
        stamp = f"[{entry['timestamp']}] " if isinstance(entry.get("timestamp"), str) else ""
        self._written = self._written or bool(stamp)
        event = str(entry.get("event") or "")
        self._show(f"{stamp}{f'{level} - ' if level else ''}{event}")
        raised = _chain(entry.get("error_detail"))
        if level in _SEVERE and event.strip() and not self._settled:
            self._last_error = between_words(
                masked(_with_details(event.strip(), entry)), _MAX_LINE_CHARS
            )
            self._last_raised, self._settled = raised, event == _ENDED
        if raised:
            for one in reversed(raised):
                for frame in one.frames:
                    if _AIRFLOW not in frame.filename:
                        self._show(
                            f'  File "{frame.filename}", line {frame.line}, in {frame.function}'
                        )
                self._show(str(one))

    def _raised(self) -> tuple[ExceptionInfo, ...]:
        return self._last_raised


def _decoded(line: bytes) -> str:
    """Return a line of the answer as text. It is masked before it is read only if it is cut: a
    secret may be like a key.
    """
    text = (
        line.decode("utf-8", "replace")
        if len(line) <= _MAX_RAW_BYTES
        else masked_head(line, _MAX_RAW_BYTES)
    )
    return text.rstrip("\r")


def _is_mark(text: str) -> bool:
    """Whether a line is only one of the marks by which Airflow's own page folds a log."""
    return text.startswith("::endgroup::") or text == "::group::Log message source details"


def _with_details(event: str, entry: dict[str, Any]) -> str:
    """Add what Airflow's supervisor says about a process that ended by itself."""
    details = [
        f"{key} {entry[key]}" for key in ("exit_code", "signal_name") if entry.get(key) is not None
    ]
    return f"{event} ({', '.join(details)})" if details else event


def _chain(detail: Any) -> tuple[ExceptionInfo, ...]:
    """Read `error_detail`: the exception that ended the try, then its cause or context, and so
    on.
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
