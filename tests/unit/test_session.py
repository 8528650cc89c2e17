"""The deadlines that a session hands out, on a virtual clock."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from entrypoint.deadline import OPTIONAL_TIMEOUT
from entrypoint.inputs.settings import parse_settings
from entrypoint.report.console import Console
from entrypoint.runners import github as commands
from entrypoint.session import Session

SETTINGS = parse_settings(
    {"airflow_url": "https://airflow.example.com", "token": "t0ken", "dag_id": "nightly_sales"},
    Path("/github/workspace"),
)


@dataclass
class SessionClock:
    now: float = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> SessionClock:
    return SessionClock()


@pytest.fixture
def session(clock: SessionClock) -> Session:
    return Session(
        SETTINGS, clock, lambda _: None, commands, Console(clock, commands), read_timeout=60.0
    )


@pytest.mark.parametrize(
    ("seconds", "left", "longest"),
    [(3600, 3600, 60), (3600, 50, 50), (3600, 0.5, 1), (3600, -400, 1), (30, 30, 30), (0, 0, 1)],
)
def test_request_gets_its_own_limit_or_the_remaining_time(
    session: Session, clock: SessionClock, seconds: float, left: float, longest: float
) -> None:
    """It is at least one second."""
    deadline = session.deadline(seconds)
    clock.now += seconds - left

    assert deadline.at == 5000 + seconds
    assert deadline.seconds_left() == left
    assert deadline.has_passed() == (left <= 0)
    assert deadline.request_seconds() == longest


def test_limit_per_request_is_at_most_the_read_timeout(session: Session) -> None:
    assert session.deadline(3600, 20).request_seconds() == 20
    assert session.deadline(3600, 90).request_seconds() == 60


def test_optional_requests_have_a_short_timeout(session: Session) -> None:
    deadline = session.deadline(3600)

    assert deadline.limited(OPTIONAL_TIMEOUT).request_seconds() == OPTIONAL_TIMEOUT
    assert deadline.request_seconds() == 60
    assert session.deadline(3600, 5).limited(OPTIONAL_TIMEOUT).request_seconds() == 5


def test_deadline_becomes_earlier_or_later_as_a_new_value(session: Session) -> None:
    deadline = session.deadline(100)

    assert deadline.at_most(60).at == 5060
    assert deadline.at_most(600).at == 5100
    assert deadline.extended(60).at == 5160
    assert deadline.at == 5100
