"""Requesting GitHub's OIDC token of the job."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.auth.github_oidc import GitHubOidc
from entrypoint.credentials import GitHubToken, Secret
from entrypoint.errors import ActionError, TransientError, Unauthorized, UnexpectedResponse
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, http_response

URL = "https://run-actions-1.actions.githubusercontent.com/42//idtoken/7/8?api-version=2.0"


def oidc_tokens(
    script: ScriptedAdapter, masked: list[str] | None = None, audience: str = "airflow"
) -> GitHubOidc:
    mask = (lambda _: None) if masked is None else masked.append
    return GitHubOidc(GitHubToken(audience, URL, Secret("requ3st")), script.client, mask)


def test_each_token_is_requested_with_the_request_token_and_masked() -> None:
    script = ScriptedAdapter(
        http_response(200, {"value": "one", "count": 1}), http_response(200, {"value": "two"})
    )
    masked: list[str] = []
    source = oidc_tokens(script, masked)

    assert script.sent == []
    assert [source.token(NO_DEADLINE), source.token(NO_DEADLINE)] == ["one", "two"] == masked
    for sent in script.sent:
        assert (sent.request.method, sent.request.body) == ("GET", None)
        assert sent.url == f"{URL}&audience=airflow"
        assert sent.headers["Authorization"] == "Bearer requ3st"
        assert sent.headers["Accept"] == "application/json"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_audience_arrives_unchanged(audience: str) -> None:
    script = ScriptedAdapter(http_response(200, {"value": "one"}))
    oidc_tokens(script, audience=audience).token(NO_DEADLINE)
    sent = urlsplit(script.sent[0].url)

    assert parse_qs(sent.query, keep_blank_values=True) == {
        "api-version": ["2.0"],
        "audience": [audience],
    }
    assert (f"{sent.scheme}://{sent.netloc}{sent.path}", sent.fragment) == (
        URL.partition("?")[0],
        "",
    )


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (http_response(400, {"message": "Bad audience"}), ": Bad audience"),
        (http_response(401, {}), "answered 401 application/json"),
        (http_response(403, b"<html>No"), "answered 403 text/html"),
        (http_response(404, b"", "text/plain"), "answered 404 text/plain"),
    ],
    ids=["400", "401", "403", "404"],
)
def test_refusal_quotes_github_and_names_the_permission(reply: bytes, detail: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        oidc_tokens(ScriptedAdapter(reply)).token(NO_DEADLINE)

    assert caught.value.title == "GitHub gave no OIDC token"
    assert caught.value.detail.endswith(detail)
    assert "id-token: write" in caught.value.hint


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (http_response(500, b"<html>"), TransientError, "GitHub's OIDC service answers 500"),
        (http_response(429, b"<html>"), TransientError, "GitHub's OIDC service answers 429"),
        (
            http_response(302, Location="https://github.com/login"),
            UnexpectedResponse,
            "GitHub's OIDC service redirects",
        ),
        (
            http_response(200, b"<html>"),
            UnexpectedResponse,
            "GitHub's OIDC service sent an unexpected response",
        ),
        (http_response(200, {}), UnexpectedResponse, "GitHub's OIDC service gave no token"),
        (
            http_response(200, {"value": None}),
            UnexpectedResponse,
            "GitHub's OIDC service gave no token",
        ),
        (http_response(200, ["one"]), UnexpectedResponse, "GitHub's OIDC service gave no token"),
        (
            http_response(200, {"value": "o ne"}),
            UnexpectedResponse,
            "GitHub's OIDC service gave no usable token",
        ),
    ],
    ids=["500", "429", "redirect", "page", "empty", "null", "list", "blank"],
)
def test_invalid_token_response_names_github(
    reply: bytes, error: type[ActionError], title: str
) -> None:
    with pytest.raises(error) as caught:
        oidc_tokens(ScriptedAdapter(reply)).token(NO_DEADLINE)

    assert caught.value.title == title


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 500])
@pytest.mark.parametrize(
    "body", [b"<html>", b"{", b'{"message": "No"}', b'{"value": {"a": "b"}}', b"null"]
)
def test_no_error_shows_the_request_token_or_its_url(status: int, body: bytes) -> None:
    with pytest.raises(ActionError) as caught:
        oidc_tokens(ScriptedAdapter(http_response(status, body, "application/json"))).token(
            NO_DEADLINE
        )

    message: Any = f"{caught.value} {caught.value.hint}"
    assert not [word for word in ("requ3st", "idtoken", "api-version") if word in message]
