"""GitHub's OIDC token of the job: how it is asked for, and what is said when there is none."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.auth.github_oidc import GitHubOidc
from entrypoint.credentials import GitHubToken, Secret
from entrypoint.errors import ActionError, TransientError, Unauthorized, UnexpectedResponse
from tests.unit.script import Script, answer

URL = "https://run-actions-1.actions.githubusercontent.com/42//idtoken/7/8?api-version=2.0"


def oidc(script: Script, masked: list[str] | None = None, audience: str = "airflow") -> GitHubOidc:
    """The job's tokens, where GitHub answers by the script."""
    mask = (lambda _: None) if masked is None else masked.append
    return GitHubOidc(GitHubToken(audience, URL, Secret("requ3st")), script.wire, mask)


def test_token() -> None:
    """GitHub is asked with the job's request token for each token, which is masked."""
    script = Script(answer(200, {"value": "one", "count": 1}), answer(200, {"value": "two"}))
    masked: list[str] = []
    source = oidc(script, masked)

    assert script.sent == []
    assert [source.token(), source.token()] == ["one", "two"] == masked
    for sent in script.sent:
        assert (sent.request.method, sent.request.body) == ("GET", None)
        assert sent.url == f"{URL}&audience=airflow"
        assert sent.headers["Authorization"] == "Bearer requ3st"
        assert sent.headers["Accept"] == "application/json"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_audience(audience: str) -> None:
    """Whatever the audience, it arrives to the letter, and changes nothing else of the address."""
    script = Script(answer(200, {"value": "one"}))
    oidc(script, audience=audience).token()
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
        (answer(400, {"message": "Bad audience"}), ": Bad audience"),
        (answer(401, {}), "answered 401 application/json"),
        (answer(403, b"<html>No"), "answered 403 text/html"),
        (answer(404, b"", "text/plain"), "answered 404 text/plain"),
    ],
    ids=["400", "401", "403", "404"],
)
def test_refused(reply: bytes, detail: str) -> None:
    """A refusal quotes GitHub, and names the permission that the job needs."""
    with pytest.raises(Unauthorized) as caught:
        oidc(Script(reply)).token()

    assert caught.value.title == "GitHub gave no OIDC token"
    assert caught.value.detail.endswith(detail)
    assert "id-token: write" in caught.value.hint


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (answer(500, b"<html>"), TransientError, "GitHub's OIDC service answers 500"),
        (answer(429, b"<html>"), TransientError, "GitHub's OIDC service answers 429"),
        (
            answer(302, Location="https://github.com/login"),
            UnexpectedResponse,
            "GitHub's OIDC service redirects",
        ),
        (
            answer(200, b"<html>"),
            UnexpectedResponse,
            "GitHub's OIDC service gave an unexpected answer",
        ),
        (answer(200, {}), UnexpectedResponse, "GitHub's OIDC service gave no token"),
        (answer(200, {"value": None}), UnexpectedResponse, "GitHub's OIDC service gave no token"),
        (answer(200, ["one"]), UnexpectedResponse, "GitHub's OIDC service gave no token"),
        (
            answer(200, {"value": "o ne"}),
            UnexpectedResponse,
            "GitHub's OIDC service gave no usable token",
        ),
    ],
    ids=["500", "429", "redirect", "page", "empty", "null", "list", "blank"],
)
def test_no_token(reply: bytes, error: type[ActionError], title: str) -> None:
    """What is no token is none, and GitHub's service is named."""
    with pytest.raises(error) as caught:
        oidc(Script(reply)).token()

    assert caught.value.title == title


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 500])
@pytest.mark.parametrize(
    "body", [b"<html>", b"{", b'{"message": "No"}', b'{"value": {"a": "b"}}', b"null"]
)
def test_nothing_secret_is_said(status: int, body: bytes) -> None:
    """Whatever GitHub answers, no error shows the request token, or the address with which it is
    used.
    """
    with pytest.raises(ActionError) as caught:
        oidc(Script(answer(status, body, "application/json"))).token()

    said: Any = f"{caught.value} {caught.value.hint}"
    assert not [word for word in ("requ3st", "idtoken", "api-version") if word in said]
