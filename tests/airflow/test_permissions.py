"""Credentials that may trigger and wait but lack another permission.

On Airflow 2 only, because each role of Airflow 3's simple auth manager may read everything.
`tests/integration` covers Airflow 3 with the scripted Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, notices, verdict
from tests.support.markdown import read

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner

LACKING = {
    "no tasks": "can read on Task Instances",
    "no logs": "can read on Task Logs",
    "no xcoms": "can read on XComs",
    "no pools": "can read on Pools",
    "no import errors": "can read on ImportError",
}
"""By scenario: the permission that the credential lacks."""
SEEN = {
    "no tasks": "chained",
    "no logs": "chained",
    "no xcoms": "xcoms",
    "no pools": "full pool, in the end",
}
"""By scenario: the one with the same DAG run and all permissions."""


@pytest.mark.parametrize("scenario", LACKING)
def test_log_and_summary_name_a_missing_permission_once(
    scenarios_2: ScenarioRunner, scenario: str
) -> None:
    result, permission = scenarios_2[scenario], LACKING[scenario]

    assert [line for line in result.log.splitlines() if permission in line] != []
    assert len([line for line in result.log.splitlines() if permission in line]) == 1, result.log
    assert "\n".join(read(result.summary).prose).count(permission) == 1


@pytest.mark.parametrize("scenario", SEEN)
def test_a_missing_permission_does_not_change_the_result(
    scenarios_2: ScenarioRunner, scenario: str
) -> None:
    lacking, seeing = scenarios_2[scenario], scenarios_2[SEEN[scenario]]

    assert (lacking.exit_code, lacking.conclusion) == (seeing.exit_code, seeing.conclusion)
    for output in ("result", "state", "run_id"):
        assert lacking.outputs[output] == seeing.outputs[output]
    assert verdict(lacking).partition(": ")[0] == verdict(seeing).partition(": ")[0]


def test_only_what_needs_the_permission_is_missing(scenarios_2: ScenarioRunner) -> None:
    """The failed task has no reason, and the output xcom is not set."""
    assert "load_sales failed" in verdict(scenarios_2["no logs"])
    assert "could not be read" in first_screen(scenarios_2["no tasks"])
    assert "xcom" not in scenarios_2["no xcoms"].outputs
    assert notices(scenarios_2["no pools"]) == []


def test_without_import_errors_a_broken_dag_is_an_unknown_dag(scenarios_2: ScenarioRunner) -> None:
    result = scenarios_2["no import errors"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert "Airflow has no such DAG" in verdict(result)
    assert "Airflow has no such DAG" in first_screen(result)
    assert "ModuleNotFoundError" not in result.log
