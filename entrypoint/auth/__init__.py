"""Credentials as "an Authorization value, and when it dies": one small `requests.auth.AuthBase` per kind.

Every secret that is derived here is handed to `mask` before it is used. This room sends nothing itself (a login is handed in)
and does not know which Airflow it is for.
"""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

from requests.auth import AuthBase

from entrypoint.models import Credential, Password, Secret, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest

    Mask = Callable[[str], None]
    Login = Callable[[dict[str, str]], str]

RENEW_BEFORE = 60.0
"""Seconds before its expiry at which a token is replaced: the longest that a request may take."""


class Bearer(AuthBase):
    """A token that cannot be renewed."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request

    def forget(self) -> bool:
        """Return False: the next call would present the same token."""
        return False


class Basic(AuthBase):
    """User name and password in every request. UTF-8, where requests' own would refuse what is not Latin-1."""

    def __init__(self, password: Password, mask: Mask) -> None:
        pair = f"{password.username}:{password.password.reveal()}"
        self._encoded = Secret(base64.b64encode(pair.encode()).decode())
        mask(self._encoded.reveal())

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Basic {self._encoded.reveal()}"
        return request

    def forget(self) -> bool:
        """Return False: the next call would present the same password."""
        return False


class Exchanged(AuthBase):
    """A token got for user name and password, got anew shortly before it dies and when it was refused."""

    def __init__(self, password: Password, login: Login, mask: Mask, now: Callable[[], float] = time.time) -> None:
        self._password = password
        self._login = login
        self._mask = mask
        self._now = now
        self._token: Secret | None = None
        self._renew_at = 0.0

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._current().reveal()}"
        return request

    def forget(self) -> bool:
        """Drop the token; the next call logs in again."""
        self._token = None
        return True

    def _current(self) -> Secret:
        if self._token is None or self._now() >= self._renew_at:
            # Exactly these two keys: more are a 422 (authentication.md 1).
            body = {"username": self._password.username, "password": self._password.password.reveal()}
            if (escaped := json.dumps(body["password"])[1:-1]) != body["password"]:
                # As it travels, and as a gateway may quote it. The runner's own JSON form leaves what is not ASCII as it is.
                self._mask(escaped)
            token = self._login(body)
            self._mask(token)
            self._token = Secret(token)
            self._renew_at = self._now() + _usable_for(token, self._now())
        return self._token


def _usable_for(token: str, now: float) -> float:
    """Return the seconds after which to renew, read from the token's own `exp`; for ever if it cannot be read."""
    import jwt  # noqa: PLC0415 - 5 ms that a static token or Airflow 2 need not pay

    try:
        expires = float(jwt.decode(token, options={"verify_signature": False})["exp"])
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError):
        return float("inf")
    left = expires - now
    # A token that lives shorter than the margin would be renewed before every request.
    return max(left - RENEW_BEFORE, left / 2)


class Presented:
    """One credential, as each of Airflow's APIs wants to be shown it."""

    def __init__(self, credential: Credential, mask: Mask) -> None:
        self._credential = credential
        self._mask = mask

    def for_v1(self) -> Bearer | Basic:
        """Return the authorizer for `/api/v1`: a password travels as HTTP Basic."""
        if isinstance(self._credential, Token):
            return Bearer(self._credential.token)
        return Basic(self._credential, self._mask)

    def for_v2(self, login: Login) -> Bearer | Exchanged:
        """Return the authorizer for `/api/v2`, which takes no Basic: a password is exchanged for a token."""
        if isinstance(self._credential, Token):
            return Bearer(self._credential.token)
        return Exchanged(self._credential, login, self._mask)
