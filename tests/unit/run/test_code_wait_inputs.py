"""The commit of one step, from its inputs to what is asked of GitHub and Airflow, on a clock that
the test turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

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
from entrypoint.http.response import AIRFLOW
from entrypoint.inputs.settings import parse_settings
from entrypoint.models import Dag
from entrypoint.report.console import Console
from entrypoint.run.code_wait import EXTRA_SECONDS, CodeWait
from entrypoint.run.dag_checks import ImportErrorMatcher
from entrypoint.runners import github as commands
from entrypoint.session import OPTIONAL_TIMEOUT, Session
from tests.support.factories import REQUIRED_INPUTS, SHA, START, a_context, a_run
from tests.support.virtual_time import VirtualTime
from tests.unit.script import Script, answer

if TYPE_CHECKING:
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Service
    from entrypoint.models import DagImportError

OTHER = "d" * 40
UNKNOWN = answer(422, {"message": f"No commit found for SHA: {OTHER}"})
AHEAD, BEHIND = (answer(200, {"status": status}) for status in ("ahead", "behind"))
DOWN = answer(503, b"<html>")
CONTEXT = a_context(api_url="https://ghe.example.com/api/v3")
KNOWN = Dag(
    "sales",
    is_paused=False,
    is_active=True,
    has_import_errors=False,
    file="sales.py",
    last_parsed=START,
)


class GitHubSession(Session):
    """A connection that leads to GitHub, where the script answers."""

    def __init__(self, script: Script, inputs: dict[str, str]) -> None:
        self.time = VirtualTime()
        self.settings = parse_settings({**REQUIRED_INPUTS, **inputs}, Path("/github/workspace"))
        self._script = script
        super().__init__(
            self.settings,
            self.time.clock,
            self.time.sleep,
            commands,
            Console(self.time.clock, commands),
        )

    def http_client(self, party: Service = AIRFLOW, *, present: bool = False) -> HttpClient:
        """A way to the script, which is shown no client certificate."""
        assert not present
        return self._script.wire(party)


def deploy(*answers: bytes, **inputs: str) -> tuple[CodeWait, GitHubSession, Script]:
    """The commit of a step with these inputs, its connection, and GitHub."""
    script = Script(*answers)
    session = GitHubSession(script, inputs)
    commits = commits_of(
        CONTEXT.api_url, CONTEXT.repository, session.settings.github_token, session.http_client
    )
    return CodeWait(session.settings, CONTEXT, session, commits), session, script


@dataclass
class Parsing:
    """An Airflow that parses the DAG's file again for every look, and counts the looks."""

    dag: Dag | None = KNOWN
    looks: int = 0
    version: str = "3.3.2"

    def get_dag(self, _: str) -> Dag:
        """Show the DAG."""
        self.looks += 1
        if self.dag is None:
            raise DagNotFound("Airflow has no such DAG", "", "")
        return self.dag._replace(last_parsed=START + timedelta(seconds=self.looks))

    def import_errors(self) -> tuple[DagImportError, ...]:
        """Show no import errors."""
        return ()

    def latest_dag_version(self, _: str) -> str | None:
        """Say nothing."""
        return None


def arrive(airflow: Any, *answers: bytes, **inputs: str) -> tuple[GitHubSession, Script]:
    """Wait for the code in this Airflow; return the connection, and GitHub."""
    found, session, script = deploy(*answers, **inputs)
    session.set_deadline(1)
    optional = OptionalRequests(
        airflow, session.retrier, session.limit_requests, session.seconds_left
    )
    found.wait(
        optional.airflow, OptionalDagFiles(optional, ImportErrorMatcher("sales", lambda _: False))
    )
    return session, script


# Before anything is asked of Airflow.


@pytest.mark.parametrize(
    "inputs", [{}, {"wait_for_dag": "10m"}, {"expect_commit": SHA}, {"expect_commit": SHA.upper()}]
)
def test_a_commit_that_is_certainly_there(inputs: dict[str, str]) -> None:
    """Without a commit, and for the one of which this workflow runs, GitHub is not asked."""
    found, _, script = deploy(**inputs)
    found.require_known_commit()

    assert script.sent == []


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, {"sha": OTHER}),
        answer(404, {"message": "Not Found"}),
        answer(403, {}),
        answer(401, {}),
    ],
)
def test_a_commit_that_may_be_there(reply: bytes) -> None:
    """A commit that GitHub knows, or of which this token may not learn, is asked about once and
    gone on with.
    """
    found, session, script = deploy(reply, expect_commit=OTHER, github_token="ghs_t0ken")
    found.require_known_commit()
    (sent,) = script.sent

    assert sent.url.startswith(
        f"https://ghe.example.com/api/v3/repos/octo-org/sales/commits/{OTHER}?"
    )
    assert sent.headers["Authorization"] == "Bearer ghs_t0ken"
    assert session.seconds_left() == OPTIONAL_TIMEOUT


def test_a_commit_that_is_not_there() -> None:
    """A commit that GitHub does not know is a mistake in its input, for no bundle would ever
    contain it.
    """
    found, _, _ = deploy(UNKNOWN, expect_commit=OTHER)
    with pytest.raises(InvalidInputs) as caught:
        found.require_known_commit()
    (mistake,) = caught.value.mistakes

    assert mistake.name == "expect_commit"
    assert OTHER in mistake.problem
    assert "octo-org/sales" in mistake.problem


# Before the trigger.


