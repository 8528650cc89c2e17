"""The scenarios that go on beside each other: what each makes Airflow do, until its step is over.

What they show is said by the tests. Each leaves Airflow as it was, but for its DAG runs, which are
over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.airflow.job import the_run, until
from tests.airflow.scenarios import blocked as stuck
from tests.airflow.scenarios import deploy, files, scheduler
from tests.airflow.scenarios.blocked import WAITING
from tests.airflow.scenarios.users import NO_EDIT, ONLY_RUNS, ONLY_TASKS, make_users

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.scenario import Stage

XCOMS = ("as_dict", "as_list", "as_unicode", "mapped", "custom_key:row_count")
NO_XCOMS = ("custom_key", "nobody", "large")
LINES = {"/api/v1": 200_000, "/api/v2": 20_000}
"""Lines of the hostile log; Airflow 3 takes 48 s to write what Airflow 2 writes in 2 s."""


def first_act(stage: Stage) -> None:
    """Begin what needs a scheduler: first what then waits for a while, and when that waits, all
    that keeps Airflow busy.
    """
    two = stage.airflow.api == "/api/v1"
    if two:
        make_users(stage.airflow)
    waiting = {
        name: play for name, play in stuck.PLAYS.items() if not (two and play is stuck.human_input)
    }
    for name, play in waiting.items():
        stage.begin(name, play)
    until(
        lambda: all(
            play.__name__ in stage.triggered or stage.is_over(name)
            for name, play in waiting.items()
        ),
        "waiting",
    )
    stage.begin("wide", lambda stage: stage.run("wide", stage.measured_job("wide")))
    stage.begin("hostile, begun", _hostile_run)
    stage.begin("never parsed", files.never_parsed)
    stage.begin("broken later", files.broken_later)
    stage.begin("copied in", deploy.copied_in)
    stage.begin("copied in broken", deploy.copied_in_broken)
    stage.begin("mended", deploy.mended)
    stage.begin("replaced", deploy.replaced)
    stage.begin("no commits", deploy.no_commits)
    stage.begin("too slow", lambda stage: stage.run("too_slow"))
    stage.begin("retries", lambda stage: stage.run("retries_exhausted"))
    stage.begin("killed", lambda stage: stage.run("worker_killed"))
    stage.begin("chained", lambda stage: stage.run("chained_failure", stage.job(stage.checkout)))
    stage.begin("red", lambda stage: stage.run("red_but_green", fail_on_failed_tasks="true"))
    stage.begin("red accepted", _again, "red_but_green", "red", {})
    stage.begin("xcoms", lambda stage: stage.run("xcoms", xcom="\n".join(XCOMS)))
    for name in NO_XCOMS:
        stage.begin(f"xcom {name}", _again, "xcoms", "xcoms", {"xcom": name})
    stage.begin(
        "wrong type",
        lambda stage: stage.refused("typed_params", conf='{"days": "five", "customer": "Acme"}'),
    )
    stage.begin(
        "viewer", lambda stage: stage.refused("quick_success", **stage.credential("viewer"))
    )
    if two:
        stage.begin(
            "may not edit",
            lambda stage: stage.refused("quick_success", **stage.credential(NO_EDIT)),
        )
        stage.begin("no tasks", _again, "chained_failure", "chained", stage.credential(ONLY_RUNS))
        stage.begin("no logs", _again, "chained_failure", "chained", stage.credential(ONLY_TASKS))
        stage.begin(
            "no xcoms",
            _again,
            "xcoms",
            "xcoms",
            {"xcom": "as_list", **stage.credential(ONLY_TASKS)},
        )


def second_act(stage: Stage) -> None:
    """Begin what needs none, when all else is over."""
    stage.begin("hostile", _hostile)
    stage.begin("no scheduler", scheduler.no_scheduler)


def _again(stage: Stage, dag_id: str, play: str, inputs: dict[str, str]) -> StepResult:
    """A step that looks once more at the run which another play has left, when that one is over."""
    return stage.watch(dag_id, stage[play].outputs["run_id"], **inputs)


def _hostile(stage: Stage) -> StepResult:
    """A step that looks at the run with the hostile log, which is over."""
    stage["hostile, begun"]
    return stage.watch("hostile_log", WAITING, stage.measured_job("hostile"))


def _hostile_run(stage: Stage) -> StepResult:
    """A DAG run with a hostile log, which nobody reads yet."""
    dag_id, conf = "hostile_log", json.dumps({"lines": LINES[stage.airflow.api]})
    result = stage.run(dag_id, run_id=WAITING, conf=conf, wait="false")
    until(lambda: the_run(stage.airflow, dag_id, WAITING)["state"] == "failed", "failed")
    return result
