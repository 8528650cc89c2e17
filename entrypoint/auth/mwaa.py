"""Amazon MWAA's web login: AWS signs one in for 60 seconds, and the web server makes a session of
it.

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
from entrypoint.http.response import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.credentials import Mwaa
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Response

AWS = Service("Amazon MWAA", "mwaa_environment and the region")
WEB_SERVER = Service(
    "The MWAA environment's web server", "the environment's access mode (it must be public)"
)
_DOMAINS = (".amazonaws.com", ".on.aws", ".amazonaws.com.cn")
_LOGINS = (("/pluginsv2/aws_mwaa/login", "_token"), ("/aws_mwaa/login", "session"))
"""Airflow 3's, then Airflow 2's: the path, and the cookie that it sets."""


class MwaaLogin:
    """Logs in to one environment.

    Args:
        asked: which, and with whose keys.
        wire: makes the way to AWS and to the web server.
        mask: hides a text in the log.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        asked: Mwaa,
        wire: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._asked = asked
        self._aws = wire(AWS)
        self._web_server = wire(WEB_SERVER)
        self._mask = mask
        self._now = now
        self._logins: tuple[tuple[str, str], ...] = _LOGINS

    def web_server(self) -> str:
        """Return the base URL of the environment's Airflow. Raises as `grant`."""
        return f"https://{self._web_token()[0]}"

    def grant(self) -> Grant:
        """Log in and return the grant: a token for Airflow 3, a session's cookie for Airflow 2.

        Raises:
            Unauthorized: AWS refused the keys, or the web server the login.
            TransientError, UnexpectedResponse: as `Wire.send`.
        """
        for path, cookie in self._logins:
            host, token = self._web_token()  # anew for each: one is good for one login
            answer = self._log_in(f"https://{host}{path}", token)
            if answer.status in (404, 405):
                continue
            if cookie not in answer.cookies:
                raise Unauthorized(
                    "The MWAA environment's web server let nobody in",
                    f"{answer.source}, without a session.",
                    "Look whether the environment's Airflow role is enabled: the login needs it.",
                )
            self._logins = ((path, cookie),)
            session = require_token(answer.cookies[cookie], self._mask, WEB_SERVER.name)
            if cookie == "_token":
                return bearer(session)
            return Grant(Secret(f"session={session}"), header="Cookie")
        raise answer.unexpected("it has no login that is known of.")

    def _log_in(self, url: str, token: str) -> Response:
        request = Request("POST", url, "POST (web login)", body={"token": token})
        return self._web_server.request(request, redirects=True)

    def _web_token(self) -> tuple[str, str]:
        """Return the web server's host and a token for one login."""
        asked = self._asked
        domain = "amazonaws.com.cn" if asked.region.startswith("cn-") else "amazonaws.com"
        host, path = f"env.airflow.{asked.region}.{domain}", f"/webtoken/{asked.environment}"
        url = f"https://{host}{path}"
        headers = signed(
            url, asked.region, "airflow", asked.keys, datetime.fromtimestamp(self._now(), UTC)
        )
        request = Request("POST", url, f"POST {host}{path}", headers)
        answer = self._aws.request(request)
        if answer.status != 200:
            raise _refused(answer, asked)
        body = answer.body if isinstance(answer.body, dict) else {}
        server = body.get("WebServerHostname")
        if (
            not isinstance(server, str)
            or not server.endswith(_DOMAINS)
            or not server.replace("-", "").replace(".", "").isalnum()
        ):
            raise UnexpectedResponse(
                "Amazon MWAA named no web server of its own",
                f"{answer.source}.",
                "Ask AWS; nothing was sent there.",
            )
        return server, require_token(body.get("WebToken"), self._mask, AWS.name)


def _refused(answer: Response, asked: Mwaa) -> Unauthorized:
    if answer.status == 404:
        return Unauthorized(
            "Amazon MWAA knows no such environment",
            f"{answer.source}{answer.told}",
            f"Check mwaa_environment ({asked.environment}), the region ({asked.region}) "
            "and the AWS account.",
        )
    return Unauthorized(
        "Amazon MWAA refused the AWS credentials",
        f"{answer.source}{answer.told}",
        "The AWS role needs airflow:CreateWebLoginToken on role/<environment>/<Airflow "
        "role>. Does the step that assumes it "
        "run before this one, and has it not expired?",
    )
