"""Reading the inputs for credentials, headers and TLS."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrypoint import form
from entrypoint.credentials import (
    Access,
    AwsKeys,
    AwsRole,
    Client,
    Credential,
    GitHubToken,
    Google,
    Header,
    Kerberos,
    Mwaa,
    MwaaAccess,
    OAuth,
    Password,
    Secret,
    Token,
)
from entrypoint.inputs.credentials import _headers, header_values, read_access
from entrypoint.inputs.parsers import ParseError
from entrypoint.inputs.reader import Reader
from tests.unit.http.handshakes import DEPLOYER

WORKSPACE = Path("/github/workspace")
URL = "https://airflow.example.com"
TOKEN_URL = "https://login.example.com/oauth2/token"
NOTHING: Mapping[str, str] = MappingProxyType({})
TOKEN = {"token": "t0ken"}
PASSWORD = {"username": "u", "password": "p"}
CLIENT = {"client_id": "c", "client_secret": "s"}
OIDC = {"oidc_audience": "airflow"}
CERTIFICATE = {"client_certificate": DEPLOYER.certificate, "client_key": DEPLOYER.key}
GITHUB = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example.com/?v=2",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "requ3st",
}
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "k3y",
    "AWS_REGION": "eu-central-1",
}
ENVIRONMENT = {**GITHUB, **AWS}
SECRETS = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
GITHUB_OIDC = GitHubToken("airflow", GITHUB["ACTIONS_ID_TOKEN_REQUEST_URL"], Secret("requ3st"))
ARN = "arn:aws:airflow:us-east-1:123456789012:environment/my-airflow"
PROVIDER = "projects/1/locations/global/workloadIdentityPools/github/providers/my-repo"
ACCOUNT = "gate@my-project.iam.gserviceaccount.com"
COMPOSER = "projects/my-project/locations/europe-west1/environments/sales"
ROLE = "arn:aws:iam::123456789012:role/ci/gate"
GOOGLE = {"google_workload_identity_provider": PROVIDER, "google_service_account": ACCOUNT}
MWAA = {"airflow_url": "", "mwaa_environment": "m"}
NO_KEYS = {**GITHUB, "AWS_REGION": "eu-central-1"}
"""The environment of a job without AWS credentials."""


def github_token(audience: str) -> GitHubToken:
    return GITHUB_OIDC._replace(audience=audience)


GOOGLE_INPUT = "google_workload_identity_provider"
KINDS = {
    "token": TOKEN,
    "username": PASSWORD,
    "oidc_audience": OIDC,
    "client_secret": CLIENT,
    "google_workload_identity_provider": {"google_workload_identity_provider": PROVIDER},
    "mwaa_environment": {"mwaa_environment": "my-airflow"},
    "headers": {"headers": "Authorization: Key abc"},
}
"""Each kind of credential in the order of the error, by the input that is named with it."""
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
INVALID_PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


def read_inputs(
    inputs: Mapping[str, str], environment: Mapping[str, str] = NOTHING, workspace: Path = WORKSPACE
) -> tuple[Access, list[tuple[str, str]]]:
    """Return the connection and each input error as the input's name with its message."""
    reader = Reader(inputs)
    access = read_access(reader, workspace, environment)
    for input_error in reader.errors:
        assert input_error.problem.endswith("."), input_error
        assert input_error.remedy.endswith(("?", ".")), input_error
        assert "\n" not in f"{input_error.problem}{input_error.remedy}"
    return access, [
        (input_error.name, f"{input_error.problem} {input_error.remedy}")
        for input_error in reader.errors
    ]


def read_valid_inputs(
    inputs: Mapping[str, str],
    environment: Mapping[str, str] = ENVIRONMENT,
    workspace: Path = WORKSPACE,
) -> Access:
    access, input_errors = read_inputs({"airflow_url": URL, **inputs}, environment, workspace)
    assert input_errors == []
    return access


