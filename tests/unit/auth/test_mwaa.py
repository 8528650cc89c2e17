"""Logging in to Amazon MWAA."""

from datetime import UTC, datetime

import jwt
import pytest

from entrypoint.auth.authorization import Grant
from entrypoint.auth.mwaa import MwaaLogin
from entrypoint.auth.sigv4 import signed
from entrypoint.credentials import AwsKeys, Mwaa, Secret
from entrypoint.errors import ActionError, TransientError, Unauthorized, UnexpectedResponse
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, http_response

KEYS = AwsKeys("ASIAEXAMPLE", Secret("k3y"), Secret("sess1on"))
NOW = 1_769_851_815.0
HOST = "0a1b-vpce.c1.eu-central-1.airflow.amazonaws.com"
AWS = "https://env.airflow.eu-central-1.amazonaws.com/webtoken/my-airflow"
LOGIN_3 = f"https://{HOST}/pluginsv2/aws_mwaa/login"
LOGIN_2 = f"https://{HOST}/aws_mwaa/login"
TOKEN = jwt.encode({"exp": 1_769_900_000}, "a key that is long enough for HS256", "HS256")


def web_token_response(number: int = 1, host: str = HOST) -> bytes:
    return http_response(
        200, {"WebServerHostname": host, "WebToken": f"w3b-{number}", "AirflowIdentity": "x"}
    )


def login_response(cookie: str, status: int = 302) -> bytes:
    return http_response(
        status,
        b"",
        Set_Cookie=["other=1; Path=/", f"{cookie}; Path=/; Secure; HttpOnly"],
        Location="/",
    )


def mwaa_login(
    script: ScriptedAdapter, masked: list[str] | None = None, region: str = "eu-central-1"
) -> MwaaLogin:
    mask = (lambda _: None) if masked is None else masked.append
    return MwaaLogin(Mwaa("my-airflow", region, KEYS), script.client, mask, lambda: NOW)


def error_text(error: ActionError) -> str:
    return f"{error.title} {error.detail} {error.hint}"


def test_aws_names_the_web_server_and_the_web_token_is_masked() -> None:
    script = ScriptedAdapter(web_token_response())
    masked: list[str] = []

    assert mwaa_login(script, masked).web_server(NO_DEADLINE) == f"https://{HOST}"
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
def test_each_region_has_its_own_url(region: str, host: str) -> None:
    script = ScriptedAdapter(web_token_response())
    mwaa_login(script, region=region).web_server(NO_DEADLINE)

    assert script.sent[0].url == f"https://{host}/webtoken/my-airflow"
    assert f"/{region}/airflow/aws4_request" in script.sent[0].headers["Authorization"]


def test_airflow_3_login_exchanges_the_web_token_for_an_api_token() -> None:
    script = ScriptedAdapter(web_token_response(1), login_response(f"_token={TOKEN}"))
    masked: list[str] = []

    assert mwaa_login(script, masked).grant(NO_DEADLINE) == Grant(
        Secret(f"Bearer {TOKEN}"), 1_769_900_000.0
    )
    login = script.sent[1]
    assert (login.request.method, login.url, login.form) == ("POST", LOGIN_3, {"token": "w3b-1"})
    assert not {"Authorization", "x-amz-security-token", "Cookie"} & set(login.headers)
    assert masked == ["w3b-1", TOKEN]


@pytest.mark.parametrize("status", [404, 405])
def test_airflow_2_login_exchanges_the_web_token_for_a_session_cookie(status: int) -> None:
    script = ScriptedAdapter(
        web_token_response(1),
        http_response(status, b"<html>"),
        web_token_response(2),
        login_response("session=.eJw-x_y.Zq"),
    )
    masked: list[str] = []

    grant = mwaa_login(script, masked).grant(NO_DEADLINE)
    assert grant == Grant(Secret("session=.eJw-x_y.Zq"), header="Cookie")
    assert [sent.url for sent in script.sent] == [AWS, LOGIN_3, AWS, LOGIN_2]
    assert script.sent[3].form == {"token": "w3b-2"}
    assert masked == ["w3b-1", "w3b-2", ".eJw-x_y.Zq"]


