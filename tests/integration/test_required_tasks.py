"""Named tasks that decide in place of their DAG run, and what becomes of the run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from entrypoint.report.outputs import outputs
from entrypoint.report.summary import summary
from entrypoint.report.wording import outcome_message
from entrypoint.signals import Interrupted
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.step import CONTEXT, admin_inputs, run_against, run_step, saved_runs
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from entrypoint.models import Outcome

ENDLESS = 10**6
RUNS = {2: "running"}
"""A task that runs until a test sets its state."""
SALES = FakeDag(
    "sales",
    tasks=(FakeTask("load", states=RUNS, retries=2), FakeTask("cleanup", states=RUNS)),
    polls=ENDLESS,
)
WIDE = FakeDag(
    "wide",
    tasks=(
        *(FakeTask("check.row", map_index=index, states=RUNS) for index in range(300)),
        FakeTask("cleanup", states=RUNS),
    ),
    polls=ENDLESS,
)
GOOD = FakeDag("good", tasks=(FakeTask("load"),))
BRIEF = FakeDag("brief", tasks=(FakeTask("load"), FakeTask("cleanup", ends="failed")))
AT = 60.0
"""Seconds after the start of the step at which a task's state changes."""


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[SALES, WIDE, BRIEF, GOOD]) as started:
        yield started


def set_state(fake: FakeAirflow, *states: str, dag_id: str = "sales", task: str = "load") -> None:
    """Set the state of a task instance, or of each one of a mapped task."""
    (run,) = fake.runs(dag_id)
    if len(states) == 1:
        fake.set_task_state(dag_id, run.run_id, task, states[0])
    else:
        for index, state in enumerate(states):
            fake.set_task_state(dag_id, run.run_id, task, state, map_index=index)


def at(*changes: tuple[float, Callable[[], object]]) -> VirtualTime:
    """Return a clock that does something at each of these seconds."""
    time, left = VirtualTime(), sorted(changes, key=lambda change: change[0])

    def happen(_: float) -> None:
        while left and time.now - 1000 >= left[0][0]:
            left.pop(0)[1]()

    time.on_sleep = happen
    return time


def decided(
    fake: FakeAirflow, *changes: tuple[float, Callable[[], object]], **inputs: str
) -> tuple[Outcome, float]:
    """Return the outcome, and the seconds since the last change."""
    time = at(*changes)
    given = admin_inputs(fake) | {"required_tasks": "load", "timeout": "10m"} | inputs
    outcome = run_step(given, time=time)
    return outcome, time.now - 1000 - max((change[0] for change in changes), default=0.0)


def requests(fake: FakeAirflow) -> dict[str, int]:
    """Count the requests for task instances and for the run while the step waited."""
    paths = [request.path.partition("?")[0] for request in fake.record]
    return {
        "tasks": sum("taskInstances" in path for path in paths),
        "run": sum("/dagRuns/github__" in path and "/taskInst" not in path for path in paths),
    }


@pytest.mark.parametrize(
    ("state", "result", "failed"),
    [
        ("success", "success", []),
        ("skipped", "failed", ["load"]),
        ("upstream_failed", "failed", ["load"]),
        ("removed", "failed", ["load"]),
    ],
)
def test_a_task_decides_within_two_seconds_and_the_run_goes_on(
    fake: FakeAirflow, state_file: Path, state: str, result: str, failed: list[str]
) -> None:
    outcome, late = decided(fake, (AT, lambda: set_state(fake, state)))

    assert (outcome.result, outcome.passes) == (result, result == "success")
    # A sleep may be on its way when the change happens.
    assert late <= 2.0
    (run,) = fake.runs("sales")
    assert (run.state, outputs(outcome)["state"]) == ("running", "running")
    assert json.loads(outputs(outcome)["failed_tasks"]) == failed
    assert saved_runs(state_file) == []
    assert not [request for request in fake.record if request.method == "PATCH"]
    text = summary(outcome, CONTEXT)
    assert "was running then, and goes on" in text
    assert "| Decided by | required_tasks: " in text.replace("\\", "")


