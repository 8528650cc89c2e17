"""Watching the task instances of a run, on a clock that the test turns: when it reads, what it
tells, when it asks why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.diagnostics.progress import (
    MAX_INTERVAL_SECONDS,
    MIN_INTERVAL_SECONDS,
    REPEAT_SECONDS,
    RETRY_SECONDS,
    STALL_SECONDS,
    STALL_SECONDS_ACTIVE,
    STALL_SECONDS_UNWATCHED,
    ProgressTracker,
)
from entrypoint.errors import Forbidden, TransientError, UnexpectedResponse
from entrypoint.http.retry import REFUSAL_RESPONSES, REFUSAL_SECONDS
from entrypoint.models import Blocker, DagRun, TaskInstance, TaskList
from tests.support.factories import ManyTasks, a_list, a_run, a_task
from tests.support.scripted import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1000.0
THEN = datetime(2026, 1, 31, tzinfo=UTC)
QUEUED, RUNNING = a_run(state="queued"), a_run(state="running")
PAUSED, FULL = Blocker("The DAG is paused", "", ""), Blocker("The pool is full", "", "")


@dataclass
class Tasks:
    """An Airflow of which only the task instances matter, and its clock. `shown` says what there is
    to read at a time.
    """

    bench: Bench
    shown: Callable[[float], Any] = lambda _: ()
    clocked: bool = True
    asked: list[tuple[float, datetime | None]] = field(default_factory=list)

    @property
    def now(self) -> datetime | None:
        """Return this Airflow's clock."""
        return THEN + timedelta(seconds=self.bench.time.now - START) if self.clocked else None

    def task_instances(self, dag_id: str, run_id: str, **only: Any) -> TaskList:
        """Take down when it was asked, and for changes since when."""
        passed = self.bench.time.now - START
        self.asked.append((passed, only.get("changed_since")))
        answer = self.shown(passed)
        if isinstance(answer, Exception):
            raise answer
        return ManyTasks(tuple(answer)).task_instances(dag_id, run_id, **only)


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
        self.watch = ProgressTracker(
            self.bench.optional(self.airflow), self.bench.retrier, self._diagnose, live=self.live
        )

    def _diagnose(self, _run: DagRun, _tasks: tuple[TaskInstance, ...]) -> tuple[Blocker, ...]:
        self.diagnosed.append(self.bench.time.now - START)
        return self.why(self.bench.time.now - START)

    def look(self, run: DagRun, seconds: int, pause: float = 1.0) -> Watching:
        """Look at the run again and again for so many seconds, the first time at once."""
        for _ in range(int(seconds / pause)):
            self.watch.update(run)
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


@pytest.mark.parametrize("every", [10, 60])
def test_reading_slows_down(every: int) -> None:
    """However often its tasks change, a run is read less and less often, and at the least once a
    minute.
    """
    watching = Watching(
        lambda passed: [a_task(state="running", try_number=int(passed / every))]
    ).look(RUNNING, 3600)

    assert watching.gaps[0] == MIN_INTERVAL_SECONDS
    assert watching.gaps == sorted(watching.gaps)
    assert watching.gaps[-1] == MAX_INTERVAL_SECONDS
    assert sum(passed <= 600 for passed in watching.reads) == 13


def test_a_run_that_is_not_to_be_told_live_is_read_only_once_it_stalls() -> None:
    """Without live progress nothing is read but the tasks of a run that has been running for very
    long.
    """
    watching = Watching(live=False).look(QUEUED, 10).look(RUNNING, 2000)

    assert watching.reads == [
        10 + STALL_SECONDS_UNWATCHED + pauses * RETRY_SECONDS for pauses in (0, 1, 3, 7, 15)
    ]
    assert watching.diagnosed == watching.reads


@pytest.mark.parametrize("live", [True, False])
def test_when_it_is_to_be_asked_again(live: bool) -> None:
    """It says when it wants to be called: at once for a change that is to be told, else when it
    would do something.
    """
    watching = Watching(lambda _: [a_task(state="running")], live=live)
    watch, time = watching.watch, watching.bench.time
    assert watch.next_update(QUEUED) == time.now
    watching.look(QUEUED, 1)
    assert watch.next_update(QUEUED) == START + STALL_SECONDS
    assert watch.next_update(RUNNING) == (time.now if live else inf)
    watching.look(RUNNING, 1)
    assert watch.next_update(RUNNING) == START + 1 + (
        MIN_INTERVAL_SECONDS if live else STALL_SECONDS_UNWATCHED
    )


