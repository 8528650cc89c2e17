"""Waiting for a DAG run through outages, rate limits, clears and deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.errors import RunExists, RunNotFound, TriggerUnclear
from entrypoint.http.client import HttpClient
from entrypoint.report.summary import summary
from entrypoint.run.streaming import MAX_SILENCE_SECONDS
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.step import CONTEXT, run_against
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales"), FakeDag("long", polls=200)]) as started:
        yield started


def only_run_id(fake: FakeAirflow, dag_id: str = "sales") -> str:
    (run,) = fake.runs(dag_id)
    return run.run_id


def test_an_outage_of_five_minutes_does_not_end_the_wait(fake: FakeAirflow) -> None:
    """The summary counts the retried requests."""
    time = VirtualTime()

    def outage(_: float) -> None:
        if time.now < 1010:
            return
        if time.now < 1310:
            fake._take_down()
        else:
            fake.up()

    time.on_sleep = outage
    outcome = run_against(fake, time=time, dag_id="long", poll_interval="5")
    assert outcome.result == "success"
    assert outcome.retries >= 5
    assert f"| Retried requests | {outcome.retries} |" in summary(outcome, CONTEXT)


def test_retry_after_is_respected_as_seconds_and_as_a_date(
    fake: FakeAirflow, capsys: pytest.CaptureFixture[str]
) -> None:
    time = VirtualTime()
    fake.fault(Fault.TOO_MANY, on=("GET", "/dagRuns/*"), skip=1, retry_after=90)
    fake.fault(Fault.TOO_MANY_DATE, on=("GET", "/dagRuns/*"), skip=1, retry_after=110)
    assert run_against(fake, time=time).result == "success"
    assert max(time.slept) >= 105
    assert 90 in time.slept
    assert "Airflow answers 429" in capsys.readouterr().out


@pytest.mark.parametrize("fault", [Fault.TOO_MANY, Fault.TOO_MANY_DATE])
@pytest.mark.parametrize("on", [("POST", "/dagRuns"), ("GET", "/dagRuns/*"), ("GET", "/dags/*")])
def test_a_retry_after_of_a_day_is_capped_at_two_minutes(
    fake: FakeAirflow, on: tuple[str, str], fault: Fault
) -> None:
    time = VirtualTime()
    fake.fault(fault, on=on, retry_after=86_400)
    outcome = run_against(fake, time=time, timeout="10m")
    assert outcome.result == "success"
    assert max(time.slept) <= 120


def test_a_redirect_is_never_followed(fake: FakeAirflow) -> None:
    with FakeAirflow("3.3.2") as redirect_target:
        for path in ("/dagRuns/*", "/dagRuns", "/dags/*"):
            for fault in (Fault.REDIRECT, Fault.REDIRECT_307):
                fake.fault(
                    fault,
                    on=("POST" if path == "/dagRuns" else "GET", path),
                    skip=1,
                    to=redirect_target.url,
                )
        run_against(fake)
        assert redirect_target.record == []


def test_a_deleted_run_is_an_error(fake: FakeAirflow) -> None:
    time = VirtualTime()

    def delete_once(_: float) -> None:
        if time.now > 1020 and fake.runs("long"):
            fake.delete_run("long", only_run_id(fake, "long"))

    time.on_sleep = delete_once
    outcome = run_against(fake, time=time, dag_id="long")
    assert outcome.result == "error"
    assert isinstance(outcome.error, RunNotFound)
    assert len(fake.received("POST", "/dagRuns")) == 1


def test_a_run_cleared_after_its_end_is_followed_to_its_new_end() -> None:
    """The clear comes while the step reads the tasks."""
    dag = FakeDag(
        "sales",
        tasks=(FakeTask("extract", ends=("success", "failed")),),
        ends=("success", "failed"),
    )
    time = VirtualTime()
    with FakeAirflow("3.3.2", dags=[dag]) as fake, fake.session() as session:
        fake.fault(Fault.RESET, on=("GET", "/taskInstances"))

        def clear(_: float) -> None:
            if fake.received("GET", "/taskInstances") and not fake.received("POST", "/clear"):
                run = f"{fake.url}{fake.api}/dags/sales/dagRuns/{only_run_id(fake)}"
                assert session.post(
                    f"{run}/clear", json={"dry_run": False, "only_failed": False}, timeout=5
                ).ok

        time.on_sleep = clear
        outcome = run_against(fake, time=time, logs="none")
    assert (outcome.result, len(fake.received("POST", "/clear"))) == ("failed", 1)


def test_an_end_without_unfinished_tasks_is_final() -> None:
    """It costs no further request."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        fake.states("sales", ["queued", "success", "running"])
        assert run_against(fake, poll_interval="1").result == "success"


