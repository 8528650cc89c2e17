"""Detecting the Airflow version and presenting each kind of credential to it."""

import json

import pytest

from entrypoint.airflow.client import Airflow, connect
from entrypoint.airflow.transport import Transport
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.auth.credentials import AirflowCredentials
from entrypoint.credentials import Client, Credential, Header, OAuth, Password, Secret, Token
from entrypoint.errors import (
    ActionError,
    NotSupported,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, http_response

BASE = "https://airflow.example.com/team"
VERSION_3 = http_response(200, {"version": "3.3.2", "git_version": None})
VERSION_2 = http_response(200, {"version": "2.11.2", "git_version": None})
NOT_FOUND_3 = http_response(404, b"<html>Airflow 404")
DAGS = http_response(200, {"dags": []})
PASSWORD, CLIENT, TOKEN = (
    Password("u", Secret("pa55word")),
    Client("c", Secret("cl1ent")),
    Token(Secret("t0ken")),
)
GATEWAY = "A gateway in front of Airflow refused the request"


def connect_scripted(script: ScriptedAdapter, credential: Credential) -> tuple[Airflow, Transport]:
    transport = Transport(BASE, script.client())
    return connect(
        transport,
        AirflowCredentials(credential, lambda _: None, ScriptedAdapter().client),
        NO_DEADLINE,
    ), transport


def requests_sent(script: ScriptedAdapter) -> list[tuple[str, str | None]]:
    """Return each request below the base URL, with its credential."""
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
def test_airflow_2_is_detected_after_the_version_3_path_fails(
    credential: Credential, before: str | None, after: str
) -> None:
    """A credential that both versions take is sent from the first request on."""
    script = ScriptedAdapter(NOT_FOUND_3, VERSION_2, DAGS)
    airflow, transport = connect_scripted(script, credential)
    transport.get("/api/v1/dags", NO_DEADLINE)

    assert (type(airflow), airflow.version, transport.ambiguous_403) == (V1, "2.11.2", True)
    assert requests_sent(script) == [
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
def test_airflow_3_is_detected_first_and_logins_are_exchanged_when_needed(
    credential: Credential, body: bytes, status: int
) -> None:
    script = ScriptedAdapter(VERSION_3, http_response(status, {"access_token": "granted"}), DAGS)
    airflow, transport = connect_scripted(script, credential)
    assert requests_sent(script) == [("/api/v2/version", None)]
    transport.get("/api/v2/dags", NO_DEADLINE)

    assert (type(airflow), airflow.version, transport.ambiguous_403) == (V2, "3.3.2", False)
    assert requests_sent(script)[1:] == [("/auth/token", None), ("/api/v2/dags", "Bearer granted")]
    assert script.sent[1].request.body == body


@pytest.mark.parametrize("status", [401, 403])
def test_gateway_that_asks_for_a_password_gets_that_of_airflow_2(status: int) -> None:
    """Only a 401 asks for one, and a version that takes no HTTP Basic gets none."""
    page = http_response(status, b"<html>Authorization Required")
    script = ScriptedAdapter(page, page, VERSION_2, DAGS)
    if status == 403:
        with pytest.raises(Unauthorized, match=GATEWAY):
            connect_scripted(script, PASSWORD)
        return
    airflow, transport = connect_scripted(script, PASSWORD)
    transport.get("/api/v1/dags", NO_DEADLINE)

    assert type(airflow) is V1
    assert requests_sent(script) == [
        ("/api/v2/version", None),
        ("/api/v1/version", None),
        ("/api/v1/version", "Basic dTpwYTU1d29yZA=="),
        ("/api/v1/dags", "Basic dTpwYTU1d29yZA=="),
    ]


@pytest.mark.parametrize("credential", [PASSWORD, CLIENT, TOKEN])
def test_gateway_that_refuses_the_password_too_is_the_error(credential: Credential) -> None:
    page = http_response(401, b"<html>Authorization Required")
    with pytest.raises(Unauthorized, match=GATEWAY):
        connect_scripted(ScriptedAdapter(page, page, page), credential)


OAUTH = OAuth("https://keycloak.example.com/token", "c", Secret("cl1ent"))
KEYCLOAK = http_response(200, {"info": {"title": "Keycloak auth manager sub application"}})


def connect_oauth(script: ScriptedAdapter, tokens: int) -> Transport:
    """Connect with an identity provider that gives so many numbered tokens."""
    provider = ScriptedAdapter(
        *(http_response(200, {"access_token": f"kc-{number}"}) for number in range(tokens))
    )
    transport = Transport(BASE, script.client())
    connect(transport, AirflowCredentials(OAUTH, lambda _: None, provider.client), NO_DEADLINE)
    return transport


def test_keycloak_auth_manager_gets_the_token_of_the_realm_at_its_login() -> None:
    """Each renewal begins with a new token of the realm."""
    granted = [http_response(201, {"access_token": f"airflow-{number}"}) for number in (1, 2)]
    expired = http_response(401, {"detail": "Token Expired"})
    script = ScriptedAdapter(VERSION_3, KEYCLOAK, granted[0], DAGS, expired, granted[1], DAGS)
    transport = connect_oauth(script, 3)
    for _ in range(2):
        transport.get("/api/v2/dags", NO_DEADLINE)

    assert requests_sent(script) == [
        ("/api/v2/version", "Bearer kc-0"),
        ("/auth/openapi.json", "Bearer kc-0"),
        ("/auth/token", None),
        ("/api/v2/dags", "Bearer airflow-1"),
        ("/api/v2/dags", "Bearer airflow-1"),
        ("/auth/token", None),
        ("/api/v2/dags", "Bearer airflow-2"),
    ]
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert [json.loads(script.sent[place].request.body or b"") for place in (2, 5)] == [
        {"grant_type": grant, "assertion": "kc-1"},
        {"grant_type": grant, "assertion": "kc-2"},
    ]


@pytest.mark.parametrize(
    "described",
    [
        http_response(200, {"info": {"title": "FAB auth manager API"}}),
        http_response(200, {"info": None}),
        http_response(200, b"<html>"),
        http_response(404, {"detail": "Not Found"}),
        http_response(401, b"<html>"),
    ],
)
def test_other_auth_managers_get_the_token_as_bearer(described: bytes) -> None:
    script = ScriptedAdapter(VERSION_3, described, described, DAGS)
    if b" 401 " not in described:
        del script.answers[2]
    connect_oauth(script, 2).get("/api/v2/dags", NO_DEADLINE)

    path, sent = requests_sent(script)[-1]
    assert path == "/api/v2/dags"
    assert str(sent).startswith("Bearer kc-")


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (
            http_response(403, {"detail": "Invalid Keycloak assertion"}),
            Unauthorized,
            "Airflow's login refused the token of Keycloak",
        ),
        (http_response(403, b"<html>"), Unauthorized, GATEWAY),
        (
            http_response(422, {"detail": [{"loc": ["body"], "msg": "No tag", "input": "kc-1"}]}),
            UnexpectedResponse,
            "This Airflow's login takes no token of Keycloak",
        ),
        (http_response(503, b""), TransientError, "Airflow answers 503"),
    ],
)
def test_refused_token_of_keycloak_is_an_error_without_it(
    reply: bytes, error: type[ActionError], title: str
) -> None:
    transport = connect_oauth(ScriptedAdapter(VERSION_3, KEYCLOAK, reply), 2)
    with pytest.raises(error) as caught:
        transport.get("/api/v2/dags", NO_DEADLINE)

    assert caught.value.title == title
    assert "kc-" not in f"{caught.value.detail} {caught.value.hint}"


