"""A step with several DAGs: hostile lines, faults in the middle, and its post stage."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

import entrypoint.post
from dev.runner import ActionStep, Process
from entrypoint.errors import InvalidInputs
from entrypoint.inputs.dags import dag_selectors
from entrypoint.inputs.parsers import ParseError
from entrypoint.report.several import step_message
from entrypoint.report.wording import outcome_message
from entrypoint.runners.generic import GenericRunner
from entrypoint.signals import Interrupts
from entrypoint.stages import main_stage, post_stage
from entrypoint.step_run import StepRun
from tests.integration.test_selection import after_push, selected
from tests.integration.test_several_runs import (
    BAD,
    ENDLESS,
    GOOD,
    WITHOUT_END,
    cancel,
    results,
    run_several,
    succeed,
)
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.step import admin_inputs, run_dags, saved_runs
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entrypoint.run.polling import FollowedRun
    from tests.support.services import GitRepository

TRACE = "Traceback\n  File \"team/sales.py\"\nKeyError: 'x'"
VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")


@pytest.fixture(params=VERSIONS)
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=[GOOD, BAD, ENDLESS]) as running:
        yield running


def set_environment(monkeypatch: pytest.MonkeyPatch, fake: FakeAirflow, workspace: Path) -> None:
    """Set the variables that the runner sets for a step with the DAGs `good` and `bad`."""
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SHA": "a" * 40,
        "GITHUB_REPOSITORY": "octo-org/sales",
        "GITHUB_RUN_ID": "1",
        "GITHUB_JOB": "job",
        "GITHUB_ACTION": "step",
        "GITHUB_ACTOR": "octocat",
        "GITHUB_WORKSPACE": str(workspace),
    }
    inputs = admin_inputs(fake) | {"dag_id": "", "dags": "good\nbad"}
    variables |= {f"INPUT_{name.upper()}": text for name, text in inputs.items()}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def outputs_in(file: Path) -> dict[str, str]:
    pairs = pairwise(file.read_text().splitlines())
    return {line.split("<<")[0]: value for line, value in pairs if "<<" in line}


# False greens of `changed`.


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wait", ["0", "5m"])
@pytest.mark.parametrize("others", [{}, {"dags/team/stock.py": "2"}])
def test_a_changed_file_that_does_not_import_is_an_error(
    version: Version,
    wait: str,
    others: dict[str, str],
    repository: GitRepository,
    tmp_path: Path,
) -> None:
    """Airflow has deactivated its DAGs, so that no list shows them."""
    dags = [
        FakeDag("sales", file="team/sales.py", broken=TRACE),
        FakeDag("stock", file="team/stock.py"),
    ]
    with FakeAirflow(version, dags=dags) as fake:
        changes = {"dags/team/sales.py": "2", **others}
        step = after_push(fake, repository, tmp_path, changes, wait_for_dag=wait)
        assert fake.runs("stock") == []
    assert step.error is not None
    assert (step.result, step.error.title) == ("error", "The DAG's file fails to import")
    assert "KeyError: 'x'" in step.error.detail


def test_a_new_file_is_waited_for_beside_a_changed_one(
    repository: GitRepository, tmp_path: Path
) -> None:
    with FakeAirflow(dags=[FakeDag("sales", file="team/sales.py")]) as fake:
        time = after(40, lambda: fake.deploy(FakeDag("fresh", file="team/fresh.py")))
        changes = {"dags/team/fresh.py": "1", "dags/team/sales.py": "2", "helper.py": "2"}
        step = after_push(fake, repository, tmp_path, changes, time, wait_for_dag="5m")
    assert sorted(selected(step)) == ["fresh", "sales"]


# A healthy run that is stopped.


@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_that_succeeded_while_another_was_stopped_is_not_stopped(version: Version) -> None:
    dags = [FakeDag("first", polls=WITHOUT_END), FakeDag("second", polls=WITHOUT_END)]
    with FakeAirflow(version, dags=dags) as fake:
        time = VirtualTime()

        def succeed_after_first(_: float) -> None:
            first, second = fake.runs("first"), fake.runs("second")
            if first and second and (first[0].state, second[0].state) == ("failed", "running"):
                succeed(fake, "second")

        time.on_sleep = succeed_after_first
        outcomes = run_several(
            fake, "first", "second", time=time, timeout="100s", on_timeout="cancel"
        )
        assert fake.runs("second")[0].state == "success"
    assert [outcome.stopped for outcome in outcomes.values()] == ["yes", "nothing"]


# Secrets.


def test_an_unreadable_conf_of_a_line_is_not_quoted() -> None:
    with pytest.raises(ParseError) as caught:
        dag_selectors('good\nbad {"password": "hunter2"')
    assert "hunter2" not in caught.value.problem
    assert caught.value.problem.startswith("in line 2: it is not JSON")


# Hangs.


def test_an_outage_during_the_checks_ends_the_step_in_a_minute() -> None:
    dags = [FakeDag(f"dag_{number}") for number in range(20)]
    with FakeAirflow(dags=dags) as fake:
        fake.fault(Fault.HTML_503, on=("GET", "/dags/dag_*"), times=WITHOUT_END)
        time = VirtualTime()
        step = run_dags(fake, *(dag.dag_id for dag in dags), time=time)
    assert step.result == "error"
    assert time.now - 1000 <= 70


# Runs left running.


def test_the_saved_runs_fit_into_an_environment_variable(state_file: Path) -> None:
    dags = [FakeDag(f"{number:03}{'d' * 247}", polls=WITHOUT_END) for number in range(200)]
    with FakeAirflow(dags=dags) as fake:
        names = [dag.dag_id for dag in dags]
        run_dags(fake, *names, max_parallel="200", timeout="1s", logs="none")
    saved = [
        value for name, value in pairwise(state_file.read_text().splitlines()) if "RUNS<<" in name
    ]
    assert max(map(len, saved)) < 128 * 1024


# Errors of runs that are only waited for.


def test_a_run_that_is_only_waited_for_needs_no_runnable_dag(fake: FakeAirflow) -> None:
    fake.deploy(FakeDag("off", paused=True))
    fake.deploy(FakeDag("typed", params_schema={"days": {"type": "integer"}}))
    names = ("good", "off", "typed")
    for name in names:
        fake.create_run(name, "r1", state="success")
    outcomes = run_several(fake, *names, trigger="false", run_id="r1")
    assert set(results(outcomes).values()) == {"success"}


def test_a_conf_needs_a_trigger(fake: FakeAirflow) -> None:
    with pytest.raises(InvalidInputs):
        run_dags(fake, 'good {"day": 1}', "bad", trigger="false", run_id="r1")


@pytest.mark.parametrize("fault", [Fault.HTML_200, Fault.JSON_401])
def test_the_list_of_dags_is_repeated_during_a_deployment(fake: FakeAirflow, fault: Fault) -> None:
    fake.deploy(FakeDag("tagged", tags=("smoke",)))
    fake.fault(fault, on=("GET", "/dags"), times=2)
    assert run_dags(fake, "tag:smoke", wait_for_dag="10m").result == "success"


# Outputs.


def test_cancelled_runs_have_a_result(
    fake: FakeAirflow, output_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ("good", "endless", "bad")
    run_dags(fake, *lines, time=after(30, cancel), max_parallel="1")
    runs = json.loads(outputs_in(output_file)["runs"])
    assert [run.get("result") for run in runs] == ["success", "cancelled", "cancelled"]
    log = capsys.readouterr().out
    assert log.splitlines()[-1].endswith("3 DAGs: 1 succeeded, 2 cancelled")
    assert "endless:" in next(line for line in log.splitlines() if "Stopping" in line)


def test_wrong_inputs_have_failed_dags(fake: FakeAirflow, tmp_path: Path) -> None:
    inputs = admin_inputs(fake) | {"dag_id": "", "dags": "not a dag"}
    result = ActionStep(inputs, launcher=Process(), workspace=tmp_path).run()
    assert result.outputs == {"result": "error", "runs": "[]", "failed_dags": "[]"}


def test_a_bug_keeps_what_is_known_of_the_runs(
    fake: FakeAirflow, tmp_path: Path, output_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: StepRun, followed: FollowedRun) -> None:
        raise RuntimeError(followed.run.run_id)

    monkeypatch.setattr(StepRun, "see", broken)
    set_environment(monkeypatch, fake, tmp_path)
    assert main_stage(Interrupts()) == 1
    found = outputs_in(output_file)
    assert found["result"] == "error"
    assert [run["dag_id"] for run in json.loads(found["runs"])] == ["good", "bad"]
    assert all(run["run_url"] for run in json.loads(found["runs"]))
    assert json.loads(found["failed_dags"]) == ["good", "bad"]


def test_other_systems_get_the_runs_as_json(tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    runner = GenericRunner(str(file))
    runner.set_output("runs", '[{"dag_id": "a"}]')
    runner.set_output("failed_dags", '["a"]')
    assert json.loads(file.read_text()) == {"runs": [{"dag_id": "a"}], "failed_dags": ["a"]}


# What people read.


def test_a_run_that_was_left_at_its_timeout_is_stopped_because_of_the_cancel(
    fake: FakeAirflow, state_file: Path
) -> None:
    fake.deploy(FakeDag("other", polls=WITHOUT_END))
    time = after(70, cancel)
    outcomes = run_several(fake, "endless", "other", timeout="60s", max_parallel="1", time=time)
    assert (outcomes["endless"].result, outcomes["endless"].stopped) == ("cancelled", "yes")
    assert "on_timeout" not in outcome_message(outcomes["endless"]).detail
    assert all(run.stopped for run in saved_runs(state_file))


def test_stopped_runs_are_no_errors_of_the_post_stage(fake: FakeAirflow, tmp_path: Path) -> None:
    names = ("good", "endless")
    for name in names:
        fake.create_run(name, "r1", state="running")
    saved = [{"dag_id": name, "run_id": "r1", "created": True} for name in names]
    step = ActionStep(admin_inputs(fake), launcher=Process(), workspace=tmp_path)
    step.state = {"RUNS": json.dumps(saved)}
    result = step.run("post")
    assert result.exit_code == 0
    assert [note.level for note in result.annotations if note.level == "error"] == []
    assert "Cancelled, the DAG run is over" in result.summary


def test_the_log_of_a_deployment_has_a_line_per_dag_and_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dags = [FakeDag(f"dag_{number}", parsed_after=40) for number in range(10)]
    with FakeAirflow(dags=dags) as fake:
        time = VirtualTime()
        step = run_dags(fake, *(dag.dag_id for dag in dags), wait_for_dag="10m", time=time)
    waiting = [line for line in capsys.readouterr().out.splitlines() if "Waiting up to" in line]
    assert step.result == "success"
    assert "dag_0:" in waiting[0]
    assert len(waiting) <= 10 * (1 + (time.now - 1000) / 60)


def test_two_conf_objects_of_a_dag_are_compared_as_json() -> None:
    with pytest.raises(ParseError):
        dag_selectors('a {"x": 1}\na {"x": true}')


def test_a_conf_may_contain_a_line_separator() -> None:
    (selector,) = dag_selectors('a {"x": "1\u20282"}')
    assert selector.conf == {"x": "1\u20282"}


def test_an_error_of_the_post_stage_is_no_success(
    fake: FakeAirflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs of the step may go on."""

    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(entrypoint.post, "stop_runs_left_behind", broken)
    set_environment(monkeypatch, fake, tmp_path)
    monkeypatch.setenv("STATE_RUNS", json.dumps([{"dag_id": "good", "run_id": "r1"}]))
    assert post_stage() == 1


def test_a_re_run_of_a_run_that_ended_as_success_needs_a_clear(fake: FakeAirflow) -> None:
    fake.deploy(FakeDag("lenient", tasks=(FakeTask("check", ends="failed"),), ends="success"))
    hints = [
        step_message(run_dags(fake, *names, fail_on_failed_tasks="true", logs="none")).hint
        for names in (("good", "bad"), ("good", "bad", "lenient"))
    ]
    assert ["clear the tasks" in hint for hint in hints] == [False, True]
    assert "Airflow ended lenient as success" in hints[1]
