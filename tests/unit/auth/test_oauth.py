"""OAuth 2.0 client credentials."""

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
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, SentRequest, http_response

URL = "https://login.example.com/realms/ops/token"
NOW = 1_000_000.0
SECRET = Secret("cl1ent s3cret&+/ä")
GITHUB = GitHubToken(
    "api://AzureADTokenExchange", "https://token.example.com/?v=2", Secret("requ3st")
)
GRANTED = http_response(200, {"access_token": "granted", "token_type": "Bearer", "expires_in": 300})
REFUSED = http_response(
    401, {"error": "invalid_client", "error_description": "Invalid client credentials"}
)
ASSERTION = http_response(200, {"value": "assert1on"})
BODY = {"grant_type": "client_credentials", "client_id": "ops", "client_secret": SECRET.reveal()}
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def token_endpoint(
    script: ScriptedAdapter, masked: list[str] | None = None, client: OAuth | None = None
) -> TokenEndpoint:
    mask = (lambda _: None) if masked is None else masked.append
    return TokenEndpoint(client or OAuth(URL, "ops", SECRET), script.client, mask, lambda: NOW)


def federated_endpoint(
    script: ScriptedAdapter, masked: list[str] | None = None, client_id: str = "ops"
) -> TokenEndpoint:
    """Return the same endpoint with GitHub's OIDC token as client assertion."""
    return token_endpoint(script, masked, OAuth(URL, client_id, GITHUB, "airflow/.default"))


def basic_auth(sent: SentRequest) -> tuple[str, str]:
    """Return name and secret in HTTP Basic, encoded as RFC 6749 section 2.3.1 demands."""
    scheme, _, encoded = sent.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    name, _, secret = base64.b64decode(encoded).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)


def test_secret_is_first_sent_in_the_form() -> None:
    script = ScriptedAdapter(GRANTED)

    assert token_endpoint(script).grant(NO_DEADLINE) == Grant(Secret("Bearer granted"), NOW + 300)
    (sent,) = script.sent
    assert (sent.request.method, sent.url, sent.form) == ("POST", URL, BODY)
    assert sent.headers["Accept"] == "application/json"
    assert "Authorization" not in sent.headers


def test_scope_is_sent_if_given() -> None:
    script = ScriptedAdapter(GRANTED)
    token_endpoint(script, client=OAuth(URL, "ops", SECRET, "airflow/.default openid")).grant(
        NO_DEADLINE
    )

    assert script.sent[0].form == {**BODY, "scope": "airflow/.default openid"}


@pytest.mark.parametrize("status", [400, 401])
def test_http_basic_is_used_after_the_form_is_refused(status: int) -> None:
    script = ScriptedAdapter(
        http_response(status, {"error": "invalid_client"}), GRANTED, GRANTED, REFUSED
    )
    endpoint = token_endpoint(script)

    assert (
        endpoint.grant(NO_DEADLINE)
        == endpoint.grant(NO_DEADLINE)
        == Grant(Secret("Bearer granted"), NOW + 300)
    )
    first, *others = script.sent
    assert first.form == BODY
    for sent in others:
        assert basic_auth(sent) == ("ops", SECRET.reveal())
        assert sent.form == {"grant_type": "client_credentials"}
    with pytest.raises(Unauthorized, match="Invalid client credentials"):
        endpoint.grant(NO_DEADLINE)
    assert len(script.sent) == 4


def test_refusal_of_both_methods_reports_the_first() -> None:
    script = ScriptedAdapter(
        REFUSED, http_response(400, {"error": "basic"}), REFUSED, http_response(401, b""), GRANTED
    )
    endpoint = token_endpoint(script)

    for _ in range(2):
        with pytest.raises(Unauthorized) as caught:
            endpoint.grant(NO_DEADLINE)
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
    assert endpoint.grant(NO_DEADLINE).value.reveal() == "Bearer granted"
    assert script.sent[-1].form == BODY


@pytest.mark.parametrize("status", [402, 403, 404, 405, 415, 422])
def test_other_refusals_do_not_try_another_method(status: int) -> None:
    script = ScriptedAdapter(http_response(status, {"error": "no"}))

    with pytest.raises(Unauthorized):
        token_endpoint(script).grant(NO_DEADLINE)
    assert len(script.sent) == 1


@given(texts, texts)
def test_any_id_and_secret_arrive_unchanged_and_masked(client_id: str, secret: str) -> None:
    script = ScriptedAdapter(REFUSED, GRANTED)
    masked: list[str] = []
    token_endpoint(script, masked, OAuth(URL, client_id, Secret(secret))).grant(NO_DEADLINE)

    assert script.sent[0].form == {**BODY, "client_id": client_id, "client_secret": secret}
    assert basic_auth(script.sent[1]) == (client_id, secret)
    assert str(script.sent[0].request.body).partition("client_secret=")[2] in masked
    assert script.sent[1].headers["Authorization"].removeprefix("Basic ") in masked
    assert masked[-1] == "granted"


def test_derived_secrets_are_masked_before_sending() -> None:
    masked: list[str] = []
    with pytest.raises(TransientError):
        token_endpoint(ScriptedAdapter(http_response(503, b"")), masked).grant(NO_DEADLINE)
    assert masked == ["cl1ent+s3cret%26%2B%2F%C3%A4"]

    with pytest.raises(TransientError):
        token_endpoint(ScriptedAdapter(REFUSED, http_response(503, b"")), masked).grant(NO_DEADLINE)
    assert base64.b64decode(masked[-1]) == b"ops:cl1ent+s3cret%26%2B%2F%C3%A4"


