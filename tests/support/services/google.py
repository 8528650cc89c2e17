"""Google's token services for one workload identity, and the API of Cloud Composer.

https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token,
https://cloud.google.com/iam/docs/reference/credentials/rest,
https://cloud.google.com/composer/docs/reference/rest/v1/projects.locations.environments/get
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt

from tests.support import known_secrets
from tests.support.fake_airflow.messages import (
    FakeResponse,
    ReceivedRequest,
    RefusedError,
    as_json,
    form,
)
from tests.support.services import certificates
from tests.support.stub_server import StubServer
from tests.support.virtual_time import wall_time

if TYPE_CHECKING:
    from tests.support.services.oidc import FakeGitHubOidc

PROVIDER = "projects/123456789/locations/global/workloadIdentityPools/github/providers/my-repo"
ACCOUNT = "airflow-gate@my-project.iam.gserviceaccount.com"
ENVIRONMENT = "projects/my-project/locations/europe-west1/environments/sales"
WEB_HOST = "0123456789abcdef-dot-europe-west1.composer.googleusercontent.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
HOSTS = ("sts.googleapis.com", "iamcredentials.googleapis.com", "composer.googleapis.com")
_KEY = "the signing key of Google in tests, which is long enough for it"
_TOKEN = "urn:ietf:params:oauth:token-type"
_EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "audience": f"//iam.googleapis.com/{PROVIDER}",
    "requested_token_type": f"{_TOKEN}:access_token",
    "subject_token_type": f"{_TOKEN}:jwt",
}


class FakeGoogle(StubServer):
    """Exchanges GitHub's tokens for Google's.

    Args:
        oidc: issuer of accepted tokens
        lifetime: validity of every token in seconds
        airflow_uri: address in the response of Composer's API
    """

    def __init__(
        self,
        oidc: FakeGitHubOidc,
        *,
        lifetime: float = 3600,
        airflow_uri: str = f"https://{WEB_HOST}",
    ) -> None:
        super().__init__(tls=certificates.trusted_ca().server(*HOSTS), host=HOSTS[0])
        self.lifetime, self.airflow_uri = lifetime, airflow_uri
        self.impersonation_denied = False
        self._oidc = oidc
        self._tokens: dict[str, tuple[str, float]] = {}

    @property
    def ports(self) -> dict[str, int]:
        """Ports of all host names, for `Tunnel`."""
        return {f"{host}:443": self.port for host in HOSTS}

    def issued(self, kind: str) -> list[str]:
        """Return every token of a kind: "federated", "access", or "id" with its audience."""
        return [token for token, (found, _) in self._tokens.items() if found == kind]

    def is_good(self, token: str, kind: str = "access") -> bool:
        """Tell whether it issued this token of this kind, and it has not expired."""
        found, expires = self._tokens.get(token, ("", 0.0))
        return found == kind and expires > wall_time()

    def expire(self) -> None:
        """Expire every token issued so far."""
        self._tokens = {token: (kind, 0.0) for token, (kind, _) in self._tokens.items()}

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        account = f"/v1/projects/-/serviceAccounts/{ACCOUNT}"
        endpoints = {
            (HOSTS[0], "POST", "/v1/token"): self._exchange,
            (HOSTS[1], "POST", f"{account}:generateAccessToken"): self._access_token,
            (HOSTS[1], "POST", f"{account}:generateIdToken"): self._id_token,
            (HOSTS[2], "GET", f"/v1/{ENVIRONMENT}"): self._environment,
        }
        endpoint = endpoints.get((request.headers["Host"], request.method, request.path))
        try:
            if endpoint is None:
                raise _refuse(404, "NOT_FOUND", "Requested entity was not found.")
            return endpoint(request)
        except RefusedError as refused:
            return refused.answer

    def _exchange(self, request: ReceivedRequest) -> FakeResponse:
        """Exchange a token by RFC 8693; parameters that the RFC does not have are an error."""
        if request.headers.get_content_type() != "application/x-www-form-urlencoded":
            raise _invalid("invalid_request", "The content type has to be a form.")
        fields = {name: values[-1] for name, values in form(request.body).items()}
        token, scope = fields.pop("subject_token", ""), fields.pop("scope", "")
        fields.pop("options", None)
        if fields != _EXCHANGE or not scope:
            raise _invalid("invalid_request", f"Invalid parameters: {sorted(fields)}")
        if not self._oidc.is_good(token, f"https://iam.googleapis.com/{PROVIDER}"):
            raise _invalid("invalid_grant", "The audience in ID Token does not match, or expired.")
        body = {
            "access_token": self._issue("federated"),
            "issued_token_type": f"{_TOKEN}:access_token",
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
        }
        return as_json(200, body)

    def _access_token(self, request: ReceivedRequest) -> FakeResponse:
        body = self._impersonated(request, {"delegates", "scope", "lifetime"})
        if not body.get("scope"):
            raise _refuse(400, "INVALID_ARGUMENT", "Request must include scopes.")
        expires = datetime.fromtimestamp(int(wall_time() + self.lifetime), UTC)
        body = {"accessToken": self._issue("access"), "expireTime": f"{expires:%Y-%m-%dT%H:%M:%SZ}"}
        return as_json(200, body)

    def _id_token(self, request: ReceivedRequest) -> FakeResponse:
        body = self._impersonated(request, {"delegates", "audience", "includeEmail"})
        now = int(wall_time())
        claims = {"iss": "https://accounts.google.com", "aud": body["audience"], "sub": "1234"}
        claims |= {"email": ACCOUNT, "email_verified": True} if body.get("includeEmail") else {}
        times = {"iat": now, "exp": now + int(self.lifetime), "jti": secrets.token_hex(8)}
        token = jwt.encode(claims | times, _KEY, "HS256")
        return as_json(200, {"token": self._issue(f"id {body['audience']}", token)})

    def _impersonated(self, request: ReceivedRequest, known: set[str]) -> dict[str, Any]:
        """Return the body of a request that the workload identity may make."""
        if not self.is_good(_bearer(request), "federated"):
            raise _refuse(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if self.impersonation_denied:
            text = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource"
            raise _refuse(403, "PERMISSION_DENIED", text)
        body: dict[str, Any] = json.loads(request.body)
        if unknown := set(body) - known:
            raise _refuse(400, "INVALID_ARGUMENT", f"Unknown name: {sorted(unknown)}")
        return body

    def _environment(self, request: ReceivedRequest) -> FakeResponse:
        if not any(self.is_good(_bearer(request), kind) for kind in ("access", "federated")):
            raise _refuse(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        config = {"airflowUri": self.airflow_uri, "nodeCount": 3}
        return as_json(200, {"name": ENVIRONMENT, "config": config, "state": "RUNNING"})

    def _issue(self, kind: str, token: str = "") -> str:
        token = token or f"ya29.{secrets.token_urlsafe(90)}"
        known_secrets.add(token)
        with self._lock:
            self._tokens[token] = kind, wall_time() + self.lifetime
        return token


def _bearer(request: ReceivedRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if re.fullmatch("bearer", scheme, re.IGNORECASE) else ""


def _invalid(error: str, description: str) -> RefusedError:
    """Return an error in the format of OAuth 2.0."""
    return RefusedError(as_json(400, {"error": error, "error_description": description}))


def _refuse(status: int, name: str, message: str) -> RefusedError:
    """Return an error in the format of Google's APIs."""
    error = {"code": status, "message": message, "status": name}
    return RefusedError(as_json(status, {"error": error}))
