"""The post stage after a kill, against the scripted server."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import password_of
from dev.runner import Process, Step
from entrypoint.inputs.settings import parse_settings, post_stage_inputs
from entrypoint.models import Outcome, RunRequest
from entrypoint.post import BUDGET_SECONDS, report_run_left_running, stop_run_left_behind
from entrypoint.report.console import Console
from entrypoint.report.wording import outcome_message
from entrypoint.runners import github as commands
from entrypoint.session import Session
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault, Version
from tests.support.services import certificates
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.runner import StepResult

FOREVER = 10**6
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
LEFT = Outcome("cancelled", request=RunRequest("sales", "r1", {}), stopped="unconfirmed", post=True)


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """An Airflow with a run that goes on."""
    with FakeAirflow(request.param, dags=[FakeDag("sales", looks=FOREVER)]) as started:
        started.create_run("sales", "r1", state="running")
        yield started


def post(fake: FakeAirflow, time: VirtualTime, *, leave: bool = False) -> Outcome:
    """The post stage in this process, on a clock that only sleeping moves."""
    given = {
        "airflow_url": fake.url,
        "username": "admin",
        "password": password_of("admin"),
        "dag_id": "sales",
    }
    session = Session(
        parse_settings(given, Path()),
        time.clock,
        time.sleep,
        commands,
        Console(time.clock, commands),
    )
    return (report_run_left_running if leave else stop_run_left_behind)(LEFT, session)


def killed(step: Step, number: signal.Signals = signal.SIGKILL) -> None:
    """The main stage, up to the moment in which nothing but the post stage can help."""
    with step.start() as running:
        running.wait_for("Follow it")
        running.signal(number)
        running.wait()


def afterwards(step: Step, **inputs: str) -> StepResult:
    """The post stage, with the inputs that are left."""
    later = Step(inputs, launcher=step.launcher, workspace=step._host.workspace)
    later.state = dict(step.state)
    return later.run("post")


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize(
    "on", [None, ("GET", "/version"), ("GET", "/dagRuns/*"), ("PATCH", "/dagRuns/*")]
)
def test_the_whole_budget(fake: FakeAirflow, fault: Fault, on: tuple[str, str] | None) -> None:
    """A gateway's page, a refusal or a redirect for a while costs the while, wherever it comes."""
    time = VirtualTime()
    fake.fault(fault, on=on, times=4)
    assert post(fake, time).stopped == "yes"
    assert fake.runs("sales")[0].state == "failed"


@pytest.mark.parametrize("fault", TRANSIENT)
def test_no_more_than_the_budget(fake: FakeAirflow, fault: Fault) -> None:
    """What lasts is told with its cause, when the time is over and not before."""
    time = VirtualTime()
    fake.fault(fault, times=10_000)
    outcome = post(fake, time)
    assert (outcome.stopped, outcome.stop_error is None) == ("unconfirmed", False)
    assert outcome.stop_error is not None
    assert outcome.stop_error.title in outcome_message(outcome).detail
    assert BUDGET_SECONDS - 1 <= time.now - 1000 <= BUDGET_SECONDS + 1


@pytest.mark.parametrize("times", [40, 10_000])
def test_a_cache_that_knows_no_such_run(fake: FakeAirflow, times: int) -> None:
    """A run is believed to be gone only when the order to stop it finds none either."""
    fake.fault(Fault.CACHED_404, on=("GET", "/dagRuns/*"), times=times)
    outcome = post(fake, VirtualTime())
    assert outcome.stopped == ("yes" if times == 40 else "unconfirmed")
    assert outcome.run is not None
    assert outcome.run.state == "failed"


def test_a_run_that_is_not_there() -> None:
    """The trigger was cut short before Airflow made anything."""
    with FakeAirflow(dags=[FakeDag("sales")]) as empty:
        outcome = post(empty, VirtualTime())
        assert (outcome.stopped, outcome.run, outcome.run_url) == ("nothing", None, None)


def test_what_is_too_large_for_a_variable_is_not_kept(tmp_path: Path) -> None:
    """The system starts no process with a variable of more than 128 KiB: a bundle of all public CAs
    is larger.
    """
    one = certificates.private().pem
    for copies, kept in ((3, True), (200, False)):
        (tmp_path / "ca.pem").write_text(one * copies)
        given = {
            "airflow_url": "https://a.example.com",
            "token": "t0ken",
            "dag_id": "sales",
            "ca_certificate": "ca.pem",
        }
        state = json.dumps(post_stage_inputs(given, parse_settings(given, tmp_path)))
        assert ("-----BEGIN" in state) is kept
        assert len(state) < 100_000


def test_a_permission_that_is_missing_is_named(fake: FakeAirflow) -> None:
    """Why the run could not be stopped is told."""
    fake.fault(Fault.JSON_403, on=("PATCH", "*"), times=10_000)
    outcome = post(fake, VirtualTime())
    assert "A permission is missing" in outcome_message(outcome).detail
    assert "mark it failed there" in outcome_message(outcome).hint


def test_a_run_that_failed_by_itself(fake: FakeAirflow) -> None:
    """It was stopped by nobody, and nobody says so."""
    fake.create_run("sales", "r1", state="failed")
    outcome = post(fake, VirtualTime())
    assert outcome.stopped == "nothing"
    assert "had ended as failed" in outcome_message(outcome).detail
    assert [one for one in fake.record if one.method == "PATCH"] == []


