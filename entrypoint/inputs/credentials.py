"""The inputs that say how to get in: URL, headers, and exactly one kind of credential.

It sends nothing. Whatever is wrong with a secret is told without quoting it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.credentials import (
    Access,
    AwsKeys,
    Client,
    Credential,
    GitHubToken,
    Header,
    Mwaa,
    OAuth,
    Password,
    Secret,
    Token,
)
from entrypoint.inputs import parsers as parse
from entrypoint.inputs.pem import read_tls
from entrypoint.inputs.urls import base_url, token_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from entrypoint.inputs.reader import Reader

_RESERVED_HEADERS = {
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept",
    "accept-encoding",
    "content-type",
}
"""Headers that this action or its HTTP library writes."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_ARN = re.compile(r"arn:aws[\w-]*:airflow:([a-z0-9-]+):\d*:environment/([\w.-]+)", re.ASCII)
_ENVIRONMENT = re.compile(r"[A-Za-z][0-9A-Za-z_-]{0,79}")
_KEYS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")


def header_values(headers: str) -> list[str]:
    """Return every text in the input `headers` that must not be seen, be its lines right or wrong.

    Of `Authorization: Basic abc` both the value and what follows its scheme.
    """
    found = []
    for line in headers.splitlines():
        name, _, value = line.partition(":")
        found.append(value.strip() or line.strip())
        if name.strip().lower().endswith("authorization"):
            found += value.strip().split(None, 1)[1:]
    return [one for one in found if one]


def read_access(reader: Reader, workspace: Path, environment: Mapping[str, str]) -> Access:
    """Read the way in. What is wrong with it is noted with the reader.

    Args:
        reader: the inputs.
        workspace: below which PEM files lie.
        environment: where AWS credentials and GitHub's OIDC endpoint stand.
    """
    nothing: tuple[tuple[str, Secret], ...] = ()
    headers = reader.read("headers", _headers, nothing)
    raw = [value for name, value in headers if name.lower() == "authorization"]
    credential = _credential(reader, environment, raw)
    if reader.given("mwaa_environment"):
        if reader.given("airflow_url"):
            reader.wrong(
                "airflow_url",
                "it is given together with mwaa_environment.",
                "Remove it: Amazon MWAA names it.",
            )
        url = ""
    else:
        url = reader.required("airflow_url", base_url, "https://airflow.example.com")
    if url.startswith("http:") and reader.given("client_certificate"):
        reader.wrong(
            "client_certificate",
            "it is given, but airflow_url is http.",
            "Give the https address: http shows nobody a certificate.",
        )
    others = tuple((name, value) for name, value in headers if name.lower() != "authorization")
    return Access(url, credential, others, read_tls(reader, workspace))