def test_login_version_is_detected_once() -> None:
    three = ScriptedAdapter(
        web_token_response(1),
        login_response("_token=one"),
        web_token_response(2),
        login_response("_token=two"),
    )
    two = ScriptedAdapter(
        web_token_response(1),
        http_response(404),
        web_token_response(2),
        login_response("session=one"),
        web_token_response(3),
        login_response("session=two"),
    )
    of_three, of_two = mwaa_login(three), mwaa_login(two)

    assert [of_three.grant(NO_DEADLINE).value.reveal() for _ in range(2)] == [
        "Bearer one",
        "Bearer two",
    ]
    assert [of_two.grant(NO_DEADLINE).value.reveal() for _ in range(2)] == [
        "session=one",
        "session=two",
    ]
    assert [sent.url for sent in three.sent] == [AWS, LOGIN_3] * 2
    assert [sent.url for sent in two.sent] == [AWS, LOGIN_3, AWS, LOGIN_2, AWS, LOGIN_2]


def test_transient_login_error_does_not_decide_the_version() -> None:
    script = ScriptedAdapter(
        web_token_response(),
        http_response(503, b""),
        web_token_response(),
        http_response(404),
        web_token_response(),
        login_response("session=one"),
    )
    login = mwaa_login(script)
    with pytest.raises(TransientError, match="web server answers 503"):
        login.grant(NO_DEADLINE)

    assert login.grant(NO_DEADLINE).value.reveal() == "session=one"


@pytest.mark.parametrize(
    "host",
    [
        "abc.c1.us-east-1.airflow.amazonaws.com",
        "abc.c1.airflow.us-east-1.on.aws",
        "abc.c1.cn-north-1.airflow.amazonaws.com.cn",
    ],
)
def test_web_server_on_an_aws_host_is_accepted(host: str) -> None:
    assert (
        mwaa_login(ScriptedAdapter(web_token_response(host=host))).web_server(NO_DEADLINE)
        == f"https://{host}"
    )


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
def test_web_server_on_another_host_is_refused(host: str, ask: str) -> None:
    script = ScriptedAdapter(web_token_response(host=host), login_response("_token=one"))
    login = mwaa_login(script)
    with pytest.raises(UnexpectedResponse) as caught:
        login.grant(NO_DEADLINE) if ask == "grant" else login.web_server(NO_DEADLINE)

    assert caught.value.title == "Amazon MWAA returned no valid web server"
    assert [sent.url for sent in script.sent] == [AWS]
    assert "w3b" not in error_text(caught.value)


@pytest.mark.parametrize("body", [{}, [], "text", {"WebServerHostname": None}, {"WebToken": "w3b"}])
def test_response_without_a_web_server_is_unexpected(body: object) -> None:
    with pytest.raises(UnexpectedResponse, match="returned no valid web server"):
        mwaa_login(ScriptedAdapter(http_response(200, body))).grant(NO_DEADLINE)


