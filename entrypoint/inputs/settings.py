"""Parse all inputs into one `Settings`, or report all errors in them at once.

This module sends no requests. It knows neither Airflow nor the runner, only the inputs of
action.yml.
"""

from __future__ import annotations

import json
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from entrypoint import form
from entrypoint.credentials import Secret
from entrypoint.errors import InvalidInputs
from entrypoint.inputs import identifiers
from entrypoint.inputs import parsers as parse
from entrypoint.inputs.credentials import read_access
from entrypoint.inputs.dags import dag_selectors
from entrypoint.inputs.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from entrypoint.credentials import Access
    from entrypoint.models import (
        DagSelector,
        IfPaused,
        IfRunExists,
        Json,
        JsonObject,
        Logs,
        ReportTo,
        XComName,
    )

_LOGIN_INPUTS = (
    "token_url",
    "scope",
    "oidc_audience",
    "mwaa_environment",
    "mwaa_access",
    "aws_role",
    "google_workload_identity_provider",
    "google_service_account",
    "composer_environment",
    "kerberos",
)
"""The inputs of the logins that are not secret, so the post stage can have them saved."""

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
    *_LOGIN_INPUTS,
    "dag_id",
    "dags",
    "max_parallel",
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
    "dry_run",
    "required_tasks",
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
"""All inputs in the order of `action.yml`. A test compares the two."""

SECRET_INPUTS = ("token", "password", "client_secret", "client_key", "github_token")
"""The inputs that are secret as a whole. For `headers` see `credentials.header_values`."""

OIDC_INPUTS = ("oidc_audience", "aws_role", "google_workload_identity_provider")
"""The inputs that need GitHub's OIDC token."""

CREDENTIAL_INPUTS = (
    "token",
    "username",
    "password",
    "client_id",
    "client_secret",
    "client_key",
    "headers",
)
"""The inputs of a credential. They are not saved: the post stage reads them from the inputs again.
If it gets no inputs, it has no credential.
"""

POST_STAGE_INPUTS = (
    "airflow_url",
    "ca_certificate",
    "client_certificate",
    *_LOGIN_INPUTS,
    "dag_id",
    "on_cancel",
    "summary",
)
"""The other inputs of the post stage. They are not secret, so the main stage saves them."""

_MAX_SAVED_CHARS = form.MAX_SAVED_CHARS
"""Characters of a PEM file that the main stage saves."""

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
"""The inputs that only a new DAG run uses."""


class Settings(NamedTuple):
    """The parsed inputs. Durations are in seconds, and dates have a time zone.

    None means that the action derives the value, or that Airflow chooses it.
    """

    access: Access
    dag_id: str
    dags: tuple[DagSelector, ...]
    max_parallel: int
    conf: JsonObject
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
    dry_run: bool
    required_tasks: tuple[str, ...]
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
    matrix: Json


