"""What is done about a run that exists already: the contract's table, and what has to run again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from entrypoint.errors import ActionError, AirflowUnreachable, RunExists, UnexpectedAnswer
from entrypoint.gate.existing import REPEATS, plan, require_same, take_over
from entrypoint.models import CANCELLED, DagRun, RunRequest, TaskInstance, TaskList
from tests.support.nouns import a_list
from tests.support.scripted import Bench, Script

DOWN = AirflowUnreachable("down", "", "")
THEN, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def run(state: Any, *, end: datetime | None = None, note: str | None = None, **fields: Any) -> DagRun:
    """Return the run in this state."""
    return DagRun("sales", "r1", state, fields.pop("conf", {}), end_date=end, note=note, **fields)


FAILED, QUEUED = run("failed", end=THEN), run("queued")


def task(state: str | None, task_id: str = "load", *, before_end: float = 0.0) -> TaskInstance:
    """Return a task instance in this state, which it got so many seconds before the end of its run."""
    return TaskInstance(task_id, -1, state, 1, None, "", end_date=THEN - timedelta(seconds=before_end))


@pytest.mark.parametrize(
    ("state", "resume", "attach", "restart"),
    [
        ("queued", "wait", "wait", "wait"),
        ("running", "wait", "wait", "wait"),
        ("success", "wait", "wait", "restart"),
        ("failed", "resume", "wait", "restart"),
    ],
)
def test_the_contract_s_table(state: str, resume: str, attach: str, restart: str) -> None:
    """Each policy does with each state what the table says; fail refuses them all."""
    assert [plan(run(state), policy) for policy in ("resume", "attach", "restart")] == [resume, attach, restart]
    with pytest.raises(RunExists, match=state):
        plan(run(state), "fail")


def test_a_success_that_was_cancelled_is_resumed() -> None:
    """A run that was stopped counts as failed, whatever the scheduler made of it."""
    assert plan(run("success", note=CANCELLED), "resume") == "resume"


@pytest.mark.parametrize(
    ("found", "asked", "shown"),
    [
        ({"conf": {"region": "EMEA"}}, {"conf": {"region": "APAC"}}, ("EMEA", "APAC")),
        ({"conf": {"region": "EMEA"}}, {"conf": {}}, ("EMEA", "{}")),
        ({"logical_date": THEN}, {"conf": {}, "logical_date": NOW}, ("2026-01-01", "2026-01-02")),
        ({}, {"conf": {}, "logical_date": NOW}, ("None", "2026-01-02")),
    ],
)
def test_another_request_s_run_is_an_error_that_shows_both(
    found: dict[str, Any], asked: dict[str, Any], shown: tuple[str, str]
) -> None:
    """A difference in conf or logical date names both sides."""
    with pytest.raises(RunExists) as caught:
        require_same(run("success", **found), RunRequest("sales", "r1", **asked))
    assert all(side in caught.value.detail for side in shown)


def test_the_same_request_is_the_same_whatever_airflow_added() -> None:
    """The order of keys, and a logical date that was left to Airflow, make no difference."""
    require_same(run("success", conf={"a": 1, "b": 2}, logical_date=THEN), RunRequest("sales", "r1", {"b": 2, "a": 1}))


@dataclass
class Clearable:
    """An Airflow of which only clearing matters."""

    looks: list[Any]
    tasks: tuple[TaskInstance, ...] = ()
    answers: list[Any] = field(default_factory=lambda: [None])
    cleared: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.get_run, self._answer = Script(self.looks), Script(self.answers)

    def task_instances(self, *_: object) -> TaskList:
        """Show the task instances."""
        return a_list(*self.tasks)

    def clear(self, _dag: str, _run: str, tasks: Any) -> None:
        """Take down what is cleared."""
        self.cleared.append(tasks)
        self._answer()

    def set_note(self, _run: DagRun, note: str) -> None:
        """Take down the note."""
        self.notes.append(note)


def taken(airflow: Clearable, todo: Any, found: DagRun = FAILED) -> tuple[DagRun, str]:
    """Take the run over."""
    bench, ours = Bench(), cast("Any", airflow)
    return take_over(ours, found, todo, bench.patience, until=bench.time.now + 600)


STOPPED = (task("failed"), task("skipped", before_end=0.02))
BRANCHED = (task("failed"), task("skipped", before_end=60))


@pytest.mark.parametrize(
    ("tasks", "cleared"),
    [
        ((task("success"), task("failed"), task("upstream_failed")), "failed"),
        ((task("success"), *STOPPED), STOPPED),  # stopped by hand: what was pending was skipped at the end
        ((task("success"), *BRANCHED), "failed"),  # skipped long before the failure, by a branch
        ((task("success"), task("failed"), task("removed")), "failed"),  # of an older version of the DAG
        ((task("skipped"),), (task("skipped"),)),
        ((task(None), task("failed")), (task(None), task("failed"))),
        ((task("success"),), "all"),
        ((), "all"),
    ],
)
def test_resuming_runs_everything_that_did_not_succeed(tasks: tuple[TaskInstance, ...], cleared: Any) -> None:
    """A resumed run may not end green with half of its tasks skipped."""
    airflow = Clearable([QUEUED], tasks)
    assert taken(airflow, "resume") == (QUEUED, "resumed")
    assert airflow.cleared == [cleared]


def test_whatever_a_cancelled_run_skipped_runs_again() -> None:
    """In doubt a skipped task of a run that a cancel stopped is one that never had its turn."""
    airflow = Clearable([QUEUED], (task("success"), *BRANCHED))
    taken(airflow, "resume", run("failed", end=THEN, note=CANCELLED))
    assert airflow.cleared == [BRANCHED]


def test_restarting_runs_everything() -> None:
    """Every task is cleared, those that succeeded as well."""
    airflow = Clearable([QUEUED], (task("success"),))
    assert taken(airflow, "restart") == (QUEUED, "restarted")
    assert airflow.cleared == ["all"]


def test_waiting_clears_nothing() -> None:
    """A run that is only waited for is left as it is."""
    airflow = Clearable([])
    assert taken(airflow, "wait") == (FAILED, "attached")
    assert airflow.cleared == []


@pytest.mark.parametrize(
    ("looks", "answers", "times"),
    [
        ([QUEUED], [DOWN], 1),  # the answer was lost, the clear was not
        ([FAILED, QUEUED], [DOWN, None], 2),  # the clear was lost
        ([run("failed", end=NOW)], [DOWN], 1),  # it ran and failed anew meanwhile
        ([DOWN, QUEUED], [DOWN], 1),
    ],
)
def test_an_unclear_clear_is_settled_by_reading(looks: list[Any], answers: list[Any], times: int) -> None:
    """A clear is repeated only when reading says that it had no effect, and the old end is never returned."""
    airflow = Clearable(looks, (task("failed"),), answers)
    assert taken(airflow, "resume")[0] != FAILED
    assert len(airflow.cleared) == times


@pytest.mark.parametrize("answer", [None, DOWN])
def test_a_clear_without_effect_ends_as_an_error(answer: Any) -> None:
    """The old failure is not waited upon for ever."""
    airflow = Clearable([FAILED] * 99, (task("failed"),), [answer] * 99)
    with pytest.raises(ActionError) as caught:
        taken(airflow, "resume")
    assert isinstance(caught.value, (AirflowUnreachable, UnexpectedAnswer))
    assert len(airflow.cleared) == REPEATS


def test_the_mark_of_a_cancel_is_removed_once_the_run_lives_again() -> None:
    """Otherwise a later attempt would take its success for a stopped run."""
    airflow = Clearable([run("queued", note=f"by octocat\n{CANCELLED}")], (task("skipped"),))
    found, _ = taken(airflow, "resume", run("success", end=THEN, note=f"by octocat\n{CANCELLED}"))
    assert airflow.notes == ["by octocat"]
    assert (found.note, found.cancelled) == ("by octocat", False)
