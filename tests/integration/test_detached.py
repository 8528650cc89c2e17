"""The detached gate: what stands on GitHub and in the run's note, with the whole gate against both
scripted Airflows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest

from dev.airflow_settings import password_of
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
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.services import GitHubApi, Trap
from tests.support.services.github import REPOSITORY
from tests.support.step import CONTEXT, run_gate
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
LOSSES = (
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
ONLY_THERE: dict[str, Any] = {"trigger": "false", "run_id": RUN_ID}


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """A scripted Airflow of each version, whose runs go on for long."""
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales", looks=200)]) as started:
        yield started


@pytest.fixture(params=get_args(Version), ids=lambda version: f"beside-{version}")
def other(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """Another Airflow, which has a DAG of the same name."""
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales", looks=200)], prefix="/team") as started:
        yield started


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """GitHub, with a commit and a merge of it."""
    with GitHubApi({HEAD: None, MERGE: HEAD}) as api:
        yield api


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each thing that may stand for a run."""
    chosen: str = request.param
    return chosen


def gate(
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
    """The outcome of a step that waits for nothing and reports to this GitHub."""
    context = CONTEXT._replace(sha=sha, api_url=github.url, attempt=attempt, event=event)
    more = {} if inputs.get("trigger") == "false" else KINDS[kind]
    given = {"wait": "false", "report_to": kind, "github_token": github.token} | more | inputs
    return run_gate(fake, time=time, context=context, **given)


def title(outcome: Outcome) -> str:
    """What went wrong."""
    assert outcome.error is not None
    return outcome.error.title


def page(fake: FakeAirflow, run_id: str = RUN_ID) -> str:
    """The run's page in this Airflow."""
    way = f"grid?dag_run_id={run_id}" if fake.version == "2.11.2" else f"runs/{run_id}"
    return f"{fake.url}/dags/sales/{way}"


def marker(
    fake: FakeAirflow, github: GitHubApi, kind: str = "commit-status", commit: str = HEAD
) -> Marker:
    """What the run's note has to say."""
    return Marker(fake.url, github.url, REPOSITORY, commit, KINDS[kind].get("environment"))


def states(github: GitHubApi, kind: str = "commit-status", commit: str = HEAD) -> list[str]:
    """The states of the only thing that stands for a run, oldest first."""
    if kind == "commit-status":
        assert github.deployments == []
        return [one["state"] for one in github.statuses_of(commit, NAME)]
    assert github.statuses_of(commit) == []
    (deployment,) = github.deployments or [{"id": 0}]
    return github.deployment_states(deployment["id"])


def pending(kind: str) -> str:
    """How GitHub calls what has not ended."""
    return "pending" if kind == "commit-status" else "in_progress"


def begun(github: GitHubApi, fake: FakeAirflow, kind: str, *settled: str) -> None:
    """An earlier step let something stand for the run, and somebody has settled it since."""
    if kind == "commit-status":
        fake.create_run("sales", RUN_ID, note=note_with_marker(None, marker(fake, github)))
        for state in ("pending", *settled):
            github.report(HEAD, state, NAME, page(fake))
        return
    outcome = gate(fake, github, kind, run_id=RUN_ID)
    assert outcome.report is not None
    number = outcome.report.deployment_id
    assert number is not None
    for state in settled:
        github.settle(number, state)


def triggers(fake: FakeAirflow) -> int:
    """How many DAG runs were asked for."""
    return len(fake.received("POST", "/dagRuns"))


# A run that is made.


@pytest.mark.parametrize(
    "fault", [Fault.HTML_403, Fault.JSON_403, Fault.JSON_401, Fault.CACHED_404]
)
@pytest.mark.parametrize("times", [1, 2])
def test_a_short_refusal_after_the_trigger(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault, times: int
) -> None:
    """What was allowed a moment ago is looked at once more, and the run is reported."""
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=1, times=times)
    outcome = gate(fake, github, kind)

    assert (outcome.result, triggers(fake)) == ("triggered", 1), outcome.error
    assert states(github, kind) == [pending(kind)]


