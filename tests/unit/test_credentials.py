"""Secrets and credentials in texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.credentials import (
    Access,
    AwsKeys,
    Client,
    GitHubToken,
    Header,
    Mwaa,
    OAuth,
    Password,
    Secret,
    Tls,
    Token,
)

HIDDEN = Secret("s3cret")
KEYS = AwsKeys("AKIA", HIDDEN, HIDDEN)


@given(st.text())
def test_secret_is_shown_only_by_reveal(text: str) -> None:
    secret = Secret(text)

    assert (str(secret), f"{secret}", "%s" % secret) == ("***", "***", "***")  # noqa: UP031
    assert (repr(secret), f"{secret!r:>10}") == ("Secret()", "  Secret()")
    assert repr(Token(secret)) == "Token(token=Secret())"
    assert repr(Password("u", secret)) == "Password(username='u', password=Secret())"
    assert secret.reveal() == text


@pytest.mark.parametrize(
    "holder",
    [
        Token(HIDDEN),
        Header(HIDDEN),
        Password("u", HIDDEN),
        Client("c", HIDDEN),
        GitHubToken("a", "https://token.example.com", HIDDEN),
        OAuth("https://login.example.com", "c", HIDDEN),
        OAuth(
            "https://login.example.com", "c", GitHubToken("a", "https://token.example.com", HIDDEN)
        ),
        KEYS,
        Mwaa("m", "eu-central-1", KEYS),
        Tls(key=HIDDEN),
        Access("https://airflow.example.com", Token(HIDDEN), (("X-Key", HIDDEN),), Tls(key=HIDDEN)),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_no_text_of_a_credential_shows_its_secret(holder: object) -> None:
    assert "s3cret" not in f"{holder} {holder!r}"
    assert "Secret()" in repr(holder)


def test_access_without_headers_and_tls_inputs_has_neither() -> None:
    access = Access("https://airflow.example.com", Token(HIDDEN))

    assert (access.headers, access.tls) == ((), Tls())
    assert (access.tls.ca, access.tls.certificate, access.tls.key.reveal()) == ("", "", "")
