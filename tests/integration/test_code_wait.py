"""New code is waited for, and nothing older runs: the whole gate, in front of a scripted Airflow
and a stand-in for GitHub.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
import yaml

from entrypoint.http.client import READ_TIMEOUT
from entrypoint.http.retry import REFUSAL_RESPONSES
from entrypoint.run.request import derive_note
from entrypoint.signals import Interrupted
from tests.integration.scenarios import DEPLOYMENTS
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault, Version
from tests.support.services import GitHubApi, Trap
from tests.support.step import CONTEXT, HANG, run_gate
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.models import Outcome
    from tests.support.fake_airflow.messages import ReceivedRequest

OLD, MINE, LATER, ELSEWHERE, NOBODYS = (digit * 40 for digit in "abcde")
HISTORY = {OLD: None, MINE: OLD, LATER: MINE, ELSEWHERE: OLD}
TRACE = (
    'Traceback (most recent call last):\n  File "/opt/airflow/dags/sales.py", line 3, in '
    "<module>\nNameError: name 'x'\n"
)
NEW = ("expect_commit", "wait_for_dag")
MENDED, BROKEN = FakeDag("sales"), FakeDag("sales", broken=TRACE)


@pytest.fixture(params=get_args(Version))
def version(request: pytest.FixtureRequest) -> Version:
    """Each version."""
    chosen: Version = request.param
    return chosen


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """GitHub, with a commit, the one before it, one that contains it, and one on another branch."""
    with GitHubApi(HISTORY) as api:
        yield api


def gate(
    fake: FakeAirflow,
    github: GitHubApi,
    time: VirtualTime | None = None,
    *,
    sha: str = MINE,
    hang: float = READ_TIMEOUT,
    **inputs: str,
) -> Outcome:
    """The outcome of a step of this commit, which asks this GitHub."""
    context = CONTEXT._replace(sha=sha, api_url=github.url)
    own = {"expect_commit": MINE, "github_token": github.token}
    return run_gate(fake, time=time, context=context, hang=hang, **own | inputs)


def triggers(fake: FakeAirflow) -> int:
    """How many DAG runs were asked for."""
    return len(fake.received("POST", "/dagRuns"))


def inactive(answer: bytes) -> bytes:
    """The answer about a DAG, which Airflow does not find in its file any more."""
    head, _, body = answer.partition(b"\r\n\r\n")
    packed = body.startswith(b"\x1f\x8b")
    dag = json.loads(gzip.decompress(body) if packed else body)
    told = json.dumps(dag | {"is_active": False, "is_stale": True}).encode()
    told = gzip.compress(told) if packed else told
    return re.sub(rb"(?i)(content-length: )\d+", rb"\g<1>%d" % len(told), head) + b"\r\n\r\n" + told


def parse_requests(fake: FakeAirflow) -> int:
    """How often Airflow was asked to parse a file."""
    return len(fake.received("PUT", "/parseDagFile/*"))


# A DAG whose code has no version.


def test_a_new_dag_is_waited_for(version: Version) -> None:
    """A DAG that Airflow gets to know while the step waits is triggered then, once."""
    with FakeAirflow(version, dags=[FakeDag("other")]) as fake:
        time = after(40, lambda: fake.deploy(FakeDag("sales")))
        outcome = run_gate(fake, time=time, wait_for_dag="2m")

        assert (outcome.result, triggers(fake)) == ("success", 1)
        assert time.now - 1000 >= 40


def test_a_new_dag_does_not_come(version: Version) -> None:
    """A DAG that does not come in time is an error after that time, and nothing is triggered."""
    with FakeAirflow(version, dags=[]) as fake:
        time = VirtualTime()
        outcome = run_gate(fake, time=time, wait_for_dag="2m")

        assert outcome.error is not None
        assert (outcome.result, outcome.error.title) == ("error", "Airflow has no such DAG")
        assert (triggers(fake), time.now) == (0, 1120)


def test_a_dag_that_was_there_is_parsed_anew(version: Version) -> None:
    """A DAG that was there is triggered once its file was parsed twice since, for which Airflow is
    asked.
    """
    with FakeAirflow(version, dags=[MENDED]) as fake:
        outcome = run_gate(fake, wait_for_dag="2m")

        assert (outcome.result, triggers(fake), parse_requests(fake)) == ("success", 1, 2)


def test_who_may_not_ask_for_a_parsing_waits_for_it(
    version: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the permission Airflow's own parsings are waited for, two of them, and the log names
    the permission once.
    """
    with FakeAirflow(version, dags=[MENDED]) as fake:
        fake.deny("parsing")
        done: list[float] = []
        time = VirtualTime()

        def by_itself(_: float) -> None:
            if triggers(fake) == 0 and time.now - 1000 >= 30 * (len(done) + 1):
                done.append(time.now)
                fake.parse("sales")

        time.on_sleep = by_itself
        outcome = run_gate(fake, time=time, wait_for_dag="2m")

        assert (outcome.result, triggers(fake), len(done)) == ("success", 1, 2)
        assert parse_requests(fake) <= REFUSAL_RESPONSES
        assert capsys.readouterr().out.count("can edit on DAGs") == 1


