"""Successful runs in which no task did any work, with both APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrypoint.report.several import annotate_several, several_summary
from entrypoint.report.summary import summary
from entrypoint.report.wording import outcome_message
from entrypoint.runners import github as commands
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Version
from tests.support.runner_log import runner_log
from tests.support.step import run_against, run_dags

if TYPE_CHECKING:
    from entrypoint.models import Outcome

VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")
TITLE = "DAG run succeeded, but nothing ran"
SKIPPED = FakeTask("load", ends="skipped")
DECIDES = FakeTask("check", operator="_ShortCircuitDecoratedOperator")
DATE, LATER = "2026-11-20T00:00:00Z", "2100-01-01T00:00:00+00:00"


def run(version: Version, dag: FakeDag, logical_date: str = "") -> Outcome:
    with FakeAirflow(version, dags=[dag]) as fake:
        return run_against(fake, logical_date=logical_date)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("tasks", "start", "reason"),
    [
        ((), LATER, f"start date of the DAG is {LATER}"),
        ((), None, "whose start_date is after the logical date"),
        ((SKIPPED,), None, "Skipped: load."),
        ((DECIDES, SKIPPED), None, "(a short circuit or a branch): check."),
        ((FakeTask("gone", ends="removed"),), None, "the DAG no longer has them: gone."),
    ],
)
def test_success_in_which_nothing_ran_says_why(
    version: Version, tasks: tuple[FakeTask, ...], start: str | None, reason: str
) -> None:
    dag = FakeDag("sales", tasks, ends="success", start_date=start)
    outcome = run(version, dag, logical_date=DATE)

    message = outcome_message(outcome)
    assert (outcome.result, message.title) == ("success", TITLE)
    assert reason in "\n".join([message.detail, *message.reasons])
    text = summary(outcome, None)
    assert text.startswith(f"## ⚠️ {TITLE}")
    assert reason.split(":", maxsplit=1)[0].replace("_", "\\_") in text


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "tasks",
    [
        (FakeTask("load"), SKIPPED),
        (FakeTask("start", operator="EmptyOperator"),),
        (FakeTask("choose", operator="BranchPythonOperator"),),
    ],
)
def test_success_in_which_a_task_ran_is_plain(
    version: Version, tasks: tuple[FakeTask, ...]
) -> None:
    outcome = run(version, FakeDag("sales", tasks, ends="success"))

    assert outcome_message(outcome).title == "DAG run succeeded"


def test_tasks_that_may_not_be_read_raise_no_doubt() -> None:
    with FakeAirflow(dags=[FakeDag("sales", (SKIPPED,), ends="success")]) as fake:
        fake.deny("task_instances")
        outcome = run_against(fake)

    assert outcome_message(outcome).title == "DAG run succeeded"


def test_of_several_dags_those_in_which_nothing_ran_are_named() -> None:
    dags = [FakeDag("idle", (SKIPPED,), ends="success"), FakeDag("busy", ends="success")]
    with FakeAirflow(dags=dags) as fake:
        outcome = run_dags(fake, "idle", "busy")

    assert outcome.result == "success"
    (note,) = runner_log(lambda: annotate_several(outcome, commands)).annotations
    assert (note.level, note.title) == ("warning", "All DAGs succeeded")
    assert "Nothing ran in idle: no task did any work." in note.message
    text = several_summary(outcome, None)
    assert "| ⚠️ success | [`idle`]" in text
    assert "| ✅ success | [`busy`]" in text
    assert TITLE in text
