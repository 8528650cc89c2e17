"""Name the hosts of AWS's services, and turn their refusals into errors.

It knows no endpoint, and signs nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from entrypoint.errors import TransientError, Unauthorized
from entrypoint.http.response import external_service

if TYPE_CHECKING:
    from entrypoint.http.response import Response

MWAA = external_service("Amazon MWAA", "mwaa_environment and the region")
_PASSING = (
    "Throttling",
    "TooManyRequests",
    "RequestLimitExceeded",
    "SlowDown",
    "IDPCommunicationError",
)
"""Beginnings of the error types that pass: fewer requests, or GitHub's keys out of STS's reach."""


def host(prefix: str, region: str) -> str:
    """Return the host name of a service in a region; China has a domain of its own."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{prefix}.{region}.{domain}"


def partition(region: str) -> str:
    """Return the AWS partition of a region, as its ARNs begin."""
    begins = region.split("-", 1)[0]
    if region.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws-cn" if begins == "cn" else "aws"


def require_passing(response: Response, error_type: str) -> Response:
    """Return the response, unless its error passes by itself.

    Args:
        response: response of an AWS service.
        error_type: value of its header `x-amzn-ErrorType`, or the code in its body.

    Raises:
        TransientError: it passes. The status alone does not tell, because it may be 400.
    """
    if error_type.startswith(_PASSING):
        raise TransientError(
            f"{response.service.name} answers {error_type.partition(':')[0]}",
            f"{response.source}{response.error_suffix}",
            response.service.outage_hint,
            status=response.status,
        )
    return response


def checked(response: Response, authorization: str) -> Response:
    """Return the response of Amazon MWAA to a signed request, unless its error passes by itself.

    Args:
        response: the response.
        authorization: header `Authorization` of the request, which an error may quote.

    Raises:
        TransientError: it passes, whatever its status.
    """
    if response.status >= 300:
        response = without_signature(response, authorization)
    return require_passing(response, response.error_type)


def without_signature(response: Response, authorization: str) -> Response:
    """Return a response of AWS without the signature of its request, which an error may quote.

    A signature can be replayed for some minutes. The runner gets no mask for it, because each
    request has another one.
    """
    signature = authorization.rpartition("Signature=")[2]
    if not signature:
        return response

    def cleaned(text: str) -> str:
        return text.replace(signature, "***")

    return response._replace(
        body=json.loads(cleaned(json.dumps(response.body))),
        text=cleaned(response.text),
        words=cleaned(response.words),
    )


def mwaa_refusal(
    response: Response, environment: str, region: str, permission: str
) -> Unauthorized:
    """Return the error for a refusal by the API of Amazon MWAA.

    Args:
        response: the refusal.
        environment: name of the environment.
        region: AWS region.
        permission: the IAM action that the request needs.
    """
    if response.status == 404:
        return Unauthorized(
            "Amazon MWAA has no such environment",
            f"{response.source}{response.error_suffix}",
            f"Check mwaa_environment ({environment}), the region ({region}) and the AWS account.",
        )
    return Unauthorized(
        "Amazon MWAA refused the AWS credentials",
        f"{response.source}{response.error_suffix}",
        f"Give the AWS role {permission} on role/<environment>/<Airflow role>. "
        "Check that the step that assumes the role runs before this one, and that its session "
        "has not expired.",
    )
