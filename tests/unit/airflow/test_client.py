"""Which Airflow answers, in what form it is shown the credential, and what is said when none
does.
"""

import pytest

from entrypoint.airflow.client import Airflow, connect
from entrypoint.airflow.transport import Transport
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.auth.credentials import AirflowCredentials
from entrypoint.credentials import Client, Credential, Header, Password, Secret, Token
from entrypoint.errors import (
    ActionError,
    NotSupported,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from tests.unit.script import Script, answer

BASE = "https://airflow.example.com/team"
THREE = answer(200, {"version": "3.3.2", "git_version": None})
TWO = answer(200, {"version": "2.11.2", "git_version": None})
NO_THREE = answer(404, b"<html>Airflow 404")
DAGS = answer(200, {"dags": []})
PASSWORD, CLIENT, TOKEN = (
    Password("u", Secret("pa55word")),
    Client("c", Secret("cl1ent")),
    Token(Secret("t0ken")),
)
GATEWAY = "A gateway in front of Airflow refused the request"


def connected(script: Script, credential: Credential) -> tuple[Airflow, Transport]:
    """The Airflow that answers by the script, and the way to it."""
    transport = Transport(BASE, script.wire())
    return connect(
        transport, AirflowCredentials(credential, lambda _: None, Script().wire)
    ), transport


def asked(script: Script) -> list[tuple[str, str | None]]:
    """Each request below the base URL, and its credential."""
    return [
        (sent.url.removeprefix(BASE), sent.headers.get("Authorization")) for sent in script.sent
    ]


@pytest.mark.parametrize(
    ("credential", "before", "after"),
    [
        (TOKEN, "Bearer t0ken", "Bearer t0ken"),
        (Header(Secret("Key abc")), "Key abc", "Key abc"),
        (PASSWORD, None, "Basic dTpwYTU1d29yZA=="),
    ],
    ids=["token", "header", "password"],
)
def test_airflow_2(credential: Credential, before: str | None, after: str) -> None:
    """Airflow 2 is asked second; a credential that is the same for both is shown from the first
    request on.
    """
    script = Script(NO_THREE, TWO, DAGS)
    airflow, transport = connected(script, credential)
    transport.get("/api/v1/dags")

    assert (type(airflow), airflow.version, transport.ambiguous_403) == (V1, "2.11.2", True)
    assert asked(script) == [
        ("/api/v2/version", before),
        ("/api/v1/version", before),
        ("/api/v1/dags", after),
    ]


@pytest.mark.parametrize(
    ("credential", "body"),
    [
        (PASSWORD, b'{"username": "u", "password": "pa55word"}'),
        (
            CLIENT,
            b'{"grant_type": "client_credentials", "client_id": "c", "client_secret": "cl1ent"}',
        ),
    ],
    ids=["password", "client"],
)
@pytest.mark.parametrize("status", [200, 201])
def test_airflow_3(credential: Credential, body: bytes, status: int) -> None:
    """Airflow 3 is asked first, and exchanges what it wants exchanged with the first request that
    needs it.
    """
    script = Script(THREE, answer(status, {"access_token": "granted"}), DAGS)
    airflow, transport = connected(script, credential)
    assert asked(script) == [("/api/v2/version", None)]
    transport.get("/api/v2/dags")

    assert (type(airflow), airflow.version, transport.ambiguous_403) == (V2, "3.3.2", False)
    assert asked(script)[1:] == [("/auth/token", None), ("/api/v2/dags", "Bearer granted")]
    assert script.sent[1].request.body == body


def test_a_token_for_airflow_3() -> None:
    """A token is shown to Airflow 3 as it is, and nothing is exchanged."""
    script = Script(THREE, DAGS)
    _, transport = connected(script, TOKEN)
    transport.get("/api/v2/dags")

    assert asked(script) == [("/api/v2/version", "Bearer t0ken"), ("/api/v2/dags", "Bearer t0ken")]


def test_a_version_proves_no_credential() -> None:
    """That the version was told does not mean that the credential was accepted."""
    _, transport = connected(Script(THREE, answer(401, {"detail": "No"})), TOKEN)
    with pytest.raises(Unauthorized, match="Airflow refused the credential"):
        transport.get("/api/v2/dags")


def test_a_client_for_airflow_2() -> None:
    """Airflow 2 takes no client, which is said at once."""
    with pytest.raises(NotSupported):
        connected(Script(NO_THREE, TWO), CLIENT)


@pytest.mark.parametrize(
    ("replies", "error", "title"),
    [
        ([NO_THREE, NO_THREE], UnexpectedResponse, "That is not an answer of Airflow's API"),
        (
            [answer(200, {"version": "three"}), NO_THREE],
            UnexpectedResponse,
            "That is not an answer of Airflow's API",
        ),
        (
            [answer(200, {"v": 3}), answer(200, ["3.3.2"])],
            UnexpectedResponse,
            "That is not an answer of Airflow's API",
        ),
        (
            [answer(200, b"<html>"), answer(200, b"<html>")],
            UnexpectedResponse,
            "That is not an answer of Airflow's API",
        ),
        (
            [answer(302, Location="/l"), answer(302, Location="/l")],
            UnexpectedResponse,
            "Airflow's address redirects",
        ),
        ([answer(403, b"<html>"), answer(403, b"<html>")], Unauthorized, GATEWAY),
        ([answer(401, b"<html>")], Unauthorized, GATEWAY),
        ([answer(503, b""), answer(503, b"")], TransientError, "Airflow answers 503"),
        ([answer(502, b""), NO_THREE], TransientError, "Airflow answers 502"),
        ([NO_THREE, answer(504, b"")], TransientError, "Airflow answers 504"),
    ],
    ids=[
        "404",
        "words",
        "shapes",
        "pages",
        "redirect",
        "403",
        "401",
        "503",
        "three down",
        "two down",
    ],
)
def test_no_airflow(replies: list[bytes], error: type[ActionError], title: str) -> None:
    """Where no Airflow answers, the error is about the first answer, and says whether a gateway is
    in the way.
    """
    with pytest.raises(error) as caught:
        connected(Script(*replies), TOKEN)

    assert caught.value.title == title
    if error is UnexpectedResponse:
        assert "/api/v2/version" in caught.value.detail


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_gateway_that_fails_where_airflow_2_has_nothing(status: int) -> None:
    """A proxy in front of an Airflow 2 may answer so for a path that only Airflow 3 has: it is an
    Airflow 2 all the same.
    """
    airflow, _ = connected(
        Script(answer(status, b"<html>"), answer(200, {"version": "2.11.2"})), TOKEN
    )
    assert airflow.version == "2.11.2"


@pytest.mark.parametrize("status", [401, 403])
def test_a_gateway_in_front_of_who_has_a_password(status: int) -> None:
    """A gateway that refuses what has no credential yet is named all the same."""
    with pytest.raises(Unauthorized) as caught:
        connected(Script(*[answer(status, b"<html>", Server="cloudflare")] * 2), PASSWORD)

    assert caught.value.title == GATEWAY
    assert "cloudflare" in caught.value.detail


@pytest.mark.parametrize("credential", [PASSWORD, CLIENT], ids=["password", "client"])
@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (
            answer(401, {"detail": "Invalid credentials"}),
            Unauthorized,
            "Airflow refused the credential",
        ),
        (
            answer(403, {"detail": "Invalid credentials"}),
            Unauthorized,
            "Airflow refused the credential",
        ),
        (answer(403, b"<html>"), Unauthorized, GATEWAY),
        (
            answer(404, b"<html>"),
            UnexpectedResponse,
            "This Airflow has no login for this kind of credential",
        ),
        (
            answer(405, {"detail": "No"}),
            UnexpectedResponse,
            "This Airflow has no login for this kind of credential",
        ),
        (answer(201, {}), UnexpectedResponse, "Airflow's login gave no token"),
        (answer(201, {"access_token": ""}), UnexpectedResponse, "Airflow's login gave no token"),
        (answer(201, {"access_token": 7}), UnexpectedResponse, "Airflow's login gave no token"),
        (answer(201, ["granted"]), UnexpectedResponse, "Airflow's login gave no token"),
        (
            answer(418, {"access_token": "granted"}),
            UnexpectedResponse,
            "Airflow's login gave no token",
        ),
        (
            answer(201, {"access_token": "gr anted"}),
            UnexpectedResponse,
            "Airflow's login gave no usable token",
        ),
        (answer(302, Location="/login"), UnexpectedResponse, "Airflow's address redirects"),
        (answer(500, b""), TransientError, "Airflow answers 500"),
    ],
)
def test_no_login(
    credential: Credential, reply: bytes, error: type[ActionError], title: str
) -> None:
    """A login that gives no token is an error that says why, without what was sent."""
    _, transport = connected(Script(THREE, reply), credential)
    with pytest.raises(error) as caught:
        transport.get("/api/v2/dags")

    assert caught.value.title == title
    assert not [
        secret
        for secret in ("pa55word", "cl1ent", "anted")
        if secret in f"{caught.value} {caught.value.hint}"
    ]


@pytest.mark.parametrize(
    ("credential", "title"),
    [
        (PASSWORD, "Airflow's login gave no token"),
        (CLIENT, "This Airflow's login takes no client_id and client_secret"),
    ],
    ids=["password", "client"],
)
@pytest.mark.parametrize(
    ("status", "detail", "told"),
    [
        (400, "Username and password must be provided", "must be provided"),
        (
            422,
            [{"loc": ["body", "username"], "msg": "Field required", "input": {"a": "pa55word"}}],
            "body.username: Field required",
        ),
        (
            422,
            "1 validation error for LoginBody\nclient_secret [input_value='pa55wo...cret']",
            "answered 422",
        ),
    ],
    ids=["FAB", "Keycloak", "simple"],
)
def test_a_login_for_something_else(
    credential: Credential, title: str, status: int, detail: object, told: str
) -> None:
    """A login that does not know what it is told is one without clients, if a client is what it is
    told.
    """
    reply = answer(status, {"detail": detail})
    _, transport = connected(Script(THREE, reply), credential)
    with pytest.raises(UnexpectedResponse) as caught:
        transport.get("/api/v2/dags")

    assert caught.value.title == title
    assert told in caught.value.detail
    assert "pa55wo" not in str(caught.value)
