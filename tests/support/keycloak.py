"""A realm of an identity provider, for Airflow's Keycloak auth manager.

It logs users in and decides about their permissions; the real auth manager turns these decisions
into responses. Endpoints that the manager does not need for an API client (authorization code,
refresh) are missing and return 404.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from uuid import NAMESPACE_URL, uuid4, uuid5

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.support import known_secrets
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, RefusedError, as_json
from tests.support.stub_server import StubServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.services import FakeGitHubOidc

REALM = "sales"
CLIENT_ID = "airflow"
SERVICE = f"service-account-{CLIENT_ID}"
"""User name of the client's own service account."""
FEDERATED_ID = "github-deployer"
"""Client that GitHub's OIDC token authenticates ("Signed JWT - Federated")."""
FEDERATED_SERVICE = f"service-account-{FEDERATED_ID}"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_KEY_ID = "the-key-of-the-realm"
UMA = "urn:ietf:params:oauth:grant-type:uma-ticket"
_MANAGER = "airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager"
_OPENID = f"/realms/{REALM}/protocol/openid-connect"
_READING = {"GET", "LIST", "MENU"}
_SCOPES = _READING | {"POST", "PUT", "DELETE"}
_RESOURCES = {"Asset", "AssetAlias", "Backfill", "Configuration", "Connection", "Custom", "Dag"}
_RESOURCES |= {"Menu", "Pool", "Team", "Variable", "View"}
_WRITABLE = {"admin": _RESOURCES, "user": {"Dag", "Asset"}}
"""Resources that each role may change, as the auth manager's own command sets up a realm."""


