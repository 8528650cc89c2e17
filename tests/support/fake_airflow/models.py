"""DAGs and tasks of the fake Airflow as a test defines them. Frozen, without HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Entry = str | Mapping[str, Any]
    Log = tuple[Entry, ...] | Callable[[int], Iterable[Entry]] | None

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FakeError:
    """An exception that ends a try.

    Attributes:
        frames: file, line and function of each frame, the raising one last; () generates one
        cause: the exception that it was raised `from`
        context: the exception that was being handled
    """

    exc_type: str
    exc_value: str
    frames: tuple[tuple[str, int, str], ...] = ()
    notes: tuple[str, ...] = ()
    cause: FakeError | None = None
    context: FakeError | None = None


KILLED = FakeError("SIGKILL", "")
"""No exception: the task's process was killed, as when memory runs out."""


@dataclass(frozen=True, slots=True)
class FakeQuestion:
    """A task's question to a human (Airflow 3 only), from the state `awaiting_input` on."""

    subject: str
    options: tuple[str, ...] = ("Approve", "Reject")
    body: str | None = None


@dataclass(frozen=True, slots=True)
class FakeTask:
    """One task of a DAG; each `map_index` is a task of its own.

    Attributes:
        ends: final state of each try; the last one repeats
        states: number of polls of the run to the state from then on; "ends" is the one from `ends`.
            Example: `{2: "scheduled", 4: "running", 6: "up_for_retry", 7: "running", 9: "ends"}`.
            A task that ends from `scheduled` or `queued` has never started. Without `states` the
            first task of a DAG starts with the run, and all tasks end with it.
        log: what a try writes: printed text, or an entry of Airflow 3's log; a function of the try
            number for logs that are too large for memory; None if the log is lost
        log_text: the whole log of a try, in a format of its own (Airflow 2 only)
        mapped: whether the task is mapped; with map index -1 it is mapped over nothing
        error: exception of each failed try, the last one repeats; `KILLED`, or None for no trace
        span: seconds from the run's start to the task's start and end; by default the real times
        iteration: number of the loop's iteration, None outside a loop (3.4)
        state_reason: reason of a retry policy (3.4)
    """

    task_id: str
    ends: str | tuple[str, ...] = "success"
    map_index: int = -1
    log: Log = ("working on it",)
    log_text: str = ""
    mapped: bool = False
    error: FakeError | tuple[FakeError, ...] | None = FakeError("ValueError", "it broke")
    xcom: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[int, str] = field(default_factory=dict)
    retries: int = 0
    pool: str = "default_pool"
    pool_slots: int = 1
    operator: str = "PythonOperator"
    question: FakeQuestion | None = None
    span: tuple[float, float] | None = None
    iteration: int | None = None
    state_reason: str | None = None

    def entries(self, try_number: int) -> Iterable[Entry]:
        """Return the log entries of a try."""
        return self.log(try_number) if callable(self.log) else self.log or ()

    def raised(self, try_number: int) -> FakeError | None:
        """Return the exception of a failed try."""
        return nth(self.error, try_number) if self.error is not None else None


@dataclass(frozen=True, slots=True)
class FakeDag:
    """One DAG, and how its runs go.

    Attributes:
        ends: final state of each attempt (a clear begins a new one), the last one repeats. None:
            failed if a task failed. "timeout": failed by `dag_run_timeout` (in seconds).
        polls: number of polls after which a run has ended
        starts: number of polls after which it is running; before, it is queued
        params_schema: param name to JSON schema; "default" makes the param optional
        after_cancel: state after the run was set to failed: 3.3.2 may make it success
            (docs/notes/airflow-3.md#stopping-a-run)
        parsed_after: number of GETs of the DAG that return 404 first
        broken: stack trace of the DAG's import error
        stale: whether Airflow no longer finds the DAG in its file; None: if it is broken
        deleted: whether its broken file was then deleted, which leaves `has_import_errors` true
        file: path relative to the DAGs folder
        max_active_runs: maximum number of running runs; further ones stay queued
        bundle_version: version per GET of the DAG, the last one repeats; a run gets the current one
        latest_dag_version: version of the DAG's structure, if it lags behind
        manual_runs: whether `allowed_run_types` has manual ones (Airflow 3 only)
        tags: names of its tags
    """

    dag_id: str
    tasks: tuple[FakeTask, ...] = (FakeTask("extract"), FakeTask("load"))
    ends: str | tuple[str, ...] | None = None
    polls: int = 3
    starts: int = 2
    paused: bool = False
    params_schema: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    after_cancel: str = "failed"
    parsed_after: int = 0
    broken: str = ""
    stale: bool | None = None
    deleted: bool = False
    file: str = ""
    max_active_runs: int = 16
    max_active_tasks: int = 16
    dag_run_timeout: float | None = None
    start_date: str | None = None
    bundle_version: str | tuple[str, ...] | None = None
    latest_dag_version: str | None = None
    manual_runs: bool = True
    tags: tuple[str, ...] = ()

    @property
    def is_stale(self) -> bool:
        """Whether Airflow no longer finds the DAG in its file."""
        return bool(self.broken) if self.stale is None else self.stale

    @property
    def relative_file(self) -> str:
        """Path relative to the DAGs folder."""
        return self.file or f"{self.dag_id}.py"


def nth(values: T | tuple[T, ...], number: int) -> T:
    """Return the value for the number-th time, counted from 1; the last one repeats."""
    return values[min(max(number, 1), len(values)) - 1] if isinstance(values, tuple) else values