def test_without_the_input_nothing_is_waited_for(version: Version) -> None:
    """Without `wait_for_dag` a DAG is triggered as it is, and nobody asks when it was parsed."""
    with FakeAirflow(version, dags=[MENDED]) as fake:
        assert run_gate(fake).result == "success"
        assert parse_requests(fake) == 0


# Airflow itself, just after a deployment.


@pytest.mark.parametrize(
    "fault", [Fault.HTML_503, Fault.HTML_404, Fault.HTML_200, Fault.RESET, Fault.JSON_500]
)
@pytest.mark.parametrize(
    "on", [None, ("GET", "/version"), ("GET", "/dagRuns/*"), ("GET", "/dags/*")]
)
def test_an_airflow_that_comes_up(
    version: Version, fault: Fault, on: tuple[str, str] | None
) -> None:
    """A gateway's pages for 90 s and more are waited out, wherever they come; without the input
    they are an error.
    """
    for wait, lasts in (("5m", 90), ("5m", 150), ("0", 90)):
        with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
            fake.fault(fault, on=on, times=10_000)
            time = after(lasts, fake.mend)
            outcome = run_gate(fake, time=time, wait_for_dag=wait)
            assert (outcome.result, triggers(fake)) == (
                ("error", 0) if wait == "0" else ("success", 1)
            ), outcome.error


def test_a_wrong_address_is_told_in_the_end(version: Version) -> None:
    """What never becomes an Airflow is an error when the time is over."""
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.fault(Fault.HTML_404, times=10_000)
        time = VirtualTime()
        outcome = run_gate(fake, time=time, wait_for_dag="2m")
        assert outcome.error is not None
        assert outcome.error.title == "That is not an answer of Airflow's API"
        assert 1120 <= time.now <= 1121


