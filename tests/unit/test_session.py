"""The read timeout of each request, on a virtual clock."""

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
class SessionClock:
    now: float = 5000.0

    def __call__(self) -> float:
        return self.now


def read_timeout(session: Session) -> float:
    return session.http_client(AIRFLOW)._read_timeout()


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
def test_read_timeout_is_its_own_limit_or_the_remaining_time(
    session: Session, clock: SessionClock, seconds: float, left: float, longest: float
) -> None:
    """It is at least one second."""
    assert session.set_deadline(seconds) == session.deadline == 5000 + seconds
    clock.now += seconds - left

    assert session.seconds_left() == left
    assert read_timeout(session) == longest


def test_limit_per_response_lasts_until_the_next_deadline(session: Session) -> None:
    session.set_deadline(3600, 20)
    assert read_timeout(session) == 20
    session.set_deadline(3600)
    assert read_timeout(session) == 60
    session.set_deadline(3600, 90)
    assert read_timeout(session) == 60


def test_optional_requests_have_a_short_timeout(session: Session) -> None:
    session.set_deadline(3600)
    seen = []

    def explain() -> None:
        with session.limit_requests():
            seen.append(read_timeout(session))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        explain()
    assert seen == [OPTIONAL_TIMEOUT]
    assert read_timeout(session) == 60
    session.set_deadline(3600, 5)
    with session.limit_requests():
        assert read_timeout(session) == 5
    assert read_timeout(session) == 5


def test_remaining_time_is_zero_before_a_deadline_is_set(session: Session) -> None:
    assert session.seconds_left() == 0
    assert read_timeout(session) == 1
