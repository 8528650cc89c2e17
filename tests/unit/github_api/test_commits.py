"""GitHub's API about commits: what is asked, with which token, and what each answer says."""

from contextlib import suppress
from typing import Any

import pytest

from entrypoint.credentials import Secret
from entrypoint.errors import ActionError
from entrypoint.github_api.client import GITHUB, GitHubRepository
from entrypoint.github_api.commits import GitHubCommits
from entrypoint.models import Ancestry
from tests.unit.script import Script, answer

API = "https://api.github.com"
COMMIT, OTHER = "c" * 40, "d" * 40
TOKEN = Secret("ghs_t0kenOfTheJob")
UNKNOWN = answer(422, {"message": f"No commit found for SHA: {COMMIT}", "status": "422"})
NOT_FOUND = answer(404, {"message": "Not Found", "status": "404"})
LIMITED = answer(403, {"message": "API rate limit exceeded for 203.0.113.7."})
BAD = answer(401, {"message": "Bad credentials"})


def commits(
    script: Script, *, api: str = API, repository: str = "octo-org/sales", token: Secret = TOKEN
) -> GitHubCommits:
    """The commits of a repository of which GitHub tells by the script."""
    return GitHubCommits(GitHubRepository(api, repository, token, script.wire))


def compared(status: Any) -> bytes:
    """GitHub's answer to a comparison."""
    return answer(200, {"status": status, "ahead_by": 1, "commits": [], "files": []})


def test_what_is_asked() -> None:
    """Both questions go to this repository, each with one page that lists next to nothing, over one
    way to GitHub.
    """
    script = Script(answer(200, {"sha": COMMIT}), compared("ahead"))
    history = commits(script)
    assert script.parties == []
    history.is_known(COMMIT)
    history.contains(OTHER, COMMIT)

    assert [sent.request.method for sent in script.sent] == ["GET", "GET"]
    assert [sent.url for sent in script.sent] == [
        f"{API}/repos/octo-org/sales/commits/{COMMIT}?per_page=1&page=2",
        f"{API}/repos/octo-org/sales/compare/{COMMIT}...{OTHER}?per_page=1&page=2",
    ]
    assert [sent.request.body for sent in script.sent] == [None, None]
    assert script.parties == [GITHUB]


@pytest.mark.parametrize(
    ("reply", "known"),
    [
        (answer(200, {"sha": COMMIT}), True),
        (UNKNOWN, False),
        # What says nothing about the commit.
        (NOT_FOUND, None),
        (BAD, None),
        (answer(409, {"message": "Git Repository is empty."}), None),
        (answer(404, b"<html>"), None),
        (answer(202, {}), None),
    ],
)
def test_is_known(reply: bytes, known: bool | None) -> None:
    """A commit is there or not as GitHub says, and an answer that cannot say so is neither."""
    assert commits(Script(reply)).is_known(COMMIT) is known


@pytest.mark.parametrize(
    ("status", "contains"),
    [("identical", True), ("ahead", True), ("behind", False), ("diverged", False)],
)
def test_contains(status: str, contains: bool) -> None:
    """A version that is as far or farther contains the commit, one that is behind or elsewhere does
    not, as GitHub says.
    """
    found = commits(Script(compared(status))).contains(OTHER, COMMIT)

    assert found == Ancestry(contains, f"GitHub's API says: {status}.")


@pytest.mark.parametrize(
    "reply",
    [
        NOT_FOUND,
        BAD,
        UNKNOWN,
        answer(404, {"status": "ahead"}),
        answer(202, {"status": "ahead"}),
        answer(404, b"<html>"),
        answer(200, {}),
        answer(200, ["ahead"]),
        answer(200, "ahead"),
        *map(compared, ("", "Ahead", "unknown", None, True, 1, ["ahead"], {"ahead": 1})),
    ],
)
def test_cannot_tell(reply: bytes) -> None:
    """Any other answer says neither, names itself, the permission and the repository, and shows no
    token.
    """
    found = commits(Script(reply)).contains(OTHER, COMMIT)

    assert found.contains is None
    assert (
        f"GET /compare/{COMMIT}...{OTHER} (GitHub) answered {reply.split()[1].decode()}"
        in found.who
    )
    assert "`contents: read`" in found.who
    assert "octo-org/sales" in found.who
    assert "t0ken" not in found.who


def test_what_was_told_is_not_asked_again() -> None:
    """An answer, yes or no, holds for its two commits, and for no others."""
    script = Script(*map(compared, ("ahead", "behind", "diverged", "behind")))
    history = commits(script)
    for _ in range(3):
        assert history.contains(OTHER, COMMIT).contains is True
        assert history.contains(COMMIT, OTHER).contains is False
        assert history.contains("e" * 40, COMMIT).contains is False
        assert history.contains(OTHER, "e" * 40).contains is False

    assert len(script.sent) == 4
    assert script.parties == [GITHUB]


@pytest.mark.parametrize(
    "reply", [NOT_FOUND, compared("unknown"), answer(503, b""), answer(301, Location="/")]
)
def test_what_was_not_told_is_asked_again(reply: bytes) -> None:
    """That GitHub could not tell once says nothing about the next time."""
    script = Script(reply, compared("identical"))
    history = commits(script)
    with suppress(ActionError):
        assert history.contains(OTHER, COMMIT).contains is None

    assert history.contains(OTHER, COMMIT) == Ancestry(True, "GitHub's API says: identical.")
    assert len(script.sent) == 2


def test_whether_a_commit_is_there_is_asked_each_time() -> None:
    """A commit that is not there yet may be pushed."""
    history = commits(Script(UNKNOWN, answer(200, {})))

    assert [history.is_known(COMMIT), history.is_known(COMMIT)] == [False, True]