def test_a_run_that_was_cleared_is_read_at_once() -> None:
    """A run that was quiet for long, was cleared and runs again is not left to the slow pace of
    before.
    """
    watching = (
        Watching(lambda _: [a_task(state="running")])
        .look(RUNNING, 1000)
        .look(QUEUED, 2)
        .look(RUNNING, 1)
    )

    assert watching.reads[-2] < 1000
    assert watching.reads[-1] == 1002


@pytest.mark.parametrize("pause", [0.5, 2.0, 10.0, 60.0])
def test_no_look_reads_twice(pause: float) -> None:
    """However often or seldom the run itself is looked at, its tasks are read at the most once for
    each look.
    """
    watching = Watching().look(RUNNING, 300, pause)

    assert len(watching.reads) == len(set(watching.reads)) <= 300 / pause
    assert min(watching.gaps) >= max(MIN_INTERVAL_SECONDS, pause)


def test_only_changes_are_asked_for() -> None:
    """After the first time only what changed since the last read is asked for, on Airflow's clock,
    with some overlap.
    """
    asked = Watching().look(RUNNING, 60).airflow.asked

    assert asked[0][1] is None
    for (before, _), (_, since) in pairwise(asked):
        assert since is not None
        assert (
            timedelta(seconds=10)
            <= THEN + timedelta(seconds=before) - since
            <= timedelta(minutes=2)
        )


def test_an_airflow_without_a_clock_is_asked_for_everything() -> None:
    """Where Airflow's time is not known, nothing can be left out."""
    asked = Watching(clocked=False).look(RUNNING, 60).airflow.asked

    assert {since for _, since in asked} == {None}


@pytest.mark.parametrize(
    "fault", [TransientError("down", "", ""), UnexpectedResponse("page", "", "")]
)
def test_a_read_that_fails_loses_no_change(fault: Exception) -> None:
    """After a failure the next read asks for the changes since the last one that worked, and what
    is known stays known.
    """
    watching = Watching(
        lambda passed: fault if 10 <= passed < 30 else [a_task(state="running")]
    ).look(RUNNING, 60)
    since = dict(watching.airflow.asked)
    failed = [passed for passed in since if 10 <= passed < 30]
    after = next(passed for passed in since if passed >= 30)

    assert failed
    assert {since[passed] for passed in failed[1:]} | {since[after]} == {since[failed[0]]}
    assert [task.state for task in watching.watch.tasks] == ["running"]
    assert len(watching.bench.told.unknown_fields) == len(failed)


def test_without_the_permission_to_read_tasks_only_they_are_not_watched() -> None:
    """A refusal that stays is said once and ends the reading; why the run stands still is still
    looked for.
    """
    watching = Watching(lambda _: Forbidden("no", "", ""), lambda _: (PAUSED,)).look(RUNNING, 400)

    assert len(watching.reads) == REFUSAL_RESPONSES
    assert REFUSAL_SECONDS <= watching.reads[-1] <= 2 * REFUSAL_SECONDS
    assert len(watching.bench.told.sentences) == 1
    assert watching.bench.told.blockers == [PAUSED.title]


def test_changes_are_told() -> None:
    """What is new and what has changed is told once, each as it was and as it is, with how many are
    known in all.
    """
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
    watching.watch.record_final(a_list(a_task(state="success")))
    watching.watch.record_final(a_list(a_task(state="success")))

    assert watching.bench.told.changes[1:] == [[("running", "extract", "success")]]


def diagnoses(first: float) -> list[float]:
    """When the reason is looked for within 20 minutes without a change: twice the pause each
    time.
    """
    return [
        first + pauses * RETRY_SECONDS
        for pauses in (0, 1, 3, 7, 15)
        if first + pauses * RETRY_SECONDS < 1200
    ]


