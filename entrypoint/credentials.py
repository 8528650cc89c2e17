"""The credentials for Airflow: one type for each kind. No I/O."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Secret:
    """A text that must not be shown.

    Only `reveal()` returns the text, so that a search for this name finds every use.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret()"

    def reveal(self) -> str:
        """Return the secret text."""
        return self._text

    def __str__(self) -> str:
        return "***"


class Token(NamedTuple):
    """A bearer token."""

    token: Secret


class Header(NamedTuple):
    """The complete value of the header `Authorization`, with its scheme."""

    value: Secret


class Password(NamedTuple):
    """A user's name and password."""

    username: str
    password: Secret


class Client(NamedTuple):
    """A client id and secret for the login that Airflow's Keycloak auth manager offers."""

    client_id: str
    secret: Secret


class GitHubToken(NamedTuple):
    """The endpoint from which this job gets GitHub's OIDC tokens, and their audience."""

    audience: str
    url: str
    request_token: Secret


class OAuth(NamedTuple):
    """A client of an OAuth 2.0 token endpoint, with a secret or GitHub's OIDC token as proof."""

    token_url: str
    client_id: str
    proof: Secret | GitHubToken
    scope: str = ""


class AwsKeys(NamedTuple):
    """AWS credentials from the environment. `session_token` is None for the keys of a user."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None


class AwsRole(NamedTuple):
    """An AWS role that is assumed with GitHub's OIDC token.

    `session` names the session in AWS's audit log.
    """

    arn: str
    github: GitHubToken
    session: str


MwaaAccess = Literal["web", "rest_api"]
"""How requests reach the Airflow of an MWAA environment: its web server, or AWS's InvokeRestApi."""


class Mwaa(NamedTuple):
    """An Amazon MWAA environment, with its name, region and AWS credentials."""

    environment: str
    region: str
    keys: AwsKeys | AwsRole
    access: MwaaAccess = "web"


class Kerberos(NamedTuple):
    """A ticket in the machine's cache, for the Airflow at this host."""

    host: str


class Google(NamedTuple):
    """Google's token for GitHub's OIDC token.

    Attributes:
        provider: resource name of the workload identity provider.
        github: source of GitHub's OIDC token.
        service_account: e-mail address of the service account to impersonate, empty for none.
        audience: audience of an ID token; empty for an access token.
    """

    provider: str
    github: GitHubToken
    service_account: str = ""
    audience: str = ""


Credential = Token | Header | Password | Client | GitHubToken | OAuth | Mwaa | Google | Kerberos


class Tls(NamedTuple):
    """PEM texts: CAs to trust besides the public ones, and a client certificate with its key."""

    ca: str = ""
    certificate: str = ""
    key: Secret = Secret("")


class Access(NamedTuple):
    """The address of an Airflow, and everything that requests to it need.

    Attributes:
        url: the base URL without a trailing slash; empty if an API of Amazon or Google returns it.
        credential: the credential.
        headers: additional headers, sent only to this Airflow.
        tls: CAs to trust, and the client certificate.
        composer: resource name of the Google Cloud Composer environment, empty for none.
        gateway: the credential for Google's Identity-Aware Proxy in front of this Airflow.
    """

    url: str
    credential: Credential
    headers: tuple[tuple[str, Secret], ...] = ()
    tls: Tls = Tls()
    composer: str = ""
    gateway: Google | None = None
