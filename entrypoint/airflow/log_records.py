"""Recognise where a record of Airflow 2's log begins. Pure.

The format of the records is an option of each installation: `[logging] log_format`, or a formatter
of its own. A line that begins no record continues the record before it, for example a traceback.
"""

from __future__ import annotations

import json
import re
from enum import IntEnum
from typing import Any, NamedTuple

from entrypoint.masking import ESCAPES


class Format(IntEnum):
    """Formats of a record, the least certain first."""

    BARE = 0
    """No head at all: known only by a message of Airflow."""
    LEVEL = 1
    """A level without a time stamp."""
    STAMP = 2
    """A time stamp without a level."""
    STAMP_AND_LEVEL = 3
    JSON = 4
    """A JSON object in one line."""
    AIRFLOW = 5
    """Airflow's own format."""


class Record(NamedTuple):
    """The first line of a record.

    Attributes:
        format: how it was recognised.
        level: its level in upper case, None if it has none.
        message: the text after the head.
    """

    format: Format
    level: str | None
    message: str


_MAX_HEAD_CHARS = 300
_MAX_FIELDS = 6
_LEVELS = "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|EXCEPTION|CRITICAL|FATAL|SEVERE"
_AIRFLOW = re.compile(
    r"(?:\[\d{4}-[^\]]{5,60}\] ?){1,3}\{{1,2}[^}]{1,200}\}{1,2} (?P<level>[A-Z]{4,8}) - "
)
"""`[2026-11-20T09:52:17.555+0000] {file.py:12} ERROR - text`

MWAA and 2.0.1 double the braces, and CloudWatch may put a time stamp before it. The form of the
time stamp differs between versions.
"""
_TIME = (
    r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?: ?[AP]M\b)?"
    rf"(?: ?(?:Z\b|[+-]\d\d:?\d\d\b|(?!(?:{_LEVELS})\b)[A-Z]{{3,5}}\b))?"
)
_DATE = (
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    r"|[A-Z][a-z]{2} {1,2}\d{1,2}(?:,? \d{4})?)"
)
_STAMP = re.compile(
    r"[\[({<\"']{0,2}(?:(?i:time|timestamp|asctime|ts)=[\"']?)?"
    rf"(?:{_DATE}(?:T|,? ){_TIME}|(?P<part>{_TIME}|{_DATE}(?!\w))"
    r"|\d{10}(?:\d{3})?(?:[.,]\d{1,9})?\b)"
    r"[\])}>\"':,]{0,3}(?=[\s|\[({<]|[-:]|$)"
)
_LEVEL = re.compile(
    rf"(?:[\[({{<]?\s{{0,8}}(?P<plain>{_LEVELS})\b(?!=)"
    rf"|[\[({{<](?P<bracketed>(?i:{_LEVELS}))(?=\s{{0,8}}[\])}}>])"
    rf"|(?i:level|levelname|lvl|severity)=[\"']?(?P<named>(?i:{_LEVELS}))\b[\"']?)"
    r"(?:/[\w-]{1,60})?\s{0,8}[\])}>]?"
)
_FIELD = re.compile(
    r"[\[({<]{1,2}[^\])}>]{0,200}[\])}>]{1,2}:?"
    r"|\w{1,40}=(?:\"[^\"]{0,200}\"|\S{1,200})"
    r"|(?=\S{0,200}[._/@#\d])[\w./:@#*+-]{1,200}"
    r"|\w{1,100}(?=\s{0,8}[-|:]\s)"
    rf"|[a-z]\w{{0,60}}(?=\s{{1,8}}(?:{_LEVELS})\b)"
)
_SEPARATORS = re.compile(r"[\s|:;,\-]{0,20}")
_AFTER_STAMP = re.compile(r" ?[|:;,\-]{1,3} ?| ?")
_AFTER_LEVEL = re.compile(r"\s{0,20}[|:;,\-]{1,3} ?| ?")
"""What separates a head from the message. A level may be padded."""
_SUBTASK = re.compile(r"Job \d+: Subtask \S+ ?")
"""With `run_as_user`, Airflow puts this before each line that the task's process writes."""
_MESSAGES = re.compile(
    r"Dependencies (?:all|not) met for|Starting attempt \d|Executing <|Started process \d"
    r"|Running(?:: \[| <TaskInstance)|Exporting (?:env vars|the following env vars)"
    r"|Task failed with exception|(?:\w[\w ]*\. )?Marking task as [A-Z]|Failed to execute job \d"
    r"|Task exited with return code|\d+ downstream tasks scheduled"
    r"|State of this instance has been externally set|Received SIGTERM\b|Sending (?:the signal )?\d"
    r"|Process psutil\.|Detected zombie job|Command exited with return code|Running command:"
    r"|Done\. Returned value was:|Job \d+ was killed before|::(?:end)?group::"
)
"""Messages of Airflow itself. They show a record even if the format has no head."""
_CERTAIN_MESSAGES = re.compile(
    r"\b(?:Task failed with exception|Marking task as (?:FAILED|UP_FOR_RETRY)\b"
    r"|Task exited with return code |Job \d+ was killed before)"
)
"""Messages that show a record even behind a head that is not recognised."""
_SIGN = re.compile(r"[^\x00-\x7f]{1,4} ")
"""An emoji before a head."""
_JSON_MESSAGES = ("message", "msg", "event", "text", "textPayload")
_JSON_LEVELS = ("levelname", "level", "severity", "log.level", "loglevel", "lvl")
_JSON_STAMPS = ("asctime", "timestamp", "@timestamp", "time", "ts", "datetime")
_TRACEBACK = "Traceback (most recent call last):"
_MAX_DEPTH = 3


