"""The live log, line by line, on a clock that the test turns."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from dev.runner import Annotation
from dev.runner.commands import StepLog
from entrypoint.errors import AirflowUnreachable
from entrypoint.models import RunState
from entrypoint.report.console import HEARTBEAT, Console
from tests.support.listening import heard
from tests.support.nouns import RUN_URL, a_run, an_outcome


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
    return heard(lambda: story(Console(clock), clock))


def looks(*seen: tuple[float, RunState]) -> Callable[[Console, Clock], None]:
    """A story of looks at the DAG run: how much later, and what state it is in then."""

    def story(console: Console, clock: Clock) -> None:
        for later, state in seen:
            clock.now += later
            console.state(a_run(state=state))

    return story


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (((0, "queued"),), ["  0:00  The DAG run is queued"]),
        (((1, "queued"), (1, "queued"), (58, "queued")), ["  0:01  The DAG run is queued"]),
        (
            ((0, "queued"), (61, "running"), (59, "running"), (3600, "success")),
            ["  0:00  The DAG run is queued", "  1:01  The DAG run is running", " 62:00  The DAG run is success"],
        ),
        (
            ((0, "running"), (60, "running"), (10, "running"), (50, "running")),
            ["  0:00  The DAG run is running", "  1:00  The DAG run is still running", "  2:00  The DAG run is still running"],
        ),
        (((0, "running"), (0, "failed"), (9, "running")), [f"  0:0{at}  The DAG run is {state}" for at, state in
            ((0, "running"), (0, "failed"), (9, "running"))]),
    ],
)  # fmt: skip
def test_states(seen: tuple[tuple[float, RunState], ...], lines: list[str]) -> None:
    """A change of state is a line; without a change there is one every minute, with the time since the start."""
    assert told(looks(*seen)).lines == lines


def test_any_line_is_a_sign_of_life() -> None:
    """The minute of silence is counted from the last line, whatever it said."""

    def story(console: Console, clock: Clock) -> None:
        console.state(a_run(state="running"))
        clock.now += HEARTBEAT - 1
        console.connected("3.3.2", "https://airflow.example.com")
        clock.now += HEARTBEAT - 1
        console.state(a_run(state="running"))

    assert len(told(story).lines) == 2


def test_connected_and_found() -> None:
    """Version, address, run and where it comes from are told as they become known."""

    def story(console: Console, clock: Clock) -> None:
        clock.now += 2.9
        console.connected("3.3.2", "https://airflow.example.com")
        console.found(an_outcome())

    assert told(story).lines == [
        "  0:02  Airflow 3.3.2 answers at https://airflow.example.com",
        "  0:02  DAG run r1 of nightly_sales: triggered by this step",
        f"  0:02  Follow it at {RUN_URL}",
    ]


def test_fault() -> None:
    """A fault that is ridden out is told with its evidence and the pause."""
    fault = AirflowUnreachable("Airflow answers 503", "GET /x answered 503.\n::error::no", "hint")

    assert told(lambda console, _: console.fault(fault, 4.96)).lines == [
        "  0:00  Airflow answers 503. GET /x answered 503. ::error::no Trying again in 5.0 s"
    ]


def test_interventions() -> None:
    """What this step or somebody else does to the run meanwhile is a line."""

    def story(console: Console, _: Clock) -> None:
        console.cleared(a_run(state="failed"))
        console.stopping("r1")

    assert told(story).lines == [
        "  0:00  The DAG run was failed, but somebody cleared it meanwhile: waiting for its new end",
        "  0:00  Stopping the DAG run r1",
    ]


def test_no_tasks() -> None:
    """Task instances that cannot be read are a line, not an annotation."""
    log = told(lambda console, _: console.no_tasks(AirflowUnreachable("Airflow answers 503", "why.", "hint")))

    assert log.lines == ["  0:00  The task instances could not be read: Airflow answers 503. why."]
    assert log.annotations == []


def test_unencrypted() -> None:
    """Plain http is one warning, with the address."""
    (note,) = told(lambda console, _: console.unencrypted("http://airflow:8080")).annotations

    assert (note.level, note.title) == ("warning", "The connection to Airflow is not encrypted")
    assert "http://airflow:8080" in note.message
    assert isinstance(note, Annotation)
