"""Why task instances failed, as tables: what their logs and dates show → the cause in a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from entrypoint.diagnostics.failures import (
    MAX_LOGS_READ,
    dagrun_timeout_exceeded,
    failures_of,
    other_logs,
)
from entrypoint.diagnostics.optional import Feature
from entrypoint.errors import (
    ExceptionInfo,
    Forbidden,
    NotFound,
    StackFrame,
    TransientError,
    UnexpectedResponse,
)
from entrypoint.models import CANCELLED_MARK, DagRun, Failure, TaskInstance, TaskLog
from tests.support.factories import START, a_run, a_task
from tests.support.scripted import Bench, Script

FAILED = a_run(state="failed")
RAISED = ExceptionInfo(
    "RuntimeError",
    "The sales cannot be loaded",
    (StackFrame("/opt/airflow/dags/sales.py", 18, "load"),),
)
CAUSE = ExceptionInfo(
    "ValueError",
    "Not an amount: 'n/a'",
    (StackFrame("/opt/airflow/dags/helpers.py", 9, "parse_amount"),),
)
MIDDLE = ExceptionInfo("KeyError", "'amount'")
LINES = ("one", "two")


@dataclass
class Logging:
    """An Airflow of which only the reasons matter: a log for each question, and what its audit log
    says.
    """

    logs: list[Any] = field(default_factory=list)
    event: Any = None
    timeout: Any = None
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._log, self.heartbeat_timeout, self.dagrun_timeout = (
            Script(self.logs),
            Script([self.event] * 99),
            Script([self.timeout] * 9),
        )

    def log(self, _run: DagRun, task: TaskInstance, keep: int) -> TaskLog:
        """Show the log."""
        self.asked.append((task.name, keep))
        log: TaskLog = self._log()
        return log


def failed(task_id: str = "load", **changes: Any) -> TaskInstance:
    """A task instance that ran and failed."""
    return a_task(task_id, **{"state": "failed", "start_date": START, **changes})


def why(
    airflow: Logging, *tasks: TaskInstance, keep: int = 100, bench: Bench | None = None
) -> tuple[Failure, ...]:
    """The reasons, each of which was relayed as well."""
    relayed: list[Failure] = []
    found = failures_of((bench or Bench()).optional(airflow), FAILED, tasks, keep, relayed.append)
    assert tuple(relayed) == found
    return found


@pytest.mark.parametrize(
    ("log", "changes", "said"),
    [
        (TaskLog(LINES, 0, (RAISED,)), {}, "RuntimeError: The sales cannot be loaded"),
        (
            TaskLog(LINES, 0, (RAISED, MIDDLE, CAUSE), "Task failed"),
            {},
            "The sales cannot be loaded (because of ValueError",
        ),
        (TaskLog(LINES, 0, (RAISED,), "Task failed with exception"), {}, "RuntimeError: The sales"),
        (
            TaskLog(LINES, 0, (), "Task exited with return code -9"),
            {},
            "Task exited with return code -9",
        ),
        (TaskLog(LINES), {}, "without an error"),
        (TaskLog(("*** Could not read served logs",), written=False), {}, "not there"),
        (TaskLog((), written=False), {"start_date": None}, "never started"),
        (TaskLog((), written=False), {"try_number": 0}, "never started"),
        (TaskLog(LINES, 0, (), "Received SIGTERM"), {"start_date": None}, "never started"),
        (TaskLog(LINES, 0, (RAISED,)), {"start_date": None}, "RuntimeError"),
        (NotFound("no", "", ""), {}, "could not be read"),
        (NotFound("no", "", ""), {"start_date": None}, "never started"),
        (UnexpectedResponse("page", "", ""), {}, "could not be read"),
        (Forbidden("no", "", ""), {}, "could not be read"),
    ],
)
def test_the_cause_in_a_line(log: Any, changes: dict[str, Any], said: str) -> None:
    """The exception comes first, with its root; then what Airflow says; and what cannot be known is
    said as such.
    """
    (failure,) = why(Logging([log]), failed(**changes))

    assert said in failure.cause
    assert "\n" not in failure.cause
    assert failure.task == failed(**changes)


def test_the_same_root_is_not_said_twice() -> None:
    """An exception that was raised again with the same words is named once."""
    (failure,) = why(
        Logging([TaskLog((), 0, (RAISED, ExceptionInfo("RuntimeError", RAISED.text)))]), failed()
    )

    assert failure.cause == str(RAISED)


@pytest.mark.parametrize(
    ("event", "said"),
    [("Executor reported failed", "Executor reported failed"), (None, "without an error")],
)
def test_a_lost_worker(event: str | None, said: str) -> None:
    """A log that just ends is explained by Airflow's audit log, if it knows more."""
    (failure,) = why(Logging([TaskLog(LINES)], event), failed())

    assert said in failure.cause