def errors_by_input(
    inputs: Mapping[str, str],
    environment: Mapping[str, str] = ENVIRONMENT,
    workspace: Path = WORKSPACE,
) -> dict[str, str]:
    _, input_errors = read_inputs({"airflow_url": URL, **inputs}, environment, workspace)
    assert len(dict(input_errors)) == len(input_errors)
    return dict(input_errors)


@pytest.mark.parametrize(
    ("inputs", "credential"),
    [
        (TOKEN, Token(Secret("t0ken"))),
        ({"token": " t0ken\n"}, Token(Secret("t0ken"))),
        (PASSWORD, Password("u", Secret("p"))),
        (
            {"username": "jürgen", "password": "p ä:\u2603"},
            Password("jürgen", Secret("p ä:\u2603")),
        ),
        (CLIENT, Client("c", Secret("s"))),
        ({**CLIENT, "token_url": TOKEN_URL}, OAuth(TOKEN_URL, "c", Secret("s"))),
        (
            {**CLIENT, "token_url": TOKEN_URL, "scope": "a b"},
            OAuth(TOKEN_URL, "c", Secret("s"), "a b"),
        ),
        (OIDC, GITHUB_OIDC),
        ({**OIDC, "token_url": TOKEN_URL}, OAuth(TOKEN_URL, "", GITHUB_OIDC)),
        (
            {**OIDC, "token_url": TOKEN_URL, "client_id": "c", "scope": "a"},
            OAuth(TOKEN_URL, "c", GITHUB_OIDC, "a"),
        ),
        ({"headers": "Authorization: Key abc"}, Header(Secret("Key abc"))),
        ({"headers": "aUTHORIZATION:abc"}, Header(Secret("abc"))),
    ],
)
def test_each_kind_of_credential_is_read(inputs: Mapping[str, str], credential: Credential) -> None:
    assert read_valid_inputs(inputs) == Access(URL, credential)


PAIRS = [pair for pair in combinations(KINDS, 2) if pair != ("oidc_audience", GOOGLE_INPUT)]
"""Every pair of kinds; Google uses the input oidc_audience itself."""


@pytest.mark.parametrize("kinds", PAIRS, ids=" and ".join)
def test_two_kinds_of_credential_are_one_error_that_names_them(kinds: tuple[str, ...]) -> None:
    inputs: dict[str, str] = {"airflow_url": "" if "mwaa_environment" in kinds else URL}
    for kind in kinds:
        inputs |= KINDS[kind]
    ((name, message),) = errors_by_input(inputs).items()

    assert name == kinds[0]
    assert message.startswith("it is given together with ")
    for kind in kinds[1:]:
        assert {"username": "username and password", "headers": "an Authorization line"}.get(
            kind, kind
        ) in message


