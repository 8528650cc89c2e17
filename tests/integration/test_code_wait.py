"""wait_for_dag and expect_commit wait for new DAG code and never run older code."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from entrypoint.http.client import READ_TIMEOUT
from entrypoint.http.retry import REFUSAL_RESPONSES
from entrypoint.run.request import derive_note
from entrypoint.signals import Interrupted
from tests.integration.scenarios import DEPLOYMENTS
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault, Version
from tests.support.services import GitHubApi, RedirectTrap
from tests.support.step import CONTEXT, HANG, run_against
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.models import Outcome
    from tests.support.fake_airflow.messages import ReceivedRequest

OLD, MINE, LATER, OTHER_BRANCH, UNKNOWN = (digit * 40 for digit in "abcde")
HISTORY = {OLD: None, MINE: OLD, LATER: MINE, OTHER_BRANCH: OLD}
TRACE = (
    'Traceback (most recent call last):\n  File "/opt/airflow/dags/sales.py", line 3, in '
    "<module>\nNameError: name 'x'\n"
)
CODE_INPUTS = ("expect_commit", "wait_for_dag")
FIXED, BROKEN = FakeDag("sales"), FakeDag("sales", broken=TRACE)


@pytest.fixture(params=get_args(Version))
def version(request: pytest.FixtureRequest) -> Version:
    chosen: Version = request.param
    return chosen


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """A GitHub with a commit, its parent, its child, and a commit on another branch."""
    with GitHubApi(HISTORY) as api:
        yield api


def run_action(
    fake: FakeAirflow,
    github: GitHubApi,
    time: VirtualTime | None = None,
    *,
    sha: str = MINE,
    hang: float = READ_TIMEOUT,
    **inputs: str,
) -> Outcome:
    """Run a step for this commit against this GitHub."""
    context = CONTEXT._replace(sha=sha, api_url=github.url)
    defaults = {"expect_commit": MINE, "github_token": github.token}
    return run_against(fake, time=time, context=context, hang=hang, **defaults | inputs)


def triggers(fake: FakeAirflow) -> int:
    """How many trigger requests Airflow received."""
    return len(fake.received("POST", "/dagRuns"))


def with_inactive_dag(response: bytes) -> bytes:
    """Return the response about a DAG with the DAG marked inactive and stale."""
    head, _, body = response.partition(b"\r\n\r\n")
    compressed = body.startswith(b"\x1f\x8b")
    dag = json.loads(gzip.decompress(body) if compressed else body)
    changed_body = json.dumps(dag | {"is_active": False, "is_stale": True}).encode()
    changed_body = gzip.compress(changed_body) if compressed else changed_body
    return (
        re.sub(rb"(?i)(content-length: )\d+", rb"\g<1>%d" % len(changed_body), head)
        + b"\r\n\r\n"
        + changed_body
    )


def parse_requests(fake: FakeAirflow) -> int:
    """How many requests to parse a file Airflow received."""
    return len(fake.received("PUT", "/parseDagFile/*"))


# wait_for_dag without versioned code.


def test_a_new_dag_is_triggered_once_it_appears(version: Version) -> None:
    with FakeAirflow(version, dags=[FakeDag("other")]) as fake:
        time = after(40, lambda: fake.deploy(FakeDag("sales")))
        outcome = run_against(fake, time=time, wait_for_dag="2m")

        assert (outcome.result, triggers(fake)) == ("success", 1)
        assert time.now - 1000 >= 40


def test_a_dag_that_never_appears_is_an_error_after_wait_for_dag(version: Version) -> None:
    with FakeAirflow(version, dags=[]) as fake:
        time = VirtualTime()
        outcome = run_against(fake, time=time, wait_for_dag="2m")

        assert outcome.error is not None
        assert (outcome.result, outcome.error.title) == ("error", "Airflow has no such DAG")
        assert (triggers(fake), time.now) == (0, 1120)


def test_an_existing_dag_is_triggered_after_two_new_parses(version: Version) -> None:
    with FakeAirflow(version, dags=[FIXED]) as fake:
        outcome = run_against(fake, wait_for_dag="2m")

        assert (outcome.result, triggers(fake), parse_requests(fake)) == ("success", 1, 2)


def test_without_the_parse_permission_the_step_waits_for_airflows_own_parses(
    version: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log names the permission once."""
    with FakeAirflow(version, dags=[FIXED]) as fake:
        fake.deny("parsing")
        done: list[float] = []
        time = VirtualTime()

        def parse_periodically(_: float) -> None:
            if triggers(fake) == 0 and time.now - 1000 >= 30 * (len(done) + 1):
                done.append(time.now)
                fake.parse("sales")

        time.on_sleep = parse_periodically
        outcome = run_against(fake, time=time, wait_for_dag="2m")

        assert (outcome.result, triggers(fake), len(done)) == ("success", 1, 2)
        assert parse_requests(fake) <= REFUSAL_RESPONSES
        assert capsys.readouterr().out.count("can edit on DAGs") == 1


