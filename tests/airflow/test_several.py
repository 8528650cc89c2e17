"""Several DAGs in one step, with real Airflows."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import pytest

from tests.airflow.job import TIMEOUT, Job, get
from tests.airflow.scenarios.several import BAD, GOOD, MIXED, SLOW, ids
from tests.support.fake_airflow import Fault
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from tests.airflow.scenario import ScenarioRunner


def test_each_of_ten_dags_has_its_own_end(scenarios: ScenarioRunner) -> None:
    result = scenarios["several"]
    found = ids(result)
    failed = {*BAD, SLOW, "retries_exhausted"}

    assert (result.exit_code, result.outputs["result"]) == (1, "failed"), result.log
    assert list(found) == [
        *GOOD,
        *BAD,
        "succeeds_with_failed_task",
        SLOW,
        "typed_params",
        "retries_exhausted",
    ]
    assert {dag_id for dag_id, end in found.items() if end == "failed"} == failed, result.log
    assert set(found.values()) == {"failed", "success"}
    assert set(json.loads(result.outputs["failed_dags"])) == failed
    assert result.outputs.get("state", "") == ""
    errors = [note.title for note in result.annotations if note.level == "error"]
    assert {title.split(":")[0] for title in errors} == failed
    assert result.summary.startswith("## ❌ Not all DAGs succeeded")


def test_nothing_is_triggered_if_one_dag_cannot_run(scenarios: ScenarioRunner) -> None:
    result = scenarios["several refused"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    (error,) = [note for note in result.annotations if note.level == "error"]
    assert error.title == "Not all of the DAGs can run"
    for line in (
        "paused_dag: The DAG is paused",
        "no_such_dag: Airflow has no such DAG",
        "typed_params: Airflow refused the DAG run's parameters. param days",
    ):
        assert line in error.message
    for run in json.loads(result.outputs["runs"]):
        assert "run_id" not in run


def test_a_rerun_runs_only_what_failed(scenarios: ScenarioRunner) -> None:
    result = scenarios["several again"]
    runs = {run["dag_id"]: run for run in json.loads(result.outputs["runs"])}

    assert {dag_id: run["result"] for dag_id, run in runs.items()} == {
        "quick_success": "success",
        "quick_failure": "failed",
    }
    assert {dag_id: run["created"] for dag_id, run in runs.items()} == {
        "quick_success": False,
        "quick_failure": False,
    }
    for dag_id, tries in (("quick_success", 1), ("quick_failure", 2)):
        path = f"/dags/{dag_id}/dagRuns/again/taskInstances"
        (task,) = get(scenarios.airflow, path)["task_instances"]
        assert task["try_number"] == tries


def test_a_dag_with_the_tag_that_does_not_import_is_an_error(scenarios: ScenarioRunner) -> None:
    """Airflow lists it no longer as active, or soon will."""
    result = scenarios["several, broken tag"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    (error,) = [note for note in result.annotations if note.level == "error"]
    assert error.title == "Not all of the DAGs can run"
    assert "weekly_tagged: The DAG's file fails to import." in error.message
    assert "LookupError: The column amount is gone" in error.message


@pytest.mark.parametrize("when", ["before", "after"])
def test_lost_responses_to_ten_triggers_make_ten_runs(
    airflow: LocalAirflow, tmp_path: Path, when: Literal["before", "after"]
) -> None:
    """Each trigger is cut off once: before Airflow has got it, or its response."""
    names = [line.split()[0] for line in MIXED]
    for name in names:
        airflow.wait_for_dag(name)
    run_id = f"lost-{uuid4()}"
    with Proxy(airflow.url) as proxy:
        for name in names:
            on = ("POST", f"/dags/{name}/dagRuns")
            proxy.fail_requests(Fault.RESET, on=on, when=when)
        result = Job(airflow, tmp_path).run(
            "quick_success",
            airflow_url=proxy.url,
            dag_id="",
            dags="\n".join(MIXED),
            run_id=run_id,
            wait="false",
        )
        sent = {name: proxy.received("POST", f"/dags/{name}/dagRuns") for name in names}

    assert (result.exit_code, result.outputs["result"]) == (0, "triggered"), result.log
    runs = json.loads(result.outputs["runs"])
    assert [(run["dag_id"], run["created"]) for run in runs] == [(name, True) for name in names]
    assert {name: len(runs_of(airflow, name, run_id)) for name in names} == dict.fromkeys(names, 1)
    expected = [None] if when == "after" else [None, 200]
    assert sent == dict.fromkeys(names, expected)


LONG = ("held", "gated", 'one_at_a_time {"seconds": 90}', "too_slow")
CANCELS = int(os.environ.get("SEVERAL_CANCELS", "2"))
"""Steps that are cancelled at random moments. More take long, so they are tried by hand."""
LAST_MOMENT = 12.0
"""Seconds. By then all are triggered."""


def test_a_cancel_at_a_random_moment_leaves_no_run_of_the_step(
    airflow: LocalAirflow, tmp_path: Path
) -> None:
    seed = os.environ.get("INTERRUPTION_SEED", str(random.randrange(10**6)))  # noqa: S311
    moments = random.Random(seed)  # noqa: S311 - no secret
    names = [line.split()[0] for line in LONG]
    for name in names:
        airflow.wait_for_dag(name)
    found = Counter[str]()
    for number in range(CANCELS):
        run_id = f"cancelled-{uuid4()}"
        moment = moments.uniform(0.5, LAST_MOMENT)
        step = Job(airflow, tmp_path).step(
            "quick_success", dag_id="", dags="\n".join(LONG), run_id=run_id, max_parallel="3"
        )
        with step.start() as running:
            time.sleep(moment)
            running.signal(signal.SIGINT)
            main = running.wait(TIMEOUT)
        step.run("post", timeout=TIMEOUT)
        states = [run["state"] for name in names for run in runs_of(airflow, name, run_id)]
        found.update(states)
        where = f"cancel {number} after {moment:.1f} s (INTERRUPTION_SEED={seed})"
        assert main.outputs.get("result") in ("cancelled", None), f"{where}\n{main.log}"
        assert not {"queued", "running"} & set(states), f"{where}: {states}\n{main.log}"
    print(f"Airflow {airflow.version}: {CANCELS} cancels of several DAGs, afterwards {found}")


def runs_of(airflow: LocalAirflow, dag_id: str, run_id: str) -> list[dict[str, str]]:
    return [run for run in airflow.runs(dag_id) if run["dag_run_id"] == run_id]
