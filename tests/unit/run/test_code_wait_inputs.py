"""Waiting for new code, from the inputs to the requests to GitHub and Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.deadline import OPTIONAL_TIMEOUT
from entrypoint.diagnostics.import_errors import OptionalDagFiles
from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.errors import (
    DagNotFound,
    DagNotRunnable,
    InvalidInputs,
    NotDeployed,
    TransientError,
    WrongCommit,
)
from entrypoint.github_api.commits import commits_of
from entrypoint.models import Dag
from entrypoint.run.code_wait import EXTRA_SECONDS, CodeWait
from entrypoint.run.dag_checks import ImportErrorMatcher
from tests.support.factories import REQUIRED_INPUTS, SHA, START, a_context, a_run
from tests.unit.run.session import ScriptedSession
from tests.unit.script import ScriptedAdapter, http_response

if TYPE_CHECKING:
    from entrypoint.deadline import Deadline
    from entrypoint.models import DagImportError

OTHER = "d" * 40
UNKNOWN = http_response(422, {"message": f"No commit found for SHA: {OTHER}"})
AHEAD, BEHIND = (http_response(200, {"status": status}) for status in ("ahead", "behind"))
DOWN = http_response(503, b"<html>")
CONTEXT = a_context(api_url="https://ghe.example.com/api/v3")
KNOWN = Dag(
    "sales",
    is_paused=False,
    is_active=True,
    has_import_errors=False,
    file="sales.py",
    last_parsed=START,
)


def code_wait_for(
    *answers: bytes, **inputs: str
) -> tuple[CodeWait, ScriptedSession, ScriptedAdapter]:
    script = ScriptedAdapter(*answers)
    session = ScriptedSession(script, {**REQUIRED_INPUTS, **inputs})
    commits = commits_of(session.github_repository(CONTEXT))
    return CodeWait(session.settings, CONTEXT, session, commits), session, script


@dataclass
class ParsingAirflow:
    """An Airflow that parses the DAG's file before every poll, and counts the polls."""

    dag: Dag | None = KNOWN
    polls: int = 0
    version: str = "3.3.2"
    deadline: float = 0.0

    def within(self, deadline: Deadline) -> ParsingAirflow:
        self.deadline = max(self.deadline, deadline.at)
        return self

    def get_dag(self, _: str) -> Dag:
        self.polls += 1
        if self.dag is None:
            raise DagNotFound("Airflow has no such DAG", "", "")
        return self.dag._replace(last_parsed=START + timedelta(seconds=self.polls))

    def import_errors(self) -> tuple[DagImportError, ...]:
        return ()

    def latest_dag_version(self, _: str) -> str | None:
        return None


def wait_for_code(
    airflow: Any, *answers: bytes, **inputs: str
) -> tuple[ScriptedSession, ScriptedAdapter]:
    found, session, script = code_wait_for(*answers, **inputs)
    optional = OptionalRequests(airflow, session.retrier)
    session.deadline(1)  # so that a test sees whether the wait sets another one
    found.wait(
        optional.airflow, OptionalDagFiles(optional, ImportErrorMatcher("sales", lambda _: False))
    )
    return session, script


# Before the first request to Airflow.


@pytest.mark.parametrize(
    "inputs", [{}, {"wait_for_dag": "10m"}, {"expect_commit": SHA}, {"expect_commit": SHA.upper()}]
)
def test_own_commit_or_none_is_not_checked_on_github(inputs: dict[str, str]) -> None:
    found, _, script = code_wait_for(**inputs)
    found.require_known_commit()

    assert script.sent == []


@pytest.mark.parametrize(
    "reply",
    [
        http_response(200, {"sha": OTHER}),
        http_response(404, {"message": "Not Found"}),
        http_response(403, {}),
        http_response(401, {}),
    ],
)
def test_known_or_undecided_commit_is_checked_once_and_accepted(reply: bytes) -> None:
    found, session, script = code_wait_for(reply, expect_commit=OTHER, github_token="ghs_t0ken")
    found.require_known_commit()
    (sent,) = script.sent

    assert sent.url.startswith(
        f"https://ghe.example.com/api/v3/repos/octo-org/sales/commits/{OTHER}?"
    )
    assert sent.headers["Authorization"] == "Bearer ghs_t0ken"
    assert session.last_deadline.seconds_left() == OPTIONAL_TIMEOUT


def test_unknown_commit_is_an_input_error() -> None:
    """No bundle would ever contain it."""
    found, _, _ = code_wait_for(UNKNOWN, expect_commit=OTHER)
    with pytest.raises(InvalidInputs) as caught:
        found.require_known_commit()
    (input_error,) = caught.value.errors

    assert input_error.name == "expect_commit"
    assert OTHER in input_error.problem
    assert "octo-org/sales" in input_error.problem


# Before the trigger.


