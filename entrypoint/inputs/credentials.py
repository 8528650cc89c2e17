"""Read the inputs for access to Airflow: URL, headers, and exactly one kind of credential.

This module sends no requests. Error messages never quote a secret.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from entrypoint import form
from entrypoint.credentials import (
    Access,
    Client,
    Credential,
    Header,
    Kerberos,
    OAuth,
    Password,
    Secret,
    Token,
)
from entrypoint.inputs import cloud
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
"""Headers that this action or its HTTP library sets."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")


def header_values(headers: str) -> list[str]:
    """Return all secret texts in the input `headers`, whether or not its lines are valid.

    `Authorization: Basic abc` has two: the whole value, and the part after the scheme.
    """
    found = []
    for line in headers.splitlines():
        name, _, value = line.partition(":")
        found.append(value.strip() or line.strip())
        if name.strip().lower().endswith("authorization"):
            found += value.strip().split(None, 1)[1:]
    return [one for one in found if one]


def read_access(reader: Reader, workspace: Path, environment: Mapping[str, str]) -> Access:
    """Read URL, headers, credential and TLS settings. Add errors to the reader.

    Args:
        reader: the inputs.
        workspace: folder that contains the PEM files.
        environment: environment variables, with AWS credentials and GitHub's OIDC endpoint.
    """
    nothing: tuple[tuple[str, Secret], ...] = ()
    headers = reader.read("headers", _headers, nothing)
    raw = [value for name, value in headers if name.lower() == "authorization"]
    credential = _credential(reader, workspace, environment, raw)
    url = _url(reader)
    cloud.check_rest_api(reader)
    if url.startswith("http:") and reader.is_given("client_certificate"):
        reader.add_error(
            "client_certificate",
            "it is given, but airflow_url is http.",
            "Give an https URL: http does not use a certificate.",
        )
    others = tuple((name, value) for name, value in headers if name.lower() != "authorization")
    return Access(
        url,
        credential,
        others,
        read_tls(reader, workspace),
        composer=cloud.composer(reader, credential),
        gateway=cloud.gateway(reader, environment, others),
    )


def _url(reader: Reader) -> str:
    """Return the base URL, empty if an API of Amazon or Google returns it."""
    for name, issuer in (
        ("mwaa_environment", "Amazon MWAA"),
        ("composer_environment", "Google Cloud Composer"),
    ):
        if reader.is_given(name):
            if reader.is_given("airflow_url"):
                reader.add_error(
                    "airflow_url",
                    f"it is given together with {name}.",
                    f"Remove it: the action gets the URL from {issuer}.",
                )
            return ""
    return reader.required("airflow_url", base_url, "https://airflow.example.com")


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
                "Check the secret's name, or store the secret again, on one line.",
            )
        if name.lower() in _RESERVED_HEADERS:
            raise parse.ParseError(
                f"the action itself sets the header in line {number}.", "Remove the line."
            )
        if name.lower() in found:
            raise parse.ParseError(f"line {number} repeats a header.", "Keep one of the two lines.")
        found[name.lower()] = name, Secret(value)
    return tuple(found.values())


def _gives_oidc(reader: Reader) -> bool:
    """Return whether GitHub's OIDC token itself is the credential."""
    return reader.is_given("oidc_audience") and not cloud.uses_audience(reader)


def _kinds(
    reader: Reader, workspace: Path, environment: Mapping[str, str], raw: list[Secret]
) -> dict[str, Callable[[], Credential]]:
    """Return the given kinds of credential, each with a function that reads it."""
    is_given = reader.is_given
    kinds: dict[str, Callable[[], Credential]] = {}
    if is_given("token"):
        kinds["token"] = lambda: Token(Secret(reader.read("token", parse.header_token, "")))
    if is_given("username") or is_given("password"):
        kinds["username and password"] = partial(_password, reader)
    if oidc := _gives_oidc(reader):
        kinds["oidc_audience"] = partial(_oidc, reader, environment)
    if is_given("client_secret") or (is_given("client_id") and not oidc):
        kinds["client_id and client_secret"] = partial(_client, reader)
    kinds |= cloud.credentials(reader, environment)
    if reader.read("kerberos", parse.boolean, False):
        kinds["kerberos"] = partial(_kerberos, reader, workspace, environment)
    if raw:
        kinds["an Authorization line in headers"] = partial(Header, raw[0])
    return kinds


