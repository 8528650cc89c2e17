"""A DAG run that does not move: the step says why, during the wait and at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, notices, verdict
from tests.airflow.scenarios.blocked import HOLDER

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner

CAUSES = {
    "paused": ("queued", "The DAG is paused", ("paused_dag",)),
    "paused while waiting": ("running", "The DAG is paused", ("held",)),
    "crowded": ("queued", "Other runs of the DAG come first", ("max_active_runs", HOLDER)),
    "no scheduler": ("queued", "Airflow's scheduler is not running", ("heartbeat",)),
    "full pool": (
        "running",
        "The pool tiny is full",
        ("1 slots", f"occupy of full_pool ({HOLDER})"),
    ),
}
"""By scenario: state of the run, reason, and evidence."""


@pytest.mark.parametrize("scenario", CAUSES)
def test_the_cause_is_a_notice_and_part_of_the_final_error(
    scenarios: ScenarioRunner, scenario: str
) -> None:
    """Also on the first screen of the summary."""
    while_waiting, at_the_end = scenarios[scenario], scenarios[f"{scenario}, in the end"]
    state, cause, evidence = CAUSES[scenario]

    assert notices(while_waiting) == [f"Waiting: {cause}"], while_waiting.log
    assert (at_the_end.exit_code, at_the_end.outputs["result"]) == (1, "timeout"), at_the_end.log
    assert at_the_end.outputs["state"] == state
    assert cause in verdict(at_the_end).splitlines()[0]
    for text in (verdict(at_the_end), first_screen(at_the_end)):
        assert [word for word in (cause, *evidence) if word not in text] == [], text


def test_a_human_input_request_is_shown_with_its_question_and_page(
    scenarios_3: ScenarioRunner,
) -> None:
    while_waiting, at_the_end = scenarios_3["human"], scenarios_3["human, in the end"]
    page = f"{at_the_end.outputs['run_url']}/tasks/approve/required_actions"

    (notice,) = (note for note in while_waiting.annotations if note.title.startswith("Waiting: "))
    assert "approve" in notice.title
    assert page in notice.message
    assert (at_the_end.exit_code, at_the_end.outputs["result"]) == (1, "timeout"), at_the_end.log
    assert "approve" in verdict(at_the_end).splitlines()[0]
    for text in (verdict(at_the_end), first_screen(at_the_end)):
        assert "Publish the sales of January?" in text
