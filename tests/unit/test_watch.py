"""Watching the task instances of a run, on a clock that the test turns: when it reads, what it tells, when it asks why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.errors import AirflowUnreachable, Forbidden, UnexpectedAnswer
from entrypoint.gate.watch import AGAIN, OFTEN, SELDOM, STALLED, STALLED_AT_WORK, STALLED_UNWATCHED, Watch
from entrypoint.models import Blocker, DagRun, TaskInstance
from tests.support.nouns import a_run, a_task
from tests.support.scripted import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1000.0
THEN = datetime(2026, 1, 31, tzinfo=UTC)
QUEUED, RUNNING = a_run(state="queued"), a_run(state="running")
PAUSED, FULL = Blocker("The DAG is paused", "", ""), Blocker("The pool is full", "", "")


@dataclass
class Tasks:
    """An Airflow of which only the task instances matter, and its clock. `shown` says what there is to read at a time."""

    bench: Bench
    shown: Callable[[float], Any] = lambda _: ()
    clocked: bool = True
    asked: list[tuple[float, datetime | None]] = field(default_factory=list)

    @property
    def now(self) -> datetime | None:
        """Return this Airflow's clock."""
        return THEN + timedelta(seconds=self.bench.time.now - START) if self.clocked else None

    def task_instances(self, _dag: str, _run: str, since: datetime | None = None) -> tuple[TaskInstance, ...]:
        """Take down when it was asked, and for changes since when."""
        passed = self.bench.time.now - START
        self.asked.append((passed, since))
        answer = self.shown(passed)
        if isinstance(answer, Exception):
            raise answer
        return tuple(answer)


@dataclass
class Watching:
    """A watch, looked at once a second. `why` says what keeps the run from moving."""

    shown: Callable[[float], Any] = lambda _: ()
    why: Callable[[float], tuple[Blocker, ...]] = lambda _: ()
    clocked: bool = True
    live: bool = True
    diagnosed: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bench = Bench()
        self.airflow = Tasks(self.bench, self.shown, self.clocked)
        self.watch = Watch(self.bench.extras(self.airflow), self.bench.patience, self._diagnose, live=self.live)

    def _diagnose(self, _run: DagRun, _tasks: tuple[TaskInstance, ...]) -> tuple[Blocker, ...]:
        self.diagnosed.append(self.bench.time.now - START)
        return self.why(self.bench.time.now - START)

    def look(self, run: DagRun, seconds: int, pause: float = 1.0) -> Watching:
        """Look at the run again and again for so many seconds, the first time at once."""
        for _ in range(int(seconds / pause)):
            self.watch.look(run)
            self.bench.time.now += pause
        return self

    @property
    def reads(self) -> list[float]:
        """The seconds at which the task instances were read."""
        return [passed for passed, _ in self.airflow.asked]

    @property
    def gaps(self) -> list[float]:
        """The seconds between two reads."""
        return [later - earlier for earlier, later in pairwise(self.reads)]


def test_a_queued_run_has_no_tasks_to_look_at() -> None:
    """As long as the run is queued nothing is read, and once it runs at once."""
    watching = Watching().look(QUEUED, 600)
    assert watching.reads == []
    assert watching.look(RUNNING, 1).reads == [600.0]


@pytest.mark.parametrize(
    "shown",
    [lambda _: [a_task(state="running")], lambda passed: [a_task(state="running", try_number=int(passed / 10))]],
)
def test_reading_slows_down(shown: Callable[[float], Any]) -> None:
    """Whether its tasks change or not, a run is read less and less often, and at the least once a minute."""
    watching = Watching(shown).look(RUNNING, 3600)

    assert watching.gaps[0] == OFTEN
    assert watching.gaps == sorted(watching.gaps)
    assert watching.gaps[-1] == SELDOM
    assert sum(passed <= 600 for passed in watching.reads) == 17


def test_a_run_that_is_not_to_be_told_live_is_read_only_once_it_stalls() -> None:
    """Without live progress nothing is read but the tasks of a run that has been running for very long."""
    watching = Watching(live=False).look(QUEUED, 10).look(RUNNING, 2000)

    assert watching.reads == [10 + STALLED_UNWATCHED + more for more in (0, AGAIN, 3 * AGAIN, 7 * AGAIN, 15 * AGAIN)]
    assert watching.diagnosed == watching.reads


