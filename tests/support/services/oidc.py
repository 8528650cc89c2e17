"""GitHub's endpoint for OIDC tokens, for a job with `id-token: write`."""

from __future__ import annotations

import secrets
import uuid
from functools import cache
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support import known_secrets
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, as_json
from tests.support.stub_server import StubServer
from tests.support.virtual_time import wall_time

if TYPE_CHECKING:
    import ssl


ISSUER = "https://token.actions.githubusercontent.com"
OWNER = "https://github.com/octo-org"
"""Default audience of a token."""
_SUBJECT = "repo:octo-org/sales:ref:refs/heads/main"
_PATH = "/10//idtoken/5b1c7a60-3b2e-4c3a-9f4d-6a1f0b8f3d11/9d3a2f70-8a52-4d5e-b1a4-0c8f2f6b7e22"


class FakeGitHubOidc(StubServer):
    """Issues RS256 tokens that are valid for `lifetime` seconds; `issued` has all of them."""

    def __init__(self, *, lifetime: int = 300, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.lifetime = lifetime
        self.issued: list[str] = []
        self.url += f"{_PATH}?api-version=2.0"
        self.request_token = secrets.token_urlsafe(48)

    @property
    def environment(self) -> dict[str, str]:
        """The two variables with which a job requests tokens."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": self.url,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.request_token,
        }

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        if request.path != _PATH or request.method != "GET":
            return as_json(404, {"message": "Not Found"})
        if request.headers.get("Authorization") != f"Bearer {self.request_token}":
            return as_json(401, {"message": "Unauthorized"})
        return as_json(200, {"value": self.issue(request.first("audience", OWNER))})

    def issue(self, audience: str) -> str:
        now = int(wall_time())
        claims = {"iss": ISSUER, "sub": _SUBJECT, "aud": audience, "jti": str(uuid.uuid4())}
        claims |= {
            "repository": "octo-org/sales",
            "ref": "refs/heads/main",
            "repository_owner": "octo-org",
        }
        times = {"iat": now, "nbf": now, "exp": now + self.lifetime}
        token = jwt.encode(claims | times, _key(), "RS256", headers={"kid": "the only key"})
        known_secrets.add(token)
        with self._lock:
            self.issued.append(token)
        return token

    def is_good(self, token: str, audience: str) -> bool:
        """Tell whether it issued this token for this audience, and it has not expired."""
        try:
            claims = jwt.decode(
                token,
                _key().public_key(),
                algorithms=["RS256"],
                audience=audience,
                issuer=ISSUER,
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.InvalidTokenError:
            return False
        return bool(claims["nbf"] <= wall_time() < claims["exp"])


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
