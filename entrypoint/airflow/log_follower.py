"""Follow the log of one try while it grows: each read yields the lines that are new.

A continuation token says where the last read ended, but not in all versions of Airflow: some return
the whole log again (docs/notes/airflow-versions.md#continued-logs). So the follower also counts the
lines that it has passed on, and recognises a log that begins again by its first line. This module
sends nothing; the memory that it needs is bounded.
"""

from __future__ import annotations

import codecs
import json
import re
from base64 import urlsafe_b64decode
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import decompressobj

from entrypoint.airflow.logs import may_be_incomplete
from entrypoint.errors import UnexpectedResponse
from entrypoint.masking import masked_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.airflow.logs import JsonLog
    from entrypoint.airflow.text_log import TextLog
    from entrypoint.models import TaskLog

_MAX_PENDING_CHARS = 1_048_576
"""Characters of one line of a log, and of all that surrounds the lines in a response."""
_MAX_TOKEN_CHARS = 4_096
_SOURCES = "::group::Log message source details"
"""Title of the group in which Airflow names the files that it has read."""
_ESCAPED_UNIT = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^u]"
)
_JSON_STRING = re.compile(rf'(?:[^"\\]+|{_ESCAPED_UNIT.pattern})*')
"""The part of a JSON string that is complete: its escapes are."""
_PYTHON_ESCAPE = re.compile(
    r"\\(?:x(?P<x>[0-9a-f]{2})|u(?P<u>[0-9a-f]{4})|U(?P<U>[0-9a-f]{8})|(?P<one>[^xuU]))"
)
_PYTHON_STRINGS = {
    quote: re.compile(
        rf"(?:[^{quote}\\]+|\\x[0-9a-f]{{2}}|\\u[0-9a-f]{{4}}|\\U[0-9a-f]{{8}}|\\[^xuU])*"
    )
    for quote in "'\""
}
_PYTHON_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}


def _malformed(problem: str) -> UnexpectedResponse:
    return UnexpectedResponse("Airflow's API sent an unexpected response", f"{problem}.", "")


