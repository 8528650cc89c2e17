"""What a server answered, read once: JSON, or the name of what it is instead.

Pure: it sends nothing. It knows the forms in which Airflow, OAuth and AWS word an error, and no
endpoint of theirs.
"""

from __future__ import annotations

import json
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.cookies import CookieError, SimpleCookie
from time import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.limits import MAX_BODY_BYTES, read_body
from entrypoint.masking import masked_head
from entrypoint.text import cut, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

RE_RUN_HINT = "Then re-run this job: it continues the same DAG run."
_MAX_MASKED_BYTES = 65_536
"""Bytes at the beginning of a body that is not JSON, which are masked."""
_MAX_TEXT_CHARS = 500
"""Characters of that which are shown."""
CHECK_AIRFLOW_HINT = f"Look at the web server's or gateway's own health and log. {RE_RUN_HINT}"


class Service(NamedTuple):
    """Who is talked to, as error texts name it, and what of the workflow says where it is."""

    name: str
    where: str


AIRFLOW = Service("Airflow", "airflow_url")


class Response(NamedTuple):
    """An HTTP answer with a JSON body, or with a body that is not JSON (`body` is then None).

    Attributes:
        source: method, path, status and content type, for error texts.
        text: the beginning of a body that is not JSON, 500 characters at the most.
        server: who says that it answered: the header `Server`.
        cookies: those that it set, by name.
        party: who was asked.
        retry_after: seconds that the server asked us to wait, if it did.
    """

    status: int
    body: Any
    source: str
    text: str = ""
    server: str = ""
    cookies: Mapping[str, str] = MappingProxyType({})
    party: Service = AIRFLOW
    retry_after: float | None = None

    def __repr__(self) -> str:
        """Show nothing that may hold a secret."""
        return f"Answer({self.source!r})"

    @property
    def told(self) -> str:
        """The server's own words about an error, behind a colon, if it says them as an API does.

        Of an answer to a request for a token nothing else may be quoted: a body that is broken may
        have the token in it.
        """
        words = self.detail if isinstance(self.body, dict) else ""
        return f": {words}" if words else ""

    @property
    def detail(self) -> str:
        """The server's own words about an error.

        Airflow's `detail` may be text, a list or an object, or null beside a `title`
        (docs/notes/airflow-2.md#error-bodies, docs/notes/airflow-3.md#error-bodies); OAuth has
        `error` and `error_description` (RFC 6749 5.2), AWS `message`.
        """
        if not isinstance(self.body, dict):
            return self.text
        detail = next(
            (
                self.body[key]
                for key in ("detail", "title", "error", "message", "Message")
                if self.body.get(key)
            ),
            "",
        )
        if isinstance(detail, list):
            return "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item.get('msg')}"
                if isinstance(item, dict) and isinstance(item.get("loc"), list)
                else str(item)
                for item in detail
            )
        if isinstance(detail, dict):
            return ": ".join(
                str(detail[key]) for key in ("reason", "message") if detail.get(key)
            ) or str(detail)
        return ": ".join(
            str(words) for words in (detail, self.body.get("error_description")) if words
        )

    def unexpected(self, why: str) -> UnexpectedResponse:
        """Return the error for an answer that does not say what this server's API says."""
        title = (
            "That is not an answer of Airflow's API"
            if self.party is AIRFLOW
            else f"{self.party.name} gave an unexpected answer"
        )
        hint = (
            (
                "airflow_url must be the address under which people open Airflow, path prefix "
                "included, with no login page of "
                "a proxy in front of it."
            )
            if self.party is AIRFLOW
            else f"Check {self.party.where}: something else may answer there."
        )
        return UnexpectedResponse(
            title,
            f"{self.source}: {why}"
            + (f" It begins: {shortened(self.text, 200)}" if self.text else ""),
            hint,
        )


def describe_response(source: str, response: requests.Response) -> str:
    """Return request, status and content type, for error texts."""
    return f"{source} answered {response.status_code} {_kind(response)}"


def _kind(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "no content type").split(";")[0].strip().lower()


def read_response(
    source: str, response: requests.Response, party: Service = AIRFLOW, *, redirects: bool = False
) -> Response:
    """Read a response; `redirects`: a redirect is an answer like any other, to be looked at and not
    to be followed.

    Raises:
        TransientError: 429 or 5xx.
        UnexpectedResponse: a redirect, broken JSON, or a 2xx that is not JSON.
    """
    source = describe_response(source, response)
    status = response.status_code
    retry_after = _retry_after(response.headers.get("Retry-After"))
    if status == 429 or status >= 500:
        raise TransientError(
            f"{party.name} answers {status}",
            f"{source}.",
            CHECK_AIRFLOW_HINT
            if party is AIRFLOW
            else f"Look how it is ({party.where}). {RE_RUN_HINT}",
            status=status,
            retry_after=retry_after,
        )
    if 300 <= status < 400 and not redirects:
        raise _redirect(source, response.headers.get("Location", ""), party)
    body, text = None, ""
    bare = Response(status, None, source, server=response.headers.get("Server", ""), party=party)
    content = read_body(response)
    if content is None:
        raise bare.unexpected(
            f"it is larger than {MAX_BODY_BYTES // 1_048_576} MiB, and was not read to its end."
        )
    if _kind(response).endswith("json"):
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise bare.unexpected("the JSON is cut off or broken.") from None
    if body is None:
        text = _beginning(content)
    answer = Response(
        status, body, source, text, bare.server, _cookies(response), party, retry_after
    )
    if response.ok and status != 204 and body is None and not redirects:
        raise answer.unexpected("the body is not JSON.")
    return answer


def _beginning(content: bytes) -> str:
    """Return how a page begins. No cut leaves half a secret, neither one of ours nor one that only
    the runner knows.
    """
    text = masked_head(content, _MAX_MASKED_BYTES)
    if len(content) > _MAX_MASKED_BYTES:
        # However much masking has made of it: the last word may be half a secret.
        text = cut(text, len(text) - 1)
    return shortened(text.strip(), _MAX_TEXT_CHARS)


def _redirect(source: str, location: str, party: Service) -> UnexpectedResponse:
    if party is AIRFLOW:
        return UnexpectedResponse(
            "Airflow's address redirects",
            f"{source}, to {_origin(location)}. A redirect is never followed: "
            "it would carry the credential elsewhere and turn the trigger into something else.",
            "Give the final address as airflow_url (https instead of http?). If it is a "
            "login page, a gateway in front of "
            "Airflow wants a credential of its own: give it by the input headers.",
        )
    return UnexpectedResponse(
        f"{party.name} redirects",
        f"{source}, to {_origin(location)}. A redirect is never followed: it would carry "
        "the credential elsewhere.",
        f"Check {party.where}: it must be the final address.",
    )


def _origin(location: str) -> str:
    """Return where a redirect leads without its query, which may hold a token."""
    with suppress(ValueError):
        parts = urlsplit(location)
        if parts.hostname:
            return f"{parts.scheme}://{parts.hostname}{parts.path}"
    return "another path of the same server"


def _cookies(response: requests.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (
        response.raw.headers.getlist("Set-Cookie") if hasattr(response.raw, "headers") else ()
    ):
        with suppress(CookieError):
            found |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
    return found


def _retry_after(value: str | None) -> float | None:
    """Read `Retry-After`, in seconds or as an HTTP date, into seconds from now."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value[:9])
    with suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    return None