@pytest.mark.parametrize("live", [True, False])
def test_when_it_is_to_be_asked_again(live: bool) -> None:  # noqa: FBT001 - a table of pytest's
    """It says when it wants to be called: at once for a change that is to be told, else when it would do something."""
    watching = Watching(lambda _: [a_task(state="running")], live=live)
    watch, time = watching.watch, watching.bench.time
    assert watch.due(QUEUED) == time.now
    watching.look(QUEUED, 1)
    assert watch.due(QUEUED) == START + STALLED
    assert watch.due(RUNNING) == (time.now if live else inf)
    watching.look(RUNNING, 1)
    assert watch.due(RUNNING) == START + 1 + (OFTEN if live else STALLED_UNWATCHED)


def test_a_run_that_was_cleared_is_read_at_once() -> None:
    """A run that was quiet for long, was cleared and runs again is not left to the slow pace of before."""
    watching = Watching(lambda _: [a_task(state="running")]).look(RUNNING, 1000).look(QUEUED, 2).look(RUNNING, 1)

    assert watching.reads[-2] < 1000
    assert watching.reads[-1] == 1002


@pytest.mark.parametrize("pause", [0.5, 2.0, 10.0, 60.0])
def test_no_look_reads_twice(pause: float) -> None:
    """However often or seldom the run itself is looked at, its tasks are read at the most once for each look."""
    watching = Watching().look(RUNNING, 300, pause)

    assert len(watching.reads) == len(set(watching.reads)) <= 300 / pause
    assert min(watching.gaps) >= max(OFTEN, pause)


def test_only_changes_are_asked_for() -> None:
    """After the first time only what changed since the last read is asked for, on Airflow's clock, with some overlap."""
    asked = Watching().look(RUNNING, 60).airflow.asked

    assert asked[0][1] is None
    for (before, _), (_, since) in pairwise(asked):
        assert since is not None
        assert timedelta(seconds=10) <= THEN + timedelta(seconds=before) - since <= timedelta(minutes=2)


def test_an_airflow_without_a_clock_is_asked_for_everything() -> None:
    """Where Airflow's time is not known, nothing can be left out."""
    asked = Watching(clocked=False).look(RUNNING, 60).airflow.asked

    assert {since for _, since in asked} == {None}


@pytest.mark.parametrize("fault", [AirflowUnreachable("down", "", ""), UnexpectedAnswer("page", "", "")])
def test_a_read_that_fails_loses_no_change(fault: Exception) -> None:
    """After a failure the next read asks for the changes since the last one that worked, and what is known stays known."""
    watching = Watching(lambda passed: fault if 10 <= passed < 30 else [a_task(state="running")]).look(RUNNING, 60)
    since = dict(watching.airflow.asked)
    failed = [passed for passed in since if 10 <= passed < 30]
    after = next(passed for passed in since if passed >= 30)

    assert failed
    assert {since[passed] for passed in failed[1:]} | {since[after]} == {since[failed[0]]}
    assert [task.state for task in watching.watch.tasks] == ["running"]
    assert len(watching.bench.told.untold) == len(failed)


def test_without_the_permission_to_read_tasks_only_they_are_not_watched() -> None:
    """A refusal is said once and ends the reading; why the run stands still is still looked for."""
    watching = Watching(lambda _: Forbidden("no", "", ""), lambda _: (PAUSED,)).look(RUNNING, 100)

    assert watching.reads == [0.0]
    assert len(watching.bench.told.sentences) == 1
    assert watching.bench.told.blockers == [PAUSED.title]


def test_changes_are_told() -> None:
    """What is new and what has changed is told once, each as it was and as it is, with how many are known in all."""
    first = [
        a_task("extract", state="success"),
        a_task("load", state="running"),
        a_task("wide", state=None, map_index=3),
    ]
    then = [a_task("load", state="failed"), a_task("publish", state="upstream_failed")]
    watching = Watching(lambda passed: first if passed < 10 else then).look(RUNNING, 60)

    assert watching.bench.told.changes == [
        [("new", "extract", "success"), ("new", "load", "running"), ("new", "wide[3]", None)],
        [("running", "load", "failed"), ("new", "publish", "upstream_failed")],
    ]
    assert watching.bench.told.known == [3, 4]
    assert [(task.name, task.state) for task in watching.watch.tasks] == [
        ("extract", "success"),
        ("load", "failed"),
        ("wide[3]", None),
        ("publish", "upstream_failed"),
    ]


