"""Log in to Amazon MWAA with a web login token of AWS, and get a session.

AWS issues the token for 60 seconds, and the web server exchanges it for a session.

Measured: docs/notes/credentials.md#amazon-mwaa.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from entrypoint.auth.authorization import Grant
from entrypoint.auth.sigv4 import signed
from entrypoint.auth.token import bearer, require_token
from entrypoint.credentials import Secret
from entrypoint.errors import Unauthorized, UnexpectedResponse
from entrypoint.http.client import Request
from entrypoint.http.response import Service, external_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.credentials import Mwaa
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Response

AWS = external_service("Amazon MWAA", "mwaa_environment and the region")
WEB_SERVER = external_service(
    "The MWAA environment's web server", "the environment's access mode (it must be public)"
)
_DOMAINS = (".amazonaws.com", ".on.aws", ".amazonaws.com.cn")
_LOGINS = (("/pluginsv2/aws_mwaa/login", "_token"), ("/aws_mwaa/login", "session"))
"""Path and session cookie of Airflow 3's login, then of Airflow 2's."""


class MwaaLogin:
    """Logs in to one MWAA environment.

    Args:
        mwaa: environment, region and AWS keys.
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
        self._aws = http_client(AWS)
        self._web_server = http_client(WEB_SERVER)
        self._mask = mask
        self._now = now
        self._logins: tuple[tuple[str, str], ...] = _LOGINS

    def web_server(self, deadline: Deadline) -> str:
        """Return the base URL of the environment's Airflow.

        Raises:
            ActionError: an error of `grant`.
        """
        return f"https://{self._web_token(deadline)[0]}"

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
                    "Check that the environment's Airflow role is enabled, because the login needs "
                    "it.",
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
        domain = "amazonaws.com.cn" if mwaa.region.startswith("cn-") else "amazonaws.com"
        host, path = f"env.airflow.{mwaa.region}.{domain}", f"/webtoken/{mwaa.environment}"
        url = f"https://{host}{path}"
        headers = signed(
            url, mwaa.region, "airflow", mwaa.keys, datetime.fromtimestamp(self._now(), UTC)
        )
        request = Request("POST", url, f"POST {host}{path}", headers, deadline=deadline)
        response = self._aws.request(request)
        if response.status != 200:
            raise _refusal_error(response, mwaa)
        body = response.body if isinstance(response.body, dict) else {}
        server = body.get("WebServerHostname")
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
        return server, require_token(body.get("WebToken"), self._mask, AWS.name)


def _refusal_error(response: Response, mwaa: Mwaa) -> Unauthorized:
    if response.status == 404:
        return Unauthorized(
            "Amazon MWAA has no such environment",
            f"{response.source}{response.error_suffix}",
            f"Check mwaa_environment ({mwaa.environment}), the region ({mwaa.region}) "
            "and the AWS account.",
        )
    return Unauthorized(
        "Amazon MWAA refused the AWS credentials",
        f"{response.source}{response.error_suffix}",
        "Give the AWS role airflow:CreateWebLoginToken on role/<environment>/<Airflow role>. "
        "Check that the step that assumes the role runs before this one, and that its session "
        "has not expired.",
    )