def test_github_token_is_the_client_assertion_of_each_grant() -> None:
    script = ScriptedAdapter(
        ASSERTION, GRANTED, http_response(200, {"value": "assert2on"}), GRANTED
    )
    masked: list[str] = []
    endpoint = federated_endpoint(script, masked)

    assert (
        endpoint.grant(NO_DEADLINE)
        == endpoint.grant(NO_DEADLINE)
        == Grant(Secret("Bearer granted"), NOW + 300)
    )
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


def test_assertion_needs_no_client_id() -> None:
    script = ScriptedAdapter(ASSERTION, GRANTED)
    federated_endpoint(script, client_id="").grant(NO_DEADLINE)

    assert "client_id" not in script.sent[1].form


@pytest.mark.parametrize("status", [400, 401])
def test_refused_assertion_points_to_the_federated_credential(status: int) -> None:
    script = ScriptedAdapter(
        ASSERTION,
        http_response(
            status, {"error": "invalid_client", "error_description": "AADSTS70021: No match"}
        ),
    )
    with pytest.raises(Unauthorized) as caught:
        federated_endpoint(script).grant(NO_DEADLINE)

    assert len(script.sent) == 2
    assert caught.value.detail.endswith("invalid_client: AADSTS70021: No match")
    assert all(
        words in caught.value.hint
        for words in ("federated credential", "oidc_audience", "repository")
    )
    assert "client_secret" not in caught.value.hint


def test_provider_gets_no_request_if_github_refuses_the_token() -> None:
    script = ScriptedAdapter(http_response(403, {}))
    with pytest.raises(Unauthorized, match="GitHub gave no OIDC token"):
        federated_endpoint(script).grant(NO_DEADLINE)

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
def test_expires_in_counts_from_before_the_request(expires_in: Any, expires: float | None) -> None:
    """Numbers and numeric texts count; anything else is ignored."""
    reply = http_response(200, {"access_token": "granted", "expires_in": expires_in})

    assert token_endpoint(ScriptedAdapter(reply)).grant(NO_DEADLINE) == Grant(
        Secret("Bearer granted"), expires
    )


def test_exp_claim_counts_without_or_before_expires_in() -> None:
    token = jwt.encode({"exp": int(NOW) + 60}, "a key that is long enough for HS256", "HS256")
    for more in ({}, {"expires_in": 300}):
        script = ScriptedAdapter(http_response(200, {"access_token": token, **more}))
        assert token_endpoint(script).grant(NO_DEADLINE) == Grant(
            Secret(f"Bearer {token}"), NOW + 60
        )


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_bearer_token_type_in_any_case_is_accepted(token_type: str) -> None:
    reply = http_response(200, {"access_token": "granted", "token_type": token_type})

    assert token_endpoint(ScriptedAdapter(reply)).grant(NO_DEADLINE) == Grant(
        Secret("Bearer granted")
    )


@pytest.mark.parametrize("token_type", ["DPoP", "mac", "", None, 7])
def test_other_token_types_are_refused_by_name(token_type: Any) -> None:
    reply = http_response(200, {"access_token": "granted", "token_type": token_type})
    with pytest.raises(UnexpectedResponse, match="not bearer") as caught:
        token_endpoint(ScriptedAdapter(reply)).grant(NO_DEADLINE)

    assert caught.value.title == "The identity provider sent an unexpected response"
    assert "granted" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (http_response(500, b"<html>"), TransientError, "The identity provider answers 500"),
        (http_response(429, {}), TransientError, "The identity provider answers 429"),
        (
            http_response(302, Location="https://login.example.com/ui"),
            UnexpectedResponse,
            "The identity provider redirects",
        ),
        (
            http_response(307, Location="https://evil.example.com/"),
            UnexpectedResponse,
            "The identity provider redirects",
        ),
        (
            http_response(200, b"<html>"),
            UnexpectedResponse,
            "The identity provider sent an unexpected response",
        ),
        (
            http_response(200, b'{"access', "application/json"),
            UnexpectedResponse,
            "The identity provider sent an unexpected response",
        ),
        (http_response(200, {}), UnexpectedResponse, "The identity provider gave no token"),
        (
            http_response(200, {"access_token": None}),
            UnexpectedResponse,
            "The identity provider gave no token",
        ),
        (
            http_response(200, {"access_token": "gr anted"}),
            UnexpectedResponse,
            "The identity provider gave no usable token",
        ),
        (
            http_response(200, ["granted"]),
            UnexpectedResponse,
            "The identity provider gave no token",
        ),
        (
            http_response(201, {"access_token": "granted"}),
            Unauthorized,
            "The identity provider refused the client",
        ),
        (http_response(403, b"<html>No"), Unauthorized, "The identity provider refused the client"),
    ],
    ids=["500", "429", "302", "307", "page", "cut", "empty", "null", "blank", "list", "201", "403"],
)
@pytest.mark.parametrize("client", ["secret", "assertion"])
def test_response_without_a_token_names_the_provider_and_no_secret(
    reply: bytes, error: type[ActionError], title: str, client: str
) -> None:
    script = ScriptedAdapter(reply) if client == "secret" else ScriptedAdapter(ASSERTION, reply)
    with pytest.raises(error) as caught:
        (token_endpoint if client == "secret" else federated_endpoint)(script).grant(NO_DEADLINE)

    message = f"{caught.value} {caught.value.hint}"
    assert caught.value.title == title
    assert script.answers == []
    assert not [word for word in ("cl1ent", "assert1on", "requ3st", "anted") if word in message]
