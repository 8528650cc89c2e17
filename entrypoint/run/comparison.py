"""Two values of `conf` compared as JSON, and told without a secret. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from entrypoint.text import shortened

MASKED = "***"
"""What Airflow shows in place of a value that it takes for a secret: such a value proves no
difference.
"""
MAX_DIFFERENCES_LISTED = 5
MAX_VALUE_CHARS = 200
_SECRET_WORDS = re.compile(
    r"pass(?:word|wd|phrase|code|wort)|pwd|secret|token|credential|cookie|authori[sz]|authentic|bearer|keytab|keyfile|webhook"
    r"|kennwort|apikey|accesskey|privatekey"
)
"""Within a word of a name."""
_SECRET_NAMES = re.compile(
    r"\b(?:api|app|access|account|private|secret|sign(?:ing|ature)?|encrypt(?:ion)?|decrypt(?:ion)?|shared|ssh|pgp|gpg"
    r"|rsa|tls|ssl|pem|hmac|fernet|master|storage|license|subscription|client|deploy|host|function|auth|admin|root|crypto|kms"
    r"|service|aes) ?keys?\b"
    r"|\b(?:key ?files?|service ?accounts?|session ?ids?)\b"
    r"|\b(?:conn(?:ection)? ?(?:str(?:ing)?|uri|url)s?|(?:database|db) ?(?:uri|url)s?)\b"
)
"""Several words of a name, with a blank between two."""
_SHORT_WORDS = re.compile(
    r"pass|pw|pin|pats?|otp|totp|sas|sig|signatures?|o?auth|jwt|conn|dsn|creds?|certs?|certificates?|pem|pfx|hmac|salt|nonce"
    r"|session|sid|csrf|xsrf|mfa"
)
"""Words that are secret as a whole only: a patch and a spinner are not."""
_ABOUT = re.compile("ids?|types?|names?|count|timeout|mode|method|enabled|limit")
"""The last word of a name that is about a short one, as in conn_id and auth_type."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SECRET_VALUE = re.compile(
    # User info, also with a slash in it that nobody escaped
    r"://[^\s/?#]*@|(?:://|\b)[^\s:@/]+:[^\s@]+@"
    r"|(?i:(?:pass(?:word|wd|phrase)?|pwd|secret|token|(?<![a-z])sig|signature|credential"
    r"|(?:api|access|account|secret)[ _-]?key)[\"']?\s*[=:])|(?i:\b(?:bearer|basic)\s+[\w+/.-]{8})"
    r"|eyJ[\w-]{4,}|\bgh[a-z]_\w|github_pat_|glpat-|\bxox[a-z]-|\bxapp-|\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[0-9A-Z]{6}|-----BEGIN"
    r"|\b[sr]k[-_](?:live|test|ant|proj|\w{20})|\bAIza[\w-]{10}|\bya29\.|\bSG\.[\w-]{8}|\bhv[sb]\.|\bdapi[0-9a-f]{8}|\bnpm_\w{8}|\bpypi-\w{8}"
    r"|hooks\.slack\.com/"
)
"""What tokens of well-known issuers, and texts with a secret in them, look like."""
_NOTHING = object()
"""Stands for a key or an item that one side does not have: null is a value."""


def conf_differences(found: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """Return where two values of `conf` differ, a phrase for each place; empty if they are the same
    JSON.

    A number is the same however it is written (`1` and `1.0`), but never a boolean. Nothing is
    quoted but what differs, and no value below a key that sounds like a secret, or that looks like
    one.
    """
    places: list[tuple[tuple[str, ...], Any, Any]] = []
    # A list in place of recursion: how deep a conf is nested, others decide.
    open_: list[tuple[tuple[str, ...], Any, Any]] = [((), found, asked)]
    while open_:
        path, left, right = open_.pop()
        if left == MASKED and right is not _NOTHING:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            keys = sorted({*left, *right}, reverse=True)
            open_ += [
                ((*path, key), left.get(key, _NOTHING), right.get(key, _NOTHING)) for key in keys
            ]
        elif isinstance(left, list) and isinstance(right, list):
            for index in reversed(range(max(len(left), len(right)))):
                one, other = (
                    side[index] if index < len(side) else _NOTHING for side in (left, right)
                )
                open_.append(((*path, str(index)), one, other))
        elif _kind(left) != _kind(right) or left != right:
            places.append((path, left, right))
    told = [_phrase(*place) for place in places[:MAX_DIFFERENCES_LISTED]]
    more = len(places) - len(told)
    return [*told, f"conf differs in {more} more places"] if more else told


def _kind(value: Any) -> type:
    """Return what JSON calls the value's type: Python takes True for 1, and JSON takes 1.0 for
    1.
    """
    return float if type(value) is int else type(value)


def _phrase(path: tuple[str, ...], left: Any, right: Any) -> str:
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
    """Return whether a key is called like a secret, however its words are divided."""
    words = re.split(r"[\W\d_]+", _CAMEL.sub(" ", name).casefold().strip())
    words = [word for word in words if word]
    if any(map(_SECRET_WORDS.search, words)) or _SECRET_NAMES.search(" ".join(words)):
        return True
    return any(map(_SHORT_WORDS.fullmatch, words)) and not _ABOUT.fullmatch(words[-1])


def _looks_secret(*values: Any) -> bool:
    # What is beyond is not shown anyhow.
    return any(
        isinstance(value, str) and _SECRET_VALUE.search(value[: 5 * MAX_VALUE_CHARS])
        for value in values
    )


def _shown(value: Any) -> str:
    """Return the value as JSON; of an object or a list only that it is one, since it may hold
    anything.
    """
    if value is _NOTHING:
        return "nothing"
    if isinstance(value, dict):
        return "an object" if value else "{}"
    if isinstance(value, list):
        return "a list" if value else "[]"
    return shortened(json.dumps(value, ensure_ascii=False), MAX_VALUE_CHARS)
