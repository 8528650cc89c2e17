"""GitHub's REST API for one repository: with which token and headers it is asked, and when its no
is a passing one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from entrypoint.errors import TransientError
from entrypoint.http.client import Request
from entrypoint.http.response import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entrypoint.credentials import Secret
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Response

GITHUB = Service("GitHub", "https://www.githubstatus.com, and the input github_token")


class GitHubRepository:
    """What GitHub's API shows of one repository.

    Args:
        api_url: of github.com, or of a GitHub Enterprise Server.
        name: as owner/name.
        token: the job's; without one only public repositories answer.
        wire: makes the way to GitHub.
    """

    def __init__(
        self, api_url: str, name: str, token: Secret, wire: Callable[[Service], HttpClient]
    ) -> None:
        self.name = name
        self._url = f"{api_url.rstrip('/')}/repos/{quote(name, safe='/')}"
        self._token = token
        self._make_http = wire
        self._http: HttpClient | None = None

    def get(self, path: str, **params: str | int) -> Response:
        """Read what is there. Raises the errors of `Wire.ask`."""
        return self._ask("GET", path, params, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Response:
        """Make something. Raises the errors of `Wire.ask`; then it may be made."""
        return self._ask("POST", path, None, body)

    def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
    ) -> Response:
        self._http = self._http or self._make_http(GITHUB)
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if token := self._token.reveal():
            headers["Authorization"] = f"Bearer {token}"
        content = None
        if body is not None:
            headers["Content-Type"], content = "application/json", json.dumps(body).encode()
        source = f"{method} {path} (GitHub)"
        answer = self._http.request(
            Request(method, f"{self._url}{path}", source, headers, params, content)
        )
        if answer.status == 403 and "rate limit" in answer.detail.lower():
            raise TransientError(
                "GitHub's rate limit is used up",
                f"{answer.source}: {answer.detail}",
                "Re-run this job later, or give github_token one with a limit of its own.",
                status=403,
                retry_after=answer.retry_after,
            )
        return answer
