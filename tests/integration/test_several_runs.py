"""One step with several DAG runs, against the scripted Airflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest

from dev.runner import ActionStep
from entrypoint.report.summary import summary
from entrypoint.signals import Interrupted
from tests.support.fake_airflow import (
    FakeAirflow,
    FakeDag,
    FakeError,
    FakeTask,
    Fault,
    Version,
)
from tests.support.peak_memory import MeasuredProcess
from tests.support.step import CONTEXT, admin_inputs, run_dags, saved_runs
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from entrypoint.models import Outcome
    from entrypoint.runners.base import Context

WITHOUT_END = 10**6
BROKEN = FakeTask("load", ends="failed", error=FakeError("KeyError", "'amount'"))
GOOD, BAD, ENDLESS = (
    FakeDag("good", polls=4),
    FakeDag("bad", polls=8, tasks=(BROKEN,)),
    FakeDag("endless", polls=WITHOUT_END),
)


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=[GOOD, BAD, ENDLESS]) as running:
        yield running


def run_several(
    fake: FakeAirflow,
    *lines: str,
    time: VirtualTime | None = None,
    context: Context = CONTEXT,
    **inputs: str,
) -> dict[str, Outcome]:
    """Run one step with these lines of `dags`, and return the outcome of each DAG."""
    return {
        outcome.request.dag_id: outcome
        for outcome in run_dags(fake, *lines, time=time, context=context, **inputs).runs
        if outcome.request is not None
    }


def cancel() -> None:
    raise Interrupted


def results(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    return {dag_id: outcome.result for dag_id, outcome in outcomes.items()}


def lists(fake: FakeAirflow) -> int:
    """How often several runs were requested together."""
    return sum(request.path.endswith("/dagRuns/list") for request in fake.record)


def test_mixed_ends_and_a_cancel_give_each_run_its_own_state(
    fake: FakeAirflow, state_file: Path
) -> None:
    outcomes = run_several(fake, "good", "bad", "endless", time=after(90, cancel))

    assert results(outcomes) == {"good": "success", "bad": "failed", "endless": "cancelled"}
    assert [outcome.stopped for outcome in outcomes.values()] == [None, None, "yes"]
    assert [run.state for dag in outcomes for run in fake.runs(dag)] == [
        "success",
        "failed",
        "failed",
    ]
    assert [failure.cause for failure in outcomes["bad"].failures] == ["KeyError: 'amount'"]
    titles = [summary(outcome, CONTEXT).splitlines()[0] for outcome in outcomes.values()]
    assert titles == [
        "## ✅ DAG run succeeded: `good`",
        "## ❌ DAG run failed: `bad`",
        "## 🛑 Cancelled, the DAG run is over: `endless`",
    ]
    # Those that had ended need no post stage.
    assert [(run.dag_id, run.stopped) for run in saved_runs(state_file)] == [("endless", True)]
    assert "ENDED" not in state_file.read_text()


def test_several_runs_are_requested_together(fake: FakeAirflow) -> None:
    outcomes = run_several(fake, "good", "bad")

    assert results(outcomes) == {"good": "success", "bad": "failed"}
    single = [request for request in fake.record if "/dagRuns/github__" in request.path]
    polls = [request for request in single if request.method == "GET"]
    # Before the trigger one of each; after the end of the first, the second is followed alone.
    assert lists(fake) >= 3
    assert sum(request.path.count("/dags/good/dagRuns/") for request in polls) <= 3


def test_runs_that_no_list_shows_are_requested_one_by_one(fake: FakeAirflow) -> None:
    """Airflow may refuse the list, or have a hundred newer runs of the DAG."""
    fake.deny("run_batch")
    assert results(run_several(fake, "good", "bad")) == {"good": "success", "bad": "failed"}
    assert lists(fake) == 2


BROKEN_IMPORT = FakeDag("broken", broken="Traceback\n  File \"broken.py\"\nKeyError: 'x'")
PAUSED = FakeDag("paused", paused=True)


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_all_dags_are_checked_before_any_is_triggered(version: Version) -> None:
    """One error lists all that is wrong, and nothing is unpaused or triggered."""
    with FakeAirflow(version, dags=[GOOD, PAUSED, BROKEN_IMPORT]) as fake:
        step = run_dags(fake, "good", "paused", "missing", "broken")
        assert [request for request in fake.record if request.method in ("PATCH", "PUT")] == []
        assert [fake.runs(dag) for dag in ("good", "paused", "broken")] == [[], [], []]
    assert (step.result, step.passes) == ("error", False)
    assert step.error is not None
    lines = step.error.detail.splitlines()
    assert lines[0] == "3 of 4 cannot. Nothing was triggered."
    for name, reason in (
        ("paused", "paused: The DAG is paused."),
        ("missing", "missing: Airflow has no such DAG."),
        ("broken", "broken: The DAG's file fails to import."),
    ):
        assert any(line.startswith(reason) for line in lines), name
    titles = {run.request.dag_id: run.error.title for run in step.runs if run.request and run.error}
    assert titles["good"] == "Not all of the DAGs can run"
    assert titles["paused"] == "The DAG is paused"


def test_a_paused_dag_is_unpaused_only_after_all_checks() -> None:
    with FakeAirflow(dags=[GOOD, PAUSED]) as fake:
        run_dags(fake, "paused", "missing", if_paused="unpause")
        assert [request for request in fake.record if request.method == "PATCH"] == []
        outcomes = run_several(fake, "paused", "good", if_paused="unpause")
        assert results(outcomes) == {"paused": "success", "good": "success"}


@pytest.mark.parametrize("most", [1, 2, 3])
def test_at_most_max_parallel_runs_go_on_at_the_same_time(most: int) -> None:
    dags = [FakeDag(f"dag_{number}", polls=3 + number) for number in range(6)]
    going_on = list[int]()

    def count(fake: FakeAirflow) -> None:
        runs = [run for dag in dags for run in fake.runs(dag.dag_id)]
        going_on.append(sum(run.state in ("queued", "running") for run in runs))

    with FakeAirflow(dags=dags) as fake:
        time = VirtualTime()
        time.on_sleep = lambda _: count(fake)
        names = [dag.dag_id for dag in dags]
        outcomes = run_several(fake, *names, time=time, max_parallel=str(most))
    assert set(results(outcomes).values()) == {"success"}
    assert list(outcomes) == names
    assert max(going_on) == most


def test_each_dag_gets_the_conf_of_its_line_or_of_the_step(fake: FakeAirflow) -> None:
    lines = ("good", 'bad {"day": 1}', "# a comment", "", "endless {}")
    run_dags(fake, *lines, conf='{"region": "APAC"}', wait="false")
    found = {dag_id: fake.runs(dag_id)[0].conf for dag_id in ("good", "bad", "endless")}
    assert found == {"good": {"region": "APAC"}, "bad": {"day": 1}, "endless": {}}


def test_a_rerun_continues_only_what_did_not_succeed(fake: FakeAirflow) -> None:
    again = CONTEXT._replace(attempt=2)
    first = run_several(fake, "good", "bad")
    before = len(fake.received("POST", "/clearTaskInstances"))
    second = run_several(fake, "good", "bad", context=again)
    assert results(first) == results(second) == {"good": "success", "bad": "failed"}
    assert [outcome.taken_over for outcome in second.values()] == ["attached", "resumed"]
    assert len(fake.received("POST", "/clearTaskInstances")) == before + 1
    assert [len(fake.runs(dag_id)) for dag_id in ("good", "bad")] == [1, 1]


@pytest.mark.parametrize("lost", range(10))
def test_a_lost_response_to_any_trigger_makes_no_second_run(lost: int) -> None:
    dags = [FakeDag(f"dag_{number}", polls=3) for number in range(10)]
    with FakeAirflow(dags=dags) as fake:
        fake.fault(Fault.RESET, on=("POST", f"/dags/dag_{lost}/dagRuns"), when="after")
        outcomes = run_several(fake, *(dag.dag_id for dag in dags), max_parallel="3")
        assert set(results(outcomes).values()) == {"success"}
        assert {len(fake.runs(dag.dag_id)) for dag in dags} == {1}


@pytest.mark.parametrize("moment", [0.5, 1.5, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0])
def test_a_cancel_at_any_moment_leaves_none_running(
    fake: FakeAirflow, moment: float, state_file: Path
) -> None:
    """What the main stage could not confirm, it saves for the post stage."""
    names = ("good", "bad", "endless")
    step = run_dags(fake, *names, time=after(moment, cancel), max_parallel="2")
    assert step.result == "cancelled"
    states = {dag_id: [run.state for run in fake.runs(dag_id)] for dag_id in names}
    assert all(state in ("success", "failed") for found in states.values() for state in found)
    assert all(run.stopped for run in saved_runs(state_file))


def requests_of_a_wait(version: Version, count: int) -> int:
    """Return the requests of ten minutes in which so many runs are followed."""
    dags = [FakeDag(f"dag_{number}", polls=WITHOUT_END) for number in range(count)]
    with FakeAirflow(version, dags=dags) as fake:
        until = list[int]()
        time = after(20, lambda: until.append(len(fake.record)))
        names = [dag.dag_id for dag in dags]
        step = run_dags(fake, *names, time=time, timeout="10m", max_parallel=str(count))
        assert step.result == "timeout"
        # At the end each run is explained.
        ends = sum(request.path.endswith("/taskInstances") for request in fake.record[-9 * count :])
        return len(fake.record) - until[0] - ends


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
@pytest.mark.parametrize("count", [20, 40])
def test_many_runs_cost_at_most_twice_the_requests_of_one(version: Version, count: int) -> None:
    one, many = requests_of_a_wait(version, 1), requests_of_a_wait(version, count)
    print(f"{version}: {one} requests in ten minutes for one DAG, {many} for {count}")
    assert many <= 2 * one


def test_each_run_has_its_own_timeout_and_a_deleted_run_ends_no_other(fake: FakeAirflow) -> None:
    def delete() -> None:
        run = fake.runs("bad")[0]
        del fake._database.runs["bad", run.run_id]

    outcomes = run_several(
        fake, "good", "bad", "endless", time=after(5, delete), timeout="10m", on_timeout="cancel"
    )
    assert results(outcomes) == {"good": "success", "bad": "error", "endless": "timeout"}
    assert outcomes["bad"].error is not None
    assert outcomes["bad"].error.title == "The DAG run was deleted while this step waited for it"
    assert outcomes["endless"].stopped == "yes"


@pytest.mark.parametrize("fault", [Fault.HTML_503, Fault.RESET, Fault.JSON_401, Fault.HTML_200])
def test_an_outage_ends_no_wait(fake: FakeAirflow, fault: Fault) -> None:
    def outage() -> None:
        fake.fault(fault, on=("POST", "/dagRuns/list"), times=3)
        fake.fault(fault, on=("GET", "/dagRuns/*"), times=3)

    outcomes = run_several(fake, "good", "bad", time=after(2, outage))
    assert results(outcomes) == {"good": "success", "bad": "failed"}


TEN = [FakeDag(f"dag_{number}", polls=3) for number in range(10)]
TRIGGERS, READS = ("POST", "/dagRuns"), ("GET", "/dags/*/dagRuns/*")


@pytest.mark.parametrize("most", ["1", "10"])
@pytest.mark.parametrize("on", [TRIGGERS, READS])
@pytest.mark.parametrize("fault", [Fault.HTML_503, Fault.RESET])
def test_a_lasting_outage_during_the_triggers_costs_one_patience(
    fault: Fault, on: tuple[str, str], most: str
) -> None:
    """Ten DAGs take no longer than one, and each is tried."""
    with FakeAirflow(dags=TEN) as fake:
        fake.fault(fault, on=on, times=WITHOUT_END)
        time = VirtualTime()
        names = [dag.dag_id for dag in TEN]
        outcomes = run_several(fake, *names, time=time, max_parallel=most)
        assert set(results(outcomes).values()) == {"error"}
        assert [fake.runs(name) for name in names] == [[]] * 10
        assert not any(outcome.owned for outcome in outcomes.values())
        sent = [len(fake.received("POST", f"/dags/{name}/dagRuns")) for name in names]
    # A run may still appear within 30 s after the last trigger.
    assert (90 if on is TRIGGERS else 60) <= time.now - 1000 <= 130
    assert (min(sent) >= 1 and max(sent) <= 5) if on is TRIGGERS else sent == [0] * 10


def test_a_run_that_may_exist_is_looked_for_until_its_timeout(
    fake: FakeAirflow, state_file: Path
) -> None:
    """It is left to the post stage. The other one was never triggered."""
    fake.fault(Fault.RESET, on=TRIGGERS, when="after", times=WITHOUT_END)
    fake.fault(Fault.RESET, on=READS, times=WITHOUT_END, skip=1)
    time = VirtualTime()
    outcomes = run_several(fake, "good", "bad", time=time, timeout="10m")
    errors = {name: outcome.error.title for name, outcome in outcomes.items() if outcome.error}
    assert errors["good"] == "Airflow may or may not have made the DAG run"
    assert [len(fake.runs(name)) for name in ("good", "bad")] == [1, 0]
    assert 600 <= time.now - 1000 <= 800
    assert [run.dag_id for run in saved_runs(state_file)] == ["good"]


def test_after_a_dag_was_started_the_others_have_their_patience_again() -> None:
    """Two outages of 45 s; in between Airflow answers long enough for one DAG."""
    with FakeAirflow(dags=TEN) as fake:
        fake.fault(Fault.RESET, on=READS, times=WITHOUT_END)

        def second_outage() -> None:
            fake.clear_faults()
            fake.fault(Fault.RESET, on=READS, times=WITHOUT_END, skip=1)

        time, end = after(45, second_outage), after(95, fake.clear_faults)
        first = time.on_sleep

        def sleep(seconds: float) -> None:
            first(seconds)
            end.sleep(seconds)

        time.on_sleep = sleep
        outcomes = run_several(fake, *(dag.dag_id for dag in TEN), time=time, wait="false")
    assert set(results(outcomes).values()) == {"triggered"}
    assert time.now - 1000 > 90


@pytest.mark.parametrize("most", ["1", "10"])
@pytest.mark.parametrize(
    ("on", "when"), [(TRIGGERS, "before"), (TRIGGERS, "after"), (READS, "before")]
)
def test_after_an_outage_during_the_triggers_each_dag_runs_once(
    fake: FakeAirflow,
    on: tuple[str, str],
    when: Literal["before", "after"],
    most: str,
) -> None:
    for dag in TEN:
        fake.deploy(dag)
    fake.fault(Fault.RESET, on=on, when=when, times=WITHOUT_END)
    if when == "after":
        # The answers are lost, and Airflow cannot be read either.
        fake.fault(Fault.RESET, on=READS, times=WITHOUT_END, skip=1)
    time = after(45, fake.clear_faults)
    names = [dag.dag_id for dag in TEN]
    clear, together = time.on_sleep, list[int]()

    def count(seconds: float) -> None:
        clear(seconds)
        states = [run.state for name in names for run in fake.runs(name)]
        together.append(sum(state in ("queued", "running") for state in states))

    time.on_sleep = count
    outcomes = run_several(fake, *names, time=time, max_parallel=most)
    assert max(together) <= int(most)
    assert set(results(outcomes).values()) == {"success"}
    assert [len(fake.runs(name)) for name in names] == [1] * 10
    assert all(outcome.created for outcome in outcomes.values())


REFUSALS = [Fault.JSON_401, Fault.JSON_403, Fault.HTML_403, Fault.HTML_404, Fault.HTML_200]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_after_a_lost_response_refusals_are_not_final_at_once(
    fake: FakeAirflow, refusal: Fault
) -> None:
    fake.fault(Fault.RESET, on=("POST", "/dags/good/dagRuns"), when="after")
    fake.fault(refusal, on=("GET", "/dags/good/dagRuns/*"), skip=1, times=3)
    outcomes = run_several(fake, "good", "bad")
    assert results(outcomes) == {"good": "success", "bad": "failed"}
    assert len(fake.runs("good")) == 1


@pytest.mark.parametrize(
    ("fault", "seen", "most"),
    [
        (Fault.JSON_403, 0, 180),
        (Fault.JSON_403, 1, 180),
        (Fault.RESET, 0, 660),
        (Fault.RESET, 1, 660),
    ],
)
def test_a_run_that_never_appears_after_a_lost_response_ends_the_wait(
    fake: FakeAirflow, fault: Fault, seen: int, most: float
) -> None:
    """Also if Airflow has said once that it does not exist. Otherwise the other run comes after."""
    fake.fault(Fault.RESET, on=("POST", "/dags/good/dagRuns"), times=WITHOUT_END)
    fake.fault(fault, on=("GET", "/dags/good/dagRuns/*"), skip=1 + seen, times=WITHOUT_END)
    time = VirtualTime()
    other = seen_first(fake, "bad", time)
    outcomes = run_several(fake, "good", "bad", time=time, timeout="10m")
    assert results(outcomes) == {"good": "error", "bad": "failed"}
    assert outcomes["good"].error is not None
    assert outcomes["good"].error.title == "Airflow may or may not have made the DAG run"
    # The other run is seen at the end of the first pause after its trigger, and takes 10 s.
    assert other[0] <= most + 2
    assert time.now - 1000 <= max(most, other[0] + 10)


def succeed(fake: FakeAirflow, dag_id: str) -> None:
    fake.set_run_state(dag_id, fake.runs(dag_id)[0].run_id, "success")


def delete(fake: FakeAirflow, dag_id: str) -> None:
    del fake._database.runs[dag_id, fake.runs(dag_id)[0].run_id]


def seen_first(fake: FakeAirflow, dag_id: str, time: VirtualTime) -> list[float]:
    """Return a list that gets the second in which a run of the DAG is seen first."""
    found, happen = list[float](), time.on_sleep

    def watch(seconds: float) -> None:
        happen(seconds)
        if not found and fake.runs(dag_id):
            found.append(time.now - 1000)

    time.on_sleep = watch
    return found


@pytest.mark.parametrize("end", [succeed, delete])
def test_a_run_that_was_left_running_keeps_its_slot_until_it_ends(
    fake: FakeAirflow, end: Callable[[FakeAirflow, str], None]
) -> None:
    time = after(250, lambda: end(fake, "endless"))
    began = seen_first(fake, "good", time)
    outcomes = run_several(fake, "endless", "good", time=time, timeout="4m", max_parallel="1")
    assert results(outcomes) == {"endless": "timeout", "good": "success"}
    assert outcomes["endless"].stopped == "left"
    assert 250 <= began[0] < 420


def test_runs_that_are_left_running_for_ever_end_the_wait_for_their_slots(
    fake: FakeAirflow, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that wait fail together, after another timeout."""
    time = VirtualTime()
    names = ("endless", "good", "bad")
    outcomes = run_several(fake, *names, time=time, timeout="2m", max_parallel="1")
    assert results(outcomes) == {"endless": "timeout", "good": "error", "bad": "error"}
    assert outcomes["bad"].error is not None
    assert outcomes["bad"].error.title == "No slot for the DAG became free"
    assert "endless" in outcomes["bad"].error.detail
    assert fake.runs("good") == fake.runs("bad") == []
    assert time.now - 1000 <= 250
    assert "endless still runs" in capsys.readouterr().out


