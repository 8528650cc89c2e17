"""The whole action against the scripted 2.5.1 and 3.4, where they differ from other versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from entrypoint.errors import InvalidConf, NotSupported, TransientError
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeError, FakeTask, Fault
from tests.support.step import run_against
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fake_airflow.models import Log

TRIGGER = ("POST", "/dagRuns")
SCHEMA = {"days": {"type": "integer", "minimum": 1, "default": 7}}
WRONG = '{"days": "five"}'


@pytest.fixture
def old() -> Iterator[FakeAirflow]:
    with FakeAirflow("2.5.1", dags=[FakeDag("sales", params_schema=SCHEMA)]) as fake:
        yield fake


def test_a_note_is_set_after_the_trigger(old: FakeAirflow) -> None:
    outcome = run_against(old, note="why")

    assert (outcome.result, outcome.created) == ("success", True)
    assert [run.note for run in old.runs("sales")] == ["why"]
    assert len(old.received("PATCH", "/setNote")) == 1


@pytest.mark.parametrize("run_id", ["", "chosen"])
def test_a_note_is_also_set_if_the_answer_to_the_trigger_is_lost(
    old: FakeAirflow, run_id: str
) -> None:
    old.fault(Fault.RESET, on=TRIGGER, when="after")
    outcome = run_against(old, note="why", run_id=run_id)

    assert (outcome.result, outcome.created) == ("success", True)
    assert [run.note for run in old.runs("sales")] == ["why"]
    assert len(old.received(*TRIGGER)) == 1


def test_a_note_that_cannot_be_set_changes_nothing(old: FakeAirflow) -> None:
    old.fault(Fault.HTML_500, on=("PATCH", "/setNote"), times=9)

    assert run_against(old, note="why").result == "success"
    assert len(old.received(*TRIGGER)) == 1


def test_a_conf_that_the_params_refuse_is_posted_once_and_names_the_param(old: FakeAirflow) -> None:
    time = VirtualTime()
    outcome = run_against(old, time=time, conf=WRONG)

    assert isinstance(outcome.error, InvalidConf)
    assert "param days: it is of type string, and must be of type integer" in outcome.error.detail
    assert len(old.received(*TRIGGER)) == 1
    assert old.runs("sales") == []
    assert time.now < 1010


def test_a_500_with_a_good_conf_is_still_retried(old: FakeAirflow) -> None:
    old.fault(Fault.HTML_500, on=TRIGGER)

    assert run_against(old, conf='{"days": 5}').result == "success"
    assert len(old.received(*TRIGGER)) == 2


def test_a_500_without_readable_params_is_retried(old: FakeAirflow) -> None:
    old.deny("dag_details")
    outcome = run_against(old, conf=WRONG)

    assert isinstance(outcome.error, TransientError)
    assert len(old.received(*TRIGGER)) == 5


def test_a_run_of_an_unclear_trigger_is_found_although_the_params_changed(old: FakeAirflow) -> None:
    """The first trigger made it; a new version of the DAG then refuses the conf."""
    old.fault(Fault.HTML_504, on=TRIGGER, when="before")
    old.fault(Fault.CACHED_404, on=("GET", "/dagRuns/*"), skip=1)
    time = VirtualTime()
    outcome = run_against(old, time=time, conf=WRONG, run_id="r1")

    assert isinstance(outcome.error, InvalidConf)
    assert len(old.received(*TRIGGER)) == 2
    assert time.now >= 1030  # the run of the first trigger had half a minute to appear


def test_xcoms_are_refused_before_anything_is_triggered(old: FakeAirflow) -> None:
    outcome = run_against(old, xcom="extract")

    assert isinstance(outcome.error, NotSupported)
    assert old.runs("sales") == []


def log_of(text: str) -> Log:
    return (text,)


@pytest.fixture
def new() -> Iterator[FakeAirflow]:
    """A loop whose second iteration fails the first time, and a task after it."""
    tasks = (
        FakeTask("go.load", iteration=0, log=log_of("zero"), xcom={"return_value": 0}),
        FakeTask(
            "go.load",
            iteration=1,
            ends=("failed", "success"),
            error=FakeError("ValueError", "it diverges"),
            log=log_of("one"),
            xcom={"return_value": 10},
            state_reason="no retry heals this",
        ),
        FakeTask("publish", ends=("upstream_failed", "success")),
    )
    with FakeAirflow("3.4.0b2", dags=[FakeDag("sales", tasks=tasks)]) as fake:
        yield fake


def test_a_failed_iteration_is_named_with_its_own_exception(new: FakeAirflow) -> None:
    outcome = run_against(new)

    assert outcome.result == "failed"
    assert [task.name for task in outcome.failed_tasks] == ["go.load (iteration 1)"]
    (failure,) = outcome.failures
    assert "ValueError: it diverges" in failure.cause
    assert "the retry policy says: no retry heals this" in failure.cause
    assert any("one" in line for line in failure.log)
    assert len(outcome.tasks or ()) == 3


def test_a_resume_clears_the_failed_iteration_only(new: FakeAirflow) -> None:
    run_against(new, run_id="r1")
    outcome = run_against(new, run_id="r1", xcom="go.load")

    assert (outcome.result, outcome.taken_over) == ("success", "resumed")
    (run,) = new.runs("sales")
    assert [instance.try_number for instance in run.instances] == [1, 2, 1]
    assert outcome.xcom == {"go.load": [0, 10]}
    dry, clear = (json.loads(one.body) for one in new.received("POST", "/clearTaskInstances"))
    assert (dry["dry_run"], clear["dry_run"]) == (True, False)
    assert len(clear["task_instance_ids"]) == 2


def test_all_logs_of_a_loop_are_read_each_once(new: FakeAirflow) -> None:
    run_against(new, run_id="r1")
    before = len(new.received("GET", "/logs/*"))
    run_against(new, run_id="r1", logs="all")

    asked = [one.query for one in new.received("GET", "/logs/*")[before:]]
    assert len(asked) == 3
    assert (
        len({(str(query.get("region_id")), str(query.get("region_index"))) for query in asked}) == 3
    )
