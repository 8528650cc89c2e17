"""Requests to GitHub's API of one repository."""

from typing import Any

import pytest
import requests

from entrypoint.credentials import Secret
from entrypoint.errors import ActionError, TransientError, UnexpectedResponse
from entrypoint.github_api.client import GITHUB, GitHubRepository
from tests.unit.script import ScriptedAdapter, http_response

API = "https://api.github.com"
TOKEN = Secret("ghs_t0kenOfTheJob")
LIMITED = http_response(403, {"message": "API rate limit exceeded for 203.0.113.7."})
SECONDARY = http_response(
    403, {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
)


def scripted_repository(
    script: ScriptedAdapter, *, api: str = API, name: str = "octo-org/sales", token: Secret = TOKEN
) -> GitHubRepository:
    return GitHubRepository(api, name, token, script.client)


def send_one(script: ScriptedAdapter, method: str, **options: Any) -> Any:
    """Send one GET or POST request."""
    scripted = scripted_repository(script, **options)
    return scripted.get("/x", page=2) if method == "GET" else scripted.post("/x", {"ü": [1, False]})


def test_parameters_go_to_the_query_and_a_new_object_to_the_json_body() -> None:
    """One client sends both; it is created on first use."""
    script = ScriptedAdapter(http_response(200, [{}]), http_response(201, {"id": 7}))
    scripted = scripted_repository(script)
    assert script.services == []

    assert scripted.get("/commits", per_page=1, environment="a b/ü").body == [{}]
    assert scripted.post("/deployments", {"ref": "ü"}).body == {"id": 7}
    read, created = script.sent
    assert (read.request.method, read.request.body) == ("GET", None)
    assert read.url == f"{API}/repos/octo-org/sales/commits?per_page=1&environment=a+b%2F%C3%BC"
    assert (created.request.method, created.url) == (
        "POST",
        f"{API}/repos/octo-org/sales/deployments",
    )
    assert created.request.body == b'{"ref": "\\u00fc"}'
    assert created.headers["Content-Type"] == "application/json"
    assert script.services == [GITHUB]


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
def test_url_is_the_servers_api_with_the_quoted_repository(
    api: str, name: str, url: str, method: str
) -> None:
    script = ScriptedAdapter(http_response(200, {}))
    send_one(script, method, api=api, name=name)

    assert [sent.url.partition("?")[0] for sent in script.sent] == [f"{url}/x"]


@pytest.mark.parametrize(
    ("token", "header"), [(TOKEN, f"Bearer {TOKEN.reveal()}"), (Secret(""), None)]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_token_is_sent_with_every_request_and_never_empty(
    token: Secret, header: str | None, method: str
) -> None:
    script = ScriptedAdapter(http_response(200, {}))
    send_one(script, method, token=token)
    (sent,) = script.sent

    assert sent.headers.get("Authorization") == header
    assert sent.headers["Accept"] == "application/vnd.github+json"
    assert sent.headers["X-GitHub-Api-Version"] == "2022-11-28"
    assert TOKEN.reveal() not in sent.url


@pytest.mark.parametrize("status", [200, 201, 401, 403, 404, 409, 422])
def test_github_responses_are_returned_including_refusals(status: int) -> None:
    found = send_one(
        ScriptedAdapter(
            http_response(status, {"message": "Resource not accessible by integration"})
        ),
        "POST",
    )

    assert (found.status, found.detail) == (status, "Resource not accessible by integration")


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("header", "seconds"), [(["90"], 90.0), ([], None)], ids=["90 s", "unsaid"]
)
def test_retry_after_is_returned_for_every_rate_limit_status(
    status: int, header: list[str], seconds: float | None
) -> None:
    limited = http_response(
        status, {"message": "You have exceeded a secondary rate limit."}, Retry_After=header
    )
    with pytest.raises(TransientError) as caught:
        send_one(ScriptedAdapter(limited), "POST")

    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (http_response(500, b"<html>"), TransientError, "GitHub answers 500"),
        (http_response(503, {"message": "x"}), TransientError, "GitHub answers 503"),
        (http_response(429, {}), TransientError, "GitHub answers 429"),
        (LIMITED, TransientError, "GitHub's rate limit is used up"),
        (SECONDARY, TransientError, "GitHub's rate limit is used up"),
        (requests.exceptions.ConnectionError("refused"), TransientError, "GitHub does not answer"),
        (
            http_response(301, {}, Location="https://api.github.com/repositories/7"),
            UnexpectedResponse,
            "GitHub redirects",
        ),
        (
            http_response(302, Location="https://evil.example.com/"),
            UnexpectedResponse,
            "GitHub redirects",
        ),
        (http_response(200, b"<html>"), UnexpectedResponse, "GitHub sent an unexpected response"),
        (
            http_response(200, b'{"sta', "application/json"),
            UnexpectedResponse,
            "GitHub sent an unexpected response",
        ),
    ],
    ids=["500", "503", "429", "limit", "secondary", "refused", "301", "302", "page", "cut"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_invalid_response_is_an_error_without_redirect_retry_or_token(
    reply: bytes | Exception, error: type[ActionError], title: str, method: str
) -> None:
    script = ScriptedAdapter(reply, http_response(200, {}))
    with pytest.raises(error) as caught:
        send_one(script, method)

    assert caught.value.title == title
    assert "github_token" in caught.value.hint
    assert "t0ken" not in f"{caught.value} {caught.value.hint}"
    assert len(script.sent) == 1
