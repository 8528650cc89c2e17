"""Requests to one Airflow: its base URL, its headers, its credential, and the answers read.

It sends once. Whether a request may be repeated is the caller's knowledge (`http/retry.py`, `run/trigger.py`); only a
refused credential that can be renewed is answered here, because such a request did not take effect
(docs/notes/credentials.md#refused-forbidden-expired). It knows neither DAGs nor runs.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from entrypoint.airflow.responses import is_refusal, no_longer, unauthorized
from entrypoint.http.client import Sending, Wire
from entrypoint.http.response import Answer, origin_of, read

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
    def doubtful(self) -> bool:
        """Whether any 403 may mean that the credential is dead, not only that a permission is missing."""

    @property
    def when_it_dies(self) -> str:
        """What to do if it cannot be renewed and is refused after `{}` for which it was accepted; empty if it can be."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credential to the request."""

    def left(self) -> float | None:
        """Return the seconds until the credential dies, if it cannot be renewed and says when."""

    def forget(self) -> bool:
        """Drop what was refused. True if the next call will present another one, so that repeating makes sense."""


class Transport:
    """One Airflow web server, reached with one credential.

    Args:
        base_url: without a slash at its end.
        wire: the way to it.
        headers: go with every request.

    `vague` tells that this Airflow answers 403 to a bad credential as it does to a missing permission.
    """

    def __init__(self, base_url: str, wire: Wire | None = None, headers: tuple[tuple[str, Secret], ...] = ()) -> None:
        self.base_url = base_url
        self.authorizer: Authorizer | None = None
        self.vague = False
        self.server_time: datetime | None = None
        self._wire = wire or Wire()
        self._headers = headers
        self._accepted: float | None = None

    def left(self) -> float:
        """Return the seconds until no further request is worth sending; whoever reads a list page by page asks for it."""
        return self._wire.left()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
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
        telling: bool = True,
    ) -> Answer:
        """Send one request and return the answer, whatever its status, unless it is one of the below.

        Args:
            method: of HTTP.
            path: below the base URL.
            params: the query.
            body: goes as JSON.
            anonymous: whether to leave the credential out.
            telling: whether Airflow would refuse a bad credential here.

        Raises:
            AirflowUnreachable: no answer, a cut one, 429 or 5xx. The request may have taken effect.
            UnexpectedAnswer: a redirect, or a 2xx that is not JSON. The request may have taken effect.
            Unauthorized: 401, or Airflow 3's 403 for a token it cannot read (docs/notes/airflow-3.md#401-and-403).
        """
        authorizer = None if anonymous else self.authorizer
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        return self._presented(_Request(method, path, params, data), authorizer, telling=telling)

    def stream(
        self, path: str, accept: str, take: Callable[[bytes], bool], params: Mapping[str, Any] | None = None
    ) -> Answer:
        """Send a GET whose answer may be large, and hand its body over piece by piece, as far as `take` returns True.

        What a slow server has not sent in the time for one answer is left out. What is no success is not handed over.

        Raises:
            AirflowUnreachable, UnexpectedAnswer, Unauthorized: as `send`.
        """
        return self._presented(_Request("GET", path, params, None, accept, take), self.authorizer)

    def listen(
        self, path: str, params: Mapping[str, Any], take: Callable[[bytes], bool], silence: float, lasts: float
    ) -> Answer:
        """Send a GET whose answer goes on and on, and hand over what comes as soon as it does, until `take` returns False.

        Args:
            path: below the base URL.
            params: the query.
            take: is given pieces that need not end where a line does.
            silence: seconds without a byte after which nothing more is expected.
            lasts: seconds after which it is over, whatever comes.

        Raises:
            AirflowUnreachable: also when it falls silent. UnexpectedAnswer, Unauthorized: as `send`.
        """
        request = _Request("GET", path, params, None, take=take, silence=silence, lasts=lasts)
        return self._presented(request, self.authorizer)

    def put(self, path: str) -> Answer:
        """Send a PUT of which the status alone is answer enough; Airflow 2 sends no JSON with it. Raises as `send`."""
        return self._presented(_Request("PUT", path, None, None, take=lambda _: False), self.authorizer)

    def refused(self, answer: Answer) -> Unauthorized:
        """Return the error for an answer that means that the credential was refused."""
        if self._accepted is not None and self.authorizer is not None and self.authorizer.when_it_dies:
            return no_longer(answer, time.monotonic() - self._accepted, self.authorizer.when_it_dies)
        return unauthorized(answer)

    def _presented(self, request: _Request, authorizer: Authorizer | None, *, telling: bool = True) -> Answer:
        answer = self._once(request, authorizer)
        if authorizer is None:
            return answer
        doubtful = answer.status == 403 and (self.vague or authorizer.doubtful)
        if (is_refusal(answer) or doubtful) and authorizer.forget():
            answer = self._once(request, authorizer)
        left = authorizer.left()
        if is_refusal(answer) or (answer.status == 403 and left is not None and left <= 0):
            raise self.refused(answer)
        if telling and answer.status != 403:
            self._accepted = self._accepted or time.monotonic()
        return answer

    def _once(self, request: _Request, authorizer: Authorizer | None) -> Answer:
        source = f"{request.method} {request.path}"
        listens = request.silence < inf

        def use(response: requests.Response, until: float) -> Answer:
            self.server_time = _date(response.headers.get("Date"))
            if request.take is None or response.status_code >= 300:
                return read(source, response)
            if listens:
                return _passed_on(source, response, request.take)
            return _handed_over(source, response, request.take, until)

        headers = {name: value.reveal() for name, value in self._headers} | {"Accept": request.accept}
        if listens:
            headers["Accept-Encoding"] = "identity"  # or whoever compresses may keep a line back
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self.base_url}{request.path}"
        kept = request.silence, request.lasts
        sending = Sending(request.method, url, source, headers, request.params, request.body, authorizer, *kept)
        return self._wire.send(sending, use)


class _Request(NamedTuple):
    method: str
    path: str
    params: Mapping[str, Any] | None
    body: bytes | None
    accept: str = "application/json"
    take: Callable[[bytes], bool] | None = None
    silence: float = inf
    lasts: float | None = None


def _date(text: str | None) -> datetime | None:
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(text) if text else None
        return moment if moment is None or moment.tzinfo else None
    return None


def _handed_over(source: str, response: requests.Response, take: Callable[[bytes], bool], until: float) -> Answer:
    size = 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if not take(chunk) or time.monotonic() > until or size > _MAX_STREAM:
            break
    return Answer(response.status_code, None, origin_of(source, response))


def _passed_on(source: str, response: requests.Response, take: Callable[[bytes], bool]) -> Answer:
    # Not `iter_content`: of an answer without chunks, as a gateway may make it, that waits until a whole piece is there.
    while piece := response.raw.read1(_CHUNK, decode_content=True):
        if not take(piece):
            break
    return Answer(response.status_code, None, origin_of(source, response))
