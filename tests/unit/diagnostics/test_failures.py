"""Why task instances failed: from their logs and dates to a cause in one line."""

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
from entrypoint.errors import (
    ExceptionInfo,
    Forbidden,
    NotFound,
    StackFrame,
    TransientError,
    UnexpectedResponse,
)
from entrypoint.models import CANCELLED_MARK, DagRun, Failure, TaskInstance, TaskLog
from entrypoint.permissions import Feature
from tests.support.factories import START, a_run, a_task
from tests.support.scripted import Harness, ScriptedCall

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
class AirflowWithLogs:
    """An Airflow with a log for each task instance and an audit log."""

    logs: list[Any] = field(default_factory=list)
    event: Any = None
    timeout: Any = None
    requests_sent: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._log, self.heartbeat_timeout, self.dagrun_timeout = (
            ScriptedCall(self.logs),
            ScriptedCall([self.event] * 99),
            ScriptedCall([self.timeout] * 9),
        )

    def log(self, _run: DagRun, task: TaskInstance, keep: int) -> TaskLog:
        self.requests_sent.append((task.name, keep))
        log: TaskLog = self._log()
        return log


def failed_task(task_id: str = "load", **changes: Any) -> TaskInstance:
    return a_task(task_id, **{"state": "failed", "start_date": START, **changes})


def find_failures(
    airflow: AirflowWithLogs, *tasks: TaskInstance, keep: int = 100, harness: Harness | None = None
) -> tuple[Failure, ...]:
    """Return the failures, each of which was also reported as soon as it was known."""
    relayed: list[Failure] = []
    found = failures_of(
        (harness or Harness()).optional(airflow), FAILED, tasks, keep, relayed.append
    )
    assert tuple(relayed) == found
    return found


@pytest.mark.parametrize(
    ("log", "changes", "message"),
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
        (TaskLog(LINES, 0, (), "Cannot load:\n  row 1"), {}, "Cannot load: row 1"),
        (TaskLog(LINES), {}, "without an error"),
        (TaskLog(("*** Could not read served logs",), written=False), {}, "no longer exists"),
        (TaskLog((), written=False), {"start_date": None}, "never started"),
        (TaskLog((), written=False), {"try_number": 0}, "never started"),
        (TaskLog(LINES, 0, (), "Received SIGTERM"), {"start_date": None}, "never started"),
        (TaskLog(LINES, 0, (RAISED,)), {"start_date": None}, "RuntimeError"),
        (TaskLog((), written=False, unavailable="2.3 has no such log"), {}, "2.3 has no such log"),
        (TaskLog(LINES, 0, (RAISED,)), {"state_reason": "a\nb"}, "the retry policy says: a b"),
        (NotFound("no", "", ""), {}, "could not be read"),
        (NotFound("no", "", ""), {"start_date": None}, "never started"),
        (UnexpectedResponse("page", "", ""), {}, "could not be read"),
        (Forbidden("no", "", ""), {}, "could not be read"),
    ],
)
def test_cause_is_the_exception_with_its_root_or_else_airflows_message(
    log: Any, changes: dict[str, Any], message: str
) -> None:
    """An unknown cause is called unknown."""
    (failure,) = find_failures(AirflowWithLogs([log]), failed_task(**changes))

    assert message in failure.cause
    assert "\n" not in failure.cause
    assert failure.task == failed_task(**changes)


def test_reraised_exception_with_the_same_text_is_named_once() -> None:
    (failure,) = find_failures(
        AirflowWithLogs([TaskLog((), 0, (RAISED, ExceptionInfo("RuntimeError", RAISED.text)))]),
        failed_task(),
    )

    assert failure.cause == str(RAISED)


@pytest.mark.parametrize(
    ("event", "message"),
    [("Executor reported failed", "Executor reported failed"), (None, "without an error")],
)
def test_audit_log_explains_a_log_that_ends_early(event: str | None, message: str) -> None:
    (failure,) = find_failures(AirflowWithLogs([TaskLog(LINES)], event), failed_task())

    assert message in failure.cause


def test_audit_log_is_requested_only_for_unexplained_failures() -> None:
    airflow = AirflowWithLogs(
        [TaskLog((), 0, (RAISED,)), TaskLog((), 0, (), "error"), TaskLog((), written=False)], "lost"
    )
    find_failures(airflow, failed_task("a"), failed_task("b"), failed_task("c", start_date=None))

    assert airflow.heartbeat_timeout.calls == 0


def test_failure_keeps_exceptions_tail_and_number_of_omitted_lines() -> None:
    airflow = AirflowWithLogs([TaskLog(LINES, 7, (RAISED, CAUSE))])
    (failure,) = find_failures(airflow, failed_task(), keep=100)

    assert (failure.raised, failure.log, failure.lines_omitted) == ((RAISED, CAUSE), LINES, 7)
    assert airflow.requests_sent == [("load", 100)]


def test_reasons_are_read_without_keeping_log_lines() -> None:
    airflow = AirflowWithLogs([TaskLog(LINES, 7, (RAISED,))])
    (failure,) = find_failures(airflow, failed_task(), keep=0)

    assert (failure.cause, failure.log) == (str(RAISED), ())
    assert airflow.requests_sent[0][1] > 0


def test_only_failed_task_instances_have_a_reason() -> None:
    states = ("success", "upstream_failed", "skipped", None, "up_for_retry", "removed", "running")
    airflow = AirflowWithLogs([TaskLog(LINES)] * 9)

    assert (
        find_failures(
            airflow, *(a_task(f"t{number}", state=state) for number, state in enumerate(states))
        )
        == ()
    )
    assert airflow.requests_sent == []


