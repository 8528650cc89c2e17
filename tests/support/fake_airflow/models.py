"""What a test says about the scripted Airflow: DAGs, their tasks, and what becomes of them. Frozen,
and without any HTTP.
"""

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
    """An exception that ends a try. `frames`: file, line and function, the one that raised it last;
    () makes one up.

    `cause`: what it was raised `from`. `context`: what was being handled when it was raised.
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
    """What a task asks a human (Airflow 3 only), from the moment it is `awaiting_input`."""

    subject: str
    options: tuple[str, ...] = ("Approve", "Reject")
    body: str | None = None


@dataclass(frozen=True, slots=True)
class FakeTask:
    """One task of a DAG; each `map_index` is one of its own.

    `ends`: how a try ends, the last one repeats. `states`: from which look at the run on it is in
    which state, "ends" being the one that `ends` says, for example `{2: "scheduled", 4: "running",
    6: "up_for_retry", 7: "running", 9: "ends"}`. What ends out of `scheduled` or `queued` has never
    started. Without `states` the first task of a DAG runs with the run, and all end with it. `log`:
    what a try leaves: text that it prints, or an entry of Airflow 3's log as it is; a function of
    the try number, for logs that are too large to hold; None: the log is gone. `error`: what ends a
    try that fails, per try, the last one repeats; `KILLED`, or None: nothing to be seen. `span`:
    seconds after the run's start at which it started and ended; without it, when it really did.
    """

    task_id: str
    ends: str | tuple[str, ...] = "success"
    map_index: int = -1
    log: Log = ("working on it",)
    error: FakeError | tuple[FakeError, ...] | None = FakeError("ValueError", "it broke")
    xcom: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[int, str] = field(default_factory=dict)
    retries: int = 0
    pool: str = "default_pool"
    pool_slots: int = 1
    operator: str = "PythonOperator"
    question: FakeQuestion | None = None
    span: tuple[float, float] | None = None

    def entries(self, try_number: int) -> Iterable[Entry]:
        """What a try leaves in its log."""
        return self.log(try_number) if callable(self.log) else self.log or ()

    def raised(self, try_number: int) -> FakeError | None:
        """What ends a try that fails."""
        return nth(self.error, try_number) if self.error is not None else None


@dataclass(frozen=True, slots=True)
class FakeDag:
    """One DAG, and what becomes of its runs.

    `ends`: how a run ends, per attempt (a clear begins a new one), the last one repeats; None:
    failed if a task failed; "timeout": failed, as `dag_run_timeout` (in seconds) ends it. `looks`:
    at which look a run has ended; `starts`: at which it runs; those before show queued.
    `params_schema`: param name to JSON schema; a schema with "default" makes the param optional.
    `after_cancel`: what a look shows after the run was set to failed: 3.3.2 may make it success
    (docs/notes/airflow-3.md#stopping-a-run). `parsed_after`: so many GETs of the DAG find nothing
    yet. `broken`: the stack trace of its import error. `stale`: Airflow no longer finds it in its
        file; None: if it
    is broken. `file`: relative to the folder of the DAGs. `max_active_runs`: so many of its runs
    are running at most; further ones stay queued. `bundle_version`: per GET of the DAG, the last
    one repeats; a run gets the one of
    its trigger. `latest_dag_version`: that of the structure, if it lags behind.
    """

    dag_id: str
    tasks: tuple[FakeTask, ...] = (FakeTask("extract"), FakeTask("load"))
    ends: str | tuple[str, ...] | None = None
    looks: int = 3
    starts: int = 2
    paused: bool = False
    params_schema: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    after_cancel: str = "failed"
    parsed_after: int = 0
    broken: str = ""
    stale: bool | None = None
    file: str = ""
    max_active_runs: int = 16
    max_active_tasks: int = 16
    dag_run_timeout: float | None = None
    bundle_version: str | tuple[str, ...] | None = None
    latest_dag_version: str | None = None

    @property
    def is_stale(self) -> bool:
        """Whether Airflow no longer finds it in its file."""
        return bool(self.broken) if self.stale is None else self.stale

    @property
    def relative_file(self) -> str:
        """Its file, below the folder of the DAGs."""
        return self.file or f"{self.dag_id}.py"


def nth(values: T | tuple[T, ...], number: int) -> T:
    """The value for the number-th time, counted from 1; the last one repeats."""
    return values[min(max(number, 1), len(values)) - 1] if isinstance(values, tuple) else values
