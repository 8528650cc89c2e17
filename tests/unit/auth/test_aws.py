"""The AWS keys that sign: those of the job, and a role that is assumed and renewed."""

from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from entrypoint.auth.aws import AwsSession, AwsSignature
from entrypoint.auth.sigv4 import signed
from entrypoint.credentials import AwsKeys, AwsRole, GitHubToken, Secret
from entrypoint.errors import ActionError, TransientError, Unauthorized, UnexpectedResponse
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, http_response

NOW = 1_769_851_815.0
URL = "https://env.airflow.eu-central-1.amazonaws.com/restapi/m"
GITHUB = GitHubToken("sts.amazonaws.com", "https://token.example.com/?v=2", Secret("requ3st"))
ROLE = AwsRole("arn:aws:iam::123456789012:role/gate", GITHUB, "airflow-dag-run-17")
KEYS = AwsKeys("ASIAEXAMPLE", Secret("k3y"), Secret("sess1on"))
OIDC = http_response(200, {"value": "assert1on"})


def assumed(number: int = 1, expiration: str = "2026-01-31T10:30:15Z", **parts: str) -> bytes:
    found = {
        "AccessKeyId": f"ASIAEXAMPLE{number:05}",
        "SecretAccessKey": f"k3y-{number}/+=",
        "SessionToken": f"sess1on-{number}",
        "Expiration": expiration,
    }
    lines = "".join(f"<{name}>{text}</{name}>" for name, text in (found | parts).items())
    return http_response(
        200, f"<A><B><Credentials>{lines}</Credentials></B></A>".encode(), "text/xml"
    )


def refused(status: int, code: str, message: str = "No") -> bytes:
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></E>"
    return http_response(status, text.encode(), "text/xml")


class Session:
    """A session with a role, on a virtual clock."""

    def __init__(self, *answers: bytes, region: str = "eu-central-1") -> None:
        self.now = NOW
        self.masked: list[str] = []
        self.script = ScriptedAdapter(*answers)
        self.session = AwsSession(
            ROLE, region, self.script.client, self.masked.append, lambda: self.now
        )

    def key(self) -> str:
        """Return the id of the key that signs now."""
        headers = self.session.sign(URL, NO_DEADLINE, "POST", b"{}", "application/json")
        return headers["Authorization"].split("Credential=")[1].split("/")[0]


def test_role_is_assumed_with_githubs_token_without_a_signature() -> None:
    session = Session(OIDC, assumed())

    assert session.key() == "ASIAEXAMPLE00001"
    github, sts = session.script.sent
    assert github.url == "https://token.example.com/?v=2&audience=sts.amazonaws.com"
    assert (sts.request.method, sts.url) == ("POST", "https://sts.eu-central-1.amazonaws.com/")
    assert "Authorization" not in sts.headers
    assert sts.form == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE.arn,
        "RoleSessionName": "airflow-dag-run-17",
        "WebIdentityToken": "assert1on",
    }
    assert session.masked == ["assert1on", "k3y-1/+=", "sess1on-1"]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_each_region_has_its_own_sts(region: str, host: str) -> None:
    session = Session(OIDC, assumed(), region=region)
    session.key()

    assert session.script.sent[1].url == f"https://{host}/"


def test_role_is_renewed_before_its_session_ends_and_after_a_refusal() -> None:
    session = Session(OIDC, assumed(1), OIDC, assumed(2, "2026-01-31T12:30:15Z"), OIDC, assumed(3))

    assert [session.key(), session.key()] == ["ASIAEXAMPLE00001"] * 2
    session.now = NOW + 3539
    assert session.key() == "ASIAEXAMPLE00001"
    session.now = NOW + 3540
    assert session.key() == "ASIAEXAMPLE00002"
    assert session.session.discard() is True
    assert session.key() == "ASIAEXAMPLE00003"
    assert session.session.expiry_hint == ""


def test_keys_of_the_job_cannot_be_renewed() -> None:
    script = ScriptedAdapter()
    session = AwsSession(KEYS, "eu-central-1", script.client, lambda _: None, lambda: NOW)
    signature = AwsSignature(session)
    request = requests.Request(
        "POST", URL, {"Content-Type": "application/json"}, data=b'{"Path": "/version"}'
    ).prepare()

    headers = dict(signature.authorize(NO_DEADLINE, request).headers)
    assert (
        headers
        | signed(
            URL,
            "eu-central-1",
            "airflow",
            KEYS,
            datetime.fromtimestamp(NOW, UTC),
            body=b'{"Path": "/version"}',
            content_type="application/json",
        )
        == headers
    )
    assert signature.discard() is False
    assert "aws_role" in signature.expiry_hint
    assert signature.seconds_left(NO_DEADLINE) is None
    assert script.sent == []


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (refused(403, "AccessDenied", "Not &lt;authorized&gt;"), Unauthorized, "<authorized>"),
        (refused(400, "InvalidIdentityToken"), Unauthorized, "InvalidIdentityToken: No"),
        (http_response(401, b"<html>"), Unauthorized, "answered 401"),
        (refused(400, "IDPCommunicationError"), TransientError, "IDPCommunicationError"),
        (refused(400, "Throttling", "Rate exceeded"), TransientError, "answered 400"),
        (
            refused(400, "InvalidIdentityToken", "Couldn't retrieve verification key from GitHub"),
            TransientError,
            "answered 400",
        ),
        (http_response(403, b"<Code>" + b" " * 1_000_000), Unauthorized, "answered 403"),
        (http_response(503, b""), TransientError, "503"),
        (http_response(429, b""), TransientError, "429"),
        (http_response(307, Location="https://evil.example.com"), UnexpectedResponse, "evil"),
        (assumed(SessionToken=""), UnexpectedResponse, "contains none"),
        (assumed(SecretAccessKey="k3 y"), UnexpectedResponse, "spaces"),
        (assumed(AccessKeyId="x"), UnexpectedResponse, "no access key id"),
        (http_response(200, b"<html>"), UnexpectedResponse, "contains none"),
    ],
)
def test_each_answer_of_sts_has_its_error_without_a_secret(
    reply: bytes, kind: type[ActionError], words: str
) -> None:
    session = Session(OIDC, reply)
    with pytest.raises(kind) as caught:
        session.key()

    text = f"{caught.value.title} {caught.value.detail} {caught.value.hint}"
    assert words in text
    assert not [one for one in ("assert1on", "k3", "sess1on", "requ3st") if one in text]


def test_session_without_a_readable_expiry_is_used_until_refused() -> None:
    session = Session(OIDC, assumed(expiration="soon"))

    session.key()
    session.now += 10**6
    assert session.key() == "ASIAEXAMPLE00001"


def test_no_repr_shows_a_secret() -> None:
    shown: Any = [ROLE, KEYS, Session().session]

    assert not [one for one in ("k3y", "sess1on", "requ3st") if one in repr(shown)]