def test_without_wait_for_dag_the_dag_is_triggered_as_it_is(version: Version) -> None:
    with FakeAirflow(version, dags=[FIXED]) as fake:
        assert run_against(fake).result == "success"
        assert parse_requests(fake) == 0


# An Airflow that restarts with a deployment.


@pytest.mark.parametrize(
    "fault", [Fault.HTML_503, Fault.HTML_404, Fault.HTML_200, Fault.RESET, Fault.JSON_500]
)
@pytest.mark.parametrize(
    "on", [None, ("GET", "/version"), ("GET", "/dagRuns/*"), ("GET", "/dags/*")]
)
def test_errors_of_a_starting_airflow_are_retried_with_wait_for_dag(
    version: Version, fault: Fault, on: tuple[str, str] | None
) -> None:
    """Without the input they are an error."""
    for wait, duration in (("5m", 90), ("5m", 150), ("0", 90)):
        with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
            fake.fault(fault, on=on, times=10_000)
            time = after(duration, fake.clear_faults)
            outcome = run_against(fake, time=time, wait_for_dag=wait)
            assert (outcome.result, triggers(fake)) == (
                ("error", 0) if wait == "0" else ("success", 1)
            ), outcome.error


def test_a_wrong_address_is_an_error_after_wait_for_dag(version: Version) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.fault(Fault.HTML_404, times=10_000)
        time = VirtualTime()
        outcome = run_against(fake, time=time, wait_for_dag="2m")
        assert outcome.error is not None
        assert outcome.error.title == "Airflow's API sent an unexpected response"
        assert 1120 <= time.now <= 1121


@pytest.mark.parametrize("duration", [1, 4])
@pytest.mark.parametrize("symptom", ["inactive", "404", "404 to the POST"])
def test_a_dag_that_disappears_for_a_moment_is_triggered_once(
    version: Version, symptom: str, duration: int
) -> None:
    """Without the input it is an error."""
    for wait, result in (("5m", "success"), ("0", "error")):
        with FakeAirflow(version, dags=[FakeDag("other")]) as fake:
            counts: Counter[str] = Counter()

            def change(
                request: ReceivedRequest, original: bytes, counts: Counter[str] = counts
            ) -> bytes:
                if (
                    request.method == "GET"
                    and request.path.endswith("/dags/sales")
                    and b" 200 " in original[:20]
                ):
                    counts["polls"] += 1
                    first = 1 if wait == "0" else 2  # noqa: B023 - called within this round
                    if symptom != "404 to the POST" and first <= counts["polls"] < first + duration:
                        return (
                            with_inactive_dag(original)
                            if symptom == "inactive"
                            else original.replace(b" 200 ", b" 404 ", 1)
                        )
                return original

            fake.change(change)
            if symptom == "404 to the POST":
                fake.fault(Fault.CACHED_404, on=("POST", "/dagRuns"), times=duration)
            if wait == "0":
                fake.deploy(FakeDag("sales"))
            outcome = run_against(
                fake, time=after(10, lambda: fake.deploy(FakeDag("sales"))), wait_for_dag=wait
            )
            assert (outcome.result, len(fake.runs("sales"))) == (result, result == "success"), (
                outcome.error
            )


