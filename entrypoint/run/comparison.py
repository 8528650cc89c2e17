"""Compare two values of `conf` as JSON, and describe the differences without secrets.

It is pure, and knows no other field of a DAG run.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from entrypoint.text import shortened

if TYPE_CHECKING:
    from entrypoint.models import JsonObject

MASK = "***"
"""Airflow's placeholder for a secret value. It counts as equal to any requested value."""
MAX_DIFFERENCES_LISTED = 5
"""Differences to describe; the others are only counted."""
MAX_VALUE_CHARS = 200
"""Characters of a name or value to show."""
_SECRET_WORDS = re.compile(
    r"pass(?:word|wd|phrase|code|wort)|pwd|secret|token|credential|cookie|authori[sz]|authentic"
    r"|bearer|keytab|keyfile|webhook"
    r"|kennwort|apikey|accesskey|privatekey"
)
"""Parts of a word that make a name sound like a secret."""
_SECRET_NAMES = re.compile(
    r"\b(?:api|app|access|account|private|secret|sign(?:ing|ature)?|encrypt(?:ion)?"
    r"|decrypt(?:ion)?|shared|ssh|pgp|gpg"
    r"|rsa|tls|ssl|pem|hmac|fernet|master|storage|license|subscription|client|deploy|host"
    r"|function|auth|admin|root|crypto|kms"
    r"|service|aes) ?keys?\b"
    r"|\b(?:key ?files?|service ?accounts?|session ?ids?)\b"
    r"|\b(?:conn(?:ection)? ?(?:str(?:ing)?|uri|url)s?|(?:database|db) ?(?:uri|url)s?)\b"
)
"""Several words, separated by spaces, that make a name sound like a secret."""
_SHORT_WORDS = re.compile(
    r"pass|pw|pin|pats?|otp|totp|sas|sig|signatures?|o?auth|jwt|conn|dsn|creds?|certs?"
    r"|certificates?|pem|pfx|hmac|salt|nonce"
    r"|session|sid|csrf|xsrf|mfa"
)
"""Whole words that make a name sound like a secret: `pat` does, `patch` does not."""
_DESCRIBING_WORDS = re.compile("ids?|types?|names?|count|timeout|mode|method|enabled|limit")
"""Last words of names that only describe one of the short words, as in conn_id and auth_type."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SECRET_VALUE = re.compile(
    # User info of a URL, which may contain an unescaped slash
    r"://[^\s/?#]*@|(?:://|\b)[^\s:@/]+:[^\s@]+@"
    r"|(?i:(?:pass(?:word|wd|phrase)?|pwd|secret|token|(?<![a-z])sig|signature|credential"
    r"|(?:api|access|account|secret)[ _-]?key)[\"']?\s*[=:])|(?i:\b(?:bearer|basic)\s+[\w+/.-]{8})"
    r"|eyJ[\w-]{4,}|\bgh[a-z]_\w|github_pat_|glpat-|\bxox[a-z]-|\bxapp-|\b(?:AKIA|ASIA|AGPA|AIDA"
    r"|AROA)[0-9A-Z]{6}|-----BEGIN"
    r"|\b[sr]k[-_](?:live|test|ant|proj|\w{20})|\bAIza[\w-]{10}|\bya29\.|\bSG\.[\w-]{8}"
    r"|\bhv[sb]\.|\bdapi[0-9a-f]{8}|\bnpm_\w{8}|\bpypi-\w{8}"
    r"|hooks\.slack\.com/"
)
"""Texts that contain a secret, and tokens of well-known issuers."""
_NO_VALUE = object()
"""Stands for a key or an item that one side lacks. It is not None, because null is a value."""


def conf_differences(found: JsonObject, requested: JsonObject) -> list[str]:
    """Return a phrase for each difference between two values of `conf`, compared as JSON.

    Numbers are equal however they are written (`1` and `1.0`), but never equal to a boolean. The
    phrases quote only values that differ. They quote no value whose key sounds like a secret, and
    none that looks like one.
    """
    places: list[tuple[tuple[str, ...], object, object]] = []
    # A stack instead of recursion, because other programs decide how deep a conf is nested.
    stack: list[tuple[tuple[str, ...], object, object]] = [((), found, requested)]
    while stack:
        path, left, right = stack.pop()
        if left == MASK and right is not _NO_VALUE:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            keys = sorted({*left, *right}, reverse=True)
            stack += [
                ((*path, key), left.get(key, _NO_VALUE), right.get(key, _NO_VALUE)) for key in keys
            ]
        elif isinstance(left, list) and isinstance(right, list):
            for index in reversed(range(max(len(left), len(right)))):
                one, other = (
                    side[index] if index < len(side) else _NO_VALUE for side in (left, right)
                )
                stack.append(((*path, str(index)), one, other))
        elif _kind(left) != _kind(right) or left != right:
            places.append((path, left, right))
    phrases = [_phrase(*place) for place in places[:MAX_DIFFERENCES_LISTED]]
    more = len(places) - len(phrases)
    return [*phrases, f"conf differs in {more} more places"] if more else phrases


def _kind(value: object) -> type:
    """Return the value's JSON type. In Python True equals 1, and JSON has one number type."""
    return float if type(value) is int else type(value)


def _phrase(path: tuple[str, ...], left: object, right: object) -> str:
    name = shortened(".".join(("conf", *path)), MAX_VALUE_CHARS)
    why = (
        "name sounds"
        if any(map(_sounds_secret, path))
        else "value looks"
        if _looks_secret(left, right)
        else ""
    )
    if why:
        return (
            f"{name} differs from what this step asks for (its {why} like a secret, so "
            "neither value is shown)"
        )
    return f"{name} is {_shown(left)}, this step asks for {_shown(right)}"


def _sounds_secret(name: str) -> bool:
    """Return whether a key sounds like a secret, in camelCase, snake_case or any other style."""
    words = re.split(r"[\W\d_]+", _CAMEL.sub(" ", name).casefold().strip())
    words = [word for word in words if word]
    if any(map(_SECRET_WORDS.search, words)) or _SECRET_NAMES.search(" ".join(words)):
        return True
    return any(map(_SHORT_WORDS.fullmatch, words)) and not _DESCRIBING_WORDS.fullmatch(words[-1])


def _looks_secret(*values: object) -> bool:
    # The rest of a longer value is never shown.
    return any(
        isinstance(value, str) and _SECRET_VALUE.search(value[: 5 * MAX_VALUE_CHARS])
        for value in values
    )


def _shown(value: object) -> str:
    """Return the value as JSON, but not the content of an object or a list."""
    if value is _NO_VALUE:
        return "nothing"
    if isinstance(value, dict):
        return "an object" if value else "{}"
    if isinstance(value, list):
        return "a list" if value else "[]"
    return shortened(json.dumps(value, ensure_ascii=False), MAX_VALUE_CHARS)
