"""The scenarios about DAGs with a schedule: draining, and runs that Airflow itself creates."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from dev.airflow_settings import AUTH_MANAGER
from tests.airflow.job import TIMEOUT, get, open_gate, trigger, until, verdict
from tests.support.proxy import Proxy
from tests.versions.airflow import LONGEST_RUN_ID

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.versions.airflow import VersionRun

DRAIN = "if_paused: drain"
QUIET_SECONDS = 10.0
"""Seconds without a scheduled run. An unpaused DAG has its first one within 2 s."""
NO_EDITS = {
    AUTH_MANAGER: "no_edits.NoEdits",
    "PYTHONPATH": str(Path(__file__).with_name("auth")),
}


def drain(on: VersionRun) -> None:
    """A paused DAG with a backlog runs once, and is paused again (3.4 and later)."""
    if not on.has(3, 4):
        on.refuses(DRAIN, f"This Airflow does not know {DRAIN}", if_paused="drain")
        return
    dag_id, run_id = "backlog", "drained"
    with on.job().step(dag_id, run_id=run_id, if_paused="drain").start() as running:
        running.wait_for("The DAG run is running", TIMEOUT)
        during = get(on.airflow, f"/dags/{dag_id}")
        # Airflow pauses the DAG only when both runs have ended.
        second = on.run(dag_id, run_id="second", if_paused="drain", wait="false")
        time.sleep(QUIET_SECONDS)
        for each in (run_id, "second"):
            open_gate(on.airflow, each)
        result = running.wait(TIMEOUT)
    until(lambda: get(on.airflow, f"/dags/{dag_id}")["is_paused"], "paused again")

    assert _results(result) == (0, "success", "true"), result.log
    assert (during["scheduling_state"], during["is_paused"]) == ("draining", False)
    assert _results(second) == (0, "triggered", "true"), second.log
    found = {run["dag_run_id"]: run["state"] for run in on.airflow.runs(dag_id)}
    assert found == {run_id: "success", "second": "success"}


def drain_while_active(on: VersionRun) -> None:
    """A DAG that is not paused runs as ever, and stays active (3.4 and later)."""
    if not on.has(3, 4):
        on.leave_out()
        return
    with Proxy(on.airflow.url) as proxy:
        result = on.run("plain_success", airflow_url=proxy.url, if_paused="drain")
        (sent,) = (
            one.json for one in proxy.record if one.method == "POST" and "/dagRuns" in one.path
        )
    time.sleep(QUIET_SECONDS)

    assert _results(result) == (0, "success", "true"), result.log
    assert "drain_dag" not in sent
    assert get(on.airflow, "/dags/plain_success")["scheduling_state"] == "active"


def drain_without_permission(on: VersionRun) -> None:
    """Airflow's own words name the permission to edit the DAG (3.4 and later)."""
    if not on.has(3, 4):
        on.leave_out()
        return
    dag_id = "paused_forever"
    with on.airflow.extra_server(NO_EDITS) as server:
        result = on.run(dag_id, airflow_url=server.url, if_paused="drain")

    assert _results(result) == (1, "error", None), result.log
    assert f"Draining requires permission to edit Dag: {dag_id}" in verdict(result)
    assert get(on.airflow, f"/dags/{dag_id}")["scheduling_state"] == "paused"
    assert on.airflow.runs(dag_id) == []


def scheduled_run(on: VersionRun) -> None:
    """`trigger: false` waits for a scheduled run, also for one that does not exist yet."""
    dag_id, run_id = "one_day", "scheduled__2021-01-01T03:00:00+00:00"
    inputs = {"trigger": "false", "run_id": run_id}
    missing = on.run(dag_id, **inputs)
    with on.job().step(dag_id, start_timeout="4m", **inputs).start() as running:
        running.wait_for("There is no DAG run", TIMEOUT)
        on.airflow.pause(dag_id, paused=False)
        later = running.wait(TIMEOUT)
    now = on.run(dag_id, **inputs)

    assert verdict(missing).startswith("There is no such DAG run to wait for: "), missing.log
    for result in (later, now):
        assert _results(result) == (0, "success", "false"), result.log
        assert result.outputs["run_id"] == run_id
    assert [run["dag_run_id"] for run in on.airflow.runs(dag_id)] == [run_id]


def odd_run_id(on: VersionRun) -> None:
    """`trigger: false` waits for an id that this action would not choose."""
    run_id = f"nightly run of {time.time_ns()} ".ljust(LONGEST_RUN_ID, "x")
    trigger(on.airflow, "plain_success", run_id, {})
    result = on.run("plain_success", trigger="false", run_id=run_id)

    assert _results(result) == (0, "success", "false"), result.log
    assert result.outputs["run_id"] == run_id


SCENARIOS = (drain_without_permission, drain, drain_while_active, scheduled_run, odd_run_id)


def _results(result: StepResult) -> tuple[int, str, str | None]:
    return result.exit_code, result.outputs["result"], result.outputs.get("created")