@pytest.mark.parametrize(
    ("run", "states", "first"),
    [
        (QUEUED, [], STALL_SECONDS),
        (RUNNING, [], STALL_SECONDS),
        (RUNNING, [None], STALL_SECONDS),
        (RUNNING, ["scheduled", None], STALL_SECONDS),
        (RUNNING, ["queued", "success"], STALL_SECONDS),
        (RUNNING, ["awaiting_input"], STALL_SECONDS),
        (RUNNING, ["running", "scheduled"], STALL_SECONDS_ACTIVE),
        (RUNNING, ["deferred"], STALL_SECONDS_ACTIVE),
        (RUNNING, ["up_for_retry"], STALL_SECONDS_ACTIVE),
        (RUNNING, ["up_for_reschedule", None], STALL_SECONDS_ACTIVE),
    ],
)
def test_when_the_reason_is_looked_for(run: DagRun, states: list[str | None], first: float) -> None:
    """A run without a change is asked for its reason, later if a task is at work, and then at
    growing pauses.
    """
    tasks = [a_task(f"t{number}", state=state) for number, state in enumerate(states)]
    watching = Watching(lambda _: tasks).look(run, 1200)

    assert watching.diagnosed == diagnoses(first)


def test_a_run_that_moves_is_not_asked_for_reasons() -> None:
    """As long as anything changes often enough there is nothing to explain."""
    assert (
        Watching(lambda passed: [a_task(state="running", try_number=int(passed / 12))])
        .look(RUNNING, 600)
        .diagnosed
        == []
    )
    assert (
        Watching().look(QUEUED, int(STALL_SECONDS)).look(RUNNING, int(STALL_SECONDS)).diagnosed
        == []
    )


def test_the_reason_is_looked_for_among_tasks_as_they_are() -> None:
    """A run that seems to stand still is read once more before: what began since the last look is
    at work.
    """
    watching = Watching(lambda _: [a_task(state="scheduled")]).look(RUNNING, 600)

    assert watching.diagnosed == diagnoses(STALL_SECONDS)[:4]
    assert all(
        any(asked - MIN_INTERVAL_SECONDS < read <= asked for read in watching.reads)
        for asked in watching.diagnosed
    )


def test_a_reason_is_told_once() -> None:
    """What keeps the run from moving is told when it is found, again only if it is found anew, and
    is known meanwhile.
    """
    watching = Watching(why=lambda passed: (PAUSED,) if passed < 100 else (PAUSED, FULL)).look(
        QUEUED, 60
    )
    assert watching.bench.told.blockers == [PAUSED.title]
    assert list(watching.watch.blockers) == [PAUSED]

    watching.look(QUEUED, 1200)
    assert watching.bench.told.blockers == [PAUSED.title, FULL.title]
    assert list(watching.watch.blockers) == [PAUSED, FULL]


def test_a_change_begins_everything_anew() -> None:
    """A run that moved and stands still again is explained again, as soon as the first time."""
    watching = Watching(lambda _: [a_task(state="scheduled")], lambda _: (PAUSED,)).look(
        QUEUED, 500
    )
    watching.look(RUNNING, 1)
    assert list(watching.watch.blockers) == []

    watching.look(RUNNING, 60)
    assert watching.diagnosed == [
        STALL_SECONDS,
        STALL_SECONDS + REPEAT_SECONDS,
        500 + STALL_SECONDS,
    ]
    assert watching.bench.told.blockers == [PAUSED.title, PAUSED.title]


def test_a_mapped_task_that_was_expanded() -> None:
    """Once a mapped task is expanded, what stood for all of its instances is none of them any
    more.
    """
    before = [a_task("wide", state=None)]
    after = [
        a_task("wide", map_index=0, state="running"),
        a_task("wide", map_index=1, state="running"),
    ]
    watching = Watching(lambda passed: before if passed < 10 else after).look(RUNNING, 60)

    assert [task.name for task in watching.watch.tasks] == ["wide[0]", "wide[1]"]


def wide(
    failed: int = 0, running: int = 0, rest: str = "success", total: int = 500
) -> list[TaskInstance]:
    """The instances of a mapped task, more than one answer holds."""
    states = ["failed"] * failed + ["running"] * running + [rest] * (total - failed - running)
    return [a_task("load", map_index=index, state=state) for index, state in enumerate(states)]


