"""Amazon MWAA's web login: which of the two it is, where it leads, and what is said when it lets
nobody in.
"""

from datetime import UTC, datetime

import jwt
import pytest

from entrypoint.auth.authorization import Grant
from entrypoint.auth.mwaa import MwaaLogin
from entrypoint.auth.sigv4 import signed
from entrypoint.credentials import AwsKeys, Mwaa, Secret
from entrypoint.errors import ActionError, TransientError, Unauthorized, UnexpectedResponse
from tests.unit.script import Script, answer

KEYS = AwsKeys("ASIAEXAMPLE", Secret("k3y"), Secret("sess1on"))
NOW = 1_769_851_815.0
HOST = "0a1b-vpce.c1.eu-central-1.airflow.amazonaws.com"
AWS = "https://env.airflow.eu-central-1.amazonaws.com/webtoken/my-airflow"
LOGIN_3 = f"https://{HOST}/pluginsv2/aws_mwaa/login"
LOGIN_2 = f"https://{HOST}/aws_mwaa/login"
TOKEN = jwt.encode({"exp": 1_769_900_000}, "a key that is long enough for HS256", "HS256")


def web_token(number: int = 1, host: str = HOST) -> bytes:
    """What AWS answers: the web server's host, and a token for one login."""
    return answer(
        200, {"WebServerHostname": host, "WebToken": f"w3b-{number}", "AirflowIdentity": "x"}
    )


def let_in(cookie: str, status: int = 302) -> bytes:
    """What the web server answers to a login."""
    return answer(
        status,
        b"",
        Set_Cookie=["other=1; Path=/", f"{cookie}; Path=/; Secure; HttpOnly"],
        Location="/",
    )


def mwaa(
    script: Script, masked: list[str] | None = None, region: str = "eu-central-1"
) -> MwaaLogin:
    """The login to the environment, where AWS and the web server answer by the script."""
    mask = (lambda _: None) if masked is None else masked.append
    return MwaaLogin(Mwaa("my-airflow", region, KEYS), script.wire, mask, lambda: NOW)


def said(error: ActionError) -> str:
    """Everything that people read of it."""
    return f"{error.title} {error.detail} {error.hint}"


def test_web_server() -> None:
    """AWS names the web server to whoever signs for the environment, and the token for a login is
    masked.
    """
    script = Script(web_token())
    masked: list[str] = []

    assert mwaa(script, masked).web_server() == f"https://{HOST}"
    (sent,) = script.sent
    assert (sent.request.method, sent.url, sent.request.body) == ("POST", AWS, None)
    signature = signed(AWS, "eu-central-1", "airflow", KEYS, datetime.fromtimestamp(NOW, UTC))
    assert {name: sent.headers[name] for name in signature} == signature
    assert masked == ["w3b-1"]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "env.airflow.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "env.airflow.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "env.airflow.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_region(region: str, host: str) -> None:
    """Each region has its own address, and those of China another domain."""
    script = Script(web_token())
    mwaa(script, region=region).web_server()

    assert script.sent[0].url == f"https://{host}/webtoken/my-airflow"
    assert f"/{region}/airflow/aws4_request" in script.sent[0].headers["Authorization"]


def test_airflow_3() -> None:
    """Airflow 3's login makes of a token for one login a token for its API, which lives as long as
    it says.
    """
    script = Script(web_token(1), let_in(f"_token={TOKEN}"))
    masked: list[str] = []

    assert mwaa(script, masked).grant() == Grant(Secret(f"Bearer {TOKEN}"), 1_769_900_000.0)
    login = script.sent[1]
    assert (login.request.method, login.url, login.form) == ("POST", LOGIN_3, {"token": "w3b-1"})
    assert not {"Authorization", "x-amz-security-token", "Cookie"} & set(login.headers)
    assert masked == ["w3b-1", TOKEN]


@pytest.mark.parametrize("status", [404, 405])
def test_airflow_2(status: int) -> None:
    """Airflow 2 has no such login: its own, with another token for one login, makes a session,
    which is a cookie.
    """
    script = Script(
        web_token(1), answer(status, b"<html>"), web_token(2), let_in("session=.eJw-x_y.Zq")
    )
    masked: list[str] = []

    grant = mwaa(script, masked).grant()
    assert grant == Grant(Secret("session=.eJw-x_y.Zq"), header="Cookie")
    assert [sent.url for sent in script.sent] == [AWS, LOGIN_3, AWS, LOGIN_2]
    assert script.sent[3].form == {"token": "w3b-2"}
    assert masked == ["w3b-1", "w3b-2", ".eJw-x_y.Zq"]


