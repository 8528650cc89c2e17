"""Grants that need nobody but Airflow: a token, a password as HTTP Basic, and what Airflow's own
login gives for a secret.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING, Any

from entrypoint.auth.authorization import Grant
from entrypoint.credentials import Password, Secret
from entrypoint.errors import UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def bearer(token: str, expires: float | None = None) -> Grant:
    """Return the grant of a bearer token.

    It dies when its issuer says, or its own `exp`, or that of a token nested in it: Keycloak's dies
    long before the token of Airflow's around it, and Airflow then answers 403
    (docs/notes/credentials.md#keycloak-auth-manager).
    """
    import jwt  # noqa: PLC0415 - 5 ms that Airflow 2 with a password need not pay

    def claims_of(text: Any) -> dict[str, Any]:
        try:
            return jwt.decode(text, options={"verify_signature": False})
        except (jwt.InvalidTokenError, ValueError, TypeError):
            return {}

    claims = claims_of(token)
    nested = claims_of(claims.get("access_token"))
    ends = [
        end
        for end in map(_moment, (expires, claims.get("exp"), nested.get("exp")))
        if end is not None
    ]
    return Grant(
        Secret(f"Bearer {token}"), min(ends, default=None), ambiguous_403="access_token" in claims
    )


def _moment(claim: Any) -> float | None:
    """Return a number of seconds, None for whatever else may stand in its place."""
    if isinstance(claim, bool) or not isinstance(claim, (int, float)):
        return None
    with suppress(OverflowError):
        return float(claim) if isfinite(claim) else None
    return None


def basic(password: Password, mask: Callable[[str], None]) -> Grant:
    """Return the grant of a user. UTF-8, where requests' own would refuse what is not Latin-1."""
    return Grant(Secret(f"Basic {pair(password.username, password.password, mask)}"))


def pair(name: str, secret: Secret, mask: Callable[[str], None]) -> str:
    """Return name and secret as HTTP Basic wants them, masked."""
    encoded = base64.b64encode(f"{name}:{secret.reveal()}".encode()).decode()
    mask(encoded)
    return encoded


def exchange_token(
    body: Mapping[str, str | Secret],
    login: Callable[[dict[str, str]], str],
    mask: Callable[[str], None],
) -> Grant:
    """Return the grant that Airflow's login gives for this. Raises the errors of `login`, and
    UnexpectedResponse.
    """
    shown = {}
    for name, value in body.items():
        shown[name] = value.reveal() if isinstance(value, Secret) else value
        if isinstance(value, Secret) and (escaped := json.dumps(shown[name])[1:-1]) != shown[name]:
            # As it travels, and as a gateway may quote it. The runner's own JSON form leaves what
            # is not ASCII as it is.
            mask(escaped)
    return bearer(require_token(login(shown), mask, "Airflow's login"))


def require_token(token: Any, mask: Callable[[str], None], giver: str) -> str:
    """Return a token that was granted, masked. Raises UnexpectedResponse for what no header can
    carry.
    """
    if not isinstance(token, str) or not token:
        raise UnexpectedResponse(
            f"{giver} gave no token",
            "There is none in its answer.",
            "Use another kind of credential.",
        )
    mask(token)
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UnexpectedResponse(
            f"{giver} gave no usable token",
            "It contains blanks or characters outside ASCII.",
            "Ask whoever runs it.",
        )
    return token
