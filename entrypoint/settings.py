"""What the user asked for: the inputs become one frozen `Settings`, or every mistake in them at once.

It sends nothing and decides nothing; it knows neither Airflow nor the runner, only the contract's table of inputs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from entrypoint import identifiers
from entrypoint import inputs as parse
from entrypoint.errors import InvalidInputs, Mistake
from entrypoint.models import Credential, IfRunExists, Logs, Password, Secret, Token, XComName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

T = TypeVar("T")

NAMES = (
    "airflow_url", "token", "username", "password",
    "dag_id", "conf", "conf_file", "run_id", "logical_date", "data_interval_start", "data_interval_end", "run_after",
    "partition_key", "note",
    "trigger", "wait", "timeout", "start_timeout", "poll_interval", "if_run_exists", "if_paused", "on_timeout", "on_cancel",
    "fail_on_failed_tasks", "xcom", "logs", "log_lines", "summary", "matrix",
)  # fmt: skip
"""Every input of `action.yml`, in its order. A test holds the two together."""

SECRETS = ("token", "password")
"""The inputs that must never be seen."""

_REQUEST = (
    "conf", "conf_file", "logical_date", "data_interval_start", "data_interval_end", "run_after", "partition_key", "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """The inputs, parsed. Durations are in seconds, dates are aware; None means: derived, or left to Airflow."""

    airflow_url: str
    credential: Credential
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
    if_run_exists: IfRunExists
    if_paused: Literal["fail", "unpause", "queue"]
    on_timeout: Literal["leave", "cancel"]
    on_cancel: Literal["cancel", "leave"]
    fail_on_failed_tasks: bool
    xcom: tuple[XComName, ...]
    logs: Logs
    log_lines: int
    summary: bool
    matrix: Any


class _Reader:
    """Reads input after input and collects the mistakes instead of stopping at the first."""

    def __init__(self, inputs: Mapping[str, str]) -> None:
        self._inputs = {name: text.strip() for name, text in inputs.items()}
        self.mistakes: list[Mistake] = []

    def given(self, name: str) -> bool:
        return bool(self._inputs.get(name))

    def read(self, name: str, parser: Callable[[str], T], default: T) -> T:
        """Parse the input; an empty one means its default."""
        if not self.given(name):
            return default
        try:
            return parser(self._inputs[name])
        except parse.Wrong as wrong:
            self.wrong(name, wrong.problem, wrong.remedy)
            return default

    def required(self, name: str, parser: Callable[[str], str], example: str) -> str:
        if not self.given(name):
            self.wrong(name, "it is required and empty.", f"Write one like {example}.")
        return self.read(name, parser, "")

    def optional(self, name: str, parser: Callable[[str], T]) -> T | None:
        return self.read(name, cast("Callable[[str], T | None]", parser), None)

    def wrong(self, name: str, problem: str, remedy: str) -> None:
        self.mistakes.append(Mistake(name, problem, remedy))


def parse_settings(inputs: Mapping[str, str], workspace: Path) -> Settings:
    """Turn the inputs into Settings.

    Args:
        inputs: input name → text, as the runner hands them over; a missing name is an empty input.
        workspace: the checkout, below which `conf_file` lies.

    Raises:
        InvalidInputs: with every mistake that the inputs contain.
    """
    reader = _Reader(inputs)
    settings = Settings(
        airflow_url=reader.required("airflow_url", parse.base_url, "https://airflow.example.com"),
        credential=_credential(reader),
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
        if_run_exists=reader.read("if_run_exists", parse.choice("resume", "attach", "restart", "fail"), "resume"),
        if_paused=reader.read("if_paused", parse.choice("fail", "unpause", "queue"), "fail"),
        on_timeout=reader.read("on_timeout", parse.choice("leave", "cancel"), "leave"),
        on_cancel=reader.read("on_cancel", parse.choice("cancel", "leave"), "cancel"),
        fail_on_failed_tasks=reader.read("fail_on_failed_tasks", parse.boolean, False),
        xcom=reader.read("xcom", identifiers.xcoms, ()),
        logs=reader.read("logs", parse.choice("failed", "all", "none"), "failed"),
        log_lines=reader.read("log_lines", parse.whole_number(1, 2000), 100),
        summary=reader.read("summary", parse.boolean, True),
        matrix=reader.read("matrix", _matrix, None),
    )
    _check_interval(reader, settings)
    if not settings.trigger:
        _check_only_waiting(reader)
    if not settings.wait:
        _check_not_waiting(reader, settings)
    if reader.mistakes:
        raise InvalidInputs(tuple(reader.mistakes))
    return settings


def _credential(reader: _Reader) -> Credential:
    """Read exactly one kind of credential; half of one and two at once are mistakes."""
    token = reader.read("token", parse.header_token, "")
    username = reader.read("username", str, "")
    password = reader.read("password", str, "")
    if reader.given("token") and (username or password):
        reader.wrong("token", "it is given together with username or password.", "Keep one kind of credential.")
    elif username and not password:
        reader.wrong("password", "it is empty, but username is given.", "Give both; is the secret's name right?")
    elif password and not username:
        reader.wrong("username", "it is empty, but password is given.", "Give both.")
    elif not reader.given("token") and not username:
        reader.wrong(
            "token",
            "no credential is given.",
            "Give token, or username and password. If you do, the secret was empty: check its name, and that the "
            "workflow did not start from a fork, which gets no secrets.",
        )
    if username:
        if ":" in username:
            reader.wrong("username", "it contains a colon.", "HTTP Basic allows none in a user name: use another user.")
        return Password(username, Secret(password))
    return Token(Secret(token))


def _conf(reader: _Reader, workspace: Path) -> dict[str, Any]:
    if reader.given("conf") and reader.given("conf_file"):
        reader.wrong("conf_file", "it is given together with conf.", "Keep one of the two.")
    conf = reader.optional("conf", parse.json_object)
    from_file = reader.optional("conf_file", lambda text: parse.json_file(text, workspace))
    return conf or from_file or {}


def _matrix(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise parse.Wrong("it is not JSON.", "Leave it out: GitHub fills it in.") from None


def _check_interval(reader: _Reader, settings: Settings) -> None:
    start, end = settings.data_interval_start, settings.data_interval_end
    if reader.given("data_interval_start") != reader.given("data_interval_end"):
        missing = "data_interval_end" if reader.given("data_interval_start") else "data_interval_start"
        reader.wrong(missing, "it is empty, but the other end is given.", "Airflow takes both or neither.")
    elif start and end and start > end:
        reader.wrong("data_interval_end", "it is before data_interval_start.", "Exchange the two.")


def _check_only_waiting(reader: _Reader) -> None:
    """With `trigger: false` nothing is asked for, so what would be asked for is a misunderstanding."""
    if not reader.given("run_id"):
        reader.wrong("run_id", "it is empty, but trigger is false.", "Name the DAG run to wait for.")
    for name in _REQUEST:
        if reader.given(name):
            reader.wrong(name, "it is given, but trigger is false.", "Remove it: only a run that is made takes it.")


def _check_not_waiting(reader: _Reader, settings: Settings) -> None:
    """With `wait: false` nobody sees the end, so what is asked of the end is a misunderstanding."""
    if settings.xcom:
        reader.wrong(
            "xcom", "it is given, but wait is false.", "Remove it: a run that is not waited for has no XComs yet."
        )
    if settings.fail_on_failed_tasks:
        reader.wrong("fail_on_failed_tasks", "it is true, but wait is false.", "Remove it: nobody waits for the tasks.")
