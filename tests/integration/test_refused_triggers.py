"""A trigger that is refused with a reason is sent once, and the reason is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrypoint.errors import (
    ActionError,
    GatewayRefused,
    InvalidConf,
    ServerFailure,
    TransientError,
    TriggerRefused,
    TriggerUnclear,
)
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault
from tests.support.step import run_against
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIGGER = ("POST", "/dagRuns")
SCHEMA = {"days": {"type": "integer", "default": 7}}


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=[FakeDag("sales", polls=3)]) as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "error", "words", "hint"),
    [
        (Fault.HTML_413, TriggerRefused, "413 Request Entity Too Large", "Give less conf"),
        (Fault.HTML_403, GatewayRefused, "Forbidden", "firewall"),
    ],
)
def test_a_refusal_by_a_gateway_is_final_and_quoted(
    fake: FakeAirflow, fault: Fault, error: type[ActionError], words: str, hint: str
) -> None:
    fake.fault(fault, on=TRIGGER, times=9)
    outcome = run_against(fake, conf='{"large": "' + "x" * 5000 + '"}')

    assert isinstance(outcome.error, error)
    assert words in outcome.error.detail
    assert "<" not in outcome.error.detail
    assert hint in outcome.error.hint
    assert len(fake.received(*TRIGGER)) == 1
    assert fake.runs("sales") == []


def test_the_size_of_a_body_that_a_firewall_refuses_is_given(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_403, on=TRIGGER)
    outcome = run_against(fake, conf='{"large": "' + "x" * 5000 + '"}')

    assert outcome.error is not None
    sent = int(fake.received(*TRIGGER)[0].headers["Content-Length"])
    assert f"whose body has {sent} bytes" in outcome.error.detail


@pytest.mark.parametrize("fault", [Fault.HTML_413, Fault.HTML_403, Fault.LASTING_500])
def test_a_run_that_exists_despite_a_refusal_is_followed(fake: FakeAirflow, fault: Fault) -> None:
    """A gateway may refuse the response of a trigger that Airflow has executed."""
    fake.fault(fault, on=TRIGGER, when="after")
    outcome = run_against(fake)

    assert (outcome.result, outcome.created, len(fake.runs("sales"))) == ("success", True, 1)
    assert len(fake.received(*TRIGGER)) == 1


def test_a_refusal_after_an_unclear_trigger_waits_for_the_run(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_504, on=TRIGGER)
    fake.fault(Fault.HTML_413, on=TRIGGER)
    time = VirtualTime()
    outcome = run_against(fake, time=time)

    assert isinstance(outcome.error, TriggerUnclear)
    assert "413 Request Entity Too Large" in outcome.error.detail
    assert len(fake.received(*TRIGGER)) == 2
    assert time.now >= 1030  # it looks for the run of the first trigger for half a minute


def test_a_failure_of_airflow_with_a_lasting_reason_is_final_and_quoted() -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        fake.fault(Fault.LASTING_500, on=TRIGGER, times=9)
        outcome = run_against(fake)

        assert isinstance(outcome.error, ServerFailure)
        assert "Missing module sales_helpers" in outcome.error.detail
        assert len(fake.received(*TRIGGER)) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.JSON_500, "Database error: Serious error"),
        (Fault.HTML_500, "Ooops!"),
        (Fault.HTML_502, "502 Bad Gateway"),
        (Fault.TOO_MANY, "Too Many Requests"),
    ],
)
def test_a_passing_failure_is_retried_and_in_the_end_quoted(
    fake: FakeAirflow, fault: Fault, words: str
) -> None:
    fake.fault(fault, on=TRIGGER, times=5)
    outcome = run_against(fake)

    assert isinstance(outcome.error, TransientError)
    assert words in outcome.error.detail
    assert len(fake.received(*TRIGGER)) == 5
    fake.fault(fault, on=TRIGGER)
    assert run_against(fake).result == "success"


def test_a_gateway_without_airflow_behind_it_is_retried(fake: FakeAirflow) -> None:
    """An ingress answers 404 while Airflow's pod restarts."""
    fake.fault(Fault.HTML_404, on=TRIGGER)

    assert run_against(fake).result == "success"


@pytest.mark.parametrize(
    ("dag", "inputs", "title", "words"),
    [
        (
            FakeDag("sales", manual_runs=False),
            {},
            "The DAG does not allow manual runs",
            "does not allow manual runs",
        ),
        (
            FakeDag("sales", params_schema=SCHEMA),
            {"conf": '{"days": "five"}'},
            "Airflow refused the DAG run's parameters",
            "Invalid input for param days",
        ),
    ],
)
def test_a_refusal_by_airflow_is_final_and_quoted(
    dag: FakeDag, inputs: dict[str, str], title: str, words: str
) -> None:
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        outcome = run_against(fake, conf=inputs.get("conf", "{}"))

        assert isinstance(outcome.error, (TriggerRefused, InvalidConf))
        assert outcome.error.title == title
        assert words in outcome.error.detail
        assert len(fake.received(*TRIGGER)) == 1
