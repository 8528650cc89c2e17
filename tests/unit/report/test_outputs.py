"""The step's outputs."""

import json
import tempfile
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.runner.commands import StepLog
from dev.runner.files import CommandFiles
from dev.runner.masking import Masker
from entrypoint.errors import ActionError
from entrypoint.models import Outcome, Report, StepOutcome
from entrypoint.report.outputs import RUNS_RATE, Outputs, outputs, runs_output
from entrypoint.runners import github as commands
from tests.support.factories import (
    RUN_URL,
    START,
    a_report,
    a_request,
    a_run,
    a_step,
    a_task,
    an_outcome,
)
from tests.support.markdown import hostile
from tests.support.virtual_time import VirtualTime


def outputs_after(*outcomes: Outcome, final: bool = False) -> dict[str, str]:
    """Return the outputs after these outcomes were written in order, without `runs`."""
    found = step_outputs_after(*map(a_step, outcomes), final=final)
    assert "runs" in found
    return {name: value for name, value in found.items() if name != "runs"}


def step_outputs_after(*outcomes: StepOutcome, final: bool = False) -> dict[str, str]:
    """Return the outputs that later steps read after these outcomes were written in order."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        files = CommandFiles(Path(folder))
        patch.setenv("GITHUB_OUTPUT", files.environment["GITHUB_OUTPUT"])
        writer = Outputs(commands)
        for outcome in outcomes:
            writer.write(outcome, final=final and outcome is outcomes[-1])
        masker = Masker()
        return files.collect(StepLog(masker), masker).outputs


def test_success_has_every_output() -> None:
    run = a_run(bundle_version="abc123")._replace(logical_date=a_run().start_date)

    assert outputs_after(an_outcome(run=run), final=True) == {
        "result": "success",
        "state": "success",
        "run_id": "r1",
        "run_url": RUN_URL,
        "created": "true",
        "logical_date": "2026-01-31T09:30:15+00:00",
        "start_date": "2026-01-31T09:30:15+00:00",
        "end_date": "2026-01-31T09:32:27.400000+00:00",
        "duration": "132.400",
        "failed_tasks": "[]",
        "airflow_version": "3.3.2",
        "bundle_version": "abc123",
    }


def test_only_the_result_is_written_if_nothing_is_known() -> None:
    assert outputs_after(Outcome(result="error")) == {}
    assert outputs_after(Outcome(result="error", error=ActionError("T", "d", "h")), final=True) == {
        "result": "error"
    }


def test_failed_tasks_is_a_json_array_if_tasks_are_known() -> None:
    tasks = (
        a_task("a"),
        a_task("b", state="failed"),
        a_task("c", state="failed", map_index=2),
        a_task("d", state=None),
    )

    assert json.loads(outputs(an_outcome(tasks=tasks))["failed_tasks"]) == ["b", "c[2]"]
    assert "failed_tasks" not in outputs(an_outcome(tasks=None))
    assert outputs(an_outcome(tasks=()))["failed_tasks"] == "[]"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"extract": None, "extract:count": 3, "rate": 0.5, "done": False},
        {"extract": {"é 任务 🚀": ["a", {"b": [1, [2.5, None]]}]}},
        {"load": [[1], [2], None]},
        {"text": "a\nEOF\nresult=failed\nghadelimiter_x<<y\r\n\u2028\x00"},
        {"text": "::error::x ##[error]x %0A </details>"},
        {"half": "a\ud800b", "emoji": "\U0001f680"},
        {"large": "x" * 500_000},
        {"many": list(range(50_000))},
    ],
)
def test_xcom_is_one_json_object(values: dict[str, Any]) -> None:
    found = outputs_after(an_outcome(xcom=values))

    assert json.loads(found["xcom"]) == values
    assert found.keys() == {*outputs(an_outcome()), "xcom"}


def test_xcom_keeps_letters_of_any_script() -> None:
    assert outputs(an_outcome(xcom={"a": "é 任务 🚀"}))["xcom"] == '{"a": "é 任务 🚀"}'


@settings(max_examples=50)
@given(
    st.dictionaries(
        hostile,
        st.recursive(st.none() | st.booleans() | st.integers() | hostile, st.lists),
        max_size=3,
    )
)
def test_any_xcom_value_is_read_back_unchanged(values: dict[str, Any]) -> None:
    assert json.loads(outputs_after(an_outcome(xcom=values))["xcom"]) == values


@pytest.mark.parametrize(
    ("report", "found"),
    [
        (None, {}),
        (a_report(deployment_id=None), {"status_url": a_report().status_url}),
        (a_report(status_url=None), {"deployment_id": "7"}),
    ],
)
def test_report_output_exists_only_with_a_github_report(
    report: Report | None, found: dict[str, str]
) -> None:
    written_ = outputs_after(an_outcome(report=report))

    assert {
        name: text for name, text in written_.items() if name in ("status_url", "deployment_id")
    } == found


def test_without_xcoms_there_is_no_xcom_output() -> None:
    assert "xcom" not in outputs(an_outcome())


def test_5000_failed_tasks_are_all_named() -> None:
    tasks = tuple(a_task("load", state="failed", map_index=n) for n in range(5000))

    assert json.loads(outputs_after(an_outcome(tasks=tasks))["failed_tasks"]) == [
        f"load[{n}]" for n in range(5000)
    ]


def test_run_id_and_url_are_written_before_the_state_is_known() -> None:
    requested = Outcome(result="error", request=a_request())

    assert outputs(requested) == {}
    assert outputs(requested._replace(run_url=RUN_URL)) == {"run_id": "r1", "run_url": RUN_URL}
    assert outputs(requested._replace(run_url=RUN_URL, created=False))["created"] == "false"


def test_last_state_wins_and_stale_outputs_are_emptied() -> None:
    ended, again = (
        an_outcome(run=a_run(state="failed")),
        an_outcome(run=a_run(state="running", end_date=None), tasks=None),
    )
    values = outputs_after(ended, again)

    assert values["state"] == "running"
    assert (values["end_date"], values["duration"], values["failed_tasks"]) == ("", "", "")
    assert values["run_id"] == "r1"


def test_unchanged_output_is_written_once() -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder, "output")
        path.touch()
        patch.setenv("GITHUB_OUTPUT", str(path))
        writer = Outputs(commands)
        for _ in range(3):
            writer.write(a_step(an_outcome()))

        assert path.read_text().count("state<<") == 1


@given(hostile)
def test_hostile_task_name_is_json_and_adds_no_output(text: str) -> None:
    outcome = an_outcome(tasks=(a_task(text, state="failed"),))
    values = outputs_after(outcome)

    assert json.loads(values["failed_tasks"]) == [text]
    assert values.keys() == outputs(outcome).keys()


def test_runs_has_what_is_known_of_each_dag_run() -> None:
    ended = an_outcome(finished=True, tasks=(a_task("load", state="failed"),), result="failed")
    going_on = an_outcome(run=a_run(state="running", end_date=None), tasks=None)
    unknown = an_outcome(run=None, run_url=None, created=None, tasks=None)
    step = StepOutcome((ended, going_on, unknown), several=True)
    first, second, third = json.loads(step_outputs_after(step)["runs"])

    start = START.isoformat()
    assert first == {
        "dag_id": "nightly_sales",
        "run_id": "r1",
        "result": "failed",
        "state": "success",
        "run_url": RUN_URL,
        "created": True,
        "logical_date": start,
        "start_date": start,
        "end_date": (START + timedelta(seconds=132.4)).isoformat(),
        "duration": 132.4,
        "failed_tasks": ["load"],
    }
    assert set(second) == set(first) - {"result", "end_date", "duration", "failed_tasks"}
    assert third == {"dag_id": "nightly_sales"}


@pytest.mark.parametrize("final", [True, False])
def test_several_dags_leave_the_outputs_of_a_single_run_empty(final: bool) -> None:
    failed = an_outcome(result="failed", request=a_request(dag_id="bad"))
    step = StepOutcome((an_outcome(), failed), several=True)
    found = step_outputs_after(step, final=final)

    of_the_step = {"runs", "airflow_version"}
    assert set(found) == of_the_step | ({"result", "failed_dags"} if final else set())
    if final:
        assert (found["result"], found["failed_dags"]) == ("failed", '["bad"]')


def test_a_single_run_is_in_runs_too() -> None:
    (run,) = json.loads(step_outputs_after(a_step(an_outcome(finished=True)))["runs"])
    assert (run["dag_id"], run["result"]) == ("nightly_sales", "success")


def test_runs_of_many_dags_are_written_at_a_limited_rate() -> None:
    """And all the same, soon after each change, so also if the step is killed."""
    begun, time = an_outcome(run=a_run(state="running", end_date=None)), VirtualTime()
    step = StepOutcome((begun,) * 100, several=True)
    written: list[tuple[float, str]] = []

    def set_output(name: str, value: str) -> None:
        if name == "runs":
            written.append((time.now, value))

    runner: Any = SimpleNamespace(set_output=set_output)
    writer = Outputs(runner, time.clock)
    for number in range(100):
        runs = (an_outcome(finished=True),) * (number + 1) + step.runs[number + 1 :]
        step = step._replace(runs=runs)
        writer.write(step)
        time.sleep(1)
    size = len(runs_output(step))
    assert sum(len(value) for _, value in written) <= size + 100 * RUNS_RATE
    pauses = [later - earlier for (earlier, _), (later, _) in pairwise(written)]
    assert max(pauses) <= size / RUNS_RATE + 1
    writer.write(step)
    time.sleep(size / RUNS_RATE)
    writer.write(step)
    assert written[-1][1] == runs_output(step)
    assert len(written) < 10


def test_runs_are_written_at_the_end_and_while_they_are_few() -> None:
    time = VirtualTime()
    written: list[str] = []
    runner: Any = SimpleNamespace(set_output=lambda name, _: written.append(name))
    for count, final, expected in ((3, False, 2), (100, False, 1), (100, True, 2)):
        writer = Outputs(runner, time.clock)
        written.clear()
        for state in ("queued", "running"):
            runs = (an_outcome(run=a_run(state=state, end_date=None)),) * count
            writer.write(StepOutcome(runs, several=True), final=final and state == "running")
        assert written.count("runs") == expected


def test_wrong_inputs_have_no_runs() -> None:
    step = a_step(Outcome(result="error"))
    assert step_outputs_after(step, final=True) == {"result": "error", "runs": "[]"}
