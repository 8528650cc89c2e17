"""An Amazon MWAA environment: its login API, and the web server in front of its Airflow.

Measured: docs/notes/credentials.md#amazon-mwaa.
"""

from __future__ import annotations

import copy
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

import requests

from tests.support import known_secrets
from tests.support.fake_airflow.messages import (
    FakeResponse,
    ReceivedRequest,
    RefusedError,
    as_json,
    form,
    page,
)
from tests.support.proxy import Proxy
from tests.support.services import aws, certificates
from tests.support.stub_server import StubServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal, Self

    from tests.support.fake_airflow import FakeAirflow

WEB_TOKEN_LIVES = 60.0  # seconds
_PATH = "/webtoken/"
_LOGINS = {
    "2.11.2": ("/aws_mwaa/login", "session"),
    "3.3.2": ("/pluginsv2/aws_mwaa/login", "_token"),
}


class MwaaApi(StubServer):
    """`POST /webtoken/<name>`, signed: returns a web token for one login.

    `web_token_lives` is the web token's validity in seconds.
    """

    def __init__(self, name: str, region: str, web_host: str) -> None:
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self.host = f"env.airflow.{region}.{domain}"
        super().__init__(tls=certificates.trusted_ca().server(self.host), host=self.host)
        self.keys = aws.FakeAwsKeys()
        self.web_token_lives = WEB_TOKEN_LIVES
        self._name, self._region, self._web_host = name, region, web_host
        self._expired = self._denied = False
        self._web_tokens: dict[str, float] = {}

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        try:
            return self._create_web_login_token(request)
        except RefusedError as refused:
            return refused.answer

    def expire_keys(self) -> None:
        """Expire the AWS keys, as at the end of a role's session."""
        self._expired = True

    def deny(self) -> None:
        """Take the permission airflow:CreateWebLoginToken from the keys."""
        self._denied = True

    def redeem(self, web_token: str) -> bool:
        """Tell whether a web token is valid for a login, and invalidate it."""
        with self._lock:
            return self._web_tokens.pop(web_token, 0) > time.time()

    def _create_web_login_token(self, request: ReceivedRequest) -> FakeResponse:
        if request.method != "POST" or not request.path.startswith(_PATH):
            raise aws.refuse(
                403, "MissingAuthenticationTokenException", "Missing Authentication Token"
            )
        if self._expired:
            raise aws.refuse(
                403,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            )
        now = datetime.now(UTC)
        aws.check(
            request, host=self.host, service="airflow", region=self._region, keys=self.keys, now=now
        )
        name = request.path.removeprefix(_PATH)
        if self._denied:
            text = (
                "User is not authorized to perform: airflow:CreateWebLoginToken on "
                f"resource: role/{name}/Op"
            )
            raise aws.refuse(403, "AccessDeniedException", text, key="Message")
        if name != self._name:
            raise aws.refuse(
                404, "ResourceNotFoundException", f"No environment found with name: {name}"
            )
        web_token = secrets.token_urlsafe(120)
        known_secrets.add(web_token)
        with self._lock:
            self._web_tokens[web_token] = time.time() + self.web_token_lives
        who = {
            "IamIdentity": "assumed-role/deployer/github",
            "AirflowIdentity": "assumed-role/deployer",
        }
        return as_json(200, {"WebServerHostname": self._web_host, "WebToken": web_token} | who)


class MwaaWeb(Proxy):
    """The web server: exchanges a web token for a session, and forwards sessions to Airflow.

    `sessions` are the valid values of the cookie.
    """

    def __init__(
        self,
        airflow: FakeAirflow,
        host: str,
        redeem: Callable[[str], bool],
        *,
        user: str = "admin",
        login_status: int,
    ) -> None:
        super().__init__(airflow.url, tls=certificates.trusted_ca().server(host), host=host)
        self.sessions: set[str] = set()
        self._airflow, self._user = airflow, user
        self._redeem = redeem
        self._login_status = login_status
        self._login, self._cookie = _LOGINS[airflow.version]

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """Handle a login, or forward the request.

        Without a valid session Airflow sees no credential.
        """
        if (request.method, request.path) == ("POST", self._login):
            return self._log_in(request)
        headers = copy.deepcopy(request.headers)
        del headers["Cookie"]
        if self._cookie == "session":
            del headers["Authorization"]
            if _cookie(request, self._cookie) in self.sessions:
                headers["Authorization"] = self._authorization()
        return super().answer(replace(request, headers=headers))

    def expire_sessions(self) -> None:
        self.sessions.clear()
        if self._cookie == "_token":
            self._airflow.expire_tokens()

    def _log_in(self, request: ReceivedRequest) -> FakeResponse:
        fields = form(request.body)
        if not self._redeem(fields.get("token", [""])[0]):
            return page(403, "Forbidden")
        session = (
            self._airflow.token(self._user)
            if self._cookie == "_token"
            else secrets.token_urlsafe(48)
        )
        known_secrets.add(session)
        self.sessions.add(session)
        set_cookie = f"{self._cookie}={session}; Secure; HttpOnly; Path=/; SameSite=Lax"
        headers = (("Set-Cookie", set_cookie), ("Location", "/home"))
        return replace(
            page(self._login_status, "Airflow"),
            headers=headers[: 1 if self._login_status == 200 else 2],
        )

    def _authorization(self) -> str:
        """Return the Authorization header of the session's user for the Airflow behind."""
        with self._airflow.session(self._user) as session:
            return session.prepare_request(requests.Request("GET", self._airflow.url)).headers[
                "Authorization"
            ]


class FakeMwaa:
    """An environment: its API, and its web server in front of a fake Airflow.

        with (
            FakeAirflow("2.11.2", dags=[...]) as airflow,
            Mwaa(airflow) as mwaa,
            Tunnel(mwaa.ports) as tunnel,
        ):
            inputs = {"mwaa_environment": mwaa.name, "ca_certificate": trusted_ca().pem, ...}
            ActionStep(inputs, env=mwaa.environment | tunnel.environment)

    Args:
        airflow: the Airflow behind the web server
        name: name of the environment
        region: AWS region
        user: Airflow user of the sessions
        web_domain: end of the web server's host name
        login_status: status of a login's response; by default as measured for the version
    """

    def __init__(
        self,
        airflow: FakeAirflow,
        *,
        name: str = "sales-prod",
        region: str = "eu-west-1",
        user: str = "admin",
        web_domain: str = "c1.{region}.airflow.amazonaws.com",
        login_status: Literal[200, 302] | None = None,
    ) -> None:
        self.name, self.region = name, region
        self.web_host = f"3f0c2b6e-8a4d-4f8e-9f0e-1d2c3b4a5968.{web_domain.format(region=region)}"
        self.api = MwaaApi(name, region, self.web_host)
        status = login_status or (302 if airflow.version == "2.11.2" else 200)
        self.web = MwaaWeb(airflow, self.web_host, self.api.redeem, user=user, login_status=status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self.api, self.web:
            pass

    @property
    def ports(self) -> dict[str, int]:
        """Ports of the two host names, for `Tunnel`."""
        return {f"{self.api.host}:443": self.api.port, f"{self.web_host}:443": self.web.port}

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a job signs its requests."""
        return self.api.keys.environment | {"AWS_REGION": self.region}


def _cookie(request: ReceivedRequest, name: str) -> str:
    try:
        found = SimpleCookie(request.headers.get("Cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