def test_other_slots_go_on_beside_one_that_is_kept(fake: FakeAirflow) -> None:
    """And nobody waits for the run that was left once all others have ended."""
    dags = [FakeDag(f"long_{number}", polls=8) for number in range(6)]
    for dag in dags:
        fake.deploy(dag)
    time = VirtualTime()
    names = ("endless", *(dag.dag_id for dag in dags))
    outcomes = run_several(fake, *names, time=time, timeout="100s", max_parallel="2")
    assert results(outcomes).pop("endless") == "timeout"
    assert list(results(outcomes).values()).count("success") == 6
    assert fake.runs("endless")[0].state == "running"
    assert time.now - 1000 < 100 * 6


def test_a_run_whose_start_failed_after_its_trigger_keeps_its_slot() -> None:
    """A push replaced the code in between, and the run goes on with it."""
    old, new = "a" * 40, "b" * 40
    dags = [
        FakeDag("replaced", polls=WITHOUT_END, bundle_version=(*[old] * 6, new)),
        FakeDag("good", bundle_version=old),
    ]
    with FakeAirflow("3.3.2", dags=dags) as fake:
        time = after(100, lambda: succeed(fake, "replaced"))
        began = seen_first(fake, "good", time)
        context = CONTEXT._replace(sha=old)
        inputs = {"expect_commit": old, "max_parallel": "1"}
        outcomes = run_several(fake, "replaced", "good", time=time, context=context, **inputs)
    assert results(outcomes) == {"replaced": "error", "good": "success"}
    assert outcomes["replaced"].run is not None
    assert began[0] > 100