def parse_settings(
    inputs: Mapping[str, str],
    workspace: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Settings:
    """Parse the inputs into Settings.

    Args:
        inputs: text by input name, as the runner passes them; a missing name is an empty input.
        workspace: checkout, with the files that inputs name.
        environment: environment variables of the job, with AWS credentials and GitHub's OIDC
            endpoint.

    Raises:
        InvalidInputs: with all errors in the inputs.
    """
    reader = Reader(inputs)
    trigger = reader.read("trigger", parse.boolean, True)
    settings = Settings(
        access=read_access(reader, workspace, environment),
        dag_id=_dag_id(reader),
        dags=reader.read("dags", dag_selectors, ()),
        max_parallel=reader.read("max_parallel", parse.whole_number(1, 1000), 10),
        conf=_conf(reader, workspace),
        run_id=reader.optional(
            "run_id", identifiers.run_id if trigger else identifiers.existing_run_id
        ),
        logical_date=reader.optional("logical_date", parse.rfc3339_datetime),
        data_interval_start=reader.optional("data_interval_start", parse.rfc3339_datetime),
        data_interval_end=reader.optional("data_interval_end", parse.rfc3339_datetime),
        run_after=reader.optional("run_after", parse.rfc3339_datetime),
        partition_key=reader.optional("partition_key", str),
        note=reader.optional("note", identifiers.note),
        trigger=trigger,
        wait=reader.read("wait", parse.boolean, True),
        timeout=reader.read("timeout", parse.duration, 3600.0),
        start_timeout=reader.read("start_timeout", parse.duration, inf),
        poll_interval=reader.optional("poll_interval", parse.interval),
        wait_for_dag=reader.read("wait_for_dag", parse.duration_or_zero, 0.0),
        expect_commit=reader.optional("expect_commit", parse.commit),
        dry_run=reader.read("dry_run", parse.boolean, False),
        required_tasks=reader.read("required_tasks", identifiers.task_patterns, ()),
        report_to=reader.read(
            "report_to", parse.choice("none", "commit-status", "deployment"), "none"
        ),
        environment=reader.optional("environment", parse.environment),
        if_run_exists=reader.read(
            "if_run_exists", parse.choice("resume", "attach", "restart", "fail"), "resume"
        ),
        if_paused=reader.read(
            "if_paused", parse.choice("fail", "unpause", "queue", "drain"), "fail"
        ),
        on_timeout=reader.read("on_timeout", parse.choice("leave", "cancel"), "leave"),
        on_cancel=reader.read("on_cancel", parse.choice("cancel", "leave"), "cancel"),
        fail_on_failed_tasks=reader.read("fail_on_failed_tasks", parse.boolean, False),
        xcom=reader.read("xcom", identifiers.xcoms, ()),
        logs=reader.read("logs", parse.choice("failed", "all", "live", "none"), "failed"),
        log_lines=reader.read("log_lines", parse.whole_number(1, 2000), 100),
        summary=reader.read("summary", parse.boolean, True),
        github_token=Secret(reader.read("github_token", parse.header_token, "")),
        matrix=reader.read("matrix", _matrix, None),
    )
    _check_interval(reader, settings)
    if not settings.trigger:
        _check_wait_only(reader, settings)
    if not settings.wait:
        _check_no_wait(reader, settings)
    _check_report(reader, settings)
    if settings.required_tasks:
        _check_required_tasks(reader, settings)
    if reader.is_given("dags"):
        _check_several(reader)
    if reader.errors:
        raise InvalidInputs(tuple(reader.errors))
    return settings


def post_stage_inputs(inputs: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return the inputs to save for the post stage, without secrets.

    Replace the paths of PEM files by their content, because the files may be gone by then. Do not
    save PEM text, which the inputs still have, nor a file that is too large, because an environment
    variable may have at most 128 KiB on Linux.
    """
    saved = {name: inputs.get(name, "") for name in POST_STAGE_INPUTS}
    tls = settings.access.tls
    for name, text in (("ca_certificate", tls.ca), ("client_certificate", tls.certificate)):
        is_path = saved[name] and "-----BEGIN" not in saved[name]
        saved[name] = text if is_path and len(text) <= _MAX_SAVED_CHARS else ""
    if inputs.get("oidc_audience"):
        saved["client_id"] = inputs.get("client_id", "")
    return {name: text for name, text in saved.items() if text}


def _dag_id(reader: Reader) -> str:
    if reader.is_given("dags"):
        return reader.read("dag_id", identifiers.dag_id, "")
    return reader.required("dag_id", identifiers.dag_id, "nightly_sales")


def _check_several(reader: Reader) -> None:
    """Add errors for the inputs that are about one DAG run."""
    if reader.is_given("dag_id"):
        reader.add_error("dag_id", "it is given together with dags.", "Keep one of the two.")
    for name in ("partition_key", "xcom", "required_tasks"):
        if reader.is_given(name):
            reader.add_error(
                name,
                "it is given, but dags is given too.",
                "Remove it, or give one dag_id in place of dags.",
            )
    if reader.read("report_to", str, "none") != "none":
        reader.add_error(
            "report_to",
            "it is given, but dags is given too.",
            "Remove it, or give one dag_id in place of dags.",
        )


def _conf(reader: Reader, workspace: Path) -> JsonObject:
    if reader.is_given("conf") and reader.is_given("conf_file"):
        reader.add_error("conf_file", "it is given together with conf.", "Keep one of the two.")
    conf = reader.optional("conf", parse.conf_object)
    from_file = reader.optional("conf_file", lambda text: parse.json_file(text, workspace))
    return conf or from_file or {}


def _matrix(text: str) -> Json:
    try:
        matrix: Json = json.loads(text)
    except (ValueError, RecursionError):
        raise parse.ParseError("it is not JSON.", "Remove it, because GitHub sets it.") from None
    return matrix


def _check_interval(reader: Reader, settings: Settings) -> None:
    start, end = settings.data_interval_start, settings.data_interval_end
    if reader.is_given("data_interval_start") != reader.is_given("data_interval_end"):
        missing = (
            "data_interval_end" if reader.is_given("data_interval_start") else "data_interval_start"
        )
        reader.add_error(
            missing, "it is empty, but the other end is given.", "Give both or neither."
        )
    elif start and end and start > end:
        reader.add_error("data_interval_end", "it is before data_interval_start.", "Swap the two.")


def _check_wait_only(reader: Reader, settings: Settings) -> None:
    """Add errors for a missing `run_id` and for the inputs that need `trigger: true`."""
    if not reader.is_given("run_id"):
        reader.add_error(
            "run_id",
            "it is empty, but trigger is false.",
            "Name the DAG run to wait for. If it is the output of another job, check that job for "
            "the warning `Skip output … since it may contain secret`: GitHub drops an output that "
            "contains any secret of that job, for example a short user name.",
        )
    for name in _RUN_INPUTS:
        if reader.is_given(name):
            reader.add_error(
                name,
                "it is given, but trigger is false.",
                "Remove it: only a new DAG run can use it.",
            )
    if any(selector.conf is not None for selector in settings.dags):
        reader.add_error(
            "dags",
            "a line has a conf, but trigger is false.",
            "Remove it: only a new DAG run can use it.",
        )
    if settings.wait_for_dag:
        reader.add_error(
            "wait_for_dag",
            "it is given, but trigger is false.",
            "Remove it: the existing DAG run has its code already.",
        )


def _check_no_wait(reader: Reader, settings: Settings) -> None:
    """Add errors for the inputs that need `wait: true`."""
    if settings.xcom:
        reader.add_error(
            "xcom",
            "it is given, but wait is false.",
            "Remove it: a DAG run that has just started has no XComs yet.",
        )
    if settings.fail_on_failed_tasks:
        reader.add_error(
            "fail_on_failed_tasks",
            "it is true, but wait is false.",
            "Remove it: the step does not wait for the tasks.",
        )


def _check_required_tasks(reader: Reader, settings: Settings) -> None:
    """Add errors for the inputs that contradict `required_tasks`."""
    if not settings.wait:
        reader.add_error(
            "required_tasks",
            "it is given, but wait is false.",
            "Remove one of the two: the step has to wait for the tasks that decide.",
        )
    if settings.fail_on_failed_tasks:
        reader.add_error(
            "fail_on_failed_tasks",
            "it is true, but required_tasks is given.",
            "Remove one of the two: with required_tasks only these tasks decide.",
        )
    if settings.report_to != "none":
        reader.add_error(
            "report_to",
            "it is given, but required_tasks is given too.",
            "Remove one of the two: Airflow's listener reports the end of the whole run.",
        )


def _check_report(reader: Reader, settings: Settings) -> None:
    """Check `report_to` and its inputs.

    Only a run that the step does not wait for is reported. Only a deployment has an environment,
    and only the step that triggers the run names it.
    """
    if settings.report_to != "none":
        if settings.wait:
            reader.add_error(
                "report_to",
                "it is given, but wait is true.",
                "Set wait: false, or remove report_to: a step that waits reports the end itself.",
            )
        if not settings.github_token.reveal():
            reader.add_error(
                "github_token",
                "it is empty, but report_to is given.",
                "Remove it, so that its default, the job's token, applies.",
            )
    if settings.report_to == "deployment" and settings.trigger:
        if not reader.is_given("environment"):
            reader.add_error(
                "environment",
                "it is empty, but report_to is deployment.",
                "Name the environment, like production.",
            )
    elif reader.is_given("environment"):
        reader.add_error(
            "environment",
            "it is given, but the step creates no deployment.",
            "Remove it: only report_to: deployment with trigger: true uses it.",
        )