def test_the_audit_log_is_asked_only_about_what_nothing_else_explains() -> None:
    """An exception, an error and a task that never started need no further question."""
    airflow = Logging(
        [TaskLog((), 0, (RAISED,)), TaskLog((), 0, (), "error"), TaskLog((), written=False)], "lost"
    )
    why(airflow, failed("a"), failed("b"), failed("c", start_date=None))

    assert airflow.heartbeat_timeout.calls == 0


def test_the_log_goes_with_its_reason() -> None:
    """Exceptions, tail and the count of what was left out are handed on as they are."""
    airflow = Logging([TaskLog(LINES, 7, (RAISED, CAUSE))])
    (failure,) = why(airflow, failed(), keep=100)

    assert (failure.raised, failure.log, failure.lines_omitted) == ((RAISED, CAUSE), LINES, 7)
    assert airflow.asked == [("load", 100)]


def test_without_logs_there_are_still_reasons() -> None:
    """Where no log is wanted the reason is read all the same, and the lines are dropped."""
    airflow = Logging([TaskLog(LINES, 7, (RAISED,))])
    (failure,) = why(airflow, failed(), keep=0)

    assert (failure.cause, failure.log) == (str(RAISED), ())
    assert airflow.asked[0][1] > 0


def test_only_what_failed_itself_has_a_reason() -> None:
    """Task instances that succeeded, were skipped or could not start because of others are not
    asked about.
    """
    states = ("success", "upstream_failed", "skipped", None, "up_for_retry", "removed", "running")
    airflow = Logging([TaskLog(LINES)] * 9)

    assert (
        why(airflow, *(a_task(f"t{number}", state=state) for number, state in enumerate(states)))
        == ()
    )
    assert airflow.asked == []


def test_of_very_many_failures_the_first_are_explained() -> None:
    """Thousands of failures cost a bounded number of logs."""
    airflow = Logging([TaskLog(LINES, 0, (RAISED,))] * 5000)
    found = why(airflow, *(failed("wide", map_index=index) for index in range(5000)))

    assert [failure.task.map_index for failure in found] == list(range(MAX_LOGS_READ))
    assert len(airflow.asked) == MAX_LOGS_READ


def test_a_missing_permission_costs_two_requests() -> None:
    """Where logs may not be read, only one is asked for again, and every failure is still named."""
    bench = Bench()
    airflow = Logging([Forbidden("no", "", "")] * 2)
    found = why(
        airflow,
        *(failed(f"t{number}") for number in range(5)),
        failed("t5", start_date=None),
        bench=bench,
    )

    assert [failure.task.task_id for failure in found] == [f"t{number}" for number in range(6)]
    assert "never started" in found[5].cause
    assert len(airflow.asked) == 2


def test_a_log_that_fails_in_passing_is_asked_for_again() -> None:
    """One failure of the web server does not cost the reason, and many of them cost no more than
    the reason.
    """
    down = TransientError("down", "", "", status=500)
    (failure,) = why(Logging([down, TaskLog(LINES, 0, (RAISED,))]), failed())
    assert failure.cause == str(RAISED)

    one, other = why(Logging([down, down, TaskLog(LINES, 0, (RAISED,))]), failed(), failed("other"))
    assert "could not be read" in one.cause
    assert other.cause == str(RAISED)


