"""Read the inputs for the clouds: Amazon MWAA, Google, and GitHub's OIDC token for both.

This module sends no requests. Error messages never quote a secret.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.credentials import (
    AwsKeys,
    AwsRole,
    Credential,
    GitHubToken,
    Google,
    Mwaa,
    Secret,
    Token,
)
from entrypoint.http.aws import partition
from entrypoint.inputs import parsers as parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entrypoint.credentials import MwaaAccess
    from entrypoint.inputs.reader import Reader

_PROVIDER_INPUT = "google_workload_identity_provider"
_ARN = re.compile(r"arn:aws[\w-]*:airflow:([a-z0-9-]+):\d*:environment/([\w.-]+)", re.ASCII)
_ENVIRONMENT = re.compile(r"[A-Za-z][0-9A-Za-z_-]{0,79}")
_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::\d{12}:role/[\w+=,.@/-]{1,560}", re.ASCII)
_STS_AUDIENCE = "sts.amazonaws.com"
"""Audience that aws-actions/configure-aws-credentials uses, too."""
_PROVIDER = re.compile(
    r"projects/\d{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}"
    r"/providers/[a-z0-9-]{4,32}"
)
_SERVICE_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9.-]{0,90}@[a-z0-9][a-z0-9.-]{0,90}\.[a-z]{2,20}")
_COMPOSER = re.compile(
    r"projects/[a-z0-9:.-]{1,90}/locations/[a-z0-9-]{1,40}/environments/[a-z]([a-z0-9-]{0,62})"
)
_KEYS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")


def credentials(
    reader: Reader, environment: Mapping[str, str]
) -> dict[str, Callable[[], Credential]]:
    """Return the given kinds of credential of a cloud, by the input that chooses each."""
    kinds: dict[str, Callable[[], Credential]] = {}
    if reader.is_given(_PROVIDER_INPUT) and not _is_for_proxy(reader):
        kinds[_PROVIDER_INPUT] = partial(_google, reader, environment)
    if reader.is_given("mwaa_environment"):
        kinds["mwaa_environment"] = partial(_mwaa, reader, environment)
    return kinds


def uses_audience(reader: Reader) -> bool:
    """Return whether the input `oidc_audience` belongs to a cloud's credential."""
    return reader.is_given("aws_role") or reader.is_given(_PROVIDER_INPUT)


def _mwaa(reader: Reader, environment: Mapping[str, str]) -> Credential:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    name = reader.read("mwaa_environment", str, "")
    if arn := _ARN.fullmatch(name):
        region, name = arn.groups()
    if not _ENVIRONMENT.fullmatch(name):
        reader.add_error(
            "mwaa_environment",
            "it is neither a name nor an ARN of an environment.",
            "Write the environment's name, like my-airflow.",
        )
    if not _REGION.fullmatch(region):
        reader.add_error(
            "mwaa_environment",
            "the AWS region is missing or invalid.",
            "Set AWS_REGION, or give the environment's ARN.",
        )
    access = _access(reader)
    keys = (
        _aws_role(reader, environment, region)
        if reader.is_given("aws_role")
        else _aws_keys(reader, environment)
    )
    return Mwaa(name, region, keys, access)


def _aws_role(reader: Reader, environment: Mapping[str, str], region: str) -> AwsRole:
    arn = reader.read("aws_role", str, "")
    match = _ROLE.fullmatch(arn)
    if match is None:
        reader.add_error(
            "aws_role",
            "it is not the ARN of a role.",
            "Write one like arn:aws:iam::123456789012:role/airflow-gate.",
        )
    elif _REGION.fullmatch(region) and match[1] != partition(region):
        reader.add_error(
            "aws_role",
            f"the region {region} is not in its partition, {match[1]}.",
            "Give a role and an environment of the same partition.",
        )
    audience = reader.read("oidc_audience", str, _STS_AUDIENCE)
    source = github_token(reader, environment, "aws_role", audience)
    run = re.sub(r"\D", "", environment.get("GITHUB_RUN_ID", ""))[:20]
    return AwsRole(arn, source, f"airflow-dag-run-{run or 'job'}")


def _aws_keys(reader: Reader, environment: Mapping[str, str]) -> AwsKeys:
    key_id, secret, session = (environment.get(f"AWS_{one}", "").strip() for one in _KEYS)
    if missing := [
        f"AWS_{one}" for one, text in zip(_KEYS, (key_id, secret), strict=False) if not text
    ]:
        reader.add_error(
            "mwaa_environment",
            f"environment variables are missing: {', '.join(missing)}.",
            "Give aws_role, or run aws-actions/configure-aws-credentials before this step.",
        )
    if not re.fullmatch(r"[\x21-\x7e]*", key_id + session):
        reader.add_error(
            "mwaa_environment",
            "AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN has spaces or characters outside ASCII.",
            "Set them with aws-actions/configure-aws-credentials.",
        )
    return AwsKeys(key_id, Secret(secret), Secret(session) if session else None)


