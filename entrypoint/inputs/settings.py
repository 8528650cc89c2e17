"""What the user asked for: the inputs become one `Settings`, or every mistake in them at once.

It sends nothing and decides nothing; it knows neither Airflow nor the runner, only the table of
inputs in action.yml.
"""

from __future__ import annotations

import json
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from entrypoint.credentials import Secret
from entrypoint.errors import InvalidInputs
from entrypoint.inputs import identifiers
from entrypoint.inputs import parsers as parse
from entrypoint.inputs.credentials import read_access
from entrypoint.inputs.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from entrypoint.credentials import Access
    from entrypoint.models import IfPaused, IfRunExists, Logs, ReportTo, XComName

INPUT_NAMES = (
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
    "dag_id",
    "conf",
    "conf_file",
    "run_id",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "run_after",
    "partition_key",
    "note",
    "trigger",
    "wait",
    "timeout",
    "start_timeout",
    "poll_interval",
    "wait_for_dag",
    "expect_commit",
    "report_to",
    "environment",
    "if_run_exists",
    "if_paused",
    "on_timeout",
    "on_cancel",
    "fail_on_failed_tasks",
    "xcom",
    "logs",
    "log_lines",
    "summary",
    "github_token",
    "matrix",
)
"""Every input of `action.yml`, in its order. A test holds the two together."""

SECRET_INPUTS = ("token", "password", "client_secret", "client_key", "github_token")
"""The inputs that must never be seen. Of `headers`, see `access.header_values`."""

CREDENTIAL_INPUTS = (
    "token",
    "username",
    "password",
    "client_id",
    "client_secret",
    "client_key",
    "headers",
)
"""What a credential consists of; the post stage reads them from the inputs once more, or has
none.
"""

POST_STAGE_INPUTS = (
    "airflow_url",
    "ca_certificate",
    "client_certificate",
    "token_url",
    "scope",
    "oidc_audience",
    "mwaa_environment",
    "dag_id",
    "on_cancel",
    "summary",
)
"""What else the post stage needs. None of it is secret, so it is kept."""

_MAX_SAVED_CHARS = 60_000
"""Characters of a file that is kept."""

_RUN_INPUTS = (
    "conf",
    "conf_file",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "run_after",
    "partition_key",
    "note",
)


class Settings(NamedTuple):
    """The inputs, parsed. Durations are in seconds, dates are aware; None means: derived, or left
    to Airflow.
    """

    access: Access
    dag_id: str
    conf: dict[str, Any]
    run_id: str | None
    logical_date: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    run_after: datetime | None
    partition_key: str | None
    note: str | None
    trigger: bool
    wait: bool
    timeout: float
    start_timeout: float
    poll_interval: float | None
    wait_for_dag: float
    expect_commit: str | None
    report_to: ReportTo
    environment: str | None
    if_run_exists: IfRunExists
    if_paused: IfPaused
    on_timeout: Literal["leave", "cancel"]
    on_cancel: Literal["cancel", "leave"]
    fail_on_failed_tasks: bool
    xcom: tuple[XComName, ...]
    logs: Logs
    log_lines: int
    summary: bool
    github_token: Secret
    matrix: Any


