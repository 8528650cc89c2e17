"""Turn each kind of credential into an `Authorization` for Airflow's APIs.

The rest of the code does not know which kind it is. Every secret that is derived here is masked
before its first use. The services that issue tokens are imported late, because a step uses at most
one of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from entrypoint.auth.authorization import Authorization, Grant
from entrypoint.auth.token import basic, bearer, exchange_token
from entrypoint.credentials import Client, GitHubToken, Header, Mwaa, OAuth, Password, Secret, Token
from entrypoint.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.auth.mwaa import MwaaLogin
    from entrypoint.credentials import Credential
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Service

    Mask = Callable[[str], None]
    Login = Callable[[dict[str, str], Deadline], str]

_RENEWABLE_HINT = (
    "Give a credential that the action can renew (username and password, client_id and "
    "client_secret, oidc_audience, mwaa_environment), or a token that lives longer. With this one "
    "a DAG run may take about {}."
)
_BASIC_HINT = "Check whether the password was changed or the user disabled."


class AirflowCredentials:
    """The credential of the inputs, in the form that each Airflow API accepts.

    Args:
        credential: credential from the inputs.
        mask: hides a text in the log.
        http_client: creates the HTTP client for a service.
    """

    def __init__(
        self, credential: Credential, mask: Mask, http_client: Callable[[Service], HttpClient]
    ) -> None:
        self._credential = credential
        self._mask = mask
        self._mwaa: MwaaLogin | None = None
        if isinstance(credential, Mwaa):
            from entrypoint.auth.mwaa import MwaaLogin  # noqa: PLC0415

            self._mwaa = MwaaLogin(credential, http_client, mask)
        self._http = http_client

    def web_server(self, deadline: Deadline) -> str | None:
        """Return Airflow's base URL if the credential determines it, otherwise None.

        Raises:
            ActionError: an error of `MwaaLogin.web_server`.
        """
        return self._mwaa.web_server(deadline) if self._mwaa else None

    def for_any(self) -> Authorization | None:
        """See `airflow.client.Credentials`."""
        match self._credential:
            case Token(token):
                return Authorization(lambda _: bearer(token.reveal()), _RENEWABLE_HINT)
            case Header(value):
                return Authorization(lambda _: Grant(value), _RENEWABLE_HINT)
            case GitHubToken() as source:
                from entrypoint.auth.github_oidc import GitHubOidc  # noqa: PLC0415

                oidc = GitHubOidc(source, self._http, self._mask)
                return Authorization(lambda deadline: bearer(oidc.token(deadline)))
            case OAuth() as client:
                from entrypoint.auth.oauth import TokenEndpoint  # noqa: PLC0415

                return Authorization(TokenEndpoint(client, self._http, self._mask).grant)
            case Mwaa():
                assert self._mwaa is not None  # noqa: S101 - created from it in __init__
                return Authorization(self._mwaa.grant)
        return None

    def for_gateway(self) -> Authorization | None:
        """See `airflow.client.Credentials`."""
        if not isinstance(self._credential, Password):
            return None
        password = self._credential
        return Authorization(lambda _: basic(password, self._mask), _BASIC_HINT)

    def for_v1(self) -> Authorization:
        """See `airflow.client.Credentials`. A password is sent as HTTP Basic."""
        if (basic_auth := self.for_gateway()) is not None:
            return basic_auth
        raise NotSupported(
            "This Airflow has no login for client_id and client_secret",
            "This is an Airflow 2; only the Keycloak auth manager of Airflow 3 accepts them.",
            "Give the token_url of the identity provider that issued them, or username and "
            "password.",
        )

    def for_v2(self, login: Login) -> Authorization:
        """See `airflow.client.Credentials`. Airflow 3 accepts no Basic, so it needs a token."""
        body: dict[str, str | Secret]
        match self._credential:
            case Password(username, password):
                # Any other key leads to a 422
                # (docs/notes/credentials.md#self-hosted-airflow-3).
                body = {"username": username, "password": password}
            case Client(client_id, secret):
                body = {
                    "grant_type": "client_credentials",
                    "client_id": client_id,
                    "client_secret": secret,
                }
            case _:  # pragma: no cover - for_any handles the others
                raise AssertionError
        return Authorization(partial(exchange_token, body, login, self._mask))