REFUSALS = [Fault.HTML_403, Fault.JSON_403, Fault.JSON_401]


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize(
    "on", [("GET", "/version"), ("GET", "/dags/sales"), ("GET", "/dagRuns/*"), ("POST", "/dagRuns")]
)
@pytest.mark.parametrize("skip", [0, 1])
def test_a_short_refusal_after_a_deployment_is_retried(
    version: Version, fault: Fault, on: tuple[str, str], skip: int
) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.fault(fault, on=on, skip=skip, times=2)
        outcome = run_against(fake, wait_for_dag="5m")
        assert (outcome.result, len(fake.runs("sales"))) == ("success", 1), outcome.error


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("on", [("GET", "/dags/sales"), ("POST", "/dagRuns")])
def test_a_lasting_refusal_after_a_deployment_is_an_error_after_a_minute(
    version: Version, fault: Fault, on: tuple[str, str]
) -> None:
    """It does not wait until wait_for_dag is over."""
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.fault(fault, on=on, times=10_000)
        time = VirtualTime()
        outcome = run_against(fake, time=time, wait_for_dag="30m")
        assert (outcome.result, fake.runs("sales")) == ("error", [])
        assert 1060 <= time.now <= 1240


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (400, "Dag with dag_id: 'sales' has import errors and cannot be triggered"),
        (422, "The DAG sales is inactive"),
        (422, "DAG 'sales' is stale"),
    ],
)
@pytest.mark.parametrize("duration", [1, 4])
def test_a_trigger_refused_because_of_the_dag_is_retried_with_wait_for_dag(
    version: Version, status: int, detail: str, duration: int
) -> None:
    """Without the input it is an error."""
    for wait, result in (("5m", "success"), ("0", "error")):
        with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
            fake.change(_refuse_triggers(fake, status, detail, duration))
            outcome = run_against(fake, wait_for_dag=wait)
            assert outcome.result == result, outcome.error


def test_a_trigger_refused_because_of_its_conf_is_an_error_at_once(version: Version) -> None:
    """No deployment can fix it."""
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.change(
            _refuse_triggers(
                fake,
                400,
                "Invalid input for param stale: 'inactive' is not one of ['a'] for this DAG",
                99,
            )
        )
        time = VirtualTime()
        assert run_against(fake, time=time, wait_for_dag="5m").result == "error"
        assert time.now < 1100


