"""Parse each kind of input: return a value, or raise `ParseError`.

Only `json_file` and `file_text` do I/O. Names of inputs and rules about two inputs belong to
`settings.py`.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from math import inf, isfinite
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from entrypoint.models import Json, JsonObject

Word = TypeVar("Word", bound=str)

TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_SHA = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)

_OBJECT_HINT = 'Write a JSON object like {"region": "APAC"}, with double quotes.'
MAX_WAIT_SECONDS = 35 * 86_400
"""Seconds. GitHub ends every workflow run after 35 days, so a longer time must be a typo."""


MAX_CONF_BYTES = 1_000_000
"""Bytes of the largest conf, as JSON in UTF-8. Airflow keeps the conf of each run in its database,
and loads it with the run.
"""
_MAX_CONF_FILE_BYTES = 16_000_000
"""Bytes of a file with a conf above which it is not even read."""


class ParseError(ValueError):
    """An invalid value, with the problem and the remedy as one sentence each."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


def quoted(text: str) -> str:
    """Return the text as one quoted line, or only its length if it is long.

    Never quote a part of it, because the runner does not mask a part of a secret.
    """
    return (
        json.dumps(text, ensure_ascii=not text.isprintable())
        if len(text) <= 200
        else f"a text of {len(text)} characters"
    )


def boolean(text: str) -> bool:
    """Parse a YAML 1.2 boolean, without guessing at other forms."""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ParseError(f"{quoted(text)} is not a boolean.", "Write true or false.")


def choice(*allowed: Word) -> Callable[[str], Word]:
    """Return a parser that accepts only these words."""

    def parse(text: str) -> Word:
        for word in allowed:
            if text == word:
                return word
        raise ParseError(
            f"{quoted(text)} is not one of the allowed values.",
            f"Write {', '.join(allowed[:-1])} or {allowed[-1]}.",
        )

    return parse


def duration(text: str) -> float:
    """Parse a duration (`90`, `0.5`, `90s`, `45m`, `2h`, `1h30m`) into seconds.

    It must be more than 0 seconds and at most 35 days.
    """
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif match := _DURATION.fullmatch(text):
        hours, minutes, rest = (int(part or 0) for part in match.groups())
        seconds = float(hours * 3600 + minutes * 60 + rest)
    else:
        raise ParseError(
            f"{quoted(text)} is not a duration.",
            "Write seconds, or a form like 90s, 45m, 2h or 1h30m.",
        )
    if not 0 < seconds <= MAX_WAIT_SECONDS:
        raise ParseError(
            f"{quoted(text)} is out of range.",
            "Write more than 0 seconds and at most 35 days (840h).",
        )
    return seconds


def duration_or_zero(text: str) -> float:
    """Parse a duration that may be 0."""
    return 0.0 if re.fullmatch(r"0+s?", text, re.ASCII) else duration(text)


def interval(text: str) -> float:
    """Parse a duration of at least one second."""
    seconds = duration(text)
    if seconds < 1:
        raise ParseError(
            f"{quoted(text)} is less than 1 second.",
            "Write 1 or more, because each poll costs Airflow some work.",
        )
    return seconds


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not (
            text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most
        ):
            raise ParseError(
                f"{quoted(text)} is not a whole number from {least} to {most}.",
                "Write one like 100.",
            )
        return int(text)

    return parse


def commit(text: str) -> str:
    """Parse a full commit SHA, because a branch or a short SHA may mean another commit later."""
    if not _SHA.fullmatch(text):
        raise ParseError(
            f"{quoted(text)} is not a full commit SHA.",
            "Write all 40 hexadecimal digits, like ${{ github.sha }}; no branch, tag or short SHA.",
        )
    return text.lower()


def environment(text: str) -> str:
    """Parse the name of a GitHub environment: one line, at most 255 characters as JSON.

    Such a name fits into the run's note.
    """
    if not text.isprintable() or len(json.dumps(text, ensure_ascii=False)) > 257:
        raise ParseError(
            f"{quoted(text)} cannot be an environment.",
            "Write a name on one line, of at most 255 characters; quotes and backslashes count "
            "twice.",
        )
    return text


def rfc3339_datetime(text: str) -> datetime:
    """Parse an RFC 3339 date with an offset into an aware datetime."""
    if _RFC3339.fullmatch(text.upper()):
        with suppress(ValueError, OverflowError):
            date = datetime.fromisoformat(text.upper())
            # On the first and the last day of the calendar, the UTC date may be out of range.
            date.astimezone(UTC)
            return date
    raise ParseError(
        f"{quoted(text)} is not an RFC 3339 date with an offset.",
        "Write a form like 2026-01-31T00:00:00Z or 2026-01-31T00:00:00+01:00.",
    )