@pytest.mark.parametrize("inputs", [{}, {"wait_for_dag": "0"}, {"github_token": "ghs_t0ken"}])
def test_without_both_inputs_no_code_is_requested(inputs: dict[str, str]) -> None:
    airflow = ParsingAirflow()
    session, script = wait_for_code(airflow, **inputs)

    assert (airflow.polls, script.sent, session.last_deadline.seconds_left()) == (0, [], 1)


def test_wait_for_dag_ends_after_a_new_parsing() -> None:
    """Requests may take some time beyond the wait."""
    airflow = ParsingAirflow()
    _, script = wait_for_code(airflow, wait_for_dag="10m")

    assert (airflow.polls, script.sent) == (3, [])
    assert airflow.deadline == 1000 + 600 + EXTRA_SECONDS


def test_wait_lasts_as_long_as_wait_for_dag() -> None:
    found, session, _ = code_wait_for(wait_for_dag="90s")
    airflow: Any = ParsingAirflow(None)
    optional = OptionalRequests(airflow, session.retrier)
    with pytest.raises(DagNotFound):
        found.wait(
            optional.airflow,
            OptionalDagFiles(optional, ImportErrorMatcher("sales", lambda _: False)),
        )

    assert session.time.now == 1090


@pytest.mark.parametrize("inputs", [{}, {"wait_for_dag": "10m"}])
def test_expect_commit_compares_the_bundle_on_github_with_the_token(inputs: dict[str, str]) -> None:
    airflow = ParsingAirflow(KNOWN._replace(bundle_version=OTHER))
    _, script = wait_for_code(airflow, AHEAD, expect_commit=SHA, github_token="ghs_t0ken", **inputs)
    (sent,) = script.sent

    assert airflow.polls == (2 if inputs else 1)
    assert sent.url.startswith(
        f"https://ghe.example.com/api/v3/repos/octo-org/sales/compare/{SHA}...{OTHER}?"
    )
    assert sent.headers["Authorization"] == "Bearer ghs_t0ken"
    assert airflow.deadline == 1000 + (600 if inputs else 0) + EXTRA_SECONDS


def test_expect_commit_alone_refuses_an_old_bundle_at_once() -> None:
    with pytest.raises(NotDeployed, match=OTHER):
        wait_for_code(
            ParsingAirflow(KNOWN._replace(bundle_version=OTHER)), BEHIND, expect_commit=SHA
        )


def test_paused_dag_is_refused_unless_if_paused_allows_it() -> None:
    paused = KNOWN._replace(is_paused=True)
    with pytest.raises(DagNotRunnable, match="paused"):
        wait_for_code(ParsingAirflow(paused), wait_for_dag="10m")
    for policy in ("queue", "unpause"):
        airflow = ParsingAirflow(paused)
        wait_for_code(airflow, wait_for_dag="10m", if_paused=policy)
        assert airflow.polls == 3


# After the trigger.


@pytest.mark.parametrize("inputs", [{}, {"wait_for_dag": "10m"}])
@pytest.mark.parametrize("version", [None, OTHER])
def test_without_expect_commit_any_version_is_accepted(
    inputs: dict[str, str], version: str | None
) -> None:
    found, session, script = code_wait_for(**inputs)
    found.require(a_run(bundle_version=version), session.deadline(60))

    assert script.sent == []


def test_run_with_the_commit_is_accepted_with_one_comparison() -> None:
    found, session, script = code_wait_for(AHEAD, expect_commit=SHA)
    for version in (SHA, OTHER, OTHER):
        found.require(a_run(bundle_version=version), session.deadline(60))

    assert len(script.sent) == 1


@pytest.mark.parametrize(
    ("version", "answers"), [(None, []), (OTHER, [BEHIND]), (OTHER, [http_response(404, {})])]
)
def test_run_without_the_commit_is_an_error(version: str | None, answers: list[bytes]) -> None:
    found, session, _ = code_wait_for(*answers, expect_commit=SHA)
    with pytest.raises(WrongCommit, match=SHA):
        found.require(a_run(bundle_version=version), session.deadline(60))


def test_github_is_retried_until_the_deadline() -> None:
    found, session, script = code_wait_for(DOWN, DOWN, AHEAD, expect_commit=SHA)
    found.require(a_run(bundle_version=OTHER), session.deadline(60))
    assert len(script.sent) == 3

    found, session, script = code_wait_for(*[DOWN] * 99, expect_commit=SHA)
    with pytest.raises(TransientError, match="GitHub answers 503"):
        found.require(a_run(bundle_version=OTHER), session.deadline(60))
    assert session.time.now == 1060


@pytest.mark.parametrize(
    "answers",
    [
        [DOWN] * 20,
        [http_response(301, Location="https://ghe.example.com/elsewhere")],
        [DOWN, http_response(404, {})],
    ],
)
def test_unclear_github_response_does_not_refuse_a_commit(answers: list[bytes]) -> None:
    found, session, _ = code_wait_for(*answers, expect_commit=OTHER)
    found.require_known_commit()

    assert session.time.now - 1000 <= OPTIONAL_TIMEOUT