@pytest.mark.parametrize(
    "half", [{"username": "u"}, {"password": "p"}, {"client_id": "c"}, {"client_secret": "s"}]
)
def test_incomplete_second_credential_is_one_error(half: dict[str, str]) -> None:
    ((name, message),) = errors_by_input({**TOKEN, **half}).items()

    assert name == "token"
    assert next(iter(half)) in message


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        ({}, {"token": "no credential is given"}),
        ({"airflow_url": "", **TOKEN}, {"airflow_url": "required, but empty"}),
        ({"airflow_url": "airflow", **TOKEN}, {"airflow_url": "not an http or https URL"}),
        ({"username": "u"}, {"password": "empty, but username is given"}),
        ({"password": "p"}, {"username": "empty, but password is given"}),
        ({"client_id": "c"}, {"client_secret": "empty, but client_id is given"}),
        ({"client_secret": "s"}, {"client_id": "empty, but client_secret is given"}),
        (
            {"client_id": "c", "token_url": TOKEN_URL},
            {"client_secret": "empty, but client_id is given"},
        ),
        (
            {"client_secret": "s", "token_url": TOKEN_URL},
            {"client_id": "empty, but client_secret is given"},
        ),
        ({"token": "Bearer x"}, {"token": "begins with the word Bearer"}),
        ({"token": "a b"}, {"token": "spaces"}),
        ({**TOKEN, "token_url": TOKEN_URL}, {"token_url": "without a client"}),
        ({**PASSWORD, "token_url": TOKEN_URL}, {"token_url": "without a client"}),
        ({"token_url": TOKEN_URL}, {"token_url": "without a client", "token": "no credential"}),
        (
            {**TOKEN, "token_url": TOKEN_URL, "scope": "a"},
            {"token_url": "without a client", "scope": "without a client"},
        ),
        ({**CLIENT, "scope": "a"}, {"scope": "without token_url"}),
        ({**OIDC, "scope": "a"}, {"scope": "without token_url"}),
        ({**OIDC, "client_id": "c"}, {"client_id": "without token_url"}),
        ({**CLIENT, "token_url": TOKEN_URL.replace("https", "http")}, {"token_url": "not https"}),
        ({**OIDC, "token_url": TOKEN_URL.replace("https", "http")}, {"token_url": "not https"}),
        ({**CLIENT, "token_url": f"{TOKEN_URL}?a=b"}, {"token_url": "query"}),
        (
            {**OIDC, "client_secret": "s", "token_url": TOKEN_URL},
            {"oidc_audience": "together with client_id"},
        ),
        ({**OIDC, **CLIENT, "token_url": TOKEN_URL}, {"oidc_audience": "together with client_id"}),
        (
            {**TOKEN, "mwaa_environment": "m"},
            {"airflow_url": "gets the URL from Amazon MWAA", "token": "with mwaa_environment"},
        ),
        (
            {"airflow_url": "http://airflow", **TOKEN, **CERTIFICATE},
            {"client_certificate": "airflow_url is http"},
        ),
        (
            {**TOKEN, **CERTIFICATE, "client_key": ""},
            {"client_key": "empty, but client_certificate is given"},
        ),
        ({"mwaa_environment": "m"}, {"airflow_url": "together with mwaa_environment"}),
    ],
)
def test_each_error_names_the_input_to_change(
    inputs: Mapping[str, str], wrong: dict[str, str]
) -> None:
    found = errors_by_input(inputs)

    assert found.keys() == wrong.keys()
    for name, words in wrong.items():
        assert words in found[name]


def test_missing_credential_error_lists_every_kind() -> None:
    """It explains why a secret may be empty."""
    message = errors_by_input({})["token"]

    assert all(
        name in message
        for name in (
            "username",
            "client_id",
            "oidc_audience",
            "mwaa_environment",
            "headers",
            "fork",
        )
    )


@pytest.mark.parametrize("lacking", GITHUB)
@pytest.mark.parametrize("empty", [True, False])
def test_missing_oidc_permission_is_named(lacking: str, empty: bool) -> None:
    rest = {name: value for name, value in GITHUB.items() if name != lacking} | (
        {lacking: ""} if empty else {}
    )
    for inputs in (OIDC, {**OIDC, "token_url": TOKEN_URL}):
        found = errors_by_input(inputs, rest)

        assert found.keys() == {"oidc_audience"}
        assert "id-token: write" in found["oidc_audience"]


@pytest.mark.parametrize(
    ("name", "environment", "mwaa"),
    [
        ("my-airflow", AWS, ("my-airflow", "eu-central-1")),
        ("A1_b-c", AWS, ("A1_b-c", "eu-central-1")),
        ("m", {**AWS, "AWS_DEFAULT_REGION": "us-west-2"}, ("m", "eu-central-1")),
        ("m", {**AWS, "AWS_REGION": "", "AWS_DEFAULT_REGION": "us-west-2"}, ("m", "us-west-2")),
        ("m", {**AWS, "AWS_REGION": "us-gov-west-1"}, ("m", "us-gov-west-1")),
        ("m", {**AWS, "AWS_REGION": "cn-northwest-1"}, ("m", "cn-northwest-1")),
        (ARN, AWS, ("my-airflow", "us-east-1")),
        (ARN, {**AWS, "AWS_REGION": ""}, ("my-airflow", "us-east-1")),
        (ARN.replace("aws:airflow", "aws-cn:airflow"), AWS, ("my-airflow", "us-east-1")),
        (ARN.replace("123456789012", ""), AWS, ("my-airflow", "us-east-1")),
    ],
)
def test_mwaa_environment_needs_name_and_region_or_arn_and_no_url(
    name: str, environment: Mapping[str, str], mwaa: tuple[str, str]
) -> None:
    keys = AwsKeys("AKIAEXAMPLE", Secret("k3y"), None)

    assert read_valid_inputs({"airflow_url": "", "mwaa_environment": name}, environment) == Access(
        "", Mwaa(*mwaa, keys)
    )


