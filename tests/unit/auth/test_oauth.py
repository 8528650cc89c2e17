"""OAuth 2.0 client credentials: how a client proves itself, when its token dies, and what is said
when it is refused.
"""

import base64
from math import inf, nan
from typing import Any
from urllib.parse import unquote_plus

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.auth.authorization import Grant
from entrypoint.auth.oauth import TokenEndpoint
from entrypoint.credentials import GitHubToken, OAuth, Secret
from entrypoint.errors import ActionError, TransientError, Unauthorized, UnexpectedResponse
from tests.unit.script import Script, Sent, answer

URL = "https://login.example.com/realms/ops/token"
NOW = 1_000_000.0
SECRET = Secret("cl1ent s3cret&+/ä")
GITHUB = GitHubToken(
    "api://AzureADTokenExchange", "https://token.example.com/?v=2", Secret("requ3st")
)
GRANTED = answer(200, {"access_token": "granted", "token_type": "Bearer", "expires_in": 300})
REFUSED = answer(
    401, {"error": "invalid_client", "error_description": "Invalid client credentials"}
)
ASSERTION = answer(200, {"value": "assert1on"})
BODY = {"grant_type": "client_credentials", "client_id": "ops", "client_secret": SECRET.reveal()}
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def token_url(
    script: Script, masked: list[str] | None = None, client: OAuth | None = None
) -> TokenEndpoint:
    """A client of the token endpoint that answers by the script."""
    mask = (lambda _: None) if masked is None else masked.append
    return TokenEndpoint(client or OAuth(URL, "ops", SECRET), script.wire, mask, lambda: NOW)


def federated(
    script: Script, masked: list[str] | None = None, client_id: str = "ops"
) -> TokenEndpoint:
    """The same, proved by GitHub's token, which comes by the same script."""
    return token_url(script, masked, OAuth(URL, client_id, GITHUB, "airflow/.default"))


def basic(sent: Sent) -> tuple[str, str]:
    """Name and secret in HTTP Basic, as RFC 6749 2.3.1 has them read."""
    scheme, _, encoded = sent.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    name, _, secret = base64.b64decode(encoded).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)


def test_secret_in_the_body() -> None:
    """A client's secret is sent in the form at first, to the address to the letter, and without an
    Authorization.
    """
    script = Script(GRANTED)

    assert token_url(script).grant() == Grant(Secret("Bearer granted"), NOW + 300)
    (sent,) = script.sent
    assert (sent.request.method, sent.url, sent.form) == ("POST", URL, BODY)
    assert sent.headers["Accept"] == "application/json"
    assert "Authorization" not in sent.headers


def test_scope() -> None:
    """A scope is sent if one is given."""
    script = Script(GRANTED)
    token_url(script, client=OAuth(URL, "ops", SECRET, "airflow/.default openid")).grant()

    assert script.sent[0].form == {**BODY, "scope": "airflow/.default openid"}


@pytest.mark.parametrize("status", [400, 401])
def test_secret_as_basic(status: int) -> None:
    """A provider that refuses the secret in the form gets it as HTTP Basic, and from then on only
    so.
    """
    script = Script(answer(status, {"error": "invalid_client"}), GRANTED, GRANTED, REFUSED)
    endpoint = token_url(script)

    assert endpoint.grant() == endpoint.grant() == Grant(Secret("Bearer granted"), NOW + 300)
    first, *others = script.sent
    assert first.form == BODY
    for sent in others:
        assert basic(sent) == ("ops", SECRET.reveal())
        assert sent.form == {"grant_type": "client_credentials"}
    with pytest.raises(Unauthorized, match="Invalid client credentials"):
        endpoint.grant()
    assert len(script.sent) == 4


def test_secret_refused_in_both_ways() -> None:
    """A client that is refused in both ways is refused in the words for the first, and is tried in
    both again.
    """
    script = Script(REFUSED, answer(400, {"error": "basic"}), REFUSED, answer(401, b""), GRANTED)
    endpoint = token_url(script)

    for _ in range(2):
        with pytest.raises(Unauthorized) as caught:
            endpoint.grant()
        assert caught.value.title == "The identity provider refused the client"
        assert caught.value.detail == (
            "POST login.example.com/realms/ops/token answered 401 application/json: "
            "invalid_client: "
            "Invalid client credentials"
        )
        assert all(
            name in caught.value.hint
            for name in ("client_id", "client_secret", "scope", "token_url")
        )
    assert endpoint.grant().value.reveal() == "Bearer granted"
    assert script.sent[-1].form == BODY