def test_runs_that_an_earlier_attempt_left_running_have_their_slots_at_once(
    fake: FakeAirflow,
) -> None:
    """So no other begins beside them, and a cancel stops all of them."""
    again = CONTEXT._replace(attempt=2)
    fake.deploy(FakeDag("longer", polls=WITHOUT_END))
    names, inputs = ("bad", "endless", "longer"), {"max_parallel": "1", "timeout": "2m"}
    run_several(fake, *names, timeout="2m")
    step = run_dags(fake, *names, time=after(50, cancel), context=again, **inputs)
    assert [run.stopped for run in step.runs] == ["nothing", "yes", "yes"]
    assert fake.received("POST", "/dags/bad/clearTaskInstances") == []
    assert {fake.runs(name)[0].state for name in names} == {"failed"}


def test_a_run_that_was_stopped_at_its_timeout_keeps_no_slot(fake: FakeAirflow) -> None:
    time = VirtualTime()
    began = seen_first(fake, "good", time)
    outcomes = run_several(
        fake, "endless", "good", time=time, timeout="2m", max_parallel="1", on_timeout="cancel"
    )
    assert results(outcomes) == {"endless": "timeout", "good": "success"}
    assert began[0] < 140


def test_a_dag_that_cannot_be_triggered_ends_no_other() -> None:
    """While the others run, it is tried again at most five times."""
    dags = [FakeDag("unlucky"), *TEN[:3], FakeDag("slow", polls=40)]
    with FakeAirflow(dags=dags) as fake:
        fake.fault(Fault.HTML_503, on=("POST", "/dags/unlucky/dagRuns"), times=WITHOUT_END)
        names = [dag.dag_id for dag in dags]
        outcomes = run_several(fake, *names, max_parallel="2", timeout="2h")
        assert len(fake.received("POST", "/dags/unlucky/dagRuns")) == 5
    assert results(outcomes).pop("unlucky") == "error"
    assert {end for name, end in results(outcomes).items() if name != "unlucky"} == {"success"}