@pytest.mark.parametrize(
    ("given_", "token"),
    [
        ({}, None),
        ({"AWS_SESSION_TOKEN": ""}, None),
        ({"AWS_SESSION_TOKEN": "s"}, "s"),
        ({"AWS_SESSION_TOKEN": " s\n"}, "s"),
    ],
)
def test_session_token_is_optional(given_: Mapping[str, str], token: str | None) -> None:
    mwaa = read_valid_inputs(
        {"airflow_url": "", "mwaa_environment": "m"}, {**AWS, **given_}
    ).credential

    assert isinstance(mwaa, Mwaa)
    assert isinstance(mwaa.keys, AwsKeys)
    assert (mwaa.keys.session_token and mwaa.keys.session_token.reveal()) == token


@pytest.mark.parametrize(
    ("name", "environment", "words"),
    [
        ("-m", {}, "neither a name nor an ARN"),
        ("1m", {}, "neither a name nor an ARN"),
        ("my airflow", {}, "neither a name nor an ARN"),
        ("a/b", {}, "neither a name nor an ARN"),
        ("../b", {}, "neither a name nor an ARN"),
        ("m?x", {}, "neither a name nor an ARN"),
        ("ä", {}, "neither a name nor an ARN"),
        ("m" * 81, {}, "neither a name nor an ARN"),
        ("arn:aws:s3:::my-airflow", {}, "neither a name nor an ARN"),
        (ARN.replace("my-airflow", "../b"), {}, "neither a name nor an ARN"),
        (ARN.replace("my-airflow", ".."), {}, "neither a name nor an ARN"),
        (ARN.replace("my-airflow", "m" * 81), {}, "neither a name nor an ARN"),
        (f"{ARN}/x", {}, "neither a name nor an ARN"),
        (f"{ARN}\nx", {}, "neither a name nor an ARN"),
        ("m", {"AWS_REGION": ""}, "region is missing or invalid"),
        ("m", {"AWS_REGION": "eu-central"}, "region is missing or invalid"),
        ("m", {"AWS_REGION": "evil.example.com/"}, "region is missing or invalid"),
        ("m", {"AWS_REGION": "eu-central-1.evil"}, "region is missing or invalid"),
        (ARN.replace("us-east-1", "somewhere"), {}, "region is missing or invalid"),
        ("m", {"AWS_ACCESS_KEY_ID": ""}, "missing: AWS_ACCESS_KEY_ID."),
        ("m", {"AWS_SECRET_ACCESS_KEY": ""}, "missing: AWS_SECRET_ACCESS_KEY."),
        ("m", {"AWS_SESSION_TOKEN": "s3cret\ns3cret"}, "has spaces or characters outside ASCII"),
        ("m", {"AWS_SESSION_TOKEN": "s3cret\u2013"}, "has spaces or characters outside ASCII"),
        ("m", {"AWS_ACCESS_KEY_ID": "AKIA\u2013"}, "has spaces or characters outside ASCII"),
        (
            "m",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            (
                "missing: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY. Give aws_role, or run "
                "aws-actions/configure-aws-credentials"
            ),
        ),
    ],
)
def test_each_mwaa_error_names_the_input_to_change(
    name: str, environment: Mapping[str, str], words: str
) -> None:
    ((wrong, message),) = errors_by_input(
        {"airflow_url": "", "mwaa_environment": name}, {**AWS, **environment}
    ).items()

    assert wrong == "mwaa_environment"
    assert words in message