def test_a_failure_decides_after_its_retries_only(fake: FakeAirflow) -> None:
    changes = [
        (20.0 + 10 * n, lambda state=state: set_state(fake, state))
        for n, state in enumerate(("up_for_retry", "running", "up_for_retry", "running"))
    ]
    outcome, late = decided(fake, *changes, (AT, lambda: set_state(fake, "success")))
    assert (outcome.result, late <= 2.0) == ("success", True)
    assert outcome.verdict
    assert outcome.verdict.total == 1


def test_a_failed_task_is_named_with_its_cause(fake: FakeAirflow) -> None:
    outcome, late = decided(fake, (AT, lambda: set_state(fake, "failed")))
    assert (outcome.result, late <= 2.0 + 2.0) == ("failed", True)
    message = outcome_message(outcome)
    assert message.title == "A required task did not succeed"
    assert "ValueError: it broke" in message.reasons[0]


def test_what_failed_before_a_required_task_is_named_with_its_cause(fake: FakeAirflow) -> None:
    outcome, _ = decided(
        fake,
        (AT, lambda: set_state(fake, "failed", task="cleanup")),
        (AT, lambda: set_state(fake, "upstream_failed")),
    )
    assert outcome_message(outcome).reasons == (
        "load is upstream_failed.",
        "cleanup failed: ValueError: it broke",
    )


def test_a_task_that_is_not_required_decides_nothing(fake: FakeAirflow) -> None:
    outcome, late = decided(
        fake,
        (30.0, lambda: set_state(fake, "failed", task="cleanup")),
        (AT, lambda: set_state(fake, "success")),
    )
    assert (outcome.result, late <= 2.0) == ("success", True)
    message = outcome_message(outcome)
    assert message.title == "The required tasks succeeded"
    assert "Tasks that are not required failed: cleanup." in message.detail


@pytest.mark.parametrize("last", ["success", "skipped"])
def test_every_instance_of_a_wide_mapped_task_counts(fake: FakeAirflow, last: str) -> None:
    inputs = {"dag_id": "wide", "required_tasks": "check"}
    good = ("success",) * 299
    outcome, late = decided(
        fake,
        (30.0, lambda: set_state(fake, *good, "running", dag_id="wide", task="check.row")),
        (AT, lambda: set_state(fake, *good, last, dag_id="wide", task="check.row")),
        **inputs,
    )
    assert (outcome.result, late <= 2.0) == ("success" if last == "success" else "failed", True)
    assert outcome.verdict
    assert (outcome.verdict.succeeded, outcome.verdict.total) == (
        300 if last == "success" else 299,
        300,
    )
    assert [task.name for task in outcome.verdict.unsuccessful] == (
        [] if last == "success" else ["check.row[299]"]
    )


@pytest.mark.parametrize(("dag_id", "task", "most"), [("sales", "load", 60), ("wide", "check", 80)])
def test_each_minute_costs_a_bounded_number_of_requests(
    fake: FakeAirflow, dag_id: str, task: str, most: int
) -> None:
    """docs/recipes.md names them: one a second while the task runs, 80 a minute for a wide one."""
    outcome, _ = decided(fake, dag_id=dag_id, required_tasks=task, timeout="3m")
    assert outcome.result == "timeout"
    sent = requests(fake)
    # Some more for the live progress, which counts a wide run by three requests.
    assert most * 3 * 0.8 <= sent["tasks"] <= most * 3 + 60
    assert sent["run"] <= 80


def test_a_run_that_failed_otherwise_is_a_success_of_its_required_tasks(fake: FakeAirflow) -> None:
    outcome = run_against(fake, dag_id="brief", required_tasks="load")
    assert (outcome.result, outcome.run and outcome.run.state) == ("success", "failed")
    again = run_against(
        fake,
        dag_id="brief",
        required_tasks="load\ncleanup",
        trigger="false",
        run_id=fake.runs("brief")[0].run_id,
    )
    assert (again.result, [task.name for task in again.decisive_failures]) == (
        "failed",
        ["cleanup"],
    )


