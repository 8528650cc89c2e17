"""The stand-in of GitHub's OIDC endpoint: tokens as GitHub documents them, for anybody, as often as
one asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import jwt
import pytest

from tests.contract.services import Client, airflow
from tests.support.services import GitHubOidc, bearer, certificates
from tests.support.services.oidc import ISSUER, OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUDIENCE = "https://airflow.example.com/a b?c=d&e=ü"


@pytest.fixture
def oidc() -> Iterator[GitHubOidc]:
    """The endpoint."""
    with GitHubOidc() as started:
        yield started


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Who asks."""
    return Client(tmp_path)


def ask(client: Client, environment: dict[str, str], audience: str | None = None) -> str:
    """A token, got as GitHub says that one gets it."""
    url = environment["ACTIONS_ID_TOKEN_REQUEST_URL"]
    url += "" if audience is None else f"&audience={quote(audience, safe='')}"
    headers = {"Authorization": f"Bearer {environment['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    answer = client("GET", url, headers=headers)
    assert answer.status_code == 200
    assert list(answer.json()) == ["value"]
    return str(answer.json()["value"])


def test_a_token(client: Client, oidc: GitHubOidc) -> None:
    """A token is an RS256 JWT of GitHub's for the audience that is asked for, whatever its letters,
    and lives five minutes.
    """
    token = ask(client, oidc.environment, AUDIENCE)
    assert jwt.get_unverified_header(token)["alg"] == "RS256"
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["exp"] - claims["iat"]) == (ISSUER, AUDIENCE, 300)
    assert oidc.issued == [token]


def test_a_token_for_nobody_in_particular(client: Client, oidc: GitHubOidc) -> None:
    """Without an audience the token is for the owner of the repository."""
    assert oidc.is_good(ask(client, oidc.environment), OWNER)


def test_each_request_gets_a_token_of_its_own(client: Client, oidc: GitHubOidc) -> None:
    """Asking again gets another token."""
    assert ask(client, oidc.environment, "a") != ask(client, oidc.environment, "a")


def test_over_tls(client: Client) -> None:
    """The endpoint may speak TLS, as GitHub's does."""
    with GitHubOidc(tls=certificates.private().server()) as oidc:
        assert oidc.url.startswith("https://")
        assert oidc.is_good(ask(client, oidc.environment, "a"), "a")


@pytest.mark.parametrize("header", [None, "Bearer wrong", "wrong"])
def test_the_request_token(client: Client, oidc: GitHubOidc, header: str | None) -> None:
    """Without the job's own token there is none."""
    answer = client(
        "GET", f"{oidc.url}&audience=a", headers={"Authorization": header} if header else {}
    )
    assert answer.status_code == 401
    assert oidc.issued == []


def test_what_is_good(oidc: GitHubOidc) -> None:
    """A token is good for its audience until it expires, and nobody else can make one."""
    token = oidc.issue("a")
    assert oidc.is_good(token, "a")
    assert not oidc.is_good(token, "b")
    head, claims, signature = token.split(".")
    assert not oidc.is_good(f"{head}.{claims}.{signature[::-1]}", "a")
    oidc.lifetime = -1
    assert not oidc.is_good(oidc.issue("a"), "a")


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_as_the_bearer(client: Client, oidc: GitHubOidc, version: str) -> None:
    """An Airflow may take the token itself, for one audience."""
    with airflow(version, accept=bearer(lambda token: oidc.is_good(token, "airflow"))) as fake:
        good, other = (
            f"Bearer {ask(client, oidc.environment, audience)}" for audience in ("airflow", "other")
        )
        assert client.trigger(fake, {"Authorization": good}).status_code == 200
        assert client.look(fake, {"Authorization": other}).status_code == 403