@pytest.mark.parametrize(
    ("inputs", "access", "audience"),
    [
        ({}, "web", "sts.amazonaws.com"),
        ({"mwaa_access": "web"}, "web", "sts.amazonaws.com"),
        ({"mwaa_access": "rest_api"}, "rest_api", "sts.amazonaws.com"),
        ({"oidc_audience": "sts.amazonaws.com.cn"}, "web", "sts.amazonaws.com.cn"),
    ],
)
@pytest.mark.parametrize("run", [{}, {"GITHUB_RUN_ID": "17"}])
def test_role_replaces_the_keys_of_the_environment(
    inputs: Mapping[str, str], access: MwaaAccess, audience: str, run: Mapping[str, str]
) -> None:
    found = read_valid_inputs({**MWAA, "aws_role": ROLE, **inputs}, {**NO_KEYS, **run})
    role = AwsRole(ROLE, github_token(audience), f"airflow-dag-run-{'17' if run else 'job'}")

    assert found == Access("", Mwaa("m", "eu-central-1", role, access))


@pytest.mark.parametrize(
    ("inputs", "access"),
    [
        (
            {"airflow_url": URL, "google_workload_identity_provider": PROVIDER},
            Access(URL, Google(PROVIDER, github_token(f"https://iam.googleapis.com/{PROVIDER}"))),
        ),
        (
            {"airflow_url": "", "composer_environment": COMPOSER, **GOOGLE},
            Access(
                "",
                Google(PROVIDER, github_token(f"https://iam.googleapis.com/{PROVIDER}"), ACCOUNT),
                composer=COMPOSER,
            ),
        ),
        (
            {"airflow_url": "", "composer_environment": COMPOSER, **TOKEN},
            Access("", Token(Secret("t0ken")), composer=COMPOSER),
        ),
        (
            {**GOOGLE, **OIDC},
            Access(
                URL,
                Google(
                    PROVIDER,
                    github_token(f"https://iam.googleapis.com/{PROVIDER}"),
                    ACCOUNT,
                    "airflow",
                ),
            ),
        ),
    ],
)
def test_google_is_a_credential(inputs: Mapping[str, str], access: Access) -> None:
    assert read_valid_inputs(inputs) == access