@pytest.mark.parametrize(
    ("token", "title"),
    [
        (None, "Amazon MWAA gave no token"),
        ("", "Amazon MWAA gave no token"),
        ("w3 b", "Amazon MWAA gave no usable token"),
    ],
)
def test_response_without_a_web_token_is_unexpected(token: str | None, title: str) -> None:
    script = ScriptedAdapter(http_response(200, {"WebServerHostname": HOST, "WebToken": token}))
    with pytest.raises(UnexpectedResponse) as caught:
        mwaa_login(script).grant(NO_DEADLINE)

    assert caught.value.title == title


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (
            http_response(
                403, {"message": "The security token included in the request is expired"}
            ),
            "is expired",
        ),
        (
            http_response(403, {"Message": "User: arn:aws:iam::1:user/u is not authorized"}),
            "is not authorized",
        ),
        (http_response(400, {"message": "Bad"}), "Bad"),
        (http_response(401, b"<html>No"), "answered 401 text/html"),
    ],
    ids=["expired", "not authorized", "400", "401"],
)
def test_refusal_of_aws_is_quoted_with_the_needed_permission(reply: bytes, detail: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        mwaa_login(ScriptedAdapter(reply)).web_server(NO_DEADLINE)

    assert caught.value.title == "Amazon MWAA refused the AWS credentials"
    assert caught.value.detail.endswith(detail)
    assert "env.airflow.eu-central-1.amazonaws.com/webtoken/my-airflow" in caught.value.detail
    assert "airflow:CreateWebLoginToken" in caught.value.hint
    assert not [word for word in ("k3y", "sess1on") if word in error_text(caught.value)]


@pytest.mark.parametrize(
    "reply",
    [
        http_response(400, {"message": "Rate exceeded"}, x_amzn_ErrorType="ThrottlingException:"),
        http_response(400, {"__type": "com.amazon.coral#ThrottlingException"}),
    ],
)
def test_throttling_is_no_refusal(reply: bytes) -> None:
    with pytest.raises(TransientError, match="answers ThrottlingException"):
        mwaa_login(ScriptedAdapter(reply)).web_server(NO_DEADLINE)


@pytest.mark.parametrize(
    "reply",
    [
        http_response(403, {"message": "No"}),
        http_response(400, {"__type": "ThrottlingException"}),
        http_response(503, b""),
        http_response(200, {"Environment": {"WebserverUrl": "evil.example.com"}}),
        b"",
    ],
)
def test_links_alone_need_the_description_of_the_environment(reply: bytes) -> None:
    """A private network may not even reach the API that has it."""
    assert mwaa_login(ScriptedAdapter(reply)).described_web_server(NO_DEADLINE) is None


def test_unknown_environment_is_named_with_its_region() -> None:
    with pytest.raises(Unauthorized) as caught:
        mwaa_login(
            ScriptedAdapter(http_response(404, {"message": "Environment not found"}))
        ).web_server(NO_DEADLINE)

    assert caught.value.title == "Amazon MWAA has no such environment"
    assert all(
        name in caught.value.hint for name in ("mwaa_environment", "my-airflow", "eu-central-1")
    )


@pytest.mark.parametrize(
    ("reply", "error", "title"),
    [
        (http_response(500, b""), TransientError, "Amazon MWAA answers 500"),
        (
            http_response(429, {"message": "Rate exceeded"}),
            TransientError,
            "Amazon MWAA answers 429",
        ),
        (
            http_response(302, Location="https://evil.example.com"),
            UnexpectedResponse,
            "Amazon MWAA redirects",
        ),
        (
            http_response(200, b"<html>"),
            UnexpectedResponse,
            "Amazon MWAA sent an unexpected response",
        ),
    ],
    ids=["500", "429", "redirect", "page"],
)
def test_unexpected_response_names_aws(reply: bytes, error: type[ActionError], title: str) -> None:
    with pytest.raises(error) as caught:
        mwaa_login(ScriptedAdapter(reply)).grant(NO_DEADLINE)

    assert caught.value.title == title


@pytest.mark.parametrize(
    "reply",
    [
        http_response(302, Location="/login?error=s3cret"),
        http_response(200, b"<html>Sign in"),
        http_response(401, {"detail": "No"}),
        http_response(403, b"<html>Forbidden"),
        login_response("session=two"),
        login_response("_tokens=two"),
    ],
    ids=["redirect", "page", "401", "403", "the other cookie", "another cookie"],
)
def test_login_without_a_session_fails_and_tries_no_other_login(reply: bytes) -> None:
    script = ScriptedAdapter(web_token_response(), reply)
    with pytest.raises(Unauthorized) as caught:
        mwaa_login(script).grant(NO_DEADLINE)

    assert caught.value.title == "The MWAA environment's web server refused the login"
    assert "role" in caught.value.hint
    assert [sent.url for sent in script.sent] == [AWS, LOGIN_3]
    assert not [
        word for word in ("w3b", "s3cret", "k3y", "sess1on") if word in error_text(caught.value)
    ]


def test_web_server_without_either_login_is_not_mwaa() -> None:
    script = ScriptedAdapter(
        web_token_response(1), http_response(404), web_token_response(2), http_response(404)
    )
    with pytest.raises(UnexpectedResponse, match="neither Airflow 3's login") as caught:
        mwaa_login(script).grant(NO_DEADLINE)

    assert caught.value.title == "The MWAA environment's web server sent an unexpected response"
    assert "public" in caught.value.hint


@pytest.mark.parametrize("cookie", ["_token=", '_token="to ken"'])
def test_cookie_that_no_header_can_carry_is_refused(cookie: str) -> None:
    with pytest.raises(UnexpectedResponse, match="web server gave no") as caught:
        mwaa_login(ScriptedAdapter(web_token_response(), login_response(cookie))).grant(NO_DEADLINE)

    assert "to ken" not in error_text(caught.value)


def test_redirect_after_a_login_is_not_followed() -> None:
    script = ScriptedAdapter(web_token_response(), login_response("_token=one"))
    mwaa_login(script).grant(NO_DEADLINE)

    assert len(script.sent) == 2
