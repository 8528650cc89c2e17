"""Validate the responses of Airflow's API, and turn refusals into errors.

This module sends nothing and knows neither DAGs nor runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from entrypoint.errors import (
    BundleVersionNotFound,
    DagNotFound,
    Forbidden,
    GatewayRefused,
    GatewayUnauthorized,
    InvalidConf,
    NotSupported,
    ServerFailure,
    TransientError,
    TriggerRefused,
    Unauthorized,
)
from entrypoint.http.response import CHECK_AIRFLOW_HINT

if TYPE_CHECKING:
    from entrypoint.errors import ActionError
    from entrypoint.http.response import Response
    from entrypoint.models import DagRun

_GATEWAY_HINT = (
    "Give the gateway's credential: for Cloudflare Access its CF-Access-Client-Id and "
    "CF-Access-Client-Secret in the input headers, for Google's Identity-Aware Proxy the inputs "
    "google_workload_identity_provider, google_service_account and oidc_audience (or "
    "Proxy-Authorization in headers). A gateway with HTTP Basic must accept the username and "
    "password of an Airflow 2: a request has only one of them. Or allow this runner's address."
)


_RETRY_STATUSES = (404, 408, 425)
"""Refusals that may end by themselves: a gateway without a server behind it, and timeouts."""
_GENERIC_WORDS = ("", "internal server error")
"""Error messages of a server that say nothing."""


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


def unauthorized(response: Response, hint: str = "") -> Unauthorized:
    """Return the error for a credential that Airflow or a gateway refused.

    Args:
        response: the refusal.
        hint: hint instead of the usual one.
    """
    if not is_from_airflow(response):
        kind = GatewayUnauthorized if response.status == 401 else Unauthorized
        return kind(*_gateway_refusal(response))
    return Unauthorized(
        "Airflow refused the credential",
        describe(response),
        hint
        or "Check that the credential is complete, has not expired, and belongs to this Airflow. "
        "On Airflow 2 a user name and password need the API's basic_auth backend.",
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
    said = response.detail
    words = "" if said.lower() in ("", "forbidden") else f" It says: {said}"
    return Forbidden(
        "A permission is missing",
        f"{response.source}. Airflow knows the credential but does not allow this.{words}",
        'Give its user "can create" on DAG runs, "can edit" on the DAG, and "can read" on DAGs, '
        "DAG runs and task instances, as Airflow's role User has them: triggering and waiting "
        "need these.",
    )


def describe(response: Response) -> str:
    """Return request, status and the server's words, for error texts."""
    words = response.words or response.detail
    return f"{response.source}{f': {words}' if words else ''}"


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


def refused_trigger(response: Response) -> ActionError | None:
    """Return the error for a trigger that was refused with a reason; None for other responses.

    A client error (RFC 9110 15.5) created nothing, and the same request would be refused again. So
    it is final, unless it may come from a gateway whose server is just missing.
    """
    status = response.status
    if not 400 <= status < 500 or (status in _RETRY_STATUSES and not is_from_airflow(response)):
        return None
    if not is_from_airflow(response):
        return _refused_by_gateway(response)
    if status == 404 and "does not have a version for bundle_version" not in response.detail:
        return None  # no such DAG
    return _refused_by_airflow(response)


def _refused_by_airflow(response: Response) -> ActionError:
    said = response.detail
    if response.status == 404:
        return BundleVersionNotFound(
            "Airflow no longer has the version of the DAG that was checked",
            f"{describe(response)} Nothing was triggered.",
            "Re-run this job: a push during the check may have replaced the version.",
        )
    if "does not allow manual runs" in said:
        return TriggerRefused(
            "The DAG does not allow manual runs",
            describe(response),
            'Add "manual" to allowed_run_types of the DAG, or let its schedule start it.',
        )
    if "does not match regex pattern" in said:
        return TriggerRefused(
            "Airflow does not allow this run id",
            describe(response),
            "Set run_id to one that Airflow's setting [scheduler] allowed_run_id_pattern allows.",
        )
    if response.status in (400, 422):
        return InvalidConf(
            "Airflow refused the DAG run's parameters",
            said,
            "Correct conf (or the dates and the partition key) in this step; the DAG's "
            "params define what is allowed.",
        )
    return TriggerRefused(
        "Airflow refused the trigger",
        describe(response),
        "Correct what Airflow names. The same request would be refused again.",
    )


def _refused_by_gateway(response: Response) -> TriggerRefused:
    if response.status == 413:
        return TriggerRefused(
            "The conf is too large for a gateway in front of Airflow",
            f"{describe(response)}. Nothing was triggered.",
            "Give less conf, for example the path of a file that the DAG reads, or let the "
            "gateway's operators raise its limit for a request body (nginx: client_max_body_size).",
        )
    return TriggerRefused(
        "A gateway in front of Airflow refused the trigger",
        f"{describe(response)}. Nothing was triggered.",
        "Correct what it names, or let its operators allow POST to Airflow's API. It accepted the "
        "requests before.",
    )


def forbidden_trigger(refusal: GatewayRefused, size: int) -> GatewayRefused:
    """Return the error of a gateway that allows to read, and refuses this trigger.

    Args:
        refusal: error for its 403.
        size: bytes of the request's body.
    """
    return GatewayRefused(
        refusal.title,
        f"{refusal.detail} It allowed the requests before this trigger, whose body has {size} "
        "bytes.",
        "Let the gateway's operators look up why it refused the trigger: a web application "
        "firewall may limit the size or the content of a request. Less conf may pass.",
    )


def failed_trigger(error: TransientError) -> TransientError:
    """Return a ServerFailure for a 5xx with which Airflow itself gives a lasting reason.

    502 to 504 are a gateway's, and a database error passes
    (docs/notes/airflow-3.md#sqlite-and-parallel-requests).
    """
    detail = error.body.get("detail") if isinstance(error.body, dict) else None
    lasting = isinstance(detail, str) and detail.strip().lower() not in _GENERIC_WORDS
    if not lasting or error.status in (None, 429, 502, 503, 504):
        return error
    return ServerFailure(
        "Airflow failed to trigger the DAG",
        error.detail,
        "Correct what Airflow names, or ask its operators. The same request would fail again.",
        status=error.status,
        body=error.body,
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
