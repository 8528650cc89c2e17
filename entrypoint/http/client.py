"""One HTTP exchange with one party: the only code that touches the network. TLS, timeouts, no
redirects, failures named once.

It sends each request once. It knows no endpoint of any API, and Airflow only as a party with an
address. Of the job's
environment nothing counts here but its proxy: neither `~/.netrc` nor `REQUESTS_CA_BUNDLE`
(docs/notes/credentials.md#netrc-and-ca-bundle).
"""

from __future__ import annotations

import logging
import time
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import certifi
import requests
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from entrypoint.credentials import Tls
from entrypoint.errors import ActionError, TransientError, UnexpectedResponse
from entrypoint.http.limits import MAX_JSON_MARKS, ExchangeDeadline, LimitedAdapter, TooManyValues
from entrypoint.http.response import (
    AIRFLOW,
    CHECK_AIRFLOW_HINT,
    RE_RUN_HINT,
    Response,
    Service,
    read_response,
)
from entrypoint.http.tls import create_context, is_certificate_error, openssl_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests.auth import AuthBase

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
"""Seconds. An Airflow that is frozen for a minute must not end a wait
(docs/notes/waiting.md#timeouts-and-retries).
"""

T = TypeVar("T")

# What urllib3 logs of odd headers would stand in a user's log, with a traceback and the header's
# text.
logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)

_UNREADABLE = (
    requests.exceptions.RequestException,
    HTTPError,
    HTTPException,
    OSError,
    ValueError,
    OverflowError,
)
"""What the HTTP stack raises for what it cannot read. Not all of it is wrapped: a header that is no
UTF-8.
"""


class Request(NamedTuple):
    """A request.

    Attributes: source: how error texts name it. auth: adds the credential. read_timeout: seconds
        without a byte after which it counts as unanswered, if that is less than what any answer may
        take. max_seconds: seconds for an answer that goes on and on; None: it takes no longer than
        any other.
    """

    method: str
    url: str
    source: str
    headers: Mapping[str, str] = MappingProxyType({})
    params: Mapping[str, Any] | None = None
    body: bytes | Mapping[str, str] | None = None
    auth: AuthBase | Callable[[requests.PreparedRequest], requests.PreparedRequest] | None = None
    read_timeout: float = inf
    max_seconds: float | None = None

    def __repr__(self) -> str:
        """Show nothing that may hold a secret."""
        return f"Request({self.source!r})"


class HttpClient:
    """The way to one party.

    Args: party: whom error texts name. tls: CAs that are trusted beside the public ones, and a
        client certificate. present: whether this party is shown the client certificate.
        read_timeout: seconds that an exchange may take, asked anew for each request so that none
        outlasts a deadline. left: seconds until what this is for is no longer worth anything. One
        request more is still sent: the last look. trace: is told of every request: method, path,
        what came back. Neither headers nor bodies.
    """

    def __init__(
        self,
        party: Service = AIRFLOW,
        tls: Tls = Tls(),  # noqa: B008 - nothing can change it
        *,
        present: bool = False,
        read_timeout: Callable[[], float] = lambda: READ_TIMEOUT,
        seconds_left: Callable[[], float] = lambda: inf,
        trace: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.party = party
        self.seconds_left = seconds_left
        self._read_timeout = read_timeout
        self._trace = trace
        self._session = _Session()
        # Or the job's environment would choose whom to trust, and ~/.netrc what to present
        # (docs/notes/credentials.md#netrc-and-ca-bundle).
        self._session.trust_env = False
        self._proxies: dict[str, dict[str, str]] = {}
        self._deadline = ExchangeDeadline()
        made = None if tls == Tls() else create_context(tls, present=present)
        self._session.mount("https://", LimitedAdapter(self._deadline, made))
        self._session.mount("http://", LimitedAdapter(self._deadline))
        # An old `_token` cookie would beat the Authorization header on Airflow 3.1
        # (docs/notes/credentials.md#cookies).
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, request: Request, *, redirects: bool = False) -> Response:
        """Send once and return the answer, read. Raises the errors of `send` and of
        `answers.read`.
        """
        return self.send(
            request,
            lambda response, _: read_response(
                request.source, response, self.party, redirects=redirects
            ),
        )

    def send(self, request: Request, use: Callable[[requests.Response, float], T]) -> T:
        """Send once, and return what `use` makes of the response and of the moment at which its
        time is over.

        `use` reads the body: what fails meanwhile is named like what failed before. Raises what
        `use` raises, and:

        Raises:
            TransientError: no answer, or a cut one. The request may have taken effect.
            UnexpectedResponse: the TLS certificate is not trusted.
        """
        limit = min(self._read_timeout(), request.read_timeout)
        began = time.monotonic()
        self._deadline.begin(limit if request.max_seconds is None else request.max_seconds, limit)
        try:
            with self._session.request(
                request.method,
                request.url,
                params=request.params,
                data=request.body,
                headers=dict(request.headers),
                auth=request.auth or _anonymous,
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT, limit), limit),
                proxies=self._proxies_to(request.url),
                verify=certifi.where(),
                stream=True,
            ) as response:
                made = use(response, self._deadline.until)
                self._trace(
                    f"{request.source} answered {response.status_code} after "
                    f"{time.monotonic() - began:.2f} s"
                )
                return made
        except _UNREADABLE as error:
            self._deadline.abandon()
            fault = _unreachable(request, error, limit, self.party)
            self._trace(fault.detail)
            raise fault from None
        except ActionError as error:
            self._trace(error.detail)
            raise

    def _proxies_to(self, url: str) -> dict[str, str]:
        """Return the proxies that the job's environment names for this host. Looked up once: it is
        a walk through it all.
        """
        host = urlsplit(url).netloc
        if host not in self._proxies:
            self._proxies[host] = get_environ_proxies(url)
        return self._proxies[host]


