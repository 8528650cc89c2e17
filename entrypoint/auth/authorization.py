"""Add a credential to requests, and renew it before it expires or after a refusal."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from entrypoint.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest

    from entrypoint.credentials import Secret
    from entrypoint.deadline import Deadline

RENEW_BEFORE = 60.0
"""Seconds before expiry at which a grant is renewed: the maximum duration of a request."""

RETRY_AFTER = 5.0
"""Minimum seconds between two failed renewals of a grant that is still valid."""

T = TypeVar("T")


class Renewed(Generic[T]):
    """A value that an issuer gives for a limited time, renewed before it expires.

    Args:
        obtain: returns the value before a deadline, and when it expires in seconds since the epoch
            (None: unknown). It may send requests and raise their errors.
        now: returns seconds since the epoch.
        keep: whether to keep the value after its expiry, because there is no other.
    """

    def __init__(
        self,
        obtain: Callable[[Deadline], tuple[T, float | None]],
        now: Callable[[], float] = time.time,
        *,
        keep: bool = False,
    ) -> None:
        self._obtain = obtain
        self._now = now
        self._keep = keep
        self._value: tuple[T] | None = None
        self._renew_at = self._expires = 0.0

    def get(self, deadline: Deadline) -> T:
        """Return the value; obtain it before the deadline if it is missing or expires soon.

        If the issuer fails, the value is used until it expires, because a request like a stop may
        not have the time to wait for the issuer.
        """
        if self._value is not None and (self._keep or self._now() < self._renew_at):
            return self._value[0]
        now = self._now()
        try:
            value, expires = self._obtain(deadline)
        except ActionError:
            now = self._now()
            left = self._expires - now
            if self._value is None or left <= 0:
                raise
            self._renew_at = now + min(left, max(left / 2, RETRY_AFTER))
            return self._value[0]
        self._value = (value,)
        self._expires = inf if expires is None else expires
        lifetime = self._expires - now
        # A value shorter than the margin would otherwise be renewed before every request.
        self._renew_at = now + max(lifetime - RENEW_BEFORE, lifetime / 2)
        return value

    @property
    def current(self) -> T | None:
        """The value, None if there is none yet."""
        return None if self._value is None else self._value[0]

    def discard(self) -> None:
        """Forget the value, so that the next `get` obtains another one."""
        self._value = None


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
        self._now = now

        def obtain_grant(deadline: Deadline) -> tuple[Grant, float | None]:
            grant = obtain(deadline)
            return grant, grant.expires

        self._grant = Renewed(obtain_grant, now, keep=bool(expiry_hint))

    def grant(self, deadline: Deadline) -> Grant:
        """Return the current grant; obtain one before the deadline if necessary."""
        return self._grant.get(deadline)

    def authorize(self, deadline: Deadline, request: PreparedRequest) -> PreparedRequest:
        """Add the header to the request; obtain a grant before the deadline if necessary."""
        grant = self._grant.get(deadline)
        request.headers[grant.header] = grant.value.reveal()
        return request

    @property
    def ambiguous_403(self) -> bool:
        """Whether any 403 may mean that the grant has expired."""
        return (grant := self._grant.current) is not None and grant.ambiguous_403

    def discard(self) -> bool:
        """Discard the grant if it can be renewed, and return whether it can."""
        if self.expiry_hint:
            return False
        self._grant.discard()
        return True

    def seconds_left(self, deadline: Deadline) -> float | None:
        """Return the seconds until a grant without renewal expires, None if unknown."""
        expires = self._grant.get(deadline).expires if self.expiry_hint else None
        return None if expires is None else expires - self._now()
