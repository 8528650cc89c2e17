"""Stopping a run and making sure of it, as tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.errors import Forbidden, TransientError, Unauthorized
from entrypoint.models import CANCELLED_MARK, DagRun
from entrypoint.run.stop import ABSENT_SECONDS, CONFIRM_SECONDS, MAX_REPEATED_STOPS, Stopped, stop
from tests.support.factories import ManyTasks, a_task
from tests.support.scripted import Bench, Script

if TYPE_CHECKING:
    from entrypoint.models import TaskList
    from tests.support.virtual_time import VirtualTime

DOWN = TransientError("down", "", "")
DENIED, REFUSED = Forbidden("no", "", ""), Unauthorized("who", "", "")


def run(state: Any, note: str = "") -> DagRun:
    """Return the run in this state."""
    return DagRun("sales", "r1", state, {}, note=note)


QUEUED, RUNNING, SUCCESS, FAILED = run("queued"), run("running"), run("success"), run("failed")
OVERWRITTEN = run("success", CANCELLED_MARK)


@dataclass
class Stoppable:
    """An Airflow of which only the looks and the order to fail matter."""

    get_run: Script
    mark_failed: Script
    tasks: Script
    notes: list[str] = field(default_factory=list)

    def set_note(self, _run: DagRun, note: str) -> None:
        """Take down the note."""
        self.notes.append(note)

    def task_instances(self, *which: str, states: tuple[str, ...], most: int) -> TaskList:
        """Read those in these states, as many as are wanted."""
        return ManyTasks(self.tasks()).task_instances(*which, states=states, most=most)


def stopped(
    looks: list[Any],
    fails: list[Any],
    tasks: list[Any] = [()] * 99,
    *,
    last_seen: DagRun | None = None,
    confirm: bool = True,
) -> tuple[Stopped, VirtualTime, int]:
    """Stop through these answers; return what came of it, the clock, and how often the run was
    failed.
    """
    bench = Bench()
    airflow: Any = Stoppable(Script(looks), Script(fails), Script(tasks))
    end = stop(
        airflow,
        "sales",
        "r1",
        bench.retrier,
        last_seen=last_seen,
        confirm=confirm,
        until=bench.time.now + 50,
    )
    return end, bench.time, airflow.mark_failed.calls


@pytest.mark.parametrize(
    ("looks", "fails", "end", "times_failed"),
    [
        ([RUNNING] + [FAILED] * 99, [FAILED], FAILED, 1),
        ([QUEUED] + [FAILED] * 99, [FAILED], FAILED, 1),
        (
            [RUNNING, FAILED, RUNNING] + [FAILED] * 99,
            [FAILED, FAILED],
            FAILED,
            2,
        ),  # comes back to life
        (
            [RUNNING, SUCCESS] + [FAILED] * 99,
            [FAILED, FAILED],
            FAILED,
            2,
        ),  # overwritten by the scheduler
        (
            [OVERWRITTEN] + [FAILED] * 99,
            [FAILED],
            FAILED,
            1,
        ),  # overwritten before this process began
        (
            [RUNNING, RUNNING, SUCCESS] + [FAILED] * 99,
            [DOWN, DENIED, FAILED],
            FAILED,
            3,
        ),  # which of us ended it?
        ([DOWN, RUNNING, DOWN] + [FAILED] * 99, [FAILED], FAILED, 1),
        ([RUNNING, RUNNING] + [FAILED] * 99, [DOWN, FAILED], FAILED, 2),  # the order was lost
        ([None, RUNNING] + [FAILED] * 99, [FAILED], FAILED, 1),  # its trigger was still on the way
        ([SUCCESS], [], SUCCESS, 0),  # had ended by itself
        (
            [RUNNING, SUCCESS],
            [DENIED],
            SUCCESS,
            1,
        ),  # ended by itself after an order that was refused
        ([FAILED] * 99, [], FAILED, 0),  # the same
        (
            [DENIED, REFUSED, RUNNING, DENIED] + [FAILED] * 99,
            [FAILED],
            FAILED,
            1,
        ),  # a gateway's rule, that passes
        ([RUNNING, RUNNING, RUNNING] + [FAILED] * 99, [DENIED, REFUSED, FAILED], FAILED, 3),
        ([None] * 99, [None], None, 1),  # was never made
        ([None] * 32 + [FAILED] * 99, [FAILED], FAILED, 1),  # a cache says that it was not
        ([RUNNING] + [None] * 99, [None], None, 1),  # deleted meanwhile
    ],
)
def test_what_airflow_does_meanwhile(
    looks: list[Any], fails: list[Any], end: DagRun | None, times_failed: int
) -> None:
    """The run is failed as often as needed and no oftener, and the end is confirmed."""
    found, _, failed = stopped(looks, fails)
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
def test_a_task_that_goes_on_is_stopped_as_well(tasks: list[Any], times_failed: int) -> None:
    """A run counts as stopped when none of its tasks is at work any more, as far as the credential
    may know.
    """
    found, _, failed = stopped([RUNNING] + [FAILED] * 99, [FAILED] * 9, tasks)
    assert (found.run, found.confirmed, failed) == (FAILED, True, times_failed)


def test_a_stop_is_believed_only_after_a_while() -> None:
    """A run must stay failed, and a missing one stay away, before that counts."""
    assert stopped([RUNNING] + [FAILED] * 99, [FAILED])[1].now >= 1000 + CONFIRM_SECONDS
    assert stopped([None] * 99, [None])[1].now >= 1000 + ABSENT_SECONDS


def test_without_time_the_first_answer_is_believed() -> None:
    """In the seconds of a cancel a run that was alive is failed at once, with one request."""
    found, time, failed = stopped([], [FAILED], last_seen=RUNNING, confirm=False)
    assert (found, failed, time.slept) == (
        Stopped(FAILED, confirmed=True, by_this_step=True),
        1,
        [],
    )


def test_without_time_a_run_that_is_on_its_way_is_waited_for() -> None:
    """A cancel during the trigger stops the run as soon as Airflow has made it, and never claims
    that there will be none.
    """
    assert stopped([None, None, RUNNING], [FAILED], confirm=False)[0] == Stopped(
        FAILED, confirmed=True, by_this_step=True
    )
    assert stopped([None] * 99, [None], confirm=False)[1].now >= 1000 + ABSENT_SECONDS


@pytest.mark.parametrize("looks", [[DOWN] * 99, [RUNNING] * 99])
def test_what_cannot_be_confirmed_is_not_claimed(looks: list[Any]) -> None:
    """An Airflow that is down or does not obey leaves the stop unconfirmed, at the deadline."""
    found, time, _ = stopped(looks, [DOWN] * 99)
    assert (found.confirmed, found.fault) == (False, DOWN)
    assert time.now == 1050
    assert found.run in (None, RUNNING)


def test_a_missing_permission_is_told() -> None:
    """It may be a gateway's rule that passes; what stays to the end is told."""
    found, time, _ = stopped([RUNNING] * 99, [DENIED] * 99)
    assert found == Stopped(RUNNING, confirmed=False, by_this_step=False, fault=DENIED)
    assert time.now == 1050


def test_the_mark_is_written_until_it_is_there() -> None:
    """Without it a later attempt may take what the scheduler makes of the run for a success."""
    bench = Bench()
    marked = run("failed", CANCELLED_MARK)
    airflow: Any = Stoppable(
        Script([RUNNING, FAILED, FAILED] + [marked] * 99), Script([FAILED]), Script([()] * 99)
    )
    stop(
        airflow,
        "sales",
        "r1",
        bench.retrier,
        last_seen=None,
        confirm=True,
        until=bench.time.now + 50,
    )
    assert airflow.notes == [CANCELLED_MARK] * 3


def test_a_success_of_a_run_that_this_step_has_stopped_is_none() -> None:
    """The scheduler made it, before the post stage began: the run is stopped once more."""
    bench = Bench()
    airflow: Any = Stoppable(Script([SUCCESS] + [FAILED] * 99), Script([FAILED]), Script([()] * 99))
    found = stop(
        airflow,
        "sales",
        "r1",
        bench.retrier,
        last_seen=None,
        confirm=True,
        until=bench.time.now + 50,
        already_stopped=True,
    )
    assert (found, airflow.mark_failed.calls) == (
        Stopped(FAILED, confirmed=True, by_this_step=True),
        1,
    )
