"""New DAG files are waited for, and those that do not import are told at once, on real Airflows of
both versions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.airflow.job import line_of, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import Stage


def test_a_file_that_comes_later(stage: Stage) -> None:
    """A DAG whose file is copied in after the step has begun is waited for, and run once."""
    result = stage["copied in"]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert len(stage.airflow.runs("copied_in")) == 1


def test_a_broken_file_that_comes_later(stage: Stage) -> None:
    """A file that is copied in and does not import fails the step, annotated on its line."""
    result = stage["copied in broken"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert "SyntaxError" in verdict(result)
    file = f"{stage.airflow.dags.name}/copied_in_broken.py"
    assert [(note.file, note.line) for note in result.annotations if note.file] == [
        (file, line_of(stage.checkout / file, "return 1 +"))
    ]


def test_an_import_error_of_before(stage: Stage) -> None:
    """An import error that was there when the step began does not fail it: the mended file is
    waited for, and run.
    """
    result = stage["mended"]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log


def test_a_file_that_was_just_replaced(stage: Stage) -> None:
    """The DAG of a file that was replaced just before the step runs its new code."""
    result = stage["replaced"]

    assert (result.exit_code, json.loads(result.outputs["xcom"])) == (0, {"which": 2}), result.log


def test_where_there_are_no_commits(stage: Stage) -> None:
    """Airflow 2, and a bundle without versions, are an error that says what to use instead."""
    result = stage["no commits"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert "from which commit" in verdict(result)
    assert "Use wait_for_dag without expect_commit" in verdict(result)
