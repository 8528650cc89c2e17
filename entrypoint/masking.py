"""The secrets that this process knows, and text without them. The lowest floor; the list is its
only state.

GitHub's runner replaces a secret where it stands as it is, and in some encodings; other systems
replace nothing. What escapes, joins or cuts text takes the secrets out before, by `masked`, or half
of one stays, or one that the runner does not know again (docs/notes/runner.md#masking).
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ "
    r"-/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[!-/]*[0-~]"
)
"""Escape sequences of terminals, in seven bits and in eight: colours, cursor, titles. GitLab's log
obeys some of its own.
"""
_INVISIBLE = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
_HAS_INVISIBLE = re.compile(_INVISIBLE)
"""Characters that nobody sees and that break no line. Every escape sequence begins with one."""
_UNSEEN = re.compile(f"{ESCAPES.pattern}|{_INVISIBLE}")
_MASK = "***"
_SHORTEST_IN_BASE64 = 8
"""Bytes of a secret that is looked for in Base64; of fewer so little is left that others' text may
be like it.
"""
_WORD = re.compile(r"[A-Za-z0-9]+")
_known: dict[str, set[str]] = {}
"""What secrets are written as, by a word that nothing escapes: most lines do not have it, and are
looked at no further.
"""


def add(secret: str, shortest: int = 1) -> None:
    """Mask the secret from here on: whole, each of its lines, and as JSON, HTML, URLs, Python and
    Base64 write them.

    Args:
        secret: it; a blank one is none.
        shortest: characters of a line or of what it is written as, below which it is not masked.
    """
    for line in {line.strip() for line in (secret, *secret.splitlines())}:
        word = max(_WORD.findall(line), key=len, default="")
        for form in _forms(line) if len(line) >= max(shortest, 1) else ():
            if len(form) >= shortest:
                _known.setdefault(word if word in form else form, set()).add(form)


def masked(text: str) -> str:
    """Return the text with *** in place of each secret, also of one that escape sequences
    divide.
    """
    return _without(text, _stretches(text))


def masked_end(text: str, shortest: int = 1) -> str:
    """Return a text that was cut at its end with *** in place of the beginning of a secret there.
    Nothing else is masked.

    Args:
        text: it.
        shortest: characters of a beginning that is masked.
    """
    stretches = _stretches(text, shortest)
    return _without(text, stretches[-1:] if stretches and stretches[-1][1] == len(text) else [])


def masked_head(data: bytes, limit: int) -> str:
    """Return the first bytes of a text without secrets, and without half of one where it is cut."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(
        data[:limit], final=len(data) <= limit
    )
    return masked(text if len(data) <= limit else masked_end(text))


def forget() -> None:
    """Know no secret any more."""
    _known.clear()


def _stretches(text: str, end: int = 0) -> list[tuple[int, int]]:
    """Return where secrets stand, in order; those that overlap or touch are one, or a part of the
    second would stay.

    Args: text: it. end: characters of a secret's beginning that is one at the end of the text; 0 if
        the text was not cut.
    """
    if not _known:
        return []
    found = _places(text, end)
    if _HAS_INVISIBLE.search(text):
        gone = [match.span() for match in _UNSEEN.finditer(text)]
        if more := _places(_UNSEEN.sub("", text), end):
            bounds = [0, *(bound for span in gone for bound in span), len(text)]
            at = [
                place for start, stop in list(pairwise(bounds))[::2] for place in range(start, stop)
            ]
            found += [(at[start], at[stop - 1] + 1) for start, stop in more]
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _places(text: str, end: int) -> list[tuple[int, int]]:
    # `in` is faster than one pattern of them all.
    near = (forms for word, forms in _known.items() if word in text)
    found = [
        place
        for forms in near
        for form in forms
        if form in text
        for place in _occurrences(text, form)
    ]
    if end and (size := _open_end(text, end)):
        found.append((len(text) - size, len(text)))
    return found


def _occurrences(text: str, secret: str) -> Iterator[tuple[int, int]]:
    at = text.find(secret)
    while at >= 0:
        yield at, at + len(secret)
        at = text.find(secret, at + 1)


