"""What a user can show to get into an Airflow: one noun for each kind of credential. No I/O."""

from __future__ import annotations

from typing import NamedTuple


class Secret:
    """Text that must not be seen. `reveal()` is the only way to it, so that every use can be found
    by that word.
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
        """Return the text itself."""
        return self._text

    def __str__(self) -> str:
        return "***"


class Token(NamedTuple):
    """A ready bearer token."""

    token: Secret


class Header(NamedTuple):
    """A ready value of the header `Authorization`, scheme and all."""

    value: Secret


class Password(NamedTuple):
    """A user's name and password, both in clear."""

    username: str
    password: Secret


class Client(NamedTuple):
    """A client's id and secret, for the login of Airflow's own that a Keycloak auth manager
    offers.
    """

    client_id: str
    secret: Secret


class GitHubToken(NamedTuple):
    """Where this job gets GitHub's OIDC tokens, and for whom."""

    audience: str
    url: str
    request_token: Secret


class OAuth(NamedTuple):
    """A client of an OAuth 2.0 token endpoint. It proves itself by a secret or by GitHub's OIDC
    token.
    """

    token_url: str
    client_id: str
    proof: Secret | GitHubToken
    scope: str = ""


class AwsKeys(NamedTuple):
    """AWS credentials as they stand in the environment; `session_token` is None for those of a
    user.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None


class Mwaa(NamedTuple):
    """An Amazon MWAA environment, by name and region."""

    environment: str
    region: str
    keys: AwsKeys


Credential = Token | Header | Password | Client | GitHubToken | OAuth | Mwaa


class Tls(NamedTuple):
    """PEM texts: CAs that are trusted beside the public ones, and a client certificate with its
    key.
    """

    ca: str = ""
    certificate: str = ""
    key: Secret = Secret("")


class Access(NamedTuple):
    """The way into one Airflow.

    Attributes:
        url: its base URL without a slash at the end; empty for Amazon MWAA, which names it itself.
        headers: sent to this Airflow, and to nobody else, beside the credential.
    """

    url: str
    credential: Credential
    headers: tuple[tuple[str, Secret], ...] = ()
    tls: Tls = Tls()
