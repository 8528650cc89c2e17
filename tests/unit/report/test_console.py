"""The live log, on a virtual clock."""

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
from tests.support.markdown import hostile
from tests.support.runner_log import runner_log


@dataclass
class ConsoleClock:
    now: float = 5000.0

    def __call__(self) -> float:
        return self.now


def log_of(events: Callable[[Console, ConsoleClock], object]) -> StepLog:
    """Return the log of what the callback reports to a console."""
    clock = ConsoleClock()
    return runner_log(lambda: events(Console(clock, commands), clock))


def polls(*seen: tuple[float, RunState]) -> Callable[[Console, ConsoleClock], None]:
    """Return a callback that reports run states, each after a number of seconds."""

    def events(console: Console, clock: ConsoleClock) -> None:
        for later, state in seen:
            clock.now += later
            console.run_state(a_run(state=state))

    return events


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
def test_state_is_logged_on_change_and_once_a_minute(
    seen: tuple[tuple[float, RunState], ...], lines: list[str]
) -> None:
    assert log_of(polls(*seen)).lines == lines


def test_minute_of_silence_counts_from_any_line() -> None:
    def events(console: Console, clock: ConsoleClock) -> None:
        console.run_state(a_run(state="running"))
        clock.now += HEARTBEAT_SECONDS - 1
        console.connected("3.3.2", "https://airflow.example.com")
        clock.now += HEARTBEAT_SECONDS - 1
        console.run_state(a_run(state="running"))

    assert len(log_of(events).lines) == 2


def test_version_url_run_and_origin_are_logged_when_known() -> None:
    def events(console: Console, clock: ConsoleClock) -> None:
        clock.now += 2.9
        console.connected("3.3.2", "https://airflow.example.com")
        console.run_found(an_outcome())

    assert log_of(events).lines == [
        "  0:02  Airflow 3.3.2 answers at https://airflow.example.com",
        "  0:02  DAG run r1 of nightly_sales: triggered by this step",
        f"  0:02  Follow it at {RUN_URL}",
    ]


def test_retry_is_logged_with_evidence_and_pause() -> None:
    fault = TransientError("Airflow answers 503", "GET /x answered 503.\n::error::no", "hint")

    assert log_of(lambda console, _: console.request_failed(fault, 4.96)).lines == [
        "  0:00  Airflow answers 503. GET /x answered 503. ::error::no Trying again in 5.0 s"
    ]


OLD_CODE = NotDeployed(
    "Airflow has not picked up the commit", "The DAG's bundle is at abc.", "Raise wait_for_dag."
)
NEWER_CODE = NotDeployed(OLD_CODE.title, "The DAG's bundle is at def.", OLD_CODE.hint)


def test_code_wait_is_logged_on_change_and_once_a_minute() -> None:
    def events(console: Console, clock: ConsoleClock) -> None:
        for later, missing in (
            (0, OLD_CODE),
            (1, OLD_CODE),
            (1, NEWER_CODE),
            (1, OLD_CODE),
            (59, OLD_CODE),
            (1, OLD_CODE),
        ):
            clock.now += later
            console.code_missing(missing, 5600.0 - clock.now)

    start = "Airflow has not picked up the commit. The DAG's bundle is at"
    assert log_of(events).lines == [
        f"  0:00  {start} abc. Waiting up to 10 m 00 s more for new code",
        f"  0:02  {start} def. Waiting up to 9 m 58 s more for new code",
        f"  0:03  {start} abc. Waiting up to 9 m 57 s more for new code",
        f"  1:03  {start} abc. Waiting up to 8 m 57 s more for new code",
    ]


def test_code_found_is_logged_before_the_run_states() -> None:
    def events(console: Console, clock: ConsoleClock) -> None:
        console.code_missing(OLD_CODE, 600.0)
        clock.now += 61
        console.code_found("The DAG's bundle is at def, the expected commit")
        console.run_state(a_run(state="queued"))

    assert log_of(events).lines[1:] == [
        "  1:01  The DAG's bundle is at def, the expected commit",
        "  1:01  The DAG run is queued",
    ]


def test_changes_of_the_run_by_others_are_logged() -> None:
    def events(console: Console, _: ConsoleClock) -> None:
        console.run_cleared(a_run(state="failed"))
        console.stopping("r1")

    assert log_of(events).lines == [
        ("  0:00  The DAG run was failed, but was cleared in Airflow; waiting for it to end again"),
        "  0:00  Stopping the DAG run r1",
    ]


def test_failed_optional_request_is_logged_without_an_annotation() -> None:
    def events(console: Console, _: ConsoleClock) -> None:
        console.optional_failed("the logs", TransientError("Airflow answers 503", "why.", "hint"))
        console.feature_disabled("Left out: pools. It needs the permission: can read on Pools.")

    log = log_of(events)
    first, second = log.lines

    assert all(part in first for part in ("the logs", "Airflow answers 503", "why."))
    assert second == "  0:00  Left out: pools. It needs the permission: can read on Pools."
    assert log.annotations == []