def _headers(text: str) -> tuple[tuple[str, Secret], ...]:
    found: dict[str, tuple[str, Secret]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.strip().partition(":")
        value = value.strip()
        if not colon or not _NAME.fullmatch(name):
            raise parse.ParseError(
                f"line {number} is not `Name: value`.",
                "Write one header per line, as `CF-Access-Client-Id: …`.",
            )
        if not _VALUE.fullmatch(value):
            raise parse.ParseError(
                f"the value in line {number} is empty or has characters outside ASCII.",
                "Is the secret's name right? Store it again, on one line.",
            )
        if name.lower() in _RESERVED_HEADERS:
            raise parse.ParseError(
                f"the header in line {number} is written by the action itself.", "Remove the line."
            )
        if name.lower() in found:
            raise parse.ParseError(
                f"the header in line {number} is there twice.", "Keep one of the two lines."
            )
        found[name.lower()] = name, Secret(value)
    return tuple(found.values())


def _credential(reader: Reader, environment: Mapping[str, str], raw: list[Secret]) -> Credential:
    """Read exactly one kind of credential; half of one and two at once are mistakes."""
    given = reader.given
    kinds: dict[str, Callable[[], Credential]] = {}
    if given("token"):
        kinds["token"] = lambda: Token(Secret(reader.read("token", parse.header_token, "")))
    if given("username") or given("password"):
        kinds["username and password"] = partial(_password, reader)
    if given("oidc_audience"):
        kinds["oidc_audience"] = partial(_oidc, reader, environment)
    if given("client_secret") or (given("client_id") and not given("oidc_audience")):
        kinds["client_id and client_secret"] = partial(_client, reader)
    if given("mwaa_environment"):
        kinds["mwaa_environment"] = partial(_mwaa, reader, environment)
    if raw:
        kinds["an Authorization line in headers"] = partial(Header, raw[0])
    _check_token_url(reader)
    if len(kinds) > 1:
        first, *others = kinds
        name = {
            "username and password": "username",
            "client_id and client_secret": "client_secret",
        }.get(first, first)
        reader.wrong(
            name,
            f"it is given together with {' and with '.join(others)}.",
            "Keep one kind of credential.",
        )
    elif not given("oidc_audience"):
        reader.pair("username", "password")
        reader.pair("client_id", "client_secret")
    if not kinds:
        reader.wrong(
            "token",
            "no credential is given.",
            "Give one kind: token, username and password, client_id and client_secret, "
            "oidc_audience, mwaa_environment, or an "
            "Authorization line in headers. If you do, the secret was empty: check its "
            "name, and that the workflow did not "
            "start from a fork, which gets no secrets.",
        )
    read = [kind() for kind in kinds.values()]
    return read[0] if read else Token(Secret(""))


def _check_token_url(reader: Reader) -> None:
    for name in ("token_url", "scope"):
        if reader.given(name) and not any(
            map(reader.given, ("client_id", "client_secret", "oidc_audience"))
        ):
            reader.wrong(
                name,
                "it is given without a client.",
                "Give client_id and client_secret, or oidc_audience, with it.",
            )
    if reader.given("scope") and not reader.given("token_url"):
        reader.wrong(
            "scope",
            "it is given without token_url.",
            "Give token_url: Airflow's own login knows no scope.",
        )


def _password(reader: Reader) -> Credential:
    username = reader.read("username", str, "")
    if ":" in username:
        reader.wrong(
            "username",
            "it contains a colon.",
            "HTTP Basic allows none in a user name: use another user.",
        )
    return Password(username, Secret(reader.read("password", str, "")))


def _client(reader: Reader) -> Credential:
    client_id, secret = (
        reader.read("client_id", str, ""),
        Secret(reader.read("client_secret", str, "")),
    )
    if not reader.given("token_url"):
        return Client(client_id, secret)
    return OAuth(
        reader.read("token_url", token_url, ""), client_id, secret, reader.read("scope", str, "")
    )


def _oidc(reader: Reader, environment: Mapping[str, str]) -> Credential:
    url, token = (
        environment.get(f"ACTIONS_ID_TOKEN_REQUEST_{name}", "") for name in ("URL", "TOKEN")
    )
    if not (url and token):
        reader.wrong(
            "oidc_audience",
            "GitHub offers this job no OIDC token.",
            "Add `permissions: id-token: write` to the job, and to the caller of a "
            "reusable workflow; a fork's pull request "
            "gets none.",
        )
    source = GitHubToken(reader.read("oidc_audience", str, ""), url, Secret(token))
    if reader.given("token_url"):
        address = reader.read("token_url", token_url, "")
        return OAuth(
            address, reader.read("client_id", str, ""), source, reader.read("scope", str, "")
        )
    if reader.given("client_id") and not reader.given("client_secret"):
        reader.wrong(
            "client_id",
            "it is given with oidc_audience, but without token_url.",
            "Give token_url, or remove it.",
        )
    return source


def _mwaa(reader: Reader, environment: Mapping[str, str]) -> Credential:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    name = reader.read("mwaa_environment", str, "")
    if arn := _ARN.fullmatch(name):
        region, name = arn.groups()
    if not _ENVIRONMENT.fullmatch(name):
        reader.wrong(
            "mwaa_environment",
            "it is neither a name nor an ARN.",
            "Write the environment's name, like my-airflow.",
        )
    if not _REGION.fullmatch(region):
        reader.wrong(
            "mwaa_environment",
            "the AWS region is not known.",
            "Set AWS_REGION, or give the environment's ARN.",
        )
    key_id, secret, session = (environment.get(f"AWS_{one}", "").strip() for one in _KEYS)
    if missing := [
        f"AWS_{one}" for one, text in zip(_KEYS, (key_id, secret), strict=False) if not text
    ]:
        reader.wrong(
            "mwaa_environment",
            f"the environment lacks {' and '.join(missing)}.",
            "Let aws-actions/configure-aws-credentials run before this step.",
        )
    if not re.fullmatch(r"[\x21-\x7e]*", key_id + session):
        reader.wrong(
            "mwaa_environment",
            "AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN has blanks or characters outside ASCII.",
            "Let aws-actions/configure-aws-credentials set them.",
        )
    keys = AwsKeys(key_id, Secret(secret), Secret(session) if session else None)
    return Mwaa(name, region, keys)
