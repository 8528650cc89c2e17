"""How long one request of a process may take, on a clock that the test turns."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from entrypoint.http.response import AIRFLOW
from entrypoint.inputs.settings import parse_settings
from entrypoint.report.console import Console
from entrypoint.runners import github as commands
from entrypoint.session import OPTIONAL_TIMEOUT, Session

SETTINGS = parse_settings(
    {"airflow_url": "https://airflow.example.com", "token": "t0ken", "dag_id": "nightly_sales"},
    Path("/github/workspace"),
)


@dataclass
class Clock:
    """Monotonic seconds, moved by hand."""

    now: float = 5000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def longest_answer(session: Session) -> float:
    """The seconds that an answer may take if it is asked for now."""
    return session.http_client(AIRFLOW)._read_timeout()


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def session(clock: Clock) -> Session:
    """A way to Airflow on which any answer may take 60 s."""
    return Session(
        SETTINGS, clock, lambda _: None, commands, Console(clock, commands), read_timeout=60.0
    )


@pytest.mark.parametrize(
    ("seconds", "left", "longest"),
    [(3600, 3600, 60), (3600, 50, 50), (3600, 0.5, 1), (3600, -400, 1), (30, 30, 30), (0, 0, 1)],
)
def test_allow(session: Session, clock: Clock, seconds: float, left: float, longest: float) -> None:
    """No answer is waited for longer than its own time, and than what is left, of which a second is
    always there.
    """
    assert session.set_deadline(seconds) == session.deadline == 5000 + seconds
    clock.now += seconds - left

    assert session.seconds_left() == left
    assert longest_answer(session) == longest


def test_allow_with_a_limit(session: Session) -> None:
    """A limit for each answer counts until time is allowed anew, and never makes it longer."""
    session.set_deadline(3600, 20)
    assert longest_answer(session) == 20
    session.set_deadline(3600)
    assert longest_answer(session) == 60
    session.set_deadline(3600, 90)
    assert longest_answer(session) == 60


def test_brief(session: Session) -> None:
    """What only explains gets a short time for each answer, however it ends, and never a longer one
    than there was.
    """
    session.set_deadline(3600)
    seen = []

    def explain() -> None:
        with session.limit_requests():
            seen.append(longest_answer(session))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        explain()
    assert seen == [OPTIONAL_TIMEOUT]
    assert longest_answer(session) == 60
    session.set_deadline(3600, 5)
    with session.limit_requests():
        assert longest_answer(session) == 5
    assert longest_answer(session) == 5


def test_before_any_time_is_allowed(session: Session) -> None:
    """Until time is allowed, there is none."""
    assert session.seconds_left() == 0
    assert longest_answer(session) == 1
