"""Request tokens by OAuth 2.0 client credentials, with a secret or GitHub's OIDC token.

RFC 6749 4.4 and 2.3.1; RFC 7523 2.2.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from entrypoint.auth.github_oidc import GitHubOidc
from entrypoint.auth.token import bearer, expires_at, pair, require_token
from entrypoint.credentials import Secret
from entrypoint.errors import Unauthorized
from entrypoint.http.client import Request, path_of
from entrypoint.http.response import Service, external_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.auth.authorization import Grant
    from entrypoint.credentials import OAuth
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Response

TOKEN_ENDPOINT = external_service("The identity provider", "token_url")
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenEndpoint:
    """One client at one token endpoint.

    Args:
        client: token URL, client id and its secret or OIDC source.
        http_client: creates the HTTP client for a service.
        mask: hides a text in the log.
        now: returns seconds since the epoch.
    """

    def __init__(
        self,
        client: OAuth,
        http_client: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._http = http_client(TOKEN_ENDPOINT)
        self._mask = mask
        self._now = now
        self._oidc = (
            None
            if isinstance(client.proof, Secret)
            else GitHubOidc(client.proof, http_client, mask)
        )
        self._use_basic = False

    def grant(self, deadline: Deadline) -> Grant:
        """Request a token and return its grant.

        Raises:
            Unauthorized: the endpoint refused the client, or GitHub refused its OIDC token.
            TransientError, UnexpectedResponse: an error of `HttpClient.send`.
        """
        form = {"grant_type": "client_credentials"} | (
            {"scope": self._client.scope} if self._client.scope else {}
        )
        sent_at = self._now()
        response = self._request_token(form, deadline)
        if response.status != 200:
            raise Unauthorized(
                "The identity provider refused the client",
                f"{response.source}{response.error_suffix}",
                (
                    "Check client_id, client_secret (its value, not its id; has it expired?), "
                    "scope and token_url."
                )
                if self._oidc is None
                else (
                    "Check client_id, scope, token_url, and the federated credential: it must "
                    "name this repository and ref, and the audience must be oidc_audience."
                ),
            )
        body = response.body if isinstance(response.body, dict) else {}
        if str(body.get("token_type", "bearer")).lower() != "bearer":
            raise response.unexpected(f"the token type is {body['token_type']!r}, not bearer.")
        token = require_token(body.get("access_token"), self._mask, TOKEN_ENDPOINT.name)
        return bearer(token, expires_at(body.get("expires_in"), sent_at))

    def _request_token(self, form: dict[str, str], deadline: Deadline) -> Response:
        client = self._client
        if self._oidc is not None:
            client_id = {"client_id": client.client_id} if client.client_id else {}
            assertion = self._oidc.token(deadline)
            return self._post(
                form
                | client_id
                | {"client_assertion_type": _ASSERTION, "client_assertion": assertion},
                deadline,
            )
        assert isinstance(client.proof, Secret)  # noqa: S101 - otherwise _oidc is set
        if not self._use_basic:
            self._mask(quote_plus(client.proof.reveal()))
            response = self._post(
                form | {"client_id": client.client_id, "client_secret": client.proof.reveal()},
                deadline,
            )
            if response.status not in (400, 401):
                return response
        # Some providers accept the secret in the body, others as HTTP Basic
        # (docs/notes/credentials.md#oauth-client-credentials).
        name, secret = quote_plus(client.client_id), Secret(quote_plus(client.proof.reveal()))
        basic = {"Authorization": f"Basic {pair(name, secret, self._mask)}"}
        second = self._post(form, deadline, basic)
        if self._use_basic or second.status == 200:
            self._use_basic = True
            return second
        return response

    def _post(
        self, form: dict[str, str], deadline: Deadline, headers: dict[str, str] | None = None
    ) -> Response:
        url = self._client.token_url
        request = Request(
            "POST",
            url,
            f"POST {path_of(url)}",
            {"Accept": "application/json"} | (headers or {}),
            body=form,
            deadline=deadline,
        )
        return self._http.request(request)