@pytest.mark.parametrize(
    "own",
    [
        TOKEN,
        PASSWORD,
        CLIENT,
        {**CLIENT, "token_url": TOKEN_URL},
        {"headers": "Authorization: K a"},
    ],
)
def test_id_token_is_for_a_proxy_if_airflow_has_its_own_credential(own: Mapping[str, str]) -> None:
    found = read_valid_inputs({**own, **GOOGLE, **OIDC})

    assert found.gateway is not None
    assert (found.gateway.service_account, found.gateway.audience) == (ACCOUNT, "airflow")
    assert found._replace(gateway=None) == read_valid_inputs(own)


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        ({**MWAA, "aws_role": "gate"}, {"aws_role": "not the ARN of a role"}),
        ({**MWAA, "aws_role": f"{ROLE}\nx"}, {"aws_role": "not the ARN of a role"}),
        (
            {**MWAA, "aws_role": ROLE.replace("aws", "aws-cn", 1)},
            {"aws_role": "not in its partition, aws-cn"},
        ),
        ({**TOKEN, "aws_role": ROLE}, {"aws_role": "without mwaa_environment"}),
        ({**TOKEN, "mwaa_access": "rest_api"}, {"mwaa_access": "mwaa_environment is empty"}),
        ({**TOKEN, "mwaa_access": "web"}, {}),
        ({**MWAA, "mwaa_access": "cli"}, {"mwaa_access": "Write web or rest_api"}),
        (
            {**MWAA, "mwaa_access": "rest_api", "headers": "X-Key: k", **CERTIFICATE},
            {"headers": "no request goes to", "client_certificate": "no request goes to"},
        ),
        (
            {**TOKEN, "google_service_account": ACCOUNT},
            {"google_service_account": "without"},
        ),
        (
            {"google_workload_identity_provider": "my-repo"},
            {"google_workload_identity_provider": "not the full name"},
        ),
        (
            {"google_workload_identity_provider": PROVIDER, "google_service_account": "gate"},
            {"google_service_account": "not the e-mail address"},
        ),
        (
            {"google_workload_identity_provider": PROVIDER, **OIDC},
            {"google_service_account": "empty, but oidc_audience is given"},
        ),
        (
            {**TOKEN, **GOOGLE, **OIDC, "headers": "Proxy-Authorization: Bearer x"},
            {"headers": "gets the token from Google"},
        ),
        (
            {**TOKEN, **GOOGLE},
            {
                "token": "together with google_workload_identity_provider. Keep one kind of "
                "credential. For Google's Identity-Aware Proxy"
            },
        ),
        (
            {**TOKEN, "composer_environment": COMPOSER},
            {"airflow_url": "gets the URL from Google Cloud Composer"},
        ),
        (
            {"airflow_url": "", "composer_environment": "sales", **GOOGLE},
            {"composer_environment": "not the full name"},
        ),
        (
            {"airflow_url": "", "composer_environment": COMPOSER, **PASSWORD},
            {"composer_environment": "without a credential of Google"},
        ),
        (
            {"airflow_url": "", "composer_environment": COMPOSER, **GOOGLE, **OIDC},
            {"composer_environment": "without a credential of Google"},
        ),
    ],
)
def test_each_error_about_a_cloud_names_the_input_to_change(
    inputs: Mapping[str, str], wrong: dict[str, str]
) -> None:
    found = errors_by_input(inputs)

    assert found.keys() == wrong.keys()
    for name, words in wrong.items():
        assert words in found[name]


@pytest.mark.parametrize(
    ("inputs", "name"),
    [({**MWAA, "aws_role": ROLE}, "aws_role"), (GOOGLE, "google_workload_identity_provider")],
)
def test_missing_oidc_permission_is_named_by_the_input_that_needs_it(
    inputs: Mapping[str, str], name: str
) -> None:
    found = errors_by_input(inputs, {"AWS_REGION": "eu-central-1"})

    assert found.keys() == {name}
    assert "id-token: write" in found[name]


def test_headers_are_read_line_by_line_without_authorization() -> None:
    lines = (
        "\n  CF-Access-Client-Id: abc.access \r\n\nX-Key:k:3 y\t;\nAuthorization: Key abc\n~!#: a\n"
    )
    access = read_valid_inputs({"headers": lines})

    assert access.headers == (
        ("CF-Access-Client-Id", Secret("abc.access")),
        ("X-Key", Secret("k:3 y\t;")),
        ("~!#", Secret("a")),
    )
    assert access.credential == Header(Secret("Key abc"))


@pytest.mark.parametrize("name", ["Proxy-Authorization", "Cookie", "User-Agent", "X-Authorization"])
def test_gateway_header_is_no_airflow_credential(name: str) -> None:
    assert read_valid_inputs({**TOKEN, "headers": f"{name}: abc"}) == Access(
        URL, Token(Secret("t0ken")), ((name, Secret("abc")),)
    )


