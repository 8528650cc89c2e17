"""Credentials that may trigger and wait but not see everything: what they may not see is said, and
the verdict is the same.

On real Airflow 2 alone: the users of Airflow 3's simple auth manager have one of four fixed roles,
all of which may read everything. There the tests of the whole action against the scripted Airflow
stand in (`tests/integration`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, notices, verdict
from tests.support.markdown import read

if TYPE_CHECKING:
    from tests.airflow.scenario import Stage

LACKING = {
    "no tasks": "can read on Task Instances",
    "no logs": "can read on Task Logs",
    "no xcoms": "can read on XComs",
    "no pools": "can read on Pools",
    "no import errors": "can read on ImportError",
}
"""The permission that each play's credential lacks."""
SEEN = {
    "no tasks": "chained",
    "no logs": "chained",
    "no xcoms": "xcoms",
    "no pools": "full pool, in the end",
}
"""The play that looked at the same DAG run with all permissions."""


@pytest.mark.parametrize("play", LACKING)
def test_one_sentence_names_the_permission(stage_2: Stage, play: str) -> None:
    """A missing permission is named in one sentence of the log and one of the summary."""
    result, permission = stage_2[play], LACKING[play]

    assert [line for line in result.log.splitlines() if permission in line] != []
    assert len([line for line in result.log.splitlines() if permission in line]) == 1, result.log
    assert "\n".join(read(result.summary).prose).count(permission) == 1


@pytest.mark.parametrize("play", SEEN)
def test_the_verdict_is_unaffected(stage_2: Stage, play: str) -> None:
    """A step whose credential lacks a permission ends as the one that has it: same exit code,
    result and verdict.
    """
    lacking, seeing = stage_2[play], stage_2[SEEN[play]]

    assert (lacking.exit_code, lacking.conclusion) == (seeing.exit_code, seeing.conclusion)
    for output in ("result", "state", "run_id"):
        assert lacking.outputs[output] == seeing.outputs[output]
    assert verdict(lacking).partition(": ")[0] == verdict(seeing).partition(": ")[0]


def test_what_is_missing_is_left_out(stage_2: Stage) -> None:
    """Only what the permission is for is missing: the failed task is named without its reason, the
    output xcom is not set.
    """
    assert "load_sales failed" in verdict(stage_2["no logs"])
    assert "could not be read" in first_screen(stage_2["no tasks"])
    assert "xcom" not in stage_2["no xcoms"].outputs
    assert notices(stage_2["no pools"]) == []


def test_a_broken_file_is_refused_all_the_same(stage_2: Stage) -> None:
    """Who may not read import errors is told that Airflow has no such DAG."""
    result = stage_2["no import errors"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert "Airflow has no such DAG" in verdict(result)
    assert "Airflow has no such DAG" in first_screen(result)
    assert "ModuleNotFoundError" not in result.log
