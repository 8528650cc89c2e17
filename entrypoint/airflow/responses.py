"""Validate the responses of Airflow's API, and turn refusals into errors.

This module sends nothing and knows neither DAGs nor runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from entrypoint.errors import (
    DagNotFound,
    Forbidden,
    GatewayRefused,
    NotSupported,
    TransientError,
    Unauthorized,
)
from entrypoint.http.response import CHECK_AIRFLOW_HINT

if TYPE_CHECKING:
    from entrypoint.http.response import Response
    from entrypoint.models import DagRun

_GATEWAY_HINT = (
    "Give the gateway's credential in the input headers (Cloudflare Access: CF-Access-Client-Id "
    "and CF-Access-Client-Secret; Google IAP: Proxy-Authorization), or allow this runner's "
    "address."
)


def is_credential_refused(response: Response) -> bool:
    """Return whether the credential was refused.

    This is a 401, or Airflow 3's 403 for an unreadable token.

    Measured: docs/notes/airflow-3.md#401-and-403.
    """
    return response.status == 401 or (
        response.status == 403 and "Invalid JWT token" in response.detail
    )


def is_from_airflow(response: Response) -> bool:
    """Return whether Airflow itself sent this error, and not a gateway.

    Airflow 3 sends `detail`, Airflow 2 `title` and `status`; a gateway's page has neither.
    """
    body = response.body
    return isinstance(body, dict) and ("detail" in body or ("title" in body and "status" in body))


def unauthorized(response: Response) -> Unauthorized:
    """Return the error for a credential that Airflow or a gateway refused."""
    if not is_from_airflow(response):
        return Unauthorized(*_gateway_refusal(response))
    return Unauthorized(
        "Airflow refused the credential",
        describe(response),
        "Check that the secret is set for this repository or environment, has not expired, and "
        "belongs to this Airflow. On Airflow 2 a user name and password need the API's basic_auth "
        "backend.",
    )


def no_longer_accepted(response: Response, seconds: float, hint: str) -> Unauthorized:
    """Return the error for a credential that is refused after it was accepted.

    Args:
        response: the refusal.
        seconds: seconds for which the credential was accepted.
        hint: hint with `{}` for that time.
    """
    time = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    return Unauthorized(
        "Airflow no longer accepts the credential",
        f"{describe(response)}. It was accepted for {time} before.",
        f"{hint.format(time)} Re-running this job with a good credential continues the "
        "same DAG run.",
    )


def forbidden(response: Response) -> Forbidden:
    """Return the error for a missing permission, or for a refusal by a gateway."""
    if not is_from_airflow(response):
        return GatewayRefused(*_gateway_refusal(response))
    return Forbidden(
        "A permission is missing",
        f"{response.source}. Airflow knows the credential but does not allow this.",
        'Give its user "can create" on DAG runs, "can edit" on the DAG, and "can read" on DAGs, '
        "DAG runs and task instances, as Airflow's role User has them: triggering and waiting "
        "need these.",
    )


def describe(response: Response) -> str:
    """Return request, status and the server's words, for error texts."""
    return f"{response.source}{f': {response.detail}' if response.detail else ''}"


def _gateway_refusal(response: Response) -> tuple[str, str, str]:
    server = f" Its header Server is {response.server}." if response.server else ""
    return (
        "A gateway in front of Airflow refused the request",
        f"{describe(response)}.{server} Airflow's own refusals look different.",
        _GATEWAY_HINT,
    )


def has_detail(response: Response) -> bool:
    """Return whether a 404 comes from Airflow itself, and not from a gateway."""
    return isinstance(response.body, dict) and "detail" in response.body


def require_status(response: Response, status: int) -> Response:
    """Return the response if it has this status.

    Raises:
        UnexpectedResponse: it has another one.
    """
    if response.status != status:
        raise response.unexpected(response.detail or "this status is not expected here.")
    return response


def require_object(response: Response, status: int, shape: dict[str, type]) -> dict[str, Any]:
    """Return the body if status and fields are as the API documents them.

    Args:
        response: response to check.
        status: expected status.
        shape: required fields with their types.

    Raises:
        UnexpectedResponse: the status, the body or a field differs.
    """
    require_status(response, status)
    if not isinstance(response.body, dict):
        raise response.unexpected("the JSON is not an object.")
    for key, kind in shape.items():
        if not isinstance(response.body.get(key), kind):
            raise response.unexpected(f"the JSON has no usable {key!r}.")
    return response.body


def optional(
    response: Response, body: dict[str, Any], key: str, kind: type | tuple[type, ...]
) -> Any:
    """Return the value of a field that may be missing or null.

    Raises:
        UnexpectedResponse: the value has another type.
    """
    value = body.get(key)
    if value is None:
        return None
    if (
        not isinstance(value, kind)
        or isinstance(value, bool)
        or (isinstance(value, float) and not isfinite(value))
    ):
        raise response.unexpected(f"the JSON has no usable {key!r}.")
    return value


def parse_datetime(response: Response, text: Any) -> datetime | None:
    """Return an RFC 3339 date in UTC, None for null.

    Raises:
        UnexpectedResponse: the value is no such date.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise response.unexpected("a date is not RFC 3339.") from None


def require_note(response: Response, run: DagRun | None, note: str) -> None:
    """Check that the run has this note, unless it is gone or this Airflow returns no notes.

    Raises:
        UnexpectedResponse: the run has another note.
    """
    if run is not None and "note" not in run.unknown_fields and (run.note or "") != note:
        raise response.unexpected("the run has another note.")


def dag_not_found(dag_id: str, response: Response) -> Exception:
    """Return the error for a 404 about a DAG.

    It is DagNotFound only if Airflow itself sent the 404.
    """
    if not has_detail(response):
        return response.unexpected("Airflow's own 404 looks different.")
    return DagNotFound(
        "Airflow has no such DAG",
        f"dag_id {dag_id!r}: {response.detail}",
        "Check dag_id and that the DAG is deployed to this Airflow. A DAG whose file fails to "
        "import cannot run either: Airflow's home page shows import errors at its top.",
    )


def not_supported(name: str, version: str, since: str) -> NotSupported:
    """Return the error for an input that this Airflow version does not support."""
    return NotSupported(
        f"This Airflow does not know {name}",
        f"This is Airflow {version}; {name} needs {since}.",
        f"Remove {name} from this step, or upgrade Airflow.",
    )


def too_slow(read: int, total: int) -> TransientError:
    """Return the error for a list of which only `read` of `total` items came in time."""
    return TransientError(
        "Airflow gives the task instances too slowly",
        f"Of {total} task instances {read} were read before the deadline.",
        CHECK_AIRFLOW_HINT,
    )


def dags_too_slow(read: int, total: int) -> TransientError:
    """Return the error for a list of which only `read` of `total` DAGs came in time."""
    return TransientError(
        "Airflow lists the DAGs too slowly",
        f"Of {total} DAGs {read} were read before the deadline.",
        CHECK_AIRFLOW_HINT,
    )


def dags_changed(response: Response, read: int, total: int) -> TransientError:
    """Return the error for pages that do not belong together.

    Pages are cut by position, so a DAG that comes or goes in between moves all after it.
    """
    return TransientError(
        "Airflow's list of DAGs changed while it was read",
        f"{response.source}: {read} DAGs were read; now the list has {total}.",
        "Re-run this job once the deployment of the DAGs is over.",
    )