def test_client_certificate_is_read_with_any_credential() -> None:
    access = read_valid_inputs({**TOKEN, **CERTIFICATE})

    assert access == Access(URL, Token(Secret("t0ken")), tls=access.tls)
    assert access.tls.certificate.split() == DEPLOYER.certificate.split()
    assert access.tls.key.reveal().split() == DEPLOYER.key.split()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("s3cret", "line 1 is not `Name: value`"),
        (": s3cret", "line 1 is not `Name: value`"),
        ("X-A: b\nBearer s3cret", "line 2 is not `Name: value`"),
        ("X-A: b\n\n s3cret s3cret: c", "line 3 is not `Name: value`"),
        ("X Key: s3cret", "line 1 is not `Name: value`"),
        ("X-Käse: s3cret", "line 1 is not `Name: value`"),
        ("X-Key : s3cret", "line 1 is not `Name: value`"),
        ("X-Key:", "the value in line 1 is empty"),
        ("X-A: b\nX-Key:  ", "the value in line 2 is empty"),
        ("X-Key: s3crét", "characters outside ASCII"),
        ("X-Key: s3cret\x00", "characters outside ASCII"),
        ("X-Key: s3\x7fcret", "characters outside ASCII"),
        ("X-Key: s3cret\x0bs3cret", "line 2 is not `Name: value`"),
        ("X-Key: a\nx-kEY: s3cret", "line 2 repeats a header"),
        ("Authorization: a\nauthorization: s3cret", "line 2 repeats a header"),
        *(
            (f"{name}: s3cret", "the action itself sets")
            for name in ("Host", "content-type", "ACCEPT", "Connection")
        ),
        *(
            (f"{name}: s3cret", "the action itself sets")
            for name in ("Content-Length", "Transfer-Encoding", "TE")
        ),
        *(
            (f"{name}: s3cret", "the action itself sets")
            for name in ("Trailer", "Upgrade", "Expect")
        ),
        ("Accept-Encoding: s3cret", "the action itself sets"),
    ],
)
def test_invalid_header_is_named_by_line_or_name_never_by_value(lines: str, words: str) -> None:
    found = errors_by_input({**TOKEN, "headers": lines})

    assert found.keys() == {"headers"}
    assert words in found["headers"]
    assert "s3" not in found["headers"]


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        ("", []),
        ("\n  \n", []),
        ("X-Key: abc", ["abc"]),
        ("X-Key:abc\r\nX-Other:  a b \n", ["abc", "a b"]),
        ("Authorization: Basic abc", ["Basic abc", "abc"]),
        ("proxy-authorization:Bearer  abc def", ["Bearer  abc def", "abc def"]),
        ("X-Forwarded-Authorization: Bearer\tabc", ["Bearer\tabc", "abc"]),
        ("Authorization: abc", ["abc"]),
        ("Authorization:", ["Authorization:"]),
        ("X-Key: Basic abc", ["Basic abc"]),
        ("abc", ["abc"]),
        ("  Bearer abc ", ["Bearer abc"]),
        (": abc", ["abc"]),
        ("abc:", ["abc:"]),
        ("X-Key: a:b: c", ["a:b: c"]),
        ("X Key: abc", ["abc"]),
        ("Käse: abc\x00", ["abc\x00"]),
    ],
)
def test_header_values_to_mask_include_the_part_after_the_scheme(
    lines: str, values: list[str]
) -> None:
    """Invalid lines count, too."""
    assert header_values(lines) == values


@given(
    st.lists(
        texts | st.builds("{}: {}".format, st.sampled_from(["X-Key", "Authorization"]), texts)
    ).map("\n".join)
)
def test_any_header_value_that_may_be_sent_is_masked(lines: str) -> None:
    hidden = header_values(lines)

    try:
        sent = [value.reveal() for _, value in _headers(lines)]
    except ParseError:
        sent = []
    assert set(sent) <= set(hidden)
    for line in lines.splitlines():
        value = line.partition(":")[2].strip() or line.strip()
        assert not value or value in hidden


