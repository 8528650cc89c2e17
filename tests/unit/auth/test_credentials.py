"""Presenting each kind of credential to each Airflow version."""

from pathlib import Path

import jwt
import pytest
import requests

from entrypoint.auth.authorization import Authorization
from entrypoint.auth.aws import AwsSignature
from entrypoint.auth.credentials import AirflowCredentials
from entrypoint.credentials import (
    AwsKeys,
    Client,
    Credential,
    GitHubToken,
    Header,
    Kerberos,
    Mwaa,
    OAuth,
    Password,
    Secret,
    Token,
)
from entrypoint.deadline import Deadline
from entrypoint.errors import ActionError, NotSupported
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, http_response

PASSWORD = Password("admin", Secret("pa55word"))
CLIENT = Client("airflow", Secret("cl1ent"))
GITHUB = GitHubToken("airflow", "https://token.example.com/?api-version=2.0", Secret("requ3st"))
READY: list[Credential] = [Token(Secret("t0ken")), Header(Secret("Key t0ken"))]
RENEWABLE: list[Credential] = [
    GITHUB,
    OAuth("https://login.example.com/token", "ops", Secret("cl1ent")),
    OAuth("https://login.example.com/token", "ops", GITHUB),
    Mwaa("my-airflow", "eu-central-1", AwsKeys("AKIAEXAMPLE", Secret("k3y"), None)),
]
"""Credentials that are renewed outside of Airflow."""
OTHERS: list[Credential] = [*READY, PASSWORD, CLIENT, *RENEWABLE[:3]]
"""Every credential except Amazon MWAA."""
HOST = "abc.c1.eu-central-1.airflow.amazonaws.com"
WEB_TOKEN = http_response(200, {"WebServerHostname": HOST, "WebToken": "web-1"})


def present(credential: Credential, script: ScriptedAdapter | None = None) -> AirflowCredentials:
    return AirflowCredentials(credential, lambda _: None, (script or ScriptedAdapter()).client)


def unused_login(_: dict[str, str], _deadline: Deadline) -> str:
    """Fail if it is called."""
    raise AssertionError


def headers_sent(authorization: Authorization | AwsSignature | None) -> dict[str, str]:
    assert authorization is not None
    return dict(
        authorization.authorize(
            NO_DEADLINE, requests.Request("GET", "http://airflow.example.com/api").prepare()
        ).headers
    )


@pytest.mark.parametrize(
    ("credential", "value"),
    [(READY[0], "Bearer t0ken"), (READY[1], "Key t0ken")],
    ids=["token", "header"],
)
def test_ready_token_is_bearer_and_ready_header_is_unchanged(
    credential: Credential, value: str
) -> None:
    assert headers_sent(present(credential).for_any()) == {"Authorization": value}


def test_airflow_2_gets_a_password_as_http_basic() -> None:
    assert present(PASSWORD).for_any() is None
    assert headers_sent(present(PASSWORD).for_v1()) == {
        "Authorization": "Basic YWRtaW46cGE1NXdvcmQ="
    }


@pytest.mark.parametrize(
    ("credential", "body"),
    [
        (PASSWORD, {"username": "admin", "password": "pa55word"}),
        (
            CLIENT,
            {"grant_type": "client_credentials", "client_id": "airflow", "client_secret": "cl1ent"},
        ),
    ],
    ids=["password", "client"],
)
def test_airflow_3_login_gets_exactly_these_keys_once(
    credential: Credential, body: dict[str, str]
) -> None:
    asked: list[dict[str, str]] = []

    def login(login_fields: dict[str, str], _deadline: Deadline) -> str:
        asked.append(login_fields)
        return f"exchanged-{len(asked)}"

    assert present(credential).for_any() is None
    authorization = present(credential).for_v2(login)
    assert asked == []
    assert (
        headers_sent(authorization)
        == headers_sent(authorization)
        == {"Authorization": "Bearer exchanged-1"}
    )
    assert authorization.discard() is True
    assert headers_sent(authorization) == {"Authorization": "Bearer exchanged-2"}
    assert asked == [body, body]


def test_airflow_2_refuses_a_client_with_a_hint() -> None:
    with pytest.raises(NotSupported) as caught:
        present(CLIENT).for_v1()

    assert "token_url" in caught.value.hint
    assert "cl1ent" not in f"{caught.value.title} {caught.value.detail} {caught.value.hint}"


def test_github_oidc_token_is_renewed_after_a_refusal() -> None:
    script = ScriptedAdapter(
        http_response(200, {"value": "one"}), http_response(200, {"value": "two"})
    )
    authorization = present(GITHUB, script).for_any()

    assert script.sent == []
    assert headers_sent(authorization) == {"Authorization": "Bearer one"}
    assert authorization is not None
    assert authorization.discard() is True
    assert headers_sent(authorization) == {"Authorization": "Bearer two"}


@pytest.mark.parametrize("proof", [Secret("cl1ent"), GITHUB], ids=["secret", "GitHub's token"])
def test_oauth_token_is_bearer_for_each_client_authentication(proof: Secret | GitHubToken) -> None:
    github = [] if isinstance(proof, Secret) else [http_response(200, {"value": "assertion"})]
    script = ScriptedAdapter(
        *github, http_response(200, {"access_token": "granted", "expires_in": 300})
    )
    client = OAuth("https://login.example.com/token", "ops", proof)

    assert headers_sent(present(client, script).for_any()) == {"Authorization": "Bearer granted"}
    assert script.sent[-1].url == "https://login.example.com/token"