def test_a_resumed_run_is_decided_by_what_runs_again(fake: FakeAirflow) -> None:
    """The failure of before the clear decides nothing."""
    first, _ = decided(fake, (AT, lambda: set_state(fake, "failed")), run_id="r1")
    assert first.result == "failed"
    with fake.session() as session:
        run = f"{fake.url}{fake.api}/dags/sales/dagRuns/r1"
        assert session.patch(run, json={"state": "failed"}, timeout=5).ok
    second, late = decided(fake, (AT, lambda: set_state(fake, "success")), run_id="r1")
    assert (second.taken_over, second.result, late <= 2.0) == ("resumed", "success", True)


def test_a_task_that_is_cleared_at_its_decision_decides_nothing(fake: FakeAirflow) -> None:
    """The step reads it twice, and the run in between."""
    time = at(
        (AT, lambda: set_state(fake, "success")), (AT + 60, lambda: set_state(fake, "success"))
    )
    cleared: list[float] = []
    clock = time.clock

    def clear() -> float:
        lists = len(fake.received("POST", "/taskInstances/list"))
        if not cleared and time.now >= 1000 + AT and lists > counted.setdefault("before", lists):
            set_state(fake, "running")
            cleared.append(time.now)
        return clock()

    counted: dict[str, int] = {}
    time.clock = clear  # type: ignore[method-assign]
    outcome = run_against(fake, time=time, required_tasks="load", timeout="10m")
    assert cleared
    assert (outcome.result, time.now >= 1000 + AT + 60) == ("success", True)


@pytest.mark.parametrize(("on_timeout", "state"), [("leave", "running"), ("cancel", "failed")])
def test_without_a_decision_the_timeout_is_as_always(
    fake: FakeAirflow, on_timeout: str, state: str
) -> None:
    outcome, _ = decided(fake, timeout="1m", on_timeout=on_timeout)
    assert (outcome.result, fake.runs("sales")[0].state) == ("timeout", state)
    message = outcome_message(outcome)
    assert message.title == "The required tasks did not end in time"
    assert "load is running." in message.reasons


@pytest.mark.parametrize(("seconds", "stopped"), [(20, "yes"), (AT + 20, None)])
def test_a_cancel_stops_the_run_until_the_decision_only(
    fake: FakeAirflow, seconds: float, stopped: str | None
) -> None:
    def cancel() -> None:
        raise Interrupted

    outcome, _ = decided(fake, (AT, lambda: set_state(fake, "success")), (seconds, cancel))
    assert outcome.stopped == stopped
    assert fake.runs("sales")[0].state == ("failed" if stopped else "running")


def test_a_cancel_while_the_decision_is_reported_stops_nothing(
    fake: FakeAirflow, state_file: Path
) -> None:
    """Neither this stage nor the post stage does."""
    fake.fault(Fault.HTML_503, on=("GET", "/logs/*"), times=ENDLESS)
    time = VirtualTime()

    def happen(_: float) -> None:
        if time.now >= 1000 + AT and fake.runs("sales")[0].instances[0].state == "running":
            set_state(fake, "failed")
        if fake.received("GET", "/logs/*"):
            raise Interrupted

    time.on_sleep = happen
    outcome = run_against(fake, time=time, required_tasks="load")
    assert (outcome.result, outcome.stopped) == ("cancelled", "left")
    assert fake.runs("sales")[0].state == "running"
    assert saved_runs(state_file) == []


@pytest.mark.parametrize("wrong", ["laod", "load\nclean_up", "check*"])
def test_an_unknown_task_is_an_error_before_the_trigger(fake: FakeAirflow, wrong: str) -> None:
    outcome = run_against(fake, required_tasks=wrong)
    assert (outcome.result, fake.runs("sales")) == ("error", [])
    assert outcome.error
    assert outcome.error.title == "A required task does not exist"
    assert ("Did you mean" in outcome.error.detail) == (wrong != "check*")
    # With a deployment under way, Airflow 2 may show the tasks of before for some seconds.
    fake.deploy(FakeDag("sales", tasks=SALES.tasks, polls=ENDLESS))
    waited = run_against(fake, required_tasks=wrong, wait_for_dag="1m")
    assert waited.error
    assert waited.error.title == "A required task does not exist"


