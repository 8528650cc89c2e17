"""Request GitHub's OIDC token of this job.

A new one can be requested at any time, so its renewal costs nothing.

Measured: docs/notes/credentials.md#github-oidc-token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from entrypoint.auth.token import require_token
from entrypoint.errors import Unauthorized
from entrypoint.http.client import Request
from entrypoint.http.response import Service, external_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.credentials import GitHubToken
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient

GITHUB_OIDC = external_service("GitHub's OIDC service", "https://www.githubstatus.com")


class GitHubOidc:
    """Requests OIDC tokens from GitHub.

    Args:
        source: URL, request token and audience.
        http_client: creates the HTTP client for a service.
        mask: hides a text in the log.
    """

    def __init__(
        self,
        source: GitHubToken,
        http_client: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
    ) -> None:
        self._source = source
        self._http = http_client(GITHUB_OIDC)
        self._mask = mask

    def token(self, deadline: Deadline) -> str:
        """Return a new token, masked.

        Raises:
            Unauthorized: GitHub refused the request.
            TransientError, UnexpectedResponse: an error of `HttpClient.send`.
        """
        url = f"{self._source.url}&audience={quote(self._source.audience, safe='')}"
        headers = {
            "Authorization": f"Bearer {self._source.request_token.reveal()}",
            "Accept": "application/json",
        }
        request = Request("GET", url, "GET (GitHub's OIDC token)", headers, deadline=deadline)
        response = self._http.request(request)
        if response.status != 200:
            raise Unauthorized(
                "GitHub gave no OIDC token",
                f"{response.source}{response.error_suffix}",
                "Give the job `permissions: id-token: write`, and the caller of a reusable "
                "workflow too.",
            )
        return require_token(
            response.body.get("value") if isinstance(response.body, dict) else None,
            self._mask,
            GITHUB_OIDC.name,
        )
