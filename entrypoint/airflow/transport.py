"""The only network code towards Airflow: one session, TLS, timeouts, no redirects, and one place where failures get names.

It sends once. Whether a request may be repeated is the caller's knowledge (`gate/patience.py`, `gate/trigger.py`); only a
refused credential that can be renewed is answered here, because such a request did not take effect
(authentication.md 2.2). It knows neither DAGs nor runs.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol

import certifi
import requests
from urllib3.exceptions import HTTPError

from entrypoint.airflow.answers import TRY_LATER, Answer, origin_of, read, unauthorized
from entrypoint.errors import AirflowUnreachable, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
"""Seconds. An Airflow that is frozen for a minute must not end a wait (waiting.md 3)."""
_CHUNK = 65_536


class Authorizer(Protocol):
    """A `requests.auth.AuthBase` that can be told that its credential was refused."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credential to the request."""

    def forget(self) -> bool:
        """Drop what was refused. True if the next call will present another one, so that repeating makes sense."""


class Transport:
    """One Airflow web server, reached with one credential.

    Args:
        base_url: without a slash at its end.
        authorizer: adds the credential; None sends none.
        read_timeout: seconds that an answer may take, asked anew for each request so that none outlasts a deadline.
        trace: is told of every request: method, path, what came back. Neither headers nor bodies.
    """

    def __init__(
        self,
        base_url: str,
        authorizer: Authorizer | None = None,
        read_timeout: Callable[[], float] = lambda: READ_TIMEOUT,
        trace: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.base_url = base_url
        self.authorizer = authorizer
        self._read_timeout = read_timeout
        self._trace = trace
        self.server_time: datetime | None = None
        self._session = requests.Session()
        # An old `_token` cookie would beat the Authorization header on Airflow 3.1 (authentication.md 3.7).
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

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
    ) -> Answer:
        """Send one request and return the answer, whatever its status, unless it is one of the below.

        Raises:
            AirflowUnreachable: no answer, a cut one, 429 or 5xx. The request may have taken effect.
            UnexpectedAnswer: a redirect, or a 2xx that is not JSON. The request may have taken effect.
            Unauthorized: 401, or Airflow 3's 403 for a token it cannot read (airflow-3.md 2).
        """
        authorizer = None if anonymous else self.authorizer
        request = _Request(method, path, params, None if body is None else json.dumps(body, allow_nan=False).encode())
        return self._presented(request, authorizer)

    def stream(
        self, path: str, accept: str, take: Callable[[bytes], bool], params: Mapping[str, Any] | None = None
    ) -> Answer:
        """Send a GET whose answer may be large, and hand its body over piece by piece, as far as `take` returns True.

        What a slow server has not sent in the time for one answer is left out. What is no success is not handed over.

        Raises:
            AirflowUnreachable, UnexpectedAnswer, Unauthorized: as `send`.
        """
        return self._presented(_Request("GET", path, params, None, accept, take), self.authorizer)

    def _presented(self, request: _Request, authorizer: Authorizer | None) -> Answer:
        answer = self._once(request, authorizer)
        if answer.refused and authorizer is not None and authorizer.forget():
            answer = self._once(request, authorizer)
        if answer.refused and authorizer is not None:
            raise unauthorized(answer)
        return answer

    def _once(self, request: _Request, authorizer: Authorizer | None) -> Answer:
        limit = self._read_timeout()
        source, began = f"{request.method} {request.path}", time.monotonic()
        try:
            with self._session.request(
                request.method,
                f"{self.base_url}{request.path}",
                params=request.params,
                data=request.body,
                headers={
                    "Accept": request.accept,
                    **({} if request.body is None else {"Content-Type": "application/json"}),
                },
                # An AuthBase keeps requests from letting ~/.netrc replace the credential (authentication.md 3.3).
                auth=authorizer or _anonymous,
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT, limit), limit),
                # Named, because REQUESTS_CA_BUNDLE of the job would win over True (authentication.md 3.4).
                verify=certifi.where(),
                stream=True,
            ) as response:
                self.server_time = _date(response.headers.get("Date"))
                if request.take is None or not response.ok:
                    response.content  # noqa: B018 - reads the body, within this try
                    answer = read(source, response)
                else:
                    answer = _handed_over(source, response, request.take, began + limit)
        except (requests.exceptions.RequestException, HTTPError) as error:
            fault = _unreachable(source, error, limit)
            self._trace(fault.detail)
            raise fault from None
        self._trace(f"{answer.source} after {time.monotonic() - began:.2f} s")
        return answer


def _date(text: str | None) -> datetime | None:
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(text) if text else None
        return moment if moment is None or moment.tzinfo else None
    return None


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    params: Mapping[str, Any] | None
    body: bytes | None
    accept: str = "application/json"
    take: Callable[[bytes], bool] | None = None


def _handed_over(source: str, response: requests.Response, take: Callable[[bytes], bool], until: float) -> Answer:
    for chunk in response.iter_content(_CHUNK):
        if not take(chunk) or time.monotonic() > until:
            break
    return Answer(response.status_code, None, origin_of(source, response))


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _unreachable(source: str, error: Exception, limit: float) -> AirflowUnreachable | UnexpectedAnswer:
    """Name what happened. The exception's own text is left out: it may quote a header or a URL with a secret."""
    if isinstance(error, requests.exceptions.SSLError):
        return UnexpectedAnswer(
            "Airflow's TLS certificate is not trusted",
            f"{source}: the TLS connection was refused on this side or on the other.",
            "Use the name that the certificate was issued for, and a certificate of a public CA.",
        )
    if isinstance(error, requests.exceptions.ProxyError):
        what = "the proxy did not let it through"
    elif isinstance(error, requests.exceptions.ConnectTimeout):
        what = "no connection within 10 s"
    elif isinstance(error, requests.exceptions.Timeout):
        what = f"no answer within {limit:.0f} s"
    elif "NameResolution" in repr(error):
        what = "the host name cannot be resolved"
    elif "refused" in repr(error):
        what = "the connection was refused"
    elif isinstance(error, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)):
        what = "the answer was cut off"
    elif isinstance(error, requests.exceptions.ConnectionError):
        what = "the connection was closed without an answer"
    else:
        what = f"it could not be sent ({type(error).__name__})"
    return AirflowUnreachable(
        "Airflow does not answer",
        f"{source}: {what}.",
        f"Check airflow_url, and that this runner's network reaches it. {TRY_LATER}",
    )