@pytest.mark.parametrize("on", [None, ("GET", "/dagRuns/*")])
@pytest.mark.parametrize("times", [1, 10_000])
def test_what_is_left_alone_needs_no_airflow(
    fake: FakeAirflow, on: tuple[str, str] | None, times: int
) -> None:
    """With on_cancel: leave nothing has to be done, so nothing can fail."""
    fake.fault(Fault.HTML_503, on=on, times=times)
    outcome = post(fake, VirtualTime(), leave=True)
    assert outcome.stopped == "left"
    assert (outcome.run is not None) is (times == 1)
    assert outcome_message(outcome).title == "Cancelled, the DAG run goes on"


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_a_certificate_that_is_gone(version: Version, tmp_path: Path) -> None:
    """CAs that were named by a path are known to the post stage although the workspace is gone."""
    authority = certificates.private()
    path = tmp_path / "ca.pem"
    path.write_text(authority.pem, encoding="utf-8")
    with FakeAirflow(
        version, dags=[FakeDag("sales", looks=FOREVER)], tls=authority.server()
    ) as fake:
        inputs = {
            "airflow_url": fake.url,
            "username": "admin",
            "password": password_of("admin"),
            "dag_id": "sales",
        }
        step = Step(inputs | {"ca_certificate": path.name}, launcher=Process(), workspace=tmp_path)
        killed(step)
        path.unlink()
        told = step.run("post")
        assert (fake.runs("sales")[0].state, told.exit_code) == ("failed", 0), told.log


@pytest.mark.parametrize("leave", [False, True])
def test_inputs_that_are_gone(tmp_path: Path, *, leave: bool) -> None:
    """Without the secrets, which are kept nowhere, the post stage names the run, its page, and what
    is missing.
    """
    with FakeAirflow(dags=[FakeDag("sales", looks=FOREVER)]) as fake:
        inputs = {
            "airflow_url": fake.url,
            "username": "admin",
            "password": password_of("admin"),
            "dag_id": "sales",
        }
        step = Step(
            inputs | ({"on_cancel": "leave"} if leave else {}),
            launcher=Process(),
            workspace=tmp_path,
        )
        killed(step)
        (run,) = fake.runs("sales")
        told = afterwards(step)
        assert not [
            text for text in step.state.values() if password_of("admin") in text or "admin" in text
        ]
        if not leave:
            assert "no credential is given" in told.annotations[-1].message
            assert afterwards(step, username="admin", password=password_of("admin")).exit_code == 0
            assert fake.runs("sales")[0].state == "failed"
    assert told.exit_code == (0 if leave else 1)
    assert "Traceback" not in told.log
    assert run.run_id in told.log
    assert f"{fake.url}/dags/sales/runs/{run.run_id}" in told.summary


def test_what_matters_no_more_is_not_read(tmp_path: Path) -> None:
    """Inputs that only the main stage needs keep the post stage from nothing."""
    with FakeAirflow(dags=[FakeDag("sales", looks=FOREVER)]) as fake:
        inputs = {
            "airflow_url": fake.url,
            "username": "admin",
            "password": password_of("admin"),
            "dag_id": "sales",
        }
        step = Step(inputs, launcher=Process(), workspace=tmp_path)
        killed(step)
        assert (
            afterwards(
                step, **inputs | {"timeout": "${{ soon }}", "conf": "{", "dag_id": ""}
            ).exit_code
            == 0
        )
        assert fake.runs("sales")[0].state == "failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_post_stage(tmp_path: Path, number: signal.Signals) -> None:
    """It is what follows a cancel, and bounded by itself: it goes on, and shows no traceback."""
    with FakeAirflow(dags=[FakeDag("sales", looks=FOREVER)]) as fake:
        inputs = {
            "airflow_url": fake.url,
            "username": "admin",
            "password": password_of("admin"),
            "dag_id": "sales",
        }
        step = Step(inputs, launcher=Process(), workspace=tmp_path)
        killed(step)
        with step.start("post") as running:
            running.wait_for("Stopping the DAG run")
            running.signal(number)
            told = running.wait()
        assert (told.exit_code, fake.runs("sales")[0].state) == (0, "failed")
    assert "Traceback" not in told.log


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_the_post_stage_needs_no_file_of_the_workspace(version: Version, tmp_path: Path) -> None:
    """A conf_file that is gone by then does not keep the post stage from stopping the run."""
    conf = tmp_path / "conf.json"
    conf.write_text('{"region": "APAC"}', encoding="utf-8")
    with FakeAirflow(version, dags=[FakeDag("sales", looks=10**6)]) as fake:
        inputs = {
            "airflow_url": fake.url,
            "username": "admin",
            "password": password_of("admin"),
            "dag_id": "sales",
        }
        step = Step(inputs | {"conf_file": conf.name}, launcher=Process(), workspace=tmp_path)
        with step.start() as running:
            running.wait_for("Follow it")
            running.kill()
            running.wait()
        conf.unlink()
        post = step.run("post")
        (run,) = fake.runs("sales")
    assert (run.state, run.conf) == ("failed", {"region": "APAC"})
    assert post.exit_code == 0, post.log


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_a_second_post_stage_changes_nothing(version: Version, tmp_path: Path) -> None:
    """The post stage is idempotent: what is stopped stays stopped, and is not reported as an
    error.
    """
    with FakeAirflow(version, dags=[FakeDag("sales", looks=10**6)]) as fake:
        inputs = {
            "airflow_url": fake.url,
            "username": "admin",
            "password": password_of("admin"),
            "dag_id": "sales",
        }
        step = Step(inputs, launcher=Process(), workspace=tmp_path)
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
