"""OAuth 2.0 client credentials at a token endpoint: the client proves itself by a secret, or by
GitHub's OIDC token.

RFC 6749 4.4 and 2.3.1; RFC 7523 2.2.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from entrypoint.auth.github_oidc import GitHubOidc
from entrypoint.auth.token import bearer, pair, require_token
from entrypoint.credentials import Secret
from entrypoint.errors import Unauthorized
from entrypoint.http.client import Request, path_of
from entrypoint.http.response import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.auth.authorization import Grant
    from entrypoint.credentials import OAuth
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Response

TOKEN_ENDPOINT = Service("The identity provider", "token_url")
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenEndpoint:
    """One client at one token endpoint.

    Args:
        client: who, where, and its proof.
        wire: makes the way to the endpoint, and to GitHub.
        mask: hides a text in the log.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        client: OAuth,
        wire: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._http = wire(TOKEN_ENDPOINT)
        self._mask = mask
        self._now = now
        self._oidc = (
            None if isinstance(client.proof, Secret) else GitHubOidc(client.proof, wire, mask)
        )
        self._as_basic = False

    def grant(self) -> Grant:
        """Return a new grant.

        Raises:
            Unauthorized: the endpoint refused the client, or GitHub did.
            TransientError, UnexpectedResponse: as `Wire.send`.
        """
        form = {"grant_type": "client_credentials"} | (
            {"scope": self._client.scope} if self._client.scope else {}
        )
        asked = self._now()
        answer = self._ask(form)
        if answer.status != 200:
            raise Unauthorized(
                "The identity provider refused the client",
                f"{answer.source}{answer.told}",
                (
                    "Check client_id, client_secret (its value, not its id; has it expired?), "
                    "scope and token_url."
                )
                if self._oidc is None
                else (
                    "Check client_id, scope, token_url, and the federated credential: it "
                    "must name this repository and "
                    "ref, and the audience must be oidc_audience."
                ),
            )
        body = answer.body if isinstance(answer.body, dict) else {}
        if str(body.get("token_type", "bearer")).lower() != "bearer":
            raise answer.unexpected(f"the token is of the type {body['token_type']!r}, no bearer.")
        token = require_token(body.get("access_token"), self._mask, TOKEN_ENDPOINT.name)
        return bearer(token, _expiry(body.get("expires_in"), asked))

    def _ask(self, form: dict[str, str]) -> Response:
        client = self._client
        if self._oidc is not None:
            named = {"client_id": client.client_id} if client.client_id else {}
            return self._post(
                form
                | named
                | {"client_assertion_type": _ASSERTION, "client_assertion": self._oidc.token()}
            )
        assert isinstance(client.proof, Secret)  # noqa: S101 - else there is an oidc
        if not self._as_basic:
            self._mask(quote_plus(client.proof.reveal()))
            answer = self._post(
                form | {"client_id": client.client_id, "client_secret": client.proof.reveal()}
            )
            if answer.status not in (400, 401):
                return answer
        # Providers differ in where they want the secret
        # (docs/notes/credentials.md#oauth-client-credentials).
        name, secret = quote_plus(client.client_id), Secret(quote_plus(client.proof.reveal()))
        second = self._post(form, {"Authorization": f"Basic {pair(name, secret, self._mask)}"})
        if self._as_basic or second.status == 200:
            self._as_basic = True
            return second
        return answer

    def _post(self, form: dict[str, str], headers: dict[str, str] | None = None) -> Response:
        url = self._client.token_url
        request = Request(
            "POST",
            url,
            f"POST {path_of(url)}",
            {"Accept": "application/json"} | (headers or {}),
            body=form,
        )
        return self._http.request(request)


def _expiry(expires_in: object, asked: float) -> float | None:
    """Return the moment of expiry; some write the seconds as a string."""
    try:
        return asked + float(expires_in)  # type: ignore[arg-type]  # whatever it is
    except (TypeError, ValueError, OverflowError):
        return None
