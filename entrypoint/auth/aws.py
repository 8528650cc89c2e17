"""Get the AWS keys that sign requests: those of the job, or of a role that is assumed.

A role is assumed with GitHub's OIDC token (AssumeRoleWithWebIdentity), whose session lasts an hour
by default, and renewed before it ends.

Measured: docs/notes/credentials.md#aws-roles.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from entrypoint.auth.authorization import Renewed
from entrypoint.auth.github_oidc import GitHubOidc
from entrypoint.auth.sigv4 import signed
from entrypoint.auth.token import require_token
from entrypoint.credentials import AwsKeys, AwsRole, Secret
from entrypoint.errors import Unauthorized
from entrypoint.http.aws import host, require_passing
from entrypoint.http.client import Request, path_of
from entrypoint.http.response import Response, external_service, read_document

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from entrypoint.deadline import Deadline
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Service

_NO_KEY = "retrieve verification key"
"""Words in an InvalidIdentityToken if STS could not reach GitHub's keys at the moment.

https://github.com/aws/aws-cli/issues/7194
"""
STS = external_service("AWS STS", "aws_role and the region")
_STATIC_HINT = (
    "Give aws_role, which the action renews, or a session of AWS that lasts longer. With this one "
    "a DAG run may take about {}."
)


class AwsSession:
    """The AWS keys that sign the requests of a step, in one region.

    Args:
        keys: keys of the job's environment, or the role to assume.
        region: AWS region, whose STS is asked.
        http_client: creates the HTTP client for a service.
        mask: hides a text in the log.
        now: returns seconds since the epoch.

    Attributes:
        expiry_hint: see `airflow.transport.Authorizer`; empty for a role.
    """

    def __init__(
        self,
        keys: AwsKeys | AwsRole,
        region: str,
        http_client: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._region = region
        self._now = now
        if isinstance(keys, AwsRole):
            self.expiry_hint = ""
            self._keys = Renewed(_AssumedRole(keys, region, http_client, mask).keys, now)
        else:
            self.expiry_hint = _STATIC_HINT
            self._keys = Renewed(lambda _: (keys, None), now)

    def discard(self) -> bool:
        """Forget the session of a role, and return whether another can be obtained."""
        self._keys.discard()
        return not self.expiry_hint

    def sign(
        self, url: str, deadline: Deadline, method: str, body: bytes = b"", content_type: str = ""
    ) -> dict[str, str]:
        """Return the headers that sign a request to Amazon MWAA.

        Args:
            url: https URL without port or query.
            deadline: deadline for assuming the role.
            method: HTTP method.
            body: body of the request.
            content_type: value of its header `Content-Type`.

        Raises:
            Unauthorized: STS or GitHub refused.
            TransientError, UnexpectedResponse: an error of `HttpClient.send`.
        """
        return signed(
            url,
            self._region,
            "airflow",
            self._keys.get(deadline),
            datetime.fromtimestamp(self._now(), UTC),
            method=method,
            body=body,
            content_type=content_type,
        )


class AwsSignature:
    """Signs each request with an AWS session, as `airflow.transport.Authorizer`."""

    ambiguous_403 = False
    refusal_hint = ""

    def __init__(self, session: AwsSession) -> None:
        self._session = session
        self.expiry_hint = session.expiry_hint

    def authorize(
        self, deadline: Deadline, request: requests.PreparedRequest
    ) -> requests.PreparedRequest:
        """Add the signature of the whole request, its body included."""
        body = request.body if isinstance(request.body, bytes) else b""
        content_type = str(request.headers.get("Content-Type", ""))
        request.headers.update(
            self._session.sign(str(request.url), deadline, str(request.method), body, content_type)
        )
        return request

    def discard(self) -> bool:
        """Forget the session of a role, and return whether another can be obtained."""
        return self._session.discard()

    def seconds_left(self, deadline: Deadline) -> float | None:  # noqa: ARG002
        """Return None: keys of the environment do not tell when they expire."""
        return None


class _AssumedRole:
    """Assumes a role at the STS of a region."""

    def __init__(
        self,
        role: AwsRole,
        region: str,
        http_client: Callable[[Service], HttpClient],
        mask: Callable[[str], None],
    ) -> None:
        self._role = role
        self._url = f"https://{host('sts', region)}/"
        self._sts = http_client(STS)
        self._oidc = GitHubOidc(role.github, http_client, mask)
        self._mask = mask

    def keys(self, deadline: Deadline) -> tuple[AwsKeys, float | None]:
        """Assume the role; return its keys, and when they expire."""
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": self._role.arn,
            "RoleSessionName": self._role.session,
            "WebIdentityToken": self._oidc.token(deadline),
        }
        request = Request(
            "POST",
            self._url,
            f"POST {path_of(self._url)} (AssumeRole)",
            body=form,
            deadline=deadline,
        )
        response, xml = self._sts.send(
            request, lambda raw, _: read_document(request.source, raw, STS)
        )
        if response.status != 200:
            code = _element(xml, "Code")
            if _NO_KEY in _element(xml, "Message"):
                code = "IDPCommunicationError"
            raise self._refusal(require_passing(response, code), xml)
        secret, session = (
            require_token(_element(xml, name), self._mask, STS.name)
            for name in ("SecretAccessKey", "SessionToken")
        )
        key_id = _element(xml, "AccessKeyId")
        if not re.fullmatch(r"\w{16,128}", key_id, re.ASCII):
            raise response.unexpected("it has no access key id.")
        return AwsKeys(key_id, Secret(secret), Secret(session)), _moment(
            _element(xml, "Expiration")
        )

    def _refusal(self, response: Response, xml: str) -> Unauthorized:
        said = ": ".join(filter(None, (_element(xml, "Code"), _element(xml, "Message"))))
        return Unauthorized(
            "AWS does not let this job assume the role",
            f"{response.source}{f': {said}' if said else ''}",
            f"Check that the role {self._role.arn} trusts token.actions.githubusercontent.com with "
            f"the audience {self._role.github.audience} and the subject of this workflow.",
        )


def _element(xml: str, name: str) -> str:
    """Return the text of an element, empty if there is none.

    STS's responses are flat and have no attributes, so they need no XML parser, which would have to
    be defended against entities.
    """
    found = re.search(rf"<{name}>([^<]*)</{name}>", xml)
    if found is None:
        return ""
    text = found[1].strip()
    for escape, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        text = text.replace(escape, character)
    return text


def _moment(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