def _credential(
    reader: Reader, workspace: Path, environment: Mapping[str, str], raw: list[Secret]
) -> Credential:
    """Read the credential. No kind, an incomplete kind, or more than one kind is an error."""
    kinds = _kinds(reader, workspace, environment, raw)
    _check_token_url(reader)
    cloud.check_inputs(reader)
    if len(kinds) > 1:
        first, *others = kinds
        name = {
            "username and password": "username",
            "client_id and client_secret": "client_secret",
        }.get(first, first)
        reader.add_error(
            name,
            f"it is given together with {' and with '.join(others)}.",
            "Keep one kind of credential."
            + (
                " For Google's Identity-Aware Proxy in front of Airflow, give oidc_audience too."
                if "google_workload_identity_provider" in kinds
                and not reader.is_given("oidc_audience")
                else ""
            ),
        )
    elif not _gives_oidc(reader):
        reader.pair("username", "password")
        reader.pair("client_id", "client_secret")
    if not kinds:
        reader.add_error(
            "token",
            "no credential is given.",
            "Give one kind: token, username and password, client_id and client_secret, "
            "oidc_audience, mwaa_environment, google_workload_identity_provider, kerberos, or an "
            "Authorization line in headers. If one is set, its secret is empty: check its name, "
            "and whether the workflow started from a fork, which gets no secrets.",
        )
    credentials = [read() for read in kinds.values()]
    return credentials[0] if credentials else Token(Secret(""))


def _check_token_url(reader: Reader) -> None:
    for name in ("token_url", "scope"):
        if reader.is_given(name) and not any(
            map(reader.is_given, ("client_id", "client_secret", "oidc_audience"))
        ):
            reader.add_error(
                name,
                "it is given without a client.",
                "Give client_id and client_secret, or oidc_audience, with it.",
            )
    if reader.is_given("scope") and not reader.is_given("token_url"):
        reader.add_error(
            "scope",
            "it is given without token_url.",
            "Give token_url: Airflow's own login does not support a scope.",
        )


def _password(reader: Reader) -> Credential:
    username = reader.read("username", str, "")
    return Password(username, Secret(reader.read("password", str, "")))


def _client(reader: Reader) -> Credential:
    client_id, secret = (
        reader.read("client_id", str, ""),
        Secret(reader.read("client_secret", str, "")),
    )
    if not reader.is_given("token_url"):
        return Client(client_id, secret)
    return OAuth(
        reader.read("token_url", token_url, ""), client_id, secret, reader.read("scope", str, "")
    )


def _oidc(reader: Reader, environment: Mapping[str, str]) -> Credential:
    audience = reader.read("oidc_audience", str, "")
    source = cloud.github_token(reader, environment, "oidc_audience", audience)
    if reader.is_given("token_url"):
        address = reader.read("token_url", token_url, "")
        return OAuth(
            address, reader.read("client_id", str, ""), source, reader.read("scope", str, "")
        )
    if reader.is_given("client_id") and not reader.is_given("client_secret"):
        reader.add_error(
            "client_id",
            "it is given with oidc_audience, but without token_url.",
            "Give token_url, or remove client_id.",
        )
    return source


def _kerberos(reader: Reader, workspace: Path, environment: Mapping[str, str]) -> Credential:
    if not form.FROM_FILE:
        reader.add_error(
            "kerberos",
            "the container has neither the machine's tickets nor the package gssapi.",
            "Use OWNER/airflow-dag-run/native in place of OWNER/airflow-dag-run.",
        )
    for name in filter(None, environment.get("KRB5_CONFIG", "").split(os.pathsep)):
        # It may name libraries to load, and a pull request can write a file of the workspace.
        if (workspace / name).resolve().is_relative_to(workspace.resolve()):
            reader.add_error(
                "kerberos",
                "KRB5_CONFIG names a file of the workspace.",
                "Write the file elsewhere, for example to RUNNER_TEMP.",
            )
    return Kerberos(urlsplit(reader.read("airflow_url", base_url, "")).hostname or "")
