"""The nouns of credentials: whatever holds a secret, it does not show."""

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
def test_secret(text: str) -> None:
    """Whatever a secret is, it looks like any other in every text made of it or of what holds it;
    only reveal() returns it.
    """
    secret = Secret(text)

    # The point
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
def test_holders(holder: object) -> None:
    """No credential, and nothing that holds one, shows its secret in a text made of it."""
    assert "s3cret" not in f"{holder} {holder!r}"
    assert "Secret()" in repr(holder)


def test_access_without_extras() -> None:
    """Without headers and TLS inputs the way in has neither."""
    access = Access("https://airflow.example.com", Token(HIDDEN))

    assert (access.headers, access.tls) == ((), Tls())
    assert (access.tls.ca, access.tls.certificate, access.tls.key.reveal()) == ("", "", "")