def test_a_response_without_the_run_is_retried(fake: FakeAirflow) -> None:
    """An empty object or a list with status 200 is not the run."""
    fake.fault(Fault.EMPTY_JSON, on=("GET", "/dagRuns/*"), skip=1, times=2)
    fake.fault(Fault.WRONG_JSON, on=("GET", "/dagRuns/*"), skip=1, times=2)
    outcome = run_against(fake)
    assert (outcome.result, outcome.retries) == ("success", 4)


def test_an_unconfirmed_trigger_names_the_run_that_may_exist(fake: FakeAirflow) -> None:
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
    fake.fault(Fault.HTML_502, on=("GET", "/dagRuns/*"), skip=1, times=10_000)
    outcome = run_against(fake, timeout="10m")
    assert outcome.result == "error"
    assert isinstance(outcome.error, TriggerUnclear)
    assert only_run_id(fake) in outcome.error.detail
    assert only_run_id(fake) in (outcome.run_url or "")


def test_a_failing_trigger_is_repeated_only_a_few_times(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_500, on=("POST", "/dagRuns"), times=10_000)
    outcome = run_against(fake)
    assert (outcome.result, outcome.run_url, fake.runs("sales")) == ("error", None, [])
    assert 2 <= len(fake.received("POST", "/dagRuns")) <= 6


def test_a_run_that_appears_just_before_the_trigger_is_attached_to(fake: FakeAirflow) -> None:
    fake.create_run("sales", "r1")
    fake.fault(
        Fault.HTML_502, on=("GET", "/dagRuns/*")
    )  # the GET before the trigger is retried and finds the run
    outcome = run_against(fake, run_id="r1")
    assert (outcome.result, outcome.created, len(fake.runs("sales"))) == ("success", False, 1)


def test_an_existing_run_with_another_conf_is_an_error_that_shows_both(fake: FakeAirflow) -> None:
    fake.create_run("sales", "r1", conf={"region": "EMEA"}, state="success")
    outcome = run_against(fake, run_id="r1", conf='{"region": "APAC"}')
    assert outcome.result == "error"
    assert isinstance(outcome.error, RunExists)
    assert "EMEA" in outcome.error.detail
    assert "APAC" in outcome.error.detail


def test_trigger_false_never_makes_a_run(fake: FakeAirflow) -> None:
    outcome = run_against(fake, run_id="r1", trigger="false")
    assert outcome.result == "error"
    assert isinstance(outcome.error, RunNotFound)
    assert fake.received("POST", "/dagRuns") == []


@pytest.mark.parametrize(("past", "at_least"), [(0, 0.9), (2, 0.9), (3, 4.5)])
def test_three_past_runs_slow_down_the_first_polls(past: int, at_least: float) -> None:
    """Two past runs are too few."""
    with FakeAirflow("2.11.2", dags=[FakeDag("long", polls=200)]) as fake:
        for number in range(past):
            fake.create_run("long", f"old{number}", state="success", took=600.0)
        time = VirtualTime()
        outcome = run_against(fake, time=time, dag_id="long", timeout="1m")

    assert outcome.result == "timeout"
    running = time.slept[2:5]  # the first two polls find it queued and running
    assert at_least <= round(min(running), 6) < 1.3 * at_least


def test_a_stream_may_be_silent_between_two_states_after_the_first_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = list[float]()
    send = HttpClient.send

    def watched(self: HttpClient, request: Any, read: Any) -> Any:
        if request.url.endswith("/wait"):
            limits.append(min(request.deadline.request_seconds(), request.read_timeout))
        return send(self, request, read)

    monkeypatch.setattr(HttpClient, "send", watched)
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=10**6)]) as fake:
        run_against(fake, timeout="5m")
    assert set(limits[:-1]) == {MAX_SILENCE_SECONDS}


def test_tasks_read_before_a_clear_decide_nothing() -> None:
    dag = FakeDag("sales", tasks=(FakeTask("extract", ends=("success", "failed")),), ends="success")
    time, faults = VirtualTime(), [2]
    with FakeAirflow("3.3.2", dags=[dag]) as fake, fake.session() as session:
        fake.fault(Fault.RESET, on=("GET", "/taskInstances"))

        def clear(_: float) -> None:
            reads = len(fake.received("GET", "/taskInstances"))
            if reads and not fake.received("POST", "/clear"):
                run = f"{fake.url}{fake.api}/dags/sales/dagRuns/{fake.runs('sales')[0].run_id}"
                body = {"dry_run": False, "only_failed": False}
                assert session.post(f"{run}/clear", json=body, timeout=5).ok
            elif reads == 2 and faults:
                fake.fault(Fault.RESET, on=("GET", "/taskInstances"), times=faults.pop())

        time.on_sleep = clear
        outcome = run_against(fake, time=time, logs="none", fail_on_failed_tasks="true")
        assert fake.runs("sales")[0].state == "success"
    assert (outcome.result, [task.name for task in outcome.failed_tasks]) == ("failed", ["extract"])
