"""Mask the secrets in a job's log. Must not know steps, files or commands."""

import base64
import json
import re
from collections.abc import Iterator
from itertools import chain, pairwise
from urllib.parse import quote
from xml.sax.saxutils import escape

# The runner does not mask shorter parts of a secret.
_MIN_QUOTED = 9  # characters
_MIN_SECTION = 6  # characters


class Masker:
    """Replaces every secret, and its encodings that the runner derives, by `***`.

    Measured: docs/notes/runner.md#masking.
    """

    def __init__(self) -> None:
        self._needles: set[str] = set()

    def add(self, secret: str) -> None:
        """Mask `secret` from now on. An empty one is ignored."""
        if secret:
            self._needles |= {needle for needle in _encodings(secret) if needle}

    def mask(self, text: str) -> str:
        """Return `text` with `***` in place of each secret.

        Secrets that touch or overlap become one `***`.
        """
        hits = sorted(
            (at, at + len(needle)) for needle in self._needles for at in _positions(text, needle)
        )
        stretches: list[tuple[int, int]] = []
        for start, end in hits:
            if stretches and start <= stretches[-1][1]:
                stretches[-1] = (stretches[-1][0], max(stretches[-1][1], end))
            else:
                stretches.append((start, end))
        bounds = [0, *chain.from_iterable(stretches), len(text)]
        return "***".join(text[start:end] for start, end in list(pairwise(bounds))[::2])


def _positions(text: str, needle: str) -> Iterator[int]:
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)


def _encodings(secret: str) -> Iterator[str]:
    """Yield `secret` and the forms in which tools are known to print it."""
    yield secret
    data = secret.encode(errors="replace")
    for shift in range(3):  # as it appears when other text precedes it
        yield base64.b64encode(data[shift:] if len(data) > shift else data).decode()
    yield secret.replace('"', '\\"')
    yield secret.replace("'", "''")
    escaped = json.dumps(secret, ensure_ascii=False)[1:-1]
    yield re.sub("[\x85\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", escaped)
    yield quote(secret, safe="")
    yield escape(secret, {'"': "&quot;", "'": "&apos;"})
    if len(secret) >= _MIN_QUOTED and secret[0] == secret[-1] == '"':
        yield secret[1:-1]
    yield from (section for section in _ampersand_sections(secret) if len(section) >= _MIN_SECTION)


def _ampersand_sections(secret: str) -> tuple[str, ...]:
    """Return the parts around the `&` at which PowerShell cuts a command line in an error."""
    if "&+" in secret:
        cut = secret.index("&+") + 2
        # PowerShell prints the letter after `&+` in another colour.
        return secret[:cut], secret[cut + 1 :]
    before, ampersand, after = secret.rpartition("&")
    return (before + ampersand, after) if ampersand else ()
