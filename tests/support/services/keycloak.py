"""Airflow 3.3.2 with its Keycloak auth manager (provider 0.11.2).

Airflow's token contains a token of Keycloak, which decides about permissions.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any

import jwt

from dev.airflow_settings import password_of
from tests.support import known_secrets
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, RefusedError, as_json
from tests.support.fake_airflow.tokens import KEY, USERS, Tokens
from tests.support.fake_airflow.v2.base import refuse
from tests.support.fake_airflow.v2.trigger import EXTRA, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services.token_endpoint import FakeTokenEndpoint

_GRANTS = {
    "password": ("username", "password"),
    "client_credentials": ("client_id", "client_secret"),
    "urn:ietf:params:oauth:grant-type:jwt-bearer": ("assertion",),
}
_REFUSED = {
    "password": "Invalid credentials",
    "client_credentials": "Client credentials authentication failed",
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "Invalid Keycloak assertion",
}


class KeycloakTokens(Tokens):
    """Tokens for `FakeAirflow(tokens=KeycloakTokens())`: users, and Airflow's own client.

    With `federated`, its tokens are exchanged too; the provider knows this grant since 0.11.

    Args:
        federated: the endpoint whose tokens it exchanges, as Keycloak's own
        lifetime: validity of Airflow's token in seconds
        keycloak_lifetime: validity of the inner token in seconds, without leeway
        role: role of the client
    """

    title = "Keycloak auth manager sub application"

    def __init__(
        self,
        *,
        lifetime: int = 86400,
        keycloak_lifetime: int = 300,
        role: str = "admin",
        federated: FakeTokenEndpoint | None = None,
    ) -> None:
        super().__init__(lifetime)
        self.client_id = "airflow"
        self.client_secret = secrets.token_urlsafe(32)
        self._keycloak_lifetime = keycloak_lifetime
        self._client_role = role
        self._live: set[str] = set()
        self._federated = federated

    def expire(self) -> None:
        """Expire the inner token of every issued token, which then has no permission."""
        self._live.clear()
        if self._federated is not None:
            self._federated.expire()

    def log_in(self, request: ReceivedRequest) -> FakeResponse:
        """POST /auth/token: 403 for wrong credentials."""
        try:
            grant, fields = _grant(request)
        except RefusedError as refused:
            return refused.answer
        if assertion := fields.get("assertion"):
            if self._federated is None or not self._federated.is_good(assertion):
                return as_json(403, {"detail": _REFUSED[grant]})
            return as_json(201, {"access_token": self.issue(assertion)})
        name = self._user(fields) if grant == "password" else self._client(fields)
        if name is None:
            return as_json(403, {"detail": _REFUSED[grant]})
        return as_json(201, {"access_token": self.issue(name)})

    def user_claims(self, name: str) -> dict[str, Any]:
        """Return the user's name and id, and the tokens that Keycloak issued.

        For the client of an assertion, the token is the assertion itself.
        """
        if self._federated is not None and name in self._federated.issued:
            return {"user_id": "1", "name": "deployer", "access_token": name}
        service = name not in USERS
        user_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        access = self._keycloak_token(user_id, name, self._keycloak_lifetime)
        refresh = None if service else self._keycloak_token(user_id, name, 1800)
        return {"user_id": user_id, "name": name, "access_token": access, "refresh_token": refresh}

    def role(self, request: ReceivedRequest) -> str:
        """Return the role of the request's user; 403 if the inner token has expired."""
        claims = self.claims(request)
        if self._federated is not None and claims["access_token"] in self._federated.issued:
            if not self._federated.is_good(claims["access_token"]):
                raise RefusedError(as_json(403, {"detail": "Forbidden"}))
            return self._client_role
        inside = jwt.decode(claims["access_token"], options={"verify_signature": False})
        if inside["jti"] not in self._live or inside["exp"] <= time.time():
            raise RefusedError(as_json(403, {"detail": "Forbidden"}))
        return USERS.get(claims["name"], self._client_role)

    def _user(self, fields: dict[str, str]) -> str | None:
        name = fields["username"]
        return name if name in USERS and fields["password"] == password_of(name) else None

    def _client(self, fields: dict[str, str]) -> str | None:
        good = fields == {"client_id": self.client_id, "client_secret": self.client_secret}
        return f"service-account-{self.client_id}" if good else None

    def _keycloak_token(self, user_id: str, name: str, lifetime: int) -> str:
        now, number = int(time.time()), str(uuid.uuid4())
        claims = {
            "iss": "https://keycloak.example.com/realms/airflow",
            "sub": user_id,
            "preferred_username": name,
        }
        token = jwt.encode(
            claims
            | {
                "jti": number,
                "azp": self.client_id,
                "typ": "Bearer",
                "iat": now,
                "exp": now + lifetime,
            },
            KEY,
            "HS512",
        )
        self._live.add(number)
        known_secrets.add(token)
        return token


def _grant(request: ReceivedRequest) -> tuple[str, dict[str, str]]:
    """Return the grant type and its fields; refuse what FastAPI and the provider refuse."""
    if not request.body:
        raise refuse(422, [problem("missing", "Field required", None)])
    try:
        is_json = request.headers.get("Content-Type", "").startswith("application/json")
        body = json.loads(request.body) if is_json else None
    except json.JSONDecodeError as error:
        wrong = {
            "type": "json_invalid",
            "loc": ["body", error.pos],
            "msg": "JSON decode error",
            "input": {},
        }
        raise refuse(422, [wrong | {"ctx": {"error": error.msg}}]) from None
    if not isinstance(body, dict):
        raise RefusedError(
            FakeResponse(500, b"Internal Server Error", "text/plain; charset=utf-8", close=True)
        )
    body.setdefault("grant_type", "password")
    if problems := list(_problems(body)):
        raise refuse(422, problems)
    grant = body.pop("grant_type")
    return grant, body


def _problems(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    grant = body["grant_type"]
    if grant not in _GRANTS:
        tags = ", ".join(map(repr, _GRANTS))
        text = (
            f"Input tag {grant!r} found using 'grant_type' does not match any of the "
            f"expected tags: {tags}"
        )
        context = {"discriminator": "'grant_type'", "tag": grant, "expected_tags": tags}
        yield problem("union_tag_invalid", text, body) | {"ctx": context}
        return
    for name in _GRANTS[grant]:
        if name not in body:
            yield problem("missing", "Field required", body, grant, name)
        elif not isinstance(body[name], str):
            yield problem("string_type", "Input should be a valid string", body[name], grant, name)
    for name, value in body.items():
        if name not in {"grant_type", *_GRANTS[grant]}:
            yield problem("extra_forbidden", EXTRA, value, grant, name)
