"""A DAG run that a real Airflow does not accept: the verdict and the summary's first screen say
what is behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, line_of, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import Stage

CAUSES = {
    "never parsed": (
        "never_parsed.py",
        "ModuleNotFoundError: No module named 'no_such_package_anywhere'",
    ),
    "broken later": ("reporting.py", "weekly_report", "LookupError: The column amount is gone"),
    "wrong type": ("days", "'five' is not of type 'integer'"),
    "viewer": ("A permission is missing", '"can create" on DAG runs'),
}
"""What the verdict and the first screen have to say of each play's refusal."""
BROKEN = {
    "never parsed": ("never_parsed.py", "import no_such_package_anywhere"),
    "broken later": ("reporting.py", "raise LookupError"),
}
"""Where the exception was raised: file, and text of the line."""


@pytest.mark.parametrize("play", CAUSES)
def test_the_cause_is_named(stage: Stage, play: str) -> None:
    """The verdict's annotation and the first screen of the summary both name why no DAG run was
    made.
    """
    result = stage[play]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert "state" not in result.outputs
    for told in (verdict(result), first_screen(result)):
        assert [cause for cause in CAUSES[play] if cause not in told] == [], told


@pytest.mark.parametrize("play", BROKEN)
def test_the_code_is_annotated(stage: Stage, play: str) -> None:
    """The line of the checkout on which a DAG file fails to import is annotated, and nothing
    else.
    """
    name, text = BROKEN[play]
    file = f"{stage.airflow.dags.name}/{name}"

    marked = [(note.level, note.file, note.line) for note in stage[play].annotations if note.file]

    assert marked == [("error", file, line_of(stage.checkout / file, text))]


def test_the_traceback_is_shown(stage: Stage) -> None:
    """The whole way to the exception in a broken DAG file can be read on the first screen."""
    told = first_screen(stage["broken later"])

    assert "Traceback (most recent call last):" in told
    assert "in columns" in told


def test_a_right_is_missing_on_airflow_2(stage_2: Stage) -> None:
    """Who may create DAG runs of Airflow 2, but not edit DAGs, may not trigger: that right is named
    too.
    """
    result = stage_2["may not edit"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    for told in (verdict(result), first_screen(result)):
        assert "A permission is missing" in told
        assert '"can edit" on the DAG' in told