def test_mwaa_names_its_web_server_and_gives_a_session() -> None:
    credential = RENEWABLE[-1]
    three = ScriptedAdapter(
        WEB_TOKEN, WEB_TOKEN, http_response(302, Set_Cookie="_token=session-3; Path=/")
    )
    two = ScriptedAdapter(
        WEB_TOKEN,
        http_response(404),
        WEB_TOKEN,
        http_response(302, Set_Cookie="session=session-2; Path=/"),
    )
    with_three = present(credential, three)

    assert with_three.web_server(NO_DEADLINE) == f"https://{HOST}"
    assert headers_sent(with_three.for_any()) == {"Authorization": "Bearer session-3"}
    assert headers_sent(present(credential, two).for_any()) == {"Cookie": "session=session-2"}


@pytest.mark.parametrize(
    "credential",
    OTHERS,
    ids=["token", "header", "password", "client", "GitHub", "secret", "assertion"],
)
def test_other_credentials_name_no_web_server_and_send_nothing(credential: Credential) -> None:
    script = ScriptedAdapter()

    assert present(credential, script).web_server(NO_DEADLINE) is None
    assert script.sent == []


def test_expiry_hint_of_credentials_that_cannot_be_renewed() -> None:
    for credential in READY:
        authorization = present(credential).for_any()
        assert authorization is not None
        assert authorization.discard() is False
        assert "about 5 minutes" in authorization.expiry_hint.format("5 minutes")
        assert "oidc_audience" in authorization.expiry_hint
    basic = present(PASSWORD).for_v1()
    assert basic.discard() is False
    assert "password was changed" in basic.expiry_hint.format("5 minutes")


@pytest.mark.parametrize("credential", RENEWABLE, ids=["GitHub", "secret", "assertion", "mwaa"])
def test_external_renewable_credentials_have_no_expiry_hint(credential: Credential) -> None:
    script = ScriptedAdapter()
    authorization = present(credential, script).for_any()

    assert authorization is not None
    assert (authorization.expiry_hint, authorization.seconds_left(NO_DEADLINE)) == ("", None)
    assert script.sent == []


@pytest.mark.parametrize("credential", [PASSWORD, CLIENT], ids=["password", "client"])
def test_exchanged_logins_have_no_expiry_hint(credential: Credential) -> None:
    authorization = present(credential).for_v2(unused_login)

    assert (authorization.expiry_hint, authorization.seconds_left(NO_DEADLINE)) == ("", None)


def test_ready_token_knows_its_remaining_life_and_a_header_does_not() -> None:
    dead = jwt.encode({"exp": 1}, "a key that is long enough for HS256", "HS256")
    left = [
        authorization.seconds_left(NO_DEADLINE)
        for credential in (Token(Secret(dead)), *READY, Header(Secret(f"Bearer {dead}")))
        if (authorization := present(credential).for_any())
    ]

    assert left[1:] == [None, None, None]
    assert left[0] is not None
    assert left[0] < 0


def test_each_service_has_its_own_http_client() -> None:
    script = ScriptedAdapter()
    for credential in OTHERS[:4]:
        present(credential, script)
    assert script.services == []
    for credential in RENEWABLE:
        present(credential, script).for_any()

    names = [service.name for service in script.services]
    assert names == [
        "GitHub's OIDC service",
        "The identity provider",
        "The identity provider",
        "GitHub's OIDC service",
        "Amazon MWAA",
        "The MWAA environment's web server",
    ]


def test_no_repr_shows_a_secret() -> None:
    basic, exchanged = (
        present(PASSWORD).for_v1(),
        present(PASSWORD).for_v2(lambda _, __: "exchanged-token"),
    )
    ready = [present(credential).for_any() for credential in READY]

    for authorization in (basic, exchanged, *ready):
        headers_sent(authorization)
        message = f"{authorization!r} {present(PASSWORD)!r}"
        assert not any(
            secret in message for secret in ("t0ken", "pa55word", "YWRtaW46", "exchanged-token")
        )


def test_airflow_3_accepts_no_kerberos_ticket() -> None:
    with pytest.raises(NotSupported, match="Only Airflow 2 accepts Kerberos tickets"):
        present(Kerberos("airflow.example.com")).for_v2(unused_login)


def test_without_the_package_gssapi_the_error_says_how_to_install_it() -> None:
    """The tools of this project do not have it."""
    with pytest.raises(ActionError, match="gssapi") as raised:
        present(Kerberos("airflow.example.com")).for_v1()
    assert raised.value.title == "The package gssapi cannot be imported"
    assert "python -m pip install gssapi" in raised.value.hint


def test_without_the_library_of_kerberos_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows the package raises OSError for it."""
    (tmp_path / "gssapi.py").write_text('raise OSError("Could not find KfW installation")')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ActionError, match="gssapi") as raised:
        present(Kerberos("airflow.example.com")).for_v1()
    assert "Could not find KfW installation" in raised.value.detail
