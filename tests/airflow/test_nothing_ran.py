"""DAG runs that a real Airflow calls a success although no task did any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner

TITLE = "DAG run succeeded, but nothing ran"
REASONS = {
    "starts_later": "start date of the DAG is 2100-01-01T00:00:00+00:00, which is after",
    "short_circuit": "(a short circuit or a branch): has_sales.",
}


@pytest.mark.parametrize("name", REASONS)
def test_success_in_which_nothing_ran_is_a_warning_with_the_reason(
    scenarios: ScenarioRunner, name: str
) -> None:
    result = scenarios[name]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert result.annotations[-1].level == "warning", result.log
    assert verdict(result).startswith(f"{TITLE}: ")
    for text in (verdict(result), first_screen(result)):
        assert TITLE in text
        assert REASONS[name] in text
