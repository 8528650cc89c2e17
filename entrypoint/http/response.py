"""Parse an HTTP response: JSON, or an error that says what the body is instead.

This module sends nothing. It knows the formats in which Airflow, OAuth and AWS report an error, but
none of their endpoints.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.cookies import CookieError, SimpleCookie
from time import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.json_items import JsonItems
from entrypoint.http.limits import MAX_BODY_BYTES, read_body
from entrypoint.masking import masked_head
from entrypoint.text import cut, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

RE_RUN_HINT = "Then re-run this job: it continues the same DAG run."
_CHUNK_BYTES = 65_536
_MAX_MASKED_BYTES = 65_536
"""Bytes at the beginning of a body without JSON that are masked."""
_MAX_TEXT_CHARS = 500
"""Maximum length of the text that an error quotes from such a body."""
_MAX_PAGE_BYTES = 16_384
"""Bytes at the beginning of an HTML page in which its words are searched."""
_NO_WORDS = re.compile(
    r"<!--.*?-->|<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE
)
"""Parts of an HTML page that a browser does not show as text."""
CHECK_AIRFLOW_HINT = f"Check the health and the log of the web server or gateway. {RE_RUN_HINT}"


class Service(NamedTuple):
    """A service to which the action sends requests, as error texts name it.

    Attributes:
        name: name of the service.
        api: name of its API.
        address: name of its address.
        reach_hint: hint for a service that does not respond.
        outage_hint: hint for HTTP 429 or 5xx.
        unexpected_hint: hint for a response that does not follow its API.
        redirect_hint: hint for a redirect.
        redirect_risk: what a followed redirect could do.
    """

    name: str
    api: str
    address: str
    reach_hint: str
    outage_hint: str
    unexpected_hint: str
    redirect_hint: str
    redirect_risk: str = "the credential would go to another address"


def external_service(name: str, setting: str) -> Service:
    """Return a service other than Airflow.

    Args:
        name: name in error texts.
        setting: what a hint tells users to check, for example the input that holds the address.
    """
    return Service(
        name,
        api=name,
        address=name,
        reach_hint=f"Check {setting}, and that this runner's network reaches it. {RE_RUN_HINT}",
        outage_hint=f"Check {setting}. {RE_RUN_HINT}",
        unexpected_hint=f"Check {setting}: another server may answer there.",
        redirect_hint=f"Check {setting}: it must be the final address.",
    )


AIRFLOW = Service(
    "Airflow",
    api="Airflow's API",
    address="Airflow's address",
    reach_hint="Check airflow_url, and that this runner's network reaches it. "
    f"{CHECK_AIRFLOW_HINT}",
    outage_hint=CHECK_AIRFLOW_HINT,
    unexpected_hint="Set airflow_url to the address at which users open Airflow, path prefix "
    "included. There must be no login page of a proxy in front of it.",
    redirect_hint="Give the final address as airflow_url (https instead of http?). If it is a "
    "login page, a gateway in front of Airflow requires its own credential: give it by the input "
    "headers, or for Google's Identity-Aware Proxy by google_workload_identity_provider, "
    "google_service_account and oidc_audience.",
    redirect_risk="the credential would go to another address and the trigger could become "
    "another request",
)


class Response(NamedTuple):
    """An HTTP response with a JSON body, or with another body (`body` is then None).

    Attributes:
        source: method, path, status and content type, for error texts.
        text: beginning of a body that is not JSON, at most 500 characters.
        words: what a person reads at its beginning: of an HTML page without the tags.
        server: value of the header `Server`.
        cookies: cookies of the response, by name.
        service: service that sent the response.
        retry_after: seconds from the header `Retry-After`, None if it is missing.
        error_type: AWS's type of an error.
    """

    status: int
    body: Any
    source: str
    text: str = ""
    server: str = ""
    cookies: Mapping[str, str] = MappingProxyType({})
    service: Service = AIRFLOW
    retry_after: float | None = None
    words: str = ""
    error_type: str = ""

    def __repr__(self) -> str:
        """Show only the source, because the body may hold a secret."""
        return f"Response({self.source!r})"

    @property
    def error_suffix(self) -> str:
        """The API's error message after a colon, empty if the body is not a JSON object.

        A response of a token endpoint may be quoted only in this way, because a malformed body may
        contain the token.
        """
        message = self.detail if isinstance(self.body, dict) else ""
        return f": {message}" if message else ""

    @property
    def detail(self) -> str:
        """The error message in the response.

        Airflow's `detail` may be text, a list or an object, or null beside a `title`
        (docs/notes/airflow-2.md#error-bodies, docs/notes/airflow-3.md#error-bodies). OAuth has
        `error` and `error_description` (RFC 6749 5.2), and AWS has `message`.
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
        return ": ".join(str(part) for part in (detail, self.body.get("error_description")) if part)

    def unexpected(self, why: str) -> UnexpectedResponse:
        """Return the error for a response that does not follow the service's API.

        Args:
            why: what is wrong with the response, as a sentence for the error's detail.
        """
        beginning = f" It begins: {shortened(self.text, 200)}" if self.text else ""
        return UnexpectedResponse(
            f"{self.service.api} sent an unexpected response",
            f"{self.source}: {why}{beginning}",
            self.service.unexpected_hint,
        )


def describe_response(source: str, raw: requests.Response) -> str:
    """Return request, status and content type, for error texts."""
    return f"{source} answered {raw.status_code} {_content_type(raw)}"


def _content_type(raw: requests.Response) -> str:
    return raw.headers.get("Content-Type", "no content type").split(";")[0].strip().lower()


def read_response(
    source: str,
    raw: requests.Response,
    service: Service = AIRFLOW,
    *,
    redirects: bool = False,
    quote_failure: bool = False,
) -> Response:
    """Parse a response.

    Args:
        source: method and path, for error texts.
        raw: response with its body unread.
        service: service that sent it.
        redirects: whether to return a redirect as a response instead of raising.
        quote_failure: whether the error for 429 or 5xx quotes the body. Not for a login, whose
            body a faulty server may echo.

    Raises:
        TransientError: status 429 or 5xx.
        UnexpectedResponse: a redirect, broken JSON, a body that is too large, or a 2xx without
            JSON.
    """
    source = describe_response(source, raw)
    status = raw.status_code
    retry_after = _retry_after(raw.headers.get("Retry-After"))
    if status == 429 or status >= 500:
        said = _read_failure(raw, Response(status, None, source)) if quote_failure else None
        words = said.detail or said.words if said is not None else ""
        raise TransientError(
            f"{service.name} answers {status}",
            f"{source}: {shortened(words, _MAX_TEXT_CHARS)}" if words else f"{source}.",
            service.outage_hint,
            status=status,
            retry_after=retry_after,
            body=None if said is None else said.body,
        )
    if 300 <= status < 400 and not redirects:
        raise _redirect(source, raw.headers.get("Location", ""), service)
    body, text, words = None, "", ""
    bodiless = Response(status, None, source, server=raw.headers.get("Server", ""), service=service)
    content = read_body(raw)
    if content is None:
        raise bodiless.unexpected(
            f"it is larger than {MAX_BODY_BYTES // 1_048_576} MiB, and was not read to its end."
        )
    if _content_type(raw).endswith("json"):
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise bodiless.unexpected("the JSON is cut off or broken.") from None
    if body is None:
        text = _masked_beginning(content)
        words = _words(content, _content_type(raw))
    response = Response(
        status,
        body,
        source,
        text,
        bodiless.server,
        _cookies(raw),
        service,
        retry_after,
        words,
        _error_type(raw, body),
    )
    if raw.ok and status != 204 and body is None and not redirects:
        raise response.unexpected("the body is not JSON.")
    return response


def read_items(
    source: str,
    raw: requests.Response,
    service: Service,
    key: str,
    consume: Callable[[Any], None],
) -> Response:
    """Parse a response whose object has a long list, item by item. Raises like `read_response`.

    Args:
        source: method and path, for error texts.
        raw: response with its body unread.
        service: service that sent it.
        key: name of the list. It is empty in the result.
        consume: receives each item.
    """
    if raw.status_code != 200 or not _content_type(raw).endswith("json"):
        return read_response(source, raw, service)
    response = Response(200, None, describe_response(source, raw), service=service)
    items, size = JsonItems(key, consume), 0
    try:
        for part in raw.iter_content(_CHUNK_BYTES):
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise response.unexpected("it is too large, and was not read to its end.")
            items.feed(part)
        return response._replace(body=items.close())
    except (ValueError, RecursionError):
        raise response.unexpected("the JSON is cut off or broken.") from None


def relayed_response(
    source: str, status: int, body: Any, *, quote_failure: bool = False, needs_json: bool = True
) -> Response:
    """Return Airflow's response that an API of its vendor relays in a JSON body.

    Args:
        source: method and path, for error texts.
        status: Airflow's status.
        body: Airflow's body, parsed; a text if it was not JSON.
        quote_failure: see `read_response`.
        needs_json: whether a 2xx without JSON is an error.

    Raises:
        TransientError: status 429 or 5xx.
        UnexpectedResponse: a redirect, or a 2xx without JSON.
    """
    source = f"{source} answered {status}"
    text = "" if not isinstance(body, str) else _masked_beginning(body.encode())
    response = Response(status, None if isinstance(body, str) else body, source, text, words=text)
    if status == 429 or status >= 500:
        said = response.detail if quote_failure else ""
        raise TransientError(
            f"{AIRFLOW.name} answers {status}",
            f"{source}: {shortened(said, _MAX_TEXT_CHARS)}" if said else f"{source}.",
            AIRFLOW.outage_hint,
            status=status,
            body=response.body if quote_failure else None,
        )
    if 300 <= status < 400:
        raise _redirect(source, "", AIRFLOW)
    if needs_json and status < 300 and status != 204 and response.body is None:
        raise response.unexpected("the body is not JSON.")
    return response


def read_document(source: str, raw: requests.Response, service: Service) -> tuple[Response, str]:
    """Parse a response of a service that sends XML, and return it with its whole text.

    The text may contain a secret that is not masked yet, so the response does not have it.

    Raises:
        TransientError: status 429 or 5xx.
        UnexpectedResponse: a redirect, or a body that is too large.
    """
    response = Response(raw.status_code, None, describe_response(source, raw), service=service)
    if not (response.status < 300 or 400 <= response.status < 500) or response.status == 429:
        return read_response(source, raw, service), ""  # raises the error that this status means
    content = read_body(raw)
    if content is None:
        raise response.unexpected("it is too large.")
    return response, content.decode("utf-8", "replace")


def _read_failure(raw: requests.Response, response: Response) -> Response | None:
    """Return the response with what its body says, None if that cannot be read.

    The status alone already tells that the request failed.
    """
    with suppress(Exception):  # whatever the HTTP stack raises for a body that breaks off
        content = read_body(raw) or b""
        if not _content_type(raw).endswith("json"):
            return response._replace(words=_words(content, _content_type(raw)))
        return response._replace(body=json.loads(content))
    return None


def _words(content: bytes, content_type: str) -> str:
    """Return what a person reads at the beginning of a body, masked."""
    if content_type != "text/html":
        return _masked_beginning(content)
    # Imported here, because a step without such a page should not wait for this module.
    from html import unescape  # noqa: PLC0415

    page = masked_head(content, _MAX_PAGE_BYTES)
    if len(content) > _MAX_PAGE_BYTES:
        page = cut(page, len(page) - 1)  # as in `_masked_beginning`
    return shortened(" ".join(unescape(_NO_WORDS.sub(" ", page)).split()), _MAX_TEXT_CHARS)


def _masked_beginning(content: bytes) -> str:
    """Return the beginning of a body, masked.

    The cut never splits a word, because no mask would recognize half a secret.
    """
    text = masked_head(content, _MAX_MASKED_BYTES)
    if len(content) > _MAX_MASKED_BYTES:
        # The last word may be half a secret, whatever the length of the masked text.
        text = cut(text, len(text) - 1)
    return shortened(text.strip(), _MAX_TEXT_CHARS)


def _redirect(source: str, location: str, service: Service) -> UnexpectedResponse:
    return UnexpectedResponse(
        f"{service.address} redirects",
        f"{source}, to {_target(location)}. The action follows no redirect, because "
        f"{service.redirect_risk}.",
        service.redirect_hint,
    )


def _target(location: str) -> str:
    """Return a redirect's target without its query, which may hold a token."""
    with suppress(ValueError):
        parts = urlsplit(location)
        if parts.hostname:
            return f"{parts.scheme}://{parts.hostname}{parts.path}"
    return "another path of the same server"


def _error_type(raw: requests.Response, body: Any) -> str:
    """Return AWS's type of an error: from its header, or from the body without its namespace."""
    in_body = str(body.get("__type", "")) if isinstance(body, dict) else ""
    return raw.headers.get("x-amzn-ErrorType") or in_body.rpartition("#")[2]


def _cookies(raw: requests.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in raw.raw.headers.getlist("Set-Cookie") if hasattr(raw.raw, "headers") else ():
        with suppress(CookieError):
            found |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
    return found


def _retry_after(value: str | None) -> float | None:
    """Return the value of `Retry-After`, in seconds or an HTTP date, as seconds from now."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value[:9])
    with suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    return None