@pytest.mark.parametrize("inputs", [{}, {"wait_for_dag": "0"}, {"github_token": "ghs_t0ken"}])
def test_nothing_is_asked_for(inputs: dict[str, str]) -> None:
    """Unless one of the two inputs asks for it, neither Airflow nor GitHub is asked about code, and
    no time is allowed.
    """
    airflow = Parsing()
    session, script = arrive(airflow, **inputs)

    assert (airflow.looks, script.sent, session.seconds_left()) == (0, [], 1)


def test_the_code_is_waited_for() -> None:
    """With wait_for_dag the step goes on when the file was parsed anew, and requests may take a
    while beyond the wait.
    """
    airflow = Parsing()
    session, script = arrive(airflow, wait_for_dag="10m")

    assert (airflow.looks, script.sent) == (3, [])
    assert session.deadline == 1000 + 600 + EXTRA_SECONDS


def test_the_code_is_waited_for_that_long() -> None:
    """The wait lasts as long as wait_for_dag says."""
    found, session, _ = deploy(wait_for_dag="90s")
    airflow: Any = Parsing(None)
    optional = OptionalRequests(
        airflow, session.retrier, session.limit_requests, session.seconds_left
    )
    with pytest.raises(DagNotFound):
        found.wait(
            optional.airflow,
            OptionalDagFiles(optional, ImportErrorMatcher("sales", lambda _: False)),
        )

    assert session.time.now == 1090


@pytest.mark.parametrize("inputs", [{}, {"wait_for_dag": "10m"}])
def test_the_commit_is_waited_for(inputs: dict[str, str]) -> None:
    """With expect_commit the bundle is held to the commit, at once or in time, by what GitHub says
    with the token.
    """
    airflow = Parsing(KNOWN._replace(bundle_version=OTHER))
    session, script = arrive(airflow, AHEAD, expect_commit=SHA, github_token="ghs_t0ken", **inputs)
    (sent,) = script.sent

    assert airflow.looks == (2 if inputs else 1)
    assert sent.url.startswith(
        f"https://ghe.example.com/api/v3/repos/octo-org/sales/compare/{SHA}...{OTHER}?"
    )
    assert sent.headers["Authorization"] == "Bearer ghs_t0ken"
    assert session.deadline == 1000 + (600 if inputs else 0) + EXTRA_SECONDS


def test_the_commit_is_not_there() -> None:
    """With expect_commit alone a bundle that is behind is an error at once."""
    with pytest.raises(NotDeployed, match=OTHER):
        arrive(Parsing(KNOWN._replace(bundle_version=OTHER)), BEHIND, expect_commit=SHA)


def test_a_paused_dag() -> None:
    """A paused DAG is not waited for, unless the user has said that he does not mind."""
    paused = KNOWN._replace(is_paused=True)
    with pytest.raises(DagNotRunnable, match="paused"):
        arrive(Parsing(paused), wait_for_dag="10m")
    for policy in ("queue", "unpause"):
        airflow = Parsing(paused)
        arrive(airflow, wait_for_dag="10m", if_paused=policy)
        assert airflow.looks == 3


# Once there is a DAG run.


@pytest.mark.parametrize("inputs", [{}, {"wait_for_dag": "10m"}])
@pytest.mark.parametrize("version", [None, OTHER])
def test_any_commit_will_do(inputs: dict[str, str], version: str | None) -> None:
    """Without expect_commit a run may run with whatever it likes, and nobody is asked."""
    found, _, script = deploy(**inputs)
    found.require(a_run(bundle_version=version))

    assert script.sent == []


def test_the_run_has_the_commit() -> None:
    """A run with the commit, or with one that contains it, is right, and GitHub is asked no oftener
    than needed.
    """
    found, _, script = deploy(AHEAD, expect_commit=SHA)
    for version in (SHA, OTHER, OTHER):
        found.require(a_run(bundle_version=version))

    assert len(script.sent) == 1


@pytest.mark.parametrize(
    ("version", "answers"), [(None, []), (OTHER, [BEHIND]), (OTHER, [answer(404, {})])]
)
def test_the_run_has_another_commit(version: str | None, answers: list[bytes]) -> None:
    """A run without a version, with one that lacks the commit, or of which GitHub cannot tell, is
    an error.
    """
    found, session, _ = deploy(*answers, expect_commit=SHA)
    session.set_deadline(60)
    with pytest.raises(WrongCommit, match=SHA):
        found.require(a_run(bundle_version=version))


def test_github_fails_in_passing() -> None:
    """GitHub is asked again while there is time, and only then its failure is the error."""
    found, session, script = deploy(DOWN, DOWN, AHEAD, expect_commit=SHA)
    session.set_deadline(60)
    found.require(a_run(bundle_version=OTHER))
    assert len(script.sent) == 3

    found, session, script = deploy(*[DOWN] * 99, expect_commit=SHA)
    until = session.set_deadline(60)
    with pytest.raises(TransientError, match="GitHub answers 503"):
        found.require(a_run(bundle_version=OTHER))
    assert session.time.now == until


@pytest.mark.parametrize(
    "answers",
    [
        [DOWN] * 20,
        [answer(301, Location="https://ghe.example.com/elsewhere")],
        [DOWN, answer(404, {})],
    ],
)
def test_github_cannot_tell_whether_a_commit_is_there(answers: list[bytes]) -> None:
    """A GitHub that does not answer, or sends elsewhere, is no reason to refuse a commit, and is
    not waited for long.
    """
    found, session, _ = deploy(*answers, expect_commit=OTHER)
    found.require_known_commit()

    assert session.time.now - 1000 <= OPTIONAL_TIMEOUT
