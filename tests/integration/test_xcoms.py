"""Requested XComs of tasks that did not run, with both APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Version
from tests.support.step import run_against

if TYPE_CHECKING:
    from collections.abc import Iterator

TASKS = (
    FakeTask("load", xcom={"return_value": 7}),
    FakeTask("other", ends="skipped"),
    FakeTask("nothing", ends="skipped", mapped=True),
    FakeTask("each", map_index=0, xcom={"return_value": "Oslo"}),
    FakeTask("each", map_index=1, ends="skipped"),
    FakeTask("after", ends="upstream_failed"),
)
VALUES = {"load": 7, "other": None, "nothing": [], "each": ["Oslo", None], "after": None}


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales", TASKS, ends="success")]) as fake:
        yield fake


def test_tasks_that_did_not_run_have_no_value_and_are_no_error(fake: FakeAirflow) -> None:
    outcome = run_against(fake, xcom="\n".join(VALUES))

    assert (outcome.result, outcome.xcom) == ("success", VALUES)


@pytest.mark.parametrize("line", ["lod", "load:rows", "each:rows"])
def test_unknown_tasks_and_keys_that_a_task_did_not_leave_are_errors(
    fake: FakeAirflow, line: str
) -> None:
    outcome = run_against(fake, xcom=f"other\n{line}")

    assert (outcome.result, outcome.xcom) == ("error", None)
    assert outcome.error is not None
    assert outcome.error.detail.startswith(f"{line}: ")


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_failed_run_has_the_values_of_what_ran(version: Version) -> None:
    dag = FakeDag("sales", (*TASKS, FakeTask("broken", ends="failed")), ends="failed")
    with FakeAirflow(version, dags=[dag]) as failing:
        outcome = run_against(failing, xcom="\n".join(VALUES))

    assert (outcome.result, outcome.xcom) == ("failed", VALUES)
