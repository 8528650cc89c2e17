"""Detached runs: GitHub status or deployment, and the run's note, on both Airflow versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest

from dev.airflow_settings import password_of
from dev.runner import RunnerContext
from entrypoint.errors import (
    ActionError,
    Forbidden,
    InvalidInputs,
    RunExists,
    RunNotFound,
    TransientError,
)
from entrypoint.github_api.marker import Marker, note_with_marker, parse_marker
from entrypoint.models import CANCELLED_MARK
from entrypoint.report.outputs import outputs
from entrypoint.report.summary import summary
from entrypoint.runners.github import read_context
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.services import GitHubApi, RedirectTrap
from tests.support.services.github import REPOSITORY
from tests.support.step import CONTEXT, run_against
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entrypoint.models import Outcome

HEAD, MERGE = "a" * 40, "b" * 40
NAME = "airflow / sales"
RUN_ID = "deploy-1"
STAGING = "https://staging.example.com"
KINDS: dict[str, dict[str, Any]] = {"commit-status": {}, "deployment": {"environment": "staging"}}
LOST_RESPONSES = (
    *(
        Fault.RESET,
        Fault.CLOSE,
        Fault.TRUNCATED,
        Fault.TRUNCATED_JSON,
        Fault.HTML_502,
        Fault.HTML_200,
        Fault.TOO_MANY,
    ),
    *(Fault.EMPTY_200, Fault.EMPTY_JSON, Fault.WRONG_JSON),
)
SWEEP: dict[str, Any] = {"trigger": "false", "run_id": RUN_ID}


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales", polls=200)]) as started:
        yield started


@pytest.fixture(params=get_args(Version), ids=lambda version: f"beside-{version}")
def other(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """Another Airflow with a DAG of the same name."""
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales", polls=200)], prefix="/team") as started:
        yield started


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """A GitHub with a commit and a merge of it."""
    with GitHubApi({HEAD: None, MERGE: HEAD}) as api:
        yield api


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def run_action(
    fake: FakeAirflow,
    github: GitHubApi,
    kind: str = "commit-status",
    *,
    time: VirtualTime | None = None,
    attempt: int = 1,
    sha: str = HEAD,
    event: Path | None = None,
    **inputs: str,
) -> Outcome:
    """Run a step that does not wait and reports to this GitHub."""
    context = CONTEXT._replace(sha=sha, api_url=github.url, attempt=attempt, event=event)
    more = {} if inputs.get("trigger") == "false" else KINDS[kind]
    defaults = {"wait": "false", "report_to": kind, "github_token": github.token} | more | inputs
    return run_against(fake, time=time, context=context, **defaults)


def error_title(outcome: Outcome) -> str:
    assert outcome.error is not None
    return outcome.error.title


def run_page(fake: FakeAirflow, run_id: str = RUN_ID) -> str:
    suffix = f"grid?dag_run_id={run_id}" if fake.version == "2.11.2" else f"runs/{run_id}"
    return f"{fake.url}/dags/sales/{suffix}"


def expected_marker(
    fake: FakeAirflow, github: GitHubApi, kind: str = "commit-status", commit: str = HEAD
) -> Marker:
    return Marker(fake.url, github.url, REPOSITORY, commit, KINDS[kind].get("environment"))


def states(github: GitHubApi, kind: str = "commit-status", commit: str = HEAD) -> list[str]:
    """The states of the only status or deployment of the run, oldest first."""
    if kind == "commit-status":
        assert github.deployments == []
        return [one["state"] for one in github.statuses_of(commit, NAME)]
    assert github.statuses_of(commit) == []
    (deployment,) = github.deployments or [{"id": 0}]
    return github.deployment_states(deployment["id"])


def pending_state(kind: str) -> str:
    """The name of GitHub's state for a run that has not ended."""
    return "pending" if kind == "commit-status" else "in_progress"


def report_run(github: GitHubApi, fake: FakeAirflow, kind: str, *settled: str) -> None:
    """Report a run to GitHub, as an earlier step would, and settle it with these states."""
    if kind == "commit-status":
        fake.create_run("sales", RUN_ID, note=note_with_marker(None, expected_marker(fake, github)))
        for state in ("pending", *settled):
            github.report(HEAD, state, NAME, run_page(fake))
        return
    outcome = run_action(fake, github, kind, run_id=RUN_ID)
    assert outcome.report is not None
    number = outcome.report.deployment_id
    assert number is not None
    for state in settled:
        github.settle(number, state)