def test_number_of_explained_failures_is_bounded() -> None:
    airflow = AirflowWithLogs([TaskLog(LINES, 0, (RAISED,))] * 5000)
    found = find_failures(airflow, *(failed_task("wide", map_index=index) for index in range(5000)))

    assert [failure.task.map_index for failure in found] == list(range(MAX_LOGS_READ))
    assert len(airflow.requests_sent) == MAX_LOGS_READ


def test_missing_log_permission_costs_two_requests() -> None:
    """Every failure is still named."""
    harness = Harness()
    airflow = AirflowWithLogs([Forbidden("no", "", "")] * 2)
    found = find_failures(
        airflow,
        *(failed_task(f"t{number}") for number in range(5)),
        failed_task("t5", start_date=None),
        harness=harness,
    )

    assert [failure.task.task_id for failure in found] == [f"t{number}" for number in range(6)]
    assert "never started" in found[5].cause
    assert len(airflow.requests_sent) == 2


def test_log_is_retried_after_a_transient_error() -> None:
    down = TransientError("down", "", "", status=500)
    (failure,) = find_failures(AirflowWithLogs([down, TaskLog(LINES, 0, (RAISED,))]), failed_task())
    assert failure.cause == str(RAISED)

    one, other = find_failures(
        AirflowWithLogs([down, down, TaskLog(LINES, 0, (RAISED,))]),
        failed_task(),
        failed_task("other"),
    )
    assert "could not be read" in one.cause
    assert other.cause == str(RAISED)


def test_other_logs_are_those_of_tasks_that_ran_without_failing() -> None:
    tasks = [
        a_task("done"),
        a_task("again", state="up_for_retry"),
        failed_task("broken"),
        *(
            a_task(f"no{number}", state=state)
            for number, state in enumerate(("upstream_failed", "skipped", None))
        ),
        a_task("empty", try_number=0),
        a_task("mapped", map_index=1),
    ]
    airflow = AirflowWithLogs([TaskLog(LINES), NotFound("no", "", ""), TaskLog(("three",))])
    found = list(other_logs(Harness().optional(airflow), FAILED, tuple(tasks), 7))

    assert [(task.name, log.lines) for task, log in found] == [
        ("done", LINES),
        ("mapped[1]", ("three",)),
    ]
    assert airflow.requests_sent == [("done", 7), ("again", 7), ("mapped[1]", 7)]


def test_number_of_other_logs_is_bounded_and_they_are_read_lazily() -> None:
    airflow = AirflowWithLogs([TaskLog(LINES)] * 5000)
    rest = other_logs(
        Harness().optional(airflow),
        FAILED,
        tuple(a_task("w", map_index=one) for one in range(5000)),
        7,
    )
    next(rest)

    assert len(airflow.requests_sent) == 1
    assert len(list(rest)) + 1 == MAX_LOGS_READ


def run_of_seconds(seconds: float, **changes: Any) -> DagRun:
    return a_run(**{"state": "failed", "end_date": START + timedelta(seconds=seconds), **changes})


SKIPPED = (
    a_task("crunch", state="skipped"),
    a_task("publish", state=None),
    a_task("later", state="upstream_failed"),
)


@pytest.mark.parametrize(
    ("run", "tasks", "limit", "after"),
    [
        (run_of_seconds(10.47), SKIPPED, 10.0, 10.0),
        (run_of_seconds(10.0), (), 10.0, 10.0),
        # its dates differ a little from the scheduler's
        (run_of_seconds(9.6), SKIPPED, 10.0, 10.0),
        (run_of_seconds(3600.0), SKIPPED, 10.0, 10.0),
        (run_of_seconds(5.0), SKIPPED, 10.0, None),
        (run_of_seconds(10.47), SKIPPED, None, None),
        (run_of_seconds(10.47), (*SKIPPED, failed_task()), 10.0, None),
        (run_of_seconds(10.47, state="success"), SKIPPED, 10.0, None),
        (run_of_seconds(10.47, state="running"), SKIPPED, 10.0, None),
        (run_of_seconds(10.47, end_date=None), SKIPPED, 10.0, None),
        (run_of_seconds(10.47, note=f"by octocat\n{CANCELLED_MARK}"), SKIPPED, 10.0, None),
        (run_of_seconds(10.47), SKIPPED, Forbidden("no", "", ""), None),
        (run_of_seconds(10.47), SKIPPED, UnexpectedResponse("page", "", ""), None),
    ],
)
def test_dagrun_timeout_explains_a_run_without_failed_tasks(
    run: DagRun, tasks: tuple[TaskInstance, ...], limit: Any, after: float | None
) -> None:
    airflow = AirflowWithLogs(timeout=limit)

    assert dagrun_timeout_exceeded(Harness().optional(airflow), run, tasks) == after


def test_dagrun_timeout_is_not_requested_for_a_run_with_failed_tasks() -> None:
    airflow = AirflowWithLogs(timeout=10.0)
    dagrun_timeout_exceeded(Harness().optional(airflow), run_of_seconds(20.0), (failed_task(),))

    assert airflow.dagrun_timeout.calls == 0


def test_missing_permission_for_the_dagrun_timeout_is_named() -> None:
    harness = Harness()
    optional = harness.optional(AirflowWithLogs(timeout=Forbidden("no", "", "")))
    dagrun_timeout_exceeded(optional, run_of_seconds(20.0), ())
    optional.report_disabled()

    assert Feature.DAG.permission in harness.progress.sentences[0]
