"""Create grants from a token, a password (HTTP Basic), or Airflow's own login."""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING, Any

from entrypoint.auth.authorization import Grant
from entrypoint.credentials import Password, Secret
from entrypoint.errors import NotSupported, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entrypoint.deadline import Deadline


def bearer(token: str, expires: float | None = None) -> Grant:
    """Return the grant of a bearer token.

    It expires at the earliest of three times: the issuer's, the token's own `exp`, and that of a
    token nested in it. Keycloak's nested token expires long before Airflow's token around it, and
    Airflow then responds with 403 (docs/notes/credentials.md#keycloak-auth-manager).
    """
    import jwt  # noqa: PLC0415 - takes 5 ms, which Airflow 2 with a password does not need

    def claims_of(text: Any) -> dict[str, Any]:
        try:
            return jwt.decode(text, options={"verify_signature": False})
        except (jwt.InvalidTokenError, ValueError, TypeError):
            return {}

    claims = claims_of(token)
    nested = claims_of(claims.get("access_token"))
    expiries = [
        expiry
        for expiry in map(_finite_seconds, (expires, claims.get("exp"), nested.get("exp")))
        if expiry is not None
    ]
    return Grant(
        Secret(f"Bearer {token}"),
        min(expiries, default=None),
        ambiguous_403="access_token" in claims,
    )


def _finite_seconds(claim: Any) -> float | None:
    """Return a claim as seconds since the epoch, None if it is not a finite number."""
    if isinstance(claim, bool) or not isinstance(claim, (int, float)):
        return None
    with suppress(OverflowError):
        return float(claim) if isfinite(claim) else None
    return None


def basic(password: Password, mask: Callable[[str], None]) -> Grant:
    """Return the grant of a user, as HTTP Basic in UTF-8.

    requests' own HTTP Basic refuses characters outside Latin-1.

    Raises:
        NotSupported: the user name contains a colon. Only Airflow 3's login takes such a name.
    """
    if ":" in password.username:
        raise NotSupported(
            "HTTP Basic allows no colon in a user name",
            "The input username contains a colon. Airflow 2 (or a gateway) takes the name and the "
            "password as HTTP Basic, where the first colon ends the name. Nothing was sent to it.",
            "Use a user without a colon in its name, or the input token.",
        )
    return Grant(Secret(f"Basic {pair(password.username, password.password, mask)}"))


def pair(name: str, secret: Secret, mask: Callable[[str], None]) -> str:
    """Return name and secret encoded for HTTP Basic, masked."""
    encoded = base64.b64encode(f"{name}:{secret.reveal()}".encode()).decode()
    mask(encoded)
    return encoded


def exchange_token(
    body: Mapping[str, str | Secret],
    login: Callable[[dict[str, str], Deadline], str],
    mask: Callable[[str], None],
    deadline: Deadline,
) -> Grant:
    """Return the grant that Airflow's login issues for this body.

    Raises:
        UnexpectedResponse: the login returned no usable token.
        ActionError: any error of `login`.
    """
    payload = {}
    for name, value in body.items():
        payload[name] = value.reveal() if isinstance(value, Secret) else value
        if (
            isinstance(value, Secret)
            and (escaped := json.dumps(payload[name])[1:-1]) != payload[name]
        ):
            # This is the form in the request, which a gateway may quote. The runner's own JSON
            # mask does not escape characters outside ASCII.
            mask(escaped)
    return bearer(require_token(login(payload, deadline), mask, "Airflow's login"))


def expires_at(expires_in: object, sent_at: float) -> float | None:
    """Return the moment of expiry. Some providers send the seconds as a string."""
    try:
        return sent_at + float(expires_in)  # type: ignore[arg-type]  # may have any type
    except (TypeError, ValueError, OverflowError):
        return None


def require_token(token: Any, mask: Callable[[str], None], issuer: str) -> str:
    """Return a token, masked.

    Args:
        token: value from the response.
        mask: hides a text in the log.
        issuer: issuer of the token, for error texts.

    Raises:
        UnexpectedResponse: it is missing, or a header cannot carry it.
    """
    if not isinstance(token, str) or not token:
        raise UnexpectedResponse(
            f"{issuer} gave no token",
            "Its response contains none.",
            "Use another kind of credential.",
        )
    mask(token)
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UnexpectedResponse(
            f"{issuer} gave no usable token",
            "It contains spaces or characters outside ASCII.",
            "Contact its operator.",
        )
    return token
