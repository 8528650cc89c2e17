"""What may stop a DAG run, and what may not: only a cancel does, of the workflow that made the
run.
"""

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
from tests.support.step import CONTEXT, run_gate
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entrypoint.models import Outcome

FOREVER = 10**6
OTHER = "https://github.com/octo/other/actions/runs/4"


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """An Airflow with a DAG whose runs go on."""
    with FakeAirflow(request.param, dags=[FakeDag("sales", looks=FOREVER)]) as running:
        yield running


@pytest.fixture(params=["3.3.2", "2.11.2"])
def version(request: pytest.FixtureRequest) -> Version:
    """Each version."""
    chosen: Version = request.param
    return chosen


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file in which the runner keeps the state for the post stage."""
    file = tmp_path / "state"
    file.touch()
    monkeypatch.setenv("GITHUB_STATE", str(file))
    return file


def cancel() -> None:
    """The workflow is cancelled."""
    raise Interrupted


def stops(fake: FakeAirflow) -> int:
    """How often a run was marked failed."""
    return sum(request.method == "PATCH" and b'"state"' in request.body for request in fake.record)


def cancelled(fake: FakeAirflow, **inputs: Any) -> Outcome:
    """A step that is cancelled after 20 s."""
    return run_gate(fake, time=after(20, cancel), **inputs)


@pytest.mark.parametrize(
    "fault", [RuntimeError("s3cret"), MemoryError(), OSError(28, "No space left on device")]
)
def test_a_fault_of_the_action_stops_nothing(
    fake: FakeAirflow, fault: Exception, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    """Whatever breaks in the middle of a wait, the post stage is left nothing to stop."""
    whole = Outputs.write

    def broken(self: Outputs, outcome: Any, **final: bool) -> None:
        whole(self, outcome, **final)
        if outcome.run is not None and outcome.run.state == "running":
            raise fault

    monkeypatch.setattr(Outputs, "write", broken)
    with pytest.raises(type(fault)):
        run_gate(fake)
    assert "ENDED" in state.read_text()
    assert stops(fake) == 0


def test_a_cancel_leaves_the_post_stage_its_work(fake: FakeAirflow, state: Path) -> None:
    """It looks whether the run stays stopped, and knows that this step has stopped it."""
    assert cancelled(fake).stopped == "yes"
    told = state.read_text()
    assert ("RUN_ID" in told, "STOPPED" in told, "ENDED" in told) == (True, True, False)


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
def test_a_run_is_stopped_by_the_workflow_that_made_it(
    fake: FakeAirflow, note: str | None, stopped: str
) -> None:
    """A step that only waits for a run of another workflow leaves it alone when it is cancelled."""
    fake.create_run("sales", "deploy-1", note=note, state="running")
    outcome = cancelled(fake, run_id="deploy-1")
    assert (outcome.result, outcome.stopped) == ("cancelled", stopped)
    assert fake.runs("sales")[0].state == ("failed" if stopped == "yes" else "running")


@pytest.mark.parametrize("policy", ["resume", "restart"])
def test_a_run_that_this_step_has_started_again_is_its_own(fake: FakeAirflow, policy: str) -> None:
    """Whoever clears a run brings it back to life, and stops it."""
    fake.create_run("sales", "deploy-1", state="failed", note=f"Triggered by octocat: {OTHER}")
    assert cancelled(fake, run_id="deploy-1", if_run_exists=policy).stopped == "yes"
    assert fake.runs("sales")[0].state == "failed"


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
@pytest.mark.parametrize("wait", ["true", "false"])
def test_a_run_that_somebody_else_s_cancel_stopped_is_green_for_nobody(
    version: Version, wait: str
) -> None:
    """Airflow may call it a success: nothing of it has run."""
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        fake.create_run("sales", "deploy-1", state="running", note=f"By octocat\n{CANCELLED_MARK}")
        outcome = run_gate(fake, run_id="deploy-1", if_run_exists="attach")
        again = run_gate(fake, run_id="deploy-1", if_run_exists="attach", wait=wait)
        assert (outcome.result, again.result) == ("failed", "failed")
        assert run_gate(fake, run_id="deploy-1").result == "success"


def test_airflow_2_is_told_that_the_run_was_stopped_before_it_is() -> None:
    """The scheduler may make a success of the run at once: the mark is there by then."""
    with FakeAirflow("2.11.2", dags=[FakeDag("sales", looks=FOREVER)]) as fake:
        assert cancelled(fake).stopped == "yes"
        orders = [
            request.path.rpartition("/")[2] for request in fake.record if request.method == "PATCH"
        ]
        assert orders[0] == "setNote"
        assert CANCELLED_MARK in (fake.runs("sales")[0].note or "")


def test_a_note_that_is_lost_is_written_again() -> None:
    """One 503 does not cost the mark."""
    with FakeAirflow("2.11.2", dags=[FakeDag("sales", looks=FOREVER)]) as fake:
        fake.fault(Fault.HTML_503, on=("PATCH", "/setNote"))
        assert cancelled(fake).stopped == "yes"
        assert CANCELLED_MARK in (fake.runs("sales")[0].note or "")


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
@pytest.mark.parametrize("file", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_STATE"])
def test_a_file_of_the_runner_that_cannot_be_written_is_a_warning(
    version: Version, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a full disk the verdict stays, and is told once what is missing."""
    monkeypatch.setattr(commands, "_WARNED", set())
    monkeypatch.setenv(file, "/dev/full")
    with FakeAirflow(version, dags=[FakeDag("sales")]) as fake:
        assert run_gate(fake).result == "success"
    commands.append_summary("summary")
    assert capsys.readouterr().out.count("cannot be written") == 1