@pytest.mark.parametrize("lasts", [1, 4])
@pytest.mark.parametrize("lost", ["inactive", "404", "404 at the POST"])
def test_a_dag_that_is_lost_once_more(version: Version, lost: str, lasts: int) -> None:
    """A DAG that was there, and then for some looks is not, is triggered once; without the input it
    is an error.
    """
    for wait, result in (("5m", "success"), ("0", "error")):
        with FakeAirflow(version, dags=[FakeDag("other")]) as fake:
            seen: Counter[str] = Counter()

            def change(request: ReceivedRequest, honest: bytes, seen: Counter[str] = seen) -> bytes:
                if (
                    request.method == "GET"
                    and request.path.endswith("/dags/sales")
                    and b" 200 " in honest[:20]
                ):
                    seen["looks"] += 1
                    first = 1 if wait == "0" else 2  # noqa: B023 - called within this round
                    if lost != "404 at the POST" and first <= seen["looks"] < first + lasts:
                        return (
                            inactive(honest)
                            if lost == "inactive"
                            else honest.replace(b" 200 ", b" 404 ", 1)
                        )
                return honest

            fake.change(change)
            if lost == "404 at the POST":
                fake.fault(Fault.CACHED_404, on=("POST", "/dagRuns"), times=lasts)
            if wait == "0":
                fake.deploy(FakeDag("sales"))
            outcome = run_gate(
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
def test_a_short_refusal_just_after_a_deploy(
    version: Version, fault: Fault, on: tuple[str, str], skip: int
) -> None:
    """A gateway or an Airflow that comes up and refuses for some looks is waited out, and the run
    is made once.
    """
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.fault(fault, on=on, skip=skip, times=2)
        outcome = run_gate(fake, wait_for_dag="5m")
        assert (outcome.result, len(fake.runs("sales"))) == ("success", 1), outcome.error


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("on", [("GET", "/dags/sales"), ("POST", "/dagRuns")])
def test_a_refusal_that_stays_just_after_a_deploy(
    version: Version, fault: Fault, on: tuple[str, str]
) -> None:
    """It is believed after a minute, long before the time for the deployment is over."""
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.fault(fault, on=on, times=10_000)
        time = VirtualTime()
        outcome = run_gate(fake, time=time, wait_for_dag="30m")
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
@pytest.mark.parametrize("lasts", [1, 4])
def test_a_trigger_that_is_refused_for_the_dag(
    version: Version, status: int, detail: str, lasts: int
) -> None:
    """A DAG that was fine a moment ago is tried again while its deployment goes on; without the
    input it is an error.
    """
    for wait, result in (("5m", "success"), ("0", "error")):
        with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
            fake.change(_refusing(fake, status, detail, lasts))
            outcome = run_gate(fake, wait_for_dag=wait)
            assert outcome.result == result, outcome.error


def test_a_trigger_that_is_refused_for_its_conf(version: Version) -> None:
    """What no deployment mends is an error at once."""
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.change(
            _refusing(
                fake,
                400,
                "Invalid input for param stale: 'inactive' is not one of ['a'] for this DAG",
                99,
            )
        )
        time = VirtualTime()
        assert run_gate(fake, time=time, wait_for_dag="5m").result == "error"
        assert time.now < 1100


def _refusing(
    fake: FakeAirflow, status: int, detail: str, lasts: int
) -> Callable[[ReceivedRequest, bytes], bytes]:
    """Return what answers the first triggers so, and makes nothing of them."""
    left = [lasts]

    def change(request: ReceivedRequest, honest: bytes) -> bytes:
        if request.method != "POST" or not request.path.endswith("/dagRuns") or left[0] == 0:
            return honest
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


# A run that is there already.


def test_a_live_run_needs_no_dag(version: Version) -> None:
    """Whatever becomes of the DAG's code meanwhile, a run of this step that is under way is waited
    for.
    """
    for wait in ("5m", "0"):
        with FakeAirflow(version, dags=[FakeDag("sales", stale=True)]) as fake:
            fake.create_run("sales", "deploy-1", state="running", note=derive_note(CONTEXT))
            time = after(8, lambda: fake.deploy(FakeDag("sales")))
            outcome = run_gate(fake, run_id="deploy-1", wait_for_dag=wait, time=time)
            assert (outcome.result, outcome.taken_over) == ("success", "attached"), outcome.error


def test_a_live_run_of_a_paused_dag(version: Version) -> None:
    """It would never move."""
    for if_paused, result in (("fail", "error"), ("unpause", "success")):
        with FakeAirflow(version, dags=[FakeDag("sales", paused=True)]) as fake:
            fake.create_run("sales", "deploy-1", state="running", note=derive_note(CONTEXT))
            assert run_gate(fake, run_id="deploy-1", if_paused=if_paused).result == result


@pytest.mark.parametrize("policy", ["resume", "restart"])
def test_a_run_is_continued_when_its_dag_is_there(version: Version, policy: str) -> None:
    """New code is waited for before a run is continued, as before one is made."""
    for wait, result in (("5m", "success"), ("0", "error")):
        with FakeAirflow(version, dags=[FakeDag("sales", stale=True)]) as fake:
            fake.create_run("sales", "deploy-1", state="failed", note=derive_note(CONTEXT))
            time = after(8, lambda: fake.deploy(FakeDag("sales")))
            outcome = run_gate(
                fake, run_id="deploy-1", wait_for_dag=wait, if_run_exists=policy, time=time
            )
            assert outcome.result == result, outcome.error


# Code that does not import.


def test_new_code_that_does_not_import(version: Version) -> None:
    """An import error that comes while the step waits ends it at once with the traceback, and
    nothing is triggered.
    """
    with FakeAirflow(version, dags=[MENDED]) as fake:
        fake.deny("parsing")
        time = after(20, lambda: fake.deploy(BROKEN))
        outcome = run_gate(fake, time=time, wait_for_dag="30m")

        assert outcome.error is not None
        assert outcome.error.title == "The DAG's file fails to import"
        assert "NameError: name 'x'" in outcome.error.detail
        assert outcome.error.raised[0].frames[-1].line == 3
        assert triggers(fake) == 0
        assert time.now - 1000 <= 40


def test_a_file_that_never_parsed(version: Version, tmp_path: Path) -> None:
    """The new import error of an unknown DAG is this step's if the checkout's copy of the file
    names the DAG.
    """
    workspace = tmp_path / "dags"
    workspace.mkdir()
    (workspace / "all_reports.py").write_text('report("sales")\n')
    trace = TRACE.replace("sales.py", "all_reports.py")
    with FakeAirflow(version, dags=[]) as fake:
        time = after(20, lambda: fake.break_file("all_reports.py", trace))
        context = CONTEXT._replace(workspace=workspace.parent)
        outcome = run_gate(fake, time=time, context=context, wait_for_dag="30m")

        assert outcome.error is not None
        assert outcome.error.title == "The DAG's file fails to import"
        assert time.now - 1000 <= 40


def test_an_old_import_error_may_be_mended(version: Version) -> None:
    """An import error that was there before does not fail the step: the code that mends it is
    waited for and run.
    """
    with FakeAirflow(version, dags=[BROKEN]) as fake:
        time = after(60, lambda: fake.deploy(MENDED))
        outcome = run_gate(fake, time=time, wait_for_dag="5m")

        assert (outcome.result, triggers(fake)) == ("success", 1)


def test_an_old_import_error_that_stays(version: Version) -> None:
    """If an old import error is still there when the time is over, it is what the step's error
    shows.
    """
    with FakeAirflow(version, dags=[BROKEN]) as fake:
        time = VirtualTime()
        outcome = run_gate(fake, time=time, wait_for_dag="5m")

        assert outcome.error is not None
        assert (outcome.error.title, time.now) == ("The DAG's file fails to import", 1300)
        assert triggers(fake) == 0


def test_somebody_else_s_import_error(version: Version) -> None:
    """A new import error in another DAG's file is none of this step's business."""
    with FakeAirflow(version, dags=[]) as fake:
        time = VirtualTime()

        def happen(_: float) -> None:
            if time.now > 1020:
                fake.break_file("other.py", TRACE.replace("sales", "other"))
            if time.now > 1060:
                fake.deploy(MENDED)

        time.on_sleep = happen
        assert run_gate(fake, time=time, wait_for_dag="5m").result == "success"


def test_a_paused_dag(version: Version) -> None:
    """A DAG that turns out to be paused is refused at once: its new code would not run either."""
    with FakeAirflow(version, dags=[FakeDag("sales", paused=True)]) as fake:
        time = VirtualTime()
        outcome = run_gate(fake, time=time, wait_for_dag="5m")

        assert outcome.error is not None
        assert (outcome.error.title, time.now) == ("The DAG is paused", 1000)


def test_a_cancel_while_it_waits(version: Version) -> None:
    """Who cancels the workflow while new code is waited for leaves nothing behind: no DAG run was
    made.
    """

    def cancel() -> None:
        raise Interrupted

    with FakeAirflow(version, dags=[]) as fake:
        outcome = run_gate(fake, time=after(20, cancel), wait_for_dag="5m")

        assert (outcome.result, outcome.stopped, triggers(fake)) == ("cancelled", "nothing", 0)


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HTML_503])
def test_airflow_fails_in_passing(version: Version, fault: Fault) -> None:
    """Requests that fail while new code is waited for are ridden out, and one DAG run is made."""
    with FakeAirflow(version, dags=[MENDED]) as fake:
        fake.fault(fault, on=("GET", "/dags/sales"), skip=1, times=2)
        fake.fault(fault, on=("PUT", "/parseDagFile/*"), times=1)
        outcome = run_gate(fake, wait_for_dag="5m")

        assert (outcome.result, triggers(fake)) == ("success", 1)


