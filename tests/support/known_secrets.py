"""The secrets of the current test: each credential that a stub server issues or receives.

It only stores them; it must not know who searches for them, or where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.secrets import MIN_LENGTH

if TYPE_CHECKING:
    from email.message import Message

_CREDENTIALS = ("Authorization", "Proxy-Authorization")
_NOTED: list[str] = []
"""In order of arrival, with repetitions."""


def add(secret: str) -> None:
    """Add a secret that no step may show until the end of the test.

    Raises:
        ValueError: if it is too short to be searched for reliably
    """
    if len(secret) < MIN_LENGTH:
        raise ValueError(f"{secret!r} is too short to look for")
    _NOTED.append(secret)


def add_from_headers(headers: Message) -> None:
    """Add the credentials in a request's headers, without schemes and cookie names."""
    for name in _CREDENTIALS:
        _NOTED.extend(value.rpartition(" ")[2] for value in headers.get_all(name, ()))
    for cookies in headers.get_all("Cookie", ()):
        _NOTED.extend(cookie.partition("=")[2] for cookie in cookies.split(";"))


def count() -> int:
    """Return how many secrets were added in this test."""
    return len(_NOTED)


def added_since(since: int = 0) -> set[str]:
    """Return the secrets of this test, without the first `since` ones."""
    return set(_NOTED[since:])


def clear() -> None:
    _NOTED.clear()
