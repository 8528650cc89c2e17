"""An OAuth 2.0 token endpoint (RFC 6749, 4.4) with client assertions (RFC 7523)."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote_plus

import jwt

from tests.support import known_secrets
from tests.support.fake_airflow.messages import (
    FakeResponse,
    ReceivedRequest,
    RefusedError,
    as_json,
    form,
    page,
)
from tests.support.services import certificates
from tests.support.stub_server import StubServer
from tests.support.virtual_time import wall_time

if TYPE_CHECKING:
    import ssl

    from tests.support.services.oidc import FakeGitHubOidc

    Way = Literal["body", "basic", "assertion"]
    """How a client authenticates: secret in the body, HTTP Basic, or a signed assertion."""

PATH = "/oauth2/v2.0/token"
AUDIENCE = "api://AzureADTokenExchange"
"""Default audience of an assertion; Entra's own."""
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_KEY = "the signing key of a token endpoint that only the tests use, long enough"
_NOT_STORED = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))


class FakeTokenEndpoint(StubServer):
    """Issues tokens to one client, always over TLS.

    Args:
        takes: accepted kinds of client authentication
        scope: scope that the client has to request
        oidc: issuer of accepted assertions
        audience: audience of accepted assertions
        lifetime: validity of a token in seconds
        tells_lifetime: whether the response contains `expires_in`
        kind: whether a token is opaque or a JWT
        refuses_with: status for a wrong secret in the body; RFC 6749 allows both
        tls: the server's TLS context; by default with a certificate of the trusted authority
        host: host name in the URL
    """

    def __init__(
        self,
        *,
        takes: tuple[Way, ...] = ("body",),
        scope: str | None = None,
        oidc: FakeGitHubOidc | None = None,
        audience: str = AUDIENCE,
        lifetime: int = 3600,
        tells_lifetime: bool = True,
        kind: Literal["opaque", "jwt"] = "opaque",
        refuses_with: Literal[400, 401] = 401,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(tls=tls or certificates.trusted_ca().server(), host=host)
        self.url = f"{self.origin}{PATH}"
        self.client_id = "airflow-deployer"
        self.client_secret = f"s3cret/{secrets.token_urlsafe(24)}+%&=:~"
        self.issued: list[str] = []
        self.lifetime = lifetime
        self._takes, self._scope = frozenset(takes), scope
        self._oidc, self._audience = oidc, audience
        self._tells_lifetime, self._kind, self._refuses_with = tells_lifetime, kind, refuses_with
        self._expiry: dict[str, float] = {}

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        if request.path != PATH:
            return page(404, "Not Found")
        if request.method != "POST":
            return page(405, "Method Not Allowed")
        try:
            fields = _fields(request)
            self._authenticate(request, fields)
            if fields.get("grant_type") != "client_credentials":
                raise _error(400, "unsupported_grant_type", "Only client_credentials is supported.")
            if self._scope is not None and fields.get("scope") != self._scope:
                raise _error(400, "invalid_scope", f"The scope has to be {self._scope}.")
        except RefusedError as refused:
            return refused.answer
        expiry = {"expires_in": self.lifetime} if self._tells_lifetime else {}
        body = {"token_type": "Bearer", "access_token": self.issue()} | expiry
        return FakeResponse(200, as_json(200, body).body, "application/json", _NOT_STORED)

    def issue(self) -> str:
        """Return a token, as if the client had requested it."""
        now = wall_time()
        token = f"opaque.{secrets.token_urlsafe(48)}"
        if self._kind == "jwt":
            claims = {
                "iss": self.url,
                "aud": "airflow",
                "sub": self.client_id,
                "jti": secrets.token_hex(8),
            }
            token = jwt.encode(
                claims | {"iat": int(now), "exp": int(now) + self.lifetime}, _KEY, "HS256"
            )
        known_secrets.add(token)
        with self._lock:
            self.issued.append(token)
            self._expiry[token] = now + self.lifetime
        return token

    def is_good(self, token: str) -> bool:
        """Tell whether it issued this token, and it has not expired."""
        with self._lock:
            return self._expiry.get(token, 0) > wall_time()

    def expire(self) -> None:
        """Expire every token issued so far."""
        with self._lock:
            self._expiry.clear()

    def _authenticate(self, request: ReceivedRequest, fields: dict[str, str]) -> None:
        """Refuse a wrong client, an unsupported authentication, or two of them at once."""
        header = request.headers.get("Authorization")
        shown: dict[Way, bool] = {
            "basic": header is not None,
            "body": "client_secret" in fields,
            "assertion": "client_assertion" in fields,
        }
        ways = [way for way, is_shown in shown.items() if is_shown]
        if len(ways) > 1:
            raise _error(400, "invalid_request", "More than one way of client authentication.")
        if not ways or ways[0] not in self._takes:
            raise self._invalid_client(
                "This way of client authentication is not supported.", basic=header is not None
            )
        if header is not None:
            if _pair(header) != (self.client_id, self.client_secret):
                raise self._invalid_client("Client id or secret is wrong.", basic=True)
        elif "client_secret" in fields:
            if (fields.get("client_id"), fields["client_secret"]) != (
                self.client_id,
                self.client_secret,
            ):
                raise self._invalid_client("Client id or secret is wrong.")
        else:
            self._check_assertion(fields)

    def _check_assertion(self, fields: dict[str, str]) -> None:
        """Check the assertion; the client id may be missing (RFC 7521, 4.2), but not wrong."""
        if fields.get("client_assertion_type") != ASSERTION_TYPE:
            raise _error(400, "invalid_request", "The type of the client assertion is unknown.")
        assertion = fields["client_assertion"]
        if self._oidc is None or not self._oidc.is_good(assertion, self._audience):
            raise self._invalid_client("The client assertion is not valid.")
        if fields.get("client_id", self.client_id) != self.client_id:
            raise self._invalid_client("The client assertion is another client's.")

    def _invalid_client(self, description: str, *, basic: bool = False) -> RefusedError:
        if basic:
            return _error(
                401, "invalid_client", description, ("WWW-Authenticate", 'Basic realm="token"')
            )
        return _error(self._refuses_with, "invalid_client", description)


def _fields(request: ReceivedRequest) -> dict[str, str]:
    """Return the form's fields; refuse repeated fields and parameters in the URL."""
    if request.headers.get_content_type() != "application/x-www-form-urlencoded" or request.query:
        raise _error(400, "invalid_request", "The parameters have to be a form in the body.")
    found = form(request.body)
    if any(len(values) > 1 for values in found.values()):
        raise _error(400, "invalid_request", "A parameter is repeated.")
    return {name: values[0] for name, values in found.items()}


def _pair(header: str) -> tuple[str, str] | None:
    """Return client id and secret from HTTP Basic, both form-encoded (RFC 6749, 2.3.1)."""
    scheme, _, value = header.partition(" ")
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (unquote_plus(name), unquote_plus(password)) if scheme.lower() == "basic" else None


def _error(status: int, error: str, description: str, *headers: tuple[str, str]) -> RefusedError:
    body = as_json(status, {"error": error, "error_description": description}).body
    return RefusedError(FakeResponse(status, body, "application/json", (*_NOT_STORED, *headers)))
