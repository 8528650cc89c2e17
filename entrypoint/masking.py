"""Mask secrets in text. The list of known secrets is the only state of this module.

GitHub's runner masks a secret in its plain form and in some encodings; other systems mask nothing.
So code that escapes, joins or cuts text calls `masked` first. Otherwise half of a secret, or a form
that the runner does not recognize, would stay in the text (docs/notes/runner.md#masking).
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
"""Terminal escape sequences (colours, cursor, titles), with 7-bit and 8-bit introducers. GitLab's
log interprets some of its own.
"""
_INVISIBLE_CHARS = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
_INVISIBLE_PATTERN = re.compile(_INVISIBLE_CHARS)
"""Invisible characters that do not break a line. Every escape sequence begins with one."""
_ESCAPES_AND_INVISIBLE = re.compile(f"{ESCAPES.pattern}|{_INVISIBLE_CHARS}")
_MASK = "***"
_MIN_BASE64_BYTES = 8
"""Bytes of the shortest secret that is masked in Base64. The Base64 form of a shorter one could
occur in other text by chance.
"""
_WORD = re.compile(r"[A-Za-z0-9]+")
_known: dict[str, set[str]] = {}
"""The forms of the secrets, keyed by a word that no encoding changes. Most lines do not contain the
word, so that no search for the forms is necessary.
"""


def add(secret: str, shortest: int = 1) -> None:
    """Mask the secret and each of its lines from now on, also in their encoded forms.

    The encodings are JSON, HTML, URLs, Python and Base64.

    Args:
        secret: the secret; a blank one is ignored.
        shortest: minimum length of a masked line or encoded form, in characters.
    """
    for line in {line.strip() for line in (secret, *secret.splitlines())}:
        word = max(_WORD.findall(line), key=len, default="")
        for form in _forms(line) if len(line) >= max(shortest, 1) else ():
            if len(form) >= shortest:
                _known.setdefault(word if word in form else form, set()).add(form)


def remove(secret: str) -> None:
    """Forget a secret of one line, because it is worthless by now."""
    forms = _forms(secret)
    for word in {max(_WORD.findall(secret), key=len, default=""), *forms} & _known.keys():
        _known[word] -= forms
        if not _known[word]:
            del _known[word]


def masked(text: str) -> str:
    """Replace each secret in a text with ***, even if escape sequences divide it."""
    return _replace(text, _secret_spans(text))


def masked_end(text: str, shortest: int = 1) -> str:
    """Replace the beginning of a secret at the end of a truncated text with ***.

    Nothing else is masked.

    Args:
        text: the truncated text.
        shortest: minimum length of a masked beginning, in characters.
    """
    spans = _secret_spans(text, shortest)
    return _replace(text, spans[-1:] if spans and spans[-1][1] == len(text) else [])


def masked_head(data: bytes, limit: int) -> str:
    """Decode and mask the first `limit` bytes of a text, including half a secret at the cut."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(
        data[:limit], final=len(data) <= limit
    )
    return masked(text if len(data) <= limit else masked_end(text))


def forget() -> None:
    """Forget all secrets."""
    _known.clear()


def _secret_spans(text: str, end: int = 0) -> list[tuple[int, int]]:
    """Return the spans of all secrets in a text, in order.

    Overlapping and adjacent spans are merged, so that no part of the second secret stays.

    Args:
        text: the text.
        end: minimum length of a secret's beginning at the end of the text, in characters; 0 if the
            text is not truncated.
    """
    if not _known:
        return []
    found = _find_forms(text, end)
    if _INVISIBLE_PATTERN.search(text):
        hidden = [match.span() for match in _ESCAPES_AND_INVISIBLE.finditer(text)]
        if more := _find_forms(_ESCAPES_AND_INVISIBLE.sub("", text), end):
            bounds = [0, *(bound for span in hidden for bound in span), len(text)]
            positions = [
                index for start, stop in list(pairwise(bounds))[::2] for index in range(start, stop)
            ]
            found += [(positions[start], positions[stop - 1] + 1) for start, stop in more]
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _find_forms(text: str, end: int) -> list[tuple[int, int]]:
    # `in` is faster than one regular expression for all forms.
    candidates = (forms for word, forms in _known.items() if word in text)
    found = [
        span
        for forms in candidates
        for form in forms
        if form in text
        for span in _occurrences(text, form)
    ]
    if end and (size := _cut_secret_length(text, end)):
        found.append((len(text) - size, len(text)))
    return found


