"""Stopping a DAG run and confirming it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.airflow.client import Run
from entrypoint.errors import Forbidden, TransientError, Unauthorized
from entrypoint.models import CANCELLED_MARK, DagRun
from entrypoint.run.stop import (
    ABSENT_SECONDS,
    CONFIRM_SECONDS,
    MAX_REPEATED_STOPS,
    RunToStop,
    Stopped,
    stop,
)
from tests.support.factories import ManyTasks, a_task
from tests.support.scripted import Harness, ScriptedCall

if TYPE_CHECKING:
    from entrypoint.models import TaskList
    from tests.support.virtual_time import VirtualTime

DOWN = TransientError("down", "", "")
DENIED, REFUSED = Forbidden("no", "", ""), Unauthorized("who", "", "")


def run_in(state: Any, note: str = "") -> DagRun:
    return DagRun("sales", "r1", state, {}, note=note)


QUEUED, RUNNING, SUCCESS, FAILED = (
    run_in("queued"),
    run_in("running"),
    run_in("success"),
    run_in("failed"),
)
OVERWRITTEN = run_in("success", CANCELLED_MARK)


@dataclass
class StoppableRun:
    """An Airflow in which a run can be marked as failed."""

    get_run: ScriptedCall
    mark_failed: ScriptedCall
    tasks: ScriptedCall
    notes: list[str] = field(default_factory=list)

    def set_note(self, _run: DagRun, note: str) -> None:
        self.notes.append(note)

    def task_instances(self, *which: str, states: tuple[str, ...], most: int) -> TaskList:
        return ManyTasks(self.tasks()).task_instances(*which, states=states, most=most)


def stop_run(
    polls: list[Any],
    fails: list[Any],
    tasks: list[Any] = [()] * 99,
    *,
    last_seen: DagRun | None = None,
    confirm: bool = True,
) -> tuple[Stopped, VirtualTime, int]:
    """Return the result, the clock, and how often the run was marked as failed."""
    harness = Harness()
    airflow: Any = StoppableRun(ScriptedCall(polls), ScriptedCall(fails), ScriptedCall(tasks))
    (end,) = stop(
        [RunToStop(Run(airflow, "sales", "r1"), last_seen)],
        harness.retrier.within(harness.deadline(50)),
        confirm=confirm,
    )
    return end, harness.time, airflow.mark_failed.calls


@pytest.mark.parametrize(
    ("polls", "fails", "end", "times_failed"),
    [
        ([RUNNING] + [FAILED] * 99, [FAILED], FAILED, 1),
        ([QUEUED] + [FAILED] * 99, [FAILED], FAILED, 1),
        # runs again
        ([RUNNING, FAILED, RUNNING] + [FAILED] * 99, [FAILED, FAILED], FAILED, 2),
        # overwritten by the scheduler
        ([RUNNING, SUCCESS] + [FAILED] * 99, [FAILED, FAILED], FAILED, 2),
        # overwritten before this process began
        ([OVERWRITTEN] + [FAILED] * 99, [FAILED], FAILED, 1),
        # ended by itself or by a lost request
        ([RUNNING, RUNNING, SUCCESS] + [FAILED] * 99, [DOWN, DENIED, FAILED], FAILED, 3),
        ([DOWN, RUNNING, DOWN] + [FAILED] * 99, [FAILED], FAILED, 1),
        ([RUNNING, RUNNING] + [FAILED] * 99, [DOWN, FAILED], FAILED, 2),  # the request was lost
        ([None, RUNNING] + [FAILED] * 99, [FAILED], FAILED, 1),  # the trigger had not arrived yet
        ([SUCCESS], [], SUCCESS, 0),  # had ended before
        # ended by itself after a refusal
        ([RUNNING, SUCCESS], [DENIED], SUCCESS, 1),
        ([FAILED] * 99, [], FAILED, 0),  # the same
        # a gateway refuses for a short time
        ([DENIED, REFUSED, RUNNING, DENIED] + [FAILED] * 99, [FAILED], FAILED, 1),
        ([RUNNING, RUNNING, RUNNING] + [FAILED] * 99, [DENIED, REFUSED, FAILED], FAILED, 3),
        ([None] * 99, [None], None, 1),  # was never created
        ([None] * 32 + [FAILED] * 99, [FAILED], FAILED, 1),  # a cache says that it is missing
        ([RUNNING] + [None] * 99, [None], None, 1),  # deleted in between
    ],
)
def test_run_is_marked_failed_as_often_as_needed_and_confirmed(
    polls: list[Any], fails: list[Any], end: DagRun | None, times_failed: int
) -> None:
    found, _, failed = stop_run(polls, fails)
    assert (found.run, found.confirmed, failed) == (end, True, times_failed)
    assert found.by_this_step is (times_failed > 0 and end not in (SUCCESS, None))


@pytest.mark.parametrize(
    ("tasks", "times_failed"),
    [
        ([(a_task(state="failed"), a_task(state="skipped"), a_task(state=None))], 1),
        ([(a_task(state="running"),), ()], 2),
        (
            [
                (a_task(state="queued"),),
                DOWN,
                (a_task(state="success"), a_task(state="restarting")),
                (),
            ],
            3,
        ),
        ([Forbidden("no", "", "")], 1),
        ([(a_task(state="running"),)] * 99, 1 + MAX_REPEATED_STOPS),  # a teardown
    ],
)
def test_run_counts_as_stopped_when_no_task_is_active(tasks: list[Any], times_failed: int) -> None:
    """Without permission to read tasks the run's state is enough."""
    found, _, failed = stop_run([RUNNING] + [FAILED] * 99, [FAILED] * 9, tasks)
    assert (found.run, found.confirmed, failed) == (FAILED, True, times_failed)