def _no_constant(name: str) -> NoReturn:
    raise ParseError(
        f"it contains {name}, which JSON does not allow.",
        "Write a number, a string or null instead.",
    )


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ParseError(
            f"the number {digits[:20]}… is too long.", "Write it as a string."
        ) from None


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ParseError(f"the number {digits[:20]} is too large.", "Write it as a string.")
    return number


def _no_duplicates(pairs: list[tuple[str, Json]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [key for key, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ParseError(f"the key {quoted(duplicate)} is given twice.", "Keep one of the two.")
    return result


def json_object(text: str) -> JsonObject:
    """Parse a JSON object strictly: without NaN, Infinity and duplicate keys.

    With NaN or Infinity, Airflow's responses would be invalid JSON.
    """
    try:
        value = json.loads(
            text,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
            object_pairs_hook=_no_duplicates,
        )
    except json.JSONDecodeError as error:
        raise ParseError(
            f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            _OBJECT_HINT,
        ) from None
    except RecursionError:
        raise ParseError("it is nested too deeply.", "Flatten it.") from None
    if not isinstance(value, dict):
        raise _not_an_object(value)
    return value


def _not_an_object(value: Json) -> ParseError:
    """Return the error for JSON that is no object; most of it is made by `toJSON`."""
    what, remedy = "a number", _OBJECT_HINT
    if value is None:
        what = "null"
        remedy = (
            "Check the expression: toJSON of what an event lacks is null, and only "
            "workflow_dispatch has github.event.inputs. Write "
            "${{ toJSON(github.event.inputs || fromJSON('{}')) }} for other events."
        )
    elif isinstance(value, str):
        what = "a string"
        with suppress(ValueError, RecursionError):
            if isinstance(json.loads(value), dict):
                what = "a string that contains an object"
                remedy = "Remove a toJSON() or a pair of quotes around it."
    elif isinstance(value, bool):
        what = "a boolean"
    elif isinstance(value, list):
        what = "an array"
        remedy = 'Give the array a name: {"items": […]}.'
    return ParseError(f"it is {what}, not an object.", remedy)


def conf_object(text: str) -> JsonObject:
    """Parse the conf of a DAG run: a JSON object of at most MAX_CONF_BYTES."""
    found = json_object(text)
    if (size := conf_size(found)) > MAX_CONF_BYTES:
        raise _too_large(size)
    return found


def conf_size(conf: JsonObject) -> int:
    """Return the size of a conf as JSON, in bytes."""
    return len(json.dumps(conf, ensure_ascii=False).encode(errors="surrogatepass"))


def json_file(text: str, workspace: Path) -> JsonObject:
    """Parse the conf in a file of the workspace."""
    return conf_object(file_text(text, workspace, _MAX_CONF_FILE_BYTES))


def _too_large(size: int) -> ParseError:
    return ParseError(
        f"it has {size:,} bytes, and a conf may have at most {MAX_CONF_BYTES:,}.",
        "Store the data where the DAG can read it, for example in a bucket or a table, and give a "
        "reference to it in the conf: a path, a URL or a key.",
    )


def file_text(text: str, workspace: Path, max_bytes: float = inf) -> str:
    """Return the text of a file in the workspace.

    Refuse links that lead out of the workspace, because its content is not trusted.

    Args:
        text: path of the file.
        workspace: directory of the checkout.
        max_bytes: size of the largest conf that is read.
    """
    try:
        # A path cannot contain NUL.
        path = (workspace / text.replace("\0", "\N{REPLACEMENT CHARACTER}")).resolve()
        if not path.is_relative_to(workspace.resolve()):
            raise ParseError(
                f"{quoted(text)} leads out of the workspace.",
                "Name a file of the checkout, by a relative path.",
            )
        if not path.is_file():
            raise ParseError(
                f"there is no file {quoted(text)} in the workspace.",
                "Check the path, and that actions/checkout runs before this step.",
            )
        if (size := path.stat().st_size) > max_bytes:
            raise _too_large(size)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ParseError(f"the file {quoted(text)} is not UTF-8.", "Save it as UTF-8.") from None
    except OSError as error:
        raise ParseError(
            f"the file {quoted(text)} cannot be read: {error.strerror}.",
            "Check the path and its permissions.",
        ) from None
    except RuntimeError:
        raise ParseError(
            f"{quoted(text)} is a loop of symbolic links.", "Name a file of the checkout."
        ) from None


def header_token(text: str) -> str:
    """Parse a token that is valid in an HTTP header. Error messages never quote it."""
    if text.lower().startswith("bearer "):
        raise ParseError(
            "it begins with the word Bearer.",
            "Give the token alone, because the action adds that word.",
        )
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ParseError(
            "it contains spaces, line breaks or characters outside ASCII.",
            "Store the token again, alone and on one line, without typographic quotes or dashes.",
        )
    return text
