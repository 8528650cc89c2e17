"""The live log, line by line, on a clock that the test turns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given

from dev.runner import Annotation
from dev.runner.commands import StepLog
from entrypoint.errors import (
    ActionError,
    DagNotRunnable,
    ExceptionInfo,
    NotDeployed,
    TransientError,
)
from entrypoint.models import Blocker, RunState, TaskInstance
from entrypoint.report.console import HEARTBEAT_SECONDS, MAX_NOTICES, Console
from entrypoint.runners import github as commands
from tests.support.factories import RUN_URL, a_report, a_run, a_task, an_outcome
from tests.support.listening import heard
from tests.support.markdown import hostile


@dataclass
class Clock:
    """Monotonic seconds, moved by hand."""

    now: float = 5000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def told(story: Callable[[Console, Clock], object]) -> StepLog:
    """The log of a story told to a console."""
    clock = Clock()
    return heard(lambda: story(Console(clock, commands), clock))


def looks(*seen: tuple[float, RunState]) -> Callable[[Console, Clock], None]:
    """A story of looks at the DAG run: how much later, and what state it is in then."""

    def story(console: Console, clock: Clock) -> None:
        for later, state in seen:
            clock.now += later
            console.run_state(a_run(state=state))

    return story


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (((0, "queued"),), ["  0:00  The DAG run is queued"]),
        (((1, "queued"), (1, "queued"), (58, "queued")), ["  0:01  The DAG run is queued"]),
        (
            ((0, "queued"), (61, "running"), (59, "running"), (3600, "success")),
            [
                "  0:00  The DAG run is queued",
                "  1:01  The DAG run is running",
                " 62:00  The DAG run is success",
            ],
        ),
        (
            ((0, "running"), (60, "running"), (10, "running"), (50, "running")),
            [
                "  0:00  The DAG run is running",
                "  1:00  The DAG run is still running",
                "  2:00  The DAG run is still running",
            ],
        ),
        (
            ((0, "running"), (0, "failed"), (9, "running")),
            [
                f"  0:0{at}  The DAG run is {state}"
                for at, state in ((0, "running"), (0, "failed"), (9, "running"))
            ],
        ),
    ],
)
def test_states(seen: tuple[tuple[float, RunState], ...], lines: list[str]) -> None:
    """A change of state is a line; without a change there is one every minute, with the time since
    the start.
    """
    assert told(looks(*seen)).lines == lines


def test_any_line_is_a_sign_of_life() -> None:
    """The minute of silence is counted from the last line, whatever it said."""

    def story(console: Console, clock: Clock) -> None:
        console.run_state(a_run(state="running"))
        clock.now += HEARTBEAT_SECONDS - 1
        console.connected("3.3.2", "https://airflow.example.com")
        clock.now += HEARTBEAT_SECONDS - 1
        console.run_state(a_run(state="running"))

    assert len(told(story).lines) == 2


def test_connected_and_found() -> None:
    """Version, address, run and where it comes from are told as they become known."""

    def story(console: Console, clock: Clock) -> None:
        clock.now += 2.9
        console.connected("3.3.2", "https://airflow.example.com")
        console.run_found(an_outcome())

    assert told(story).lines == [
        "  0:02  Airflow 3.3.2 answers at https://airflow.example.com",
        "  0:02  DAG run r1 of nightly_sales: triggered by this step",
        f"  0:02  Follow it at {RUN_URL}",
    ]


def test_fault() -> None:
    """A fault that is ridden out is told with its evidence and the pause."""
    fault = TransientError("Airflow answers 503", "GET /x answered 503.\n::error::no", "hint")

    assert told(lambda console, _: console.request_failed(fault, 4.96)).lines == [
        "  0:00  Airflow answers 503. GET /x answered 503. ::error::no Trying again in 5.0 s"
    ]


OLD_CODE = NotDeployed(
    "Airflow has not picked up the commit", "The DAG's bundle is at abc.", "Raise wait_for_dag."
)
NEWER_CODE = NotDeployed(OLD_CODE.title, "The DAG's bundle is at def.", OLD_CODE.hint)


def test_lacking() -> None:
    """What the DAG lacks is a line when it becomes another thing, with the time that is left, and
    once a minute.
    """

    def story(console: Console, clock: Clock) -> None:
        for later, lack in (
            (0, OLD_CODE),
            (1, OLD_CODE),
            (1, NEWER_CODE),
            (1, OLD_CODE),
            (59, OLD_CODE),
            (1, OLD_CODE),
        ):
            clock.now += later
            console.code_missing(lack, 5600.0 - clock.now)

    said = "Airflow has not picked up the commit. The DAG's bundle is at"
    assert told(story).lines == [
        f"  0:00  {said} abc. Looking for new code for 10 m 00 s more",
        f"  0:02  {said} def. Looking for new code for 9 m 58 s more",
        f"  0:03  {said} abc. Looking for new code for 9 m 57 s more",
        f"  1:03  {said} abc. Looking for new code for 8 m 57 s more",
    ]


def test_deployed() -> None:
    """How it is known that the DAG is there is a line, after which the run's state is told as
    ever.
    """

    def story(console: Console, clock: Clock) -> None:
        console.code_missing(OLD_CODE, 600.0)
        clock.now += 61
        console.code_found("The DAG's bundle is at def, the expected commit")
        console.run_state(a_run(state="queued"))

    assert told(story).lines[1:] == [
        "  1:01  The DAG's bundle is at def, the expected commit",
        "  1:01  The DAG run is queued",
    ]


def test_interventions() -> None:
    """What this step or somebody else does to the run meanwhile is a line."""

    def story(console: Console, _: Clock) -> None:
        console.run_cleared(a_run(state="failed"))
        console.stopping("r1")

    assert told(story).lines == [
        (
            "  0:00  The DAG run was failed, but somebody cleared it meanwhile: waiting for "
            "its new end"
        ),
        "  0:00  Stopping the DAG run r1",
    ]


def test_what_cannot_be_told() -> None:
    """What only explains and cannot be read, or may not be read, is a line and not an
    annotation.
    """

    def story(console: Console, _: Clock) -> None:
        console.optional_failed("the logs", TransientError("Airflow answers 503", "why.", "hint"))
        console.feature_disabled("Left out: pools. It needs the permission: can read on Pools.")

    log = told(story)
    first, second = log.lines

    assert all(part in first for part in ("the logs", "Airflow answers 503", "why."))
    assert second == "  0:00  Left out: pools. It needs the permission: can read on Pools."
    assert log.annotations == []


Seen = tuple[TaskInstance | None, TaskInstance]
NOTHING = (None, a_task("later", state=None))


def changed(**changes: Any) -> Seen:
    """A task instance that was running, and what it is now."""
    return a_task(state="running", duration=None), a_task(
        **{"state": "running", "duration": None} | changes
    )


def said(*changes: Seen, tasks: tuple[TaskInstance, ...] = ()) -> list[str]:
    """The lines for changes of task instances, without the time and without the progress at the
    end.
    """
    lines = told(
        lambda console, _: console.tasks_changed(changes, tasks or [task for _, task in changes])
    ).lines
    return [line.removeprefix("  0:00  ").partition(" · ")[0] for line in lines]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ((None, a_task(state="running")), "extract is running"),
        ((a_task(state="queued"), a_task(state="running")), "extract is running"),
        (changed(state="success", duration=4.24), "extract succeeded after 4.2 s"),
        (changed(state="failed", duration=132.4), "extract failed after 2 m 12 s"),
        (
            changed(state="failed", duration=1.0, try_number=2, max_tries=1),
            "extract failed after 1.0 s (try 2 of 2)",
        ),
        (
            changed(state="up_for_retry", duration=1.0, max_tries=2),
            "extract failed and will be tried again after 1.0 s (try 1 of 3)",
        ),
        (changed(try_number=2, max_tries=2), "extract is running (try 2 of 3)"),
        # Nothing that a reader would call a change.
        (changed(), None),
        (changed(duration=5.0, pool="p"), None),
        (changed(state="queued"), None),
        (changed(state="scheduled"), None),
        (changed(state=None), None),
        (NOTHING, None),
    ],
)
def test_tasks(change: Seen, line: str | None) -> None:
    """A change of a task instance is a line: what it does now, how long it took, and which try it
    is.
    """
    assert said(change) == ([line] if line else [])


@pytest.mark.parametrize(
    "state",
    [
        "skipped",
        "upstream_failed",
        "up_for_reschedule",
        "deferred",
        "awaiting_input",
        "restarting",
        "removed",
    ],
)
def test_states_of_tasks(state: str) -> None:
    """Every other state that a reader should know of is said in a sentence of its own."""
    (line,) = said(changed(state=state))

    assert line.startswith("extract ")
    assert len(line.split()) >= 3
    assert line not in (
        said(changed(state=other))[0] for other in ("success", "failed", "up_for_retry")
    )


def test_mapped_tasks_are_counted() -> None:
    """The instances of a mapped task are one line, however many of them change, and all are
    counted.
    """
    tasks = tuple(
        a_task("load", map_index=n, state=("success", "running", None)[min(n // 2000, 2)])
        for n in range(5000)
    )
    changes: list[Seen] = [(None, task) for task in tasks[1000:3000]]
    (line,) = said(*changes, tasks=(a_task("extract"), *tasks))

    assert line.startswith("load: 5000 mapped")
    assert all(part in line for part in ("2000 success", "2000 running", "1000 not started"))


def test_a_wide_run_is_one_line() -> None:
    """Of a wide run the numbers are said, and what failed by name, but never hundreds of names."""
    tasks = [a_task("load", map_index=n, state="failed", duration=1.0) for n in range(50)]
    lines = told(lambda console, _: console.wide_run_changed(tasks[:2], "ended", 1200, 5000)).lines
    many = told(lambda console, _: console.wide_run_changed(tasks, "succeeded", 4950, 5000)).lines

    assert [line.split("  ")[-1] for line in lines] == [
        "load[0] failed after 1.0 s",
        "load[1] failed after 1.0 s",
        "1200 of 5000 tasks have ended",
    ]
    assert len(many) == 12
    assert [line.split("  ")[-1] for line in many[-2:]] == [
        "40 more failed",
        "4950 of 5000 tasks succeeded",
    ]


def test_a_wide_run_against_the_usual() -> None:
    """How far a wide run is, is said with the part of the usual duration, and with the next sign of
    life.
    """

    def story(console: Console, clock: Clock) -> None:
        console.usual_duration(100.0)
        console.run_state(a_run(state="running"))
        clock.now += 50
        console.wide_run_changed([], "ended", 1200, 5000)
        clock.now += 60
        console.run_state(a_run(state="running"))

    assert [line.split("  ")[-1] for line in told(story).lines[-2:]] == [
        "1200 of 5000 tasks have ended · 50 % of the usual 1 m 40 s",
        "The DAG run is still running · 1200 of 5000 tasks, 110 % of the usual 1 m 40 s",
    ]


def test_progress() -> None:
    """The last line of a look says how many of the tasks are over, whatever became of them."""
    over = ("success", "failed", "skipped", "upstream_failed", "removed")
    tasks = [
        a_task(f"t{n}", state=state)
        for n, state in enumerate((*over, "running", "queued", None, "deferred"))
    ]
    lines = told(
        lambda console, _: console.tasks_changed([(None, task) for task in tasks], tasks)
    ).lines

    assert lines[-1].endswith(" · 5 of 9 tasks")
    assert not any(" · " in line for line in lines[:-1])


def test_progress_against_the_usual() -> None:
    """How long the run has been running is said as a part of what is usual, with every sign of
    life.
    """

    def story(console: Console, clock: Clock) -> None:
        console.usual_duration(840.0)
        clock.now += 100
        console.run_state(a_run(state="queued"))
        clock.now += 100
        console.run_state(a_run(state="running"))
        console.tasks_changed(
            [changed(state="success", duration=1.0)], [a_task(), a_task("b", state="running")]
        )
        clock.now += 520.8
        console.run_state(a_run(state="running"))

    usual, *_, change, beat = told(story).lines

    assert "14 m 00 s" in usual
    assert change.endswith(" · 1 of 2 tasks, 0 % of the usual 14 m 00 s")
    assert beat.endswith("The DAG run is still running · 1 of 2 tasks, 62 % of the usual 14 m 00 s")


def test_progress_of_a_run_that_has_not_started() -> None:
    """While a run is queued there is no part of anything to be told."""

    def story(console: Console, clock: Clock) -> None:
        console.usual_duration(840.0)
        console.run_state(a_run(state="queued"))
        clock.now += HEARTBEAT_SECONDS
        console.run_state(a_run(state="queued"))

    assert told(story).lines[-1] == "  1:00  The DAG run is still queued"


def test_reported() -> None:
    """What stands on GitHub for a run that nobody waits for is a line of the log."""
    log = told(lambda console, _: console.reported(a_report(deployment_id=None)))

    assert log.lines == [
        "  0:00  GitHub has the commit status airflow / nightly_sales of 0123456789ab, pending"
    ]


def test_blocked() -> None:
    """What blocks a run is a notice with its evidence, the remedy and where to look, and a line of
    the log.
    """
    blocker = Blocker(
        "The pool reports is full",
        "All 4 slots are taken.",
        "Give it more slots.",
        "https://x.example/pools",
    )
    log = told(lambda console, _: console.blocked(blocker))
    (note,) = log.annotations

    assert note.level == "notice"
    assert "The pool reports is full" in note.title
    assert note.message == "All 4 slots are taken.\nGive it more slots.\nhttps://x.example/pools"
    assert log.lines[-1] == "  0:00  The pool reports is full. All 4 slots are taken."


def test_blocked_for_many_reasons() -> None:
    """Every blocker is a line, but only the first ones are notices: a step has ten annotations in
    all.
    """

    def story(console: Console, _: Clock) -> None:
        for n in range(20):
            console.blocked(Blocker(f"The pool {n} is full", "detail.", "hint"))

    log = told(story)

    assert len(log.annotations) == MAX_NOTICES
    assert [line for line in log.lines if line.startswith("  0:00")] == [
        f"  0:00  The pool {n} is full. detail." for n in range(20)
    ]


@pytest.mark.parametrize("lines_omitted", [0, 1190])
def test_log(lines_omitted: int) -> None:
    """A task's log is folded below its title, and how much of it is missing is said."""
    log = told(
        lambda console, _: console.task_log(
            "Log of join", ["first", "::error::x", "last"], lines_omitted
        )
    )
    title, *note, fence, first, command, last, end = log.lines

    assert (title, first, command, last) == (
        "Log of join",
        *(f"{commands.JOINER}{line}" for line in ("first", "::error::x", "last")),
    )
    assert fence.startswith("::stop-commands::")
    assert end == f"::{fence.removeprefix('::stop-commands::')}::"
    assert [str(lines_omitted) in line for line in note] == ([True] if lines_omitted else [])
    assert log.annotations == []