def test_stop_is_confirmed_only_after_the_state_has_lasted() -> None:
    assert stop_run([RUNNING] + [FAILED] * 99, [FAILED])[1].now >= 1000 + CONFIRM_SECONDS
    assert stop_run([None] * 99, [None])[1].now >= 1000 + ABSENT_SECONDS


def test_stop_without_time_is_one_request() -> None:
    found, time, failed = stop_run([], [FAILED], last_seen=RUNNING, confirm=False)
    assert (found, failed, time.slept) == (
        Stopped(FAILED, confirmed=True, by_this_step=True),
        1,
        [],
    )


def test_stop_during_the_trigger_waits_for_the_run() -> None:
    assert stop_run([None, None, RUNNING], [FAILED], confirm=False)[0] == Stopped(
        FAILED, confirmed=True, by_this_step=True
    )
    assert stop_run([None] * 99, [None], confirm=False)[1].now >= 1000 + ABSENT_SECONDS


@pytest.mark.parametrize("polls", [[DOWN] * 99, [RUNNING] * 99])
def test_unconfirmed_stop_ends_at_the_deadline(polls: list[Any]) -> None:
    found, time, _ = stop_run(polls, [DOWN] * 99)
    assert (found.confirmed, found.error) == (False, DOWN)
    assert time.now == 1050
    assert found.run in (None, RUNNING)


def test_refusal_is_retried_and_reported_at_the_deadline() -> None:
    found, time, _ = stop_run([RUNNING] * 99, [DENIED] * 99)
    assert found == Stopped(RUNNING, confirmed=False, by_this_step=False, error=DENIED)
    assert time.now == 1050


def test_cancel_mark_is_retried_until_it_is_written() -> None:
    """Without it a later attempt may take the run for a success."""
    harness = Harness()
    marked = run_in("failed", CANCELLED_MARK)
    airflow: Any = StoppableRun(
        ScriptedCall([RUNNING, FAILED, FAILED] + [marked] * 99),
        ScriptedCall([FAILED]),
        ScriptedCall([()] * 99),
    )
    run = RunToStop(Run(airflow, "sales", "r1"))
    stop([run], harness.retrier.within(harness.deadline(50)), confirm=True)
    assert airflow.notes == [CANCELLED_MARK] * 3


def test_success_of_a_stopped_run_is_stopped_again() -> None:
    """The scheduler may end it before the post stage begins."""
    harness = Harness()
    airflow: Any = StoppableRun(
        ScriptedCall([SUCCESS] + [FAILED] * 99), ScriptedCall([FAILED]), ScriptedCall([()] * 99)
    )
    (found,) = stop(
        [RunToStop(Run(airflow, "sales", "r1"), stopped=True)],
        harness.retrier.within(harness.deadline(50)),
        confirm=True,
    )
    assert (found, airflow.mark_failed.calls) == (
        Stopped(FAILED, confirmed=True, by_this_step=True),
        1,
    )