def _access(reader: Reader) -> MwaaAccess:
    web: MwaaAccess = "web"
    return reader.read("mwaa_access", parse.choice("web", "rest_api"), web)


def check_rest_api(reader: Reader) -> None:
    """Add errors for `mwaa_access` without an environment, and for inputs that it cannot use."""
    access = _access(reader)
    if access == "rest_api" and not reader.is_given("mwaa_environment"):
        reader.add_error(
            "mwaa_access",
            "it is rest_api, but mwaa_environment is empty.",
            "Give the name of the environment, or remove it.",
        )
    for name in ("headers", "client_certificate"):
        if access == "rest_api" and reader.is_given(name):
            reader.add_error(
                name,
                "it is given, but mwaa_access is rest_api.",
                "Remove it: no request goes to Airflow's web server.",
            )


def _google(reader: Reader, environment: Mapping[str, str]) -> Google:
    provider = reader.read(
        _PROVIDER_INPUT,
        _matching(
            _PROVIDER,
            "it is not the full name of a provider.",
            "Write projects/<number>/locations/global/workloadIdentityPools/…/providers/….",
        ),
        "",
    )
    account = reader.read(
        "google_service_account",
        _matching(
            _SERVICE_ACCOUNT,
            "it is not the e-mail address of a service account.",
            "Write one like gate@my-project.iam.gserviceaccount.com.",
        ),
        "",
    )
    audience = reader.read("oidc_audience", str, "")
    if audience and not reader.is_given("google_service_account"):
        reader.add_error(
            "google_service_account",
            "it is empty, but oidc_audience is given.",
            "Give the service account: only one can have an ID token.",
        )
    source = github_token(
        reader, environment, _PROVIDER_INPUT, f"https://iam.googleapis.com/{provider}"
    )
    return Google(provider, source, account, audience)


def composer(reader: Reader, credential: Credential) -> str:
    """Return the resource name of the Composer environment, empty without one."""
    name = reader.read(
        "composer_environment",
        _matching(
            _COMPOSER,
            "it is not the full name of an environment.",
            "Write projects/…/locations/…/environments/….",
        ),
        "",
    )
    if reader.is_given("composer_environment") and (
        not isinstance(credential, Token | Google)
        or (isinstance(credential, Google) and credential.audience)
    ):
        reader.add_error(
            "composer_environment",
            "it is given without a credential of Google that its API accepts.",
            "Give google_workload_identity_provider without oidc_audience, or Google's access "
            "token as token.",
        )
    return name


def gateway(
    reader: Reader, environment: Mapping[str, str], headers: tuple[tuple[str, Secret], ...]
) -> Google | None:
    """Return the credential for Google's Identity-Aware Proxy, None if Airflow itself gets it."""
    if not _is_for_proxy(reader):
        return None
    if any(name.lower() == "proxy-authorization" for name, _ in headers):
        reader.add_error(
            "headers",
            "it has Proxy-Authorization, but google_workload_identity_provider is given too.",
            "Remove the line: the action gets the token from Google.",
        )
    return _google(reader, environment)


def _is_for_proxy(reader: Reader) -> bool:
    """Return whether Google's ID token is for a proxy, because Airflow has its own credential."""
    own = ("token", "username", "password", "client_id", "client_secret", "token_url")
    lines = reader.read("headers", lambda text: text.lower().splitlines(), [""])
    has_own = any(map(reader.is_given, own)) or any(
        line.strip().startswith("authorization:") for line in lines
    )
    return reader.is_given(_PROVIDER_INPUT) and reader.is_given("oidc_audience") and has_own


def github_token(
    reader: Reader, environment: Mapping[str, str], name: str, audience: str
) -> GitHubToken:
    """Return the source of GitHub's OIDC tokens; `name` is the input that needs it."""
    url, token = (
        environment.get(f"ACTIONS_ID_TOKEN_REQUEST_{part}", "") for part in ("URL", "TOKEN")
    )
    if not (url and token):
        reader.add_error(
            name,
            "GitHub offers this job no OIDC token.",
            "Add `permissions: id-token: write` to the job, and to the caller of a reusable "
            "workflow. A pull request from a fork cannot get an OIDC token, nor can a job outside "
            "GitHub.",
        )
    return GitHubToken(audience, url, Secret(token))


def check_inputs(reader: Reader) -> None:
    """Add errors for inputs of Amazon or Google without the one that they belong to."""
    if reader.is_given("aws_role") and not reader.is_given("mwaa_environment"):
        reader.add_error(
            "aws_role", "it is given without mwaa_environment.", "Give the environment's name."
        )
    if reader.is_given("google_service_account") and not reader.is_given(_PROVIDER_INPUT):
        reader.add_error(
            "google_service_account",
            f"it is given without {_PROVIDER_INPUT}.",
            "Give the provider's full name, projects/…/providers/….",
        )


def _matching(pattern: re.Pattern[str], problem: str, remedy: str) -> Callable[[str], str]:
    def parser(text: str) -> str:
        if not pattern.fullmatch(text):
            raise parse.ParseError(problem, remedy)
        return text

    return parser
