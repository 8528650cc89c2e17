"""Send one HTTP request to one service, with TLS, timeouts and no redirects.

This module is the only code that touches the network. It sends each request once, and it turns
every error of the HTTP libraries into an `ActionError`. It knows no API endpoint.

It names itself in `User-Agent`, so that operators find its requests in the log of a gateway. From
the job's environment it uses only the proxy settings, and neither `~/.netrc` nor
`REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE` (docs/notes/credentials.md#netrc-and-ca-bundle).
"""

from __future__ import annotations

import logging
import os
import time
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import certifi
import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError

from entrypoint import __version__, form
from entrypoint.credentials import Tls
from entrypoint.deadline import Deadline
from entrypoint.errors import (
    ActionError,
    NotSupported,
    TlsTrustError,
    UnexpectedResponse,
    Unreachable,
)
from entrypoint.http.limits import MAX_JSON_MARKS, ExchangeDeadline, LimitedAdapter, TooManyValues
from entrypoint.http.own_machine import reach_advice
from entrypoint.http.response import (
    AIRFLOW,
    Response,
    Service,
    read_items,
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

USER_AGENT = f"airflow-dag-run/{__version__}"
"""Value of the header `User-Agent`, unless the input `headers` sets another for Airflow."""

T = TypeVar("T")

# urllib3 logs malformed headers with a traceback and their text, which would reach the user's log.
logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)

_HTTP_ERRORS = (
    requests.exceptions.RequestException,
    HTTPError,
    HTTPException,
    OSError,
    ValueError,
    OverflowError,
)
"""Exceptions of the HTTP stack.

requests does not wrap all of them, for example if a header is not valid UTF-8.
"""


NO_DEADLINE = Deadline(time.monotonic, inf, READ_TIMEOUT)
"""The deadline of a request without one of its own."""


class Request(NamedTuple):
    """An HTTP request.

    Attributes:
        source: name of the request in error texts.
        auth: adds the credential.
        deadline: deadline of the exchange.
        read_timeout: maximum seconds without a byte, if the deadline allows more.
        max_seconds: maximum seconds for the whole response, for a stream; None: the read timeout.
    """

    method: str
    url: str
    source: str
    headers: Mapping[str, str] = MappingProxyType({})
    params: Mapping[str, Any] | None = None
    body: bytes | Mapping[str, str] | None = None
    auth: AuthBase | Callable[[requests.PreparedRequest], requests.PreparedRequest] | None = None
    deadline: Deadline = NO_DEADLINE
    read_timeout: float = inf
    max_seconds: float | None = None

    def __repr__(self) -> str:
        """Show only the source, because the other fields may hold a secret."""
        return f"Request({self.source!r})"


