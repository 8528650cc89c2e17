"""Exactly one DAG run on real Airflows, although requests and answers get lost on the way, or
several steps ask at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dev.airflow import AIRFLOW_2, LocalAirflow
from dev.runner import Context
from tests.airflow.job import Job, the_run, trigger, verdict
from tests.support.fake_airflow import Fault
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRIGGER = ("POST", "/dagRuns")
LOOK = ("GET", "/dagRuns/*")
TASKS = ("GET", "/taskInstances")
AT_ONCE = 6


@pytest.fixture
def proxy(airflow: LocalAirflow) -> Iterator[Proxy]:
    """A proxy in front of each of the real Airflows."""
    with Proxy(airflow.url) as started:
        yield started


@pytest.fixture(scope="module")
def parallel(airflow_2: LocalAirflow) -> Iterator[LocalAirflow]:
    """An Airflow 2 whose web server really does several things at once."""
    settings = {"AIRFLOW__WEBSERVER__WORKERS": "4"}
    with LocalAirflow(AIRFLOW_2, dags=airflow_2.dags, settings=settings) as started:
        yield started


@pytest.mark.parametrize(
    ("fault", "dag_id", "ending"),
    [
        (Fault.RESET, "quick_success", "success"),
        (Fault.CLOSE, "quick_failure", "failed"),
        (Fault.HTML_502, "quick_success", "success"),
        (Fault.HANG, "quick_success", "success"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
def test_the_answer_of_the_trigger_is_lost(
    job: Job, proxy: Proxy, fault: Fault, dag_id: str, ending: str
) -> None:
    """A run whose trigger took effect, but was not answered, is this step's run: it is followed to
    its end, not made again.
    """
    before = len(job.airflow.runs(dag_id))
    proxy.lose(fault, on=TRIGGER, when="after")

    result = job.run(dag_id, airflow_url=proxy.url)

    assert (result.outputs["result"], result.outputs["created"]) == (ending, "true"), result.log
    assert the_run(job.airflow, dag_id, result.outputs["run_id"])["state"] == ending
    assert len(job.airflow.runs(dag_id)) == before + 1
    assert proxy.received(*TRIGGER) == [502 if fault is Fault.HTML_502 else None]
    assert "Trying again in" in result.log
    assert "| Failed requests ridden out | 1 |" in result.summary
    assert result.outputs["run_url"].startswith(proxy.url)


def test_the_trigger_is_lost_on_its_way(job: Job, proxy: Proxy) -> None:
    """A trigger that never arrived is repeated once it is known that no run was made; also if the
    next answer is lost.
    """
    before = len(job.airflow.runs("quick_success"))
    proxy.lose(Fault.RESET, on=TRIGGER, when="before")
    proxy.lose(Fault.CLOSE, on=TRIGGER, when="after")

    result = job.run("quick_success", airflow_url=proxy.url)

    assert (result.outputs["result"], result.outputs["created"]) == ("success", "true"), result.log
    assert the_run(job.airflow, "quick_success", result.outputs["run_id"])["state"] == "success"
    assert len(job.airflow.runs("quick_success")) == before + 1
    assert proxy.received(*TRIGGER) == [None, None]


def test_answers_of_looks_are_lost(job: Job, proxy: Proxy) -> None:
    """Looks that fail while the step waits and reads the tasks are ridden out, whatever comes
    instead of an answer.
    """
    proxy.lose(Fault.RESET, on=LOOK, skip=1)
    proxy.lose(Fault.HTML_502, on=TASKS)
    proxy.lose(Fault.HTML_200, on=LOOK, skip=1)  # the look that repeats the one before

    # Without live progress the tasks are read at the end only, where a failure is ridden out, too.
    result = job.run("quick_success", airflow_url=proxy.url, logs="none")

    assert (result.outputs["result"], result.outputs["created"]) == ("success", "true"), result.log
    assert "Tasks: 1 of 1 succeeded" in result.summary
    assert "| Failed requests ridden out | 3 |" in result.summary
    assert proxy.received(*TRIGGER) == [200]


def test_somebody_else_is_faster(job: Job, proxy: Proxy) -> None:
    """A run that somebody else made with this id while this step's trigger got lost is no answer to
    this step's request.
    """
    run_id = f"contested-{uuid4()}"
    proxy.lose(Fault.RESET, on=TRIGGER, when="before")

    inputs = {"airflow_url": proxy.url, "run_id": run_id, "conf": '{"ours": true}'}
    with job.step("quick_success", **inputs).start() as running:
        running.wait_for("Trying again in")
        trigger(job.airflow, "quick_success", run_id, {"ours": False})
        result = running.wait()

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert verdict(result).startswith("The run id is taken by another request: ")
    assert the_run(job.airflow, "quick_success", run_id)["conf"] == {"ours": False}


def test_several_steps_at_once(parallel: LocalAirflow, tmp_path: Path) -> None:
    """Steps that trigger the same run at once on Airflow 2, which answers the losers with 409 or
    500, all report that run.
    """
    context = Context()
    jobs = [Job(parallel, tmp_path, context) for _ in range(AT_ONCE)]
    parallel.wait_for_dag("quick_success")

    with Proxy(parallel.url) as proxy, ThreadPoolExecutor(AT_ONCE) as pool:
        proxy.gather(AT_ONCE, on=TRIGGER)
        results = list(pool.map(lambda job: job.run("quick_success", airflow_url=proxy.url), jobs))
        answers = proxy.received(*TRIGGER)

    (run,) = parallel.runs("quick_success")
    assert run["state"] == "success"
    told = [
        (result.exit_code, result.outputs["result"], result.outputs["run_id"]) for result in results
    ]
    assert told == [(0, "success", run["dag_run_id"])] * AT_ONCE, [result.log for result in results]
    assert len(answers) >= AT_ONCE
    assert answers.count(200) == 1
    assert set(answers) <= {200, 409, 500}
    assert "true" in [result.outputs["created"] for result in results]
