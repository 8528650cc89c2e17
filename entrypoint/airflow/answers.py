"""What Airflow's web server answered, read once: JSON, or the name of what it is instead.

Pure: it sends nothing and knows neither DAGs nor runs.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from entrypoint.errors import AirflowUnreachable, Unauthorized, UnexpectedAnswer, shortened

if TYPE_CHECKING:
    import requests

TRY_LATER = (
    "Look at the web server's or gateway's own health and log; then re-run this job: it continues the same DAG run."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with a JSON body, or with a body that is not JSON (`body` is then None).

    Attributes:
        source: method, path, status and content type, for error texts.
        text: the beginning of a body that is not JSON, 500 characters at the most.
    """

    status: int
    body: Any
    source: str
    text: str = ""

    @property
    def detail(self) -> str:
        """Airflow's own words about an error: `detail` may be text, a list or an object, or null beside a `title`.

        See airflow-2.md 11.5 and airflow-3.md 11.2.
        """
        if not isinstance(self.body, dict):
            return self.text
        detail = self.body.get("detail") or self.body.get("title") or self.body.get("error")
        if isinstance(detail, list):
            return "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item.get('msg')}"
                if isinstance(item, dict) and isinstance(item.get("loc"), list)
                else str(item)
                for item in detail
            )
        if isinstance(detail, dict):
            return ": ".join(str(detail[key]) for key in ("reason", "message") if detail.get(key)) or str(detail)
        return str(detail or "")

    @property
    def refused(self) -> bool:
        """Whether the credential was refused: 401, or Airflow 3's 403 for a token it cannot read (airflow-3.md 2)."""
        return self.status == 401 or (self.status == 403 and "Invalid JWT token" in self.detail)

    def unexpected(self, why: str) -> UnexpectedAnswer:
        """Return the error for an answer that does not say what Airflow's API says."""
        return UnexpectedAnswer(
            "That is not an answer of Airflow's API",
            f"{self.source}: {why}" + (f" It begins: {shortened(self.text, 200)}" if self.text else ""),
            "airflow_url must be the address under which people open Airflow, path prefix included, with no login page of "
            "a proxy in front of it.",
        )


def unauthorized(answer: Answer) -> Unauthorized:
    """Return the error for a credential that Airflow refused."""
    return Unauthorized(
        "Airflow refused the credential",
        f"{answer.source}{f': {answer.detail}' if answer.detail else ''}",
        "Check that the secret is set for this repository or environment, has not expired, and belongs to this Airflow. "
        "On Airflow 2 a user name and password need the API's basic_auth backend.",
    )


def origin_of(source: str, response: requests.Response) -> str:
    """Return request, status and content type, for error texts."""
    return f"{source} answered {response.status_code} {_kind(response)}"


def _kind(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "no content type").split(";")[0].strip().lower()


def read(source: str, response: requests.Response) -> Answer:
    """Read a response.

    Raises:
        AirflowUnreachable: 429 or 5xx.
        UnexpectedAnswer: a redirect, broken JSON, or a 2xx that is not JSON.
    """
    source = origin_of(source, response)
    if response.status_code == 429 or response.status_code >= 500:
        raise AirflowUnreachable(
            f"Airflow answers {response.status_code}",
            f"{source}.",
            TRY_LATER,
            status=response.status_code,
            retry_after=_retry_after(response.headers.get("Retry-After")),
        )
    if 300 <= response.status_code < 400:
        raise UnexpectedAnswer(
            "Airflow's address redirects",
            f"{source}, to {_origin(response.headers.get('Location', ''))}. A redirect is never followed: "
            "it would carry the credential elsewhere and turn the trigger into something else.",
            "Give the final address as airflow_url (https instead of http?). If it is a login page, a gateway in front of "
            "Airflow wants a credential of its own.",
        )
    body = None
    if _kind(response).endswith("json"):
        try:
            body = response.json()
        except (ValueError, RecursionError):
            raise Answer(response.status_code, None, source).unexpected("the JSON is cut off or broken.") from None
    answer = Answer(
        response.status_code, body, source, "" if body is not None else shortened(response.text.strip(), 500)
    )
    if response.ok and response.status_code != 204 and body is None:
        raise answer.unexpected("the body is not JSON.")
    return answer


def _origin(location: str) -> str:
    """Return where a redirect leads without its query, which may hold a token."""
    with suppress(ValueError):
        parts = urlsplit(location)
        if parts.hostname:
            return f"{parts.scheme}://{parts.hostname}{parts.path}"
    return "another path of the same server"


def _retry_after(value: str | None) -> float | None:
    """Read `Retry-After`, in seconds or as an HTTP date, into seconds from now."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value[:9])
    with suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    return None


def object_of(answer: Answer, status: int, shape: dict[str, type]) -> dict[str, Any]:
    """Return the body if status and shape are as the API promises. Raises UnexpectedAnswer."""
    if answer.status != status:
        raise answer.unexpected(answer.detail or "the status means nothing here.")
    if not isinstance(answer.body, dict):
        raise answer.unexpected("the JSON is not an object.")
    for key, kind in shape.items():
        if not isinstance(answer.body.get(key), kind):
            raise answer.unexpected(f"the JSON has no usable {key!r}.")
    return answer.body


def optional(answer: Answer, body: dict[str, Any], key: str, kind: type | tuple[type, ...]) -> Any:
    """Return the value of a key that may be missing or null. Raises UnexpectedAnswer for any other shape."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, float) and not isfinite(value)):
        raise answer.unexpected(f"the JSON has no usable {key!r}.")
    return value


def moment_of(answer: Answer, text: Any) -> datetime | None:
    """Return an RFC 3339 date in UTC, None for null. Raises UnexpectedAnswer for anything else."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise answer.unexpected("a date is not RFC 3339.") from None
