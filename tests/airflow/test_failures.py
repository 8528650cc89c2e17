"""Why a DAG run failed, by what a real Airflow says of it: in the verdict, on the summary's first
screen, on the code.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import fenced, first_screen, line_of, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import Stage

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
"""What the verdict and the first screen have to say of each play's failure."""
KILLED = {"/api/v1": "return code -9", "/api/v2": "SIGKILL"}
"""By what each Airflow says that a task's process was killed."""


@pytest.mark.parametrize("play", CAUSES)
def test_the_cause_is_named(stage: Stage, play: str) -> None:
    """The verdict's annotation and the first screen of the summary both name what made the DAG run
    fail.
    """
    result = stage[play]
    causes = [*CAUSES[play], KILLED[stage.airflow.api]] if play == "killed" else CAUSES[play]

    assert (result.exit_code, result.outputs["result"], result.outputs["state"]) == (
        1,
        "failed",
        "failed",
    ), result.log
    for told in (verdict(result), first_screen(result)):
        assert [cause for cause in causes if cause not in told] == [], told


def test_the_code_is_annotated(stage: Stage) -> None:
    """The line of the checkout that raised the exception is annotated, and the one in the helper
    module that caused it.
    """
    result = stage["chained"]

    marked = {(note.file, note.line): note for note in result.annotations if note.file}
    folder = stage.airflow.dags.name
    raised, caused = f"{folder}/chained_failure.py", f"{folder}/sales_helpers.py"
    places = [
        (raised, line_of(stage.checkout / raised, "raise RuntimeError")),
        (caused, line_of(stage.checkout / caused, "raise ValueError")),
    ]
    assert list(marked) == places
    assert [note.level for note in marked.values()] == ["error", "error"]
    assert [note.title for note in marked.values()] == [
        "load_sales failed: RuntimeError",
        "load_sales failed: ValueError",
    ]
    assert "Not an amount: 'n/a'" in marked[places[1]].message


def test_the_log_is_relayed(stage: Stage) -> None:
    """The log of the failed task can be read in the step's log, behind a fence, and in the
    summary.
    """
    result = stage["chained"]

    relayed = fenced(result)
    assert any(line.endswith("Loading the sales") for line in relayed)
    assert any("The sales of 2025-01-31 cannot be loaded" in line for line in relayed)
    assert "Loading the sales" in result.summary


def test_only_the_last_try_counts(stage: Stage) -> None:
    """What an earlier try of a task failed of is not taken for the reason."""
    result = stage["retries"]

    assert "does not answer" not in verdict(result)
    assert "does not answer" not in first_screen(result)


def test_no_task_failed_of_a_timeout(stage: Stage) -> None:
    """A run that its dagrun_timeout has ended has no failed task, and the step does not make one
    up.
    """
    result = stage["too slow"]

    assert json.loads(result.outputs["failed_tasks"]) == []
    assert "No task failed" in verdict(result)


@pytest.mark.parametrize(
    ("play", "exit_code", "result"), [("red", 1, "failed"), ("red accepted", 0, "success")]
)
def test_a_success_with_a_failed_task(stage: Stage, play: str, exit_code: int, result: str) -> None:
    """A run that Airflow calls a success passes only if failed tasks are accepted; they are named
    with the reason anyhow.
    """
    seen = stage[play]

    assert (seen.exit_code, seen.outputs["result"], seen.outputs["state"]) == (
        exit_code,
        result,
        "success",
    ), seen.log
    assert json.loads(seen.outputs["failed_tasks"]) == ["fail"]
    assert "fail failed: ValueError: Nobody will notice" in verdict(seen)
    assert "ValueError: Nobody will notice" in first_screen(seen)
