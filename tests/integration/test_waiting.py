"""Waiting through what can happen to an Airflow and to a DAG run, with the whole gate against the
scripted server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrypoint.errors import RunExists, RunNotFound, TriggerUnclear
from entrypoint.report.summary import summary
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.step import CONTEXT, run_gate
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """A scripted Airflow of each version, whose run ends at the third look."""
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales"), FakeDag("long", looks=200)]) as started:
        yield started


def run_id(fake: FakeAirflow, dag_id: str = "sales") -> str:
    """Return the id of the only run."""
    (run,) = fake.runs(dag_id)
    return run.run_id


def test_a_server_that_is_gone_for_five_minutes_does_not_end_the_wait(fake: FakeAirflow) -> None:
    """Refused connections are ridden out, said in the log and counted in the summary; the verdict
    is the run's own.
    """
    time = VirtualTime()

    def outage(_: float) -> None:
        if time.now < 1010:
            return
        if time.now < 1310:
            fake._take_down()
        else:
            fake.up()

    time.on_sleep = outage
    outcome = run_gate(fake, time=time, dag_id="long", poll_interval="5")
    assert outcome.result == "success"
    assert outcome.retries >= 5
    assert f"| Failed requests ridden out | {outcome.retries} |" in summary(outcome, CONTEXT)


def test_retry_after_is_obeyed_in_both_its_forms(
    fake: FakeAirflow, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that names a time, in seconds or as a date, is left alone for that long."""
    time = VirtualTime()
    fake.fault(Fault.TOO_MANY, on=("GET", "/dagRuns/*"), skip=1, retry_after=90)
    fake.fault(Fault.TOO_MANY_DATE, on=("GET", "/dagRuns/*"), skip=1, retry_after=110)
    assert run_gate(fake, time=time).result == "success"
    assert max(time.slept) >= 105
    assert 90 in time.slept
    assert "Airflow answers 429" in capsys.readouterr().out


@pytest.mark.parametrize("fault", [Fault.TOO_MANY, Fault.TOO_MANY_DATE])
@pytest.mark.parametrize("on", [("POST", "/dagRuns"), ("GET", "/dagRuns/*"), ("GET", "/dags/*")])
def test_a_retry_after_of_a_day_is_obeyed_for_two_minutes(
    fake: FakeAirflow, on: tuple[str, str], fault: Fault
) -> None:
    """Neither the trigger nor a look at the run is put off until the time is over."""
    time = VirtualTime()
    fake.fault(fault, on=on, retry_after=86_400)
    outcome = run_gate(fake, time=time, timeout="10m")
    assert outcome.result == "success"
    assert max(time.slept) <= 120


def test_a_redirect_is_never_followed(fake: FakeAirflow) -> None:
    """Nothing arrives where a redirect leads, whatever it was an answer to."""
    with FakeAirflow("3.3.2") as elsewhere:
        for path in ("/dagRuns/*", "/dagRuns", "/dags/*"):
            for fault in (Fault.REDIRECT, Fault.REDIRECT_307):
                fake.fault(
                    fault,
                    on=("POST" if path == "/dagRuns" else "GET", path),
                    skip=1,
                    to=elsewhere.url,
                )
        run_gate(fake)
        assert elsewhere.record == []


def test_a_deleted_run_is_an_error_that_says_so(fake: FakeAirflow) -> None:
    """A run that vanishes while it is waited for is neither green nor waited for any longer."""
    time = VirtualTime()

    def vanish(_: float) -> None:
        if time.now > 1020 and fake.runs("long"):
            fake.delete_run("long", run_id(fake, "long"))

    time.on_sleep = vanish
    outcome = run_gate(fake, time=time, dag_id="long")
    assert outcome.result == "error"
    assert isinstance(outcome.error, RunNotFound)
    assert len(fake.received("POST", "/dagRuns")) == 1


def test_a_run_that_is_cleared_after_its_end_is_followed_to_its_new_end() -> None:
    """An end that somebody takes back while the step reads the tasks is not the verdict."""
    dag = FakeDag(
        "sales",
        tasks=(FakeTask("extract", ends=("success", "failed")),),
        ends=("success", "failed"),
    )
    time = VirtualTime()
    with FakeAirflow("3.3.2", dags=[dag]) as fake, fake.session() as somebody:
        fake.fault(Fault.RESET, on=("GET", "/taskInstances"))

        def clear(_: float) -> None:
            if fake.received("GET", "/taskInstances") and not fake.received("POST", "/clear"):
                run = f"{fake.url}{fake.api}/dags/sales/dagRuns/{run_id(fake)}"
                assert somebody.post(
                    f"{run}/clear", json={"dry_run": False, "only_failed": False}, timeout=5
                ).ok

        time.on_sleep = clear
        outcome = run_gate(fake, time=time, logs="none")
    assert (outcome.result, len(fake.received("POST", "/clear"))) == ("failed", 1)


