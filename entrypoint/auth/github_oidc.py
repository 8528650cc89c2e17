"""GitHub's OIDC token of this job: asked for again and again, so that renewing costs nothing.

Measured: docs/notes/credentials.md#github-oidc-token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from entrypoint.auth.token import usable
from entrypoint.errors import Unauthorized
from entrypoint.http.client import Sending
from entrypoint.http.response import Party

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.credentials import GitHubToken
    from entrypoint.http.client import Wire

PARTY = Party("GitHub's OIDC service", "https://www.githubstatus.com")


class GitHubOidc:
    """Asks GitHub for this job's token.

    Args:
        source: where, with what, and for whom.
        wire: makes the way there.
        mask: hides a text in the log.
    """

    def __init__(self, source: GitHubToken, wire: Callable[[Party], Wire], mask: Callable[[str], None]) -> None:
        self._source = source
        self._wire = wire(PARTY)
        self._mask = mask

    def token(self) -> str:
        """Return a new token, masked.

        Raises:
            Unauthorized: GitHub refused.
            AirflowUnreachable, UnexpectedAnswer: as `Wire.send`.
        """
        url = f"{self._source.url}&audience={quote(self._source.audience, safe='')}"
        headers = {
            "Authorization": f"Bearer {self._source.request_token.reveal()}",
            "Accept": "application/json",
        }
        sending = Sending("GET", url, "GET (GitHub's OIDC token)", headers)
        answer = self._wire.ask(sending)
        if answer.status != 200:
            raise Unauthorized(
                "GitHub gave no OIDC token",
                f"{answer.source}{answer.told}",
                "The job needs `permissions: id-token: write`, and so does the caller of a reusable workflow.",
            )
        return usable(answer.body.get("value") if isinstance(answer.body, dict) else None, self._mask, PARTY.name)
