"""Tracking the task instances of a run, on a virtual clock."""

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
from tests.support.scripted import Harness

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.deadline import Deadline

START = 1000.0
STARTED_AT = datetime(2026, 1, 31, tzinfo=UTC)
QUEUED, RUNNING = a_run(state="queued"), a_run(state="running")
PAUSED, FULL = Blocker("The DAG is paused", "", ""), Blocker("The pool is full", "", "")


@dataclass
class AirflowWithTasks:
    """An Airflow with only task instances and a clock; `tasks_at` returns them for a time."""

    harness: Harness
    tasks_at: Callable[[float], Any] = lambda _: ()
    has_clock: bool = True
    requests_sent: list[tuple[float, datetime | None]] = field(default_factory=list)

    @property
    def now(self) -> datetime | None:
        return (
            STARTED_AT + timedelta(seconds=self.harness.time.now - START)
            if self.has_clock
            else None
        )

    def task_instances(self, dag_id: str, run_id: str, **only: Any) -> TaskList:
        passed = self.harness.time.now - START
        self.requests_sent.append((passed, only.get("changed_since")))
        response = self.tasks_at(passed)
        if isinstance(response, Exception):
            raise response
        return ManyTasks(tuple(response)).task_instances(dag_id, run_id, **only)


@dataclass
class TrackedRun:
    """A run whose tracker is updated every second; `blockers` returns what blocks it."""

    tasks_at: Callable[[float], Any] = lambda _: ()
    blockers: Callable[[float], tuple[Blocker, ...]] = lambda _: ()
    has_clock: bool = True
    live: bool = True
    diagnosed_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.harness = Harness()
        self.airflow = AirflowWithTasks(self.harness, self.tasks_at, self.has_clock)
        self.watch = ProgressTracker(
            self.harness.optional(self.airflow),
            self.harness.retrier,
            self._diagnose,
            live=self.live,
        )

    def _diagnose(
        self, _run: DagRun, _tasks: tuple[TaskInstance, ...], _deadline: Deadline
    ) -> tuple[Blocker, ...]:
        self.diagnosed_at.append(self.harness.time.now - START)
        return self.blockers(self.harness.time.now - START)

    def update_for(self, run: DagRun, seconds: int, pause: float = 1.0) -> TrackedRun:
        for _ in range(int(seconds / pause)):
            self.watch.update(run, self.harness.deadline(1000))
            self.harness.time.now += pause
        return self

    @property
    def read_times(self) -> list[float]:
        return [passed for passed, _ in self.airflow.requests_sent]

    @property
    def intervals(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.read_times)]


def test_tasks_are_read_as_soon_as_the_run_starts() -> None:
    tracked = TrackedRun().update_for(QUEUED, 600)
    assert tracked.read_times == []
    assert tracked.update_for(RUNNING, 1).read_times == [600.0]


@pytest.mark.parametrize("every", [10, 60])
def test_interval_grows_to_a_minute_even_if_tasks_change(every: int) -> None:
    tracked = TrackedRun(
        lambda passed: [a_task(state="running", try_number=int(passed / every))]
    ).update_for(RUNNING, 3600)

    assert tracked.intervals[0] == MIN_INTERVAL_SECONDS
    assert tracked.intervals == sorted(tracked.intervals)
    assert tracked.intervals[-1] == MAX_INTERVAL_SECONDS
    assert sum(passed <= 600 for passed in tracked.read_times) == 13


def test_without_live_progress_tasks_are_read_only_after_a_stall() -> None:
    tracked = TrackedRun(live=False).update_for(QUEUED, 10).update_for(RUNNING, 2000)

    assert tracked.read_times == [
        10 + STALL_SECONDS_UNWATCHED + pauses * RETRY_SECONDS for pauses in (0, 1, 3, 7, 15)
    ]
    assert tracked.diagnosed_at == tracked.read_times


@pytest.mark.parametrize("live", [True, False])
def test_tracker_says_when_it_wants_the_next_update(live: bool) -> None:
    tracked = TrackedRun(lambda _: [a_task(state="running")], live=live)
    watch, time = tracked.watch, tracked.harness.time
    assert watch.next_update(QUEUED) == time.now
    tracked.update_for(QUEUED, 1)
    assert watch.next_update(QUEUED) == START + STALL_SECONDS
    assert watch.next_update(RUNNING) == (time.now if live else inf)
    tracked.update_for(RUNNING, 1)
    assert watch.next_update(RUNNING) == START + 1 + (
        MIN_INTERVAL_SECONDS if live else STALL_SECONDS_UNWATCHED
    )