def _occurrences(text: str, secret: str) -> Iterator[tuple[int, int]]:
    at = text.find(secret)
    while at >= 0:
        yield at, at + len(secret)
        at = text.find(secret, at + 1)


def _cut_secret_length(text: str, shortest: int) -> int:
    """Return the length of a secret's beginning at the end of the text, 0 if there is none."""
    secrets = {form for forms in _known.values() for form in forms}
    for size in range(min(max(map(len, secrets)) - 1, len(text)), shortest - 1, -1):
        tail = text[-size:]
        if any(len(secret) > size and secret.startswith(tail) for secret in secrets):
            return size
    return 0


def _replace(text: str, spans: list[tuple[int, int]]) -> str:
    bounds = [0, *(bound for span in spans for bound in span), len(text)]
    return _MASK.join(text[start:stop] for start, stop in list(pairwise(bounds))[::2])


def _forms(line: str) -> set[str]:
    """Return all encoded forms of a line of a secret.

    Nested encodings are included: JSON in JSON, JSON in HTML, HTML in JSON.
    """
    data = line.encode(errors="backslashreplace")
    in_base64 = set(_base64(data)) if len(data) >= _MIN_BASE64_BYTES else set[str]()
    plain = {*_json(line), *_html(line), *_python(line)}
    nested = {form for one in plain for form in (*_json(one), *_escaped(one))}
    quotes = {
        line.replace("'", "''"),  # YAML and SQL
        line.replace('"', '\\"'),  # INI
        line.replace("'", "'\"'\"'"),  # shells
    }
    urls = {form for one in (line, *in_base64) for form in _urls(one)}
    return {line, *plain, *nested, *quotes, *in_base64, *urls}


def _json(text: str) -> set[str]:
    ascii_only = json.dumps(text)[1:-1]
    plain = {ascii_only, json.dumps(text, ensure_ascii=False)[1:-1]}
    upper = re.sub(r"\\u[0-9a-f]{4}", lambda match: rf"\u{match[0][2:].upper()}", ascii_only)
    # Go and Flask write HTML's special characters as \u escapes. PHP escapes the slash.
    no_html = {
        re.sub(special, lambda match: f"\\u{ord(match[0]):04x}", form)
        for form in plain
        for special in ("[<>&]", "[<>&']")
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
    """Escape a text for HTML: for use between tags, and in an attribute.

    Python's module `html` is slow to import.
    """
    between = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return between, between.replace('"', "&quot;").replace("'", "&#x27;")


def _python(text: str) -> set[str]:
    # `repr` chooses its quotes, and so its escapes, by the quotes in the whole text, and the secret
    # may be only a part of that. The prefix forces the form that escapes single quotes.
    data = text.encode(errors="backslashreplace")
    return {repr(text)[1:-1], repr(f"'\"{text}")[4:-1], ascii(text)[1:-1], repr(data)[2:-1]}


def _urls(text: str) -> set[str]:
    """Return the URL-encoded forms of a text.

    These are the forms for paths and form data, the forms of JavaScript's `encodeURIComponent` and
    `encodeURI`, and the form that is encoded twice.
    """
    encoded = [
        quote(text, safe, errors="backslashreplace")
        for safe in ("/", "", "!'()*", "!#$&'()*+,/:;=?@[]")
    ]
    forms = {*encoded, quote_plus(text, errors="backslashreplace"), quote(encoded[1], safe="")}
    return {
        *forms,
        *(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in forms),
    }


def _base64(data: bytes) -> Iterator[str]:
    """Yield the Base64 forms of the data, for each of its 3 offsets in the encoded bytes.

    Each form leaves out the characters that depend on the bytes before or after the data.
    """
    for before in range(3):
        whole = (before + len(data)) % 3 == 0
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(before) + data).decode().rstrip("=")
            yield text[(0, 2, 3)[before] : None if whole else -1]
