"""The history of the repository, as GitHub's API tells it: whether a commit is there, and whether
another contains it.

The token needs `contents: read` where the repository is not public. The checkout's own history
would not do: it was fetched before the later merges that have to be told apart here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.github_api.client import GitHubRepository
from entrypoint.models import Ancestry

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.credentials import Secret
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Service

_NO_FILES = {"per_page": 1, "page": 2}
"""The first page would list up to 300 changed files with their patches."""
_CONTAINS = {"identical": True, "ahead": True, "behind": False, "diverged": False}


class GitHubCommits:
    """One repository's commits."""

    def __init__(self, repository: GitHubRepository) -> None:
        self._repository = repository
        self._told: dict[tuple[str, str], Ancestry] = {}

    def is_known(self, commit: str) -> bool | None:
        """Return whether the commit is there, None if that cannot be found out.

        GitHub answers 422 to a SHA that it does not know, and 404 to a repository that this token
        may not see.
        """
        answer = self._repository.get(f"/commits/{commit}", **_NO_FILES)
        return {200: True, 422: False}.get(answer.status)

    def contains(self, version: str, commit: str) -> Ancestry:
        """Return whether the commit `version` contains the other one; both are whole SHAs.

        Raises: TransientError, UnexpectedResponse: GitHub does not answer at present. What it has
            told it is not asked again.
        """
        if (version, commit) not in self._told:
            answer = self._repository.get(f"/compare/{commit}...{version}", **_NO_FILES)
            status = answer.body.get("status") if isinstance(answer.body, dict) else None
            contains = _CONTAINS.get(str(status)) if answer.status == 200 else None
            if contains is None:
                return Ancestry(
                    None,
                    f"GitHub cannot tell whether that contains it ({answer.source}): the "
                    "token may lack `contents: read`, or "
                    f"the bundle is of another repository than {self._repository.name}.",
                )
            self._told[version, commit] = Ancestry(contains, f"GitHub's API says: {status}.")
        return self._told[version, commit]


class NoHistory:
    """Knows of no commit whether it is there, nor which one contains another: only the very same
    one counts.
    """

    def is_known(self, _commit: str) -> bool | None:
        """Return None: it cannot be found out."""
        return None

    def contains(self, _version: str, _commit: str) -> Ancestry:
        """Return that it cannot be found out."""
        return Ancestry(
            None, "Only in a GitHub workflow can be asked whether one commit contains another."
        )


def commits_of(
    api_url: str, name: str, token: Secret, http_client: Callable[[Service], HttpClient]
) -> GitHubCommits | NoHistory:
    """Return the history of a repository as far as it can be asked for; arguments as of
    `Repository`.
    """
    return (
        GitHubCommits(GitHubRepository(api_url, name, token, http_client))
        if api_url
        else NoHistory()
    )