class LogFollower:
    """What is known of the log of one try. Subclasses know the format of an API.

    Attributes:
        token: the continuation token of the next request, None for the whole log.
        complete: whether the last response was complete.
        ended: whether the last response says that the try had ended.
        written: whether the log has had a line of the task.
        sources: where Airflow has looked for the log, or why it could not read it.
        lost: whether the log was replaced by a shorter one, so that lines may be missing.
    """

    def __init__(self) -> None:
        self.token: str | None = None
        self.complete = self.ended = self.written = self.lost = False
        self.sources: list[str] = []
        self._first: str | None = None
        self._skips = False
        """Whether this Airflow was seen to leave out what is before a token."""
        self._total = 0
        """Lines of the whole log that were passed on."""
        self._since_token = 0
        """Lines after the token that were passed on."""
        self._skip = self._index = 0
        self._text = codecs.getincrementaldecoder("utf-8")("replace")

    def begin(self) -> None:
        """Prepare for the response to a request with `token`."""
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._index = 0
        self._skip = self._since_token
        self.complete = False
        if self.token is None:
            self.sources = []

    def consume(self, chunk: bytes) -> bool:
        """Parse a part of the response, and pass on the new lines in it.

        Raises:
            UnexpectedResponse: the response is not a log.
        """
        self._feed(self._text.decode(chunk))
        return True

    def _feed(self, text: str) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Record the end of the response. If it was cut off, the next read continues it.

        Raises:
            UnexpectedResponse: the response is not a log.
        """
        raise NotImplementedError

    def close(self) -> TaskLog:
        """Return what the log says about the end of the try."""
        raise NotImplementedError

    def forget_token(self) -> None:
        """Read the whole log again, without the lines that were passed on."""
        self.token, self._since_token = None, self._total

    def _is_new(self, line: str) -> bool:
        """Count a line of the response, and return whether it has not been passed on yet."""
        if self._index == 0 and self.token is not None and line == self._first and not self._skips:
            # This version of Airflow ignores the token.
            self._since_token = self._skip = self._total
        if self._first is None:
            self._first = line
        self._index += 1
        if self._index <= self._skip:
            return False
        self._since_token += 1
        self._total += 1
        self.written = True
        return True

    def _advance(self, token: str | None) -> None:
        """Continue the next read after this token, if the response had one."""
        self.complete = True
        before = _position(self.token)
        self._skips = self._skips or 0 < before == _position(token) - self._index
        if self._index < self._skip or (
            token is not None and _position(token) < _position(self.token)
        ):
            # The log is shorter than it was.
            self.lost = True
            self.token, self._first, self._total, self._since_token = None, None, 0, 0
        elif token is not None:
            self.token, self._since_token = token, 0


class JsonFollower(LogFollower):
    """Follow a log of Airflow 3: a JSON array with an object for each line.

    Args:
        reader: formats the lines.
    """

    def __init__(self, reader: JsonLog) -> None:
        super().__init__()
        self._reader = reader
        self._objects = _Objects()
        self._in_sources = False
        self._held: dict[str, Any] | None = None
        self._held_before: str | None = None

    def begin(self) -> None:
        """See `LogFollower`."""
        super().begin()
        self._objects, self._in_sources, self._held = _Objects(), False, None

    def _feed(self, text: str) -> None:
        for entry in self._objects.feed(text):
            self._entry(entry)

    def _entry(self, entry: dict[str, Any]) -> None:
        event = str(entry.get("event") or "")
        if self._index == 0 and not self._held and entry.get("timestamp") is None:
            if event == _SOURCES:
                self._in_sources = True
                found = entry.get("sources")  # Airflow 3.0 and 3.1
                self.sources += map(str, found) if isinstance(found, list) else ()
                return
            if self._in_sources:
                self._in_sources = event != "::endgroup::"
                self.sources += [event] if self._in_sources else []
                return
        if self._held:
            self._pass_on(self._held)
        # Perhaps Airflow has read the line while it was being written. The next read shows it.
        self._held = entry if may_be_incomplete(entry) else None
        if not self._held:
            self._pass_on(entry)

    def _pass_on(self, entry: dict[str, Any]) -> None:
        if self._is_new(json.dumps(entry, sort_keys=True)):
            self._reader.entry(entry)

    def end(self) -> None:
        """See `LogFollower`."""
        rest = self._objects.close()
        if rest is None:
            return
        token = rest.get("continuation_token")
        if token is not None and not isinstance(token, str):
            raise _malformed("the continuation token is not a text")
        self.ended = token is None
        held = None if self._held is None else str(self._held.get("event"))
        if self._held and (self.ended or held == self._held_before):
            self._pass_on(self._held)
            self._held = None
        self._held_before = held
        # A token would skip the line that is held back.
        self._advance(None if self._held else token)

    def close(self) -> TaskLog:
        """See `LogFollower`."""
        return self._reader.close()


class TextFollower(LogFollower):
    """Follow a log of Airflow 2: JSON with the Python repr of a list of hosts and texts.

    A token is a number of characters, so the text after it may begin within a line.

    Args:
        reader: formats the lines.
    """

    def __init__(self, reader: TextLog) -> None:
        super().__init__()
        self._reader = reader
        self._content = _Content()
        self._pending, self._open, self._open_shown = "", "", True
        self._in_head = True

    def begin(self) -> None:
        """See `LogFollower`."""
        super().begin()
        self._content, self._pending, self._in_head = _Content(), "", True

    def _feed(self, text: str) -> None:
        for piece in self._content.feed(text):
            *lines, self._pending = (self._pending + piece).split("\n")
            for line in lines:
                self._segment(line)
            if len(self._pending) > _MAX_PENDING_CHARS:
                raise _malformed("a line of the log is too long")

    def _segment(self, line: str) -> None:
        """Handle the text up to a line break."""
        if self._in_head and self._is_head(line):
            return
        continues = self._continues()
        self._in_head = False
        if not self._is_new(line):
            return
        if continues:
            self._end_open_line(line)
        else:
            self._drop_open_line()
            self._reader.line(line)

    def _continues(self) -> bool:
        """Return whether the text now goes on with the last line of an earlier response."""
        return self._in_head and self.token is not None and self._index == 0 and self._total > 0

    def _drop_open_line(self) -> None:
        """Forget a line that was held back: the log is read again, and contains it."""
        self._open, self._open_shown = "", True

    def _is_head(self, line: str) -> bool:
        if self.token is None and line.startswith("*** "):
            self.sources.append(line.removeprefix("*** "))
        return line.startswith("*** ") or line in (f" INFO - {_SOURCES}", " INFO - ::endgroup::")

    def _end_open_line(self, rest: str) -> None:
        """Pass on the last line of an earlier response, or what it lacked."""
        self._total -= self._open_shown  # the rest of a line is no line
        line = rest if self._open_shown else self._open + rest
        self._drop_open_line()
        if line:
            self._reader.line(line)

    def end(self) -> None:
        """See `LogFollower`.

        Airflow removes the last line break, so nobody knows whether the last line is complete. It
        is passed on nevertheless, unless it may end within a secret.
        """
        rest = self._content.close()
        if rest is None:
            return
        token = rest.get("continuation_token")
        if not isinstance(token, str):
            raise _malformed("there is no continuation token")
        self.ended = bool(_payload(token).get("end_of_log", False))
        continued = self._continues()
        line, self._pending = self._pending, ""
        if continued and not line and not self._open_shown:
            self._total += 1
            self._end_open_line("")
        elif line and not (self._in_head and self._is_head(line)):
            self._last_line(line, continued=continued)
        self._advance(token if "log_pos" in _payload(token) else self.token)

    def _last_line(self, line: str, *, continued: bool) -> None:
        if not self._is_new(line):
            return
        if continued:
            self._total -= self._open_shown
            line = line if self._open_shown else self._open + line
        self._open = line
        self._open_shown = self.ended or masked_end(line) == line
        if self._open_shown:
            self._reader.line(line)
        else:
            self._total, self._since_token = self._total - 1, self._since_token - 1

    def close(self) -> TaskLog:
        """See `LogFollower`."""
        if not self._open_shown:
            self._reader.line(masked_end(self._open))
            self._open, self._open_shown = "", True
        return self._reader.close()


class _Objects:
    """Parse `{"content": [{…}, …], …}` in parts."""

    def __init__(self) -> None:
        self._text, self._before, self._inside, self._after = "", "", False, False
        self._decode = json.JSONDecoder().raw_decode

    def feed(self, text: str) -> Iterator[dict[str, Any]]:
        """Yield each complete object of the array."""
        self._text += text
        if not self._inside and not self._after:
            match = re.search(r'"content"\s*:\s*\[', self._text)
            if match is None:
                self._check_size()
                return
            end = match.end()
            self._before, self._text, self._inside = self._text[: end - 1], self._text[end:], True
        at = 0
        while self._inside:
            at = _next_char(self._text, at)
            if at >= len(self._text):
                break
            if self._text[at] == "]":
                self._inside, self._after = False, True
                at += 1
                break
            try:
                entry, at = self._decode(self._text, at)
            except RecursionError:
                raise _malformed("a line is nested too deeply") from None
            except ValueError:
                break  # incomplete
            if not isinstance(entry, dict):
                raise _malformed("a line is not an object")
            yield entry
        self._text = self._text[at:]
        self._check_size()

    def _check_size(self) -> None:
        if len(self._text) > _MAX_PENDING_CHARS:
            raise _malformed("a line of the log is too long")

    def close(self) -> dict[str, Any] | None:
        """Return the rest of the response, None if it is cut off."""
        if self._inside:
            return None
        if not self._after:
            raise _malformed("there is no content")
        return _object(f"{self._before}null{self._text}")


def _next_char(text: str, at: int) -> int:
    while at < len(text) and text[at] in ", \r\n\t":
        at += 1
    return at


class _Content:
    """Parse `{"content": "[('host', 'text'), …]", …}` in parts."""

    def __init__(self) -> None:
        self._text, self._before, self._state = "", "", "before"
        self._repr, self._quote, self._strings = "", "", 0

    def feed(self, text: str) -> Iterator[str]:
        """Yield the pieces of the texts."""
        self._text += text
        if self._state == "before":
            match = re.search(r'"content"\s*:\s*"', self._text)
            if match is None:
                if len(self._text) > _MAX_PENDING_CHARS:
                    raise _malformed("there is no content")
                return
            self._before, self._state = self._text[: match.end() - 1], "inside"
            self._text = self._text[match.end() :]
        if self._state == "inside":
            match = _JSON_STRING.match(self._text)
            end = match.end() if match else 0
            complete = self._text[end : end + 1] == '"'
            if not complete:
                end = _before_escape(self._text, end)
            part, self._text = self._text[:end], self._text[end:]
            if complete:
                self._text, self._state = self._text[1:], "after"
            elif len(self._text) > 2 * _MAX_TOKEN_CHARS:
                raise _malformed("an escape sequence is broken")
            yield from self._texts(json.loads(f'"{part}"', strict=False))
        if len(self._text) > _MAX_PENDING_CHARS:
            raise _malformed("the response is too long")

    def _texts(self, decoded: str) -> Iterator[str]:
        """Parse the repr. The strings at even places are hosts."""
        self._repr += decoded
        while self._repr:
            if not self._quote:
                match = re.search(r"['\"]", self._repr)
                if match is None:
                    self._repr = ""
                    return
                self._quote, self._repr = match[0], self._repr[match.end() :]
                self._strings += 1
                continue
            match = _PYTHON_STRINGS[self._quote].match(self._repr)
            end = match.end() if match else 0
            part, self._repr = self._repr[:end], self._repr[end:]
            if part and self._strings % 2 == 0:
                yield _PYTHON_ESCAPE.sub(_unescape, part)
            if self._repr[:1] != self._quote:
                if len(self._repr) > _MAX_TOKEN_CHARS:
                    raise _malformed("an escape sequence is broken")
                return  # incomplete
            self._quote, self._repr = "", self._repr[1:]

    def close(self) -> dict[str, Any] | None:
        """Return the rest of the response, None if it is cut off."""
        if self._state == "inside":
            return None
        if self._state == "before":
            raise _malformed("there is no content")
        return _object(f'{self._before}""{self._text}')


def _before_escape(text: str, end: int) -> int:
    """Return `end`, or the beginning of half a surrogate pair before it."""
    return end - 6 if re.fullmatch(r"\\u[dD][89abAB][0-9a-fA-F]{2}", text[end - 6 : end]) else end


def _unescape(match: re.Match[str]) -> str:
    if match["one"] is not None:
        return _PYTHON_LETTERS.get(match["one"], match["one"])
    code = int(match["x"] or match["u"] or match["U"], 16)
    return chr(code) if code <= 0x10FFFF else "\ufffd"


def _object(text: str) -> dict[str, Any] | None:
    """Return a JSON object, None if it is cut off."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _payload(token: str | None) -> dict[str, Any]:
    """Return what a token says. Its signature is Airflow's own business.

    It is `payload.signature`, and a compressed payload begins with a dot.
    """
    with suppress(Exception):
        text = (token or "")[:_MAX_TOKEN_CHARS]
        compressed = text.startswith(".")
        data = text.removeprefix(".").split(".")[0]
        raw = urlsafe_b64decode(data + "=" * (-len(data) % 4))
        found = json.loads(decompressobj().decompress(raw, 65_536) if compressed else raw)
        if isinstance(found, dict):
            return found
    return {}


def _position(token: str | None) -> int:
    position = _payload(token).get("log_pos")
    return position if isinstance(position, int) and token is not None else 0
