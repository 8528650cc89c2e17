"""Turn each kind of credential into an `Authorization` for Airflow's APIs.

The rest of the code does not know which kind it is. Every secret that is derived here is masked
before its first use. The services that issue tokens are imported late, because a step uses at most
one of them.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.auth.authorization import Authorization, Grant
from entrypoint.auth.token import basic, bearer, exchange_token
from entrypoint.credentials import (
    Client,
    GitHubToken,
    Google,
    Header,
    Kerberos,
    Mwaa,
    OAuth,
    Password,
    Secret,
    Token,
)
from entrypoint.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.auth.aws import AwsSignature
    from entrypoint.auth.google import GoogleTokens
    from entrypoint.auth.mwaa import MwaaLogin
    from entrypoint.credentials import Credential
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Service

    Mask = Callable[[str], None]
    Login = Callable[[dict[str, str], Deadline], str]

_RENEWABLE_HINT = (
    "Give a credential that the action can renew (username and password, client_id and "
    "client_secret, oidc_audience, mwaa_environment, google_workload_identity_provider), or a "
    "token that lives longer. With this one a DAG run may take about {}."
)
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_BASIC_HINT = "Check whether the password was changed or the user disabled."


class AirflowCredentials:
    """The credential of the inputs, in the form that each Airflow API accepts.

    Args:
        credential: credential from the inputs.
        mask: hides a text in the log.
        http_client: creates the HTTP client for a service.
        composer: resource name of the Composer environment, empty for none.
        now: returns seconds since the epoch.
    """

    def __init__(
        self,
        credential: Credential,
        mask: Mask,
        http_client: Callable[[Service], HttpClient],
        composer: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._composer = composer
        self._now = now
        self._credential = credential
        self._mask = mask
        self._mwaa: MwaaLogin | None = None
        if isinstance(credential, Mwaa):
            from entrypoint.auth.mwaa import MwaaLogin  # noqa: PLC0415

            self._mwaa = MwaaLogin(credential, http_client, mask, now)
        self._http = http_client
        self._any: Authorization | AwsSignature | None = None

    def web_server(self, deadline: Deadline) -> str | None:
        """Return Airflow's base URL if an API of Amazon or Google tells it, otherwise None.

        Raises:
            ActionError: an error of `MwaaLogin` or of `composer_url`.
        """
        if isinstance(self._credential, Mwaa):
            assert self._mwaa is not None  # noqa: S101 - created from it in __init__
            if self._credential.access == "rest_api":
                return self._mwaa.described_web_server(deadline)
            return self._mwaa.web_server(deadline)
        if not self._composer:
            return None
        from entrypoint.auth.google import COMPOSER, composer_url  # noqa: PLC0415

        authorization = self.for_any()
        assert isinstance(authorization, Authorization)  # noqa: S101 - the inputs allow no other
        grant = authorization.grant(deadline)
        return composer_url(self._composer, grant, self._http(COMPOSER), deadline)

    def _google(self, google: Credential) -> GoogleTokens:
        from entrypoint.auth.google import GoogleTokens  # noqa: PLC0415

        assert isinstance(google, Google)  # noqa: S101 - the inputs allow no other
        return GoogleTokens(google, self._http, self._mask, self._now)

    def for_proxy(self, google: Google) -> Authorization:
        """Return the authorizer for Google's Identity-Aware Proxy in front of Airflow.

        It leaves the header `Authorization` to Airflow.
        """
        tokens = self._google(google)
        return Authorization(
            lambda deadline: tokens.grant(deadline)._replace(header="Proxy-Authorization"),
            now=self._now,
        )

    def for_any(self) -> Authorization | AwsSignature | None:
        """See `airflow.client.Credentials`. It is one object, so that a grant is requested once."""
        if self._any is None:
            self._any = self._create()
        return self._any

    def _create(self) -> Authorization | AwsSignature | None:
        match self._credential:
            case Token(token):
                return Authorization(lambda _: bearer(token.reveal()), _RENEWABLE_HINT)
            case Header(value):
                return Authorization(lambda _: Grant(value), _RENEWABLE_HINT)
            case Mwaa(access="rest_api"):
                from entrypoint.auth.aws import AwsSignature  # noqa: PLC0415

                assert self._mwaa is not None  # noqa: S101 - created from it in __init__
                return AwsSignature(self._mwaa.session)
        issuer = self._issuer()
        return None if issuer is None else Authorization(issuer, now=self._now)

    def _issuer(self) -> Callable[[Deadline], Grant] | None:
        """Return the function that requests a grant at a service other than Airflow."""
        match self._credential:
            case GitHubToken() as source:
                from entrypoint.auth.github_oidc import GitHubOidc  # noqa: PLC0415

                oidc = GitHubOidc(source, self._http, self._mask)
                return lambda deadline: bearer(oidc.token(deadline))
            case OAuth() as client:
                from entrypoint.auth.oauth import TokenEndpoint  # noqa: PLC0415

                return TokenEndpoint(client, self._http, self._mask, self._now).grant
            case Mwaa():
                assert self._mwaa is not None  # noqa: S101 - created from it in __init__
                return self._mwaa.grant
            case Google() as google:
                return self._google(google).grant
        return None

    def for_gateway(self) -> Authorization | None:
        """See `airflow.client.Credentials`."""
        if not isinstance(self._credential, Password):
            return None
        password = self._credential
        return Authorization(lambda _: basic(password, self._mask), _BASIC_HINT)

    def for_v1(self) -> Authorization:
        """See `airflow.client.Credentials`. A password is sent as HTTP Basic."""
        if isinstance(self._credential, Kerberos):
            from entrypoint.auth.kerberos import KerberosAuthorization  # noqa: PLC0415

            return KerberosAuthorization(self._credential, self._mask)
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
            case Kerberos():
                raise NotSupported(
                    "Only Airflow 2 accepts Kerberos tickets",
                    "This is an Airflow 3, whose API has no Kerberos backend.",
                    "Give another kind of credential.",
                )
            case _:  # pragma: no cover - for_any handles the others
                raise AssertionError
        return Authorization(partial(exchange_token, body, login, self._mask), now=self._now)

    def for_keycloak(self, login: Login) -> Authorization | None:
        """See `airflow.client.Credentials`. Each renewal begins with a new token of Keycloak."""
        if not isinstance(self._credential, OAuth):
            return None
        from entrypoint.auth.oauth import TokenEndpoint  # noqa: PLC0415

        keycloak = TokenEndpoint(self._credential, self._http, self._mask, self._now)

        def exchange(deadline: Deadline) -> Grant:
            _, _, token = keycloak.grant(deadline).value.reveal().partition(" ")
            body: dict[str, str | Secret] = {"grant_type": _JWT_BEARER, "assertion": Secret(token)}
            return exchange_token(body, login, self._mask, deadline)

        return Authorization(exchange, now=self._now)
