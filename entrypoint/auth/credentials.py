"""Credentials as "an Authorization value, and when it dies": every kind becomes a `Grant`, and the
rest never knows which.

Every secret that is derived here is handed to `mask` before it is used. The room knows logins, and
neither DAGs nor runs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from entrypoint.auth.authorization import Authorization, Grant
from entrypoint.auth.github_oidc import GitHubOidc
from entrypoint.auth.mwaa import MwaaLogin
from entrypoint.auth.oauth import TokenEndpoint
from entrypoint.auth.token import basic, bearer, exchange_token
from entrypoint.credentials import Client, GitHubToken, Header, Mwaa, OAuth, Password, Secret, Token
from entrypoint.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.credentials import Credential
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Service

    Mask = Callable[[str], None]
    Login = Callable[[dict[str, str]], str]

_RENEWABLE_HINT = (
    "A DAG run may take about {} with it. For a longer one give a credential that the "
    "action can renew (username and "
    "password, client_id and client_secret, oidc_audience, mwaa_environment), or a token "
    "that lives longer."
)
_CHANGED_HINT = "Was the password changed meanwhile, or the user disabled?"


class AirflowCredentials:
    """One credential, as each of Airflow's APIs wants to be shown it.

    Args:
        credential: of whichever kind.
        mask: hides a text in the log.
        wire: makes the way to somebody who grants tokens.
    """

    def __init__(
        self, credential: Credential, mask: Mask, wire: Callable[[Service], HttpClient]
    ) -> None:
        self._credential = credential
        self._mask = mask
        self._mwaa = MwaaLogin(credential, wire, mask) if isinstance(credential, Mwaa) else None
        self._http = wire

    def web_server(self) -> str | None:
        """Return the base URL of the Airflow if the credential says which it is. Raises the errors
        of `MwaaLogin`.
        """
        return self._mwaa.web_server() if self._mwaa else None

    def for_any(self) -> Authorization | None:
        """See `airflow.Credentials`."""
        match self._credential:
            case Token(token):
                return Authorization(partial(bearer, token.reveal()), _RENEWABLE_HINT)
            case Header(value):
                return Authorization(partial(Grant, value), _RENEWABLE_HINT)
            case GitHubToken() as source:
                oidc = GitHubOidc(source, self._http, self._mask)
                return Authorization(lambda: bearer(oidc.token()))
            case OAuth() as client:
                return Authorization(TokenEndpoint(client, self._http, self._mask).grant)
            case Mwaa():
                assert self._mwaa is not None  # noqa: S101 - made from it
                return Authorization(self._mwaa.grant)
        return None

    def for_v1(self) -> Authorization:
        """See `airflow.Credentials`: a password travels as HTTP Basic."""
        if isinstance(self._credential, Password):
            return Authorization(partial(basic, self._credential, self._mask), _CHANGED_HINT)
        raise NotSupported(
            "This Airflow has no login for client_id and client_secret",
            "Airflow 2 answers here; only the Keycloak auth manager of Airflow 3 takes "
            "them itself.",
            "Give the token_url of the identity provider that issued them, or username and "
            "password.",
        )

    def for_v2(self, login: Login) -> Authorization:
        """See `airflow.Credentials`: no Basic is taken, so it is exchanged for a token."""
        body: dict[str, str | Secret]
        match self._credential:
            case Password(username, password):
                # Exactly these two keys: more are a 422
                # (docs/notes/credentials.md#self-hosted-airflow-3).
                body = {"username": username, "password": password}
            case Client(client_id, secret):
                body = {
                    "grant_type": "client_credentials",
                    "client_id": client_id,
                    "client_secret": secret,
                }
            case _:  # pragma: no cover - for_any presents the others
                raise AssertionError
        return Authorization(partial(exchange_token, body, login, self._mask))