def test_cleared_run_is_read_at_once_when_it_runs_again() -> None:
    tracked = (
        TrackedRun(lambda _: [a_task(state="running")])
        .update_for(RUNNING, 1000)
        .update_for(QUEUED, 2)
        .update_for(RUNNING, 1)
    )

    assert tracked.read_times[-2] < 1000
    assert tracked.read_times[-1] == 1002


@pytest.mark.parametrize("pause", [0.5, 2.0, 10.0, 60.0])
def test_each_update_reads_the_tasks_at_most_once(pause: float) -> None:
    tracked = TrackedRun().update_for(RUNNING, 300, pause)

    assert len(tracked.read_times) == len(set(tracked.read_times)) <= 300 / pause
    assert min(tracked.intervals) >= max(MIN_INTERVAL_SECONDS, pause)


def test_only_changes_are_requested_after_the_first_read() -> None:
    """Airflow's clock counts, with some overlap."""
    requests_sent = TrackedRun().update_for(RUNNING, 60).airflow.requests_sent

    assert requests_sent[0][1] is None
    for (before, _), (_, since) in pairwise(requests_sent):
        assert since is not None
        assert (
            timedelta(seconds=10)
            <= STARTED_AT + timedelta(seconds=before) - since
            <= timedelta(minutes=2)
        )


def test_everything_is_requested_if_airflows_time_is_unknown() -> None:
    requests_sent = TrackedRun(has_clock=False).update_for(RUNNING, 60).airflow.requests_sent

    assert {since for _, since in requests_sent} == {None}


@pytest.mark.parametrize(
    "fault", [TransientError("down", "", ""), UnexpectedResponse("page", "", "")]
)
def test_failed_read_loses_no_change(fault: Exception) -> None:
    tracked = TrackedRun(
        lambda passed: fault if 10 <= passed < 30 else [a_task(state="running")]
    ).update_for(RUNNING, 60)
    since = dict(tracked.airflow.requests_sent)
    failed = [passed for passed in since if 10 <= passed < 30]
    after = next(passed for passed in since if passed >= 30)

    assert failed
    assert {since[passed] for passed in failed[1:]} | {since[after]} == {since[failed[0]]}
    assert [task.state for task in tracked.watch.tasks] == ["running"]
    assert len(tracked.harness.progress.optional_errors) == len(failed)


def test_missing_task_permission_is_reported_once_and_blockers_are_still_found() -> None:
    tracked = TrackedRun(lambda _: Forbidden("no", "", ""), lambda _: (PAUSED,)).update_for(
        RUNNING, 400
    )

    assert len(tracked.read_times) == REFUSAL_RESPONSES
    assert REFUSAL_SECONDS <= tracked.read_times[-1] <= 2 * REFUSAL_SECONDS
    assert len(tracked.harness.progress.sentences) == 1
    assert tracked.harness.progress.blockers == [PAUSED.title]


def test_each_change_is_reported_once_with_the_number_of_known_tasks() -> None:
    first = [
        a_task("extract", state="success"),
        a_task("load", state="running"),
        a_task("wide", state=None, map_index=3),
    ]
    then = [a_task("load", state="failed"), a_task("publish", state="upstream_failed")]
    tracked = TrackedRun(lambda passed: first if passed < 10 else then).update_for(RUNNING, 60)

    assert tracked.harness.progress.changes == [
        [("new", "extract", "success"), ("new", "load", "running"), ("new", "wide[3]", None)],
        [("running", "load", "failed"), ("new", "publish", "upstream_failed")],
    ]
    assert tracked.harness.progress.known == [3, 4]
    assert [(task.name, task.state) for task in tracked.watch.tasks] == [
        ("extract", "success"),
        ("load", "failed"),
        ("wide[3]", None),
        ("publish", "upstream_failed"),
    ]


def test_final_list_is_compared_with_the_known_tasks() -> None:
    tracked = TrackedRun(lambda _: [a_task(state="running")]).update_for(RUNNING, 10)
    tracked.watch.record_final(a_list(a_task(state="success")))
    tracked.watch.record_final(a_list(a_task(state="success")))

    assert tracked.harness.progress.changes[1:] == [[("running", "extract", "success")]]