# A DAG whose code is a commit.


@pytest.mark.parametrize("found", [MINE, LATER])
def test_the_commit_or_one_that_contains_it(
    github: GitHubApi, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle at the commit is taken, and one at a later commit if GitHub says that it contains
    this one.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=found)]) as fake:
        outcome = gate(fake, github, wait_for_dag="5m")

        assert outcome.result == "success"
        assert outcome.run is not None
        assert outcome.run.bundle_version == found
        assert len(github.record) == (found == LATER)
        assert ("GitHub's API says: ahead." in capsys.readouterr().out) is (found == LATER)


@pytest.mark.parametrize("found", [OLD, ELSEWHERE, NOBODYS])
def test_another_commit(github: GitHubApi, found: str) -> None:
    """A bundle that does not get to the commit is an error that names both, whatever GitHub knows
    of the other.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=found)]) as fake:
        time = VirtualTime()
        outcome = gate(fake, github, time, wait_for_dag="2m")

        assert outcome.error is not None
        assert (outcome.result, outcome.error.title) == (
            "error",
            "Airflow has not picked up the commit",
        )
        assert found in outcome.error.detail
        assert MINE in outcome.error.detail
        assert (triggers(fake), time.now) == (0, 1120)


def test_the_commit_comes(github: GitHubApi) -> None:
    """The trigger is not sent before the bundle has got to the commit, and the file was parsed once
    more.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=OLD)]) as fake:
        fake.deny("parsing")
        time = VirtualTime()
        moments = {
            1050.0: lambda: fake.deploy(FakeDag("sales", bundle_version=MINE)),
            1080.0: lambda: fake.parse("sales"),
        }

        def happen(_: float) -> None:
            for moment in [one for one in moments if time.now >= one]:
                assert triggers(fake) == 0
                moments.pop(moment)()

        time.on_sleep = happen
        outcome = gate(fake, github, time, wait_for_dag="5m")

        assert (outcome.result, triggers(fake), moments) == ("success", 1, {})


