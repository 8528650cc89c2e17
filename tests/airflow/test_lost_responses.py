"""Exactly one DAG run, although responses get lost or several steps trigger it at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dev.airflow import AIRFLOW_2, LocalAirflow
from dev.runner import RunnerContext
from tests.airflow.job import Job, the_run, trigger, verdict
from tests.support.fake_airflow import Fault
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRIGGER = ("POST", "/dagRuns")
POLL = ("GET", "/dagRuns/*")
TASKS = ("GET", "/taskInstances")
AT_ONCE = 6


@pytest.fixture
def proxy(airflow: LocalAirflow) -> Iterator[Proxy]:
    """A proxy to each of the real Airflows."""
    with Proxy(airflow.url) as started:
        yield started


@pytest.fixture(scope="module")
def parallel_airflow(airflow_2: LocalAirflow) -> Iterator[LocalAirflow]:
    """An Airflow 2 whose web server handles requests in parallel."""
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
def test_a_run_whose_trigger_response_got_lost_is_followed(
    job: Job, proxy: Proxy, fault: Fault, dag_id: str, ending: str
) -> None:
    """It is not triggered again."""
    before = len(job.airflow.runs(dag_id))
    proxy.fail_requests(fault, on=TRIGGER, when="after")

    result = job.run(dag_id, airflow_url=proxy.url)

    assert (result.outputs["result"], result.outputs["created"]) == (ending, "true"), result.log
    assert the_run(job.airflow, dag_id, result.outputs["run_id"])["state"] == ending
    assert len(job.airflow.runs(dag_id)) == before + 1
    assert proxy.received(*TRIGGER) == [502 if fault is Fault.HTML_502 else None]
    assert "Trying again in" in result.log
    assert "| Retried requests | 1 |" in result.summary
    assert result.outputs["run_url"].startswith(proxy.url)


def test_a_lost_trigger_request_is_sent_again(job: Job, proxy: Proxy) -> None:
    """Also if the next response is lost."""
    before = len(job.airflow.runs("quick_success"))
    proxy.fail_requests(Fault.RESET, on=TRIGGER, when="before")
    proxy.fail_requests(Fault.CLOSE, on=TRIGGER, when="after")

    result = job.run("quick_success", airflow_url=proxy.url)

    assert (result.outputs["result"], result.outputs["created"]) == ("success", "true"), result.log
    assert the_run(job.airflow, "quick_success", result.outputs["run_id"])["state"] == "success"
    assert len(job.airflow.runs("quick_success")) == before + 1
    assert proxy.received(*TRIGGER) == [None, None]


def test_failed_polls_are_retried(job: Job, proxy: Proxy) -> None:
    proxy.fail_requests(Fault.RESET, on=POLL, skip=1)
    proxy.fail_requests(Fault.HTML_502, on=TASKS)
    proxy.fail_requests(Fault.HTML_200, on=POLL, skip=1)  # the retry

    # Without live progress the tasks are read at the end only; that request is retried, too.
    result = job.run("quick_success", airflow_url=proxy.url, logs="none")

    assert (result.outputs["result"], result.outputs["created"]) == ("success", "true"), result.log
    assert "Tasks: 1 of 1 succeeded" in result.summary
    assert "| Retried requests | 3 |" in result.summary
    assert proxy.received(*TRIGGER) == [200]


def test_a_run_made_by_another_client_is_not_this_steps_run(job: Job, proxy: Proxy) -> None:
    """Another client triggers the same id while this step's trigger is lost."""
    run_id = f"contested-{uuid4()}"
    proxy.fail_requests(Fault.RESET, on=TRIGGER, when="before")

    inputs = {"airflow_url": proxy.url, "run_id": run_id, "conf": '{"ours": true}'}
    with job.step("quick_success", **inputs).start() as running:
        running.wait_for("Trying again in")
        trigger(job.airflow, "quick_success", run_id, {"ours": False})
        result = running.wait()

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert verdict(result).startswith("The run id is taken by another request: ")
    assert the_run(job.airflow, "quick_success", run_id)["conf"] == {"ours": False}


def test_concurrent_steps_on_airflow_2_all_report_the_same_run(
    parallel_airflow: LocalAirflow, tmp_path: Path
) -> None:
    """Airflow 2 answers the others with 409 or 500."""
    context = RunnerContext()
    jobs = [Job(parallel_airflow, tmp_path, context) for _ in range(AT_ONCE)]
    parallel_airflow.wait_for_dag("quick_success")

    with Proxy(parallel_airflow.url) as proxy, ThreadPoolExecutor(AT_ONCE) as pool:
        proxy.hold_until(AT_ONCE, on=TRIGGER)
        results = list(pool.map(lambda job: job.run("quick_success", airflow_url=proxy.url), jobs))
        answers = proxy.received(*TRIGGER)

    (run,) = parallel_airflow.runs("quick_success")
    assert run["state"] == "success"
    reported = [
        (result.exit_code, result.outputs["result"], result.outputs["run_id"]) for result in results
    ]
    assert reported == [(0, "success", run["dag_run_id"])] * AT_ONCE, [
        result.log for result in results
    ]
    assert len(answers) >= AT_ONCE
    assert answers.count(200) == 1
    assert set(answers) <= {200, 409, 500}
    assert "true" in [result.outputs["created"] for result in results]