def _refuse_triggers(
    fake: FakeAirflow, status: int, detail: str, duration: int
) -> Callable[[ReceivedRequest, bytes], bytes]:
    """Return a change that refuses the first triggers and removes their runs."""
    left = [duration]

    def change(request: ReceivedRequest, original: bytes) -> bytes:
        if request.method != "POST" or not request.path.endswith("/dagRuns") or left[0] == 0:
            return original
        left[0] -= 1
        for run in fake.runs("sales"):
            fake.delete_run("sales", run.run_id)
        body = json.dumps({"detail": detail, "status": status, "title": "Bad Request"}).encode()
        head = (
            f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: "
            f"{len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return change


# Existing DAG runs.


def test_a_running_dag_run_is_attached_to_although_its_dag_is_stale(version: Version) -> None:
    for wait in ("5m", "0"):
        with FakeAirflow(version, dags=[FakeDag("sales", stale=True)]) as fake:
            fake.create_run("sales", "deploy-1", state="running", note=derive_note(CONTEXT))
            time = after(8, lambda: fake.deploy(FakeDag("sales")))
            outcome = run_against(fake, run_id="deploy-1", wait_for_dag=wait, time=time)
            assert (outcome.result, outcome.taken_over) == ("success", "attached"), outcome.error


def test_a_running_dag_run_of_a_paused_dag_follows_if_paused(version: Version) -> None:
    """Airflow schedules no task of a paused DAG."""
    for if_paused, result in (("fail", "error"), ("unpause", "success")):
        with FakeAirflow(version, dags=[FakeDag("sales", paused=True)]) as fake:
            fake.create_run("sales", "deploy-1", state="running", note=derive_note(CONTEXT))
            assert run_against(fake, run_id="deploy-1", if_paused=if_paused).result == result


@pytest.mark.parametrize("policy", ["resume", "restart"])
def test_a_run_is_resumed_only_after_its_dag_is_active(version: Version, policy: str) -> None:
    """Without wait_for_dag a stale DAG is an error."""
    for wait, result in (("5m", "success"), ("0", "error")):
        with FakeAirflow(version, dags=[FakeDag("sales", stale=True)]) as fake:
            fake.create_run("sales", "deploy-1", state="failed", note=derive_note(CONTEXT))
            time = after(8, lambda: fake.deploy(FakeDag("sales")))
            outcome = run_against(
                fake, run_id="deploy-1", wait_for_dag=wait, if_run_exists=policy, time=time
            )
            assert outcome.result == result, outcome.error


# Import errors.


def test_a_new_import_error_ends_the_wait_at_once_with_its_traceback(version: Version) -> None:
    with FakeAirflow(version, dags=[FIXED]) as fake:
        fake.deny("parsing")
        time = after(20, lambda: fake.deploy(BROKEN))
        outcome = run_against(fake, time=time, wait_for_dag="30m")

        assert outcome.error is not None
        assert outcome.error.title == "The DAG's file fails to import"
        assert "NameError: name 'x'" in outcome.error.detail
        assert outcome.error.raised[0].frames[-1].line == 3
        assert triggers(fake) == 0
        assert time.now - 1000 <= 40


def test_an_import_error_of_an_unknown_dag_is_matched_by_the_checkout(
    version: Version, tmp_path: Path
) -> None:
    """The DAG's id stands in the checkout's copy of the file."""
    workspace = tmp_path / "dags"
    workspace.mkdir()
    (workspace / "all_reports.py").write_text('report("sales")\n')
    trace = TRACE.replace("sales.py", "all_reports.py")
    with FakeAirflow(version, dags=[]) as fake:
        time = after(20, lambda: fake.break_file("all_reports.py", trace))
        context = CONTEXT._replace(workspace=workspace.parent)
        outcome = run_against(fake, time=time, context=context, wait_for_dag="30m")

        assert outcome.error is not None
        assert outcome.error.title == "The DAG's file fails to import"
        assert time.now - 1000 <= 40


def test_an_old_import_error_does_not_end_the_wait(version: Version) -> None:
    """The new code that fixes it runs."""
    with FakeAirflow(version, dags=[BROKEN]) as fake:
        time = after(60, lambda: fake.deploy(FIXED))
        outcome = run_against(fake, time=time, wait_for_dag="5m")

        assert (outcome.result, triggers(fake)) == ("success", 1)


def test_an_old_import_error_that_stays_is_shown_after_wait_for_dag(version: Version) -> None:
    with FakeAirflow(version, dags=[BROKEN]) as fake:
        time = VirtualTime()
        outcome = run_against(fake, time=time, wait_for_dag="5m")

        assert outcome.error is not None
        assert (outcome.error.title, time.now) == ("The DAG's file fails to import", 1300)
        assert triggers(fake) == 0


def test_an_import_error_in_another_dags_file_is_ignored(version: Version) -> None:
    with FakeAirflow(version, dags=[]) as fake:
        time = VirtualTime()

        def on_sleep(_: float) -> None:
            if time.now > 1020:
                fake.break_file("other.py", TRACE.replace("sales", "other"))
            if time.now > 1060:
                fake.deploy(FIXED)

        time.on_sleep = on_sleep
        assert run_against(fake, time=time, wait_for_dag="5m").result == "success"


def test_a_paused_dag_is_an_error_at_once_despite_wait_for_dag(version: Version) -> None:
    """New code would not run either."""
    with FakeAirflow(version, dags=[FakeDag("sales", paused=True)]) as fake:
        time = VirtualTime()
        outcome = run_against(fake, time=time, wait_for_dag="5m")

        assert outcome.error is not None
        assert (outcome.error.title, time.now) == ("The DAG is paused", 1000)


def test_a_cancel_while_waiting_for_code_leaves_no_dag_run(version: Version) -> None:
    def cancel() -> None:
        raise Interrupted

    with FakeAirflow(version, dags=[]) as fake:
        outcome = run_against(fake, time=after(20, cancel), wait_for_dag="5m")

        assert (outcome.result, outcome.stopped, triggers(fake)) == ("cancelled", "nothing", 0)


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HTML_503])
def test_transient_errors_while_waiting_for_code_are_retried(
    version: Version, fault: Fault
) -> None:
    with FakeAirflow(version, dags=[FIXED]) as fake:
        fake.fault(fault, on=("GET", "/dags/sales"), skip=1, times=2)
        fake.fault(fault, on=("PUT", "/parseDagFile/*"), times=1)
        outcome = run_against(fake, wait_for_dag="5m")

        assert (outcome.result, triggers(fake)) == ("success", 1)


# expect_commit.


