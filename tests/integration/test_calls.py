"""Two calls of one reusable workflow in one workflow run: neither is green for what the other one
has run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.step import CONTEXT, run_gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

UNTOLD = CONTEXT._replace(job_path="")


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """An Airflow with a DAG."""
    with FakeAirflow(request.param, dags=[FakeDag("sales")]) as running:
        yield running


def error_of(outcome: Outcome) -> str:
    """What kept the step from knowing."""
    assert outcome.result == "error"
    return outcome.error.title if outcome.error else ""


def test_each_call_runs_where_the_runner_tells_them_apart(fake: FakeAirflow) -> None:
    """Gate, deploy, gate again: two DAG runs; and a re-run of each finds its own."""
    calls = [CONTEXT._replace(job_path=f"{name}.gate.__default") for name in ("before", "after")]
    first = [run_gate(fake, context=call) for call in calls]
    second = [run_gate(fake, context=call._replace(attempt=2)) for call in calls]
    assert [outcome.result for outcome in first + second] == ["success"] * 4
    assert [outcome.created for outcome in first + second] == [True, True, False, False]
    assert len(fake.runs("sales")) == 2


@pytest.mark.parametrize("policy", ["resume", "attach", "restart"])
def test_a_second_call_is_refused_where_the_runner_does_not(fake: FakeAirflow, policy: str) -> None:
    """It says what to do, and nothing runs again."""
    assert run_gate(fake, context=UNTOLD).result == "success"
    again = run_gate(fake, context=UNTOLD, if_run_exists=policy)
    assert error_of(again) == "The DAG run is another call's"
    assert again.error is not None
    assert "run_id" in again.error.hint
    assert len(fake.runs("sales")) == 1
    assert not [
        request for request in fake.record if request.method == "POST" and "lear" in request.path
    ]


def test_a_later_attempt_says_what_it_cannot_know(
    fake: FakeAirflow, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run is most likely that of the attempt before, so it is taken over; the log tells the
    doubt.
    """
    assert run_gate(fake, context=UNTOLD).result == "success"
    capsys.readouterr()
    assert run_gate(fake, context=UNTOLD._replace(attempt=2)).result == "success"
    assert "may be another call's" in capsys.readouterr().out
    assert run_gate(fake, context=CONTEXT).result == "success"
    assert run_gate(fake, context=CONTEXT._replace(attempt=2)).result == "success"
    assert "may be another call's" not in capsys.readouterr().out


def test_an_id_that_the_user_chose_is_shared_on_purpose(fake: FakeAirflow) -> None:
    """It says itself what is one run and what are two."""
    assert [run_gate(fake, context=UNTOLD, run_id="deploy-1").result for _ in range(2)] == [
        "success"
    ] * 2