def test_an_airflow_that_stays_silent_is_an_error_for_each_run(fake: FakeAirflow) -> None:
    def outage() -> None:
        fake.fault(Fault.RESET, times=10_000)

    time: Any = after(2, outage)
    outcomes = run_several(fake, "good", "endless", time=time, timeout="10m")
    assert results(outcomes) == {"good": "error", "endless": "error"}
    assert time.now - 1000 <= 600 + 60


def test_a_lost_response_to_a_trigger_makes_no_second_run(fake: FakeAirflow) -> None:
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after", times=2)
    outcomes = run_several(fake, "good", "bad")
    assert results(outcomes) == {"good": "success", "bad": "failed"}
    assert [len(fake.runs(dag_id)) for dag_id in ("good", "bad")] == [1, 1]


def test_a_run_that_ended_while_another_was_started_is_not_stopped() -> None:
    dags = [FakeDag("first", polls=WITHOUT_END), FakeDag("second")]
    with FakeAirflow("3.3.2", dags=dags) as fake:
        fake.fault(Fault.HTML_503, on=("POST", "/dags/second/dagRuns"), times=WITHOUT_END)
        time = after(20, lambda: succeed(fake, "first"))
        outcomes = run_several(
            fake, "first", "second", time=time, timeout="45s", on_timeout="cancel"
        )
        assert results(outcomes) == {"first": "success", "second": "error"}
        assert fake.runs("first")[0].state == "success"