class Keycloak(StubServer):
    """A realm with these users, and with Airflow as its client.

    Attributes:
        roles: user name to role; tests may change it. Each user starts with the role of the same
            name, and the client may trigger.
        settings: configuration that makes an Airflow use this realm

    Access tokens are valid for `lifetime` seconds, those of the federated client for
    `federated_lifetime`. `oidc` issues its assertions, with the realm's `issuer` as audience.
    """

    def __init__(
        self,
        passwords: Mapping[str, str],
        lifetime: int = 65,
        *,
        oidc: FakeGitHubOidc | None = None,
        federated_lifetime: int = 20,
    ) -> None:
        super().__init__()
        self._passwords = dict(passwords)
        self._lifetime = lifetime
        self._key = rsa.generate_private_key(65537, 2048)
        self.issuer = f"{self.url}/realms/{REALM}"
        self.token_path = f"{_OPENID}/token"
        self._oidc, self._federated_lifetime = oidc, federated_lifetime
        self.roles = {name: name for name in passwords}
        self.roles |= {SERVICE: "user", FEDERATED_SERVICE: "user"}
        self.client_secret = f"the-secret-of-the-client-{uuid4()}"
        known_secrets.add(self.client_secret)
        section = "AIRFLOW__KEYCLOAK_AUTH_MANAGER"
        self.settings = {
            "AIRFLOW__CORE__AUTH_MANAGER": _MANAGER,
            f"{section}__CLIENT_ID": CLIENT_ID,
            f"{section}__CLIENT_SECRET": self.client_secret,
            f"{section}__REALM": REALM,
            f"{section}__SERVER_URL": self.url,
            f"{section}__JWT_FEDERATED_CLIENT_IDS": f"other, {FEDERATED_ID}",
        }

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        endpoints = {
            f"POST {_OPENID}/token": self._token,
            f"GET {_OPENID}/userinfo": self._userinfo,
            f"GET {_OPENID}/certs": self._keys,
        }
        endpoint = endpoints.get(f"{request.method} {request.path}")
        try:
            return endpoint(request) if endpoint else as_json(404, {"error": "HTTP 404 Not Found"})
        except RefusedError as refusal:
            return refusal.answer

    def _token(self, request: ReceivedRequest) -> FakeResponse:
        form = dict(parse_qsl(request.body.decode()))
        if form.get("grant_type") == UMA:
            return self._decision(request, form)
        if form.get("client_assertion_type") == _ASSERTION:
            return self._federated(form)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, self.client_secret):
            raise _refusal(
                401, "unauthorized_client", "Invalid client or Invalid client credentials"
            )
        if form.get("grant_type") == "password":
            name = form.get("username", "")
            if self._passwords.get(name) != form.get("password", ""):
                raise _refusal(401, "invalid_grant", "Invalid user credentials")
            return as_json(
                200, self._tokens(name, form) | {"refresh_token": f"a-refresh-token-{uuid4()}"}
            )
        if form.get("grant_type") == "client_credentials":
            return as_json(200, self._tokens(SERVICE, form))
        raise _refusal(400, "unsupported_grant_type", "Unsupported grant_type")

    def _federated(self, form: dict[str, str]) -> FakeResponse:
        """Return a token for the client that GitHub's OIDC token authenticates."""
        good = self._oidc is not None and self._oidc.is_good(form["client_assertion"], self.issuer)
        if not good or form.get("client_id") != FEDERATED_ID:
            raise _refusal(401, "invalid_client", "Invalid client or Invalid client credentials")
        if form.get("grant_type") != "client_credentials":
            raise _refusal(400, "unsupported_grant_type", "Unsupported grant_type")
        tokens = self._tokens(
            FEDERATED_SERVICE, form, self._federated_lifetime, aud=CLIENT_ID, azp=FEDERATED_ID
        )
        known_secrets.add(tokens["access_token"])
        return as_json(200, tokens)

    def _keys(self, _: ReceivedRequest) -> FakeResponse:
        key = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return as_json(200, {"keys": [key | {"kid": _KEY_ID, "alg": "RS256", "use": "sig"}]})

    def _userinfo(self, request: ReceivedRequest) -> FakeResponse:
        claims = self._claims(request, _refusal(401, "invalid_token", "Token verification failed"))
        if "openid" not in claims["scope"].split():
            raise _refusal(403, "insufficient_scope", "Missing openid scope")
        return as_json(200, {name: claims[name] for name in ("sub", "preferred_username")})

    def _decision(self, request: ReceivedRequest, form: dict[str, str]) -> FakeResponse:
        """Tell whether the user of the bearer token has the requested permission."""
        claims = self._claims(request, _refusal(401, "invalid_grant", "Invalid bearer token"))
        resource, _, scope = form["permission"].partition("#")
        if resource not in _RESOURCES:
            raise _refusal(
                400, "invalid_resource", f"Resource with id [{resource}] does not exist."
            )
        if scope not in _SCOPES:
            raise _refusal(400, "invalid_scope", f"One of the given scopes [{scope}] is invalid")
        name = claims["preferred_username"]
        if scope not in _READING and resource not in _WRITABLE.get(self.roles[name], ()):
            raise _refusal(403, "access_denied", "not_authorized")
        return as_json(200, self._tokens(name, form) | {"upgraded": False})

    def _tokens(
        self, name: str, form: dict[str, str], lifetime: int = 0, **others: str
    ) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": str(uuid5(NAMESPACE_URL, name)),
            "aud": "account",
            "azp": CLIENT_ID,
        }
        claims |= {
            "preferred_username": name,
            "scope": form.get("scope", ""),
            "typ": "Bearer",
            "jti": str(uuid4()),
        }
        times = {"iat": now, "exp": now + (lifetime or self._lifetime)}
        token = jwt.encode(claims | others | times, self._key, "RS256", {"kid": _KEY_ID})
        return {
            "access_token": token,
            "expires_in": lifetime or self._lifetime,
            "token_type": "Bearer",
            "not-before-policy": 0,
        }

    def _claims(self, request: ReceivedRequest, refusal: RefusedError) -> dict[str, Any]:
        """Return the claims of a valid bearer token; refuse an expired one like a forged one."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key.public_key(),
                ["RS256"],
                issuer=self.issuer,
                options={"verify_aud": False},
            )
        except jwt.InvalidTokenError:
            raise refusal from None
        if scheme.lower() != "bearer":
            raise refusal
        return claims


def _refusal(status: int, error: str, description: str) -> RefusedError:
    return RefusedError(as_json(status, {"error": error, "error_description": description}))