def test_the_login_is_remembered() -> None:
    """Which login it is, is found out once: a new session costs one request to each of the two."""
    three = Script(web_token(1), let_in("_token=one"), web_token(2), let_in("_token=two"))
    two = Script(
        web_token(1),
        answer(404),
        web_token(2),
        let_in("session=one"),
        web_token(3),
        let_in("session=two"),
    )
    of_three, of_two = mwaa(three), mwaa(two)

    assert [of_three.grant().value.reveal() for _ in range(2)] == ["Bearer one", "Bearer two"]
    assert [of_two.grant().value.reveal() for _ in range(2)] == ["session=one", "session=two"]
    assert [sent.url for sent in three.sent] == [AWS, LOGIN_3] * 2
    assert [sent.url for sent in two.sent] == [AWS, LOGIN_3, AWS, LOGIN_2, AWS, LOGIN_2]


def test_an_environment_that_is_gone_for_a_while() -> None:
    """A login that failed in passing says nothing about which it is."""
    script = Script(
        web_token(), answer(503, b""), web_token(), answer(404), web_token(), let_in("session=one")
    )
    login = mwaa(script)
    with pytest.raises(TransientError, match="web server answers 503"):
        login.grant()

    assert login.grant().value.reveal() == "session=one"


@pytest.mark.parametrize(
    "host",
    [
        "abc.c1.us-east-1.airflow.amazonaws.com",
        "abc.c1.airflow.us-east-1.on.aws",
        "abc.c1.cn-north-1.airflow.amazonaws.com.cn",
    ],
)
def test_hosts_of_aws(host: str) -> None:
    """The web server is where AWS has them."""
    assert mwaa(Script(web_token(host=host))).web_server() == f"https://{host}"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "amazonaws.com.evil.example.com",
        "evilamazonaws.com",
        "evil.example.com/.amazonaws.com",
        "evil.example.com?.amazonaws.com",
        "evil.example.com#.amazonaws.com",
        "evil.example.com\\.amazonaws.com",
        "u:p@x.amazonaws.com",
        "evil.example.com:443.amazonaws.com",
        "x.amazonaws.com:8443",
        "x.amazonaws.com/",
        "x .amazonaws.com",
        "x.on.aws.",
        "",
        None,
        7,
        ["x.amazonaws.com"],
    ],
)
@pytest.mark.parametrize("ask", ["web_server", "grant"])
def test_hosts_of_others(host: str, ask: str) -> None:
    """A web server elsewhere is refused, and nothing is sent there."""
    script = Script(web_token(host=host), let_in("_token=one"))
    login = mwaa(script)
    with pytest.raises(UnexpectedResponse) as caught:
        login.grant() if ask == "grant" else login.web_server()

    assert caught.value.title == "Amazon MWAA named no web server of its own"
    assert [sent.url for sent in script.sent] == [AWS]
    assert "w3b" not in said(caught.value)


@pytest.mark.parametrize("body", [{}, [], "text", {"WebServerHostname": None}, {"WebToken": "w3b"}])
def test_no_web_server(body: object) -> None:
    """An answer that names no web server is none, and nothing is sent."""
    with pytest.raises(UnexpectedResponse, match="named no web server"):
        mwaa(Script(answer(200, body))).grant()


