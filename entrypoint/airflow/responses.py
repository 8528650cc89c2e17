"""What Airflow's API answers, taken apart: shapes that it promises, and the errors in its answers.

Pure: it sends nothing and knows neither DAGs nor runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from entrypoint.errors import Forbidden, GatewayRefused, Unauthorized

if TYPE_CHECKING:
    from entrypoint.http.response import Response


_OPEN_THE_GATEWAY = (
    "Give the gateway's credential by the input headers (Cloudflare Access: "
    "CF-Access-Client-Id and CF-Access-Client-Secret; "
    "Google IAP: Proxy-Authorization), or let this runner's address through."
)


def is_credential_refused(answer: Response) -> bool:
    """Whether the credential was refused: 401, or Airflow 3's 403 for a token it cannot read.

    Measured: docs/notes/airflow-3.md#401-and-403.
    """
    return answer.status == 401 or (answer.status == 403 and "Invalid JWT token" in answer.detail)


def is_from_airflow(answer: Response) -> bool:
    """Whether Airflow itself refused it: version 3 says `detail`, version 2 `title` and `status`; a
    gateway's page neither.
    """
    body = answer.body
    return isinstance(body, dict) and ("detail" in body or ("title" in body and "status" in body))


def unauthorized(answer: Response) -> Unauthorized:
    """Return the error for a credential that Airflow refused, or that a gateway in front of it
    did.
    """
    if not is_from_airflow(answer):
        return Unauthorized(*_gateway(answer))
    return Unauthorized(
        "Airflow refused the credential",
        _evidence(answer),
        "Check that the secret is set for this repository or environment, has not expired, "
        "and belongs to this Airflow. "
        "On Airflow 2 a user name and password need the API's basic_auth backend.",
    )


def no_longer_accepted(answer: Response, seconds: float, hint: str) -> Unauthorized:
    """Return the error for a credential that was accepted for so many seconds before; `hint` has a
    `{}` for them.
    """
    time = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    return Unauthorized(
        "Airflow no longer accepts the credential",
        f"{_evidence(answer)}. It was accepted for {time} before.",
        f"{hint.format(time)} Re-running this job with a good credential continues the "
        "same DAG run.",
    )


def forbidden(answer: Response) -> Forbidden:
    """Return the error for a good credential without the permission, or for a gateway that lets it
    go no further.
    """
    if not is_from_airflow(answer):
        return GatewayRefused(*_gateway(answer))
    return Forbidden(
        "A permission is missing",
        f"{answer.source}. Airflow knows the credential but does not allow this.",
        'To trigger and wait it needs "can create" on DAG runs, "can edit" on the DAG, and '
        '"can read" on DAGs, DAG runs '
        "and task instances, as Airflow's role User has them.",
    )


def _evidence(answer: Response) -> str:
    return f"{answer.source}{f': {answer.detail}' if answer.detail else ''}"


def _gateway(answer: Response) -> tuple[str, str, str]:
    who = f" The server calls itself {answer.server}." if answer.server else ""
    return (
        "A gateway in front of Airflow refused the request",
        f"{_evidence(answer)}.{who} Airflow's own refusals look different.",
        _OPEN_THE_GATEWAY,
    )


def require_object(answer: Response, status: int, shape: dict[str, type]) -> dict[str, Any]:
    """Return the body if status and shape are as the API promises. Raises UnexpectedResponse."""
    if answer.status != status:
        raise answer.unexpected(answer.detail or "the status means nothing here.")
    if not isinstance(answer.body, dict):
        raise answer.unexpected("the JSON is not an object.")
    for key, kind in shape.items():
        if not isinstance(answer.body.get(key), kind):
            raise answer.unexpected(f"the JSON has no usable {key!r}.")
    return answer.body


def optional(
    answer: Response, body: dict[str, Any], key: str, kind: type | tuple[type, ...]
) -> Any:
    """Return the value of a key that may be missing or null. Raises UnexpectedResponse for any
    other shape.
    """
    value = body.get(key)
    if value is None:
        return None
    if (
        not isinstance(value, kind)
        or isinstance(value, bool)
        or (isinstance(value, float) and not isfinite(value))
    ):
        raise answer.unexpected(f"the JSON has no usable {key!r}.")
    return value


def parse_datetime(answer: Response, text: Any) -> datetime | None:
    """Return an RFC 3339 date in UTC, None for null. Raises UnexpectedResponse for anything
    else.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise answer.unexpected("a date is not RFC 3339.") from None