@given(texts)
@example("")
@example(":")
@example("\n")
@example('"\\')
@example("-----BEGIN PRIVATE KEY-----")
@example("-----BEGIN ENCRYPTED PRIVATE KEY-----s3cret-----END ENCRYPTED PRIVATE KEY-----")
@example("../")
@example("x" * 500)
def test_no_error_or_repr_shows_a_secret(text: str) -> None:
    secret = f"s3cret{text}s3cret"
    environment = ENVIRONMENT | dict.fromkeys(SECRETS, secret)
    all_wrong = dict.fromkeys(("token", "password", "client_secret", "client_key"), secret)
    for inputs in (
        {"token": secret},
        {"token": f"Bearer {secret}"},
        {"password": secret},
        {"client_secret": secret},
        {"client_key": secret},
        {
            "client_key": f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----",
            "client_certificate": INVALID_PEM,
        },
        {
            "client_key": DEPLOYER.key,
            "client_certificate": DEPLOYER.certificate,
            "token": f"{secret} ",
        },
        {"headers": f"X-Key: {secret}"},
        {"headers": f"Authorization: {secret}\nAuthorization: {secret}"},
        {"headers": secret.replace(":", "")},
        {"mwaa_environment": "m", "headers": f"Host: {secret}"},
        {"oidc_audience": "a", "token_url": f"https://u:{secret}@login.example.com"},
        {"airflow_url": f"https://airflow.example.com/?token={secret}"},
        all_wrong,
    ):
        access, input_errors = read_inputs({"airflow_url": URL, **inputs}, environment)
        assert "s3cret" not in str(input_errors)
        assert "s3cret" not in repr(access)


@given(
    st.dictionaries(st.sampled_from([*AWS, *GITHUB, "AWS_SESSION_TOKEN"]), texts),
    st.dictionaries(
        st.sampled_from(
            [
                "airflow_url",
                "ca_certificate",
                "client_certificate",
                "client_key",
                "headers",
                "token",
                "username",
                "password",
                "client_id",
                "client_secret",
                "token_url",
                "scope",
                "oidc_audience",
                "mwaa_environment",
                "mwaa_access",
                "aws_role",
                "google_workload_identity_provider",
                "google_service_account",
                "composer_environment",
            ]
        ),
        texts,
    ),
)
def test_any_inputs_are_read_or_refused(
    environment: dict[str, str], inputs: dict[str, str]
) -> None:
    access, input_errors = read_inputs(inputs, environment)

    assert input_errors or access.url or access.composer or isinstance(access.credential, Mwaa)


@pytest.fixture
def from_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in airflow-dag-run.pyz."""
    monkeypatch.setattr(form, "FROM_FILE", True)


@pytest.mark.usefixtures("from_file")
@pytest.mark.parametrize("environment", [NOTHING, {"KRB5_CONFIG": "/etc/krb5.conf:/tmp/krb5.conf"}])
def test_kerberos_is_a_credential_for_the_host_of_the_url(environment: Mapping[str, str]) -> None:
    url = {"airflow_url": "https://airflow.example.com:8443/prefix/"}

    assert read_valid_inputs({**url, "kerberos": "true"}, environment).credential == Kerberos(
        "airflow.example.com"
    )
    assert read_valid_inputs({**TOKEN, "kerberos": "false"}).credential == Token(Secret("t0ken"))


def test_kerberos_in_the_container_names_the_other_form() -> None:
    assert errors_by_input({"kerberos": "true"}) == {
        "kerberos": "the container has neither the machine's tickets nor the package gssapi. Use "
        "OWNER/airflow-dag-run/native in place of OWNER/airflow-dag-run."
    }


@pytest.mark.usefixtures("from_file")
@pytest.mark.parametrize(
    ("inputs", "config", "error"),
    [
        ({"kerberos": "yes", **TOKEN}, "", '"yes" is not a boolean'),
        ({"kerberos": "true", **TOKEN}, "", None),
        ({"kerberos": "true"}, "krb5.conf", "KRB5_CONFIG names a file of the workspace"),
        ({"kerberos": "true"}, "/etc/krb5.conf:/github/workspace/x", "KRB5_CONFIG names a file"),
        ({"kerberos": "true"}, "/etc/../github/workspace/x", "KRB5_CONFIG names a file"),
    ],
)
def test_kerberos_with_another_credential_or_settings_of_the_workspace_is_an_error(
    inputs: dict[str, str], config: str, error: str | None
) -> None:
    found = errors_by_input(inputs, {"KRB5_CONFIG": config})

    assert error in found["kerberos"] if error else "with kerberos" in found["token"]
