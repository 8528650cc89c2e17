"""A step waits for new DAG files, and reports those that do not import."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.airflow.job import line_of, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner


def test_a_dag_whose_file_is_copied_during_the_wait_runs_once(scenarios: ScenarioRunner) -> None:
    result = scenarios["copied in"]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert len(scenarios.airflow.runs("copied_in")) == 1


def test_a_copied_file_that_does_not_import_fails_the_step(scenarios: ScenarioRunner) -> None:
    """With an annotation on its line."""
    result = scenarios["copied in broken"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert "SyntaxError" in verdict(result)
    file = f"{scenarios.airflow.dags.name}/copied_in_broken.py"
    assert [(note.file, note.line) for note in result.annotations if note.file] == [
        (file, line_of(scenarios.checkout / file, "return 1 +"))
    ]


def test_an_old_import_error_does_not_fail_the_step(scenarios: ScenarioRunner) -> None:
    """The step waits for the fixed file and runs it."""
    result = scenarios["fixed"]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log


def test_a_dag_whose_file_was_just_replaced_runs_its_new_code(scenarios: ScenarioRunner) -> None:
    result = scenarios["replaced"]

    assert (result.exit_code, json.loads(result.outputs["xcom"])) == (0, {"which": 2}), result.log


def test_without_bundle_versions_expect_commit_is_an_error(scenarios: ScenarioRunner) -> None:
    """It says what to use instead."""
    result = scenarios["no commits"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert "from which commit" in verdict(result)
    assert "Use wait_for_dag without expect_commit" in verdict(result)