def test_the_structure_lags_behind(github: GitHubApi) -> None:
    """A DAG whose structure is still that of an older commit is not triggered, although its bundle
    is at the new one.
    """
    lagging = FakeDag("sales", bundle_version=MINE, latest_dag_version=OLD)
    with FakeAirflow("3.3.2", dags=[lagging]) as fake:
        outcome = gate(fake, github, wait_for_dag="1m")
        assert outcome.error is not None
        assert f"structure is at {OLD}" in outcome.error.detail

        time = after(40, lambda: fake.deploy(replace(lagging, latest_dag_version=MINE)))
        assert gate(fake, github, time, wait_for_dag="5m").result == "success"
        assert triggers(fake) == 1


@pytest.mark.parametrize(("found", "result"), [(MINE, "success"), (OLD, "error")])
def test_without_time_it_is_looked_at_once(github: GitHubApi, found: str, result: str) -> None:
    """Without `wait_for_dag` the bundle is at the commit now, or the step ends with an error
    now.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=found)]) as fake:
        outcome = gate(fake, github)

        assert (outcome.result, triggers(fake)) == (result, result == "success")


@pytest.mark.parametrize("ran", [OLD, ELSEWHERE, None])
@pytest.mark.parametrize("wait", ["true", "false"])
def test_the_run_ran_another_commit(github: GitHubApi, ran: str | None, wait: str) -> None:
    """A run that does not run with the commit fails the step, whatever the DAG showed before, and
    both are named.
    """
    dag = FakeDag("sales", bundle_version=(MINE, MINE, ran))  # type: ignore[arg-type]  # two looks, then the trigger's
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        outcome = gate(fake, github, wait=wait)

        assert outcome.error is not None
        assert (outcome.result, triggers(fake)) == ("error", 1)
        assert outcome.run is not None
        assert outcome.run.bundle_version == ran
        assert MINE in outcome.error.detail
        assert (ran or "no bundle version") in outcome.error.detail


def test_the_run_is_moved_to_another_commit(github: GitHubApi) -> None:
    """A run that somebody cleared meanwhile, so that it went on with another commit's code, is no
    success of this commit.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=MINE)]) as fake:

        def clear() -> None:
            (run,) = fake._world.runs.values()
            run.bundle_version = OLD

        outcome = gate(fake, github, after(1, clear))

        assert outcome.error is not None
        assert (outcome.result, outcome.error.title) == ("error", "The DAG run runs another commit")
        assert [run.state for run in fake.runs("sales")] == ["success"]


