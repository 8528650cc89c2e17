"""Which DAG runs a cancel or a timeout stops, and which it leaves running."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.models import CANCELLED_MARK
from entrypoint.report.outputs import Outputs
from entrypoint.report.wording import outcome_message
from entrypoint.run.request import derive_note
from entrypoint.runners import github as commands
from entrypoint.signals import Interrupted
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault, Version
from tests.support.step import CONTEXT, run_against
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entrypoint.models import Outcome

WITHOUT_END = 10**6
OTHER = "https://github.com/octo/other/actions/runs/4"


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=[FakeDag("sales", polls=WITHOUT_END)]) as running:
        yield running


@pytest.fixture(params=["3.3.2", "2.11.2"])
def version(request: pytest.FixtureRequest) -> Version:
    chosen: Version = request.param
    return chosen


def cancel() -> None:
    raise Interrupted


def stops(fake: FakeAirflow) -> int:
    """How often a run was marked failed."""
    return sum(request.method == "PATCH" and b'"state"' in request.body for request in fake.record)


def run_and_cancel(fake: FakeAirflow, **inputs: Any) -> Outcome:
    """Run a step that is cancelled after 20 s."""
    return run_against(fake, time=after(20, cancel), **inputs)


@pytest.mark.parametrize(
    "fault", [RuntimeError("s3cret"), MemoryError(), OSError(28, "No space left on device")]
)
def test_a_bug_of_the_action_leaves_the_post_stage_nothing_to_stop(
    fake: FakeAirflow, fault: Exception, monkeypatch: pytest.MonkeyPatch, state_file: Path
) -> None:
    original_write = Outputs.write

    def broken(self: Outputs, outcome: Any, **final: bool) -> None:
        original_write(self, outcome, **final)
        run = outcome.runs[0].run
        if run is not None and run.state == "running":
            raise fault

    monkeypatch.setattr(Outputs, "write", broken)
    with pytest.raises(type(fault)):
        run_against(fake)
    assert "ENDED" in state_file.read_text()
    assert stops(fake) == 0


def test_a_cancel_leaves_the_post_stage_a_run_to_check(fake: FakeAirflow, state_file: Path) -> None:
    """The post stage knows that this step has stopped the run."""
    assert run_and_cancel(fake).stopped == "yes"
    content = state_file.read_text()
    assert ("RUNS" in content, '"stopped": true' in content, "ENDED" in content) == (
        True,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("note", "stopped"),
    [
        (derive_note(CONTEXT), "yes"),
        (f"Triggered by octocat: {OTHER}", "left"),
        (f"Triggered by octocat: {CONTEXT.run_url}7", "left"),
        ("Mine.", "left"),
        (None, "left"),
    ],
)
def test_a_cancel_stops_only_a_run_of_this_workflow(
    fake: FakeAirflow, note: str | None, stopped: str
) -> None:
    fake.create_run("sales", "deploy-1", note=note, state="running")
    outcome = run_and_cancel(fake, run_id="deploy-1")
    assert (outcome.result, outcome.stopped) == ("cancelled", stopped)
    assert fake.runs("sales")[0].state == ("failed" if stopped == "yes" else "running")


@pytest.mark.parametrize("policy", ["resume", "restart"])
def test_a_cancel_stops_a_run_that_this_step_has_cleared(fake: FakeAirflow, policy: str) -> None:
    fake.create_run("sales", "deploy-1", state="failed", note=f"Triggered by octocat: {OTHER}")
    assert run_and_cancel(fake, run_id="deploy-1", if_run_exists=policy).stopped == "yes"
    assert fake.runs("sales")[0].state == "failed"


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
@pytest.mark.parametrize("wait", ["true", "false"])
def test_a_run_that_another_workflows_cancel_stopped_is_never_a_success(
    version: Version, wait: str
) -> None:
    """Airflow may still give it the state success, although nothing of it has run."""
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.create_run("sales", "deploy-1", state="running", note=f"By octocat\n{CANCELLED_MARK}")
        outcome = run_against(fake, run_id="deploy-1", if_run_exists="attach")
        again = run_against(fake, run_id="deploy-1", if_run_exists="attach", wait=wait)
        assert (outcome.result, again.result) == ("failed", "failed")
        assert run_against(fake, run_id="deploy-1").result == "success"


def test_the_cancelled_mark_is_written_before_airflow_2_stops_the_run() -> None:
    """The scheduler may set the run to success at once."""
    with FakeAirflow("2.11.2", dags=[FakeDag("sales", polls=WITHOUT_END)]) as fake:
        assert run_and_cancel(fake).stopped == "yes"
        requests = [
            request.path.rpartition("/")[2] for request in fake.record if request.method == "PATCH"
        ]
        assert requests[0] == "setNote"
        assert CANCELLED_MARK in (fake.runs("sales")[0].note or "")


def test_writing_the_cancelled_mark_is_retried() -> None:
    with FakeAirflow("2.11.2", dags=[FakeDag("sales", polls=WITHOUT_END)]) as fake:
        fake.fault(Fault.HTML_503, on=("PATCH", "/setNote"))
        assert run_and_cancel(fake).stopped == "yes"
        assert CANCELLED_MARK in (fake.runs("sales")[0].note or "")


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
@pytest.mark.parametrize("file", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_STATE"])
def test_an_unwritable_runner_file_is_one_warning(
    version: Version, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk may be full. The result stays."""
    monkeypatch.setattr(commands, "_WARNED_LOSSES", set())
    monkeypatch.setenv(file, "/dev/full")
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        assert run_against(fake).result == "success"
    commands.append_summary("summary")
    assert capsys.readouterr().out.count("cannot be written") == 1


