"""Two values of `conf` compared as JSON, and told without a secret. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from entrypoint.errors import shortened

MASKED = "***"
"""What Airflow shows in place of a value that it takes for a secret: such a value proves no difference."""
MAX_DIFFERENCES_LISTED = 5
MAX_VALUE_CHARS = 200
_SOUNDS_SECRET = re.compile(
    r"pass(?:word|wd|phrase)|pwd|secret|token|api_?key|access_?key|private_?key|keyfile|authorization|credential|cookie"
    r"|service_account|connection_string|dsn",
    re.IGNORECASE,
)
_NOTHING = object()
"""Stands for a key or an item that one side does not have: null is a value."""


def conf_differences(found: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """Return where two values of `conf` differ, a phrase for each place; empty if they are the same JSON.

    A number is the same however it is written (`1` and `1.0`), but never a boolean. Nothing is quoted but what differs, and
    no value below a key that sounds like a secret.
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
            open_ += [((*path, key), left.get(key, _NOTHING), right.get(key, _NOTHING)) for key in keys]
        elif isinstance(left, list) and isinstance(right, list):
            for index in reversed(range(max(len(left), len(right)))):
                one, other = (side[index] if index < len(side) else _NOTHING for side in (left, right))
                open_.append(((*path, str(index)), one, other))
        elif _kind(left) != _kind(right) or left != right:
            places.append((path, left, right))
    told = [_phrase(*place) for place in places[:MAX_DIFFERENCES_LISTED]]
    more = len(places) - len(told)
    return [*told, f"conf differs in {more} more places"] if more else told


def _kind(value: Any) -> type:
    """Return what JSON calls the value's type: Python takes True for 1, and JSON takes 1.0 for 1."""
    return float if type(value) is int else type(value)


def _phrase(path: tuple[str, ...], left: Any, right: Any) -> str:
    name = shortened(".".join(("conf", *path)), MAX_VALUE_CHARS)
    if any(map(_SOUNDS_SECRET.search, path)):
        return f"{name} differs from what this step asks for (its name sounds like a secret, so neither value is shown)"
    return f"{name} is {_shown(left)}, this step asks for {_shown(right)}"


def _shown(value: Any) -> str:
    """Return the value as JSON; of an object or a list only that it is one, since it may hold anything."""
    if value is _NOTHING:
        return "nothing"
    if isinstance(value, dict):
        return "an object" if value else "{}"
    if isinstance(value, list):
        return "a list" if value else "[]"
    return shortened(json.dumps(value, ensure_ascii=False), MAX_VALUE_CHARS)