@pytest.mark.parametrize("fault", [Fault.HTML_403, Fault.JSON_403, Fault.JSON_401])
def test_a_short_refusal_of_the_mark(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault
) -> None:
    """A run that somebody else made is marked although that is refused for once."""
    fake.create_run("sales", RUN_ID, state="running")
    fake.fault(fault, on=("PATCH", "/dagRuns/*"), times=1)
    fake.fault(fault, on=("PATCH", "/dagRuns/*/setNote"), times=1)

    assert gate(fake, github, kind, run_id=RUN_ID).result == "triggered"


def test_a_commit_status(fake: FakeAirflow, github: GitHubApi) -> None:
    """A step that does not wait leaves a pending status, called by the DAG, which links the run and
    is an output.
    """
    outcome = gate(fake, github)
    (status,) = github.statuses_of(HEAD)
    (run,) = fake.runs("sales")

    assert (outcome.result, outcome.run_url) == ("triggered", page(fake, run.run_id))
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


def test_a_deployment(fake: FakeAirflow, github: GitHubApi) -> None:
    """A step that does not wait leaves a deployment in progress, in the environment, whose id is an
    output.
    """
    outcome = gate(fake, github, "deployment")
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
def test_the_note(fake: FakeAirflow, github: GitHubApi, kind: str, note: str) -> None:
    """The run's note has the marker below what people wrote, from the trigger on, however long that
    is.
    """
    gate(fake, github, kind, note=note)
    (run,) = fake.runs("sales")
    assert run.note is not None
    *text, line = run.note.splitlines()

    assert parse_marker(run.note) == parse_marker(line) == marker(fake, github, kind)
    assert text[0].startswith((note or "Triggered by octocat").splitlines()[0][:100])
    assert len(run.note) <= 1000
    assert fake.received("PATCH", "/dagRuns/*") + fake.received("PATCH", "/setNote") == []