def test_a_run_that_ended_while_another_was_explained_is_not_stopped() -> None:
    dags = [FakeDag("first", polls=4), FakeDag("second", polls=WITHOUT_END)]
    with FakeAirflow("3.3.2", dags=dags) as fake:
        tasks = "/dags/first/dagRuns/*/taskInstances"
        fake.fault(Fault.HTML_503, on=("GET", tasks), times=WITHOUT_END)
        time = after(60, lambda: succeed(fake, "second"))
        outcomes = run_several(
            fake,
            "first",
            "second",
            time=time,
            logs="none",
            timeout="100s",
            on_timeout="cancel",
            fail_on_failed_tasks="true",
        )
        assert results(outcomes) == {"first": "error", "second": "success"}
        assert fake.runs("second")[0].state == "success"


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.TRUNCATED, Fault.CLOSE])
def test_a_list_that_never_arrives_ends_no_wait(fault: Fault) -> None:
    dags = [FakeDag("first", polls=4), FakeDag("second", polls=8)]
    with FakeAirflow("3.3.2", dags=dags) as fake:
        fake.fault(fault, on=("POST", "/dagRuns/list"), times=WITHOUT_END)
        outcomes = run_several(fake, "first", "second", timeout="10m", on_timeout="cancel")
        assert results(outcomes) == {"first": "success", "second": "success"}