def test_what_is_read_at_the_end_is_told_as_well() -> None:
    """Task instances that somebody else has read are compared with what is known, too."""
    watching = Watching(lambda _: [a_task(state="running")]).look(RUNNING, 10)
    watching.watch.saw((a_task(state="success"),))
    watching.watch.saw((a_task(state="success"),))

    assert watching.bench.told.changes[1:] == [[("running", "extract", "success")]]


def diagnoses(first: float) -> list[float]:
    """When the reason is looked for within 20 minutes without a change: twice the pause each time."""
    return [first, first + AGAIN, first + 3 * AGAIN, first + 7 * AGAIN, first + 15 * AGAIN]


@pytest.mark.parametrize(
    ("run", "states", "first"),
    [
        (QUEUED, [], STALLED),
        (RUNNING, [], STALLED),
        (RUNNING, [None], STALLED),
        (RUNNING, ["scheduled", None], STALLED),
        (RUNNING, ["queued", "success"], STALLED),
        (RUNNING, ["awaiting_input"], STALLED),
        (RUNNING, ["running", "scheduled"], STALLED_AT_WORK),
        (RUNNING, ["deferred"], STALLED_AT_WORK),
        (RUNNING, ["up_for_retry"], STALLED_AT_WORK),
        (RUNNING, ["up_for_reschedule", None], STALLED_AT_WORK),
    ],
)
def test_when_the_reason_is_looked_for(run: DagRun, states: list[str | None], first: float) -> None:
    """A run without a change is asked for its reason, later if a task is at work, and then at growing pauses."""
    tasks = [a_task(f"t{number}", state=state) for number, state in enumerate(states)]
    watching = Watching(lambda _: tasks).look(run, 1200)

    assert watching.diagnosed == diagnoses(first)


def test_a_run_that_moves_is_not_asked_for_reasons() -> None:
    """As long as anything changes often enough there is nothing to explain."""
    assert (
        Watching(lambda passed: [a_task(state="running", try_number=int(passed / 12))]).look(RUNNING, 600).diagnosed
        == []
    )
    assert Watching().look(QUEUED, int(STALLED)).look(RUNNING, int(STALLED)).diagnosed == []


def test_a_reason_is_told_once() -> None:
    """What keeps the run from moving is told when it is found, again only if it is found anew, and is known meanwhile."""
    watching = Watching(why=lambda passed: (PAUSED,) if passed < 100 else (PAUSED, FULL)).look(QUEUED, 60)
    assert watching.bench.told.blockers == [PAUSED.title]
    assert list(watching.watch.blockers) == [PAUSED]

    watching.look(QUEUED, 1200)
    assert watching.bench.told.blockers == [PAUSED.title, FULL.title]
    assert list(watching.watch.blockers) == [PAUSED, FULL]


def test_a_change_begins_everything_anew() -> None:
    """A run that moved and stands still again is explained again, as soon as the first time."""
    watching = Watching(lambda _: [a_task(state="scheduled")], lambda _: (PAUSED,)).look(QUEUED, 500)
    watching.look(RUNNING, 1)
    assert list(watching.watch.blockers) == []

    watching.look(RUNNING, 60)
    assert watching.diagnosed == [STALLED, STALLED + AGAIN, STALLED + 3 * AGAIN, STALLED + 7 * AGAIN, 500 + STALLED]
    assert watching.bench.told.blockers == [PAUSED.title, PAUSED.title]


def test_a_mapped_task_that_was_expanded() -> None:
    """Once a mapped task is expanded, what stood for all of its instances is none of them any more."""
    before = [a_task("wide", state=None)]
    after = [a_task("wide", map_index=0, state="running"), a_task("wide", map_index=1, state="running")]
    watching = Watching(lambda passed: before if passed < 10 else after).look(RUNNING, 60)

    assert [task.name for task in watching.watch.tasks] == ["wide[0]", "wide[1]"]
