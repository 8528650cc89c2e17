"""GitHub's OIDC token of this job: asked for again and again, so that renewing costs nothing.

Measured: docs/notes/credentials.md#github-oidc-token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from entrypoint.auth.token import require_token
from entrypoint.errors import Unauthorized
from entrypoint.http.client import Request
from entrypoint.http.response import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.credentials import GitHubToken
    from entrypoint.http.client import HttpClient

GITHUB_OIDC = Service("GitHub's OIDC service", "https://www.githubstatus.com")


class GitHubOidc:
    """Asks GitHub for this job's token.

    Args:
        source: where, with what, and for whom.
        wire: makes the way there.
        mask: hides a text in the log.
    """

    def __init__(
        self,
        source: GitHubToken,
        wire: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
    ) -> None:
        self._source = source
        self._http = wire(GITHUB_OIDC)
        self._mask = mask

    def token(self) -> str:
        """Return a new token, masked.

        Raises:
            Unauthorized: GitHub refused.
            TransientError, UnexpectedResponse: as `Wire.send`.
        """
        url = f"{self._source.url}&audience={quote(self._source.audience, safe='')}"
        headers = {
            "Authorization": f"Bearer {self._source.request_token.reveal()}",
            "Accept": "application/json",
        }
        request = Request("GET", url, "GET (GitHub's OIDC token)", headers)
        answer = self._http.request(request)
        if answer.status != 200:
            raise Unauthorized(
                "GitHub gave no OIDC token",
                f"{answer.source}{answer.told}",
                "The job needs `permissions: id-token: write`, and so does the caller of a "
                "reusable workflow.",
            )
        return require_token(
            answer.body.get("value") if isinstance(answer.body, dict) else None,
            self._mask,
            GITHUB_OIDC.name,
        )