def test_the_logs_of_the_rest() -> None:
    """All logs are those of what ran and did not fail; what never ran has none."""
    tasks = [
        a_task("done"),
        a_task("again", state="up_for_retry"),
        failed("broken"),
        *(
            a_task(f"no{number}", state=state)
            for number, state in enumerate(("upstream_failed", "skipped", None))
        ),
        a_task("empty", try_number=0),
        a_task("mapped", map_index=1),
    ]
    airflow = Logging([TaskLog(LINES), NotFound("no", "", ""), TaskLog(("three",))])
    found = list(other_logs(Bench().optional(airflow), FAILED, tuple(tasks), 7))

    assert [(task.name, log.lines) for task, log in found] == [
        ("done", LINES),
        ("mapped[1]", ("three",)),
    ]
    assert airflow.asked == [("done", 7), ("again", 7), ("mapped[1]", 7)]


def test_very_many_logs_of_the_rest() -> None:
    """Of thousands of task instances a bounded number of logs is read, one by one as they are
    wanted.
    """
    airflow = Logging([TaskLog(LINES)] * 5000)
    rest = other_logs(
        Bench().optional(airflow),
        FAILED,
        tuple(a_task("w", map_index=one) for one in range(5000)),
        7,
    )
    next(rest)

    assert len(airflow.asked) == 1
    assert len(list(rest)) + 1 == MAX_LOGS_READ


def lasted(seconds: float, **changes: Any) -> DagRun:
    """A failed run that took so long."""
    return a_run(**{"state": "failed", "end_date": START + timedelta(seconds=seconds), **changes})


SKIPPED = (
    a_task("crunch", state="skipped"),
    a_task("publish", state=None),
    a_task("later", state="upstream_failed"),
)


@pytest.mark.parametrize(
    ("run", "tasks", "limit", "after"),
    [
        (lasted(10.47), SKIPPED, 10.0, 10.0),
        (lasted(10.0), (), 10.0, 10.0),
        (lasted(9.6), SKIPPED, 10.0, 10.0),  # its dates are a little apart from the scheduler's
        (lasted(3600.0), SKIPPED, 10.0, 10.0),
        (lasted(5.0), SKIPPED, 10.0, None),
        (lasted(10.47), SKIPPED, None, None),
        (lasted(10.47), (*SKIPPED, failed()), 10.0, None),
        (lasted(10.47, state="success"), SKIPPED, 10.0, None),
        (lasted(10.47, state="running"), SKIPPED, 10.0, None),
        (lasted(10.47, end_date=None), SKIPPED, 10.0, None),
        (lasted(10.47, note=f"by octocat\n{CANCELLED_MARK}"), SKIPPED, 10.0, None),
        (lasted(10.47), SKIPPED, Forbidden("no", "", ""), None),
        (lasted(10.47), SKIPPED, UnexpectedResponse("page", "", ""), None),
    ],
)
def test_a_run_that_was_too_slow_as_a_whole(
    run: DagRun, tasks: tuple[TaskInstance, ...], limit: Any, after: float | None
) -> None:
    """A run that failed without a failed task, after its DAG's dagrun_timeout, was ended by it;
    nothing else is.
    """
    airflow = Logging(timeout=limit)

    assert dagrun_timeout_exceeded(Bench().optional(airflow), run, tasks) == after


def test_the_limit_is_not_asked_for_where_it_does_not_matter() -> None:
    """A run whose task failed costs no question about its time limit."""
    airflow = Logging(timeout=10.0)
    dagrun_timeout_exceeded(Bench().optional(airflow), lasted(20.0), (failed(),))

    assert airflow.dagrun_timeout.calls == 0


def test_a_missing_permission_is_named_after_its_feature() -> None:
    """Whoever may not read the DAG's time limit learns which permission that would be."""
    bench = Bench()
    optional = bench.optional(Logging(timeout=Forbidden("no", "", "")))
    dagrun_timeout_exceeded(optional, lasted(20.0), ())
    optional.report_disabled()

    assert Feature.DAG.permission in bench.told.sentences[0]