def test_an_end_with_nothing_unfinished_stands() -> None:
    """If no task was unfinished when they were read, nobody had cleared the run: that costs no
    further request.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        fake.states("sales", ["queued", "success", "running"])
        assert run_gate(fake, poll_interval="1").result == "success"


def test_the_answer_about_another_run_is_no_answer(fake: FakeAirflow) -> None:
    """Neither an empty object nor a list with status 200 is taken for the run."""
    fake.fault(Fault.EMPTY_JSON, on=("GET", "/dagRuns/*"), skip=1, times=2)
    fake.fault(Fault.WRONG_JSON, on=("GET", "/dagRuns/*"), skip=1, times=2)
    outcome = run_gate(fake)
    assert (outcome.result, outcome.retries) == ("success", 4)


def test_a_trigger_that_is_never_cleared_up_names_the_run(fake: FakeAirflow) -> None:
    """If the answer is lost and nothing can be read until the timeout, the error names the run that
    may exist.
    """
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
    fake.fault(Fault.HTML_502, on=("GET", "/dagRuns/*"), skip=1, times=10_000)
    outcome = run_gate(fake, timeout="10m")
    assert outcome.result == "error"
    assert isinstance(outcome.error, TriggerUnclear)
    assert run_id(fake) in outcome.error.detail
    assert run_id(fake) in (outcome.run_url or "")


def test_a_trigger_that_always_fails_makes_nothing_and_ends(fake: FakeAirflow) -> None:
    """If reading works and says that nothing was made, the POST is repeated a few times and not for
    ever.
    """
    fake.fault(Fault.HTML_500, on=("POST", "/dagRuns"), times=10_000)
    outcome = run_gate(fake)
    assert (outcome.result, outcome.run_url, fake.runs("sales")) == ("error", None, [])
    assert 2 <= len(fake.received("POST", "/dagRuns")) <= 6


def test_a_run_id_that_somebody_else_takes_at_the_same_moment_is_adopted(fake: FakeAirflow) -> None:
    """Between the look and the trigger another process may make the very run; then there is one,
    and it is waited for.
    """
    fake.create_run("sales", "r1")
    fake.fault(
        Fault.HTML_502, on=("GET", "/dagRuns/*")
    )  # the look before the trigger is repeated, and then finds it
    outcome = run_gate(fake, run_id="r1")
    assert (outcome.result, outcome.created, len(fake.runs("sales"))) == ("success", False, 1)


def test_an_existing_run_of_another_request_is_never_a_green(fake: FakeAirflow) -> None:
    """A successful run with another conf is an error that shows both."""
    fake.create_run("sales", "r1", conf={"region": "EMEA"}, state="success")
    outcome = run_gate(fake, run_id="r1", conf='{"region": "APAC"}')
    assert outcome.result == "error"
    assert isinstance(outcome.error, RunExists)
    assert "EMEA" in outcome.error.detail
    assert "APAC" in outcome.error.detail


def test_trigger_false_never_makes_a_run(fake: FakeAirflow) -> None:
    """With nothing to wait for, the step says so and sends no POST."""
    outcome = run_gate(fake, run_id="r1", trigger="false")
    assert outcome.result == "error"
    assert isinstance(outcome.error, RunNotFound)
    assert fake.received("POST", "/dagRuns") == []


@pytest.mark.parametrize(("past", "at_least"), [(0, 0.9), (2, 0.9), (3, 4.5)])
def test_the_dag_s_past_paces_the_looks(past: int, at_least: float) -> None:
    """Three successful runs that took ten minutes make the looks at the next one seldom at its
    beginning; two do not.
    """
    with FakeAirflow("2.11.2", dags=[FakeDag("long", looks=200)]) as fake:
        for number in range(past):
            fake.create_run("long", f"old{number}", state="success", took=600.0)
        time = VirtualTime()
        outcome = run_gate(fake, time=time, dag_id="long", timeout="1m")

    assert outcome.result == "timeout"
    running = time.slept[2:5]  # the first two looks find it queued, and running
    assert at_least <= min(running) < 1.3 * at_least