@pytest.mark.parametrize(
    ("token", "title"),
    [
        (None, "Amazon MWAA gave no token"),
        ("", "Amazon MWAA gave no token"),
        ("w3 b", "Amazon MWAA gave no usable token"),
    ],
)
def test_no_web_token(token: str | None, title: str) -> None:
    """Without a token for a login nobody logs in."""
    script = Script(answer(200, {"WebServerHostname": HOST, "WebToken": token}))
    with pytest.raises(UnexpectedResponse) as caught:
        mwaa(script).grant()

    assert caught.value.title == title


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (
            answer(403, {"message": "The security token included in the request is expired"}),
            "is expired",
        ),
        (
            answer(403, {"Message": "User: arn:aws:iam::1:user/u is not authorized"}),
            "is not authorized",
        ),
        (answer(400, {"message": "Bad"}), "Bad"),
        (answer(401, b"<html>No"), "answered 401 text/html"),
    ],
    ids=["expired", "not authorized", "400", "401"],
)
def test_keys_refused(reply: bytes, detail: str) -> None:
    """A refusal of AWS is quoted, and the permission named that the role needs."""
    with pytest.raises(Unauthorized) as caught:
        mwaa(Script(reply)).web_server()

    assert caught.value.title == "Amazon MWAA refused the AWS credentials"
    assert caught.value.detail.endswith(detail)
    assert "env.airflow.eu-central-1.amazonaws.com/webtoken/my-airflow" in caught.value.detail
    assert "airflow:CreateWebLoginToken" in caught.value.hint
    assert not [word for word in ("k3y", "sess1on") if word in said(caught.value)]


def test_unknown_environment() -> None:
    """An environment that AWS does not know is named, with the region in which it was looked
    for.
    """
    with pytest.raises(Unauthorized) as caught:
        mwaa(Script(answer(404, {"message": "Environment not found"}))).web_server()

    assert caught.value.title == "Amazon MWAA knows no such environment"
    assert all(
        name in caught.value.hint for name in ("mwaa_environment", "my-airflow", "eu-central-1")
    )


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (answer(500, b""), TransientError, "Amazon MWAA answers 500"),
        (answer(429, {"message": "Rate exceeded"}), TransientError, "Amazon MWAA answers 429"),
        (
            answer(302, Location="https://evil.example.com"),
            UnexpectedResponse,
            "Amazon MWAA redirects",
        ),
        (answer(200, b"<html>"), UnexpectedResponse, "Amazon MWAA gave an unexpected answer"),
    ],
    ids=["500", "429", "redirect", "page"],
)
def test_aws_is_not_itself(reply: bytes, error: type[ActionError], title: str) -> None:
    """What is no answer of AWS is none, and AWS is named."""
    with pytest.raises(error) as caught:
        mwaa(Script(reply)).grant()

    assert caught.value.title == title


@pytest.mark.parametrize(
    "reply",
    [
        answer(302, Location="/login?error=s3cret"),
        answer(200, b"<html>Sign in"),
        answer(401, {"detail": "No"}),
        answer(403, b"<html>Forbidden"),
        let_in("session=two"),
        let_in("_tokens=two"),
    ],
    ids=["redirect", "page", "401", "403", "the other cookie", "another cookie"],
)
def test_nobody_is_let_in(reply: bytes) -> None:
    """A login without the session that it is for has failed, whatever its status, and no other is
    tried.
    """
    script = Script(web_token(), reply)
    with pytest.raises(Unauthorized) as caught:
        mwaa(script).grant()

    assert caught.value.title == "The MWAA environment's web server let nobody in"
    assert "role" in caught.value.hint
    assert [sent.url for sent in script.sent] == [AWS, LOGIN_3]
    assert not [word for word in ("w3b", "s3cret", "k3y", "sess1on") if word in said(caught.value)]


def test_no_login_at_all() -> None:
    """A web server with neither login is no Airflow of MWAA's."""
    script = Script(web_token(1), answer(404), web_token(2), answer(404))
    with pytest.raises(UnexpectedResponse, match="no login that is known of") as caught:
        mwaa(script).grant()

    assert caught.value.title == "The MWAA environment's web server gave an unexpected answer"
    assert "public" in caught.value.hint


@pytest.mark.parametrize("cookie", ["_token=", '_token="to ken"'])
def test_a_session_that_is_none(cookie: str) -> None:
    """A cookie that no header can carry is no session."""
    with pytest.raises(UnexpectedResponse, match="web server gave no") as caught:
        mwaa(Script(web_token(), let_in(cookie))).grant()

    assert "to ken" not in said(caught.value)


def test_a_session_that_was_redirected_is_followed_nowhere() -> None:
    """The redirect after a login is not followed: its cookie is all that counts."""
    script = Script(web_token(), let_in("_token=one"))
    mwaa(script).grant()

    assert len(script.sent) == 2