def test_a_run_without_any_response_delays_no_other() -> None:
    dags = [FakeDag(name, polls=polls) for name, polls in (("a", 4), ("b", 4), ("c", 20))]
    with FakeAirflow("2.11.2", dags=dags) as fake:
        fake.deny("run_batch")

        def cut() -> None:
            fake.fault(Fault.RESET, on=("GET", "/dags/b/dagRuns/*"), times=WITHOUT_END)

        outcomes = run_several(fake, "a", "b", "c", timeout="10m", time=after(1, cut))
        assert results(outcomes) == {"a": "success", "b": "error", "c": "success"}


def test_runs_that_others_create_are_waited_for_together(fake: FakeAirflow) -> None:
    """One that never appears delays neither the polls nor the end of the others."""
    fake.create_run("endless", "later", state="running")

    def create() -> None:
        fake.create_run("good", "later", state="running")
        fake.set_run_state("endless", "later", "success")

    time, names = after(65, create), ("bad", "good", "missing", "endless")
    fake.deploy(FakeDag("missing"))
    outcomes = run_several(
        fake, *names, time=time, trigger="false", run_id="later", start_timeout="10m"
    )
    found = results(outcomes)
    assert found == {"bad": "error", "good": "success", "missing": "error", "endless": "success"}
    assert outcomes["missing"].error is not None
    assert "after 10 m" in outcomes["missing"].error.detail
    assert outcomes["endless"].waited < 150
    assert 600 <= time.now - 1000 < 680


