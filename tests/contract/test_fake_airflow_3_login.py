"""Anonymous and unauthorised requests to Airflow 3.3.2, the real one and the scripted one."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import jwt
import pytest

from dev.airflow_settings import password_of
from tests.contract.api import Api, Server, reason
from tests.contract.conftest import THREE

pytestmark = pytest.mark.parametrize("server", THREE, indirect=True, scope="session")

DAG = "/api/v2/dags/quick_success"
JSON = "application/json"


def test_a_get_of_a_path_of_airflow_2_is_a_404_with_a_hint_and_a_post_a_405(admin: Api) -> None:
    answer = admin.anonymous("GET", "/api/v1/version")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, JSON)
    assert answer.json()["error"].startswith("/api/v1 has been removed in Airflow 3")
    answer = admin.anonymous("POST", "/api/v1/dags/x/dagRuns", json={})
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})


def test_an_unknown_route_is_a_404_below_api_and_a_page_elsewhere(admin: Api) -> None:
    """Elsewhere a GET is a page with 200 and a POST a 405."""
    assert admin.get("/nope").json() == {"error": "API route not found"}
    assert admin.get("/nope").status_code == 404
    page = admin.anonymous("GET", "/login/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert admin.anonymous("POST", "/nope").status_code == 405
    assert admin.anonymous("POST", "/api/v2/auth/token", json={}).status_code == 405


def test_a_password_is_exchanged_for_a_token_that_expires(admin: Api) -> None:
    answer = admin.anonymous(
        "POST", "/auth/token", json={"username": "viewer", "password": password_of("viewer")}
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, JSON)
    assert list(answer.json()) == ["access_token"]
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert {"sub", "role", "teams", "jti", "aud", "nbf", "exp", "iat"} == set(claims)
    assert claims["exp"] - claims["iat"] == 86400
    assert abs(claims["iat"] - time.time()) < 60


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"username": "admin", "password": "wrong"}, 401, "Invalid credentials"),
        ({"username": "nobody", "password": password_of("nobody")}, 401, "Invalid credentials"),
        (
            {"username": "admin"},
            422,
            "1 validation error for LoginBody\npassword\n  Field required",
        ),
        (
            {"username": "admin", "password": password_of("admin"), "x": 1},
            422,
            "Extra inputs are not permitted",
        ),
    ],
)
def test_a_bad_password_is_a_401_and_a_bad_body_a_422(
    admin: Api, body: dict[str, object], status: int, message: str
) -> None:
    answer = admin.anonymous("POST", "/auth/token", json=body)
    assert answer.status_code == status
    assert message in reason(answer)


def test_a_login_body_that_is_not_json_is_a_500_in_plain_text(server: Server) -> None:
    """The server then closes the connection without having announced it."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(
            b"POST /auth/token HTTP/1.1\r\nHost: airflow\r\nContent-Length: 1\r\n\r\nx"
        )
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"content-type: text/plain; charset=utf-8" in head.lower()
    assert b"connection:" not in head.lower()
    assert body == b"Internal Server Error"


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({}, 401, "Not authenticated"),
        ({"auth": ("admin", password_of("admin"))}, 401, "Not authenticated"),
        ({"headers": {"Authorization": "Bearer junk"}}, 403, "Invalid JWT token"),
        (
            {"headers": {"Authorization": f"Bearer {jwt.encode({'sub': 'x'}, 'k' * 64, 'HS512')}"}},
            403,
            "Invalid JWT token",
        ),
    ],
    ids=["none", "basic", "junk", "foreign"],
)
def test_no_token_is_a_401_and_a_bad_one_a_403_that_says_so(
    admin: Api, options: dict[str, object], status: int, message: str
) -> None:
    answer = admin.anonymous("GET", DAG, **options)
    assert (answer.status_code, answer.json()) == (status, {"detail": message})
