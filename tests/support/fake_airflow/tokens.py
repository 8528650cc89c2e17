"""Tokens: of Airflow 3's login, with its simple auth manager, and of logs.

Measured: docs/notes/airflow-3.md#tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import jwt

from dev.airflow_settings import ROLES, password_of
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, RefusedError, as_json
from tests.support.known_secrets import add

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "the signing key of a scripted Airflow, long enough for HS512: at least sixty-four bytes"
USERS = {name: name for name in ROLES}  # user name to role
LEEWAY = 10  # seconds that Airflow grants an expired token


class Tokens:
    """Issue and check tokens, which are valid for `lifetime` seconds."""

    title = "Simple auth manager sub application"
    """Title of the auth manager's API."""

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime
        self._good: set[str] = set()

    def expire(self) -> None:
        """Answer every token issued so far with 401 Token Expired."""
        self._good.clear()

    def log_in(self, request: ReceivedRequest) -> FakeResponse:
        """POST /auth/token."""
        try:
            credentials = json.loads(request.body)
        except ValueError:
            credentials = None
        if not isinstance(credentials, dict):
            return FakeResponse(
                500, b"Internal Server Error", "text/plain; charset=utf-8", close=True
            )
        for name in {"username", "password", *credentials}:
            if name not in {"username", "password"}:
                return as_json(
                    422,
                    {
                        "detail": (
                            f"1 validation error for LoginBody\n{name}\n  Extra inputs are "
                            "not permitted"
                        )
                    },
                )
            if not isinstance(credentials.get(name), str):
                return as_json(
                    422, {"detail": f"1 validation error for LoginBody\n{name}\n  Field required"}
                )
        name = credentials["username"]
        if USERS.get(name) is None or credentials["password"] != password_of(name):
            return as_json(401, {"detail": "Invalid credentials"})
        return as_json(201, {"access_token": self.issue(name)})

    def issue(self, name: str) -> str:
        now, name_of_token = int(time.time()), uuid.uuid4().hex
        self._good.add(name_of_token)
        claims = self.user_claims(name) | {"jti": name_of_token}
        claims |= {"aud": "apache-airflow", "nbf": now, "exp": now + self.lifetime, "iat": now}
        token = jwt.encode(claims, KEY, "HS512")
        add(token)
        return token

    def user_claims(self, name: str) -> dict[str, Any]:
        """Return a token's claims about its user."""
        return {"sub": name, "role": USERS[name], "teams": []}

    def role(self, request: ReceivedRequest) -> str:
        """Return the role of the request's user; refuse 401 or 403 as Airflow does."""
        return str(self.claims(request)["role"])

    def claims(self, request: ReceivedRequest) -> dict[str, Any]:
        """Return the claims of the request's token; refuse 401 or 403 as Airflow does."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise RefusedError(as_json(401, {"detail": "Not authenticated"}))
        try:
            claims: dict[str, Any] = jwt.decode(
                token, KEY, algorithms=["HS512"], audience="apache-airflow", leeway=LEEWAY
            )
        except jwt.ExpiredSignatureError:
            raise RefusedError(as_json(401, {"detail": "Token Expired"})) from None
        except jwt.InvalidTokenError:
            raise RefusedError(as_json(403, {"detail": "Invalid JWT token"})) from None
        if claims["jti"] not in self._good:
            raise RefusedError(as_json(401, {"detail": "Token Expired"}))
        return claims


class LogTokens:
    """Signed tokens that say where a log was read to, as those of itsdangerous."""

    def __init__(self) -> None:
        self._key = 0

    def write(self, position: Mapping[str, int | bool]) -> str:
        data = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")
        return f"{data}.{self._signature(data)}"

    def read(self, token: str) -> dict[str, Any] | None:
        """Return what the token says, None if it has another key's signature."""
        data, _, signature = token.partition(".")
        if signature != self._signature(data):
            return None
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(data + "=="))
        return found

    def change_key(self) -> None:
        """Change the key, as a restart without a fixed one does."""
        self._key += 1

    def _signature(self, data: str) -> str:
        return hashlib.sha256(f"{self._key}{data}".encode()).hexdigest()[:27]
