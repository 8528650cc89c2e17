"""The scripted Airflow with other credentials, and with the Keycloak auth manager.

Measured: docs/notes/credentials.md#keycloak-auth-manager.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from dev.airflow_settings import password_of
from tests.contract.services import ServiceClient, airflow
from tests.support.services import KeycloakTokens, exactly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fake_airflow import FakeAirflow

KEY = "e4f8c1f0-a-raw-api-key"
FORBIDDEN = {"2.11.2": None, "3.3.2": "Forbidden"}


@pytest.fixture
def client(tmp_path: Path) -> ServiceClient:
    return ServiceClient(tmp_path)


@pytest.mark.parametrize(
    "value", [KEY, "Bearer ya29.an-opaque-token-of-Google", "Basic Zm9vOmJhcg=="]
)
@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_configured_credential_is_accepted_with_its_role(
    client: ServiceClient, version: str, value: str
) -> None:
    with airflow(version, accept=exactly(value)) as fake:
        assert client.trigger(fake, {"Authorization": value}).status_code == 200
    with airflow(version, accept=exactly(value, role="viewer")) as fake:
        assert client.get_dag(fake, {"Authorization": value}).status_code == 200
        answer = client.trigger(fake, {"Authorization": value})
        assert (answer.status_code, answer.json()["detail"]) == (403, FORBIDDEN[version])
        assert fake.runs("d") == []


@pytest.mark.parametrize("name", ["X-Api-Key", "Cookie"])
@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_credential_is_accepted_in_its_configured_header_only(
    client: ServiceClient, version: str, name: str
) -> None:
    with airflow(version, accept=exactly(KEY, name=name)) as fake:
        assert client.get_dag(fake, {name: KEY}).status_code == 200
        assert client.get_dag(fake, {"X-Other": KEY}).status_code in {401, 403}


@pytest.mark.parametrize(
    ("value", "two", "three"),
    [
        ("", (403, None), (401, "Not authenticated")),
        (f"Bearer {KEY}", (403, None), (403, "Invalid JWT token")),
        (f"{KEY}x", (403, None), (401, "Not authenticated")),
    ],
    ids=["none", "as bearer", "another"],
)
@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_an_unknown_credential_is_refused_and_built_in_ones_stay_valid(
    client: ServiceClient, version: str, value: str, two: Any, three: Any
) -> None:
    with airflow(version, accept=exactly(KEY)) as fake:
        answer = client.get_dag(fake, {"Authorization": value} if value else {})
        assert (answer.status_code, answer.json()["detail"]) == (
            two if version == "2.11.2" else three
        )
        with fake.session() as session:
            assert session.get(f"{fake.url}{fake.api}/dags/d", timeout=10).status_code == 200


@pytest.fixture
def tokens() -> KeycloakTokens:
    """Tokens of the Keycloak auth manager."""
    return KeycloakTokens(keycloak_lifetime=65)


@pytest.fixture
def keycloak(tokens: KeycloakTokens) -> Iterator[FakeAirflow]:
    with airflow("3.3.2", tokens=tokens) as fake:
        yield fake


def log_in(client: ServiceClient, fake: FakeAirflow, **body: Any) -> Any:
    return client("POST", f"{fake.url}/auth/token", json=body)


def client_credentials(tokens: KeycloakTokens, **others: Any) -> dict[str, Any]:
    """Return the body of a login as Airflow's own client, with these changes."""
    own = {
        "grant_type": "client_credentials",
        "client_id": tokens.client_id,
        "client_secret": tokens.client_secret,
    }
    return own | others


def test_a_password_is_exchanged_for_a_token_of_a_day(
    client: ServiceClient, keycloak: FakeAirflow
) -> None:
    """It contains Keycloak's own token, which lives for a minute."""
    for extra in ({}, {"grant_type": "password"}):
        answer = log_in(client, keycloak, username="op", password=password_of("op"), **extra)
        assert (answer.status_code, list(answer.json())) == (201, ["access_token"])
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert {"user_id", "name", "access_token", "refresh_token"} < set(claims)
    inside = jwt.decode(claims["access_token"], options={"verify_signature": False})
    assert (claims["exp"] - claims["iat"], inside["exp"] - inside["iat"]) == (86400, 65)
    assert abs(inside["iat"] - time.time()) < 60
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert client.trigger(keycloak, headers).status_code == 200