@pytest.mark.parametrize("status", [402, 403, 404, 405, 415, 422])
def test_another_refusal(status: int) -> None:
    """What is no answer to a client's secret is not tried in another way."""
    script = Script(answer(status, {"error": "no"}))

    with pytest.raises(Unauthorized):
        token_url(script).grant()
    assert len(script.sent) == 1


@given(texts, texts)
def test_any_client(client_id: str, secret: str) -> None:
    """Whatever id and secret are made of, they arrive to the letter both times, and what is made of
    the secret is masked.
    """
    script = Script(REFUSED, GRANTED)
    masked: list[str] = []
    token_url(script, masked, OAuth(URL, client_id, Secret(secret))).grant()

    assert script.sent[0].form == {**BODY, "client_id": client_id, "client_secret": secret}
    assert basic(script.sent[1]) == (client_id, secret)
    assert str(script.sent[0].request.body).partition("client_secret=")[2] in masked
    assert script.sent[1].headers["Authorization"].removeprefix("Basic ") in masked
    assert masked[-1] == "granted"


def test_masked_before_it_is_sent() -> None:
    """What is made of a secret is masked before it leaves, even if nothing comes back."""
    masked: list[str] = []
    with pytest.raises(TransientError):
        token_url(Script(answer(503, b"")), masked).grant()
    assert masked == ["cl1ent+s3cret%26%2B%2F%C3%A4"]

    with pytest.raises(TransientError):
        token_url(Script(REFUSED, answer(503, b"")), masked).grant()
    assert base64.b64decode(masked[-1]) == b"ops:cl1ent+s3cret%26%2B%2F%C3%A4"


def test_assertion() -> None:
    """GitHub's token proves the client in place of a secret, is asked for anew for each grant, and
    is masked.
    """
    script = Script(ASSERTION, GRANTED, answer(200, {"value": "assert2on"}), GRANTED)
    masked: list[str] = []
    endpoint = federated(script, masked)

    assert endpoint.grant() == endpoint.grant() == Grant(Secret("Bearer granted"), NOW + 300)
    assert masked == ["assert1on", "granted", "assert2on", "granted"]
    assert (
        script.sent[0].url
        == "https://token.example.com/?v=2&audience=api%3A%2F%2FAzureADTokenExchange"
    )
    for sent, assertion in ((script.sent[1], "assert1on"), (script.sent[3], "assert2on")):
        assert sent.url == URL
        assert "Authorization" not in sent.headers
        assert sent.form == {
            "grant_type": "client_credentials",
            "scope": "airflow/.default",
            "client_id": "ops",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }


def test_assertion_without_a_client_id() -> None:
    """A provider may know the client by its assertion alone."""
    script = Script(ASSERTION, GRANTED)
    federated(script, client_id="").grant()

    assert "client_id" not in script.sent[1].form


@pytest.mark.parametrize("status", [400, 401])
def test_assertion_refused(status: int) -> None:
    """A refused assertion is not tried in another way, and the federated credential is what to look
    at.
    """
    script = Script(
        ASSERTION,
        answer(status, {"error": "invalid_client", "error_description": "AADSTS70021: No match"}),
    )
    with pytest.raises(Unauthorized) as caught:
        federated(script).grant()

    assert len(script.sent) == 2
    assert caught.value.detail.endswith("invalid_client: AADSTS70021: No match")
    assert all(
        words in caught.value.hint
        for words in ("federated credential", "oidc_audience", "repository")
    )
    assert "client_secret" not in caught.value.hint


def test_github_gives_no_assertion() -> None:
    """If GitHub refuses, the provider is not asked."""
    script = Script(answer(403, {}))
    with pytest.raises(Unauthorized, match="GitHub gave no OIDC token"):
        federated(script).grant()

    assert len(script.sent) == 1


