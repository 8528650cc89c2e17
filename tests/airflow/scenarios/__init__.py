"""The scenarios, which run side by side. The tests check their results.

Each leaves Airflow as it was, except for DAG runs, which have ended.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.airflow.job import the_run, until
from tests.airflow.scenarios import blocked, deploy, files, required, scheduler, several
from tests.airflow.scenarios.blocked import WAITING
from tests.airflow.scenarios.users import NO_EDIT, ONLY_RUNS, ONLY_TASKS, make_users

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.scenario import ScenarioRunner

XCOMS = (
    *("as_dict", "as_list", "as_unicode", "mapped", "custom_key:row_count"),
    *("other", "each", "shop_group.in_group", "some"),
)
NO_XCOMS = ("custom_key", "missing", "large")
NOTHING_RUNS = {"starts_later": {"logical_date": "2025-01-31T00:00:00Z"}, "short_circuit": {}}
"""Inputs by DAG: the runs succeed although no task does any work."""
LINES = {"/api/v1": 200_000, "/api/v2": 20_000}
"""Lines of the hostile log; Airflow 3 takes 48 s to write what Airflow 2 writes in 2 s."""


def begin_with_scheduler(scenarios: ScenarioRunner) -> None:
    """Start the scenarios that need a scheduler.

    First those that wait, then those that keep Airflow busy.
    """
    two = scenarios.airflow.api == "/api/v1"
    if two:
        make_users(scenarios.airflow)
    waiting = {
        name: scenario
        for name, scenario in blocked.SCENARIOS.items()
        if not (two and scenario is blocked.human_input)
    }
    for name, scenario in waiting.items():
        scenarios.begin(name, scenario)
    until(
        lambda: all(
            scenario.__name__ in scenarios.triggered or scenarios.is_done(name)
            for name, scenario in waiting.items()
        ),
        "waiting",
    )
    scenarios.begin("wide", lambda scenarios: scenarios.run("wide", scenarios.measured_job("wide")))
    scenarios.begin("hostile, begun", _hostile_run)
    scenarios.begin(
        "live",
        lambda scenarios: scenarios.run("chatty", scenarios.measured_job("live"), logs="live"),
    )
    scenarios.begin("never parsed", files.never_parsed)
    scenarios.begin("broken later", files.broken_later)
    scenarios.begin("copied in", deploy.copied_in)
    scenarios.begin("copied in broken", deploy.copied_in_broken)
    scenarios.begin("fixed", deploy.fixed)
    scenarios.begin("replaced", deploy.replaced)
    scenarios.begin("no commits", deploy.no_commits)
    scenarios.begin("several", several.mixed)
    scenarios.begin("several again", several.again)
    scenarios.begin("several refused", several.refused)
    for name in required.MODES:
        scenarios.begin(f"required {name}", required.decided, name)
    scenarios.begin("several, broken tag", files.broken_with_tag)
    scenarios.begin("too slow", lambda scenarios: scenarios.run("too_slow"))
    scenarios.begin("retries", lambda scenarios: scenarios.run("retries_exhausted"))
    scenarios.begin("killed", lambda scenarios: scenarios.run("worker_killed"))
    scenarios.begin(
        "chained",
        lambda scenarios: scenarios.run("chained_failure", scenarios.job(scenarios.checkout)),
    )
    scenarios.begin(
        "failed task",
        lambda scenarios: scenarios.run("succeeds_with_failed_task", fail_on_failed_tasks="true"),
    )
    scenarios.begin("failed task accepted", _again, "succeeds_with_failed_task", "failed task", {})
    for name, inputs in NOTHING_RUNS.items():
        scenarios.begin(name, lambda runner, name=name, inputs=inputs: runner.run(name, **inputs))
    scenarios.begin("xcoms", lambda scenarios: scenarios.run("xcoms", xcom="\n".join(XCOMS)))
    for name in NO_XCOMS:
        scenarios.begin(f"xcom {name}", _again, "xcoms", "xcoms", {"xcom": name})
    scenarios.begin(
        "wrong type",
        lambda scenarios: scenarios.refused(
            "typed_params", conf='{"days": "five", "customer": "Acme"}'
        ),
    )
    scenarios.begin(
        "viewer",
        lambda scenarios: scenarios.refused("quick_success", **scenarios.credential("viewer")),
    )
    if two:
        scenarios.begin(
            "may not edit",
            lambda scenarios: scenarios.refused("quick_success", **scenarios.credential(NO_EDIT)),
        )
        scenarios.begin("required not permitted", required.not_permitted)
        scenarios.begin(
            "no tasks", _again, "chained_failure", "chained", scenarios.credential(ONLY_RUNS)
        )
        scenarios.begin(
            "no logs", _again, "chained_failure", "chained", scenarios.credential(ONLY_TASKS)
        )
        scenarios.begin(
            "no xcoms",
            _again,
            "xcoms",
            "xcoms",
            {"xcom": "as_list", **scenarios.credential(ONLY_TASKS)},
        )


def begin_without_scheduler(scenarios: ScenarioRunner) -> None:
    """Start the scenarios that must run alone, after the others."""
    scenarios.begin("hostile", _hostile)
    scenarios.begin("no scheduler", scheduler.no_scheduler)


def _again(
    scenarios: ScenarioRunner, dag_id: str, scenario: str, inputs: dict[str, str]
) -> StepResult:
    """Wait for the run of another scenario once more, when that scenario has ended."""
    return scenarios.watch(dag_id, scenarios[scenario].outputs["run_id"], **inputs)


def _hostile(scenarios: ScenarioRunner) -> StepResult:
    """Wait for the run with the hostile log, which has ended."""
    scenarios["hostile, begun"]
    return scenarios.watch("hostile_log", WAITING, scenarios.measured_job("hostile"))


def _hostile_run(scenarios: ScenarioRunner) -> StepResult:
    """Start a run with a hostile log."""
    dag_id, conf = "hostile_log", json.dumps({"lines": LINES[scenarios.airflow.api]})
    result = scenarios.run(dag_id, run_id=WAITING, conf=conf, wait="false")
    until(lambda: the_run(scenarios.airflow, dag_id, WAITING)["state"] == "failed", "failed")
    return result
