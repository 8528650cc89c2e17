"""Add a credential to requests, and renew it before it expires or after a refusal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest

    from entrypoint.credentials import Secret
    from entrypoint.deadline import Deadline

RENEW_BEFORE = 60.0
"""Seconds before expiry at which a grant is renewed: the maximum duration of a request."""


class Grant(NamedTuple):
    """A header that authorizes a request.

    Attributes:
        value: value of the header.
        expires: seconds since the epoch, None if unknown.
        ambiguous_403: whether any 403 may mean that the grant has expired, as with Keycloak.
        header: name of the header; a session travels in `Cookie`.
    """

    value: Secret
    expires: float | None = None
    ambiguous_403: bool = False
    header: str = "Authorization"


class Authorization:
    """Adds a grant to each request.

    Attributes:
        refusal_hint: hint for a refusal of a grant; empty if there is none besides the usual one.

    Args:
        obtain: returns a grant before a deadline; it may send requests and raise their errors.
        expiry_hint: hint for a refusal after the grant was accepted, with `{}` for the time until
            then; empty if the grant can be renewed.
        now: returns seconds since the epoch.
    """

    def __init__(
        self,
        obtain: Callable[[Deadline], Grant],
        expiry_hint: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.expiry_hint = expiry_hint
        self.refusal_hint = ""
        self._obtain = obtain
        self._now = now
        self._grant: Grant | None = None
        self._renew_at = 0.0

    def authorize(self, deadline: Deadline, request: PreparedRequest) -> PreparedRequest:
        """Add the header to the request; obtain a grant before the deadline if necessary."""
        grant = self._current(deadline)
        request.headers[grant.header] = grant.value.reveal()
        return request

    @property
    def ambiguous_403(self) -> bool:
        """Whether any 403 may mean that the grant has expired."""
        return self._grant is not None and self._grant.ambiguous_403

    def discard(self) -> bool:
        """Discard the grant if it can be renewed, and return whether it can."""
        if self.expiry_hint:
            return False
        self._grant = None
        return True

    def seconds_left(self, deadline: Deadline) -> float | None:
        """Return the seconds until a grant without renewal expires, None if unknown."""
        expires = self._current(deadline).expires if self.expiry_hint else None
        return None if expires is None else expires - self._now()

    def _current(self, deadline: Deadline) -> Grant:
        if self._grant is None or (not self.expiry_hint and self._now() >= self._renew_at):
            now = self._now()
            self._grant = self._obtain(deadline)
            lifetime = (self._grant.expires or float("inf")) - now
            # A grant shorter than the margin would otherwise be renewed before every request.
            self._renew_at = now + max(lifetime - RENEW_BEFORE, lifetime / 2)
        return self._grant
