"""Waiting for a run that this workflow does not create: `trigger: false`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.step import run_against
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = ["scheduled__2026-01-31T00:00:00+00:00", "by hand, at noon", "x" * 230, "ümläut"]


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=[FakeDag("sales", polls=3)]) as running:
        yield running


@pytest.mark.parametrize("run_id", IDS)
def test_a_run_with_any_id_of_airflow_is_followed(fake: FakeAirflow, run_id: str) -> None:
    fake.create_run("sales", run_id, state="running")
    outcome = run_against(fake, trigger="false", run_id=run_id)
    assert (outcome.result, outcome.created, outcome.owned) == ("success", False, False)


@pytest.mark.parametrize("wait", ["true", "false"])
def test_a_run_that_airflow_creates_later_is_waited_for(fake: FakeAirflow, wait: str) -> None:
    time = after(300, lambda: fake.create_run("sales", IDS[0], state="running"))
    outcome = run_against(
        fake, time=time, trigger="false", run_id=IDS[0], start_timeout="10m", wait=wait
    )
    assert outcome.result == ("success" if wait == "true" else "triggered")
    assert 1300 <= time.now <= 1330


def test_without_start_timeout_a_missing_run_is_an_error_at_once(fake: FakeAirflow) -> None:
    time = VirtualTime()
    outcome = run_against(fake, time=time, trigger="false", run_id=IDS[0])
    assert outcome.error is not None
    assert outcome.error.title == "There is no such DAG run to wait for"
    assert "start_timeout" in outcome.error.hint
    assert time.now == 1000


def test_start_timeout_bounds_the_wait_for_the_creation(fake: FakeAirflow) -> None:
    time = VirtualTime()
    missing = run_against(
        fake, time=time, trigger="false", run_id=IDS[0], start_timeout="10m", poll_interval="7s"
    )
    assert missing.error is not None
    assert "after 10 m 00 s" in missing.error.detail
    assert time.now == 1600


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_a_run_that_stays_queued_times_out_from_the_beginning_of_the_wait(version: str) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales", starts=10**6, polls=10**7)]) as fake:  # type: ignore[arg-type]
        time = after(300, lambda: fake.create_run("sales", IDS[0], state="queued"))
        outcome = run_against(
            fake, time=time, trigger="false", run_id=IDS[0], start_timeout="10m", timeout="1h"
        )
        assert outcome.result == "timeout"
        assert 1600 <= time.now <= 1605
