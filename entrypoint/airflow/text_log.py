"""Parse Airflow 2's log, a text in the format that its operators have chosen.

Measured: docs/notes/airflow-2.md#task-logs.
"""

from __future__ import annotations

import re
from signal import Signals
from typing import TYPE_CHECKING

from entrypoint.airflow.log_records import (
    Format,
    Record,
    RecordFormats,
    unprefixed,
    without_escapes,
)
from entrypoint.airflow.logs import (
    AIRFLOW_PATH,
    ERROR_LEVELS,
    MAX_HEAD_LINES,
    MAX_LINE_CHARS,
    TASK_FAILED_EVENT,
    LogReader,
    exception_chain,
    exception_lines,
    is_group_marker,
)
from entrypoint.airflow.tracebacks import HEADING, TracebackReader, between_words
from entrypoint.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.log_records import JsonRecord
    from entrypoint.errors import ExceptionInfo

_EXIT = re.compile(
    r"Task exited with return code (?P<code>-?\d{1,5}|Negsignal\.\w+)(?! \(task deferral\))"
)
_DECIDED = re.compile(r"[Mm]arking task as (?:FAILED|UP_FOR_RETRY)")
_KILLER = re.compile("was killed before it finished|has been externally set to|Detected zombie")
"""Messages that say why Airflow or the system ended a process."""
_COMPOSER_LABELS = re.compile(r"@-@\{.*\}$")
"""Cloud Composer's labels after a message."""
_MAX_MESSAGE_LINES = 5
"""Lines of an error message that are kept."""


class TextLog(LogReader):
    """Parses Airflow 2's log, a text (docs/notes/airflow-2.md#task-logs)."""

    def __init__(self, max_lines: int, on_line: Callable[[str], None] | None = None) -> None:
        super().__init__(max_lines, on_line)
        self._formats = RecordFormats()
        self._cause = Cause()
        self._hidden = False
        self._is_first = on_line is None
        self._unexplained = 0
        """Lines without a record that may be a log in an unknown format."""

    def line(self, line: str) -> None:
        """See `LogReader`."""
        line = line.rstrip("\r")
        is_first, self._is_first = self._is_first, False
        if found := self._formats.json(line, self._cause.within):
            self._json_record(found)
            return
        raw, text = line, without_escapes(line)
        record = self._first_line(text)
        if record is not None and (inner := unprefixed(record.message)) is not None:
            raw, text, record = inner, inner, self._first_line(inner)
        if record is not None and self._cause.continues(record):
            raw, text, record = record.message, record.message, None
        message = record.message if record else text
        if record is not None:
            self._cause.begin(record)
        else:
            self._cause.line(raw)
        self._written = self._written or record is not None or self._cause.has_exception
        self._show_line(line, text, message, is_first=is_first)

    def _first_line(self, text: str) -> Record | None:
        return self._formats.first_line(text, self._cause.within, frames=self._cause.expects_frames)

    def _json_record(self, found: JsonRecord) -> None:
        self._written = True
        self._cause.begin(found.record, exception_chain(found.structured))
        for index, line in enumerate(found.lines):
            if index:
                self._cause.line(line)
            self._show_line(line, line, line if index else found.record.message)
        for line in exception_lines(exception_chain(found.structured)):
            self._show(line)

    def _show_line(self, line: str, text: str, message: str, *, is_first: bool = False) -> None:
        # A frame's source line follows it with a deeper indentation.
        code = text.removeprefix("  | ")
        self._hidden = (
            AIRFLOW_PATH in code
            if code.lstrip().startswith('File "') and code.startswith("  ")
            else self._hidden and code.startswith("    ")
        )
        if self._hidden or is_group_marker(message.removeprefix(" INFO - ")):
            return
        if self._written:
            self._show(line)
            return
        self._add_to_head(line)
        # The first line is the name of the host.
        if line.strip() and not line.startswith("***") and not (is_first and " " not in line):
            self._unexplained += 1
            self._keep(masked(line))

    def _is_written(self) -> bool:
        return self._written or self._unexplained > MAX_HEAD_LINES

    def _end(self) -> tuple[tuple[ExceptionInfo, ...], str | None]:
        return self._cause.result()


