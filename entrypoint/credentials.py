"""What a user can show to get into an Airflow: one noun for each kind of credential, frozen and slotted. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """Text that must not be seen. `reveal()` is the only way to it, so that every use can be found by that word."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __str__(self) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class Token:
    """A ready bearer token."""

    token: Secret


@dataclass(frozen=True, slots=True)
class Header:
    """A ready value of the header `Authorization`, scheme and all."""

    value: Secret


@dataclass(frozen=True, slots=True)
class Password:
    """A user's name and password, both in clear."""

    username: str
    password: Secret


@dataclass(frozen=True, slots=True)
class Client:
    """A client's id and secret, for the login of Airflow's own that a Keycloak auth manager offers."""

    client_id: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class GitHubToken:
    """Where this job gets GitHub's OIDC tokens, and for whom."""

    audience: str
    url: str
    request_token: Secret


@dataclass(frozen=True, slots=True)
class OAuth:
    """A client of an OAuth 2.0 token endpoint. It proves itself by a secret or by GitHub's OIDC token."""

    token_url: str
    client_id: str
    proof: Secret | GitHubToken
    scope: str = ""


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """AWS credentials as they stand in the environment; `session_token` is None for those of a user."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None


@dataclass(frozen=True, slots=True)
class Mwaa:
    """An Amazon MWAA environment, by name and region."""

    environment: str
    region: str
    keys: AwsKeys


Credential = Token | Header | Password | Client | GitHubToken | OAuth | Mwaa


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM texts: CAs that are trusted beside the public ones, and a client certificate with its key."""

    ca: str = ""
    certificate: str = ""
    key: Secret = field(default=Secret(""))


@dataclass(frozen=True, slots=True)
class Access:
    """The way into one Airflow.

    Attributes:
        url: its base URL without a slash at the end; empty for Amazon MWAA, which names it itself.
        headers: sent to this Airflow, and to nobody else, beside the credential.
    """

    url: str
    credential: Credential
    headers: tuple[tuple[str, Secret], ...] = ()
    tls: Tls = field(default_factory=Tls)