def test_runs_that_others_create_need_no_slots(fake: FakeAirflow) -> None:
    """They run anyway, so one that does not end keeps the result of no other back."""
    fake.create_run("endless", "r1", state="running")
    fake.create_run("good", "r1", state="success")
    time = after(400, lambda: fake.create_run("bad", "r1", state="success"))
    outcomes = run_several(
        fake,
        *("endless", "good", "bad"),
        time=time,
        trigger="false",
        run_id="r1",
        start_timeout="10m",
        timeout="2m",
        max_parallel="1",
    )
    assert results(outcomes) == {"endless": "timeout", "good": "success", "bad": "success"}


def test_a_conf_that_the_params_refuse_is_found_before_any_trigger(fake: FakeAirflow) -> None:
    schema = {"days": {"type": "integer", "maximum": 31}}
    fake.deploy(FakeDag("typed", params_schema=schema))
    step = run_dags(fake, "good", 'typed {"days": 40}')
    assert step.error is not None
    assert "typed: Airflow refused the DAG run's parameters. param days" in step.error.detail
    assert fake.runs("good") == []
    assert results(run_several(fake, "good", 'typed {"days": 30}')) == {
        "good": "success",
        "typed": "success",
    }


def test_forty_dags_with_three_failures_take_less_than_48_mebibytes(tmp_path: Path) -> None:
    """In a process of its own, as in the image."""
    dags = [
        FakeDag(f"dag_{number:02}", polls=2, tasks=(BROKEN,) if number in (7, 19, 33) else ())
        for number in range(40)
    ]
    launcher = MeasuredProcess(tmp_path / "peak")
    with FakeAirflow(dags=dags) as fake:
        lines = "\n".join(dag.dag_id for dag in dags)
        inputs = admin_inputs(fake) | {"dag_id": "", "dags": lines, "max_parallel": "40"}
        result = ActionStep(inputs, launcher=launcher, workspace=tmp_path).run()
    assert json.loads(result.outputs["failed_dags"]) == ["dag_07", "dag_19", "dag_33"]
    first_rows = [line for line in result.summary.splitlines() if line.startswith("| ❌")]
    assert len(first_rows) == 3
    assert "dag_07" in "\n".join(result.summary.splitlines()[:12])
    print(f"40 DAGs: peak {launcher.mebibytes:.1f} MiB")
    assert launcher.mebibytes < 48


def test_a_rerun_does_not_need_a_dag_whose_run_has_succeeded(fake: FakeAirflow) -> None:
    run_several(fake, "good", "bad")
    fake.pause("good")
    again = run_several(fake, "good", "bad", context=CONTEXT._replace(attempt=2))
    assert results(again) == {"good": "success", "bad": "failed"}
    assert again["bad"].taken_over == "resumed"
