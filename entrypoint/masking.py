"""The secrets that this process knows, and text without them. The lowest floor; the list is its only state.

GitHub's runner replaces a secret where it stands as it is. What escapes, joins or cuts text takes the secrets out before, by
`masked`, or half of one stays, or one that the runner does not know again (runner.md 2.4).
"""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

_MASK = "***"
_known: list[str] = []
"""Longest first, since a secret may be a part of another."""


def add(secret: str, shortest: int = 1) -> None:
    """Mask the secret from here on: whole, each of its lines, and as JSON and URLs write them.

    Args:
        secret: it; a blank one is none.
        shortest: characters of a line, below which it is not masked.
    """
    lines = {line.strip() for line in (secret, *secret.splitlines())}
    forms = {form for line in lines if len(line) >= shortest for form in _forms(line)}
    _known[:] = sorted({*_known, *forms} - {""}, key=lambda form: (-len(form), form))


def masked(text: str) -> str:
    """Return the text with *** in place of each secret."""
    for secret in _known:
        text = text.replace(secret, _MASK)
    return text


def forget() -> None:
    """Know no secret any more."""
    _known.clear()


def _forms(line: str) -> tuple[str, ...]:
    in_json = (json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1])
    return (line, *in_json, *(way(line, errors="backslashreplace") for way in (quote, quote_plus)))
