"""A DAG run that a real Airflow accepts and does not move: the step says why, while it waits and in
the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, notices, verdict
from tests.airflow.scenarios.blocked import HOLDER

if TYPE_CHECKING:
    from tests.airflow.scenario import Stage

CAUSES = {
    "paused": ("queued", "The DAG is paused", ("paused_dag",)),
    "paused meanwhile": ("running", "The DAG is paused", ("held",)),
    "crowded": ("queued", "Other runs of the DAG come first", ("max_active_runs", HOLDER)),
    "no scheduler": ("queued", "Airflow's scheduler is not running", ("heartbeat",)),
    "full pool": (
        "running",
        "The pool tiny is full",
        ("1 slots", f"occupy of full_pool ({HOLDER})"),
    ),
}
"""The state of each play's run, the reason why it does not move, and the evidence."""


@pytest.mark.parametrize("play", CAUSES)
def test_the_cause_is_named(stage: Stage, play: str) -> None:
    """What keeps a run is a notice while it is waited for, and in the end the verdict's first line
    and on the first screen.
    """
    while_waiting, in_the_end = stage[play], stage[f"{play}, in the end"]
    state, cause, evidence = CAUSES[play]

    assert notices(while_waiting) == [f"Waiting: {cause}"], while_waiting.log
    assert (in_the_end.exit_code, in_the_end.outputs["result"]) == (1, "timeout"), in_the_end.log
    assert in_the_end.outputs["state"] == state
    assert cause in verdict(in_the_end).splitlines()[0]
    for told in (verdict(in_the_end), first_screen(in_the_end)):
        assert [word for word in (cause, *evidence) if word not in told] == [], told


def test_a_human_is_asked(stage_3: Stage) -> None:
    """A run that waits for a human's answer: the question and the page on which to answer it are
    given.
    """
    while_waiting, in_the_end = stage_3["human"], stage_3["human, in the end"]
    page = f"{in_the_end.outputs['run_url']}/tasks/approve/required_actions"

    (notice,) = (note for note in while_waiting.annotations if note.title.startswith("Waiting: "))
    assert "approve" in notice.title
    assert page in notice.message
    assert (in_the_end.exit_code, in_the_end.outputs["result"]) == (1, "timeout"), in_the_end.log
    assert "approve" in verdict(in_the_end).splitlines()[0]
    for told in (verdict(in_the_end), first_screen(in_the_end)):
        assert "Publish the sales of January?" in told
