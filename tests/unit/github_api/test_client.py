"""GitHub's API of one repository: where it is, what goes with every request, and what is no
answer.
"""

from typing import Any

import pytest
import requests

from entrypoint.credentials import Secret
from entrypoint.errors import ActionError, TransientError, UnexpectedResponse
from entrypoint.github_api.client import GITHUB, GitHubRepository
from tests.unit.script import Script, answer

API = "https://api.github.com"
TOKEN = Secret("ghs_t0kenOfTheJob")
LIMITED = answer(403, {"message": "API rate limit exceeded for 203.0.113.7."})
SECONDARY = answer(
    403, {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
)


def repository(
    script: Script, *, api: str = API, name: str = "octo-org/sales", token: Secret = TOKEN
) -> GitHubRepository:
    """A repository of which GitHub tells by the script."""
    return GitHubRepository(api, name, token, script.wire)


def ask(script: Script, method: str, **options: Any) -> Any:
    """Send one request, reading or making something."""
    asked = repository(script, **options)
    return asked.get("/x", page=2) if method == "GET" else asked.post("/x", {"ü": [1, False]})


def test_reading_and_making() -> None:
    """Parameters go into the query, what is made into a JSON body, and both over one way to GitHub,
    made when needed.
    """
    script = Script(answer(200, [{}]), answer(201, {"id": 7}))
    asked = repository(script)
    assert script.parties == []

    assert asked.get("/commits", per_page=1, environment="a b/ü").body == [{}]
    assert asked.post("/deployments", {"ref": "ü"}).body == {"id": 7}
    read, made = script.sent
    assert (read.request.method, read.request.body) == ("GET", None)
    assert read.url == f"{API}/repos/octo-org/sales/commits?per_page=1&environment=a+b%2F%C3%BC"
    assert (made.request.method, made.url) == ("POST", f"{API}/repos/octo-org/sales/deployments")
    assert made.request.body == b'{"ref": "\\u00fc"}'
    assert made.headers["Content-Type"] == "application/json"
    assert script.parties == [GITHUB]


@pytest.mark.parametrize(
    ("api", "name", "url"),
    [
        (
            "https://ghe.example.com/api/v3",
            "octo-org/sales",
            "https://ghe.example.com/api/v3/repos/octo-org/sales",
        ),
        (
            "https://ghe.example.com/api/v3/",
            "octo-org/sales",
            "https://ghe.example.com/api/v3/repos/octo-org/sales",
        ),
        (API, "octo-org/sales.dags_2", f"{API}/repos/octo-org/sales.dags_2"),
        (API, "octo org/sä?les#1", f"{API}/repos/octo%20org/s%C3%A4%3Fles%231"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_where_it_is(api: str, name: str, url: str, method: str) -> None:
    """The API is that of the server of the run, and the repository's name is quoted."""
    script = Script(answer(200, {}))
    ask(script, method, api=api, name=name)

    assert [sent.url.partition("?")[0] for sent in script.sent] == [f"{url}/x"]


@pytest.mark.parametrize(
    ("token", "header"), [(TOKEN, f"Bearer {TOKEN.reveal()}"), (Secret(""), None)]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_token(token: Secret, header: str | None, method: str) -> None:
    """A token goes with every request, and without one there is no Authorization."""
    script = Script(answer(200, {}))
    ask(script, method, token=token)
    (sent,) = script.sent

    assert sent.headers.get("Authorization") == header
    assert sent.headers["Accept"] == "application/vnd.github+json"
    assert sent.headers["X-GitHub-Api-Version"] == "2022-11-28"
    assert TOKEN.reveal() not in sent.url


@pytest.mark.parametrize("status", [200, 201, 401, 403, 404, 409, 422])
def test_an_answer(status: int) -> None:
    """What GitHub says is handed on, a refusal as well."""
    found = ask(
        Script(answer(status, {"message": "Resource not accessible by integration"})), "POST"
    )

    assert (found.status, found.detail) == (status, "Resource not accessible by integration")


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("header", "seconds"), [(["90"], 90.0), ([], None)], ids=["90 s", "unsaid"]
)
def test_how_long_a_limit_lasts(status: int, header: list[str], seconds: float | None) -> None:
    """GitHub's Retry-After is handed on, whichever status it gives to a limit."""
    limited = answer(
        status, {"message": "You have exceeded a secondary rate limit."}, Retry_After=header
    )
    with pytest.raises(TransientError) as caught:
        ask(Script(limited), "POST")

    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (answer(500, b"<html>"), TransientError, "GitHub answers 500"),
        (answer(503, {"message": "x"}), TransientError, "GitHub answers 503"),
        (answer(429, {}), TransientError, "GitHub answers 429"),
        (LIMITED, TransientError, "GitHub's rate limit is used up"),
        (SECONDARY, TransientError, "GitHub's rate limit is used up"),
        (requests.exceptions.ConnectionError("refused"), TransientError, "GitHub does not answer"),
        (
            answer(301, {}, Location="https://api.github.com/repositories/7"),
            UnexpectedResponse,
            "GitHub redirects",
        ),
        (answer(302, Location="https://evil.example.com/"), UnexpectedResponse, "GitHub redirects"),
        (answer(200, b"<html>"), UnexpectedResponse, "GitHub gave an unexpected answer"),
        (
            answer(200, b'{"sta', "application/json"),
            UnexpectedResponse,
            "GitHub gave an unexpected answer",
        ),
    ],
    ids=["500", "503", "429", "limit", "secondary", "refused", "301", "302", "page", "cut"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_answer(
    reply: bytes | Exception, error: type[ActionError], title: str, method: str
) -> None:
    """What is no answer of GitHub's is an error in its name, nothing is followed or sent again, and
    no token is shown.
    """
    script = Script(reply, answer(200, {}))
    with pytest.raises(error) as caught:
        ask(script, method)

    assert caught.value.title == title
    assert "github_token" in caught.value.hint
    assert "t0ken" not in f"{caught.value} {caught.value.hint}"
    assert len(script.sent) == 1