# What the step reports.


@pytest.mark.parametrize("ends", ["failed", "success"])
def test_a_cancel_after_the_end_stops_nothing(version: Version, ends: str) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales", ends=ends)]) as fake:
        fake.fault(Fault.HTML_503, on=("GET", "/taskInstances"), skip=1, times=10_000)
        time = VirtualTime()

        def cancel_at_end(_: float) -> None:
            if any(run.state == ends for run in fake.runs("sales")):
                time.on_sleep = lambda _: None
                cancel()

        time.on_sleep = cancel_at_end
        outcome = run_against(fake, time=time)
        assert (outcome.result, outcome.stopped) == ("cancelled", "nothing")
        assert f"had ended as {ends}" in outcome_message(outcome).detail
        assert stops(fake) == 0


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_a_refused_stop_after_a_cancel_names_its_cause(fake: FakeAirflow, system: str) -> None:
    """The hint promises a post stage only on GitHub."""
    fake.fault(Fault.JSON_403, on=("PATCH", "*"), times=10_000)
    outcome = run_against(fake, time=after(20, cancel), context=CONTEXT._replace(system=system))
    message = outcome_message(outcome)
    assert (outcome.result, outcome.stopped) == ("cancelled", "unconfirmed")
    assert "A permission is missing" in message.detail
    assert ("post stage" in message.hint) is (system == "github")


def test_a_refused_stop_after_a_timeout_names_its_cause(fake: FakeAirflow) -> None:
    fake.fault(Fault.JSON_403, on=("PATCH", "*"), times=10_000)
    outcome = run_against(fake, timeout="1m", on_timeout="cancel")
    assert (outcome.result, outcome.stopped) == ("timeout", "unconfirmed")
    assert "A permission is missing" in outcome_message(outcome).detail


# Which workflow made the run, and whether it runs.


@pytest.mark.parametrize("lost", [Fault.HTML_503, Fault.RESET, Fault.HTML_504])
def test_a_lost_clear_is_repeated_although_the_scheduler_changed_the_state(
    version: Version, lost: Fault
) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.create_run(
            "sales",
            "deploy-1",
            note=f"{derive_note(CONTEXT)}\n{CANCELLED_MARK}",
            state="failed",
            took=5,
        )
        for path in ("/clearTaskInstances", "/clear"):
            fake.fault(lost, on=("POST", path))
        time = VirtualTime()

        def overwrite(_: float) -> None:
            time.on_sleep = lambda _: None
            fake.set_run_state("sales", "deploy-1", "success")

        time.on_sleep = overwrite
        assert run_against(fake, time=time, run_id="deploy-1").result == "success"
        assert sum("/clear" in request.path for request in fake.record) == 2


