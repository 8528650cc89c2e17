"""Each kind of credential as each of Airflow's APIs is shown it."""

import jwt
import pytest
import requests

from entrypoint.auth.authorization import Authorization
from entrypoint.auth.credentials import AirflowCredentials
from entrypoint.credentials import (
    AwsKeys,
    Client,
    Credential,
    GitHubToken,
    Header,
    Mwaa,
    OAuth,
    Password,
    Secret,
    Token,
)
from entrypoint.errors import NotSupported
from tests.unit.script import Script, answer

PASSWORD = Password("admin", Secret("pa55word"))
CLIENT = Client("airflow", Secret("cl1ent"))
GITHUB = GitHubToken("airflow", "https://token.example.com/?api-version=2.0", Secret("requ3st"))
READY: list[Credential] = [Token(Secret("t0ken")), Header(Secret("Key t0ken"))]
ASKED_FOR: list[Credential] = [
    GITHUB,
    OAuth("https://login.example.com/token", "ops", Secret("cl1ent")),
    OAuth("https://login.example.com/token", "ops", GITHUB),
    Mwaa("my-airflow", "eu-central-1", AwsKeys("AKIAEXAMPLE", Secret("k3y"), None)),
]
"""What is asked for outside of Airflow, and can be asked for again."""
OTHERS: list[Credential] = [*READY, PASSWORD, CLIENT, *ASKED_FOR[:3]]
"""All but Amazon MWAA."""
HOST = "abc.c1.eu-central-1.airflow.amazonaws.com"
WEB_TOKEN = answer(200, {"WebServerHostname": HOST, "WebToken": "web-1"})


def presented(credential: Credential, script: Script | None = None) -> AirflowCredentials:
    """The credential as it is presented; whoever grants tokens answers by the script."""
    return AirflowCredentials(credential, lambda _: None, (script or Script()).wire)


def nobody(_: dict[str, str]) -> str:
    """A login that must not be used."""
    raise AssertionError


def shown(authorization: Authorization | None) -> dict[str, str]:
    """The headers that a request gets."""
    assert authorization is not None
    return dict(
        authorization(requests.Request("GET", "http://airflow.example.com/api").prepare()).headers
    )


@pytest.mark.parametrize(
    ("credential", "value"),
    [(READY[0], "Bearer t0ken"), (READY[1], "Key t0ken")],
    ids=["token", "header"],
)
def test_ready_made(credential: Credential, value: str) -> None:
    """A ready token is presented as Bearer and a ready header as it is, whichever Airflow
    answers.
    """
    assert shown(presented(credential).for_any()) == {"Authorization": value}


def test_password_on_airflow_2() -> None:
    """Airflow 2 gets a password as HTTP Basic."""
    assert presented(PASSWORD).for_any() is None
    assert shown(presented(PASSWORD).for_v1()) == {"Authorization": "Basic YWRtaW46cGE1NXdvcmQ="}


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
def test_exchanged_on_airflow_3(credential: Credential, body: dict[str, str]) -> None:
    """Airflow 3's login is told exactly these keys, once, and its token is presented until it is
    refused.
    """
    asked: list[dict[str, str]] = []

    def login(told: dict[str, str]) -> str:
        asked.append(told)
        return f"exchanged-{len(asked)}"

    assert presented(credential).for_any() is None
    authorization = presented(credential).for_v2(login)
    assert asked == []
    assert shown(authorization) == shown(authorization) == {"Authorization": "Bearer exchanged-1"}
    assert authorization.discard() is True
    assert shown(authorization) == {"Authorization": "Bearer exchanged-2"}
    assert asked == [body, body]


def test_a_client_on_airflow_2() -> None:
    """Airflow 2 has no login for a client, and who gives one is told what to give instead."""
    with pytest.raises(NotSupported) as caught:
        presented(CLIENT).for_v1()

    assert "token_url" in caught.value.hint
    assert "cl1ent" not in f"{caught.value.title} {caught.value.detail} {caught.value.hint}"


def test_github_token() -> None:
    """GitHub's token of the job is presented as Bearer, and asked for again when it was refused."""
    script = Script(answer(200, {"value": "one"}), answer(200, {"value": "two"}))
    authorization = presented(GITHUB, script).for_any()

    assert script.sent == []
    assert shown(authorization) == {"Authorization": "Bearer one"}
    assert authorization is not None
    assert authorization.discard() is True
    assert shown(authorization) == {"Authorization": "Bearer two"}


