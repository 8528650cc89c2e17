"""A DAG run that Airflow refuses: the error and the summary say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, line_of, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner

CAUSES = {
    "never parsed": (
        "never_parsed.py",
        "ModuleNotFoundError: No module named 'no_such_package_anywhere'",
    ),
    "broken later": ("reporting.py", "weekly_report", "LookupError: The column amount is gone"),
    "wrong type": ("days", "'five' is not of type 'integer'"),
    "viewer": ("A permission is missing", '"can create" on DAG runs'),
}
"""By scenario: texts in the error and on the first screen."""
BROKEN = {
    "never parsed": ("never_parsed.py", "import no_such_package_anywhere"),
    "broken later": ("reporting.py", "raise LookupError"),
}
"""File and line that raised the exception."""


@pytest.mark.parametrize("scenario", CAUSES)
def test_the_error_and_the_first_screen_say_why_no_run_was_made(
    scenarios: ScenarioRunner, scenario: str
) -> None:
    result = scenarios[scenario]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert "state" not in result.outputs
    for text in (verdict(result), first_screen(result)):
        assert [cause for cause in CAUSES[scenario] if cause not in text] == [], text


@pytest.mark.parametrize("scenario", BROKEN)
def test_the_line_that_fails_to_import_is_annotated(
    scenarios: ScenarioRunner, scenario: str
) -> None:
    name, text = BROKEN[scenario]
    file = f"{scenarios.airflow.dags.name}/{name}"

    marked = [
        (note.level, note.file, note.line) for note in scenarios[scenario].annotations if note.file
    ]

    assert marked == [("error", file, line_of(scenarios.checkout / file, text))]


def test_the_first_screen_shows_the_traceback_of_a_broken_file(scenarios: ScenarioRunner) -> None:
    text = first_screen(scenarios["broken later"])

    assert "Traceback (most recent call last):" in text
    assert "in columns" in text


def test_on_airflow_2_a_trigger_needs_the_permission_to_edit_the_dag(
    scenarios_2: ScenarioRunner,
) -> None:
    result = scenarios_2["may not edit"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    for text in (verdict(result), first_screen(result)):
        assert "A permission is missing" in text
        assert '"can edit" on the DAG' in text
