"""Log in to Amazon MWAA with a web login token of AWS, and get a session.

AWS issues the token for 60 seconds, and the web server exchanges it for a session. With
`mwaa_access: rest_api` there is no login, and only the AWS session is used.

Measured: docs/notes/credentials.md#amazon-mwaa.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from entrypoint.auth.authorization import Grant
from entrypoint.auth.aws import AwsSession
from entrypoint.auth.token import bearer, require_token
from entrypoint.credentials import Secret
from entrypoint.deadline import OPTIONAL_TIMEOUT
from entrypoint.errors import TransientError, Unauthorized, UnexpectedResponse
from entrypoint.http.aws import MWAA, checked, host, mwaa_refusal
from entrypoint.http.client import Request, path_of
from entrypoint.http.response import Service, external_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.credentials import Mwaa
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Response

WEB_SERVER = external_service(
    "The MWAA environment's web server", "the environment's access mode (it must be public)"
)
_DOMAINS = (".amazonaws.com", ".on.aws", ".amazonaws.com.cn")
_LOGINS = (("/pluginsv2/aws_mwaa/login", "_token"), ("/aws_mwaa/login", "session"))
"""Path and session cookie of Airflow 3's login, then of Airflow 2's."""


class MwaaLogin:
    """Logs in to one MWAA environment.

    Args:
        mwaa: environment, region and AWS keys or role.
        http_client: creates the HTTP client for a service.
        mask: hides a text in the log.
        now: returns seconds since the epoch.
    """

    def __init__(
        self,
        mwaa: Mwaa,
        http_client: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._mwaa = mwaa
        self.session = AwsSession(mwaa.keys, mwaa.region, http_client, mask, now)
        self._aws = http_client(MWAA)
        self._web_server = http_client(WEB_SERVER)
        self._mask = mask
        self._logins: tuple[tuple[str, str], ...] = _LOGINS

    def web_server(self, deadline: Deadline) -> str:
        """Return the base URL of the environment's Airflow.

        Raises:
            ActionError: an error of `grant`.
        """
        return f"https://{self._web_token(deadline)[0]}"

    def described_web_server(self, deadline: Deadline) -> str | None:
        """Return the base URL without a login, None if AWS does not tell it.

        Only links need it, so no failure of this API matters: the credential may not use it, or a
        private network reaches only the API that relays requests.

        Raises:
            ActionError: an error of `AwsSession.sign`.
        """
        path = f"/environments/{self._mwaa.environment}"
        self.session.sign(
            f"https://{host('api.airflow', self._mwaa.region)}{path}", deadline, "GET"
        )
        with suppress(TransientError, UnexpectedResponse):
            limit = deadline.limited(OPTIONAL_TIMEOUT)
            response = self._send("GET", "api.airflow", path, limit, renew=False)
            if response.status == 200:
                return f"https://{_described_host(response)}"
        return None

    def grant(self, deadline: Deadline) -> Grant:
        """Log in and return the grant: a token for Airflow 3, a session cookie for Airflow 2.

        Raises:
            Unauthorized: AWS refused the keys, or the web server the login.
            TransientError, UnexpectedResponse: an error of `HttpClient.send`.
        """
        for path, cookie in self._logins:
            host, token = self._web_token(deadline)  # a token is valid for one login
            response = self._log_in(f"https://{host}{path}", token, deadline)
            if response.status in (404, 405):
                continue
            if cookie not in response.cookies:
                raise Unauthorized(
                    "The MWAA environment's web server refused the login",
                    f"{response.source}, without a session.",
                    "Check that the environment has the Airflow role at the end of the resource "
                    "in the AWS role's policy, role/<environment>/<Airflow role>.",
                )
            self._logins = ((path, cookie),)
            session = require_token(response.cookies[cookie], self._mask, WEB_SERVER.name)
            if cookie == "_token":
                return bearer(session)
            return Grant(Secret(f"session={session}"), header="Cookie")
        raise response.unexpected("it has neither Airflow 3's login nor Airflow 2's.")

    def _log_in(self, url: str, token: str, deadline: Deadline) -> Response:
        request = Request("POST", url, "POST (web login)", body={"token": token}, deadline=deadline)
        return self._web_server.request(request, redirects=True)

    def _web_token(self, deadline: Deadline) -> tuple[str, str]:
        """Return the web server's host name and a token for one login."""
        mwaa = self._mwaa
        response = self._send("POST", "env.airflow", f"/webtoken/{mwaa.environment}", deadline)
        if response.status != 200:
            raise mwaa_refusal(
                response, mwaa.environment, mwaa.region, "airflow:CreateWebLoginToken"
            )
        body = response.body if isinstance(response.body, dict) else {}
        server = _require_host(response, body.get("WebServerHostname"))
        return server, require_token(body.get("WebToken"), self._mask, MWAA.name)

    def _send(
        self, method: str, prefix: str, path: str, deadline: Deadline, *, renew: bool = True
    ) -> Response:
        """Send a signed request without a body.

        If AWS refuses the session of a role and `renew` is set, assume the role again and send the
        request once more.
        """
        url = f"https://{host(prefix, self._mwaa.region)}{path}"
        for attempt in (1, 2):
            headers = self.session.sign(url, deadline, method)
            request = Request(method, url, f"{method} {path_of(url)}", headers, deadline=deadline)
            response = checked(self._aws.request(request), headers["Authorization"])
            refused = response.status in (401, 403)
            if not (refused and renew) or attempt == 2 or not self.session.discard():
                break
        return response


def _described_host(response: Response) -> str:
    """Return the host name of the web server in the description of an environment.

    Raises:
        UnexpectedResponse: it has no host name of AWS.
    """
    body = response.body if isinstance(response.body, dict) else {}
    environment = body.get("Environment")
    server = environment.get("WebserverUrl") if isinstance(environment, dict) else None
    # The service's model has a URL, and its documentation a host name.
    host_name = server.removeprefix("https://") if isinstance(server, str) else None
    return _require_host(response, host_name)


def _require_host(response: Response, server: object) -> str:
    """Return the host name of a web server, if it is one of AWS's.

    Raises:
        UnexpectedResponse: it is another one, which must not get a login.
    """
    if (
        not isinstance(server, str)
        or not server.endswith(_DOMAINS)
        or not server.replace("-", "").replace(".", "").isalnum()
    ):
        raise UnexpectedResponse(
            "Amazon MWAA returned no valid web server",
            f"{response.source}.",
            "Contact AWS support. The action sent nothing to this server.",
        )
    return server