def diagnosis_times(first: float) -> list[float]:
    """Return the search times of 20 minutes without a change; each pause doubles."""
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
def test_blockers_of_a_stalled_run_are_searched_at_growing_intervals(
    run: DagRun, states: list[str | None], first: float
) -> None:
    """The first search is later if a task is active."""
    tasks = [a_task(f"t{number}", state=state) for number, state in enumerate(states)]
    tracked = TrackedRun(lambda _: tasks).update_for(run, 1200)

    assert tracked.diagnosed_at == diagnosis_times(first)


def test_blockers_of_a_moving_run_are_not_searched() -> None:
    assert (
        TrackedRun(lambda passed: [a_task(state="running", try_number=int(passed / 12))])
        .update_for(RUNNING, 600)
        .diagnosed_at
        == []
    )
    assert (
        TrackedRun()
        .update_for(QUEUED, int(STALL_SECONDS))
        .update_for(RUNNING, int(STALL_SECONDS))
        .diagnosed_at
        == []
    )


def test_tasks_are_read_again_before_blockers_are_searched() -> None:
    tracked = TrackedRun(lambda _: [a_task(state="scheduled")]).update_for(RUNNING, 600)

    assert tracked.diagnosed_at == diagnosis_times(STALL_SECONDS)[:4]
    assert all(
        any(
            requests_sent - MIN_INTERVAL_SECONDS < read <= requests_sent
            for read in tracked.read_times
        )
        for requests_sent in tracked.diagnosed_at
    )


def test_blocker_is_reported_again_only_after_it_was_gone() -> None:
    tracked = TrackedRun(
        blockers=lambda passed: (PAUSED,) if passed < 100 else (PAUSED, FULL)
    ).update_for(QUEUED, 60)
    assert tracked.harness.progress.blockers == [PAUSED.title]
    assert list(tracked.watch.blockers) == [PAUSED]

    tracked.update_for(QUEUED, 1200)
    assert tracked.harness.progress.blockers == [PAUSED.title, FULL.title]
    assert list(tracked.watch.blockers) == [PAUSED, FULL]


def test_second_stall_is_explained_as_soon_as_the_first() -> None:
    tracked = TrackedRun(lambda _: [a_task(state="scheduled")], lambda _: (PAUSED,)).update_for(
        QUEUED, 500
    )
    tracked.update_for(RUNNING, 1)
    assert list(tracked.watch.blockers) == []

    tracked.update_for(RUNNING, 60)
    assert tracked.diagnosed_at == [
        STALL_SECONDS,
        STALL_SECONDS + REPEAT_SECONDS,
        500 + STALL_SECONDS,
    ]
    assert tracked.harness.progress.blockers == [PAUSED.title, PAUSED.title]


def test_expanded_task_replaces_its_unexpanded_instance() -> None:
    before = [a_task("wide", state=None)]
    after = [
        a_task("wide", map_index=0, state="running"),
        a_task("wide", map_index=1, state="running"),
    ]
    tracked = TrackedRun(lambda passed: before if passed < 10 else after).update_for(RUNNING, 60)

    assert [task.name for task in tracked.watch.tasks] == ["wide[0]", "wide[1]"]


def test_iterations_of_a_loop_are_different_task_instances() -> None:
    """A mapped task that is expanded replaces the placeholder of its own iteration only."""
    loop = {"region_id": "loop", "state": "running"}
    first, second = (a_task("go", region_index=n, iteration=n, **loop) for n in (0, 1))
    before = [a_task("check", state=None, region_id=f"c{n}", iteration=n) for n in (0, 1)]
    after = a_task("check", map_index=0, region_id="c0", region_index=0, iteration=0)
    tracked = TrackedRun(
        lambda passed: [first, second, *(before if passed < 10 else (after, before[1]))]
    ).update_for(RUNNING, 60)

    assert [task.name for task in tracked.watch.tasks] == [
        "go (iteration 0)",
        "go (iteration 1)",
        "check (iteration 1)",
        "check[0] (iteration 0)",
    ]


def wide_run(
    failed: int = 0, running: int = 0, rest: str = "success", total: int = 500
) -> list[TaskInstance]:
    """Return a mapped task with more instances than one response holds."""
    states = ["failed"] * failed + ["running"] * running + [rest] * (total - failed - running)
    return [a_task("load", map_index=index, state=state) for index, state in enumerate(states)]