class JsonRecord(NamedTuple):
    """A record that is a JSON object.

    Attributes:
        lines: the record as text: a head, the message, and the tracebacks of other fields.
        record: its first line.
        structured: the exceptions in the form of structlog, None if there are none.
    """

    lines: tuple[str, ...]
    record: Record
    structured: Any


class RecordFormats:
    """Recognises the records of one log, whatever their format is.

    A log has one format, so what looks like a record of another one is a part of a message: a
    less certain format counts only if the log has no other one.
    """

    def __init__(self) -> None:
        self._seen = dict.fromkeys(Format, 0)

    def first_line(self, text: str, within: Format | None, *, frames: bool) -> Record | None:
        """Return the record that a line begins, None if it continues the record before it.

        Args:
            text: the line, without terminal escape sequences.
            within: the format of the record whose traceback the line follows, None without one.
            frames: whether the exception of this traceback is yet to come.
        """
        record = _airflow(text) or _own(text) or _bare(text)
        if record is None or not self._counts(record.format, within, frames=frames):
            return None
        self._seen[record.format] += 1
        return record

    def json(self, line: str, within: Format | None) -> JsonRecord | None:
        """Return the record if the line is a JSON object with a message, otherwise None."""
        if not line.startswith("{") or within not in (None, Format.JSON):
            return None
        found = _json(line)
        if found is not None:
            self._seen[Format.JSON] += 1
        return found

    def _counts(self, form: Format, within: Format | None, *, frames: bool) -> bool:
        if form == Format.AIRFLOW:
            return True
        if form == Format.STAMP_AND_LEVEL:
            return within in (None, form)
        more_certain = sum(count for other, count in self._seen.items() if other > form)
        # The line of an exception may look like a level: `sales.NoAmount: ERROR 7`.
        is_exception = frames and form != Format.STAMP
        return self._seen[form] >= more_certain and within in (None, form) and not is_exception


def unprefixed(message: str) -> str | None:
    """Return what the process of a task with `run_as_user` wrote, None for any other message."""
    match = _SUBTASK.match(message)
    return message[match.end() :] if match else None


def _airflow(text: str) -> Record | None:
    match = _AIRFLOW.match(text)
    return Record(Format.AIRFLOW, match["level"], text[match.end() :]) if match else None