@pytest.mark.parametrize("found", [MINE, LATER])
def test_the_expected_commit_or_a_later_one_is_accepted(
    github: GitHubApi, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """GitHub decides whether the later one contains the expected commit."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=found)]) as fake:
        outcome = run_action(fake, github, wait_for_dag="5m")

        assert outcome.result == "success"
        assert outcome.run is not None
        assert outcome.run.bundle_version == found
        assert len(github.record) == (found == LATER)
        assert ("GitHub's API says: ahead." in capsys.readouterr().out) is (found == LATER)


@pytest.mark.parametrize("found", [OLD, OTHER_BRANCH, UNKNOWN])
def test_a_bundle_at_another_commit_is_an_error_that_names_both_commits(
    github: GitHubApi, found: str
) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=found)]) as fake:
        time = VirtualTime()
        outcome = run_action(fake, github, time, wait_for_dag="2m")

        assert outcome.error is not None
        assert (outcome.result, outcome.error.title) == (
            "error",
            "Airflow has not picked up the commit",
        )
        assert found in outcome.error.detail
        assert MINE in outcome.error.detail
        assert (triggers(fake), time.now) == (0, 1120)


def test_the_trigger_waits_for_the_commit_and_one_more_parse(github: GitHubApi) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=OLD)]) as fake:
        fake.deny("parsing")
        time = VirtualTime()
        events = {
            1050.0: lambda: fake.deploy(FakeDag("sales", bundle_version=MINE)),
            1080.0: lambda: fake.parse("sales"),
        }

        def on_sleep(_: float) -> None:
            for due in [one for one in events if time.now >= one]:
                assert triggers(fake) == 0
                events.pop(due)()

        time.on_sleep = on_sleep
        outcome = run_action(fake, github, time, wait_for_dag="5m")

        assert (outcome.result, triggers(fake), events) == ("success", 1, {})


def test_a_dag_whose_structure_is_from_an_older_commit_is_not_triggered(github: GitHubApi) -> None:
    """Its bundle is already at the expected commit."""
    lagging = FakeDag("sales", bundle_version=MINE, latest_dag_version=OLD)
    with FakeAirflow("3.3.2", dags=[lagging]) as fake:
        outcome = run_action(fake, github, wait_for_dag="1m")
        assert outcome.error is not None
        assert f"structure is at {OLD}" in outcome.error.detail

        time = after(40, lambda: fake.deploy(replace(lagging, latest_dag_version=MINE)))
        assert run_action(fake, github, time, wait_for_dag="5m").result == "success"
        assert triggers(fake) == 1


@pytest.mark.parametrize(("found", "result"), [(MINE, "success"), (OLD, "error")])
def test_without_wait_for_dag_the_commit_is_checked_once(
    github: GitHubApi, found: str, result: str
) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=found)]) as fake:
        outcome = run_action(fake, github)

        assert (outcome.result, triggers(fake)) == (result, result == "success")


@pytest.mark.parametrize("ran", [OLD, OTHER_BRANCH, None])
@pytest.mark.parametrize("wait", ["true", "false"])
def test_a_run_of_another_commit_fails_the_step(
    github: GitHubApi, ran: str | None, wait: str
) -> None:
    """The error names both commits, whatever commit the DAG showed before the trigger."""
    versions: Any = (MINE, MINE, ran)  # two polls, then the run
    dag = FakeDag("sales", bundle_version=versions)
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        outcome = run_action(fake, github, wait=wait)

        assert outcome.error is not None
        assert (outcome.result, triggers(fake)) == ("error", 1)
        assert outcome.run is not None
        assert outcome.run.bundle_version == ran
        assert MINE in outcome.error.detail
        assert (ran or "no bundle version") in outcome.error.detail


def test_a_run_that_moves_to_another_commit_fails_the_step(github: GitHubApi) -> None:
    """A clear while the step waits makes Airflow continue with other code."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=MINE)]) as fake:

        def clear() -> None:
            (run,) = fake._database.runs.values()
            run.bundle_version = OLD

        outcome = run_action(fake, github, after(1, clear))

        assert outcome.error is not None
        assert (outcome.result, outcome.error.title) == ("error", "The DAG run runs another commit")
        assert [run.state for run in fake.runs("sales")] == ["success"]


def test_an_existing_run_must_have_run_the_expected_commit(github: GitHubApi) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=OLD)]) as fake:
        fake.create_run("sales", "r1", state="success")

        for trigger in ("false", "true"):
            outcome = run_action(fake, github, run_id="r1", trigger=trigger)
            assert outcome.error is not None
            assert (outcome.result, outcome.error.title) == (
                "error",
                "The DAG run runs another commit",
            )


