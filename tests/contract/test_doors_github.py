"""The stand-in of GitHub's API: what is documented of a commit and of the comparison of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.doors import Client
from tests.support.doors import GitHubApi
from tests.support.doors.github import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST, SECOND, THIRD, OTHER = (digit * 40 for digit in "0123")
NEEDED = {
    *("url", "html_url", "permalink_url", "diff_url", "patch_url", "base_commit", "merge_base_commit", "status"),
    *("ahead_by", "behind_by", "total_commits", "commits"),
}
"""What GitHub's description of its API requires of a comparison."""


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """GitHub, with three commits in a row and one on another branch."""
    with GitHubApi({FIRST: None, SECOND: FIRST, THIRD: SECOND, OTHER: FIRST}) as api:
        yield api


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Who asks."""
    return Client(tmp_path)


def ask(client: Client, github: GitHubApi, path: str, token: str | None = None) -> tuple[int, dict[str, object]]:
    """Status and body of a GET below the repository."""
    headers = {"Authorization": f"Bearer {token or github.token}"}
    answer = client("GET", f"{github.url}/repos/{REPOSITORY}{path}", headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("base", "head", "told"),
    [
        (SECOND, SECOND, ("identical", 0, 0)),
        (FIRST, THIRD, ("ahead", 2, 0)),
        (THIRD, FIRST, ("behind", 0, 2)),
        (THIRD, OTHER, ("diverged", 1, 2)),
    ],
)
def test_a_comparison(client: Client, github: GitHubApi, base: str, head: str, told: tuple[str, int, int]) -> None:
    """A comparison tells how head is to base, by how many commits, and lists files on its first page only."""
    for page in (1, 2):
        code, body = ask(client, github, f"/compare/{base}...{head}?per_page=1&page={page}")

        assert code == 200
        assert (body["status"], body["ahead_by"], body["behind_by"]) == told
        assert set(body) - {"files"} == NEEDED
        assert ("files" in body) is (page == 1)


def test_a_commit(client: Client, github: GitHubApi) -> None:
    """A commit that is there is shown; one that is not is a 422 that names it, and nothing to compare with."""
    unknown = "f" * 40

    assert ask(client, github, f"/commits/{SECOND}")[1]["sha"] == SECOND
    code, body = ask(client, github, f"/commits/{unknown}")
    assert (code, body["message"]) == (422, f"No commit found for SHA: {unknown}")
    assert ask(client, github, f"/compare/{FIRST}...{unknown}")[0] == 404


def test_who_may_not_read(client: Client, github: GitHubApi) -> None:
    """A bad token is a 401; to a token without the permission the repository is not there."""
    assert ask(client, github, f"/commits/{FIRST}", "not-the-token-of-this-job")[0] == 401
    with GitHubApi(github.history, may_read=False) as closed:
        assert ask(client, closed, f"/commits/{FIRST}")[0] == 404
