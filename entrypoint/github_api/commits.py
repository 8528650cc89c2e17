"""Ask GitHub's API whether a commit exists, and whether another commit contains it.

The token needs `contents: read` unless the repository is public. The checkout's own history is not
enough, because it was fetched before the later merges that matter here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.models import Ancestry

if TYPE_CHECKING:
    from entrypoint.deadline import Deadline
    from entrypoint.github_api.client import GitHubRepository

NO_FILES = {"per_page": 1, "page": 2}
"""Parameters for the second page, because the first lists up to 300 files with their patches."""
_CONTAINS_BY_STATUS = {"identical": True, "ahead": True, "behind": False, "diverged": False}
"""Whether a commit contains the other one, by the `status` of GitHub's comparison."""


class GitHubCommits:
    """The commits of one repository."""

    def __init__(self, repository: GitHubRepository) -> None:
        self._repository = repository
        self._ancestries: dict[tuple[str, str], Ancestry] = {}

    def is_known(self, commit: str, deadline: Deadline) -> bool | None:
        """Return whether the commit exists, None if GitHub does not say.

        GitHub responds with 422 to an unknown SHA, and with 404 if this token may not see the
        repository.
        """
        response = self._repository.within(deadline).get(f"/commits/{commit}", **NO_FILES)
        return {200: True, 422: False}.get(response.status)

    def contains(self, version: str, commit: str, deadline: Deadline) -> Ancestry:
        """Return whether the commit `version` contains `commit`; both are full SHAs.

        Definite results are cached.

        Raises:
            TransientError, UnexpectedResponse: GitHub does not respond at present.
        """
        if (version, commit) not in self._ancestries:
            repository = self._repository.within(deadline)
            response = repository.get(f"/compare/{commit}...{version}", **NO_FILES)
            status = response.body.get("status") if isinstance(response.body, dict) else None
            contains = _CONTAINS_BY_STATUS.get(str(status)) if response.status == 200 else None
            if contains is None:
                return Ancestry(
                    None,
                    f"GitHub cannot compare the two commits ({response.source}). The token may "
                    "lack `contents: read`, or the bundle may come from another repository than "
                    f"{self._repository.name}.",
                )
            self._ancestries[version, commit] = Ancestry(contains, f"GitHub's API says: {status}.")
        return self._ancestries[version, commit]


class NoHistory:
    """The commits of a repository outside GitHub. Nothing is known, so only equal SHAs match."""

    def is_known(self, _commit: str, _deadline: Deadline) -> bool | None:
        """Return None, because it is unknown."""
        return None

    def contains(self, _version: str, _commit: str, _deadline: Deadline) -> Ancestry:
        """Return an unknown ancestry."""
        return Ancestry(None, "Only in a GitHub workflow can this action compare two commits.")


def commits_of(repository: GitHubRepository | None) -> GitHubCommits | NoHistory:
    """Return the commits of a repository, None if the step does not run on GitHub."""
    return GitHubCommits(repository) if repository is not None else NoHistory()
