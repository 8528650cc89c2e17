"""The scripted Airflow with credentials that are not its own, and with the Keycloak auth manager.

Measured: docs/notes/credentials.md#keycloak-auth-manager.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from dev.airflow_settings import password_of
from tests.contract.services import Client, airflow
from tests.support.services import KeycloakTokens, exactly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fake_airflow import FakeAirflow

KEY = "e4f8c1f0-a-raw-api-key"
FORBIDDEN = {"2.11.2": None, "3.3.2": "Forbidden"}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Who asks."""
    return Client(tmp_path)


@pytest.mark.parametrize(
    "value", [KEY, "Bearer ya29.an-opaque-token-of-Google", "Basic Zm9vOmJhcg=="]
)
@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_credential_from_elsewhere(client: Client, version: str, value: str) -> None:
    """What the test says is good is good as it stands, for the role that it says, in either
    version.
    """
    with airflow(version, accept=exactly(value)) as fake:
        assert client.trigger(fake, {"Authorization": value}).status_code == 200
    with airflow(version, accept=exactly(value, role="viewer")) as fake:
        assert client.look(fake, {"Authorization": value}).status_code == 200
        answer = client.trigger(fake, {"Authorization": value})
        assert (answer.status_code, answer.json()["detail"]) == (403, FORBIDDEN[version])
        assert fake.runs("d") == []


@pytest.mark.parametrize("name", ["X-Api-Key", "Cookie"])
@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_credential_in_another_header(client: Client, version: str, name: str) -> None:
    """The credential may stand in any header, and in no other."""
    with airflow(version, accept=exactly(KEY, name=name)) as fake:
        assert client.look(fake, {name: KEY}).status_code == 200
        assert client.look(fake, {"X-Other": KEY}).status_code in {401, 403}


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
def test_a_bad_one_is_refused_as_ever(
    client: Client, version: str, value: str, two: Any, three: Any
) -> None:
    """What nobody knows is refused in each version's own words, and the version's own credentials
    are good as ever.
    """
    with airflow(version, accept=exactly(KEY)) as fake:
        answer = client.look(fake, {"Authorization": value} if value else {})
        assert (answer.status_code, answer.json()["detail"]) == (
            two if version == "2.11.2" else three
        )
        with fake.session() as session:
            assert session.get(f"{fake.url}{fake.api}/dags/d", timeout=10).status_code == 200


@pytest.fixture
def tokens() -> KeycloakTokens:
    """What the Keycloak auth manager issues."""
    return KeycloakTokens(keycloak_lifetime=65)


@pytest.fixture
def keycloak(tokens: KeycloakTokens) -> Iterator[FakeAirflow]:
    """An Airflow 3 with the Keycloak auth manager."""
    with airflow("3.3.2", tokens=tokens) as fake:
        yield fake


def log_in(client: Client, fake: FakeAirflow, **body: Any) -> Any:
    """The answer to a log-in."""
    return client("POST", f"{fake.url}/auth/token", json=body)


def client_credentials(tokens: KeycloakTokens, **others: Any) -> dict[str, Any]:
    """Airflow's own client, or what differs from it."""
    own = {
        "grant_type": "client_credentials",
        "client_id": tokens.client_id,
        "client_secret": tokens.client_secret,
    }
    return own | others


def test_keycloak_passwords(client: Client, keycloak: FakeAirflow) -> None:
    """A user's password is exchanged for a token of a day, with Keycloak's own token of a minute
    inside.
    """
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


def test_keycloak_client(client: Client, keycloak: FakeAirflow, tokens: KeycloakTokens) -> None:
    """Airflow's own client is let in by its secret, without a token to refresh."""
    answer = log_in(client, keycloak, **client_credentials(tokens))
    assert answer.status_code == 201
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["refresh_token"] is None
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert client.trigger(keycloak, headers).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"username": "op", "password": "wrong"}, "Invalid credentials"),
        ({"username": "nobody", "password": password_of("nobody")}, "Invalid credentials"),
        ({"client_secret": "wrong"}, "Client credentials authentication failed"),
        ({"client_id": "another"}, "Client credentials authentication failed"),
    ],
)
def test_keycloak_refuses(
    client: Client, keycloak: FakeAirflow, tokens: KeycloakTokens, body: dict[str, str], said: str
) -> None:
    """A bad credential is a 403 at the log-in."""
    answer = log_in(
        client, keycloak, **(body if "username" in body else client_credentials(tokens, **body))
    )
    assert (answer.status_code, answer.json()) == (403, {"detail": said})


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
def test_keycloak_does_not_understand(
    client: Client, keycloak: FakeAirflow, body: dict[str, Any], kind: str, where: list[str]
) -> None:
    """A body with the wrong fields is a 422 that names them."""
    answer = log_in(client, keycloak, **body)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["type"], problem["loc"]) == (kind, ["body", *where])


@pytest.mark.parametrize(
    "options",
    [{"data": {"username": "op", "password": password_of("op")}}, {"json": ["op"]}],
    ids=["form", "list"],
)
def test_keycloak_breaks(client: Client, keycloak: FakeAirflow, options: dict[str, Any]) -> None:
    """A form, and JSON that is no object, is a plain 500."""
    answer = client("POST", f"{keycloak.url}/auth/token", **options)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


def test_keycloak_tokens_end_inside(client: Client) -> None:
    """A token whose inner one has had its time lacks every right, though it goes on itself."""
    with airflow("3.3.2", tokens=KeycloakTokens(keycloak_lifetime=-1)) as fake:
        token = fake.token("admin")
        assert jwt.decode(token, options={"verify_signature": False})["exp"] > time.time()
        answer = client.look(fake, {"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})


def test_keycloak_tokens_end_on_demand(client: Client, keycloak: FakeAirflow) -> None:
    """All tokens end when the test says so, and a new one is good."""
    old = {"Authorization": f"Bearer {keycloak.token('op')}"}
    assert client.look(keycloak, old).status_code == 200
    keycloak.expire_tokens()
    assert client.look(keycloak, old).json() == {"detail": "Forbidden"}
    assert (
        client.look(keycloak, {"Authorization": f"Bearer {keycloak.token('op')}"}).status_code
        == 200
    )


def test_keycloak_rights(client: Client, keycloak: FakeAirflow) -> None:
    """Who may only read is refused a trigger in the very words of an expired token, and a foreign
    token in others.
    """
    headers = {"Authorization": f"Bearer {keycloak.token('viewer')}"}
    assert client.look(keycloak, headers).status_code == 200
    answer = client.trigger(keycloak, headers)
    assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})
    answer = client.look(keycloak, {"Authorization": "Bearer a-token-of-Keycloak"})
    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid JWT token"})
    assert client.look(keycloak, {}).json() == {"detail": "Not authenticated"}