def triggers(fake: FakeAirflow) -> int:
    """How many trigger requests Airflow received."""
    return len(fake.received("POST", "/dagRuns"))


# A run that is made.


@pytest.mark.parametrize(
    "fault", [Fault.HTML_403, Fault.JSON_403, Fault.JSON_401, Fault.CACHED_404]
)
@pytest.mark.parametrize("times", [1, 2])
def test_a_short_refusal_after_the_trigger_is_retried(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault, times: int
) -> None:
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=1, times=times)
    outcome = run_action(fake, github, kind)

    assert (outcome.result, triggers(fake)) == ("triggered", 1), outcome.error
    assert states(github, kind) == [pending_state(kind)]


@pytest.mark.parametrize("fault", [Fault.HTML_403, Fault.JSON_403, Fault.JSON_401])
def test_a_short_refusal_of_the_note_is_retried(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault
) -> None:
    fake.create_run("sales", RUN_ID, state="running")
    fake.fault(fault, on=("PATCH", "/dagRuns/*"), times=1)
    fake.fault(fault, on=("PATCH", "/dagRuns/*/setNote"), times=1)

    assert run_action(fake, github, kind, run_id=RUN_ID).result == "triggered"


def test_a_detached_step_sets_a_pending_commit_status(fake: FakeAirflow, github: GitHubApi) -> None:
    """Its context is the DAG, it links to the run, and its URL is an output."""
    outcome = run_action(fake, github)
    (status,) = github.statuses_of(HEAD)
    (run,) = fake.runs("sales")

    assert (outcome.result, outcome.run_url) == ("triggered", run_page(fake, run.run_id))
    assert (status["state"], status["context"], status["target_url"]) == (
        "pending",
        NAME,
        outcome.run_url,
    )
    assert run.run_id in status["description"]
    assert outputs(outcome)["status_url"] == status["url"]
    assert "deployment_id" not in outputs(outcome)
    assert "| Reported as | commit status airflow / sales of aaaaaaaaaaaa, pending |" in summary(
        outcome, CONTEXT
    )