Seen = tuple[TaskInstance | None, TaskInstance]
NOTHING = (None, a_task("later", state=None))


def change_to(**changes: Any) -> Seen:
    """Return a task instance that was running, and its new version."""
    return a_task(state="running", duration=None), a_task(
        **{"state": "running", "duration": None} | changes
    )


def change_lines(*changes: Seen, tasks: tuple[TaskInstance, ...] = ()) -> list[str]:
    """Return the lines for changes of task instances, without time and progress."""
    lines = log_of(
        lambda console, _: console.tasks_changed(changes, tasks or [task for _, task in changes])
    ).lines
    return [line.removeprefix("  0:00  ").partition(" · ")[0] for line in lines]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ((None, a_task(state="running")), "extract is running"),
        ((a_task(state="queued"), a_task(state="running")), "extract is running"),
        (change_to(state="success", duration=4.24), "extract succeeded after 4.2 s"),
        (change_to(state="failed", duration=132.4), "extract failed after 2 m 12 s"),
        (
            change_to(state="failed", duration=1.0, try_number=2, max_tries=1),
            "extract failed after 1.0 s (try 2 of 2)",
        ),
        (
            change_to(state="up_for_retry", duration=1.0, max_tries=2),
            "extract failed and will be retried after 1.0 s (try 1 of 3)",
        ),
        (change_to(try_number=2, max_tries=2), "extract is running (try 2 of 3)"),
        # Not a visible change.
        (change_to(), None),
        (change_to(duration=5.0, pool="p"), None),
        (change_to(state="queued"), None),
        (change_to(state="scheduled"), None),
        (change_to(state=None), None),
        (NOTHING, None),
    ],
)
def test_task_change_is_logged_with_duration_and_try(change: Seen, line: str | None) -> None:
    assert change_lines(change) == ([line] if line else [])


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
def test_every_relevant_task_state_has_a_sentence(state: str) -> None:
    (line,) = change_lines(change_to(state=state))

    assert line.startswith("extract ")
    assert len(line.split()) >= 3
    assert line not in (
        change_lines(change_to(state=other))[0] for other in ("success", "failed", "up_for_retry")
    )


