"""Requests to one Airflow: its base URL, its headers, its credential, and the answers read.

It sends once. Whether a request may be repeated is the caller's knowledge (`http/retry.py`,
`run/trigger.py`); only a refused credential that can be renewed is answered here, because such a
request did not consume effect (docs/notes/credentials.md#refused-forbidden-expired). It knows
neither DAGs nor runs.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from entrypoint.airflow.responses import is_credential_refused, no_longer_accepted, unauthorized
from entrypoint.http.client import HttpClient, Request
from entrypoint.http.response import Response, describe_response, read_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import requests

    from entrypoint.credentials import Secret
    from entrypoint.errors import Unauthorized

_CHUNK = 65_536
_MAX_STREAM = 268_435_456
"""Bytes of a log that are read, decompressed. What is kept of them is far less."""


class Authorizer(Protocol):
    """A `requests.auth.AuthBase` that can be told that its credential was refused."""

    @property
    def ambiguous_403(self) -> bool:
        """Whether any 403 may mean that the credential is dead, not only that a permission is
        missing.
        """

    @property
    def expiry_hint(self) -> str:
        """What to do if it cannot be renewed and is refused after `{}` for which it was accepted;
        empty if it can be.
        """

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credential to the request."""

    def seconds_left(self) -> float | None:
        """Return the seconds until the credential dies, if it cannot be renewed and says when."""

    def discard(self) -> bool:
        """Drop what was refused. True if the next call will present another one, so that repeating
        makes sense.
        """