def test_before_the_trigger_nothing_stands_for_the_run(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    """A trigger that Airflow refuses leaves nothing on GitHub."""
    outcome = gate(fake, github, kind, dag_id="unknown")

    assert (outcome.result, outcome.report) == ("error", None)
    assert (github.statuses_of(HEAD), github.deployments) == ([], [])


def test_what_other_tools_report_is_left_alone(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    """More statuses than a page has, of other names, neither hide a status nor keep a deployment
    waiting.
    """
    for number in range(150):
        github.report(HEAD, "pending", f"ci / {number}")
    gate(fake, github, kind)
    gate(fake, github, kind, attempt=2)

    assert len(github.statuses_of(HEAD, NAME)) + len(github.deployments) == 1


def test_a_pull_request(fake: FakeAirflow, github: GitHubApi, kind: str, tmp_path: Path) -> None:
    """For a pull request it is the head of its branch that is reported about, where people and
    rules look.
    """
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": HEAD}}}))
    gate(fake, github, kind, sha=MERGE, event=event)

    assert states(github, kind) == [pending(kind)]
    assert github.statuses_of(MERGE) == []
    assert parse_marker(fake.runs("sales")[0].note) == marker(fake, github, kind)


def test_a_run_each(fake: FakeAirflow, github: GitHubApi) -> None:
    """Two runs for one commit have a deployment each."""
    for run_id in ("r1", "r2"):
        assert gate(fake, github, "deployment", run_id=run_id).result == "triggered"

    assert [one["payload"]["run_id"] for one in github.deployments] == ["r1", "r2"]


# Exactly once.


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: fault.name)
@pytest.mark.parametrize("when", ["before", "after"])
def test_lost_answers_of_github(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault, when: str
) -> None:
    """Whatever GitHub's answer becomes, before or after it took effect, one thing with one state
    stands for the run.
    """
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

    assert gate(fake, github, kind).result == "triggered"
    assert states(github, kind) == [pending(kind)]
    assert gate(fake, github, kind, attempt=2).result == "triggered"
    assert states(github, kind) == [pending(kind)]
    assert (triggers(fake), len(fake.runs("sales"))) == (1, 1)


@pytest.mark.parametrize(
    "fault", [Fault.RESET, Fault.HTML_502, Fault.TRUNCATED], ids=lambda fault: fault.name
)
def test_a_lost_answer_to_the_trigger(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault
) -> None:
    """A run that is found after its trigger's answer was lost is marked and reported like any
    other.
    """
    fake.fault(fault, on=("POST", "/dagRuns"), when="after")

    assert gate(fake, github, kind).result == "triggered"
    assert states(github, kind) == [pending(kind)]
    (run,) = fake.runs("sales")
    assert parse_marker(run.note) == marker(fake, github, kind)


def test_a_deployment_whose_maker_was_cut_short(fake: FakeAirflow, github: GitHubApi) -> None:
    """A deployment that was left without a state gets one by the re-run, and there is no second
    deployment.
    """
    github.fault(Fault.RESET, on=("POST", "/deployments/*/statuses"), times=99)
    assert gate(fake, github, "deployment").result == "error"
    assert states(github, "deployment") == []
    github._rules.clear()

    assert gate(fake, github, "deployment", attempt=2).result == "triggered"
    assert states(github, "deployment") == ["in_progress"]


@pytest.mark.parametrize("secondary", [False, True])
# A table's
def test_a_rate_limit(fake: FakeAirflow, github: GitHubApi, kind: str, secondary: bool) -> None:
    """A limit that is used up for a while is waited for."""
    github.limit(3, secondary=secondary)

    assert gate(fake, github, kind).result == "triggered"
    assert states(github, kind) == [pending(kind)]


def test_a_rate_limit_without_end(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """A limit that stays used up is an error before anything is triggered, and is not called a
    missing permission.
    """
    github.limit(999)
    outcome = gate(fake, github, kind)

    assert title(outcome) == "GitHub's rate limit is used up"
    assert triggers(fake) == 0


def test_github_is_down_from_the_start(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """While GitHub does not answer nothing is triggered that could not be reported."""
    github.fault(Fault.HTML_503, times=999)
    outcome = gate(fake, github, kind)

    assert (outcome.result, title(outcome)) == ("error", "GitHub answers 503")
    assert triggers(fake) == 0


def test_github_is_down_in_the_middle(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """A GitHub that is gone after the trigger is a red step that tells the run; a re-run reports
    that very run.
    """
    github.fault(Fault.RESET, times=999, skip=2)
    outcome = gate(fake, github, kind)

    assert (outcome.result, isinstance(outcome.error, TransientError)) == ("error", True)
    assert title(outcome).startswith("GitHub does not answer")
    assert outputs(outcome)["run_id"] == fake.runs("sales")[0].run_id
    github._rules.clear()
    assert gate(fake, github, kind, attempt=2).result == "triggered"
    assert states(github, kind) == [pending(kind)]
    assert triggers(fake) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect(fake: FakeAirflow, github: GitHubApi, kind: str, status: int) -> None:
    """A redirect of GitHub's is not followed, so that no token goes elsewhere."""
    with Trap() as trap:
        github.redirect(status, trap.url)  # type: ignore[arg-type]
        assert title(gate(fake, github, kind)) == "GitHub redirects"

        assert trap.record == []
    assert triggers(fake) == 0


# Who may not.


def test_a_missing_permission(fake: FakeAirflow, kind: str) -> None:
    """A token that may not write is an error that names the permission, before anything is
    triggered.
    """
    other, needed = (
        ("deployments", "statuses") if kind == "commit-status" else ("statuses", "deployments")
    )
    with GitHubApi({HEAD: None}, can_write=(other,)) as github:
        outcome = gate(fake, github, kind)

    assert isinstance(outcome.error, Forbidden)
    assert f"`{needed}: write`" in outcome.error.hint
    assert triggers(fake) == 0
    assert {one.method for one in github.record} == {"POST"}


def test_a_token_for_this_alone(fake: FakeAirflow, kind: str) -> None:
    """The one permission that is named suffices."""
    needed = "statuses" if kind == "commit-status" else "deployments"
    with GitHubApi({HEAD: None}, may_read=False, can_write=(needed,)) as github:
        assert gate(fake, github, kind).result == "triggered"
        assert states(github, kind) == [pending(kind)]


def test_a_bad_token(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """A token that GitHub does not know is an error before the trigger, in GitHub's words."""
    outcome = gate(fake, github, kind, github_token="ghs_n0tTheTokenOfThisJob")

    assert isinstance(outcome.error, Forbidden)
    assert "Bad credentials" in outcome.error.detail
    assert triggers(fake) == 0


def test_no_token(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """Without a token the inputs are wrong, and nothing is sent to anybody."""
    with pytest.raises(InvalidInputs, match="github_token"):
        gate(fake, github, kind, github_token="")

    assert fake.record == github.record == []


def test_not_on_github(fake: FakeAirflow, kind: str) -> None:
    """A step that another system runs has nothing to report to, and that is an error before
    anything is asked of Airflow.
    """
    given = {"wait": "false", "report_to": kind, "github_token": "ghs_t0kenOfNobodys"} | KINDS[kind]
    outcome = run_gate(fake, context=CONTEXT._replace(system="gitlab", api_url=""), **given)

    assert title(outcome) == "Only a GitHub workflow can report to GitHub"
    # To connect is to find out which Airflow it is.
    assert fake.record
    assert {(one.method, one.path.rpartition("/")[2]) for one in fake.record} == {
        ("GET", "version")
    }
    assert (triggers(fake), fake.runs("sales")) == (0, [])


@pytest.mark.parametrize(
    "more", [{}, {"trigger": "false", "run_id": RUN_ID}], ids=["trigger", "sweep"]
)
@pytest.mark.parametrize("version", get_args(Version))
def test_an_address_that_is_too_long(
    github: GitHubApi, kind: str, version: Version, more: dict[str, Any]
) -> None:
    """An Airflow whose address has no room in a note is an error before anything is triggered, or
    asked of GitHub.
    """
    with FakeAirflow(version, dags=[FakeDag("sales", looks=200)], prefix=f"/{'x' * 200}") as fake:
        outcome = gate(fake, github, kind, **more)
        assert title(outcome) == "The DAG run cannot be marked for Airflow's listener"
        assert (triggers(fake), fake.runs("sales"), github.record) == (0, [], [])


def test_a_credential_that_may_not_edit_notes(
    fake: FakeAirflow, github: GitHubApi, kind: str
) -> None:
    """A run that somebody else made stays unreported if the credential may not mark it, and the
    permission is named.
    """
    fake.create_run("sales", RUN_ID, note="by hand")
    outcome = gate(
        fake, github, kind, run_id=RUN_ID, username="viewer", password=password_of("viewer")
    )

    assert title(outcome) == "The DAG run cannot be marked for Airflow's listener"
    assert (github.statuses_of(HEAD), github.deployments) == ([], [])
    assert fake.runs("sales")[0].note == "by hand"


# Runs that are there already.


def test_a_run_that_somebody_else_made(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """A run without a marker gets one below its note, and something stands for it."""
    fake.create_run("sales", RUN_ID, note="by hand")

    assert gate(fake, github, kind, run_id=RUN_ID).result == "triggered"
    assert fake.runs("sales")[0].note == note_with_marker("by hand", marker(fake, github, kind))
    assert states(github, kind) == [pending(kind)]
    assert triggers(fake) == 0


def test_a_lost_answer_to_the_mark(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """A note whose change got no answer is set again, and is the same."""
    fake.create_run("sales", RUN_ID, note="by hand")
    fake.fault(
        Fault.RESET,
        on=("PATCH", "/setNote" if fake.version == "2.11.2" else "/dagRuns/*"),
        when="after",
    )

    assert gate(fake, github, kind, run_id=RUN_ID).result == "triggered"
    assert fake.runs("sales")[0].note == note_with_marker("by hand", marker(fake, github, kind))


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
def test_a_run_that_is_reported_otherwise(
    fake: FakeAirflow, github: GitHubApi, mine: str, theirs: str, named: str | None
) -> None:
    """A run for which something else stands is an error, and nothing more is put there."""
    there = marker(fake, github, theirs)._replace(airflow=named or fake.url)
    fake.create_run("sales", RUN_ID, note=note_with_marker(None, there))
    outcome = gate(fake, github, mine, run_id=RUN_ID)

    assert isinstance(outcome.error, RunExists)
    assert title(outcome) == "The DAG run is reported elsewhere"
    assert f"for the Airflow at {there.airflow};" in outcome.error.detail
    assert github.record == []


@pytest.mark.parametrize("settled", ["failure", "success"])
def test_a_run_that_is_resumed(
    fake: FakeAirflow, github: GitHubApi, kind: str, settled: str
) -> None:
    """A run that is continued, or started anew, is pending again."""
    begun(github, fake, kind, settled)
    ended = "failed" if settled == "failure" else "success"
    fake.set_run_state("sales", RUN_ID, ended)
    outcome = gate(fake, github, kind, run_id=RUN_ID, if_run_exists="restart", attempt=2)

    assert outcome.result == "triggered"
    assert states(github, kind) == [pending(kind), settled, pending(kind)]


def test_a_cancelled_run_that_is_resumed(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """A run that a cancelled workflow stopped is pending again, and its note says no longer that it
    was stopped.
    """
    fake.create_run("sales", RUN_ID, note=f"by octocat\n{CANCELLED_MARK}", state="failed", took=60)

    assert gate(fake, github, kind, run_id=RUN_ID).result == "triggered"
    assert states(github, kind) == [pending(kind)]
    assert fake.runs("sales")[0].note == note_with_marker("by octocat", marker(fake, github, kind))


@pytest.mark.parametrize("state", ["success", "error", "failure"])
def test_another_run_has_ended(fake: FakeAirflow, github: GitHubApi, state: str) -> None:
    """A status that an earlier run has left settled is taken over by the next run."""
    github.report(HEAD, "pending", NAME, page(fake, "r0"))
    github.report(HEAD, state, NAME, page(fake, "r0"))

    assert gate(fake, github).result == "triggered"
    assert states(github) == ["pending", state, "pending"]


@pytest.mark.parametrize("name", [NAME, "Airflow / Sales"])
def test_another_run_is_pending(fake: FakeAirflow, github: GitHubApi, name: str) -> None:
    """A status that is pending for another run is not taken: an error names that run, and nothing
    is triggered.
    """
    github.report(HEAD, "pending", name, page(fake, "r0"))
    outcome = gate(fake, github)

    assert title(outcome) == "Another DAG run has this commit status"
    assert outcome.error is not None
    assert page(fake, "r0") in outcome.error.detail
    assert (triggers(fake), len(github.statuses_of(HEAD))) == (0, 1)


def test_another_run_comes_in_between(fake: FakeAirflow, github: GitHubApi) -> None:
    """A status that another run takes at the same moment is noticed, and the step is red."""
    github.fault(Fault.HTML_502, on=("POST", "/statuses/*"), skip=1)
    time = after(0.1, lambda: github.report(HEAD, "pending", NAME, page(fake, "r0")))
    outcome = gate(fake, github, time=time)

    assert title(outcome) == "Another DAG run has this commit status"
    assert outputs(outcome)["run_id"] == fake.runs("sales")[0].run_id
    assert [one["target_url"] for one in github.statuses_of(HEAD)] == [page(fake, "r0")]


# Two Airflows.


def test_a_status_of_another_airflow(
    fake: FakeAirflow, other: FakeAirflow, github: GitHubApi
) -> None:
    """A status that is pending for the run of the same name in another Airflow is that one's:
    nothing is triggered here.
    """
    assert gate(fake, github, run_id=RUN_ID).result == "triggered"
    outcome = gate(other, github, run_id=RUN_ID)

    assert title(outcome) == "Another DAG run has this commit status"
    assert isinstance(outcome.error, RunExists)
    assert page(fake) in outcome.error.detail
    assert (triggers(other), other.runs("sales")) == (0, [])
    assert [one["target_url"] for one in github.statuses_of(HEAD)] == [page(fake)]

    fake.set_run_state("sales", RUN_ID, "success")
    assert gate(fake, github, **ONLY_THERE).result == "success"
    assert gate(other, github, run_id=RUN_ID).result == "triggered"
    assert states(github) == ["pending", "success", "pending"]
    assert github.statuses_of(HEAD)[-1]["target_url"] == page(other)


def test_a_deployment_in_each_airflow(
    fake: FakeAirflow, other: FakeAirflow, github: GitHubApi
) -> None:
    """Runs of one name in two Airflows have a deployment each, once, and each is settled by its own
    run's end.
    """
    for airflow in (fake, other):
        for attempt in (1, 2):
            assert (
                gate(airflow, github, "deployment", run_id=RUN_ID, attempt=attempt).result
                == "triggered"
            )
    names = {"dag_id": "sales", "run_id": RUN_ID}
    assert [one["payload"] for one in github.deployments] == [
        {"airflow": one.url, **names} for one in (fake, other)
    ]

    other.set_run_state("sales", RUN_ID, "failed")
    assert gate(other, github, "deployment", **ONLY_THERE).result == "failed"
    assert gate(fake, github, "deployment", **ONLY_THERE).result == "triggered"
    found = [github.deployment_states(one["id"]) for one in github.deployments]
    assert found == [["in_progress"], ["in_progress", "failure"]]


@pytest.mark.parametrize("written", ["http://LocalHost:{}/", "HTTP://LOCALHOST:{}/home"])
def test_an_address_written_otherwise(
    fake: FakeAirflow, github: GitHubApi, kind: str, written: str
) -> None:
    """What stands for a run is found again by a step that writes the address of the same Airflow
    otherwise.
    """
    port = fake.url.rpartition(":")[2]
    for address in (f"http://localhost:{port}", written.format(port)):
        assert gate(fake, github, kind, run_id=RUN_ID, airflow_url=address).result == "triggered"
    fake.set_run_state("sales", RUN_ID, "success")
    assert (
        gate(fake, github, kind, airflow_url=written.format(port), **ONLY_THERE).result == "success"
    )

    assert states(github, kind) == [pending(kind), "success"]
    assert triggers(fake) == 1


# Runs that end.


@pytest.mark.parametrize(
    ("version", "ends"),
    [(version, ends) for version in get_args(Version) for ends in ("success", "failed")],
)
def test_a_run_that_ends_at_once(github: GitHubApi, kind: str, version: Version, ends: str) -> None:
    """A run that has ended before anything stood for it is settled here, after the listener was
    given the time.
    """
    tasks = (FakeTask("extract", ends=ends), FakeTask("load"))
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, looks=1)]) as fake:
        time = VirtualTime()
        outcome = gate(fake, github, kind, time=time)
        assert fake.runs("sales")[0].state == ends

    settled = "success" if ends == "success" else "failure"
    assert outcome.result == ends
    assert states(github, kind)[-1] == settled
    assert time.now > 1009
    if ends == "failed" and kind == "commit-status":
        assert github.statuses_of(HEAD)[-1]["description"].endswith(": extract")


@pytest.mark.parametrize("version", get_args(Version))
def test_the_listener_was_faster(github: GitHubApi, kind: str, version: Version) -> None:
    """What the listener settles while this step leaves it the time is not settled a second time."""
    with FakeAirflow(version, dags=[FakeDag("sales", looks=1)]) as fake:

        def listener() -> None:
            if kind == "commit-status":
                github.report(HEAD, "success", NAME, page(fake, fake.runs("sales")[0].run_id))
            else:
                github.settle(github.deployments[0]["id"], "success")

        outcome = gate(fake, github, kind, time=after(0.1, listener))

    assert outcome.result == "success"
    assert states(github, kind) == [pending(kind), "success"]


# The sweep.


@pytest.mark.parametrize(
    ("state", "settled"), [("success", "success"), ("failed", "failure")], ids=["success", "failed"]
)
def test_a_sweep(fake: FakeAirflow, github: GitHubApi, kind: str, state: str, settled: str) -> None:
    """A step that triggers nothing settles what stands for a run that has ended, once, from
    whatever commit it runs.
    """
    begun(github, fake, kind)
    fake.set_run_state("sales", RUN_ID, state)
    before = triggers(fake)
    for attempt in (1, 2):
        outcome = gate(fake, github, kind, attempt=attempt, sha=MERGE, **ONLY_THERE)

        assert outcome.result == state
        assert states(github, kind) == [pending(kind), settled]
    assert (triggers(fake), github.statuses_of(MERGE)) == (before, [])


@pytest.mark.parametrize("version", get_args(Version))
def test_a_sweep_names_the_failed_tasks(github: GitHubApi, version: Version) -> None:
    """A failure is settled with the names of the failed tasks within GitHub's room, and the step
    names them too.
    """
    tasks = tuple(FakeTask(f"transform_the_sales_of_region_{n}", ends="failed") for n in range(9))
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, looks=1)]) as fake:
        begun(github, fake, "commit-status")
        outcome = gate(fake, github, **ONLY_THERE)

    text = github.statuses_of(HEAD)[-1]["description"]
    assert "transform_the_sales_of_region_0, transform" in text
    assert len(text) == 140
    assert len(outcome.failed_tasks) == 9
    assert "transform_the_sales_of_region_0" in summary(outcome, CONTEXT)


@pytest.mark.parametrize("version", get_args(Version))
def test_a_sweep_that_may_not_see_tasks(github: GitHubApi, version: Version) -> None:
    """Without the permission to read the tasks a failure is settled all the same."""
    tasks = (FakeTask("load", ends="failed"),)
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, looks=1)]) as fake:
        fake.deny("task_instances")
        begun(github, fake, "commit-status")
        gate(fake, github, **ONLY_THERE)

    assert states(github) == ["pending", "failure"]
    assert "load" not in github.statuses_of(HEAD)[-1]["description"]


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_sweep_of_a_cancelled_run(
    fake: FakeAirflow, github: GitHubApi, kind: str, state: str
) -> None:
    """A run that a cancelled workflow stopped is a failure, whatever Airflow made of it."""
    begun(github, fake, kind)
    fake.delete_run("sales", RUN_ID)
    fake.create_run(
        "sales",
        RUN_ID,
        note=f"{note_with_marker(None, marker(fake, github, kind))}\n{CANCELLED_MARK}",
        state=state,
        took=60,
    )
    outcome = gate(fake, github, kind, **ONLY_THERE)

    assert outcome.result == "failed"
    assert states(github, kind) == [pending(kind), "failure"]