# What is said about it.


@pytest.mark.parametrize("ends", ["failed", "success"])
def test_a_cancel_after_the_end(version: Version, ends: str) -> None:
    """A run that had ended by itself was stopped by nobody."""
    with FakeAirflow(version, dags=[FakeDag("sales", ends=ends)]) as fake:
        fake.fault(Fault.HTML_503, on=("GET", "/taskInstances"), skip=1, times=10_000)
        time = VirtualTime()

        def cancel_then(_: float) -> None:
            if any(run.state == ends for run in fake.runs("sales")):
                time.on_sleep = lambda _: None
                cancel()

        time.on_sleep = cancel_then
        outcome = run_gate(fake, time=time)
        assert (outcome.result, outcome.stopped) == ("cancelled", "nothing")
        assert f"had ended as {ends}" in outcome_message(outcome).detail
        assert stops(fake) == 0


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_a_stop_that_is_refused(fake: FakeAirflow, system: str) -> None:
    """Why the run could not be stopped is said, and a post stage is promised only where there is
    one.
    """
    fake.fault(Fault.JSON_403, on=("PATCH", "*"), times=10_000)
    outcome = run_gate(fake, time=after(20, cancel), context=CONTEXT._replace(system=system))
    said = outcome_message(outcome)
    assert (outcome.result, outcome.stopped) == ("cancelled", "unconfirmed")
    assert "A permission is missing" in said.detail
    assert ("post stage" in said.hint) is (system == "github")


def test_a_stop_at_the_end_of_the_time_that_is_refused(fake: FakeAirflow) -> None:
    """The same where the time is over."""
    fake.fault(Fault.JSON_403, on=("PATCH", "*"), times=10_000)
    outcome = run_gate(fake, timeout="1m", on_timeout="cancel")
    assert (outcome.result, outcome.stopped) == ("timeout", "unconfirmed")
    assert "A permission is missing" in outcome_message(outcome).detail


# Whose run it is, and whether it runs at all.


@pytest.mark.parametrize("lost", [Fault.HTML_503, Fault.RESET, Fault.HTML_504])
def test_an_end_that_the_scheduler_writes_is_no_effect_of_a_clear(
    version: Version, lost: Fault
) -> None:
    """A clear that was lost is repeated, though the run has another end by then: nothing has
    run.
    """
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
        assert run_gate(fake, time=time, run_id="deploy-1").result == "success"
        assert sum("/clear" in request.path for request in fake.record) == 2


