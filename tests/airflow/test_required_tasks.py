"""Named tasks that decide on real Airflows while their DAG run goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import verdict
from tests.airflow.scenarios.required import DAG, MODES, REFUSED, late

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner

EXPECTED = {
    "success": (0, "success", [], "4 of 4"),
    "retried": (0, "success", [], "1 of 1"),
    "failed": (1, "failed", ["main.load"], "0 of 1"),
    "skipped": (1, "failed", ["main.load"], " of 2"),
    "mapped over nothing": (1, "failed", ["main.each"], "0 of 1"),
}


@pytest.mark.parametrize("name", MODES)
def test_the_tasks_decide_and_the_run_goes_on(
    scenarios: ScenarioRunner, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scenario has checked that the run went on."""
    result = scenarios[f"required {name}"]
    exit_code, outcome, failed, counts = EXPECTED[name]

    assert (result.exit_code, result.outputs["result"]) == (exit_code, outcome), result.log
    assert result.outputs["state"] == "running"
    assert json.loads(result.outputs["failed_tasks"]) == failed
    assert f"{counts} required task instances succeeded" in verdict(result)
    if name != "retried":
        return
    with capsys.disabled():
        seconds = late[scenarios.airflow.version, name]
        print(f"\nAirflow {scenarios.airflow.version}, {name}: decided after {seconds:.1f} s")


def test_tasks_that_may_not_be_read_are_an_error_before_the_trigger(
    scenarios_2: ScenarioRunner,
) -> None:
    result = scenarios_2["required not permitted"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert verdict(result).startswith("The required tasks could not be read: ")
    assert "can read on Task Instances" in verdict(result)
    assert REFUSED not in [run["conf"] for run in scenarios_2.airflow.runs(DAG)]
