"""The one `requests.auth.AuthBase`: presents a grant, and gets it anew shortly before it dies and
when it was refused.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from requests.auth import AuthBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest

    from entrypoint.credentials import Secret

RENEW_BEFORE = 60.0
"""Seconds before its expiry at which a grant is replaced: the longest that a request may take."""


class Grant(NamedTuple):
    """What lets a request in.

    Attributes:
        value: of the header.
        expires: seconds since the epoch, None if that is not known.
        doubtful: whether any 403 may mean that it is dead: so with Keycloak.
        header: its name; a session is no Authorization but a cookie.
    """

    value: Secret
    expires: float | None = None
    ambiguous_403: bool = False
    header: str = "Authorization"


class Authorization(AuthBase):
    """Adds a grant to each request.

    Args: obtain: gets a grant. May ask somebody for it, and raise his errors. expiry_hint: what to
        do when it is refused after it was accepted, `{}` being for how long; empty if asking again
        yields another grant. now: seconds since the epoch.
    """

    def __init__(
        self,
        obtain: Callable[[], Grant],
        expiry_hint: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.expiry_hint = expiry_hint
        self._find_or_create = obtain
        self._now = now
        self._grant: Grant | None = None
        self._renew_at = 0.0

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header."""
        grant = self._current()
        request.headers[grant.header] = grant.value.reveal()
        return request

    @property
    def ambiguous_403(self) -> bool:
        """Whether any 403 may mean that the grant is dead."""
        return self._grant is not None and self._grant.ambiguous_403

    def discard(self) -> bool:
        """Drop the grant if another can be had, and say whether."""
        if self.expiry_hint:
            return False
        self._grant = None
        return True

    def seconds_left(self) -> float | None:
        """Return the seconds until the grant dies, if it cannot be renewed and says when."""
        expires = self._current().expires if self.expiry_hint else None
        return None if expires is None else expires - self._now()

    def _current(self) -> Grant:
        if self._grant is None or (not self.expiry_hint and self._now() >= self._renew_at):
            now = self._now()
            self._grant = self._find_or_create()
            left = (self._grant.expires or float("inf")) - now
            # What lives shorter than the margin would be renewed before every request.
            self._renew_at = now + max(left - RENEW_BEFORE, left / 2)
        return self._grant