class Transport:
    """One Airflow web server, reached with one credential.

    Args:
        base_url: without a slash at its end.
        wire: the way to it.
        headers: go with every request.

    `vague` tells that this Airflow answers 403 to a bad credential as it does to a missing
    permission.
    """

    def __init__(
        self,
        base_url: str,
        wire: HttpClient | None = None,
        headers: tuple[tuple[str, Secret], ...] = (),
    ) -> None:
        self.base_url = base_url
        self.authorizer: Authorizer | None = None
        self.ambiguous_403 = False
        self.server_time: datetime | None = None
        self._http = wire or HttpClient()
        self._headers = headers
        self._accepted: float | None = None

    def seconds_left(self) -> float:
        """Return the seconds until no further request is worth request; whoever reads a list page
        by page asks for it.
        """
        return self._http.seconds_left()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Response:
        """Send a GET, which may be repeated. Raises as `send`."""
        return self.send("GET", path, params=params)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        anonymous: bool = False,
        checks_credential: bool = True,
    ) -> Response:
        """Send one request and return the answer, whatever its status, unless it is one of the
        below.

        Args:
            method: of HTTP.
            path: below the base URL.
            params: the query.
            body: goes as JSON.
            anonymous: whether to leave the credential out.
            checks_credential: whether Airflow would refuse a bad credential here.

        Raises: TransientError: no answer, a cut one, 429 or 5xx. The request may have taken effect.
            UnexpectedResponse: a redirect, or a 2xx that is not JSON. The request may have taken
            effect. Unauthorized: 401, or Airflow 3's 403 for a token it cannot read
            (docs/notes/airflow-3.md#401-and-403).
        """
        authorizer = None if anonymous else self.authorizer
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        return self._presented(
            _ApiRequest(method, path, params, data), authorizer, checks_credential=checks_credential
        )

    def download(
        self,
        path: str,
        accept: str,
        consume: Callable[[bytes], bool],
        params: Mapping[str, Any] | None = None,
    ) -> Response:
        """Send a GET whose answer may be large, and hand its body over piece by piece, as far as
        `consume` returns True.

        What a slow server has not sent in the time for one answer is left out. What is no success
        is not handed over.

        Raises:
            TransientError, UnexpectedResponse, Unauthorized: as `send`.
        """
        return self._presented(
            _ApiRequest("GET", path, params, None, accept, consume), self.authorizer
        )

    def stream(
        self,
        path: str,
        params: Mapping[str, Any],
        consume: Callable[[bytes], bool],
        max_silence: float,
        max_seconds: float,
    ) -> Response:
        """Send a GET whose answer goes on and on, and hand over what comes as soon as it does,
        until `consume` returns False.

        Args:
            path: below the base URL.
            params: the query.
            consume: is given pieces that need not end where a line does.
            max_silence: seconds without a byte after which nothing more is expected.
            max_seconds: seconds after which it is over, whatever comes.

        Raises:
            TransientError: also when it falls silent. UnexpectedResponse, Unauthorized: as `send`.
        """
        request = _ApiRequest(
            "GET",
            path,
            params,
            None,
            consume=consume,
            max_silence=max_silence,
            max_seconds=max_seconds,
        )
        return self._presented(request, self.authorizer)

    def put(self, path: str) -> Response:
        """Send a PUT of which the status alone is answer enough; Airflow 2 sends no JSON with it.
        Raises as `send`.
        """
        return self._presented(
            _ApiRequest("PUT", path, None, None, consume=lambda _: False), self.authorizer
        )

    def refused(self, answer: Response) -> Unauthorized:
        """Return the error for an answer that means that the credential was refused."""
        if (
            self._accepted is not None
            and self.authorizer is not None
            and self.authorizer.expiry_hint
        ):
            return no_longer_accepted(
                answer, time.monotonic() - self._accepted, self.authorizer.expiry_hint
            )
        return unauthorized(answer)

    def _presented(
        self, request: _ApiRequest, authorizer: Authorizer | None, *, checks_credential: bool = True
    ) -> Response:
        answer = self._once(request, authorizer)
        if authorizer is None:
            return answer
        ambiguous_403 = answer.status == 403 and (self.ambiguous_403 or authorizer.ambiguous_403)
        if (is_credential_refused(answer) or ambiguous_403) and authorizer.discard():
            answer = self._once(request, authorizer)
        left = authorizer.seconds_left()
        if is_credential_refused(answer) or (
            answer.status == 403 and left is not None and left <= 0
        ):
            raise self.refused(answer)
        if checks_credential and answer.status != 403:
            self._accepted = self._accepted or time.monotonic()
        return answer

    def _once(self, request: _ApiRequest, authorizer: Authorizer | None) -> Response:
        source = f"{request.method} {request.path}"
        listens = request.max_silence < inf

        def use(response: requests.Response, until: float) -> Response:
            self.server_time = _date(response.headers.get("Date"))
            if request.consume is None or response.status_code >= 300:
                return read_response(source, response)
            if listens:
                return _passed_on(source, response, request.consume)
            return _handed_over(source, response, request.consume, until)

        headers = {name: value.reveal() for name, value in self._headers} | {
            "Accept": request.accept
        }
        if listens:
            headers["Accept-Encoding"] = "identity"  # or whoever compresses may keep a line back
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self.base_url}{request.path}"
        limits = request.max_silence, request.max_seconds
        sent = Request(
            request.method, url, source, headers, request.params, request.body, authorizer, *limits
        )
        return self._http.send(sent, use)


class _ApiRequest(NamedTuple):
    method: str
    path: str
    params: Mapping[str, Any] | None
    body: bytes | None
    accept: str = "application/json"
    consume: Callable[[bytes], bool] | None = None
    max_silence: float = inf
    max_seconds: float | None = None


def _date(text: str | None) -> datetime | None:
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(text) if text else None
        return moment if moment is None or moment.tzinfo else None
    return None


def _handed_over(
    source: str, response: requests.Response, consume: Callable[[bytes], bool], until: float
) -> Response:
    size = 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if not consume(chunk) or time.monotonic() > until or size > _MAX_STREAM:
            break
    return Response(response.status_code, None, describe_response(source, response))


def _passed_on(
    source: str, response: requests.Response, consume: Callable[[bytes], bool]
) -> Response:
    # Not `iter_content`: of an answer without chunks, as a gateway may make it, that waits until a
    # whole piece is there.
    while piece := response.raw.read1(_CHUNK, decode_content=True):
        if not consume(piece):
            break
    return Response(response.status_code, None, describe_response(source, response))
