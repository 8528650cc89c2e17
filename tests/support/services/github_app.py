"""A GitHub App with one installation, whose tokens are valid for an hour."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support import known_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

LIFETIME = 3600  # seconds
MAX_JWT_SECONDS = 600
"""Longest validity of an app's JWT in seconds."""
_SKEW = 60  # seconds by which the clocks may differ


class GitHubApp:
    """An app and its installation.

    Attributes:
        app_id: one possible issuer of the JWT
        client_id: the other one
        installation: id of its only installation
    """

    def __init__(self) -> None:
        self.app_id = "1234567"
        self.client_id = "Iv23liAirflowListen"
        self.installation = 76543210
        self._issued: dict[str, tuple[float, dict[str, str]]] = {}

    @property
    def private_key(self) -> str:
        """The key as GitHub offers it for download."""
        pem = (
            _key()
            .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            .decode()
        )
        known_secrets.add(pem)
        return pem

    @property
    def issued(self) -> list[str]:
        """Every installation token, oldest first."""
        return list(self._issued)

    def token_error(self, header: str) -> str | None:
        """Return GitHub's error message for an app's JWT; None if the JWT is valid."""
        scheme, _, token = header.partition(" ")
        options: Any = {"require": ["iss", "iat", "exp"], "verify_iat": False}
        try:
            claims = jwt.decode(token, _key().public_key(), algorithms=["RS256"], options=options)
        except jwt.ExpiredSignatureError:
            return (
                "'Expiration time' claim ('exp') must be a numeric value representing the "
                "future time"
            )
        except jwt.InvalidTokenError:
            return "A JSON web token could not be decoded"
        now, issued = time.time(), claims["iat"]
        wrongs = {
            "A JSON web token could not be decoded": scheme.lower() != "bearer",
            "Integration not found": str(claims["iss"]) not in (self.app_id, self.client_id),
            (
                "'Issued at' claim ('iat') must be an Integer representing the time that the "
                "assertion was issued"
            ): (not isinstance(issued, int) or issued > now + _SKEW),
            "'Expiration time' claim ('exp') is too far in the future": claims["exp"]
            > now + MAX_JWT_SECONDS,
        }
        return next((text for text, is_wrong in wrongs.items() if is_wrong), None)

    def issue(self, permissions: Mapping[str, str]) -> dict[str, Any]:
        """Return an installation token with these permissions, in GitHub's format."""
        token, expires_at = f"ghs_{secrets.token_urlsafe(30)}", time.time() + LIFETIME
        known_secrets.add(token)
        self._issued[token] = expires_at, dict(permissions)
        moment = f"{datetime.fromtimestamp(expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {
            "token": token,
            "expires_at": moment,
            "permissions": permissions,
            "repository_selection": "selected",
        }

    def permissions_of(self, token: str) -> dict[str, str] | None:
        """Return a token's permissions; None if it is unknown or expired."""
        expires_at, permissions = self._issued.get(token, (0.0, {}))
        return permissions if expires_at > time.time() else None

    def expire(self) -> None:
        """Expire every token issued so far."""
        self._issued = {
            token: (0.0, permissions) for token, (_, permissions) in self._issued.items()
        }


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
