"""Send requests to one Airflow with its base URL, headers and credential.

Each request is sent once, because only the caller knows whether it may be retried (`http/retry.py`,
`run/trigger.py`). There is one exception: after a refusal of a credential that can be renewed, the
transport renews it and sends the request once more, because a refused request had no effect
(docs/notes/credentials.md#refused-forbidden-expired). A request that must not take effect twice is
an error then, because the refusal may be a gateway's. It knows neither DAGs nor runs.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from entrypoint.airflow.responses import (
    describe,
    is_credential_refused,
    no_longer_accepted,
    unauthorized,
)
from entrypoint.errors import CredentialRenewed
from entrypoint.http.client import HttpClient, Request
from entrypoint.http.response import Response, describe_response, read_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import requests

    from entrypoint.credentials import Secret
    from entrypoint.deadline import Deadline
    from entrypoint.errors import Unauthorized

_CHUNK = 65_536
_MAX_DOWNLOAD_BYTES = 268_435_456
"""Maximum bytes of a log that are read, decompressed. Far fewer are kept."""


class Authorizer(Protocol):
    """Adds a credential to requests, and can discard a refused one."""

    @property
    def ambiguous_403(self) -> bool:
        """Whether any 403 may mean an expired credential, not only a missing permission."""

    @property
    def expiry_hint(self) -> str:
        """Hint for a refusal of a credential without renewal, empty if it can be renewed.

        `{}` stands for the time for which it was accepted.
        """

    @property
    def refusal_hint(self) -> str:
        """Hint for a refusal, empty for the usual one."""

    def authorize(
        self, deadline: Deadline, request: requests.PreparedRequest
    ) -> requests.PreparedRequest:
        """Add the credential to the request; obtain it before the deadline."""

    def seconds_left(self, deadline: Deadline) -> float | None:
        """Return the seconds until a credential without renewal expires, None if unknown."""

    def discard(self) -> bool:
        """Discard the refused credential.

        Returns:
            Whether the next call obtains another one, so that the request can be sent again.
        """


class Transport:
    """Sends requests to one Airflow web server with one credential.

    Args:
        base_url: URL without a slash at its end.
        http_client: HTTP client for Airflow.
        headers: headers of every request.
        gateway: adds the credential of a gateway in front of Airflow to every request.

    Attributes:
        authorizer: adds the credential, None before `connect` has set it.
        ambiguous_403: whether this Airflow sends the same 403 for a bad credential and for a
            missing permission.
        server_time: value of the header `Date` of the last response.
        ui_url: where people open this Airflow, the beginning of every link.
    """

    def __init__(
        self,
        base_url: str,
        http_client: HttpClient | None = None,
        headers: tuple[tuple[str, Secret], ...] = (),
        gateway: Authorizer | None = None,
    ) -> None:
        self.base_url = base_url
        self.ui_url = base_url
        self.authorizer: Authorizer | None = None
        self.ambiguous_403 = False
        self.server_time: datetime | None = None
        self._http = http_client or HttpClient()
        self._headers = headers
        self._gateway = gateway
        self._accepted_since: float | None = None
        self._refused_once: set[str] = set()

    def require_path(self, path: str) -> None:
        """Check that requests to this path can be sent. Sends nothing.

        Raises:
            NotSupported: this transport cannot carry them.
        """

    def get(
        self, path: str, deadline: Deadline, params: Mapping[str, Any] | None = None
    ) -> Response:
        """Send a GET, which the caller may retry.

        Raises:
            ActionError: any error of `send`.
        """
        return self.send("GET", path, deadline, params=params)

    def send(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        anonymous: bool = False,
        checks_credential: bool = True,
        quote_failure: bool = False,
        repeatable: bool = True,
    ) -> Response:
        """Send a request and return its response, whatever its status.

        If Airflow refuses a credential that can be renewed, the request is sent once more with a
        new one.

        Args:
            method: HTTP method.
            path: path below the base URL.
            deadline: deadline of the exchange, and of a renewal of the credential.
            params: query parameters.
            body: JSON body.
            anonymous: whether to send no credential.
            checks_credential: whether Airflow refuses a bad credential at this endpoint.
            quote_failure: whether the error for 429 or 5xx quotes the response.
            repeatable: whether to send the request once more after a renewal.

        Raises:
            CredentialRenewed: the credential was refused, and the request is not `repeatable`.
            TransientError: no complete response, 429 or 5xx. The request may have taken effect.
            UnexpectedResponse: a redirect, or a 2xx without JSON. The request may have taken
                effect.
            Unauthorized: 401, Airflow 3's 403 for an unreadable token
                (docs/notes/airflow-3.md#401-and-403), or any 403 after the credential's expiry.
        """
        authorizer = None if anonymous else self.authorizer
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        return self._send_authorized(
            ApiRequest(method, path, deadline, params, data, quote_failure=quote_failure),
            authorizer,
            checks_credential=checks_credential,
            repeatable=repeatable,
        )

    def download(
        self,
        path: str,
        deadline: Deadline,
        accept: str,
        consume: Callable[[bytes], bool],
        params: Mapping[str, Any] | None = None,
    ) -> Response:
        """Send a GET with a large response, and pass its body on in chunks.

        The download stops early, without an error, if `consume` returns False, or after a chunk
        that exceeds the deadline or _MAX_DOWNLOAD_BYTES. `consume` gets only the body of a success.

        Args:
            path: path below the base URL.
            deadline: deadline of the exchange.
            accept: value of the header `Accept`.
            consume: receives each chunk and returns whether to continue.
            params: query parameters.

        Raises:
            TransientError, UnexpectedResponse, Unauthorized: as `send`.
        """
        return self._send_authorized(
            ApiRequest("GET", path, deadline, params, None, accept, consume), self.authorizer
        )

    def stream(
        self,
        path: str,
        deadline: Deadline,
        params: Mapping[str, Any],
        consume: Callable[[bytes], bool],
        *,
        max_silence: float,
        max_seconds: float,
    ) -> Response:
        """Send a GET with an endless response, and pass on each chunk as soon as it arrives.

        The stream stops when `consume` returns False.

        Args:
            path: path below the base URL.
            deadline: deadline of the step's wait.
            params: query parameters.
            consume: receives each chunk, which may end within a line, and returns whether to
                continue.
            max_silence: maximum seconds without a byte.
            max_seconds: maximum seconds of the stream.

        Raises:
            TransientError: also when one of the two limits is exceeded.
            UnexpectedResponse, Unauthorized: as `send`.
        """
        request = ApiRequest(
            "GET",
            path,
            deadline,
            params,
            None,
            consume=consume,
            max_silence=max_silence,
            max_seconds=max_seconds,
        )
        return self._send_authorized(request, self.authorizer)

    def put(self, path: str, deadline: Deadline) -> Response:
        """Send a PUT and read only the status, because Airflow 2 sends no JSON with it.

        Raises:
            ActionError: any error of `send`.
        """
        return self._send_authorized(
            ApiRequest("PUT", path, deadline, None, None, consume=lambda _: False), self.authorizer
        )

    def refusal_error(self, response: Response) -> Unauthorized:
        """Return the error for a response that means a refused credential."""
        if (
            self._accepted_since is not None
            and self.authorizer is not None
            and self.authorizer.expiry_hint
        ):
            return no_longer_accepted(
                response, time.monotonic() - self._accepted_since, self.authorizer.expiry_hint
            )
        return unauthorized(response, self.authorizer.refusal_hint if self.authorizer else "")

    def _send_authorized(
        self,
        request: ApiRequest,
        authorizer: Authorizer | None,
        *,
        checks_credential: bool = True,
        repeatable: bool = True,
    ) -> Response:
        response = self._send_once(request, authorizer)
        if authorizer is None:
            return response
        if self._may_be_refused(response, authorizer) and self._discard(authorizer):
            if repeatable:
                response = self._send_once(request, authorizer)
            else:
                self._raise_once(request, response)
        left = authorizer.seconds_left(request.deadline)
        if is_credential_refused(response) or (
            response.status == 403 and left is not None and left <= 0
        ):
            raise self.refusal_error(response)
        if checks_credential and response.status != 403:
            self._accepted_since = self._accepted_since or time.monotonic()
        return response

    def _raise_once(self, request: ApiRequest, response: Response) -> None:
        """Raise CredentialRenewed, unless the same request was refused before.

        Then the new credential was refused too, and its refusal is final.
        """
        key = f"{request.method} {request.path}"
        if key in self._refused_once:
            return
        self._refused_once.add(key)
        raise CredentialRenewed(
            "The credential was refused and renewed",
            describe(response),
            "Check that the credential is valid for longer than a few seconds.",
            status=response.status,
        )

    def _may_be_refused(self, response: Response, authorizer: Authorizer) -> bool:
        """Return whether the response may mean that the credential has expired."""
        return is_credential_refused(response) or (
            response.status == 403 and (self.ambiguous_403 or authorizer.ambiguous_403)
        )

    def _discard(self, authorizer: Authorizer) -> bool:
        """Discard the credentials that can be renewed, and return whether there is one.

        A 401 does not tell whether Airflow or a gateway refused.
        """
        gateway = self._gateway is not None and self._gateway.discard()
        return authorizer.discard() or gateway

    def _authorized(
        self, authorizer: Authorizer | None, deadline: Deadline, request: requests.PreparedRequest
    ) -> requests.PreparedRequest:
        for one in (self._gateway, authorizer):
            request = request if one is None else one.authorize(deadline, request)
        return request

    def _send_once(self, request: ApiRequest, authorizer: Authorizer | None) -> Response:
        source = f"{request.method} {request.path}"
        streaming = request.max_silence < inf

        def read(raw: requests.Response, until: float) -> Response:
            self.server_time = response_date(raw.headers.get("Date"))
            if request.consume is None or raw.status_code >= 300:
                return read_response(source, raw, quote_failure=request.quote_failure)
            if streaming:
                return _read_stream(source, raw, request.consume)
            return _read_chunks(source, raw, request.consume, until)

        headers = {name: value.reveal() for name, value in self._headers} | {
            "Accept": request.accept
        }
        if streaming:
            headers["Accept-Encoding"] = "identity"  # compression could delay a line
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self.base_url}{request.path}"
        limits = request.max_silence, request.max_seconds
        auth = partial(self._authorized, authorizer, request.deadline)
        http_request = Request(
            request.method,
            url,
            source,
            headers,
            request.params,
            request.body,
            auth,
            request.deadline,
            *limits,
        )
        return self._http.send(http_request, read)


class ApiRequest(NamedTuple):
    """A request to the API of Airflow. `consume` receives the body in chunks, if it is set."""

    method: str
    path: str
    deadline: Deadline
    params: Mapping[str, Any] | None
    body: bytes | None
    accept: str = "application/json"
    consume: Callable[[bytes], bool] | None = None
    max_silence: float = inf
    max_seconds: float | None = None
    quote_failure: bool = False


def response_date(text: str | None) -> datetime | None:
    """Return the value of a header `Date`, None if it is missing or invalid."""
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(text) if text else None
        return moment if moment is None or moment.tzinfo else None
    return None


def _read_chunks(
    source: str, raw: requests.Response, consume: Callable[[bytes], bool], until: float
) -> Response:
    size = 0
    for chunk in raw.iter_content(_CHUNK):
        size += len(chunk)
        if not consume(chunk) or time.monotonic() > until or size > _MAX_DOWNLOAD_BYTES:
            break
    return Response(raw.status_code, None, describe_response(source, raw))


def _read_stream(source: str, raw: requests.Response, consume: Callable[[bytes], bool]) -> Response:
    # Not `iter_content`, because for a response without chunked encoding, which a gateway may
    # send, it waits for a whole chunk.
    while chunk := raw.raw.read1(_CHUNK, decode_content=True):
        if not consume(chunk):
            break
    return Response(raw.status_code, None, describe_response(source, raw))
