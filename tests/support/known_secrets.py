"""What is secret in the present test: stand-ins note each credential that they issue or are shown,
for the guard to look for.

It keeps; it must not know who looks for it, or where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.secrets import SHORTEST

if TYPE_CHECKING:
    from email.message import Message

_CREDENTIALS = ("Authorization", "Proxy-Authorization")
_NOTED: list[str] = []
"""In the order in which they were noted, some more than once."""


def note(secret: str) -> None:
    """From now on, until the end of the test, no step may show this.

    Raises:
        ValueError: it is so short that it would be found by chance.
    """
    if len(secret) < SHORTEST:
        raise ValueError(f"{secret!r} is too short to look for")
    _NOTED.append(secret)


def shown(headers: Message) -> None:
    """Note the credentials in the head of a request: without their schemes, and the cookies without
    their names.
    """
    for name in _CREDENTIALS:
        _NOTED.extend(value.rpartition(" ")[2] for value in headers.get_all(name, ()))
    for cookies in headers.get_all("Cookie", ()):
        _NOTED.extend(cookie.partition("=")[2] for cookie in cookies.split(";"))


def count() -> int:
    """How many times something has been noted in this test."""
    return len(_NOTED)


def note_with_marker(since: int = 0) -> set[str]:
    """What has been noted in this test, but for the first `since` times."""
    return set(_NOTED[since:])


def clear() -> None:
    """A new test begins."""
    _NOTED.clear()
