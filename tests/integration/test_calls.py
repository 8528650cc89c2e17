"""Two calls of one reusable workflow in one workflow run never share a run by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.step import CONTEXT, run_against

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

WITHOUT_JOB_PATH = CONTEXT._replace(job_path="")


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=[FakeDag("sales")]) as running:
        yield running


def error_title(outcome: Outcome) -> str:
    assert outcome.result == "error"
    return outcome.error.title if outcome.error else ""


def test_each_call_gets_its_own_run_if_the_runner_gives_the_job_path(fake: FakeAirflow) -> None:
    """A re-run of each call finds its own DAG run."""
    calls = [CONTEXT._replace(job_path=f"{name}.action.__default") for name in ("before", "after")]
    first = [run_against(fake, context=call) for call in calls]
    second = [run_against(fake, context=call._replace(attempt=2)) for call in calls]
    assert [outcome.result for outcome in first + second] == ["success"] * 4
    assert [outcome.created for outcome in first + second] == [True, True, False, False]
    assert len(fake.runs("sales")) == 2


@pytest.mark.parametrize("policy", ["resume", "attach", "restart"])
def test_a_second_call_is_refused_without_the_job_path(fake: FakeAirflow, policy: str) -> None:
    """The hint names run_id, and nothing is cleared."""
    assert run_against(fake, context=WITHOUT_JOB_PATH).result == "success"
    again = run_against(fake, context=WITHOUT_JOB_PATH, if_run_exists=policy)
    assert error_title(again) == "The DAG run belongs to another job"
    assert again.error is not None
    assert "run_id" in again.error.hint
    assert len(fake.runs("sales")) == 1
    assert not [
        request for request in fake.record if request.method == "POST" and "lear" in request.path
    ]


def test_a_later_attempt_without_the_job_path_logs_a_warning(
    fake: FakeAirflow, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run is most likely that of the previous attempt, so the step takes it over."""
    assert run_against(fake, context=WITHOUT_JOB_PATH).result == "success"
    capsys.readouterr()
    assert run_against(fake, context=WITHOUT_JOB_PATH._replace(attempt=2)).result == "success"
    assert "may belong to another call" in capsys.readouterr().out
    assert run_against(fake, context=CONTEXT).result == "success"
    assert run_against(fake, context=CONTEXT._replace(attempt=2)).result == "success"
    assert "may belong to another call" not in capsys.readouterr().out


def test_two_calls_share_a_run_id_that_the_user_gives(fake: FakeAirflow) -> None:
    assert [
        run_against(fake, context=WITHOUT_JOB_PATH, run_id="deploy-1").result for _ in range(2)
    ] == ["success"] * 2
