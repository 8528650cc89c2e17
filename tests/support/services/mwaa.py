"""An Amazon MWAA environment: its API, and the web server in front of its Airflow.

Each request to the API is validated by the service's own model.

Measured: docs/notes/credentials.md#amazon-mwaa.
"""

from __future__ import annotations

import copy
import json
import math
import secrets
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Protocol

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
from tests.support.services.aws_model import input_errors, output_errors
from tests.support.stub_server import StubServer
from tests.support.virtual_time import wall_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal, Self

    from tests.support.fake_airflow import FakeAirflow
    from tests.support.services.sts import FakeSts

WEB_TOKEN_LIVES = 60.0  # seconds
RELAY_TIMEOUT = 60.0  # seconds
_LOGINS = {
    "2.11.2": ("/aws_mwaa/login", "session"),
    "3.3.2": ("/pluginsv2/aws_mwaa/login", "_token"),
}


class Server(Protocol):
    """The common interface of `FakeAirflow` and `LocalAirflow`."""

    url: str
    api: str

    def session(self, user: str = "admin") -> requests.Session: ...


class MwaaApi(StubServer):
    """`/webtoken/<name>`, `/restapi/<name>` and `/environments/<name>`, each signed.

    Args:
        name: name of the environment
        region: AWS region
        web_host: host name of the web server
        airflow: the Airflow to which InvokeRestApi relays
        user: user of that Airflow
        role: the STS whose sessions may sign, in addition to `keys`

    Attributes:
        web_token_lives: the web token's validity in seconds
        relayed: method, path and status of each request that InvokeRestApi relayed
    """

    def __init__(
        self,
        name: str,
        region: str,
        web_host: str,
        airflow: Server,
        *,
        user: str = "admin",
        role: FakeSts | None = None,
    ) -> None:
        self.host = f"env.airflow.{region}.{aws.domain(region)}"
        self.control_host = f"api.airflow.{region}.{aws.domain(region)}"
        tls = certificates.trusted_ca().server(self.host, self.control_host)
        super().__init__(tls=tls, host=self.host)
        self.keys = aws.FakeAwsKeys()
        self.web_token_lives = WEB_TOKEN_LIVES
        self.relayed: list[tuple[str, str, int]] = []
        self._name, self._region, self._web_host = name, region, web_host
        self._airflow, self._user, self._role = airflow, user, role
        self._expired = False
        self._denied: set[str] = set()
        self._web_tokens: dict[str, float] = {}

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        operations = {
            ("POST", "webtoken"): ("CreateWebLoginToken", self._create_web_login_token),
            ("POST", "restapi"): ("InvokeRestApi", self._invoke_rest_api),
            ("GET", "environments"): ("GetEnvironment", self._get_environment),
        }
        _, kind, name = f"{request.path}//".split("/")[:3]
        found = operations.get((request.method, kind))
        try:
            if found is None or request.path != f"/{kind}/{name}":
                raise aws.refuse(
                    403, "MissingAuthenticationTokenException", "Missing Authentication Token"
                )
            action, handle = found
            host = self.control_host if kind == "environments" else self.host
            self._authorize(request, host, action, name)
            body = json.loads(request.body) if request.body and kind == "restapi" else {}
            if wrong := input_errors("mwaa", action, {"Name": name, **body}):
                raise aws.refuse(400, "ValidationException", "; ".join(wrong))
            answer = handle(body)
        except RefusedError as refused:
            return refused.answer
        if answer.status == 200:
            assert output_errors("mwaa", action, json.loads(answer.body)) == []
        return answer

    def expire_keys(self) -> None:
        """Expire the AWS keys, as at the end of a role's session."""
        self._expired = True

    def deny(self, action: str = "CreateWebLoginToken") -> None:
        """Take the permission for an action from the keys."""
        self._denied.add(action)

    def redeem(self, web_token: str) -> bool:
        """Tell whether a web token is valid for a login, and invalidate it."""
        with self._lock:
            return self._web_tokens.pop(web_token, 0) > time.time()

    def _authorize(self, request: ReceivedRequest, host: str, action: str, name: str) -> None:
        """Refuse a request whose keys are wrong or expired, or may not do this."""
        keys, expires = self.keys, 0.0 if self._expired else math.inf
        session = self._role.keys(aws.access_key_of(request)) if self._role else None
        if session is not None:
            keys, expires = session
        if expires <= wall_time():
            raise aws.refuse(
                403,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            )
        aws.check(
            request,
            host=host,
            service="airflow",
            region=self._region,
            keys=keys,
            now=datetime.fromtimestamp(wall_time(), UTC),
        )
        if action in self._denied:
            text = (
                f"User is not authorized to perform: airflow:{action} on resource: role/{name}/Op"
            )
            raise aws.refuse(403, "AccessDeniedException", text, key="Message")
        if name != self._name:
            raise aws.refuse(
                404, "ResourceNotFoundException", f"No environment found with name: {name}"
            )

    def _create_web_login_token(self, _: dict[str, Any]) -> FakeResponse:
        web_token = secrets.token_urlsafe(120)
        known_secrets.add(web_token)
        with self._lock:
            self._web_tokens[web_token] = time.time() + self.web_token_lives
        who = {
            "IamIdentity": "assumed-role/deployer/github",
            "AirflowIdentity": "assumed-role/deployer",
        }
        return as_json(200, {"WebServerHostname": self._web_host, "WebToken": web_token} | who)

    def _get_environment(self, _: dict[str, Any]) -> FakeResponse:
        found = {
            "Name": self._name,
            "WebserverUrl": f"https://{self._web_host}",
            "Status": "AVAILABLE",
        }
        return as_json(200, {"Environment": found})

    def _invoke_rest_api(self, call: dict[str, Any]) -> FakeResponse:
        """Relay a request to Airflow's API, and its response: an error of Airflow is a 400."""
        url = f"{self._airflow.url}{self._airflow.api}{call['Path']}"
        with self._airflow.session(self._user) as session:
            response = session.request(
                call["Method"],
                url,
                params=call.get("QueryParameters"),
                json=call.get("Body"),
                timeout=RELAY_TIMEOUT,
                allow_redirects=False,
            )
        status = response.status_code
        with self._lock:
            self.relayed.append((call["Method"], call["Path"], status))
        try:
            body: Any = response.json()
        except ValueError:
            body = response.text
        answer = {"RestApiStatusCode": status, "RestApiResponse": body}
        if status < 400:
            return as_json(200, answer)
        error = "RestApiClientException" if status < 500 else "RestApiServerException"
        headers = (("x-amzn-ErrorType", f"{error}:"), ("x-amzn-RequestId", str(uuid.uuid4())))
        return replace(as_json(400, answer), headers=headers)


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
        role: the STS whose sessions may use the API
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
        role: FakeSts | None = None,
    ) -> None:
        self.name, self.region = name, region
        self.web_host = f"3f0c2b6e-8a4d-4f8e-9f0e-1d2c3b4a5968.{web_domain.format(region=region)}"
        self.api = MwaaApi(name, region, self.web_host, airflow, user=user, role=role)
        self.role = role
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
        """Ports of all host names, for `Tunnel`."""
        return {
            f"{self.api.host}:443": self.api.port,
            f"{self.api.control_host}:443": self.api.port,
            f"{self.web_host}:443": self.web.port,
        } | ({f"{self.role.host}:443": self.role.port} if self.role else {})

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a job signs its requests; a role needs only the region."""
        if self.role:
            return {"AWS_REGION": self.region}
        return self.api.keys.environment | {"AWS_REGION": self.region}


def _cookie(request: ReceivedRequest, name: str) -> str:
    try:
        found = SimpleCookie(request.headers.get("Cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