def test_a_run_that_is_there_is_held_to_the_commit_too(github: GitHubApi) -> None:
    """A run that only is waited for, and one that was there already, must have run with the commit
    as well.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=OLD)]) as fake:
        fake.create_run("sales", "r1", state="success")

        for trigger in ("false", "true"):
            outcome = gate(fake, github, run_id="r1", trigger=trigger)
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
def test_where_no_commit_is_known(github: GitHubApi, airflow: Version, title: str) -> None:
    """Airflow 2, and a bundle without versions, are an error at once that says what to use
    instead.
    """
    with FakeAirflow(airflow, dags=[MENDED]) as fake:
        time = VirtualTime()
        outcome = gate(fake, github, time, wait_for_dag="5m")

        assert outcome.error is not None
        assert outcome.error.title == title
        assert "wait_for_dag" in outcome.error.hint
        assert (triggers(fake), time.now) == (0, 1000)


# GitHub.


def test_a_commit_that_github_does_not_know(github: GitHubApi) -> None:
    """A SHA that is no commit of the repository is a wrong input, and Airflow hears nothing of
    it.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=MINE)]) as fake:
        outcome = gate(fake, github, expect_commit=NOBODYS, wait_for_dag="5m")

        assert outcome.error is not None
        assert outcome.error.title == "1 input is not usable"
        assert outcome.error.detail.startswith(f"expect_commit: GitHub knows no commit {NOBODYS} ")
        assert fake.record == []


def test_a_token_that_may_not_read() -> None:
    """Without `contents: read` an error names the permission if a later commit has to be compared,
    and only then.
    """
    with GitHubApi(HISTORY, may_read=False) as github:
        for found, result in ((MINE, "success"), (LATER, "error")):
            with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=found)]) as fake:
                outcome = gate(fake, github, sha=OLD, wait_for_dag="1m")
                assert outcome.result == result
                if result == "error":
                    assert outcome.error is not None
                    assert "`contents: read`" in outcome.error.detail


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HTML_503, Fault.HANG, Fault.HTML_200])
def test_github_fails_in_passing(github: GitHubApi, fault: Fault) -> None:
    """GitHub may fail for a while: it is asked again, before the trigger and after it, and the
    right commit is run.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=LATER)]) as fake:
        github.fault(fault, times=3)
        assert gate(fake, github, hang=HANG, wait_for_dag="5m").result == "success"

        fake.create_run("sales", "r1", state="success")
        github.fault(fault, times=3)
        assert gate(fake, github, hang=HANG, run_id="r1").result == "success"


def test_github_is_gone_after_the_trigger(github: GitHubApi) -> None:
    """If nobody can tell what commit a run has, since GitHub is gone, the step fails, and long
    before its timeout.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=(MINE, MINE, LATER))]) as fake:
        github.fault(Fault.RESET, times=1000)
        time = VirtualTime()
        outcome = gate(fake, github, time, timeout="1h")

        assert (outcome.result, triggers(fake)) == ("error", 1)
        assert time.now - 1000 <= 61


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_github_redirects(github: GitHubApi, status: int) -> None:
    """A redirect of GitHub's API is not followed: the token arrives nowhere else, and nothing is
    triggered.
    """
    with (
        FakeAirflow("3.3.2", dags=[FakeDag("sales", bundle_version=LATER)]) as fake,
        Trap() as trap,
    ):
        github.redirect(status, f"{trap.origin}/repos")  # type: ignore[arg-type]
        outcome = gate(fake, github, wait_for_dag="1m")

        assert (outcome.result, triggers(fake), trap.connections) == ("error", 0, 0)


# The workflows to copy.


@pytest.mark.parametrize(("name", "airflow"), sorted(DEPLOYMENTS.items()))
def test_a_workflow_to_copy(github: GitHubApi, name: str, airflow: Version) -> None:
    """Each workflow in examples/ about deployments gives the inputs that make a step wait for this
    Airflow's new code.
    """
    file = Path(__file__).parents[2] / "examples" / "workflows" / f"{name}.yml"
    (job,) = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    (given,) = [step["with"] for step in job["steps"] if "airflow-dag-run" in step.get("uses", "")]
    asked = {
        key: text.replace("${{ github.sha }}", MINE) for key, text in given.items() if key in NEW
    }
    dag = FakeDag("sales", bundle_version=(OLD, OLD, MINE) if "expect_commit" in asked else None)
    with FakeAirflow(airflow, dags=[dag]) as fake:
        outcome = gate(fake, github, **{"expect_commit": ""} | asked)

        assert "wait_for_dag" in asked
        assert (outcome.result, triggers(fake)) == ("success", 1)
        assert parse_requests(fake) >= 1
