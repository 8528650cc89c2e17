"""The stand-in of GitHub's OIDC endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import jwt
import pytest

from tests.contract.services import ServiceClient, airflow
from tests.support.services import FakeGitHubOidc, bearer, certificates
from tests.support.services.oidc import ISSUER, OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUDIENCE = "https://airflow.example.com/a b?c=d&e=ü"


@pytest.fixture
def oidc() -> Iterator[FakeGitHubOidc]:
    with FakeGitHubOidc() as started:
        yield started


@pytest.fixture
def client(tmp_path: Path) -> ServiceClient:
    return ServiceClient(tmp_path)


def request_token(
    client: ServiceClient, environment: dict[str, str], audience: str | None = None
) -> str:
    """Request a token as GitHub documents it."""
    url = environment["ACTIONS_ID_TOKEN_REQUEST_URL"]
    url += "" if audience is None else f"&audience={quote(audience, safe='')}"
    headers = {"Authorization": f"Bearer {environment['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    answer = client("GET", url, headers=headers)
    assert answer.status_code == 200
    assert list(answer.json()) == ["value"]
    return str(answer.json()["value"])


def test_a_token_is_an_rs256_jwt_for_the_audience_for_five_minutes(
    client: ServiceClient, oidc: FakeGitHubOidc
) -> None:
    token = request_token(client, oidc.environment, AUDIENCE)
    assert jwt.get_unverified_header(token)["alg"] == "RS256"
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["exp"] - claims["iat"]) == (ISSUER, AUDIENCE, 300)
    assert oidc.issued == [token]


def test_the_default_audience_is_the_owner_of_the_repository(
    client: ServiceClient, oidc: FakeGitHubOidc
) -> None:
    assert oidc.is_good(request_token(client, oidc.environment), OWNER)


def test_each_request_gets_a_token_of_its_own(client: ServiceClient, oidc: FakeGitHubOidc) -> None:
    assert request_token(client, oidc.environment, "a") != request_token(
        client, oidc.environment, "a"
    )


def test_the_endpoint_may_use_tls(client: ServiceClient) -> None:
    with FakeGitHubOidc(tls=certificates.trusted_ca().server()) as oidc:
        assert oidc.url.startswith("https://")
        assert oidc.is_good(request_token(client, oidc.environment, "a"), "a")


@pytest.mark.parametrize("header", [None, "Bearer wrong", "wrong"])
def test_the_jobs_request_token_is_required(
    client: ServiceClient, oidc: FakeGitHubOidc, header: str | None
) -> None:
    answer = client(
        "GET", f"{oidc.url}&audience=a", headers={"Authorization": header} if header else {}
    )
    assert answer.status_code == 401
    assert oidc.issued == []


def test_a_token_is_valid_for_its_audience_until_it_expires(oidc: FakeGitHubOidc) -> None:
    """Only the endpoint can sign one."""
    token = oidc.issue("a")
    assert oidc.is_good(token, "a")
    assert not oidc.is_good(token, "b")
    head, claims, signature = token.split(".")
    assert not oidc.is_good(f"{head}.{claims}.{signature[::-1]}", "a")
    oidc.lifetime = -1
    assert not oidc.is_good(oidc.issue("a"), "a")


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_an_airflow_may_accept_the_token_for_one_audience(
    client: ServiceClient, oidc: FakeGitHubOidc, version: str
) -> None:
    with airflow(version, accept=bearer(lambda token: oidc.is_good(token, "airflow"))) as fake:
        good, other = (
            f"Bearer {request_token(client, oidc.environment, audience)}"
            for audience in ("airflow", "other")
        )
        assert client.trigger(fake, {"Authorization": good}).status_code == 200
        assert client.get_dag(fake, {"Authorization": other}).status_code == 403