def test_wide_run_costs_a_fixed_number_of_requests() -> None:
    tracked = TrackedRun(lambda passed: wide_run(running=int(400 - passed))).update_for(RUNNING, 60)
    read_seconds = tracked.read_times

    assert [read_seconds.count(when) for when in dict.fromkeys(read_seconds)] == [4] + [3] * (
        len(set(read_seconds)) - 1
    )
    assert tracked.harness.progress.changes == []
    assert tracked.harness.progress.counts[0] == ([], "ended", 100, 500)
    assert tracked.harness.progress.counts[-1] == ([], "ended", 100 + int(max(read_seconds)), 500)
    assert len(tracked.watch.tasks) <= 100


def test_run_that_becomes_wide_is_counted_from_then_on() -> None:
    tasks_at = {
        0: [a_task("list", state="running")],
        1: wide_run(running=500),
        2: wide_run(running=1),
    }
    tracked = TrackedRun(lambda passed: tasks_at[min(int(passed / 30), 2)]).update_for(RUNNING, 120)

    assert tracked.harness.progress.changes == [[("new", "list", "running")]]
    assert tracked.harness.progress.counts == [([], "ended", 0, 500), ([], "ended", 499, 500)]
    assert [task.name for task in tracked.watch.tasks] == ["load[0]"]


def test_failed_tasks_of_a_wide_run_are_named_once() -> None:
    tracked = TrackedRun(
        lambda passed: wide_run(failed=1 if passed < 10 else 2, running=9)
    ).update_for(RUNNING, 60)
    tasks = wide_run(failed=3, rest="skipped", total=500)
    tracked.watch.record_final(TaskList(tuple(tasks), 5000, 4000))

    assert [names for names, *_ in tracked.harness.progress.counts] == [
        ["load[0]"],
        ["load[1]"],
        ["load[2]"],
    ]
    assert tracked.harness.progress.counts[-1][1:] == ("succeeded", 4000, 5000)


def test_wide_run_without_live_progress_is_summed_up_at_the_end() -> None:
    tracked = TrackedRun(live=False).update_for(RUNNING, 10)
    tracked.watch.record_final(TaskList(tuple(wide_run(failed=1, total=500)), 5000, 4000))

    assert tracked.read_times == []
    assert tracked.harness.progress.counts == [(["load[0]"], "succeeded", 4499, 5000)]


@pytest.mark.parametrize(
    ("tasks", "first"),
    [
        (wide_run(running=200), STALL_SECONDS_ACTIVE),
        (wide_run(running=0, rest="scheduled"), STALL_SECONDS),
        (wide_run(failed=200), STALL_SECONDS),
    ],
    ids=["at work", "scheduled", "over"],
)
def test_blockers_of_a_stalled_wide_run_are_searched(
    tasks: list[TaskInstance], first: float
) -> None:
    assert TrackedRun(lambda _: tasks).update_for(RUNNING, 1200).diagnosed_at == diagnosis_times(
        first
    )


@pytest.mark.parametrize("red", [0, 1])
def test_blockers_of_a_moving_wide_run_are_not_searched(red: int) -> None:
    moves = [
        lambda passed: wide_run(failed=red, rest="scheduled", running=int(passed / 12)),
        lambda passed: wide_run(failed=int(red + passed / 12), rest="scheduled"),
        lambda passed: wide_run(rest="scheduled", total=400 + int(passed / 12)),
        lambda passed: wide_run(running=int(450 - passed)),
    ]
    for tasks_at in moves:
        assert TrackedRun(tasks_at).update_for(RUNNING, 120).diagnosed_at == []


def test_failed_read_of_a_wide_run_loses_no_change() -> None:
    fault = TransientError("down", "", "")
    tracked = TrackedRun(
        lambda passed: fault if 10 <= passed < 20 else wide_run(running=9)
    ).update_for(RUNNING, 60)
    failed = [since for passed, since in tracked.airflow.requests_sent if 10 <= passed < 20]

    assert len(tracked.harness.progress.optional_errors) == len(failed)
    assert len(set(failed) - {None}) <= 1
    assert tracked.harness.progress.counts == [([], "ended", 491, 500)]