def _open_end(text: str, shortest: int) -> int:
    """Return how many characters at the end of the text are the beginning of a secret."""
    secrets = {form for forms in _known.values() for form in forms}
    for size in range(min(max(map(len, secrets)) - 1, len(text)), shortest - 1, -1):
        tail = text[-size:]
        if any(len(secret) > size and secret.startswith(tail) for secret in secrets):
            return size
    return 0


def _without(text: str, stretches: list[tuple[int, int]]) -> str:
    bounds = [0, *(bound for stretch in stretches for bound in stretch), len(text)]
    return _MASK.join(text[start:stop] for start, stop in list(pairwise(bounds))[::2])


def _forms(line: str) -> set[str]:
    """Return what a line of a secret may be written as. Also one in another: JSON in JSON or in a
    page, a page in JSON.
    """
    data = line.encode(errors="backslashreplace")
    in_base64 = set(_base64(data)) if len(data) >= _SHORTEST_IN_BASE64 else set[str]()
    plain = {*_json(line), *_html(line), *_python(line)}
    nested = {form for one in plain for form in (*_json(one), *_escaped(one))}
    quotes = {
        line.replace("'", "''"),
        line.replace('"', '\\"'),
        line.replace("'", "'\"'\"'"),
    }  # YAML and SQL, INI, shells
    urls = {form for one in (line, *in_base64) for form in _urls(one)}
    return {line, *plain, *nested, *quotes, *in_base64, *urls}


def _json(text: str) -> set[str]:
    ascii_only = json.dumps(text)[1:-1]
    plain = {ascii_only, json.dumps(text, ensure_ascii=False)[1:-1]}
    upper = re.sub(r"\\u[0-9a-f]{4}", lambda match: rf"\u{match[0][2:].upper()}", ascii_only)
    # Go and Flask write what acts in HTML as numbers, PHP escapes the slash.
    acts = ("[<>&]", "[<>&']")
    no_html = {
        re.sub(some, lambda match: f"\\u{ord(match[0]):04x}", form)
        for form in plain
        for some in acts
    }
    return {*plain, upper, *no_html, *(form.replace("/", "\\/") for form in plain)}


def _html(text: str) -> set[str]:
    escaped, in_attribute = _escaped(text)
    forms = {
        escaped.replace('"', double).replace("'", single)
        for double in ('"', "&quot;", "&#34;", "&#x22;")
        for single in ("'", "&#39;", "&#x27;", "&apos;")
    }
    return {*forms, in_attribute.encode("ascii", "xmlcharrefreplace").decode()}


def _escaped(text: str) -> tuple[str, str]:
    """Return the text as HTML has it between tags, and in an attribute. Python's own module for it
    is slow to load.
    """
    between = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return between, between.replace('"', "&quot;").replace("'", "&#x27;")


def _python(text: str) -> set[str]:
    # The quotes in front decide which of the two Python chooses, as the text around a secret may.
    data = text.encode(errors="backslashreplace")
    return {repr(text)[1:-1], repr(f"'\"{text}")[4:-1], ascii(text)[1:-1], repr(data)[2:-1]}


def _urls(text: str) -> set[str]:
    """Return the text as paths and forms have it, as JavaScript's two functions write it, and
    escaped twice.
    """
    ways = [
        quote(text, safe, errors="backslashreplace")
        for safe in ("/", "", "!'()*", "!#$&'()*+,/:;=?@[]")
    ]
    forms = {*ways, quote_plus(text, errors="backslashreplace"), quote(ways[1], safe="")}
    return {
        *forms,
        *(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in forms),
    }


def _base64(data: bytes) -> Iterator[str]:
    """Yield what is seen of the data in Base64, wherever it begins in what was encoded: what no
    neighbour can change.
    """
    for before in range(3):
        whole = (before + len(data)) % 3 == 0
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(before) + data).decode().rstrip("=")
            yield text[(0, 2, 3)[before] : None if whole else -1]
