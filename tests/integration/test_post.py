"""The post stage after a kill of the main stage, against the scripted Airflow."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import password_of
from dev.runner import ActionStep, Process
from entrypoint.inputs.settings import parse_settings, post_stage_inputs
from entrypoint.models import SavedRun
from entrypoint.post import BUDGET_SECONDS, report_runs_left_running, stop_runs_left_behind
from entrypoint.report.console import Console
from entrypoint.report.wording import outcome_message
from entrypoint.runners import github as commands
from entrypoint.session import Session
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault, Version
from tests.support.services import certificates
from tests.support.step import admin_inputs
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.runner import StepResult
    from entrypoint.models import Outcome

WITHOUT_END = 10**6
TRANSIENT = (
    Fault.TOO_MANY_DAY,
    Fault.CACHED_404,
    Fault.HTML_200,
    Fault.HTML_403,
    Fault.JSON_401,
    Fault.JSON_403,
    Fault.REDIRECT,
    Fault.HTML_503,
    Fault.RESET,
)
LEFT = SavedRun("sales", "r1")


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=[FakeDag("sales", polls=WITHOUT_END)]) as started:
        started.create_run("sales", "r1", state="running")
        yield started


def run_post_in_process(fake: FakeAirflow, time: VirtualTime, *, leave: bool = False) -> Outcome:
    """Run the post stage in this process, in virtual time."""
    session = Session(
        parse_settings(admin_inputs(fake), Path()),
        time.clock,
        time.sleep,
        commands,
        Console(time.clock, commands),
    )
    (outcome,) = (report_runs_left_running if leave else stop_runs_left_behind)([LEFT], session)
    return outcome


def kill_main_stage(step: ActionStep, number: signal.Signals = signal.SIGKILL) -> None:
    """Run the main stage and kill it while it waits."""
    with step.start() as running:
        running.wait_for("Follow it")
        running.signal(number)
        running.wait()


def run_post_stage(step: ActionStep, **inputs: str) -> StepResult:
    """Run the post stage with only these inputs and the saved state."""
    post_step = ActionStep(inputs, launcher=step.launcher, workspace=step._host.workspace)
    post_step.state = dict(step.state)
    return post_step.run("post")


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize(
    "on", [None, ("GET", "/version"), ("GET", "/dagRuns/*"), ("PATCH", "/dagRuns/*")]
)
def test_the_post_stage_retries_transient_errors(
    fake: FakeAirflow, fault: Fault, on: tuple[str, str] | None
) -> None:
    time = VirtualTime()
    fake.fault(fault, on=on, times=4)
    assert run_post_in_process(fake, time).stopped == "yes"
    assert fake.runs("sales")[0].state == "failed"


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_lasting_error_is_reported_with_its_cause_after_the_budget(
    fake: FakeAirflow, fault: Fault
) -> None:
    time = VirtualTime()
    fake.fault(fault, times=10_000)
    outcome = run_post_in_process(fake, time)
    assert (outcome.stopped, outcome.stop_error is None) == ("unconfirmed", False)
    assert outcome.stop_error is not None
    assert outcome.stop_error.title in outcome_message(outcome).detail
    assert BUDGET_SECONDS - 1 <= time.now - 1000 <= BUDGET_SECONDS + 1


@pytest.mark.parametrize("times", [40, 10_000])
def test_a_run_is_gone_only_if_the_request_to_stop_it_gets_404_too(
    fake: FakeAirflow, times: int
) -> None:
    """A cache may answer 404 to the GET."""
    fake.fault(Fault.CACHED_404, on=("GET", "/dagRuns/*"), times=times)
    outcome = run_post_in_process(fake, VirtualTime())
    assert outcome.stopped == ("yes" if times == 40 else "unconfirmed")
    assert outcome.run is not None
    assert outcome.run.state == "failed"


def test_a_run_that_was_never_made_needs_no_stop() -> None:
    with FakeAirflow(dags=[FakeDag("sales")]) as empty:
        outcome = run_post_in_process(empty, VirtualTime())
        assert (outcome.stopped, outcome.run, outcome.run_url) == ("nothing", None, None)


def test_inputs_too_large_for_an_environment_variable_are_not_saved(tmp_path: Path) -> None:
    """The system starts no process with a variable above 128 KiB. A bundle of all public CAs is
    larger.
    """
    one = certificates.trusted_ca().pem
    for copies, kept in ((3, True), (200, False)):
        (tmp_path / "ca.pem").write_text(one * copies)
        action_inputs = {
            "airflow_url": "https://a.example.com",
            "token": "t0ken",
            "dag_id": "sales",
            "ca_certificate": "ca.pem",
        }
        state = json.dumps(
            post_stage_inputs(action_inputs, parse_settings(action_inputs, tmp_path))
        )
        assert ("-----BEGIN" in state) is kept
        assert len(state) < 100_000


def test_a_missing_permission_to_stop_the_run_is_named(fake: FakeAirflow) -> None:
    fake.fault(Fault.JSON_403, on=("PATCH", "*"), times=10_000)
    outcome = run_post_in_process(fake, VirtualTime())
    assert "A permission is missing" in outcome_message(outcome).detail
    assert "mark it failed there" in outcome_message(outcome).hint


def test_a_run_that_failed_by_itself_is_not_reported_as_stopped(fake: FakeAirflow) -> None:
    fake.create_run("sales", "r1", state="failed")
    outcome = run_post_in_process(fake, VirtualTime())
    assert outcome.stopped == "nothing"
    assert "had ended as failed" in outcome_message(outcome).detail
    assert [one for one in fake.record if one.method == "PATCH"] == []


@pytest.mark.parametrize("on", [None, ("GET", "/dagRuns/*")])
@pytest.mark.parametrize("times", [1, 10_000])
def test_on_cancel_leave_cannot_fail(
    fake: FakeAirflow, on: tuple[str, str] | None, times: int
) -> None:
    fake.fault(Fault.HTML_503, on=on, times=times)
    outcome = run_post_in_process(fake, VirtualTime(), leave=True)
    assert outcome.stopped == "left"
    assert (outcome.run is not None) is (times == 1)
    assert outcome_message(outcome).title == "Cancelled, the DAG run goes on"


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_the_post_stage_knows_ca_certificates_whose_file_is_gone(
    version: Version, tmp_path: Path
) -> None:
    authority = certificates.trusted_ca()
    path = tmp_path / "ca.pem"
    path.write_text(authority.pem, encoding="utf-8")
    with FakeAirflow(
        version, dags=[FakeDag("sales", polls=WITHOUT_END)], tls=authority.server()
    ) as fake:
        inputs = admin_inputs(fake)
        step = ActionStep(
            inputs | {"ca_certificate": path.name}, launcher=Process(), workspace=tmp_path
        )
        kill_main_stage(step)
        path.unlink()
        result = step.run("post")
        assert (fake.runs("sales")[0].state, result.exit_code) == ("failed", 0), result.log


@pytest.mark.parametrize("leave", [False, True])
def test_without_its_secrets_the_post_stage_names_the_run_and_what_is_missing(
    tmp_path: Path, *, leave: bool
) -> None:
    """Secrets are saved nowhere."""
    with FakeAirflow(dags=[FakeDag("sales", polls=WITHOUT_END)]) as fake:
        inputs = admin_inputs(fake)
        step = ActionStep(
            inputs | ({"on_cancel": "leave"} if leave else {}),
            launcher=Process(),
            workspace=tmp_path,
        )
        kill_main_stage(step)
        (run,) = fake.runs("sales")
        result = run_post_stage(step)
        assert not [
            text for text in step.state.values() if password_of("admin") in text or "admin" in text
        ]
        if not leave:
            assert "no credential is given" in result.annotations[-1].message
            assert (
                run_post_stage(step, username="admin", password=password_of("admin")).exit_code == 0
            )
            assert fake.runs("sales")[0].state == "failed"
    assert result.exit_code == (0 if leave else 1)
    assert "Traceback" not in result.log
    assert run.run_id in result.log
    assert f"{fake.url}/dags/sales/runs/{run.run_id}" in result.summary


def test_wrong_inputs_of_the_main_stage_do_not_stop_the_post_stage(tmp_path: Path) -> None:
    with FakeAirflow(dags=[FakeDag("sales", polls=WITHOUT_END)]) as fake:
        inputs = admin_inputs(fake)
        step = ActionStep(inputs, launcher=Process(), workspace=tmp_path)
        kill_main_stage(step)
        assert (
            run_post_stage(
                step, **inputs | {"timeout": "${{ soon }}", "conf": "{", "dag_id": ""}
            ).exit_code
            == 0
        )
        assert fake.runs("sales")[0].state == "failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_post_stage_ignores_signals(tmp_path: Path, number: signal.Signals) -> None:
    """It follows a cancel, and its own budget limits it."""
    with FakeAirflow(dags=[FakeDag("sales", polls=WITHOUT_END)]) as fake:
        inputs = admin_inputs(fake)
        step = ActionStep(inputs, launcher=Process(), workspace=tmp_path)
        kill_main_stage(step)
        with step.start("post") as running:
            running.wait_for("Stopping the DAG run")
            running.signal(number)
            result = running.wait()
        assert (result.exit_code, fake.runs("sales")[0].state) == (0, "failed")
    assert "Traceback" not in result.log


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_the_post_stage_does_not_read_a_missing_conf_file(version: Version, tmp_path: Path) -> None:
    conf = tmp_path / "conf.json"
    conf.write_text('{"region": "APAC"}', encoding="utf-8")
    with FakeAirflow(version, dags=[FakeDag("sales", polls=10**6)]) as fake:
        inputs = admin_inputs(fake)
        step = ActionStep(inputs | {"conf_file": conf.name}, launcher=Process(), workspace=tmp_path)
        with step.start() as running:
            running.wait_for("Follow it")
            running.kill()
            running.wait()
        conf.unlink()
        run_post_in_process = step.run("post")
        (run,) = fake.runs("sales")
    assert (run.state, run.conf) == ("failed", {"region": "APAC"})
    assert run_post_in_process.exit_code == 0, run_post_in_process.log


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_a_second_post_stage_changes_nothing(version: Version, tmp_path: Path) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales", polls=10**6)]) as fake:
        inputs = admin_inputs(fake)
        step = ActionStep(inputs, launcher=Process(), workspace=tmp_path)
        with step.start() as running:
            running.wait_for("Follow it")
            running.kill()
            running.wait()
        codes = [step.run("post").exit_code for _ in range(2)]
        stops = [
            request
            for request in fake.record
            if request.method == "PATCH" and b"state" in request.body
        ]
    assert codes == [0, 0]
    assert len(stops) == 1