def cancel_and_overwrite(fake: FakeAirflow) -> None:
    """Cancel the run and let the scheduler set it to success."""
    fake._database.runs["sales", "deploy-1"].note = CANCELLED_MARK
    fake.set_run_state("sales", "deploy-1", "success")


@pytest.mark.parametrize("fault", [Fault.HTML_503, Fault.HTML_404, Fault.HTML_200, Fault.RESET])
def test_the_cancelled_mark_is_removed_when_the_run_is_resumed(
    version: Version, fault: Fault
) -> None:
    """Only a later cancel sets it again."""
    for cancelled_again in (False, True):
        with FakeAirflow(version, dags=[FakeDag("sales", polls=100)]) as fake:
            fake.create_run(
                "sales",
                "deploy-1",
                note=f"{derive_note(CONTEXT)}\n{CANCELLED_MARK}",
                state="failed",
                took=5,
            )
            fake.fault(
                fault, on=("PATCH", "/setNote" if version == "2.11.2" else "/dagRuns/*"), times=2
            )
            time = VirtualTime()
            if cancelled_again:
                time = after(30, partial(cancel_and_overwrite, fake))
            outcome = run_against(fake, time=time, run_id="deploy-1")
            assert outcome.result == ("failed" if cancelled_again else "success")


@pytest.mark.parametrize("fault", [Fault.HTML_404, Fault.HTML_200, Fault.HTML_503])
def test_the_cancelled_mark_is_confirmed_before_the_end_outside_github(fault: Fault) -> None:
    """Other systems have no post stage."""
    gitlab = CONTEXT._replace(system="gitlab")
    for times in (2, 10_000):
        with FakeAirflow(
            "2.11.2", dags=[FakeDag("sales", polls=WITHOUT_END, after_cancel="success")]
        ) as fake:
            fake.fault(fault, on=("PATCH", "/setNote"), times=times)
            outcome = run_against(fake, time=after(20, cancel), context=gitlab)
            assert outcome.stopped == ("yes" if times == 2 else "unconfirmed")
            assert (CANCELLED_MARK in (fake.runs("sales")[0].note or "")) is (times == 2)


def test_a_run_that_another_workflow_made_during_a_lost_trigger_is_left_running(
    fake: FakeAirflow,
) -> None:
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"))
    time = VirtualTime()
    start = time.now

    def on_sleep(_: float) -> None:
        if not fake.runs("sales"):
            fake.create_run(
                "sales", "deploy-1", note=f"Triggered by octocat: {OTHER}", state="running"
            )
        if time.now - start > 60:
            time.on_sleep = lambda _: None
            cancel()

    time.on_sleep = on_sleep
    outcome = run_against(fake, time=time, run_id="deploy-1")
    assert (outcome.created, outcome.stopped, fake.runs("sales")[0].state) == (
        False,
        "left",
        "running",
    )


@pytest.mark.parametrize(
    ("note", "stopped"), [(f"By me: {OTHER}", "left"), (derive_note(CONTEXT), "yes")]
)
@pytest.mark.parametrize("trigger", ["true", "false"])
def test_on_timeout_cancel_stops_only_a_run_of_this_workflow_run(
    fake: FakeAirflow, note: str, stopped: str, trigger: str
) -> None:
    fake.create_run("sales", "deploy-1", note=note, state="running")
    outcome = run_against(
        fake, run_id="deploy-1", timeout="30s", on_timeout="cancel", trigger=trigger
    )
    assert (outcome.result, outcome.stopped) == ("timeout", stopped)


def test_the_post_stage_knows_a_run_of_another_workflow_that_this_step_resumed(
    fake: FakeAirflow, state_file: Path
) -> None:
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"))
    time = VirtualTime()

    def on_sleep(_: float) -> None:
        time.on_sleep = after(30, cancel).on_sleep
        fake.create_run("sales", "deploy-1", note=f"Triggered by octocat: {OTHER}", state="failed")

    time.on_sleep = on_sleep
    run_against(fake, time=time, run_id="deploy-1", timeout="20s")
    content = state_file.read_text()
    assert "RUNS" in content
    assert content.count("ENDED") == 1