@given(hostile)
def test_hostile(text: str) -> None:
    """Whatever Airflow calls things, each is told in its one line, and nothing is obeyed but the
    two notices.
    """
    task = a_task(text, state="running")
    mapped = a_task(text, state="failed", map_index=3)

    def story(console: Console, _: Clock) -> None:
        console.connected(text, text)
        console.tasks_changed([(None, task), (None, mapped)], [task, mapped])
        console.optional_failed(text, TransientError(text, text, text))
        console.request_failed(TransientError(text, text, text), 1.0)
        console.feature_disabled(text)
        console.code_missing(ActionError(text, f"x{text}", text), 1.0)
        console.code_found(text)
        for blocker in [Blocker(text, f"x{text}", text, text)] * 4:
            console.blocked(blocker)
        console.task_log(text, [text, text], 7)
        console.stopping(text)

    log = told(story)

    assert [note.level for note in log.annotations] == ["notice"] * MAX_NOTICES
    assert sum(line.startswith("  0:00  ") for line in log.lines) == 13
    assert len([line for line in log.lines if not line.startswith("Notice: ")]) == 13 + 6
    assert (log.masks, log.unexpected, log.outputs, log.state, log.failed) == (
        set(),
        [],
        {},
        {},
        False,
    )


def test_unencrypted() -> None:
    """Plain http is one warning, with the address."""
    (note,) = told(lambda console, _: console.unencrypted("http://airflow:8080")).annotations

    assert (note.level, note.title) == ("warning", "The connection to Airflow is not encrypted")
    assert "http://airflow:8080" in note.message
    assert isinstance(note, Annotation)


@pytest.mark.parametrize(
    ("left", "said"),
    [(3540.0, "expires in 59 m 00 s"), (4.2, "expires in 4.2 s"), (-300.0, "expires in 0.0 s")],
)
def test_short_lived(left: float, said: str) -> None:
    """A token that dies before the time is over is one line: when it does, how long there is, and
    what becomes of the run.
    """
    (line,) = told(lambda console, _: console.token_expires_early(left, 7200.0)).lines

    assert line.startswith(f"  0:00  The token {said} and cannot be renewed, timeout is 2 h 00 m: ")
    assert "ends this step with an error" in line


def test_lacking_because_of_an_import_error() -> None:
    """Of an import error the exception is said, in one line, and not the whole traceback."""

    def story(console: Console, _: Clock) -> None:
        lack = DagNotRunnable(
            "The DAG's file fails to import", "Airflow cannot import it.\nTraceback\n  File", ""
        )
        lack.raised = (ExceptionInfo("NameError", "name 'x' is not defined"),)
        console.code_missing(lack, 60.0)

    (line,) = told(story).lines
    said = (
        "The DAG's file fails to import: NameError: name 'x' is not defined. Looking for "
        "new code for 1 m 00 s more"
    )
    assert line == f"  0:00  {said}"