def parse_settings(
    inputs: Mapping[str, str],
    workspace: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Settings:
    """Turn the inputs into Settings.

    Args:
        inputs: input name → text, as the runner hands them over; a missing name is an empty input.
        workspace: the checkout, below which the files lie that inputs name.
        environment: the job's: where AWS credentials and GitHub's OIDC endpoint stand.

    Raises:
        InvalidInputs: with every mistake that the inputs contain.
    """
    reader = Reader(inputs)
    settings = Settings(
        access=read_access(reader, workspace, environment),
        dag_id=reader.required("dag_id", identifiers.dag_id, "nightly_sales"),
        conf=_conf(reader, workspace),
        run_id=reader.optional("run_id", identifiers.run_id),
        logical_date=reader.optional("logical_date", parse.moment),
        data_interval_start=reader.optional("data_interval_start", parse.moment),
        data_interval_end=reader.optional("data_interval_end", parse.moment),
        run_after=reader.optional("run_after", parse.moment),
        partition_key=reader.optional("partition_key", str),
        note=reader.optional("note", identifiers.note),
        trigger=reader.read("trigger", parse.boolean, True),
        wait=reader.read("wait", parse.boolean, True),
        timeout=reader.read("timeout", parse.duration, 3600.0),
        start_timeout=reader.read("start_timeout", parse.duration, inf),
        poll_interval=reader.optional("poll_interval", parse.interval),
        wait_for_dag=reader.read("wait_for_dag", parse.duration_or_zero, 0.0),
        expect_commit=reader.optional("expect_commit", parse.commit),
        report_to=reader.read(
            "report_to", parse.choice("none", "commit-status", "deployment"), "none"
        ),
        environment=reader.optional("environment", parse.environment),
        if_run_exists=reader.read(
            "if_run_exists", parse.choice("resume", "attach", "restart", "fail"), "resume"
        ),
        if_paused=reader.read("if_paused", parse.choice("fail", "unpause", "queue"), "fail"),
        on_timeout=reader.read("on_timeout", parse.choice("leave", "cancel"), "leave"),
        on_cancel=reader.read("on_cancel", parse.choice("cancel", "leave"), "cancel"),
        fail_on_failed_tasks=reader.read("fail_on_failed_tasks", parse.boolean, False),
        xcom=reader.read("xcom", identifiers.xcoms, ()),
        logs=reader.read("logs", parse.choice("failed", "all", "none"), "failed"),
        log_lines=reader.read("log_lines", parse.whole_number(1, 2000), 100),
        summary=reader.read("summary", parse.boolean, True),
        github_token=Secret(reader.read("github_token", parse.header_token, "")),
        matrix=reader.read("matrix", _matrix, None),
    )
    _check_interval(reader, settings)
    if not settings.trigger:
        _check_only_waiting(reader, settings)
    if not settings.wait:
        _check_not_waiting(reader, settings)
    _check_report(reader, settings)
    if reader.mistakes:
        raise InvalidInputs(tuple(reader.mistakes))
    return settings


def post_stage_inputs(inputs: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return inputs from which the post stage knows what it needs, but for secrets: files may be
    gone by then.

    What is no path is left to the inputs, and so is a file that is too large: a variable may have
    128 KiB on Linux.
    """
    kept = {name: inputs.get(name, "") for name in POST_STAGE_INPUTS}
    tls = settings.access.tls
    for name, text in (("ca_certificate", tls.ca), ("client_certificate", tls.certificate)):
        is_path = kept[name] and "-----BEGIN" not in kept[name]
        kept[name] = text if is_path and len(text) <= _MAX_SAVED_CHARS else ""
    if inputs.get("oidc_audience"):
        kept["client_id"] = inputs.get("client_id", "")
    return {name: text for name, text in kept.items() if text}


def _conf(reader: Reader, workspace: Path) -> dict[str, Any]:
    if reader.given("conf") and reader.given("conf_file"):
        reader.wrong("conf_file", "it is given together with conf.", "Keep one of the two.")
    conf = reader.optional("conf", parse.json_object)
    from_file = reader.optional("conf_file", lambda text: parse.json_file(text, workspace))
    return conf or from_file or {}


def _matrix(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise parse.ParseError("it is not JSON.", "Leave it out: GitHub fills it in.") from None


def _check_interval(reader: Reader, settings: Settings) -> None:
    start, end = settings.data_interval_start, settings.data_interval_end
    if reader.given("data_interval_start") != reader.given("data_interval_end"):
        missing = (
            "data_interval_end" if reader.given("data_interval_start") else "data_interval_start"
        )
        reader.wrong(
            missing, "it is empty, but the other end is given.", "Airflow takes both or neither."
        )
    elif start and end and start > end:
        reader.wrong("data_interval_end", "it is before data_interval_start.", "Exchange the two.")


def _check_only_waiting(reader: Reader, settings: Settings) -> None:
    """With `trigger: false` nothing is asked for, so what would be asked for is a
    misunderstanding.
    """
    if not reader.given("run_id"):
        reader.wrong(
            "run_id", "it is empty, but trigger is false.", "Name the DAG run to wait for."
        )
    for name in _RUN_INPUTS:
        if reader.given(name):
            reader.wrong(
                name,
                "it is given, but trigger is false.",
                "Remove it: only a run that is made takes it.",
            )
    if settings.wait_for_dag:
        reader.wrong(
            "wait_for_dag",
            "it is given, but trigger is false.",
            "Remove it: the run has its code already.",
        )


def _check_not_waiting(reader: Reader, settings: Settings) -> None:
    """With `wait: false` nobody sees the end, so what is asked of the end is a misunderstanding."""
    if settings.xcom:
        reader.wrong(
            "xcom",
            "it is given, but wait is false.",
            "Remove it: a run that is not waited for has no XComs yet.",
        )
    if settings.fail_on_failed_tasks:
        reader.wrong(
            "fail_on_failed_tasks",
            "it is true, but wait is false.",
            "Remove it: nobody waits for the tasks.",
        )


def _check_report(reader: Reader, settings: Settings) -> None:
    """Only what nobody waits for is reported, and only a deployment has an environment, named when
    the run is made.
    """
    if settings.report_to != "none":
        if settings.wait:
            reader.wrong(
                "report_to",
                "it is given, but wait is true.",
                "Set wait: false, or remove it: this step tells the end.",
            )
        if not settings.github_token.reveal():
            reader.wrong(
                "github_token",
                "it is empty, but report_to is given.",
                "Remove it: its default is the job's token.",
            )
    if settings.report_to == "deployment" and settings.trigger:
        if not reader.given("environment"):
            reader.wrong(
                "environment",
                "it is empty, but report_to is deployment.",
                "Name the environment, like production.",
            )
    elif reader.given("environment"):
        reader.wrong(
            "environment",
            "it is given, but no deployment is made.",
            "Remove it: it goes with report_to: deployment and trigger: true.",
        )
