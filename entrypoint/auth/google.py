"""Get Google's tokens for GitHub's OIDC token, and the address of a Composer environment.

Google's STS exchanges GitHub's token (RFC 8693). A service account, if one is given, then gives an
access token, or an ID token for an audience. Each lives for an hour at most, and is renewed by the
whole chain.

Measured: docs/notes/credentials.md#google.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from entrypoint.auth.github_oidc import GitHubOidc
from entrypoint.auth.token import bearer, expires_at, require_token
from entrypoint.errors import Unauthorized, UnexpectedResponse
from entrypoint.http.client import Request, path_of
from entrypoint.http.response import external_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.auth.authorization import Grant
    from entrypoint.credentials import Google
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Response, Service

GOOGLE_STS = external_service(
    "Google's token service", "google_workload_identity_provider and Google's status page"
)
GOOGLE_IAM = external_service(
    "Google's IAM service", "google_service_account and Google's status page"
)
COMPOSER = external_service("Google Cloud Composer", "composer_environment")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_STS_URL = "https://sts.googleapis.com/v1/token"
_IAM_URL = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
_COMPOSER_URL = "https://composer.googleapis.com/v1"
_DOMAIN = ".composer.googleusercontent.com"
_TYPES = "urn:ietf:params:oauth"


class GoogleTokens:
    """Gets tokens of one workload identity.

    Args:
        google: provider, service account and audience.
        http_client: creates the HTTP client for a service.
        mask: hides a text in the log.
        now: returns seconds since the epoch.
    """

    def __init__(
        self,
        google: Google,
        http_client: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._google = google
        self._oidc = GitHubOidc(google.github, http_client, mask)
        self._sts = http_client(GOOGLE_STS)
        self._iam = http_client(GOOGLE_IAM)
        self._mask = mask
        self._now = now

    def grant(self, deadline: Deadline) -> Grant:
        """Request a token and return its grant.

        Raises:
            Unauthorized: Google refused GitHub's token or the service account, or GitHub refused.
            TransientError, UnexpectedResponse: an error of `HttpClient.send`.
        """
        token, expires = self._federated(deadline)
        if not self._google.service_account:
            return bearer(token, expires)
        if self._google.audience:
            body: dict[str, Any] = {"audience": self._google.audience, "includeEmail": True}
            answer = self._impersonate("generateIdToken", token, body, deadline)
            return bearer(require_token(answer.get("token"), self._mask, GOOGLE_IAM.name))
        answer = self._impersonate("generateAccessToken", token, {"scope": [_SCOPE]}, deadline)
        access = require_token(answer.get("accessToken"), self._mask, GOOGLE_IAM.name)
        return bearer(access, _moment(answer.get("expireTime")))

    def _federated(self, deadline: Deadline) -> tuple[str, float | None]:
        """Exchange GitHub's token for a token of the workload identity."""
        form = {
            "grant_type": f"{_TYPES}:grant-type:token-exchange",
            "audience": f"//iam.googleapis.com/{self._google.provider}",
            "requested_token_type": f"{_TYPES}:token-type:access_token",
            "subject_token_type": f"{_TYPES}:token-type:jwt",
            "subject_token": self._oidc.token(deadline),
            "scope": _SCOPE,
        }
        sent_at = self._now()
        response = self._sts.request(_post(_STS_URL, form, deadline))
        if response.status != 200:
            raise Unauthorized(
                "Google refused GitHub's OIDC token",
                f"{response.source}{response.error_suffix}",
                "Check google_workload_identity_provider (its full name, with the project's "
                "number), and that its attribute condition accepts this repository and ref.",
            )
        body = _object(response)
        token = require_token(body.get("access_token"), self._mask, GOOGLE_STS.name)
        return token, expires_at(body.get("expires_in"), sent_at)

    def _impersonate(
        self, method: str, token: str, body: dict[str, Any], deadline: Deadline
    ) -> dict[str, Any]:
        account = self._google.service_account
        request = _post(
            f"{_IAM_URL}/{account}:{method}", json.dumps(body).encode(), deadline, token
        )
        response = self._iam.request(request)
        if response.status != 200:
            raise Unauthorized(
                "Google does not let this job use the service account",
                f"{response.source}{response.error_suffix}",
                f"Give the workload identity roles/iam.workloadIdentityUser on {account}"
                + (
                    ", and the account roles/iam.serviceAccountOpenIdTokenCreator on itself."
                    if method == "generateIdToken"
                    else "."
                ),
            )
        return _object(response)


def composer_url(environment: str, grant: Grant, http: HttpClient, deadline: Deadline) -> str:
    """Return the base URL of a Composer environment's Airflow.

    Args:
        environment: resource name of the environment.
        grant: access token of Google.
        http: HTTP client for COMPOSER.
        deadline: deadline of the request.

    Raises:
        Unauthorized: Google refused the token, or has no such environment.
        TransientError, UnexpectedResponse: an error of `HttpClient.send`, or no valid address.
    """
    url = f"{_COMPOSER_URL}/{environment}"
    headers = {"Authorization": grant.value.reveal(), "Accept": "application/json"}
    request = Request("GET", url, f"GET {path_of(url)}", headers, deadline=deadline)
    response = http.request(request)
    if response.status != 200:
        raise Unauthorized(
            "Google does not show the Composer environment",
            f"{response.source}{response.error_suffix}",
            "Check composer_environment, and give the credential composer.environments.get "
            "(roles/composer.user), or give airflow_url in its place.",
        )
    config = _object(response).get("config")
    uri = config.get("airflowUri") if isinstance(config, dict) else None
    parts = urlsplit(uri) if isinstance(uri, str) else None
    hostname = parts.hostname if parts is not None and parts.scheme == "https" else None
    if hostname is None or not hostname.endswith(_DOMAIN) or parts.netloc != hostname:  # type: ignore[union-attr]
        raise UnexpectedResponse(
            "Google Cloud Composer returned no valid web server",
            f"{response.source}.",
            "Check in Google's console that the environment is running, or give airflow_url. The "
            "action sent nothing to this server.",
        )
    return f"https://{hostname}"


def _post(url: str, body: bytes | dict[str, str], deadline: Deadline, token: str = "") -> Request:
    headers = {"Accept": "application/json"}
    if isinstance(body, bytes):
        headers["Content-Type"] = "application/json"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return Request("POST", url, f"POST {path_of(url)}", headers, body=body, deadline=deadline)


def _object(response: Response) -> dict[str, Any]:
    if not isinstance(response.body, dict):
        raise response.unexpected("the JSON is not an object.")
    return response.body


def _moment(text: object) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()  # type: ignore[arg-type]  # may be any type
    except (TypeError, ValueError, OverflowError):
        return None
