"""Send requests to GitHub's REST API about one repository.

A response about the rate limit becomes a TransientError.
"""

from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from entrypoint.errors import TransientError
from entrypoint.http.client import NO_DEADLINE, Request
from entrypoint.http.response import Service, external_service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from entrypoint.credentials import Secret
    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Response

GITHUB = external_service("GitHub", "https://www.githubstatus.com, and the input github_token")


class Call(NamedTuple):
    """A request to the API; the path is below the repository's."""

    method: str
    path: str
    params: Mapping[str, Any] | None
    body: Mapping[str, Any] | None = None


class GitHubRepository:
    """Client of GitHub's REST API for one repository.

    Args:
        api_url: base URL of the API of github.com or of a GitHub Enterprise Server.
        name: owner/name.
        token: the job's token; an empty one can read public repositories only.
        http_client: factory of the HTTP client.
    """

    def __init__(
        self, api_url: str, name: str, token: Secret, http_client: Callable[[Service], HttpClient]
    ) -> None:
        self.name = name
        self._url = f"{api_url.rstrip('/')}/repos/{quote(name, safe='/')}"
        self._token = token
        self._http_client = http_client
        self._http: HttpClient | None = None
        self._deadline = NO_DEADLINE

    def within(self, deadline: Deadline) -> Self:
        """Return this client with another deadline for each of its requests."""
        self._http = self._http or self._http_client(GITHUB)
        bound = copy(self)
        bound._deadline = deadline  # noqa: SLF001 - its own copy
        return bound

    def get(self, path: str, **params: str | int) -> Response:
        """Send a GET request. Raise the errors of `HttpClient.request`."""
        return self._request(Call("GET", path, params))

    def get_items(
        self, path: str, key: str, consume: Callable[[Any], None], **params: str | int
    ) -> Response:
        """Send a GET request, like `HttpClient.request_items`."""
        return self._request(Call("GET", path, params), key, consume)

    def post(self, path: str, body: Mapping[str, Any]) -> Response:
        """Send a POST request. Raise the errors of `HttpClient.request`.

        After an error, GitHub may have processed the request anyway.
        """
        return self._request(Call("POST", path, None, body))

    def _request(
        self, call: Call, items: str = "", consume: Callable[[Any], None] = lambda _: None
    ) -> Response:
        self._http = self._http or self._http_client(GITHUB)
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if token := self._token.reveal():
            headers["Authorization"] = f"Bearer {token}"
        content = None
        if call.body is not None:
            headers["Content-Type"], content = "application/json", json.dumps(call.body).encode()
        source = f"{call.method} {call.path} (GitHub)"
        url = f"{self._url}{call.path}"
        request = Request(
            call.method, url, source, headers, call.params, content, deadline=self._deadline
        )
        response = (
            self._http.request_items(request, items, consume)
            if items
            else self._http.request(request)
        )
        if response.status == 403 and "rate limit" in response.detail.lower():
            raise TransientError(
                "GitHub's rate limit is used up",
                f"{response.source}: {response.detail}",
                "Re-run this job later, or set github_token to a token with its own limit.",
                status=403,
                retry_after=response.retry_after,
            )
        return response