def overwritten(fake: FakeAirflow) -> None:
    """Somebody cancels the run, and the scheduler makes a success of it."""
    fake._world.runs["sales", "deploy-1"].note = CANCELLED_MARK
    fake.set_run_state("sales", "deploy-1", "success")


@pytest.mark.parametrize("fault", [Fault.HTML_503, Fault.HTML_404, Fault.HTML_200, Fault.RESET])
def test_a_mark_is_removed_for_good(version: Version, fault: Fault) -> None:
    """Once it runs again, only a new mark is one: somebody's cancel afterwards counts, and without
    one the end does.
    """
    for cancelled_again in (False, True):
        with FakeAirflow(version, dags=[FakeDag("sales", looks=100)]) as fake:
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
                time = after(30, partial(overwritten, fake))
            outcome = run_gate(fake, time=time, run_id="deploy-1")
            assert outcome.result == ("failed" if cancelled_again else "success")


@pytest.mark.parametrize("fault", [Fault.HTML_404, Fault.HTML_200, Fault.HTML_503])
def test_a_mark_is_looked_after_where_nobody_comes_later(fault: Fault) -> None:
    """Outside GitHub there is no post stage: the cancel's seconds are used for the mark; without it
    nothing is claimed.
    """
    elsewhere = CONTEXT._replace(system="gitlab")
    for times in (2, 10_000):
        with FakeAirflow(
            "2.11.2", dags=[FakeDag("sales", looks=FOREVER, after_cancel="success")]
        ) as fake:
            fake.fault(fault, on=("PATCH", "/setNote"), times=times)
            outcome = run_gate(fake, time=after(20, cancel), context=elsewhere)
            assert outcome.stopped == ("yes" if times == 2 else "unconfirmed")
            assert (CANCELLED_MARK in (fake.runs("sales")[0].note or "")) is (times == 2)


def test_a_run_that_somebody_else_made_meanwhile(fake: FakeAirflow) -> None:
    """A trigger that was lost on its way: the run of that id is another workflow's, and is left
    alone.
    """
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"))
    time = VirtualTime()
    began = time.now

    def meanwhile(_: float) -> None:
        if not fake.runs("sales"):
            fake.create_run(
                "sales", "deploy-1", note=f"Triggered by octocat: {OTHER}", state="running"
            )
        if time.now - began > 60:
            time.on_sleep = lambda _: None
            cancel()

    time.on_sleep = meanwhile
    outcome = run_gate(fake, time=time, run_id="deploy-1")
    assert (outcome.created, outcome.stopped, fake.runs("sales")[0].state) == (
        False,
        "left",
        "running",
    )


@pytest.mark.parametrize(
    ("note", "stopped"), [(f"By me: {OTHER}", "left"), (derive_note(CONTEXT), "yes")]
)
@pytest.mark.parametrize("trigger", ["true", "false"])
def test_the_time_is_over_for_a_run_of(
    fake: FakeAirflow, note: str, stopped: str, trigger: str
) -> None:
    """on_timeout: cancel stops what this workflow run has made, in whatever step, and nothing
    else.
    """
    fake.create_run("sales", "deploy-1", note=note, state="running")
    outcome = run_gate(fake, run_id="deploy-1", timeout="30s", on_timeout="cancel", trigger=trigger)
    assert (outcome.result, outcome.stopped) == ("timeout", stopped)


def test_the_state_of_a_run_that_became_this_step_s(fake: FakeAirflow, state: Path) -> None:
    """Somebody else was faster, and their run has failed: who starts it again is answerable, and
    the post stage knows.
    """
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"))
    time = VirtualTime()

    def meanwhile(_: float) -> None:
        time.on_sleep = after(30, cancel).on_sleep
        fake.create_run("sales", "deploy-1", note=f"Triggered by octocat: {OTHER}", state="failed")

    time.on_sleep = meanwhile
    run_gate(fake, time=time, run_id="deploy-1", timeout="20s")
    told = state.read_text()
    assert "RUN_ID" in told
    assert told.count("ENDED") == 1
