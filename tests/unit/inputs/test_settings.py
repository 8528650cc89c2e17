"""Parsing all inputs into Settings."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.credentials import Access, GitHubToken, Mwaa, OAuth, Password, Secret, Tls, Token
from entrypoint.errors import InvalidInputs
from entrypoint.inputs.settings import INPUT_NAMES, SECRET_INPUTS, Settings, parse_settings
from entrypoint.models import XComName
from tests.unit.http.handshakes import DEPLOYER, OURS

WORKSPACE = Path("/github/workspace")
NOTHING: Mapping[str, str] = MappingProxyType({})
NEEDED = {"airflow_url": "https://airflow.example.com", "token": "t0ken", "dag_id": "nightly_sales"}
GITHUB = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example.com/?v=2",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
}
TOKEN = "ghs_t0kenOfTheJob"
DETACHED = {"report_to": "commit-status", "wait": "false", "github_token": TOKEN}
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


def parse(
    changes: Mapping[str, str] = NOTHING, workspace: Path = WORKSPACE, **more: str
) -> Settings:
    return parse_settings({**NEEDED, **changes, **more}, workspace)


def input_errors(changes: Mapping[str, str], workspace: Path = WORKSPACE) -> dict[str, str]:
    with pytest.raises(InvalidInputs) as caught:
        parse(changes, workspace)
    return {
        input_error.name: f"{input_error.problem} {input_error.remedy}"
        for input_error in caught.value.errors
    }


def test_required_inputs_alone_give_the_documented_defaults() -> None:
    settings = parse()

    assert settings.dag_id == "nightly_sales"
    assert settings.access == Access(
        "https://airflow.example.com", Token(Secret("t0ken")), (), Tls()
    )
    assert (settings.conf, settings.run_id, settings.note, settings.partition_key) == (
        {},
        None,
        None,
        None,
    )
    assert (settings.logical_date, settings.run_after) == (None, None)
    assert (settings.data_interval_start, settings.data_interval_end) == (None, None)
    assert (settings.wait, settings.timeout, settings.poll_interval) == (True, 3600, None)
    assert (settings.trigger, settings.start_timeout) == (True, inf)
    assert (settings.if_run_exists, settings.if_paused) == ("resume", "fail")
    assert (settings.on_timeout, settings.on_cancel) == ("leave", "cancel")
    assert (settings.summary, settings.matrix) == (True, None)
    assert (settings.fail_on_failed_tasks, settings.xcom) == (False, ())
    assert (settings.logs, settings.log_lines) == ("failed", 100)
    assert (settings.wait_for_dag, settings.expect_commit, settings.github_token) == (
        0,
        None,
        Secret(""),
    )
    assert (settings.report_to, settings.environment) == ("none", None)
    assert settings.required_tasks == ()


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_blank_input_means_its_default(blank: str) -> None:
    names = [name for name in INPUT_NAMES if name not in NEEDED]

    assert parse(dict.fromkeys(names, blank)) == parse()


def test_every_input_reaches_its_setting() -> None:
    settings = parse(
        conf='{"region": "APAC"}\n',
        run_id=" deploy-1 ",
        logical_date="2026-01-31T00:00:00Z",
        data_interval_start="2026-01-30T00:00:00Z",
        data_interval_end="2026-01-31T00:00:00Z",
        run_after="2026-02-01T00:00:00Z",
        partition_key="eu",
        note="why",
        timeout="2h",
        start_timeout="5m",
        if_run_exists="attach",
        on_timeout="cancel",
        on_cancel="leave",
        poll_interval="30s",
        wait_for_dag="10m",
        expect_commit=f"{'C' * 40}\n",
        if_paused="unpause",
        fail_on_failed_tasks="TRUE",
        xcom="extract:row_count\nload",
        logs="all",
        log_lines="20",
        summary="FALSE",
        github_token="ghs_t0ken\n",
        matrix='{"region": "APAC"}',
    )

    assert (settings.conf, settings.run_id) == ({"region": "APAC"}, "deploy-1")
    assert settings.logical_date == settings.data_interval_end == datetime(2026, 1, 31, tzinfo=UTC)
    assert settings.data_interval_start == datetime(2026, 1, 30, tzinfo=UTC)
    assert settings.run_after == datetime(2026, 2, 1, tzinfo=UTC)
    assert (settings.partition_key, settings.note) == ("eu", "why")
    assert (settings.timeout, settings.poll_interval) == (7200, 30)
    assert (settings.start_timeout, settings.if_run_exists, settings.if_paused) == (
        300,
        "attach",
        "unpause",
    )
    assert (settings.on_timeout, settings.on_cancel) == ("cancel", "leave")
    assert (settings.wait_for_dag, settings.expect_commit) == (600, "c" * 40)
    assert (settings.summary, settings.matrix) == (False, {"region": "APAC"})
    assert settings.github_token == Secret("ghs_t0ken")
    assert (settings.fail_on_failed_tasks, settings.logs, settings.log_lines) == (True, "all", 20)
    assert settings.xcom == (
        XComName("extract:row_count", "extract", "row_count"),
        XComName("load", "load", "return_value"),
    )


def test_run_id_is_enough_without_a_trigger() -> None:
    """The run may be checked against a commit."""
    settings = parse(trigger="false", run_id="r1", expect_commit="c" * 40, wait_for_dag="0")

    assert (settings.trigger, settings.run_id) == (False, "r1")
    assert (settings.expect_commit, settings.wait_for_dag) == ("c" * 40, 0)


def test_inputs_about_the_end_keep_defaults_without_waiting() -> None:
    settings = parse(
        wait="false", fail_on_failed_tasks="false", xcom=" ", logs="all", log_lines="1"
    )

    assert (settings.wait, settings.fail_on_failed_tasks, settings.xcom) == (False, False, ())


@pytest.mark.parametrize(
    ("inputs", "report_to", "environment"),
    [
        ({}, "commit-status", None),
        ({"trigger": "false", "run_id": "r"}, "commit-status", None),
        ({"report_to": "deployment", "environment": " production "}, "deployment", "production"),
        ({"report_to": "deployment", "trigger": "false", "run_id": "r"}, "deployment", None),
        ({"report_to": "none"}, "none", None),
    ],
)
def test_detached_run_may_be_reported(
    inputs: dict[str, str], report_to: str, environment: str | None
) -> None:
    """A deployment needs an environment, except to settle it."""
    settings = parse(DETACHED | inputs)

    assert (settings.report_to, settings.environment) == (report_to, environment)


def test_username_and_password_in_any_script_are_a_credential() -> None:
    settings = parse(token="", username="jürgen", password=" pass wörd:☃\n")

    assert settings.access.credential == Password("jürgen", Secret("pass wörd:☃"))


def test_headers_and_tls_inputs_reach_the_connection_settings(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(OURS.pem)
    access = parse(
        {"headers": "X-Key: abc", "ca_certificate": "ca.pem"},
        tmp_path,
        client_certificate=DEPLOYER.certificate,
        client_key=DEPLOYER.key,
    ).access

    assert access.headers == (("X-Key", Secret("abc")),)
    assert access.tls.ca.split() == OURS.pem.split()
    assert access.tls.key.reveal().split() == DEPLOYER.key.split()


def test_secrets_of_the_job_are_read_only_from_its_environment() -> None:
    aws = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "k"}
    by_github = {**NEEDED, "token": "", "oidc_audience": "airflow"}
    by_aws = {**NEEDED, "token": "", "airflow_url": "", "mwaa_environment": "m"}

    assert isinstance(parse_settings(by_github, WORKSPACE, GITHUB).access.credential, GitHubToken)
    assert isinstance(parse_settings(by_aws, WORKSPACE, aws).access.credential, Mwaa)
    for inputs in (by_github, by_aws):
        with pytest.raises(InvalidInputs):
            parse_settings(inputs, WORKSPACE)


@pytest.mark.parametrize(
    ("given_", "wrong"),
    [
        ({"token": ""}, {"token": "no credential"}),
        ({"username": "u"}, {"token": "together with username"}),
        ({"password": "p"}, {"token": "together with username and password"}),
        ({"username": "u", "password": "p"}, {"token": "together with"}),
        ({"token": "", "username": "u"}, {"password": "empty, but username is given"}),
        ({"token": "", "password": "p"}, {"username": "empty, but password is given"}),
        ({"token": "Bearer x"}, {"token": "Bearer"}),
        ({"airflow_url": ""}, {"airflow_url": "required"}),
        ({"dag_id": " "}, {"dag_id": "required"}),
        ({"conf": "{}", "conf_file": "conf.json"}, {"conf_file": "together with conf"}),
        ({"conf_file": "missing.json"}, {"conf_file": "there is no file"}),
        (
            {"data_interval_start": "2026-01-31T00:00:00Z"},
            {"data_interval_end": "other end is given"},
        ),
        (
            {"data_interval_end": "2026-01-31T00:00:00Z"},
            {"data_interval_start": "other end is given"},
        ),
        (
            {
                "data_interval_start": "2026-01-31T00:00:00Z",
                "data_interval_end": "2026-01-31T00:00:00+01:00",
            },
            {"data_interval_end": "before data_interval_start"},
        ),
        (
            {"data_interval_start": "x", "data_interval_end": "2026-01-31T00:00:00Z"},
            {"data_interval_start": "RFC 3339"},
        ),
        ({"poll_interval": "0.5"}, {"poll_interval": "less than 1 second"}),
        ({"timeout": "0"}, {"timeout": "out of range"}),
        ({"wait": "yes"}, {"wait": "not a boolean"}),
        ({"summary": "yes"}, {"summary": "not a boolean"}),
        ({"if_paused": "ignore"}, {"if_paused": "fail, unpause, queue or drain"}),
        ({"matrix": "{"}, {"matrix": "not JSON"}),
        ({"matrix": "[" * 100_000}, {"matrix": "not JSON"}),
        ({"trigger": "no"}, {"trigger": "not a boolean"}),
        ({"trigger": "false"}, {"run_id": "trigger is false"}),
        ({"trigger": "false", "run_id": "r", "conf": "{}"}, {"conf": "trigger is false"}),
        (
            {"trigger": "false", "run_id": "r", "wait_for_dag": "10m"},
            {"wait_for_dag": "trigger is false"},
        ),
        (
            {"trigger": "false", "run_id": "r", "wait_for_dag": "soon"},
            {"wait_for_dag": "not a duration"},
        ),
        ({"wait_for_dag": "841h"}, {"wait_for_dag": "out of range"}),
        ({"expect_commit": "main"}, {"expect_commit": "full commit SHA"}),
        ({"expect_commit": "c" * 7}, {"expect_commit": "full commit SHA"}),
        ({"github_token": "Bearer x"}, {"github_token": "Bearer"}),
        ({"github_token": "ghs_a b"}, {"github_token": "spaces"}),
        ({"if_run_exists": "reuse"}, {"if_run_exists": "resume, attach, restart or fail"}),
        ({"start_timeout": "soon"}, {"start_timeout": "not a duration"}),
        ({"on_timeout": "stop"}, {"on_timeout": "leave or cancel"}),
        ({"on_cancel": "stop"}, {"on_cancel": "cancel or leave"}),
        ({"note": "x" * 1001}, {"note": "1001 characters"}),
        ({"fail_on_failed_tasks": "yes"}, {"fail_on_failed_tasks": "not a boolean"}),
        ({"xcom": "load:"}, {"xcom": "is not the name of an XCom"}),
        ({"logs": "some"}, {"logs": "failed, all, live or none"}),
        ({"log_lines": "0"}, {"log_lines": "from 1 to"}),
        ({"log_lines": "many"}, {"log_lines": "whole number"}),
        ({"wait": "false", "xcom": "load"}, {"xcom": "wait is false"}),
        ({"required_tasks": "lo ad"}, {"required_tasks": '"lo ad" cannot be a task id'}),
        ({"required_tasks": "# load"}, {"required_tasks": "cannot be a task id"}),
        ({"required_tasks": "load\n\nload"}, {"required_tasks": '"load" is given twice'}),
        ({"required_tasks": "a" * 251}, {"required_tasks": "cannot be a task id"}),
        (
            {"required_tasks": "\n".join(f"a{number}" for number in range(101))},
            {"required_tasks": "it has 101 lines"},
        ),
        ({"required_tasks": "load", "wait": "false"}, {"required_tasks": "wait is false"}),
        (
            {"required_tasks": "load", "fail_on_failed_tasks": "true"},
            {"fail_on_failed_tasks": "required_tasks is given"},
        ),
        (
            DETACHED | {"required_tasks": "load"},
            {"required_tasks": "wait is false", "report_to": "required_tasks is given too"},
        ),
        (
            {"dags": "a", "dag_id": "", "required_tasks": "load"},
            {"required_tasks": "dags is given too"},
        ),
        (
            {"wait": "false", "fail_on_failed_tasks": "true"},
            {"fail_on_failed_tasks": "wait is false"},
        ),
        (
            {"wait": "false", "xcom": "load", "fail_on_failed_tasks": "true"},
            {"xcom": "wait is false", "fail_on_failed_tasks": "wait is false"},
        ),
        ({"wait": "no", "xcom": "load"}, {"wait": "not a boolean"}),
        ({"report_to": "status"}, {"report_to": "none, commit-status or deployment"}),
        ({"report_to": "commit-status", "github_token": TOKEN}, {"report_to": "wait is true"}),
        ({"report_to": "commit-status", "wait": "false"}, {"github_token": "report_to is given"}),
        (DETACHED | {"report_to": "deployment"}, {"environment": "report_to is deployment"}),
        (
            DETACHED | {"report_to": "deployment", "environment": "x" * 256},
            {"environment": "255 characters"},
        ),
        (DETACHED | {"environment": "production"}, {"environment": "creates no deployment"}),
        ({"wait": "false", "environment": "production"}, {"environment": "creates no deployment"}),
        (
            DETACHED
            | {"report_to": "deployment", "environment": "x", "trigger": "false", "run_id": "r"},
            {"environment": "trigger: true"},
        ),
    ],
)
def test_each_error_names_the_input_to_change(
    tmp_path: Path, given_: dict[str, str], wrong: dict[str, str]
) -> None:
    (tmp_path / "conf.json").write_text("{}")
    found = input_errors(given_, tmp_path)

    assert found.keys() == wrong.keys()
    for name, words in wrong.items():
        assert words in found[name]


def test_all_errors_are_raised_at_once() -> None:
    wrong = dict.fromkeys(
        (
            *INPUT_NAMES[:1],
            "run_id",
            "logical_date",
            "wait",
            "timeout",
            "poll_interval",
            "if_paused",
        ),
        "?!",
    )
    with pytest.raises(InvalidInputs) as caught:
        parse(wrong, dag_id="")

    assert {input_error.name for input_error in caught.value.errors} == {*wrong, "dag_id"}
    assert caught.value.title == "8 inputs are not usable"
    for input_error in caught.value.errors:
        assert (
            f"{input_error.name}: {input_error.problem} {input_error.remedy}"
            in caught.value.detail.splitlines()
        )
    assert "Nothing was sent" in caught.value.hint


def test_single_error_has_a_singular_title() -> None:
    with pytest.raises(InvalidInputs) as caught:
        parse(wait="maybe")

    assert caught.value.title == "1 input is not usable"


def test_conf_file_is_the_conf(tmp_path: Path) -> None:
    (tmp_path / "conf.json").write_text('{"region": "APAC"}')

    assert parse({"conf_file": "conf.json"}, tmp_path).conf == {"region": "APAC"}


def test_data_interval_may_be_empty() -> None:
    """A DAG without a schedule has such intervals."""
    moment = "2026-01-31T00:00:00Z"

    assert parse(data_interval_start=moment, data_interval_end=moment).data_interval_start


@given(st.dictionaries(st.sampled_from(INPUT_NAMES), texts))
def test_any_inputs_are_settings_or_invalid_inputs(inputs: dict[str, str]) -> None:
    with suppress(InvalidInputs):
        parse_settings(inputs, WORKSPACE)


@given(texts.filter(lambda text: len(text.strip()) > 5))
def test_no_error_or_repr_shows_a_secret(secret: str) -> None:
    for inputs in (
        {"token": f"s3 {secret}cret"},
        *({"token": "", name: f"s3{secret}cret"} for name in SECRET_INPUTS if name != "token"),
    ):
        message = str(input_errors(inputs))
        assert f"{secret}cret" not in message
    assert f"{secret}cret" not in repr(parse(token="", username="u", password=f"s3{secret}cret"))


def test_repr_does_not_show_the_github_token() -> None:
    settings = parse(github_token="ghs_t0kenOfTheJob")

    assert settings.github_token.reveal() == "ghs_t0kenOfTheJob"
    assert "t0kenOfTheJob" not in f"{settings!r} {settings}"


_CLIENT_INPUTS = {
    "token": "",
    "client_id": "c",
    "client_secret": "s",
    "token_url": "https://login.example.com/token",
}
REQUIRED_WITH = {
    **{name: {"token": "", "username": "u", "password": "p"} for name in ("username", "password")},
    **{name: _CLIENT_INPUTS for name in (*_CLIENT_INPUTS, "scope") if name != "token"},
    "oidc_audience": {"token": ""},
}
"""The inputs that another input requires."""
FREE_TEXT_INPUTS = (
    "username",
    "password",
    "client_id",
    "client_secret",
    "scope",
    "oidc_audience",
    "partition_key",
    "note",
)
"""Inputs that accept any text."""


def read_free_texts(settings: Settings) -> list[str | None]:
    match settings.access.credential:
        case Password(username, password):
            found = [username, password.reveal()]
        case OAuth(_, client_id, Secret() as proof, scope):
            found = [client_id, proof.reveal(), scope]
        case GitHubToken(audience):
            found = [audience]
        case _:
            found = []
    return [settings.partition_key, settings.note, *found]


@pytest.mark.parametrize("name", INPUT_NAMES)
def test_every_declared_input_is_used(name: str) -> None:
    nonsense = "not \u201cusable\u201d: {"
    inputs = {**NEEDED, **REQUIRED_WITH.get(name, {}), name: nonsense}

    if name in FREE_TEXT_INPUTS:
        assert nonsense in read_free_texts(parse_settings(inputs, WORKSPACE, GITHUB))
    else:
        with pytest.raises(InvalidInputs) as caught:
            parse_settings(inputs, WORKSPACE, GITHUB)
        assert name in {input_error.name for input_error in caught.value.errors}