def test_a_sweep_of_a_run_that_goes_on(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """A run that has not ended stays pending, and the step says that it goes on."""
    begun(github, fake, kind)
    outcome = gate(fake, github, kind, **ONLY_THERE)

    assert outcome.result == "triggered"
    assert states(github, kind) == [pending(kind)]


def test_a_sweep_needs_nothing_but_to_read(fake: FakeAirflow, github: GitHubApi) -> None:
    """A sweep does not need the permission to edit or trigger in Airflow."""
    begun(github, fake, "commit-status")
    fake.set_run_state("sales", RUN_ID, "success")
    outcome = gate(fake, github, username="viewer", password=password_of("viewer"), **ONLY_THERE)

    assert (outcome.result, states(github)) == ("success", ["pending", "success"])


@pytest.mark.parametrize(
    ("note", "named"),
    [
        (None, "The DAG run is reported nowhere"),
        ("by hand", "The DAG run is reported nowhere"),
        ("elsewhere", "The DAG run is reported elsewhere"),
        ("other kind", "The DAG run is reported elsewhere"),
        ("other Airflow", "The DAG run is reported elsewhere"),
        ("nothing", "Nothing stands on GitHub for the DAG run"),
    ],
)
def test_a_sweep_of_what_is_not_ours(
    fake: FakeAirflow, github: GitHubApi, kind: str, note: str | None, named: str
) -> None:
    """A run without a marker, with one of something else, or for which nothing stands is left
    alone.
    """
    other = next(one for one in KINDS if one != kind)
    notes = {
        "elsewhere": note_with_marker(
            None, marker(fake, github, kind)._replace(repository="octo-org/other")
        ),
        "other kind": note_with_marker(None, marker(fake, github, other)),
        "other Airflow": note_with_marker(
            None, marker(fake, github, kind)._replace(airflow=STAGING)
        ),
        "nothing": note_with_marker(None, marker(fake, github, kind)),
    }
    fake.create_run("sales", RUN_ID, note=notes.get(note or "", note), state="success", took=60)
    outcome = gate(fake, github, kind, **ONLY_THERE)

    assert (outcome.result, title(outcome)) == ("error", named)
    assert isinstance(outcome.error, ActionError)
    assert (github.statuses_of(HEAD), github.deployments) == ([], [])
    assert [one for one in github.record if one.method == "POST"] == []


def test_a_sweep_of_no_run(fake: FakeAirflow, github: GitHubApi, kind: str) -> None:
    """A sweep makes no run."""
    outcome = gate(fake, github, kind, **ONLY_THERE)

    assert isinstance(outcome.error, RunNotFound)
    assert (triggers(fake), github.record) == (0, [])


def test_a_sweep_without_permission(fake: FakeAirflow, kind: str) -> None:
    """A token that may only read is refused where something has to be written, with the
    permission's name.
    """
    with GitHubApi({HEAD: None}, can_write=("statuses", "deployments")) as github:
        begun(github, fake, kind)
        fake.set_run_state("sales", RUN_ID, "success")
        github._may = {"contents": "read"}
        outcome = gate(fake, github, kind, **ONLY_THERE)

    assert isinstance(outcome.error, Forbidden)
    assert ": write`" in outcome.error.hint


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: fault.name)
def test_a_sweep_that_loses_answers(
    fake: FakeAirflow, github: GitHubApi, kind: str, fault: Fault
) -> None:
    """A run is settled once, whatever GitHub loses."""
    begun(github, fake, kind)
    fake.set_run_state("sales", RUN_ID, "success")
    github.fault(
        fault,
        on=("POST", "/statuses/*" if kind == "commit-status" else "/deployments/*/statuses"),
        when="after",
    )
    github.fault(fault, on=("GET", "/deployments"))

    assert gate(fake, github, kind, **ONLY_THERE).result == "success"
    assert states(github, kind) == [pending(kind), "success"]


def test_an_old_success_hides_no_later_failure(fake: FakeAirflow, github: GitHubApi) -> None:
    """A step that only finds its run again, ended well, does not cover the failure of a later run
    of the same DAG.
    """
    begun(github, fake, "commit-status")
    fake.set_run_state("sales", RUN_ID, "success")
    gate(fake, github, **ONLY_THERE)
    github.report(HEAD, "failure", NAME, page(fake, "another"))
    outcome = gate(fake, github, run_id=RUN_ID, conf="{}")

    assert outcome.result == "success"
    assert states(github) == ["pending", "success", "failure"]
    assert outcome.report is not None
    assert outcome.report.state == "failure"