class HttpClient:
    """Sends requests to one service.

    Args:
        service: service that error texts name.
        tls: CAs to trust in addition to the public ones, and a client certificate.
        send_client_certificate: whether this service gets the client certificate.
        trace: receives a line for each request: method, path and outcome, but neither headers nor
            bodies.
    """

    def __init__(
        self,
        service: Service = AIRFLOW,
        tls: Tls = Tls(),  # noqa: B008 - nothing can change it
        *,
        send_client_certificate: bool = False,
        trace: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.service = service
        self._trace = trace
        self._session = _NoRedirectSession()
        # Otherwise the environment would choose the CAs, and ~/.netrc the credential
        # (docs/notes/credentials.md#netrc-and-ca-bundle).
        self._session.trust_env = False
        self._session.headers["User-Agent"] = USER_AGENT
        self._proxies: dict[str, dict[str, str]] = {}
        self._deadline = ExchangeDeadline()
        context = (
            None
            if tls == Tls() and not form.FROM_FILE
            else create_context(tls, send_client_certificate=send_client_certificate)
        )
        self._session.mount("https://", LimitedAdapter(self._deadline, context))
        self._session.mount("http://", LimitedAdapter(self._deadline))
        # On Airflow 3.1 an old `_token` cookie would override the Authorization header
        # (docs/notes/credentials.md#cookies).
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, request: Request, *, redirects: bool = False) -> Response:
        """Send a request once and return the parsed response.

        Args:
            request: request to send.
            redirects: whether to return a redirect as a response instead of raising.

        Raises:
            ActionError: an error of `send` or of `read_response`.
        """
        return self.send(
            request,
            lambda raw, _: read_response(request.source, raw, self.service, redirects=redirects),
        )

    def request_items(self, request: Request, key: str, consume: Callable[[Any], None]) -> Response:
        """Send a request once, and pass on the items of a long list in its response.

        Args:
            request: request to send.
            key: name of the list in the JSON object. It is empty in the returned response.
            consume: receives each item, also of a response that then breaks off.

        Raises:
            ActionError: an error of `send` or of `read_items`.
        """
        return self.send(
            request, lambda raw, _: read_items(request.source, raw, self.service, key, consume)
        )

    def send(self, request: Request, read: Callable[[requests.Response, float], T]) -> T:
        """Send a request once and return the result of `read`.

        `read` reads the body, so this method also translates errors that occur while it does.

        Args:
            request: request to send.
            read: receives the raw response and the moment of its deadline (`time.monotonic`).

        Raises:
            TransientError: no complete response. The request may have taken effect.
            UnexpectedResponse: an untrusted TLS certificate, or a body with too many JSON values.
            NotSupported: the environment sets a SOCKS proxy. Nothing was sent.
            ActionError: any error of `read`.
        """
        with self._deadline.suspended():
            return self._send(request, read)

    def _send(self, request: Request, read: Callable[[requests.Response, float], T]) -> T:
        proxies = self._proxies_to(request.url)
        limit = min(request.deadline.request_seconds(), request.read_timeout)
        started = time.monotonic()
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
                proxies=proxies,
                verify=form.FROM_FILE or certifi.where(),
                stream=True,
            ) as raw:
                result = read(raw, self._deadline.until)
                self._trace(
                    f"{request.source} answered {raw.status_code} after "
                    f"{time.monotonic() - started:.2f} s"
                )
                return result
        except _HTTP_ERRORS as error:
            self._deadline.abandon()
            failure = _unreachable(request, error, limit, self.service)
            self._trace(failure.detail)
            raise failure from None
        except ActionError as error:
            self._trace(error.detail)
            raise

    def _proxies_to(self, url: str) -> dict[str, str]:
        """Return the proxies that the environment sets for this host.

        The result is cached, because each lookup reads the whole environment.

        Raises:
            NotSupported: it is a SOCKS proxy.
        """
        host = urlsplit(url).netloc
        if host not in self._proxies:
            self._proxies[host] = {} if _matches_no_proxy(url) else get_environ_proxies(url)
        if (select_proxy(url, self._proxies[host]) or "").lower().startswith("socks"):
            raise NotSupported(
                "The action does not support SOCKS proxies",
                f"The environment sets one for {urlsplit(url).hostname}.",
                "Set HTTPS_PROXY (or HTTP_PROXY, ALL_PROXY) to an http:// proxy, or add the host "
                "to NO_PROXY.",
            )
        return self._proxies[host]


def _matches_no_proxy(url: str) -> bool:
    """Return whether NO_PROXY excludes this host by a pattern like `*.example.com`.

    requests matches all other forms itself, and compares this one literally.
    """
    host = (urlsplit(url).hostname or "").lower()
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    patterns = (one.strip().lower() for one in listed.split(","))
    return any(one.startswith("*.") and host.endswith(one[1:]) for one in patterns)


class _NoRedirectSession(requests.Session):
    """A session that does not parse the target of a redirect.

    requests parses the target even if it must not follow the redirect.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        del resp


def path_of(url: str) -> str:
    """Return the host and path of a URL, without the parts that may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _unreachable(
    request: Request, error: Exception, limit: float, service: Service
) -> Unreachable | UnexpectedResponse:
    """Translate an exception of the HTTP stack.

    The exception's own text is left out, because it may quote a header or a URL with a secret.
    """
    if is_certificate_error(error):
        return TlsTrustError(
            f"No trusted TLS connection to {service.name}",
            f"{request.source}: {openssl_reason(error)}.",
            "Use the name that the certificate was issued for. If it is from "
            "your own CA, give the CA's certificate as ca_certificate.",
        )
    if isinstance(error, TooManyValues):
        problem = f"it has more than {MAX_JSON_MARKS:,} values, and was not read to its end."
        return Response(0, None, request.source, service=service).unexpected(problem)
    hint = reach_advice(request.url) + service.reach_hint
    if isinstance(error, requests.exceptions.SSLError):
        hint = (
            "If the server requires a client certificate, give client_certificate and "
            f"client_key. {hint}"
        )
    return Unreachable(
        f"{service.name} does not answer",
        f"{request.source}: {_describe_failure(error, limit)}.",
        hint,
    )


def _describe_failure(error: Exception, limit: float) -> str:
    names, http = repr(error), requests.exceptions
    causes: tuple[tuple[bool, str], ...] = (
        # During a deployment a server may close the handshake, or answer it with a page.
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
        (text for applies, text in causes if applies),
        f"the answer could not be read ({type(error).__name__})",
    )