def test_a_detached_step_creates_a_deployment_in_progress(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    """Its id is an output."""
    outcome = run_action(fake, github, "deployment")
    (made,) = github.deployments
    (run,) = fake.runs("sales")

    assert outcome.result == "triggered"
    assert (made["sha"], made["environment"], made["task"]) == (HEAD, "staging", "airflow")
    assert made["payload"] == {"airflow": fake.url, "dag_id": "sales", "run_id": run.run_id}
    assert [(one["state"], one["log_url"]) for one in github.deployment_statuses(made["id"])] == [
        ("in_progress", outcome.run_url)
    ]
    assert outputs(outcome)["deployment_id"] == str(made["id"])
    assert "status_url" not in outputs(outcome)


@pytest.mark.parametrize("note", ["", "Deploy of the sales\nsecond line", "word " * 200])
def test_the_run_note_holds_the_marker_below_the_users_text(
    fake: FakeAirflow, github: GitHubApi, kind: str, note: str
) -> None:
    """The trigger itself sets the note, which is cut to Airflow's limit."""
    run_action(fake, github, kind, note=note)
    (run,) = fake.runs("sales")
    assert run.note is not None
    *text, line = run.note.splitlines()

    assert parse_marker(run.note) == parse_marker(line) == expected_marker(fake, github, kind)
    assert text[0].startswith((note or "Triggered by octocat").splitlines()[0][:100])
    assert len(run.note) <= 1000
    assert fake.received("PATCH", "/dagRuns/*") + fake.received("PATCH", "/setNote") == []


def test_a_refused_trigger_leaves_nothing_on_github(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    outcome = run_action(fake, github, kind, dag_id="unknown")

    assert (outcome.result, outcome.report) == ("error", None)
    assert (github.statuses_of(HEAD), github.deployments) == ([], [])


def test_a_page_of_other_statuses_hides_nothing(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    """They do not block a deployment either."""
    for number in range(150):
        github.report(HEAD, "pending", f"ci / {number}")
    run_action(fake, github, kind)
    run_action(fake, github, kind, attempt=2)

    assert len(github.statuses_of(HEAD, NAME)) + len(github.deployments) == 1


def test_a_pull_request_is_reported_on_the_head_of_its_branch(
    fake: FakeAirflow, github: GitHubApi, kind: str, tmp_path: Path
) -> None:
    """Branch rules look there, not at the merge commit."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": HEAD}}}))
    run_action(fake, github, kind, sha=MERGE, event=event)

    assert states(github, kind) == [pending_state(kind)]
    assert github.statuses_of(MERGE) == []
    assert parse_marker(fake.runs("sales")[0].note) == expected_marker(fake, github, kind)


def test_two_runs_of_one_commit_have_a_deployment_each(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    for run_id in ("r1", "r2"):
        assert run_action(fake, github, "deployment", run_id=run_id).result == "triggered"

    assert [one["payload"]["run_id"] for one in github.deployments] == ["r1", "r2"]


# Exactly once.


@pytest.mark.parametrize("fault", LOST_RESPONSES, ids=lambda fault: fault.name)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_response_of_github_creates_no_second_report(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault, when: str
) -> None:
    paths = (
        ("/statuses/*",) if kind == "commit-status" else ("/deployments", "/deployments/*/statuses")
    )
    for path in paths:
        for skip in (0, 1):
            github.fault(
                fault, on=("POST", path), when="before" if when == "before" else "after", skip=skip
            )
    for path in ("/commits/*/statuses", "/deployments", "/deployments/*/statuses"):
        github.fault(fault, on=("GET", path), skip=1)

    assert run_action(fake, github, kind).result == "triggered"
    assert states(github, kind) == [pending_state(kind)]
    assert run_action(fake, github, kind, attempt=2).result == "triggered"
    assert states(github, kind) == [pending_state(kind)]
    assert (triggers(fake), len(fake.runs("sales"))) == (1, 1)


@pytest.mark.parametrize(
    "fault", [Fault.RESET, Fault.HTML_502, Fault.TRUNCATED], ids=lambda fault: fault.name
)
def test_a_run_found_after_a_lost_trigger_response_is_reported(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault
) -> None:
    fake.fault(fault, on=("POST", "/dagRuns"), when="after")

    assert run_action(fake, github, kind).result == "triggered"
    assert states(github, kind) == [pending_state(kind)]
    (run,) = fake.runs("sales")
    assert parse_marker(run.note) == expected_marker(fake, github, kind)


def test_a_rerun_completes_a_deployment_without_a_state(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    github.fault(Fault.RESET, on=("POST", "/deployments/*/statuses"), times=99)
    assert run_action(fake, github, "deployment").result == "error"
    assert states(github, "deployment") == []
    github._rules.clear()

    assert run_action(fake, github, "deployment", attempt=2).result == "triggered"
    assert states(github, "deployment") == ["in_progress"]


@pytest.mark.parametrize("secondary", [False, True])
def test_a_rate_limit_is_waited_for(
    fake: FakeAirflow, github: GitHubApi, kind: str, secondary: bool
) -> None:
    github.limit(3, secondary=secondary)

    assert run_action(fake, github, kind).result == "triggered"
    assert states(github, kind) == [pending_state(kind)]


def test_a_lasting_rate_limit_is_an_error_before_the_trigger(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    """The error is not a missing permission."""
    github.limit(999)
    outcome = run_action(fake, github, kind)

    assert error_title(outcome) == "GitHub's rate limit is used up"
    assert triggers(fake) == 0


def test_nothing_is_triggered_while_github_is_down(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    github.fault(Fault.HTML_503, times=999)
    outcome = run_action(fake, github, kind)

    assert (outcome.result, error_title(outcome)) == ("error", "GitHub answers 503")
    assert triggers(fake) == 0


def test_a_github_that_fails_after_the_trigger_fails_the_step_and_a_rerun_reports_the_run(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    github.fault(Fault.RESET, times=999, skip=2)
    outcome = run_action(fake, github, kind)

    assert (outcome.result, isinstance(outcome.error, TransientError)) == ("error", True)
    assert error_title(outcome).startswith("GitHub does not answer")
    assert outputs(outcome)["run_id"] == fake.runs("sales")[0].run_id
    github._rules.clear()
    assert run_action(fake, github, kind, attempt=2).result == "triggered"
    assert states(github, kind) == [pending_state(kind)]
    assert triggers(fake) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_of_github_is_not_followed(
    fake: FakeAirflow, github: GitHubApi, kind: str, status: int
) -> None:
    with RedirectTrap() as trap:
        github.redirect(status, trap.url)  # type: ignore[arg-type]
        assert error_title(run_action(fake, github, kind)) == "GitHub redirects"

        assert trap.record == []
    assert triggers(fake) == 0


# Missing permissions.


def test_a_token_without_write_permission_is_an_error_before_the_trigger(
    fake: FakeAirflow, kind: str
) -> None:
    other, needed = (
        ("deployments", "statuses") if kind == "commit-status" else ("statuses", "deployments")
    )
    with GitHubApi({HEAD: None}, can_write=(other,)) as github:
        outcome = run_action(fake, github, kind)

    assert isinstance(outcome.error, Forbidden)
    assert f"`{needed}: write`" in outcome.error.hint
    assert triggers(fake) == 0
    assert {one.method for one in github.record} == {"POST"}


def test_the_one_named_permission_is_enough(fake: FakeAirflow, kind: str) -> None:
    needed = "statuses" if kind == "commit-status" else "deployments"
    with GitHubApi({HEAD: None}, may_read=False, can_write=(needed,)) as github:
        assert run_action(fake, github, kind).result == "triggered"
        assert states(github, kind) == [pending_state(kind)]


def test_a_token_that_github_refuses_is_an_error_before_the_trigger(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    outcome = run_action(fake, github, kind, github_token="ghs_n0tTheTokenOfThisJob")

    assert isinstance(outcome.error, Forbidden)
    assert "Bad credentials" in outcome.error.detail
    assert triggers(fake) == 0


def test_a_missing_token_is_an_input_error(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    with pytest.raises(InvalidInputs, match="github_token"):
        run_action(fake, github, kind, github_token="")

    assert fake.record == github.record == []


def test_reporting_outside_github_is_an_error_before_the_trigger(
    fake: FakeAirflow, kind: str
) -> None:
    inputs = {"wait": "false", "report_to": kind, "github_token": "ghs_t0kenOfNobodys"} | KINDS[
        kind
    ]
    outcome = run_against(fake, context=CONTEXT._replace(system="gitlab", api_url=""), **inputs)

    assert error_title(outcome) == "Only a GitHub workflow can report to GitHub"
    # Connecting detects the version of Airflow.
    assert fake.record
    assert {(one.method, one.path.rpartition("/")[2]) for one in fake.record} == {
        ("GET", "version")
    }
    assert (triggers(fake), fake.runs("sales")) == (0, [])


@pytest.mark.parametrize(
    "more", [{}, {"trigger": "false", "run_id": RUN_ID}], ids=["trigger", "sweep"]
)
@pytest.mark.parametrize("version", get_args(Version))
def test_an_airflow_address_too_long_for_a_note_is_an_error_before_the_trigger(
    github: GitHubApi, kind: str, version: Version, more: dict[str, Any]
) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales", polls=200)], prefix=f"/{'x' * 200}") as fake:
        outcome = run_action(fake, github, kind, **more)
        assert error_title(outcome) == "The DAG run cannot be marked for Airflow's listener"
        assert (triggers(fake), fake.runs("sales"), github.record) == (0, [], [])


def test_a_run_stays_unreported_if_the_credential_cannot_edit_its_note(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    fake.create_run("sales", RUN_ID, note="by hand")
    outcome = run_action(
        fake, github, kind, run_id=RUN_ID, username="viewer", password=password_of("viewer")
    )

    assert error_title(outcome) == "The DAG run cannot be marked for Airflow's listener"
    assert (github.statuses_of(HEAD), github.deployments) == ([], [])
    assert fake.runs("sales")[0].note == "by hand"


# Existing DAG runs.


def test_an_existing_run_gets_a_marker_and_is_reported(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    fake.create_run("sales", RUN_ID, note="by hand")

    assert run_action(fake, github, kind, run_id=RUN_ID).result == "triggered"
    assert fake.runs("sales")[0].note == note_with_marker(
        "by hand", expected_marker(fake, github, kind)
    )
    assert states(github, kind) == [pending_state(kind)]
    assert triggers(fake) == 0


def test_a_note_is_set_again_after_a_lost_response(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    fake.create_run("sales", RUN_ID, note="by hand")
    fake.fault(
        Fault.RESET,
        on=("PATCH", "/setNote" if fake.version == "2.11.2" else "/dagRuns/*"),
        when="after",
    )

    assert run_action(fake, github, kind, run_id=RUN_ID).result == "triggered"
    assert fake.runs("sales")[0].note == note_with_marker(
        "by hand", expected_marker(fake, github, kind)
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "named"),
    [
        ("commit-status", "deployment", None),
        ("deployment", "commit-status", None),
        ("commit-status", "commit-status", STAGING),
        ("deployment", "deployment", STAGING),
    ],
    ids=["status", "deployment", "another Airflow's status", "another Airflow's deployment"],
)
def test_a_run_that_is_reported_elsewhere_is_an_error(
    fake: FakeAirflow, github: GitHubApi, mine: str, theirs: str, named: str | None
) -> None:
    other_marker = expected_marker(fake, github, theirs)._replace(airflow=named or fake.url)
    fake.create_run("sales", RUN_ID, note=note_with_marker(None, other_marker))
    outcome = run_action(fake, github, mine, run_id=RUN_ID)

    assert isinstance(outcome.error, RunExists)
    assert error_title(outcome) == "The DAG run is reported elsewhere"
    assert f"for the Airflow at {other_marker.airflow};" in outcome.error.detail
    assert github.record == []


@pytest.mark.parametrize("settled", ["failure", "success"])
def test_a_restarted_run_is_pending_again(
    fake: FakeAirflow, github: GitHubApi, kind: str, settled: str
) -> None:
    report_run(github, fake, kind, settled)
    ended = "failed" if settled == "failure" else "success"
    fake.set_run_state("sales", RUN_ID, ended)
    outcome = run_action(fake, github, kind, run_id=RUN_ID, if_run_exists="restart", attempt=2)

    assert outcome.result == "triggered"
    assert states(github, kind) == [pending_state(kind), settled, pending_state(kind)]


def test_a_resumed_run_loses_its_cancelled_mark_and_is_pending_again(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    fake.create_run("sales", RUN_ID, note=f"by octocat\n{CANCELLED_MARK}", state="failed", took=60)

    assert run_action(fake, github, kind, run_id=RUN_ID).result == "triggered"
    assert states(github, kind) == [pending_state(kind)]
    assert fake.runs("sales")[0].note == note_with_marker(
        "by octocat", expected_marker(fake, github, kind)
    )


@pytest.mark.parametrize("state", ["success", "error", "failure"])
def test_a_settled_status_of_an_earlier_run_is_taken_over(
    fake: FakeAirflow, github: GitHubApi, state: str
) -> None:
    github.report(HEAD, "pending", NAME, run_page(fake, "r0"))
    github.report(HEAD, state, NAME, run_page(fake, "r0"))

    assert run_action(fake, github).result == "triggered"
    assert states(github) == ["pending", state, "pending"]


@pytest.mark.parametrize("name", [NAME, "Airflow / Sales"])
def test_a_pending_status_of_another_run_is_an_error_before_the_trigger(
    fake: FakeAirflow, github: GitHubApi, name: str
) -> None:
    github.report(HEAD, "pending", name, run_page(fake, "r0"))
    outcome = run_action(fake, github)

    assert error_title(outcome) == "Another DAG run has this commit status"
    assert outcome.error is not None
    assert run_page(fake, "r0") in outcome.error.detail
    assert (triggers(fake), len(github.statuses_of(HEAD))) == (0, 1)


def test_a_status_that_another_run_takes_at_the_same_moment_is_an_error(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    github.fault(Fault.HTML_502, on=("POST", "/statuses/*"), skip=1)
    time = after(0.1, lambda: github.report(HEAD, "pending", NAME, run_page(fake, "r0")))
    outcome = run_action(fake, github, time=time)

    assert error_title(outcome) == "Another DAG run has this commit status"
    assert outputs(outcome)["run_id"] == fake.runs("sales")[0].run_id
    assert [one["target_url"] for one in github.statuses_of(HEAD)] == [run_page(fake, "r0")]


# Two Airflows.


def test_a_pending_status_of_the_same_run_id_in_another_airflow_is_an_error(
    fake: FakeAirflow, other: FakeAirflow, github: GitHubApi
) -> None:
    assert run_action(fake, github, run_id=RUN_ID).result == "triggered"
    outcome = run_action(other, github, run_id=RUN_ID)

    assert error_title(outcome) == "Another DAG run has this commit status"
    assert isinstance(outcome.error, RunExists)
    assert run_page(fake) in outcome.error.detail
    assert (triggers(other), other.runs("sales")) == (0, [])
    assert [one["target_url"] for one in github.statuses_of(HEAD)] == [run_page(fake)]

    fake.set_run_state("sales", RUN_ID, "success")
    assert run_action(fake, github, **SWEEP).result == "success"
    assert run_action(other, github, run_id=RUN_ID).result == "triggered"
    assert states(github) == ["pending", "success", "pending"]
    assert github.statuses_of(HEAD)[-1]["target_url"] == run_page(other)


def test_the_same_run_id_in_two_airflows_has_a_deployment_each(
    fake: FakeAirflow, other: FakeAirflow, github: GitHubApi
) -> None:
    """Each is settled by the end of its own run."""
    for airflow in (fake, other):
        for attempt in (1, 2):
            assert (
                run_action(airflow, github, "deployment", run_id=RUN_ID, attempt=attempt).result
                == "triggered"
            )
    names = {"dag_id": "sales", "run_id": RUN_ID}
    assert [one["payload"] for one in github.deployments] == [
        {"airflow": one.url, **names} for one in (fake, other)
    ]

    other.set_run_state("sales", RUN_ID, "failed")
    assert run_action(other, github, "deployment", **SWEEP).result == "failed"
    assert run_action(fake, github, "deployment", **SWEEP).result == "triggered"
    found = [github.deployment_states(one["id"]) for one in github.deployments]
    assert found == [["in_progress"], ["in_progress", "failure"]]


@pytest.mark.parametrize("written", ["http://LocalHost:{}/", "HTTP://LOCALHOST:{}/home"])
def test_a_different_spelling_of_the_airflow_address_finds_the_same_report(
    fake: FakeAirflow, github: GitHubApi, kind: str, written: str
) -> None:
    port = fake.url.rpartition(":")[2]
    for address in (f"http://localhost:{port}", written.format(port)):
        assert (
            run_action(fake, github, kind, run_id=RUN_ID, airflow_url=address).result == "triggered"
        )
    fake.set_run_state("sales", RUN_ID, "success")
    assert (
        run_action(fake, github, kind, airflow_url=written.format(port), **SWEEP).result
        == "success"
    )

    assert states(github, kind) == [pending_state(kind), "success"]
    assert triggers(fake) == 1


# Runs that end.


@pytest.mark.parametrize(
    ("version", "ends"),
    [(version, ends) for version in get_args(Version) for ends in ("success", "failed")],
)
def test_a_run_that_ended_before_its_report_is_settled_by_the_step(
    github: GitHubApi, kind: str, version: Version, ends: str
) -> None:
    """The step first gives the listener time to do it."""
    tasks = (FakeTask("extract", ends=ends), FakeTask("load"))
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, polls=1)]) as fake:
        time = VirtualTime()
        outcome = run_action(fake, github, kind, time=time)
        assert fake.runs("sales")[0].state == ends

    settled = "success" if ends == "success" else "failure"
    assert outcome.result == ends
    assert states(github, kind)[-1] == settled
    assert time.now > 1009
    if ends == "failed" and kind == "commit-status":
        assert github.statuses_of(HEAD)[-1]["description"].endswith(": extract")


@pytest.mark.parametrize("version", get_args(Version))
def test_a_report_that_the_listener_settles_is_not_settled_twice(
    github: GitHubApi, kind: str, version: Version
) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales", polls=1)]) as fake:

        def listener() -> None:
            if kind == "commit-status":
                github.report(HEAD, "success", NAME, run_page(fake, fake.runs("sales")[0].run_id))
            else:
                github.settle(github.deployments[0]["id"], "success")

        outcome = run_action(fake, github, kind, time=after(0.1, listener))

    assert outcome.result == "success"
    assert states(github, kind) == [pending_state(kind), "success"]


# The sweep.


@pytest.mark.parametrize(
    ("state", "settled"), [("success", "success"), ("failed", "failure")], ids=["success", "failed"]
)
def test_a_sweep_settles_a_run_that_has_ended_once(
    fake: FakeAirflow, github: GitHubApi, kind: str, state: str, settled: str
) -> None:
    """The sweep may run for another commit."""
    report_run(github, fake, kind)
    fake.set_run_state("sales", RUN_ID, state)
    before = triggers(fake)
    for attempt in (1, 2):
        outcome = run_action(fake, github, kind, attempt=attempt, sha=MERGE, **SWEEP)

        assert outcome.result == state
        assert states(github, kind) == [pending_state(kind), settled]
    assert (triggers(fake), github.statuses_of(MERGE)) == (before, [])


@pytest.mark.parametrize("version", get_args(Version))
def test_a_sweep_names_the_failed_tasks_within_githubs_limit(
    github: GitHubApi, version: Version
) -> None:
    tasks = tuple(FakeTask(f"transform_the_sales_of_region_{n}", ends="failed") for n in range(9))
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, polls=1)]) as fake:
        report_run(github, fake, "commit-status")
        outcome = run_action(fake, github, **SWEEP)

    text = github.statuses_of(HEAD)[-1]["description"]
    assert "transform_the_sales_of_region_0, transform" in text
    assert len(text) == 140
    assert len(outcome.failed_tasks) == 9
    assert "transform_the_sales_of_region_0" in summary(outcome, CONTEXT)


@pytest.mark.parametrize("version", get_args(Version))
def test_a_sweep_settles_a_failure_without_permission_to_read_tasks(
    github: GitHubApi, version: Version
) -> None:
    tasks = (FakeTask("load", ends="failed"),)
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, polls=1)]) as fake:
        fake.deny("task_instances")
        report_run(github, fake, "commit-status")
        run_action(fake, github, **SWEEP)

    assert states(github) == ["pending", "failure"]
    assert "load" not in github.statuses_of(HEAD)[-1]["description"]


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_sweep_settles_a_cancelled_run_as_a_failure(
    fake: FakeAirflow, github: GitHubApi, kind: str, state: str
) -> None:
    """Airflow may have given it any final state."""
    report_run(github, fake, kind)
    fake.delete_run("sales", RUN_ID)
    fake.create_run(
        "sales",
        RUN_ID,
        note=f"{note_with_marker(None, expected_marker(fake, github, kind))}\n{CANCELLED_MARK}",
        state=state,
        took=60,
    )
    outcome = run_action(fake, github, kind, **SWEEP)

    assert outcome.result == "failed"
    assert states(github, kind) == [pending_state(kind), "failure"]


def test_a_sweep_leaves_a_running_run_pending(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    report_run(github, fake, kind)
    outcome = run_action(fake, github, kind, **SWEEP)

    assert outcome.result == "triggered"
    assert states(github, kind) == [pending_state(kind)]


def test_a_sweep_needs_only_read_permission_in_airflow(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    report_run(github, fake, "commit-status")
    fake.set_run_state("sales", RUN_ID, "success")
    outcome = run_action(fake, github, username="viewer", password=password_of("viewer"), **SWEEP)

    assert (outcome.result, states(github)) == ("success", ["pending", "success"])


@pytest.mark.parametrize(
    ("note", "named"),
    [
        (None, "The DAG run is not reported to GitHub"),
        ("by hand", "The DAG run is not reported to GitHub"),
        ("other repository", "The DAG run is reported elsewhere"),
        ("other kind", "The DAG run is reported elsewhere"),
        ("other Airflow", "The DAG run is reported elsewhere"),
        ("nothing", "GitHub has no status or deployment for the DAG run"),
    ],
)
def test_a_sweep_leaves_runs_without_a_matching_report_alone(
    fake: FakeAirflow, github: GitHubApi, kind: str, note: str | None, named: str
) -> None:
    other = next(one for one in KINDS if one != kind)
    notes = {
        "other repository": note_with_marker(
            None, expected_marker(fake, github, kind)._replace(repository="octo-org/other")
        ),
        "other kind": note_with_marker(None, expected_marker(fake, github, other)),
        "other Airflow": note_with_marker(
            None, expected_marker(fake, github, kind)._replace(airflow=STAGING)
        ),
        "nothing": note_with_marker(None, expected_marker(fake, github, kind)),
    }
    fake.create_run("sales", RUN_ID, note=notes.get(note or "", note), state="success", took=60)
    outcome = run_action(fake, github, kind, **SWEEP)

    assert (outcome.result, error_title(outcome)) == ("error", named)
    assert isinstance(outcome.error, ActionError)
    assert (github.statuses_of(HEAD), github.deployments) == ([], [])
    assert [one for one in github.record if one.method == "POST"] == []


def test_a_sweep_triggers_no_run(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    outcome = run_action(fake, github, kind, **SWEEP)

    assert isinstance(outcome.error, RunNotFound)
    assert (triggers(fake), github.record) == (0, [])


def test_a_sweep_with_a_read_only_token_names_the_missing_permission(
    fake: FakeAirflow, kind: str
) -> None:
    with GitHubApi({HEAD: None}, can_write=("statuses", "deployments")) as github:
        report_run(github, fake, kind)
        fake.set_run_state("sales", RUN_ID, "success")
        github._permissions = {"contents": "read"}
        outcome = run_action(fake, github, kind, **SWEEP)

    assert isinstance(outcome.error, Forbidden)
    assert ": write`" in outcome.error.hint


@pytest.mark.parametrize("fault", LOST_RESPONSES, ids=lambda fault: fault.name)
def test_a_sweep_settles_once_despite_lost_responses(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault
) -> None:
    report_run(github, fake, kind)
    fake.set_run_state("sales", RUN_ID, "success")
    github.fault(
        fault,
        on=("POST", "/statuses/*" if kind == "commit-status" else "/deployments/*/statuses"),
        when="after",
    )
    github.fault(fault, on=("GET", "/deployments"))

    assert run_action(fake, github, kind, **SWEEP).result == "success"
    assert states(github, kind) == [pending_state(kind), "success"]


def test_an_earlier_success_does_not_replace_the_failure_of_a_later_run(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    report_run(github, fake, "commit-status")
    fake.set_run_state("sales", RUN_ID, "success")
    run_action(fake, github, **SWEEP)
    github.report(HEAD, "failure", NAME, run_page(fake, "another"))
    outcome = run_action(fake, github, run_id=RUN_ID, conf="{}")

    assert outcome.result == "success"
    assert states(github) == ["pending", "success", "failure"]
    assert outcome.report is not None
    assert outcome.report.state == "failure"


@pytest.mark.parametrize(
    ("name", "payload", "commit"),
    [
        ("workflow_run", {"workflow_run": {"head_sha": HEAD}}, HEAD),
        ("pull_request_target", {"pull_request": {"head": {"sha": HEAD}}}, HEAD),
        ("merge_group", {"merge_group": {"head_sha": MERGE}}, MERGE),
        ("schedule", {"schedule": "0 3 * * *"}, MERGE),
        ("issue_comment", {"issue": {"pull_request": {"url": "u"}}}, MERGE),
    ],
)
def test_run_id_note_and_status_are_about_the_commit_of_the_event(  # noqa: PLR0917 - fixtures
    github: GitHubApi,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    payload: dict[str, Any],
    commit: str,
) -> None:
    (tmp_path / "event.json").write_text(json.dumps(payload))
    runner = RunnerContext(sha=MERGE, event_name=name, api_url=github.url, repository=REPOSITORY)
    places = {"workspace": tmp_path, "temp": tmp_path, "event_path": tmp_path / "event.json"}
    inputs: dict[str, Any] = {"report_to": "commit-status", "github_token": github.token}
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=200)]) as fake:
        run_against(
            fake, context=read_context(runner.environment(**places)), wait="false", **inputs
        )
        (run,) = fake.runs("sales")

    assert run.run_id.startswith(f"github__{commit[:12]}__")
    assert f"for commit {commit[:12]} of {REPOSITORY}" in (run.note or "")
    assert ("(the default branch)" in (run.note or "")) is (name == "issue_comment")
    assert ("does not name the commit" in capsys.readouterr().out) is (name == "issue_comment")
    assert [one["state"] for one in github.statuses_of(commit, NAME)] == ["pending"]
