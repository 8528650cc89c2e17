"""A GitHub App that is installed in one place: who proves to be it gets tokens that live for an
hour.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support import known_secrets as ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

LIFETIME = 3600
LONGEST = 600
"""Seconds for which an app may say that it is itself."""
_SKEW = 60


class App:
    """`app_id` or `client_id` say who it is, `private_key` (PEM) proves it, `installation` is
    where.
    """

    def __init__(self) -> None:
        self.app_id = "1234567"
        self.client_id = "Iv23liAirflowListen"
        self.installation = 76543210
        self._issued: dict[str, tuple[float, dict[str, str]]] = {}

    @property
    def private_key(self) -> str:
        """The key as GitHub lets it be downloaded."""
        pem = (
            _key()
            .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            .decode()
        )
        ledger.note(pem)
        return pem

    @property
    def issued(self) -> list[str]:
        """Every token, oldest first."""
        return list(self._issued)

    def record_failure(self, header: str) -> str | None:
        """What is wrong with who says to be the app, if something is."""
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
            > now + LONGEST,
        }
        return next((text for text, is_wrong in wrongs.items() if is_wrong), None)

    def issue(self, permissions: Mapping[str, str]) -> dict[str, Any]:
        """A token with these permissions, as GitHub answers."""
        token, dies = f"ghs_{secrets.token_urlsafe(30)}", time.time() + LIFETIME
        ledger.note(token)
        self._issued[token] = dies, dict(permissions)
        moment = f"{datetime.fromtimestamp(dies, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {
            "token": token,
            "expires_at": moment,
            "permissions": permissions,
            "repository_selection": "selected",
        }

    def permissions_of(self, token: str) -> dict[str, str] | None:
        """What a token may, None if it is none of these, or dead."""
        dies, permissions = self._issued.get(token, (0.0, {}))
        return permissions if dies > time.time() else None

    def expire(self) -> None:
        """Every token issued so far has died."""
        self._issued = {
            token: (0.0, permissions) for token, (_, permissions) in self._issued.items()
        }


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