class Cause:
    """Finds out from the records of a log what ended the try.

    In this order: the exception with which Airflow says that the task failed; a signal that ended
    the process; the last error before Airflow marked the task as failed; an exception that was only
    printed; the exit code.
    """

    def __init__(self) -> None:
        self._traceback = TracebackReader()
        self._record: Record | None = None
        self._lines: list[str] = []
        self._structured: tuple[ExceptionInfo, ...] = ()
        self._raised: tuple[ExceptionInfo, ...] = ()
        self._printed: tuple[ExceptionInfo, ...] = ()
        self._error: str | None = None
        self._final = self._decided = False
        self._exit: str | None = None
        self._exit_code = ""
        self._killer = ""

    @property
    def within(self) -> Format | None:
        """The format of the record that the traceback in progress belongs to."""
        if not self._traceback.is_open:
            return None
        return self._record.format if self._record else Format.BARE

    @property
    def expects_frames(self) -> bool:
        """Whether a traceback is in progress whose exception is yet to come."""
        return self._traceback.expects_frames

    @property
    def has_exception(self) -> bool:
        """Whether the current record has an exception."""
        return bool(self._traceback.last)

    def continues(self, record: Record) -> bool:
        """Return whether a line with a head continues the record before it.

        Some logs have a head before each line of a traceback.
        """
        before = self._record
        if before is not None and self._traceback.is_fresh and record.message == HEADING:
            return (before.format, before.level) == (record.format, record.level)
        return self._traceback.continues(record.message)

    def begin(self, record: Record, structured: tuple[ExceptionInfo, ...] = ()) -> None:
        """Begin a record.

        Args:
            record: its first line.
            structured: its exceptions, if they are not a printed traceback.
        """
        self._settle()
        is_known = self._error is not None or bool(self._raised)
        if is_known and not (self._error or "").endswith(TASK_FAILED_EVENT):
            self._decided = (
                self._decided or _DECIDED.search(record.message[:MAX_LINE_CHARS]) is not None
            )
        self._record, self._structured = record, structured
        self._lines = [record.message]
        self._traceback.line(record.message, begins=True)

    def line(self, text: str) -> None:
        """Continue the record."""
        self._traceback.line(text)
        is_message = 0 < len(self._lines) < _MAX_MESSAGE_LINES and not self._traceback.is_open
        if is_message and len(self._lines[-1]) < MAX_LINE_CHARS and text.strip():
            self._lines.append(without_escapes(text))

    def result(self) -> tuple[tuple[ExceptionInfo, ...], str | None]:
        """Return the exception, then its causes, and the error message."""
        self._settle()
        if self._final:
            return self._raised, self._error
        if self._exit is not None and (signal := _signal(self._exit_code)):
            default = "often because memory ran out" if signal == "SIGKILL" else ""
            name = "" if signal in self._exit else signal
            more = ", ".join(part for part in (name, self._killer or default) if part)
            return (), f"{self._exit} ({more})" if more else self._exit
        if self._error is not None or self._raised:
            return self._raised, self._error
        return self._printed, self._exit

    def _settle(self) -> None:
        """Take the record into account, when it is complete."""
        record, chain = self._record, self._structured or self._traceback.last
        first = self._lines[0][:MAX_LINE_CHARS] if self._lines else ""
        text = _COMPOSER_LABELS.sub("", "\n".join(self._lines)).strip()
        self._record, self._lines, self._structured = None, [], ()
        if not self._traceback.is_fresh:
            self._traceback = TracebackReader()
        level = record.level if record else None
        is_final = text.rstrip("\"'").endswith(TASK_FAILED_EVENT)
        if record is not None and (found := _EXIT.search(first)):
            self._exit, self._exit_code = masked(first[found.start() :]), found["code"]
        if _KILLER.search(first):
            self._killer = between_words(masked(text), MAX_LINE_CHARS)
        if level in ERROR_LEVELS or (level is None and (chain or is_final)):
            self._settle_error(between_words(masked(text), MAX_LINE_CHARS), chain, final=is_final)
        elif chain:
            self._printed = chain

    def _settle_error(self, message: str, chain: tuple[ExceptionInfo, ...], *, final: bool) -> None:
        if final and chain:
            self._raised, self._error, self._final = chain, message, True
        elif not (self._final or self._decided):
            self._raised, self._error = chain, message or None


def _signal(code: str) -> str:
    """Return the name of the signal that ended the process, empty if none did."""
    if code.startswith("Negsignal."):
        return code.removeprefix("Negsignal.")
    number = int(code)
    number = -number if number < 0 else number - 128
    return Signals(number).name if number in {one.value for one in Signals} else ""