def test_the_client_logs_in_with_its_secret_and_gets_no_refresh_token(
    client: ServiceClient, keycloak: FakeAirflow, tokens: KeycloakTokens
) -> None:
    answer = log_in(client, keycloak, **client_credentials(tokens))
    assert answer.status_code == 201
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["refresh_token"] is None
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert client.trigger(keycloak, headers).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"username": "op", "password": "wrong"}, "Invalid credentials"),
        ({"username": "unknown", "password": password_of("unknown")}, "Invalid credentials"),
        ({"client_secret": "wrong"}, "Client credentials authentication failed"),
        ({"client_id": "another"}, "Client credentials authentication failed"),
    ],
)
def test_a_bad_credential_is_a_403_at_the_login(
    client: ServiceClient,
    keycloak: FakeAirflow,
    tokens: KeycloakTokens,
    body: dict[str, str],
    message: str,
) -> None:
    answer = log_in(
        client, keycloak, **(body if "username" in body else client_credentials(tokens, **body))
    )
    assert (answer.status_code, answer.json()) == (403, {"detail": message})


@pytest.mark.parametrize(
    ("body", "kind", "where"),
    [
        ({"username": "op"}, "missing", ["password", "password"]),
        ({"username": "op", "password": 1}, "string_type", ["password", "password"]),
        (
            {"username": "op", "password": "x", "scope": "y"},
            "extra_forbidden",
            ["password", "scope"],
        ),
        (
            {"grant_type": "client_credentials", "client_id": "x"},
            "missing",
            ["client_credentials", "client_secret"],
        ),
        ({"grant_type": "magic"}, "union_tag_invalid", []),
    ],
)
def test_a_login_body_with_wrong_fields_is_a_422_that_names_them(
    client: ServiceClient, keycloak: FakeAirflow, body: dict[str, Any], kind: str, where: list[str]
) -> None:
    answer = log_in(client, keycloak, **body)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["type"], problem["loc"]) == (kind, ["body", *where])


@pytest.mark.parametrize(
    "options",
    [{"data": {"username": "op", "password": password_of("op")}}, {"json": ["op"]}],
    ids=["form", "list"],
)
def test_a_form_or_json_that_is_no_object_is_a_500_in_plain_text(
    client: ServiceClient, keycloak: FakeAirflow, options: dict[str, Any]
) -> None:
    answer = client("POST", f"{keycloak.url}/auth/token", **options)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


def test_a_token_whose_inner_token_has_expired_has_no_permission(client: ServiceClient) -> None:
    with airflow("3.3.2", tokens=KeycloakTokens(keycloak_lifetime=-1)) as fake:
        token = fake.token("admin")
        assert jwt.decode(token, options={"verify_signature": False})["exp"] > time.time()
        answer = client.get_dag(fake, {"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})


def test_a_test_can_expire_all_tokens(client: ServiceClient, keycloak: FakeAirflow) -> None:
    old = {"Authorization": f"Bearer {keycloak.token('op')}"}
    assert client.get_dag(keycloak, old).status_code == 200
    keycloak.expire_tokens()
    assert client.get_dag(keycloak, old).json() == {"detail": "Forbidden"}
    assert (
        client.get_dag(keycloak, {"Authorization": f"Bearer {keycloak.token('op')}"}).status_code
        == 200
    )


def test_a_missing_permission_is_refused_like_an_expired_token(
    client: ServiceClient, keycloak: FakeAirflow
) -> None:
    """A foreign token is refused with another message."""
    headers = {"Authorization": f"Bearer {keycloak.token('viewer')}"}
    assert client.get_dag(keycloak, headers).status_code == 200
    answer = client.trigger(keycloak, headers)
    assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})
    answer = client.get_dag(keycloak, {"Authorization": "Bearer a-token-of-Keycloak"})
    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid JWT token"})
    assert client.get_dag(keycloak, {}).json() == {"detail": "Not authenticated"}
