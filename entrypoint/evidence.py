"""What Airflow shows beside the state of a run: exceptions, logs, pools, health. No I/O."""

from __future__ import annotations

from typing import NamedTuple


class Frame(NamedTuple):
    """One frame of a traceback: a file as the worker names it, a line from 1 on, a function."""

    filename: str
    line: int
    function: str


class Raised(NamedTuple):
    """One exception: its class, its text, and its frames, the one that raised it last."""

    kind: str
    text: str
    frames: tuple[Frame, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


class TaskLog(NamedTuple):
    """What a task instance's log says.

    Attributes:
        lines: its tail.
        left_out: how many lines there were before that tail.
        raised: the exception that ended the try, then its cause, then the cause's; empty if the log shows none.
        last_error: the last line of level error or worse, None if there is none.
        written: whether the try wrote anything; otherwise the lines only say where a log was looked for.
    """

    lines: tuple[str, ...]
    left_out: int = 0
    raised: tuple[Raised, ...] = ()
    last_error: str | None = None
    written: bool = True


class Health(NamedTuple):
    """Which of Airflow's components send heartbeats. None: it has no such component, or never had."""

    scheduler: bool | None
    dag_processor: bool | None
    triggerer: bool | None


class Pool(NamedTuple):
    """A pool, and how many of its slots are free."""

    name: str
    slots: int
    open_slots: int


class ImportFault(NamedTuple):
    """A DAG file that Airflow cannot import: its path as Airflow names it, and the traceback.

    `bundle`: in which the path is; empty on Airflow 2, which knows no bundles.
    """

    filename: str
    trace: str
    raised: tuple[Raised, ...] = ()
    bundle: str = ""


class HumanInput(NamedTuple):
    """A question that a task waits for a human to answer."""

    task_id: str
    map_index: int
    subject: str
    url: str