@pytest.mark.parametrize("proof", [Secret("cl1ent"), GITHUB], ids=["secret", "GitHub's token"])
def test_oauth(proof: Secret | GitHubToken) -> None:
    """The token of a token endpoint is presented as Bearer, whatever proves the client."""
    github = [] if isinstance(proof, Secret) else [answer(200, {"value": "assertion"})]
    script = Script(*github, answer(200, {"access_token": "granted", "expires_in": 300}))
    client = OAuth("https://login.example.com/token", "ops", proof)

    assert shown(presented(client, script).for_any()) == {"Authorization": "Bearer granted"}
    assert script.sent[-1].url == "https://login.example.com/token"


def test_mwaa() -> None:
    """Amazon MWAA names its web server, and the session there is presented as Airflow 3 or as
    Airflow 2 gives it.
    """
    credential = ASKED_FOR[-1]
    three = Script(WEB_TOKEN, WEB_TOKEN, answer(302, Set_Cookie="_token=session-3; Path=/"))
    two = Script(
        WEB_TOKEN, answer(404), WEB_TOKEN, answer(302, Set_Cookie="session=session-2; Path=/")
    )
    with_three = presented(credential, three)

    assert with_three.web_server() == f"https://{HOST}"
    assert shown(with_three.for_any()) == {"Authorization": "Bearer session-3"}
    assert shown(presented(credential, two).for_any()) == {"Cookie": "session=session-2"}


@pytest.mark.parametrize(
    "credential",
    OTHERS,
    ids=["token", "header", "password", "client", "GitHub", "secret", "assertion"],
)
def test_the_others_name_no_web_server(credential: Credential) -> None:
    """No other credential says where the Airflow is, and nobody is asked."""
    script = Script()

    assert presented(credential, script).web_server() is None
    assert script.sent == []


def test_what_lasts_until_it_dies() -> None:
    """What the action cannot renew knows what to say when it dies: how long it lasts, or what may
    have become of it.
    """
    for credential in READY:
        authorization = presented(credential).for_any()
        assert authorization is not None
        assert authorization.discard() is False
        assert "about 5 minutes" in authorization.expiry_hint.format("5 minutes")
        assert "oidc_audience" in authorization.expiry_hint
    basic = presented(PASSWORD).for_v1()
    assert basic.discard() is False
    assert "password changed" in basic.expiry_hint.format("5 minutes")


@pytest.mark.parametrize("credential", ASKED_FOR, ids=["GitHub", "secret", "assertion", "mwaa"])
def test_what_is_asked_for_again(credential: Credential) -> None:
    """What can be asked for again outside of Airflow has no end to speak of, and is not asked for
    before it is needed.
    """
    script = Script()
    authorization = presented(credential, script).for_any()

    assert authorization is not None
    assert (authorization.expiry_hint, authorization.seconds_left()) == ("", None)
    assert script.sent == []


@pytest.mark.parametrize("credential", [PASSWORD, CLIENT], ids=["password", "client"])
def test_what_is_exchanged_again(credential: Credential) -> None:
    """What Airflow's own login takes has no end to speak of either."""
    authorization = presented(credential).for_v2(nobody)

    assert (authorization.expiry_hint, authorization.seconds_left()) == ("", None)


def test_left() -> None:
    """A ready token says how long it lives if that can be read from it, and a ready header never
    does.
    """
    dead = jwt.encode({"exp": 1}, "a key that is long enough for HS256", "HS256")
    left = [
        authorization.seconds_left()
        for credential in (Token(Secret(dead)), *READY, Header(Secret(f"Bearer {dead}")))
        if (authorization := presented(credential).for_any())
    ]

    assert left[1:] == [None, None, None]
    assert left[0] is not None
    assert left[0] < 0


def test_everybody_has_a_way_of_his_own() -> None:
    """The wire is made for the party that is asked, so that no error of one is laid at another's
    door.
    """
    script = Script()
    for credential in OTHERS[:4]:
        presented(credential, script)
    assert script.parties == []
    for credential in ASKED_FOR:
        presented(credential, script).for_any()

    names = [party.name for party in script.parties]
    assert names == [
        "GitHub's OIDC service",
        "The identity provider",
        "The identity provider",
        "GitHub's OIDC service",
        "Amazon MWAA",
        "The MWAA environment's web server",
    ]


def test_reprs() -> None:
    """No repr of what presents a credential shows what it holds."""
    basic, exchange_token = (
        presented(PASSWORD).for_v1(),
        presented(PASSWORD).for_v2(lambda _: "exchanged-token"),
    )
    ready = [presented(credential).for_any() for credential in READY]

    for authorization in (basic, exchange_token, *ready):
        shown(authorization)
        said = f"{authorization!r} {presented(PASSWORD)!r}"
        assert not any(
            secret in said for secret in ("t0ken", "pa55word", "YWRtaW46", "exchanged-token")
        )
