"""The reason why a DAG run failed: in the error, the summary and on the code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import fenced, first_screen, line_of, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner

CAUSES = {
    "chained": (
        "load_sales failed",
        "RuntimeError: The sales of 2025-01-31 cannot be loaded",
        "Not an amount: 'n/a'",
    ),
    "retries": (
        "call_partner failed",
        "(try 2 of 2)",
        "PermissionError: The partner has locked us out",
    ),
    "too slow": ("too_slow", "10.0 s", "dagrun_timeout"),
    "killed": ("devour failed",),
}
"""By scenario: texts in the error and on the first screen."""
KILLED = {"/api/v1": "return code -9", "/api/v2": "SIGKILL"}
"""By API: the text for a killed process."""


@pytest.mark.parametrize("scenario", CAUSES)
def test_the_error_and_the_first_screen_name_the_cause(
    scenarios: ScenarioRunner, scenario: str
) -> None:
    result = scenarios[scenario]
    causes = (
        [*CAUSES[scenario], KILLED[scenarios.airflow.api]]
        if scenario == "killed"
        else CAUSES[scenario]
    )

    assert (result.exit_code, result.outputs["result"], result.outputs["state"]) == (
        1,
        "failed",
        "failed",
    ), result.log
    for text in (verdict(result), first_screen(result)):
        assert [cause for cause in causes if cause not in text] == [], text


def test_the_lines_that_raised_exceptions_are_annotated(scenarios: ScenarioRunner) -> None:
    """Those of the last exception and of its cause in the helper module."""
    result = scenarios["chained"]

    marked = {(note.file, note.line): note for note in result.annotations if note.file}
    folder = scenarios.airflow.dags.name
    raised, caused = f"{folder}/chained_failure.py", f"{folder}/sales_helpers.py"
    places = [
        (raised, line_of(scenarios.checkout / raised, "raise RuntimeError")),
        (caused, line_of(scenarios.checkout / caused, "raise ValueError")),
    ]
    assert list(marked) == places
    assert [note.level for note in marked.values()] == ["error", "error"]
    assert [note.title for note in marked.values()] == [
        "load_sales failed: RuntimeError",
        "load_sales failed: ValueError",
    ]
    assert "Not an amount: 'n/a'" in marked[places[1]].message


def test_the_log_of_the_failed_task_is_in_log_and_summary(scenarios: ScenarioRunner) -> None:
    """In the log between stop-commands and its token."""
    result = scenarios["chained"]

    relayed = fenced(result)
    assert any(line.endswith("Loading the sales") for line in relayed)
    assert any("The sales of 2025-01-31 cannot be loaded" in line for line in relayed)
    assert "Loading the sales" in result.summary


def test_only_the_last_try_of_a_task_is_the_cause(scenarios: ScenarioRunner) -> None:
    result = scenarios["retries"]

    assert "does not answer" not in verdict(result)
    assert "does not answer" not in first_screen(result)


def test_a_run_that_timed_out_has_no_failed_task(scenarios: ScenarioRunner) -> None:
    result = scenarios["too slow"]

    assert json.loads(result.outputs["failed_tasks"]) == []
    assert "No task failed" in verdict(result)


@pytest.mark.parametrize(
    ("scenario", "exit_code", "result"),
    [("failed task", 1, "failed"), ("failed task accepted", 0, "success")],
)
def test_a_success_with_failed_tasks_passes_only_if_they_are_accepted(
    scenarios: ScenarioRunner, scenario: str, exit_code: int, result: str
) -> None:
    """They are named with the reason in either case."""
    seen = scenarios[scenario]

    assert (seen.exit_code, seen.outputs["result"], seen.outputs["state"]) == (
        exit_code,
        result,
        "success",
    ), seen.log
    assert json.loads(seen.outputs["failed_tasks"]) == ["fail"]
    assert "fail failed: ValueError: Nobody will notice" in verdict(seen)
    assert "ValueError: Nobody will notice" in first_screen(seen)