@pytest.mark.parametrize("failures", [2, 9])
@pytest.mark.parametrize(("lines", "good"), [("load", True), ("laod", False), ("l*\nx*", False)])
def test_a_list_of_tasks_that_airflow_fails_to_make_stops_no_deployment(
    fake: FakeAirflow, failures: int, lines: str, good: bool
) -> None:
    """As 2.2 does after it has shown a log. A name that fits no task is then found at the end."""
    listing = ("GET", "/dags/brief/tasks")
    fake.fault(Fault.HTML_500, on=listing, times=failures)
    dry = run_against(fake, dag_id="brief", required_tasks=lines, dry_run="true")
    fake.fault(Fault.HTML_500, on=listing, times=failures)
    outcome = run_against(fake, dag_id="brief", required_tasks=lines)

    results = ("checked", "success") if good else ("error", "error")
    if failures == 9:
        results = ("checked", "success" if good else "failed")
        assert dry.dry_run
        assert any("fails to list the tasks" in check.text for check in dry.dry_run.checks)
        assert len(fake.received(*listing)) == 6
    assert (dry.result, outcome.result) == results
    if outcome.result == "failed":
        (reason,) = outcome_message(outcome).reasons
        assert reason == f"{lines.rsplit(maxsplit=1)[-1]} fits no task instance of this run."


def test_a_gateway_in_front_of_the_list_of_tasks_is_an_error(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_502, on=("GET", "/dags/sales/tasks"), times=99)
    outcome = run_against(fake, required_tasks="load")
    assert outcome.error
    assert (outcome.error.title, fake.runs("sales")) == ("Airflow answers 502", [])


def test_tasks_that_may_not_be_read_are_an_error_before_the_trigger(fake: FakeAirflow) -> None:
    fake.deny("tasks")
    outcome = run_against(fake, required_tasks="load")
    assert (outcome.result, fake.runs("sales")) == ("error", [])
    assert outcome.error
    assert "can read on Task Instances" in outcome.error.hint


@pytest.mark.parametrize("dag_id", ["sales", "good"])
def test_tasks_that_cannot_be_read_are_an_error_and_never_a_success(
    fake: FakeAirflow, dag_id: str
) -> None:
    """The permission is taken away while the step waits; the run may even succeed."""
    outcome, late = decided(
        fake, (0.5, lambda: fake.deny("task_instances", "task_batch")), dag_id=dag_id
    )
    assert outcome.result == "error"
    assert outcome.error
    assert outcome.error.title == "The required tasks could not be read"
    assert late <= 150


def test_a_refused_filter_by_tasks_costs_only_larger_responses(fake: FakeAirflow) -> None:
    fake.deny("task_batch")
    outcome, late = decided(fake, (AT, lambda: set_state(fake, "success")))
    assert (outcome.result, late <= 2.0) == ("success", True)
    assert len(fake.received("POST", "/taskInstances/list")) == 1


def test_an_outage_decides_nothing(fake: FakeAirflow) -> None:
    outcome, _ = decided(
        fake,
        (20.0, fake._take_down),
        (200.0, fake.up),
        (260.0, lambda: set_state(fake, "success")),
    )
    assert outcome.result == "success"
    assert outcome.retries


def test_the_requested_xcoms_are_read_at_the_decision(fake: FakeAirflow) -> None:
    fake.deploy(
        FakeDag(
            "sales",
            tasks=(
                FakeTask("load", states=RUNS, xcom={"return_value": 7}),
                FakeTask("cleanup", states=RUNS),
            ),
            polls=ENDLESS,
        )
    )
    outcome, _ = decided(fake, (AT, lambda: set_state(fake, "success")), xcom="load")
    assert (outcome.result, outcome.xcom) == ("success", {"load": 7})


def test_a_failure_with_retries_left_decides_nothing_at_the_timeout(fake: FakeAirflow) -> None:
    """Otherwise the step would not stop the run, as a decision must not.

    The tasks are read at 25 and 50 s, and for the first time after the failure at the timeout.
    """
    change = (55.0, lambda: set_state(fake, "failed"))
    outcome, _ = decided(fake, change, timeout="1m", on_timeout="cancel", poll_interval="25s")
    assert (outcome.result, outcome.stopped) == ("timeout", "yes")
    assert outcome.verdict
    assert [task.state for task in outcome.verdict.unsuccessful] == ["failed"]