def test_airflow_3_gets_a_token_without_an_exchange() -> None:
    script = ScriptedAdapter(VERSION_3, DAGS)
    _, transport = connect_scripted(script, TOKEN)
    transport.get("/api/v2/dags", NO_DEADLINE)

    assert requests_sent(script) == [
        ("/api/v2/version", "Bearer t0ken"),
        ("/api/v2/dags", "Bearer t0ken"),
    ]


def test_detected_version_does_not_prove_the_credential() -> None:
    _, transport = connect_scripted(
        ScriptedAdapter(VERSION_3, http_response(401, {"detail": "No"})), TOKEN
    )
    with pytest.raises(Unauthorized, match="Airflow refused the credential"):
        transport.get("/api/v2/dags", NO_DEADLINE)


def test_airflow_2_refuses_client_credentials_at_once() -> None:
    with pytest.raises(NotSupported):
        connect_scripted(ScriptedAdapter(NOT_FOUND_3, VERSION_2), CLIENT)


@pytest.mark.parametrize(
    ("replies", "error", "title"),
    [
        (
            [NOT_FOUND_3, NOT_FOUND_3],
            UnexpectedResponse,
            "Airflow's API sent an unexpected response",
        ),
        (
            [http_response(200, {"version": "three"}), NOT_FOUND_3],
            UnexpectedResponse,
            "Airflow's API sent an unexpected response",
        ),
        (
            [http_response(200, {"v": 3}), http_response(200, ["3.3.2"])],
            UnexpectedResponse,
            "Airflow's API sent an unexpected response",
        ),
        (
            [http_response(200, b"<html>"), http_response(200, b"<html>")],
            UnexpectedResponse,
            "Airflow's API sent an unexpected response",
        ),
        (
            [http_response(302, Location="/l"), http_response(302, Location="/l")],
            UnexpectedResponse,
            "Airflow's address redirects",
        ),
        ([http_response(403, b"<html>"), http_response(403, b"<html>")], Unauthorized, GATEWAY),
        ([http_response(401, b"<html>")], Unauthorized, GATEWAY),
        ([http_response(503, b""), http_response(503, b"")], TransientError, "Airflow answers 503"),
        ([http_response(502, b""), NOT_FOUND_3], TransientError, "Airflow answers 502"),
        ([NOT_FOUND_3, http_response(504, b"")], TransientError, "Airflow answers 504"),
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
def test_error_without_airflow_quotes_the_first_response_and_names_a_gateway(
    replies: list[bytes], error: type[ActionError], title: str
) -> None:
    with pytest.raises(error) as caught:
        connect_scripted(ScriptedAdapter(*replies), TOKEN)

    assert caught.value.title == title
    if error is UnexpectedResponse:
        assert "/api/v2/version" in caught.value.detail


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_airflow_2_behind_a_proxy_that_fails_on_the_version_3_path(status: int) -> None:
    airflow, _ = connect_scripted(
        ScriptedAdapter(
            http_response(status, b"<html>"), http_response(200, {"version": "2.11.2"})
        ),
        TOKEN,
    )
    assert airflow.version == "2.11.2"


@pytest.mark.parametrize("status", [401, 403])
def test_gateway_that_refuses_a_request_without_credential_is_named(status: int) -> None:
    with pytest.raises(Unauthorized) as caught:
        connect_scripted(
            ScriptedAdapter(*[http_response(status, b"<html>", Server="cloudflare")] * 3), PASSWORD
        )

    assert caught.value.title == GATEWAY
    assert "cloudflare" in caught.value.detail


@pytest.mark.parametrize("credential", [PASSWORD, CLIENT], ids=["password", "client"])
@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (
            http_response(401, {"detail": "Invalid credentials"}),
            Unauthorized,
            "Airflow refused the credential",
        ),
        (
            http_response(403, {"detail": "Invalid credentials"}),
            Unauthorized,
            "Airflow refused the credential",
        ),
        (http_response(403, b"<html>"), Unauthorized, GATEWAY),
        (
            http_response(404, b"<html>"),
            UnexpectedResponse,
            "This Airflow has no login for this kind of credential",
        ),
        (
            http_response(405, {"detail": "No"}),
            UnexpectedResponse,
            "This Airflow has no login for this kind of credential",
        ),
        (http_response(201, {}), UnexpectedResponse, "Airflow's login gave no token"),
        (
            http_response(201, {"access_token": ""}),
            UnexpectedResponse,
            "Airflow's login gave no token",
        ),
        (
            http_response(201, {"access_token": 7}),
            UnexpectedResponse,
            "Airflow's login gave no token",
        ),
        (http_response(201, ["granted"]), UnexpectedResponse, "Airflow's login gave no token"),
        (
            http_response(418, {"access_token": "granted"}),
            UnexpectedResponse,
            "Airflow's login gave no token",
        ),
        (
            http_response(201, {"access_token": "gr anted"}),
            UnexpectedResponse,
            "Airflow's login gave no usable token",
        ),
        (http_response(302, Location="/login"), UnexpectedResponse, "Airflow's address redirects"),
        (http_response(500, b""), TransientError, "Airflow answers 500"),
    ],
)
def test_failed_login_names_its_reason_without_the_secret(
    credential: Credential, reply: bytes, error: type[ActionError], title: str
) -> None:
    _, transport = connect_scripted(ScriptedAdapter(VERSION_3, reply), credential)
    with pytest.raises(error) as caught:
        transport.get("/api/v2/dags", NO_DEADLINE)

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
    ("status", "detail", "login_fields"),
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
def test_login_that_rejects_the_fields_does_not_support_clients(
    credential: Credential, title: str, status: int, detail: object, login_fields: str
) -> None:
    reply = http_response(status, {"detail": detail})
    _, transport = connect_scripted(ScriptedAdapter(VERSION_3, reply), credential)
    with pytest.raises(UnexpectedResponse) as caught:
        transport.get("/api/v2/dags", NO_DEADLINE)

    assert caught.value.title == title
    assert login_fields in caught.value.detail
    assert "pa55wo" not in str(caught.value)