def test_mapped_task_instances_share_one_line() -> None:
    tasks = tuple(
        a_task("load", map_index=n, state=("success", "running", None)[min(n // 2000, 2)])
        for n in range(5000)
    )
    changes: list[Seen] = [(None, task) for task in tasks[1000:3000]]
    (line,) = change_lines(*changes, tasks=(a_task("extract"), *tasks))

    assert line.startswith("load: 5000 mapped")
    assert all(part in line for part in ("2000 success", "2000 running", "1000 not started"))


def test_wide_run_is_logged_as_numbers_and_failed_names() -> None:
    tasks = [a_task("load", map_index=n, state="failed", duration=1.0) for n in range(50)]
    lines = log_of(
        lambda console, _: console.wide_run_changed(tasks[:2], "ended", 1200, 5000)
    ).lines
    many = log_of(lambda console, _: console.wide_run_changed(tasks, "succeeded", 4950, 5000)).lines

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


def test_progress_of_a_wide_run_is_compared_with_the_usual_duration() -> None:
    def events(console: Console, clock: ConsoleClock) -> None:
        console.usual_duration(100.0)
        console.run_state(a_run(state="running"))
        clock.now += 50
        console.wide_run_changed([], "ended", 1200, 5000)
        clock.now += 60
        console.run_state(a_run(state="running"))

    assert [line.split("  ")[-1] for line in log_of(events).lines[-2:]] == [
        "1200 of 5000 tasks have ended · 50 % of the usual 1 m 40 s",
        "The DAG run is still running · 1200 of 5000 tasks, 110 % of the usual 1 m 40 s",
    ]


def test_last_line_of_a_poll_counts_the_finished_tasks() -> None:
    over = ("success", "failed", "skipped", "upstream_failed", "removed")
    tasks = [
        a_task(f"t{n}", state=state)
        for n, state in enumerate((*over, "running", "queued", None, "deferred"))
    ]
    lines = log_of(
        lambda console, _: console.tasks_changed([(None, task) for task in tasks], tasks)
    ).lines

    assert lines[-1].endswith(" · 5 of 9 tasks")
    assert not any(" · " in line for line in lines[:-1])


def test_elapsed_time_is_logged_as_part_of_the_usual_duration() -> None:
    def events(console: Console, clock: ConsoleClock) -> None:
        console.usual_duration(840.0)
        clock.now += 100
        console.run_state(a_run(state="queued"))
        clock.now += 100
        console.run_state(a_run(state="running"))
        console.tasks_changed(
            [change_to(state="success", duration=1.0)], [a_task(), a_task("b", state="running")]
        )
        clock.now += 520.8
        console.run_state(a_run(state="running"))

    usual, *_, change, beat = log_of(events).lines

    assert "14 m 00 s" in usual
    assert change.endswith(" · 1 of 2 tasks, 0 % of the usual 14 m 00 s")
    assert beat.endswith("The DAG run is still running · 1 of 2 tasks, 62 % of the usual 14 m 00 s")


def test_queued_run_has_no_part_of_the_usual_duration() -> None:
    def events(console: Console, clock: ConsoleClock) -> None:
        console.usual_duration(840.0)
        console.run_state(a_run(state="queued"))
        clock.now += HEARTBEAT_SECONDS
        console.run_state(a_run(state="queued"))

    assert log_of(events).lines[-1] == "  1:00  The DAG run is still queued"


def test_github_report_of_a_detached_run_is_logged() -> None:
    log = log_of(lambda console, _: console.reported(a_report(deployment_id=None)))

    assert log.lines == [
        "  0:00  GitHub has the commit status airflow / nightly_sales of 0123456789ab, pending"
    ]


def test_blocker_is_a_notice_with_evidence_hint_and_link() -> None:
    blocker = Blocker(
        "The pool reports is full",
        "All 4 slots are taken.",
        "Give it more slots.",
        "https://x.example/pools",
    )
    log = log_of(lambda console, _: console.blocked(blocker))
    (note,) = log.annotations

    assert note.level == "notice"
    assert "The pool reports is full" in note.title
    assert note.message == "All 4 slots are taken.\nGive it more slots.\nhttps://x.example/pools"
    assert log.lines[-1] == "  0:00  The pool reports is full. All 4 slots are taken."


def test_only_the_first_blockers_are_notices() -> None:
    """A step has ten annotations in total."""

    def events(console: Console, _: ConsoleClock) -> None:
        for n in range(20):
            console.blocked(Blocker(f"The pool {n} is full", "detail.", "hint"))

    log = log_of(events)

    assert len(log.annotations) == MAX_NOTICES
    assert [line for line in log.lines if line.startswith("  0:00")] == [
        f"  0:00  The pool {n} is full. detail." for n in range(20)
    ]


@pytest.mark.parametrize("lines_omitted", [0, 1190])
def test_task_log_is_a_group_with_the_number_of_missing_lines(lines_omitted: int) -> None:
    log = log_of(
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
def test_hostile_names_stay_on_their_line_and_run_no_command(text: str) -> None:
    task = a_task(text, state="running")
    mapped = a_task(text, state="failed", map_index=3)

    def events(console: Console, _: ConsoleClock) -> None:
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

    log = log_of(events)

    assert [note.level for note in log.annotations] == ["notice"] * MAX_NOTICES
    # The log puts a joiner between the time and a text that begins with a severity.
    lines = [line.replace(commands.JOINER, "") for line in log.lines]
    assert sum(line.startswith("  0:00  ") for line in lines) == 13
    assert len([line for line in log.lines if not line.startswith("Notice: ")]) == 13 + 6
    assert (log.masks, log.unexpected, log.outputs, log.state, log.failed) == (
        set(),
        [],
        {},
        {},
        False,
    )


def test_plain_http_is_one_warning() -> None:
    (note,) = log_of(lambda console, _: console.unencrypted("http://airflow:8080")).annotations

    assert (note.level, note.title) == ("warning", "The connection to Airflow is not encrypted")
    assert "http://airflow:8080" in note.message
    assert isinstance(note, Annotation)


@pytest.mark.parametrize(
    ("left", "text"),
    [(3540.0, "expires in 59 m 00 s"), (4.2, "expires in 4.2 s"), (-300.0, "expires in 0.0 s")],
)
def test_token_that_expires_before_the_deadline_is_one_line(left: float, text: str) -> None:
    (line,) = log_of(lambda console, _: console.token_expires_early(left, 7200.0)).lines

    start = f"  0:00  The token {text} and cannot be renewed, but timeout is 2 h 00 m. "
    assert line.startswith(start)
    assert "this step ends with an error" in line


def test_import_error_is_logged_as_its_exception_in_one_line() -> None:
    def events(console: Console, _: ConsoleClock) -> None:
        missing = DagNotRunnable(
            "The DAG's file fails to import", "Airflow cannot import it.\nTraceback\n  File", ""
        )
        missing.raised = (ExceptionInfo("NameError", "name 'x' is not defined"),)
        console.code_missing(missing, 60.0)

    (line,) = log_of(events).lines
    text = (
        "The DAG's file fails to import: NameError: name 'x' is not defined. Waiting up "
        "to 1 m 00 s more for new code"
    )
    assert line == f"  0:00  {text}"