@pytest.mark.parametrize(
    ("airflow", "title"),
    [
        ("2.11.2", "Airflow 2 does not say from which commit a DAG is"),
        ("3.3.2", "The DAG's bundle does not say from which commit it is"),
    ],
)
def test_expect_commit_without_known_commits_is_an_error_at_once(
    github: GitHubApi, airflow: Version, title: str
) -> None:
    """The hint names wait_for_dag. Airflow 2 and unversioned bundles have no commits."""
    with FakeAirflow(airflow, dags=[FIXED]) as fake:
        time = VirtualTime()
        outcome = run_action(fake, github, time, wait_for_dag="5m")

        assert outcome.error is not None
        assert outcome.error.title == title
        assert "wait_for_dag" in outcome.error.hint
        assert (triggers(fake), time.now) == (0, 1000)


# GitHub.


def test_a_commit_unknown_to_github_is_an_input_error(github: GitHubApi) -> None:
    """Airflow gets no request."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=MINE)]) as fake:
        outcome = run_action(fake, github, expect_commit=UNKNOWN, wait_for_dag="5m")

        assert outcome.error is not None
        assert outcome.error.title == "1 input is not usable"
        assert outcome.error.detail.startswith(f"expect_commit: GitHub knows no commit {UNKNOWN} ")
        assert fake.record == []


@pytest.mark.parametrize("known_as", ["sha", "ref_sha"])
def test_a_commit_of_the_workflow_itself_needs_no_request_to_github(
    github: GitHubApi, known_as: str
) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=MINE)]) as fake:
        changes: dict[str, Any] = {"sha": OLD, known_as: MINE}
        context = CONTEXT._replace(api_url=github.url, **changes)
        assert run_against(fake, context=context, expect_commit=MINE).result == "success"
        assert github.record == []


def test_a_token_without_contents_read_fails_only_if_commits_are_compared() -> None:
    with GitHubApi(HISTORY, may_read=False) as github:
        for found, result in ((MINE, "success"), (LATER, "error")):
            with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=found)]) as fake:
                outcome = run_action(fake, github, sha=OLD, wait_for_dag="1m")
                assert outcome.result == result
                if result == "error":
                    assert outcome.error is not None
                    assert "`contents: read`" in outcome.error.detail


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HTML_503, Fault.HANG, Fault.HTML_200])
def test_transient_errors_of_github_are_retried_before_and_after_the_trigger(
    github: GitHubApi, fault: Fault
) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=LATER)]) as fake:
        github.fault(fault, times=3)
        assert run_action(fake, github, hang=HANG, wait_for_dag="5m").result == "success"

        fake.create_run("sales", "r1", state="success")
        github.fault(fault, times=3)
        assert run_action(fake, github, hang=HANG, run_id="r1").result == "success"


def test_an_unreachable_github_after_the_trigger_fails_the_step(github: GitHubApi) -> None:
    """Without GitHub the step cannot compare the run's commit; it ends long before its timeout."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=(MINE, MINE, LATER))]) as fake:
        github.fault(Fault.RESET, times=1000)
        time = VirtualTime()
        outcome = run_action(fake, github, time, timeout="1h")

        assert (outcome.result, triggers(fake)) == ("error", 1)
        assert time.now - 1000 <= 61


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_of_github_is_not_followed_during_a_commit_check(
    github: GitHubApi, status: int
) -> None:
    with (
        FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=LATER)]) as fake,
        RedirectTrap() as trap,
    ):
        github.redirect(status, f"{trap.origin}/repos")  # type: ignore[arg-type]
        outcome = run_action(fake, github, wait_for_dag="1m")

        assert (outcome.result, triggers(fake), trap.connections) == ("error", 0, 0)


# The example workflows.


@pytest.mark.parametrize(("name", "airflow"), sorted(DEPLOYMENTS.items()))
def test_each_deployment_example_waits_for_new_code(
    github: GitHubApi, name: str, airflow: Version
) -> None:
    file = Path(__file__).parents[2] / "examples" / "workflows" / f"{name}.yml"
    (job,) = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    (given,) = [step["with"] for step in job["steps"] if "airflow-dag-run" in step.get("uses", "")]
    selected = {
        key: text.replace("${{ github.sha }}", MINE)
        for key, text in given.items()
        if key in CODE_INPUTS
    }
    dag = FakeDag("sales", bundle_version=(OLD, OLD, MINE) if "expect_commit" in selected else None)
    with FakeAirflow(airflow, dags=[dag]) as fake:
        outcome = run_action(fake, github, **{"expect_commit": ""} | selected)

        assert "wait_for_dag" in selected
        assert (outcome.result, triggers(fake)) == ("success", 1)
        assert parse_requests(fake) >= 1