def test_a_wide_run_is_counted() -> None:
    """A run with more changes than one answer holds costs four requests at first and three a look,
    however wide it is.
    """
    watching = Watching(lambda passed: wide(running=int(400 - passed))).look(RUNNING, 60)
    looks = watching.reads

    assert [looks.count(when) for when in dict.fromkeys(looks)] == [4] + [3] * (len(set(looks)) - 1)
    assert watching.bench.told.changes == []
    assert watching.bench.told.counts[0] == ([], "ended", 100, 500)
    assert watching.bench.told.counts[-1] == ([], "ended", 100 + int(max(looks)), 500)
    assert len(watching.watch.tasks) <= 100


def test_a_run_that_grows_wide() -> None:
    """A mapped task that is expanded into very many is counted from then on, also when few of them
    change.
    """
    shown = {0: [a_task("list", state="running")], 1: wide(running=500), 2: wide(running=1)}
    watching = Watching(lambda passed: shown[min(int(passed / 30), 2)]).look(RUNNING, 120)

    assert watching.bench.told.changes == [[("new", "list", "running")]]
    assert watching.bench.told.counts == [([], "ended", 0, 500), ([], "ended", 499, 500)]
    assert [task.name for task in watching.watch.tasks] == ["load[0]"]


def test_failures_of_a_wide_run_are_named_once() -> None:
    """Whoever failed is told by name, each once, and so are those that are found only at the
    end.
    """
    watching = Watching(lambda passed: wide(failed=1 if passed < 10 else 2, running=9)).look(
        RUNNING, 60
    )
    tasks = wide(failed=3, rest="skipped", total=500)
    watching.watch.record_final(TaskList(tuple(tasks), 5000, 4000))

    assert [names for names, *_ in watching.bench.told.counts] == [
        ["load[0]"],
        ["load[1]"],
        ["load[2]"],
    ]
    assert watching.bench.told.counts[-1][1:] == ("succeeded", 4000, 5000)


def test_a_wide_run_that_was_not_watched_is_summed_up_at_the_end() -> None:
    """Without live progress the end alone is told, in one sentence."""
    watching = Watching(live=False).look(RUNNING, 10)
    watching.watch.record_final(TaskList(tuple(wide(failed=1, total=500)), 5000, 4000))

    assert watching.reads == []
    assert watching.bench.told.counts == [(["load[0]"], "succeeded", 4499, 5000)]


@pytest.mark.parametrize(
    ("tasks", "first"),
    [
        (wide(running=200), STALL_SECONDS_ACTIVE),
        (wide(running=0, rest="scheduled"), STALL_SECONDS),
        (wide(failed=200), STALL_SECONDS),
    ],
    ids=["at work", "scheduled", "over"],
)
def test_when_the_reason_is_looked_for_in_a_wide_run(
    tasks: list[TaskInstance], first: float
) -> None:
    """A wide run that does not move is asked for its reason as any other."""
    assert Watching(lambda _: tasks).look(RUNNING, 1200).diagnosed == diagnoses(first)


@pytest.mark.parametrize("red", [0, 1])
def test_a_wide_run_that_moves_is_not_asked_for_reasons(red: int) -> None:
    """Whether tasks end, fail, or only others run now: it moves."""
    moves = [
        lambda passed: wide(failed=red, rest="scheduled", running=int(passed / 12)),
        lambda passed: wide(failed=int(red + passed / 12), rest="scheduled"),
        lambda passed: wide(rest="scheduled", total=400 + int(passed / 12)),
        lambda passed: wide(running=int(450 - passed)),
    ]
    for shown in moves:
        assert Watching(shown).look(RUNNING, 120).diagnosed == []


def test_a_wide_read_that_fails_loses_no_change() -> None:
    """A failure in the middle of it is told once, and the next look asks for all changes since the
    last that worked.
    """
    fault = TransientError("down", "", "")
    watching = Watching(lambda passed: fault if 10 <= passed < 20 else wide(running=9)).look(
        RUNNING, 60
    )
    failed = [since for passed, since in watching.airflow.asked if 10 <= passed < 20]

    assert len(watching.bench.told.unknown_fields) == len(failed)
    assert len(set(failed) - {None}) <= 1
    assert watching.bench.told.counts == [([], "ended", 491, 500)]
