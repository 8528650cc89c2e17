"""Requests about commits to GitHub."""

from contextlib import suppress
from typing import Any

import pytest

from entrypoint.credentials import Secret
from entrypoint.errors import ActionError
from entrypoint.github_api.client import GITHUB, GitHubRepository
from entrypoint.github_api.commits import GitHubCommits
from entrypoint.http.client import NO_DEADLINE
from entrypoint.models import Ancestry
from tests.unit.script import ScriptedAdapter, http_response

API = "https://api.github.com"
COMMIT, OTHER = "c" * 40, "d" * 40
TOKEN = Secret("ghs_t0kenOfTheJob")
UNKNOWN = http_response(422, {"message": f"No commit found for SHA: {COMMIT}", "status": "422"})
NOT_FOUND = http_response(404, {"message": "Not Found", "status": "404"})
LIMITED = http_response(403, {"message": "API rate limit exceeded for 203.0.113.7."})
BAD = http_response(401, {"message": "Bad credentials"})


def scripted_commits(
    script: ScriptedAdapter,
    *,
    api: str = API,
    repository: str = "octo-org/sales",
    token: Secret = TOKEN,
) -> GitHubCommits:
    return GitHubCommits(GitHubRepository(api, repository, token, script.client))


def comparison(status: Any) -> bytes:
    return http_response(200, {"status": status, "ahead_by": 1, "commits": [], "files": []})


def test_both_requests_use_one_client_and_the_smallest_page() -> None:
    script = ScriptedAdapter(http_response(200, {"sha": COMMIT}), comparison("ahead"))
    history = scripted_commits(script)
    assert script.services == []
    history.is_known(COMMIT, NO_DEADLINE)
    history.contains(OTHER, COMMIT, NO_DEADLINE)

    assert [sent.request.method for sent in script.sent] == ["GET", "GET"]
    assert [sent.url for sent in script.sent] == [
        f"{API}/repos/octo-org/sales/commits/{COMMIT}?per_page=1&page=2",
        f"{API}/repos/octo-org/sales/compare/{COMMIT}...{OTHER}?per_page=1&page=2",
    ]
    assert [sent.request.body for sent in script.sent] == [None, None]
    assert script.services == [GITHUB]


@pytest.mark.parametrize(
    ("reply", "known"),
    [
        (http_response(200, {"sha": COMMIT}), True),
        (UNKNOWN, False),
        # Responses that say nothing about the commit.
        (NOT_FOUND, None),
        (BAD, None),
        (http_response(409, {"message": "Git Repository is empty."}), None),
        (http_response(404, b"<html>"), None),
        (http_response(202, {}), None),
    ],
)
def test_commit_is_known_unknown_or_undecided(reply: bytes, known: bool | None) -> None:
    assert scripted_commits(ScriptedAdapter(reply)).is_known(COMMIT, NO_DEADLINE) is known


@pytest.mark.parametrize(
    ("status", "contains"),
    [("identical", True), ("ahead", True), ("behind", False), ("diverged", False)],
)
def test_version_ahead_or_identical_contains_the_commit(status: str, contains: bool) -> None:
    found = scripted_commits(ScriptedAdapter(comparison(status))).contains(
        OTHER, COMMIT, NO_DEADLINE
    )

    assert found == Ancestry(contains, f"GitHub's API says: {status}.")


@pytest.mark.parametrize(
    "reply",
    [
        NOT_FOUND,
        BAD,
        UNKNOWN,
        http_response(404, {"status": "ahead"}),
        http_response(202, {"status": "ahead"}),
        http_response(404, b"<html>"),
        http_response(200, {}),
        http_response(200, ["ahead"]),
        http_response(200, "ahead"),
        *map(comparison, ("", "Ahead", "unknown", None, True, 1, ["ahead"], {"ahead": 1})),
    ],
)
def test_other_responses_are_undecided_and_explain_why(reply: bytes) -> None:
    """The permission and the repository are named, the token is not."""
    found = scripted_commits(ScriptedAdapter(reply)).contains(OTHER, COMMIT, NO_DEADLINE)

    assert found.contains is None
    assert (
        f"GET /compare/{COMMIT}...{OTHER} (GitHub) answered {reply.split()[1].decode()}"
        in found.source
    )
    assert "`contents: read`" in found.source
    assert "octo-org/sales" in found.source
    assert "t0ken" not in found.source


def test_comparison_is_cached_for_its_two_commits() -> None:
    script = ScriptedAdapter(*map(comparison, ("ahead", "behind", "diverged", "behind")))
    history = scripted_commits(script)
    for _ in range(3):
        assert history.contains(OTHER, COMMIT, NO_DEADLINE).contains is True
        assert history.contains(COMMIT, OTHER, NO_DEADLINE).contains is False
        assert history.contains("e" * 40, COMMIT, NO_DEADLINE).contains is False
        assert history.contains(OTHER, "e" * 40, NO_DEADLINE).contains is False

    assert len(script.sent) == 4
    assert script.services == [GITHUB]


@pytest.mark.parametrize(
    "reply",
    [NOT_FOUND, comparison("unknown"), http_response(503, b""), http_response(301, Location="/")],
)
def test_undecided_comparison_is_not_cached(reply: bytes) -> None:
    script = ScriptedAdapter(reply, comparison("identical"))
    history = scripted_commits(script)
    with suppress(ActionError):
        assert history.contains(OTHER, COMMIT, NO_DEADLINE).contains is None

    assert history.contains(OTHER, COMMIT, NO_DEADLINE) == Ancestry(
        True, "GitHub's API says: identical."
    )
    assert len(script.sent) == 2


def test_known_commits_are_not_cached() -> None:
    """A missing commit may be pushed later."""
    history = scripted_commits(ScriptedAdapter(UNKNOWN, http_response(200, {})))

    assert [history.is_known(COMMIT, NO_DEADLINE), history.is_known(COMMIT, NO_DEADLINE)] == [
        False,
        True,
    ]
