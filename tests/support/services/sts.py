"""AWS STS of one region: a role that is assumed with GitHub's OIDC token.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.support import known_secrets
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, RefusedError, form
from tests.support.services import certificates
from tests.support.services.aws import FakeAwsKeys, domain
from tests.support.services.aws_model import input_errors
from tests.support.stub_server import StubServer
from tests.support.virtual_time import wall_time

if TYPE_CHECKING:
    from tests.support.services.oidc import FakeGitHubOidc

ROLE = "arn:{partition}:iam::123456789012:role/ci/airflow-gate"
AUDIENCE = "sts.amazonaws.com"
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class FakeSts(StubServer):
    """Lets jobs of a repository assume the role `role`.

    Args:
        oidc: issuer of accepted tokens
        region: AWS region
        lifetime: validity of a session in seconds
        audience: audience of accepted tokens
    """

    def __init__(
        self,
        oidc: FakeGitHubOidc,
        region: str = "eu-west-1",
        *,
        lifetime: float = 3600,
        audience: str = AUDIENCE,
    ) -> None:
        self.host = f"sts.{region}.{domain(region)}"
        super().__init__(tls=certificates.trusted_ca().server(self.host), host=self.host)
        partition = "aws-cn" if region.startswith("cn-") else "aws"
        self.role = ROLE.format(
            partition="aws-us-gov" if region.startswith("us-gov") else partition
        )
        self.lifetime = lifetime
        self._oidc, self._audience = oidc, audience
        self._sessions: dict[str, tuple[FakeAwsKeys, float]] = {}

    @property
    def issued(self) -> list[FakeAwsKeys]:
        """The keys of every session, in order."""
        return [keys for keys, _ in self._sessions.values()]

    def keys(self, access_key: str) -> tuple[FakeAwsKeys, float] | None:
        """Return the keys of a session, and when it expires."""
        return self._sessions.get(access_key)

    def expire(self) -> None:
        """Expire every session issued so far."""
        self._sessions = {name: (keys, 0.0) for name, (keys, _) in self._sessions.items()}

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        try:
            if (request.method, request.path) != ("POST", "/"):
                raise _refuse(403, "AccessDenied", "Not allowed here")
            return self._assume(request)
        except RefusedError as refused:
            return refused.answer

    def _assume(self, request: ReceivedRequest) -> FakeResponse:
        fields = {name: values[-1] for name, values in form(request.body).items()}
        if (fields.pop("Action", ""), fields.pop("Version", "")) != (
            "AssumeRoleWithWebIdentity",
            "2011-06-15",
        ):
            raise _refuse(400, "InvalidAction", "Could not find operation")
        if wrong := input_errors("sts", "AssumeRoleWithWebIdentity", fields):
            raise _refuse(400, "ValidationError", "; ".join(wrong))
        if "Authorization" in request.headers:
            raise _refuse(400, "IncompleteSignature", "This operation takes no signature")
        if not self._oidc.is_good(fields["WebIdentityToken"], self._audience):
            raise _refuse(400, "InvalidIdentityToken", "Incorrect token audience or expired token")
        if fields["RoleArn"] != self.role:
            text = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
            raise _refuse(403, "AccessDenied", text)
        return self._session(fields["RoleSessionName"])

    def _session(self, name: str) -> FakeResponse:
        keys, expires = FakeAwsKeys(), wall_time() + self.lifetime
        for secret in (keys.secret_key, keys.session_token):
            known_secrets.add(secret)
        with self._lock:
            self._sessions[keys.access_key] = keys, expires
        moment = datetime.fromtimestamp(expires, UTC)
        assumed = self.role.replace(":iam:", ":sts:").replace(":role/ci/", ":assumed-role/")
        return _xml(
            200,
            f'<AssumeRoleWithWebIdentityResponse xmlns="{_NAMESPACE}">\n'
            "  <AssumeRoleWithWebIdentityResult>\n"
            "    <SubjectFromWebIdentityToken>repo:octo-org/sales</SubjectFromWebIdentityToken>\n"
            f"    <AssumedRoleUser><Arn>{assumed}/{name}</Arn>"
            f"<AssumedRoleId>AROACLKWSDQRAOEXAMPLE:{name}</AssumedRoleId></AssumedRoleUser>\n"
            "    <Credentials>\n"
            f"      <SessionToken>{escape(keys.session_token)}</SessionToken>\n"
            f"      <SecretAccessKey>{escape(keys.secret_key)}</SecretAccessKey>\n"
            f"      <Expiration>{moment:%Y-%m-%dT%H:%M:%S.%f}Z</Expiration>\n"
            f"      <AccessKeyId>{keys.access_key}</AccessKeyId>\n    </Credentials>\n"
            "  </AssumeRoleWithWebIdentityResult>\n"
            "</AssumeRoleWithWebIdentityResponse>",
        )


def _refuse(status: int, code: str, message: str) -> RefusedError:
    return RefusedError(
        _xml(
            status,
            f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
            f"<Message>{escape(message)}</Message></Error><RequestId>c6104cbe</RequestId>"
            "</ErrorResponse>",
        )
    )


def _xml(status: int, text: str) -> FakeResponse:
    return FakeResponse(status, text.encode(), "text/xml")
