"""Check AWS signatures (version 4) with botocore, and return AWS's error responses."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.fake_airflow.messages import FakeResponse, RefusedError, as_json

if TYPE_CHECKING:
    from tests.support.fake_airflow.messages import ReceivedRequest

SKEW = timedelta(minutes=5)
"""Largest difference between the clocks of client and AWS."""
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 "
    r"Credential=(?P<key>\w+)/(?P<scope>[^,]+),\s*SignedHeaders=(?P<names>[\w;-]+),\s*"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


def _random(prefix: str, length: int) -> str:
    return prefix + "".join(
        secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(length)
    )


@dataclass(frozen=True, slots=True)
class FakeAwsKeys:
    """Temporary credentials of a role."""

    access_key: str = field(default_factory=lambda: _random("ASIA", 16))
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(27) + "/+=x")
    session_token: str = field(default_factory=lambda: f"IQoJ{secrets.token_urlsafe(240)}/+==")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `aws-actions/configure-aws-credentials` sets."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }


def domain(region: str) -> str:
    """Return the domain of a region's services."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def access_key_of(request: ReceivedRequest) -> str:
    """Return the access key that signed a request, empty if none did."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    return found["key"] if found else ""


def refuse(status: int, error: str, message: str, *, key: str = "message") -> RefusedError:
    """Return an error in AWS's format: type in a header, text in the body."""
    body = as_json(status, {key: message}).body
    headers = (("x-amzn-ErrorType", error), ("x-amzn-RequestId", str(uuid.uuid4())))
    return RefusedError(FakeResponse(status, body, "application/json", headers))


def check(
    request: ReceivedRequest,
    *,
    host: str,
    service: str,
    region: str,
    keys: FakeAwsKeys,
    now: datetime,
) -> None:
    """Refuse a request that these keys did not sign just now for this host and service."""
    header = request.headers.get("Authorization")
    if header is None:
        raise refuse(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    if (found := _AUTHORIZATION.fullmatch(header)) is None:
        raise refuse(
            403, "IncompleteSignatureException", "Authorization header requires further parameters."
        )
    if (
        found["key"] != keys.access_key
        or request.headers.get("X-Amz-Security-Token") != keys.session_token
    ):
        raise refuse(
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )
    stamp = request.headers.get("X-Amz-Date", "")
    if found["scope"] != f"{stamp[:8]}/{region}/{service}/aws4_request":
        raise _invalid("Credential should be scoped to a valid region and service.")
    if abs(_moment(stamp) - now) > SKEW:
        raise _invalid(f"Signature expired: {stamp} is too far from {now:%Y%m%dT%H%M%SZ}")
    credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token)
    _check_signature(request, host, SigV4Auth(credentials, service, region), stamp, found)


def _check_signature(
    request: ReceivedRequest, host: str, signer: SigV4Auth, stamp: str, found: re.Match[str]
) -> None:
    names = found["names"].split(";")
    due = {"host"} | {name.lower() for name in request.headers if name.lower().startswith("x-amz-")}
    if (
        names != sorted(names)
        or not due <= set(names)
        or any(name not in request.headers for name in names)
    ):
        raise _invalid("The signed headers are not those of the request.")
    if request.headers["Host"] != host or request.query:
        raise _invalid(f"The request is not for {host}, or has a query.")
    stated = request.headers.get("X-Amz-Content-SHA256")
    if stated is not None and stated != hashlib.sha256(request.body).hexdigest():
        raise _invalid("The body is not the one that was signed.")
    again = AWSRequest(
        request.method,
        f"https://{host}{request.path}",
        {name: request.headers[name] for name in names},
        request.body,
    )
    again.context["timestamp"] = stamp
    signature = signer.signature(
        signer.string_to_sign(again, signer.canonical_request(again)), again
    )
    if not compare_digest(signature, found["signature"]):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided."
        )


def _invalid(message: str) -> RefusedError:
    return refuse(403, "InvalidSignatureException", message)


def _moment(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise _invalid("The date is not in the format of ISO 8601 that AWS wants.") from None