class _Session(requests.Session):
    """Takes a redirect for an answer, and does not parse where it leads: even for one that it must
    not follow it would.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        del resp


def path_of(url: str) -> str:
    """Return host and path of a URL, which may be shown where the rest of it may not."""
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _unreachable(
    request: Request, error: Exception, limit: float, party: Service
) -> TransientError | UnexpectedResponse:
    """Name what happened. The exception's own text is left out: it may quote a header or a URL with
    a secret.
    """
    if is_certificate_error(error):
        return UnexpectedResponse(
            f"No trusted TLS connection to {party.name}",
            f"{request.source}: {openssl_reason(error)}.",
            "Use the name that the certificate was issued for. For a CA of your own give "
            "its certificate as ca_certificate.",
        )
    if isinstance(error, TooManyValues):
        what = (
            f"it is an answer of more than {MAX_JSON_MARKS:,} values, and was not read to its end."
        )
        return Response(0, None, request.source, party=party).unexpected(what)
    hint = (
        f"Check {party.where}, and that this runner's network reaches it. "
        f"{CHECK_AIRFLOW_HINT if party is AIRFLOW else RE_RUN_HINT}"
    )
    if isinstance(error, requests.exceptions.SSLError):
        hint = (
            "If the server wants a client certificate, give client_certificate and "
            f"client_key. {hint}"
        )
    what = _what_failed(error, limit)
    return TransientError(
        f"{party.name} does not answer",
        f"{request.source}: {what}.",
        hint,
    )


def _what_failed(error: Exception, limit: float) -> str:
    names, http = repr(error), requests.exceptions
    kinds: tuple[tuple[bool, str], ...] = (
        # A server that is just being replaced closes a handshake, or answers it with a page.
        (isinstance(error, http.SSLError), f"no TLS connection ({openssl_reason(error)})"),
        (isinstance(error, http.ProxyError), "the proxy did not let it through"),
        (
            isinstance(error, http.ConnectTimeout),
            f"no connection within {min(CONNECT_TIMEOUT, limit):.0f} s",
        ),
        (
            isinstance(error, (http.Timeout, TimeoutError)) or "timed out" in names,
            f"no answer within {limit:.0f} s",
        ),
        ("NameResolution" in names, "the host name cannot be resolved"),
        ("refused" in names, "the connection was refused"),
        (
            isinstance(error, (http.ChunkedEncodingError, http.ContentDecodingError)),
            "the answer was cut off",
        ),
        (isinstance(error, http.ConnectionError), "the connection was closed without an answer"),
        (
            isinstance(error, (http.RequestException, HTTPError)),
            f"it could not be sent ({type(error).__name__})",
        ),
    )
    return next(
        (what for so, what in kinds if so), f"the answer could not be read ({type(error).__name__})"
    )