@pytest.mark.parametrize(
    ("expires_in", "expires"),
    [
        (300, NOW + 300),
        ("300", NOW + 300),
        (299.5, NOW + 299.5),
        (" 300 ", NOW + 300),
        (0, NOW),
        (-5, NOW - 5),
        (None, None),
        ("", None),
        ("soon", None),
        ([300], None),
        ({"seconds": 300}, None),
        (10**400, None),
        ("1" + "0" * 400, None),
        (inf, None),
        (-inf, None),
        (nan, None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_expires_in(expires_in: Any, expires: float | None) -> None:
    """Seconds are counted from before the request, as a number or as text; what is neither says
    nothing.
    """
    reply = answer(200, {"access_token": "granted", "expires_in": expires_in})

    assert token_url(Script(reply)).grant() == Grant(Secret("Bearer granted"), expires)


def test_no_expires_in() -> None:
    """Without expires_in, and where it is later than the token's own end, the token's own end
    counts.
    """
    token = jwt.encode({"exp": int(NOW) + 60}, "a key that is long enough for HS256", "HS256")
    for more in ({}, {"expires_in": 300}):
        script = Script(answer(200, {"access_token": token, **more}))
        assert token_url(script).grant() == Grant(Secret(f"Bearer {token}"), NOW + 60)


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_token_type(token_type: str) -> None:
    """A bearer token is one in any case."""
    reply = answer(200, {"access_token": "granted", "token_type": token_type})

    assert token_url(Script(reply)).grant() == Grant(Secret("Bearer granted"))


@pytest.mark.parametrize("token_type", ["DPoP", "mac", "", None, 7])
def test_another_token_type(token_type: Any) -> None:
    """A token of another type would be refused everywhere: it is named, and not used."""
    reply = answer(200, {"access_token": "granted", "token_type": token_type})
    with pytest.raises(UnexpectedResponse, match="no bearer") as caught:
        token_url(Script(reply)).grant()

    assert caught.value.title == "The identity provider gave an unexpected answer"
    assert "granted" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (answer(500, b"<html>"), TransientError, "The identity provider answers 500"),
        (answer(429, {}), TransientError, "The identity provider answers 429"),
        (
            answer(302, Location="https://login.example.com/ui"),
            UnexpectedResponse,
            "The identity provider redirects",
        ),
        (
            answer(307, Location="https://evil.example.com/"),
            UnexpectedResponse,
            "The identity provider redirects",
        ),
        (
            answer(200, b"<html>"),
            UnexpectedResponse,
            "The identity provider gave an unexpected answer",
        ),
        (
            answer(200, b'{"access', "application/json"),
            UnexpectedResponse,
            "The identity provider gave an unexpected answer",
        ),
        (answer(200, {}), UnexpectedResponse, "The identity provider gave no token"),
        (
            answer(200, {"access_token": None}),
            UnexpectedResponse,
            "The identity provider gave no token",
        ),
        (
            answer(200, {"access_token": "gr anted"}),
            UnexpectedResponse,
            "The identity provider gave no usable token",
        ),
        (answer(200, ["granted"]), UnexpectedResponse, "The identity provider gave no token"),
        (
            answer(201, {"access_token": "granted"}),
            Unauthorized,
            "The identity provider refused the client",
        ),
        (answer(403, b"<html>No"), Unauthorized, "The identity provider refused the client"),
    ],
    ids=["500", "429", "302", "307", "page", "cut", "empty", "null", "blank", "list", "201", "403"],
)
@pytest.mark.parametrize("client", ["secret", "assertion"])
def test_no_token(reply: bytes, error: type[ActionError], title: str, client: str) -> None:
    """What is no token is none, the provider is named, nothing is followed, and nothing secret is
    said.
    """
    script = Script(reply) if client == "secret" else Script(ASSERTION, reply)
    with pytest.raises(error) as caught:
        (token_url if client == "secret" else federated)(script).grant()

    said = f"{caught.value} {caught.value.hint}"
    assert caught.value.title == title
    assert script.answers == []
    assert not [word for word in ("cl1ent", "assert1on", "requ3st", "anted") if word in said]