def _own(text: str) -> Record | None:
    """Read the fields of a head one by one, up to the level."""
    head = text[:_MAX_HEAD_CHARS]
    if not head or head[0].isspace():
        return None
    at = sign.end() if (sign := _SIGN.match(head)) else 0
    after_stamp, is_part = 0, False
    for _ in range(_MAX_FIELDS):
        if not after_stamp and (match := _STAMP.match(head, at)):
            at = after_stamp = match.end()
            is_part = match["part"] is not None
        elif match := _LEVEL.match(head, at):
            return _levelled(text, head, match, stamped=after_stamp > 0)
        elif match := _FIELD.match(head, at):
            at = match.end()
        else:
            break
        at = _skip(head, at)
    if after_stamp and not is_part:
        return Record(Format.STAMP, None, _message(text, after_stamp, _AFTER_STAMP))
    return None


def _levelled(text: str, head: str, match: re.Match[str], *, stamped: bool) -> Record:
    level, end = (match["plain"] or match["bracketed"] or match["named"]).upper(), match.end()
    if not stamped and (stamp := _STAMP.match(head, _skip(head, end))):
        stamped, end = True, stamp.end()
    form = Format.STAMP_AND_LEVEL if stamped else Format.LEVEL
    return Record(form, level, _message(text, end, _AFTER_LEVEL))


def _message(text: str, end: int, separator: re.Pattern[str]) -> str:
    """Return the text after a head, with its indentation, which matters in a traceback."""
    match = separator.match(text, end)
    return text[match.end() if match else end :]


def _skip(head: str, at: int) -> int:
    match = _SEPARATORS.match(head, at)
    return match.end() if match else at


def _bare(text: str) -> Record | None:
    if _MESSAGES.match(text):
        return Record(Format.BARE, None, text)
    match = _CERTAIN_MESSAGES.search(text[:_MAX_HEAD_CHARS])
    return Record(Format.BARE, None, text[match.start() :]) if match else None


def _json(line: str) -> JsonRecord | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    message = _first(found, _JSON_MESSAGES, str)
    if message is None:
        return None
    level, stamp = _json_level(found), _first(found, _JSON_STAMPS, str)
    structured = next(
        (found[key] for key in ("error_detail", "exception", "exc_info") if _is_chain(found, key)),
        None,
    )
    traces = [text for text in _texts(found) if _TRACEBACK in text and text.strip() not in message]
    if level is None and stamp is None and not traces and _TRACEBACK not in message:
        return None
    head = f"{f'[{stamp}] ' if stamp else ''}{f'{level} - ' if level else ''}"
    first, *rest = message.splitlines() or [""]
    lines = [first, *rest, *(one for text in traces for one in text.splitlines())]
    return JsonRecord((f"{head}{first}", *lines[1:]), Record(Format.JSON, level, first), structured)


def _first(found: dict[str, Any], keys: tuple[str, ...], kind: type) -> Any:
    return next((found[key] for key in keys if isinstance(found.get(key), kind)), None)


def _json_level(found: dict[str, Any]) -> str | None:
    level = _first(found, _JSON_LEVELS, str)
    if level is None and isinstance(log := found.get("log"), dict):
        level = _first(log, ("level",), str)
    if level is None and (number := _first(found, ("levelno", "level"), int)) is not None:
        level = "ERROR" if number >= 40 else "INFO"  # Python's numbers
    return level.upper() if level is not None else None


def _is_chain(found: dict[str, Any], key: str) -> bool:
    value = found.get(key)
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


def _texts(value: Any, depth: int = 0) -> list[str]:
    """Return the texts in a JSON value."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, dict) or depth == _MAX_DEPTH:
        return []
    return [text for one in value.values() for text in _texts(one, depth + 1)]


def without_escapes(text: str) -> str:
    """Return a line without the colours of a terminal."""
    return ESCAPES.sub("", text) if "\x1b" in text or "\x9b" in text else text
