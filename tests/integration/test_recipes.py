"""The workflows of docs/recipes.md, run with the inputs that users copy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from dev.airflow_settings import password_of
from entrypoint.models import Result
from entrypoint.report.outputs import outputs
from tests.integration.scenarios import RECIPES
from tests.integration.test_changed_files import pull_request
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Version
from tests.support.services import GitHubApi, GitRepository
from tests.support.step import CONTEXT, run_dags, run_step
from tests.support.virtual_time import VirtualTime
from tests.support.workflows import HEAD, VALUES, action_inputs, filled, read_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

FOLDER = Path(__file__).parents[2] / "examples" / "workflows"
SUCCEEDS = FakeDag("nightly_sales")
FAILS = FakeDag("nightly_sales", tasks=(FakeTask("load", ends="failed"),))
LONG = FakeDag("nightly_sales", polls=100_000)


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[SUCCEEDS]) as started:
        yield started


def workflow_text(name: str) -> str:
    return (FOLDER / f"{name}.yml").read_text(encoding="utf-8")


def run_workflow_step(
    fake: FakeAirflow, step: dict[str, Any], matrix: object = None, **values: str
) -> Outcome:
    """Run one step of a recipe with its own inputs, for this Airflow."""
    connection = {"airflow_url": fake.url, "username": "admin", "password": password_of("admin")}
    assert set(connection) <= set(step)
    inputs = filled(step, {**VALUES, **values}) | connection
    return run_step(inputs | {"matrix": json.dumps(matrix)}, time=VirtualTime())


@pytest.mark.parametrize("name", RECIPES)
def test_the_steps_of_each_recipe_leave_one_successful_run(fake: FakeAirflow, name: str) -> None:
    steps = action_inputs(workflow_text(name))
    made = ""
    for step in steps:
        outcome = run_workflow_step(
            fake, step, **({"needs.trigger.outputs.run_id": made} if made else {})
        )
        made = outputs(outcome)["run_id"]
        assert outcome.passes, outcome.error

    assert [run.state for run in fake.runs("nightly_sales")] == ["success"]


def test_the_required_tasks_let_the_next_job_start_while_the_run_goes_on() -> None:
    (step,) = action_inputs(workflow_text("required-tasks"))
    # The last one runs as long as the run.
    tasks = [FakeTask(name, states={2: "running", 3: "ends"}) for name in ("load", "checks.rows")]
    dag = FakeDag("nightly_sales", (*tasks, FakeTask("report", states={3: "running"})), polls=1000)
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        outcome = run_workflow_step(fake, step)
        assert (outcome.result, [run.state for run in fake.runs(dag.dag_id)]) == (
            "success",
            ["running"],
        )


def test_each_leg_of_the_matrix_runs_its_own_dag() -> None:
    (job,) = [job for job in read_jobs(workflow_text("matrix")).values() if "strategy" in job]
    names = job["strategy"]["matrix"]["dag"]
    (step,) = action_inputs(workflow_text("matrix"))
    with FakeAirflow("3.3.2", dags=[FakeDag(name) for name in names]) as fake:
        for name in names:
            assert (
                run_workflow_step(fake, step, {"dag": name}, **{"matrix.dag": name}).result
                == "success"
            )

        assert [len(fake.runs(name)) for name in names] == [1] * len(names)
        assert len({run.run_id for name in names for run in fake.runs(name)}) == len(names)


def test_the_second_job_waits_for_the_run_of_the_first(fake: FakeAirflow) -> None:
    jobs = read_jobs(workflow_text("trigger-then-wait"))
    first, second = action_inputs(workflow_text("trigger-then-wait"))
    assert jobs["trigger"]["outputs"]["run_id"] == "${{ steps.dag.outputs.run_id }}"
    outcome = run_workflow_step(fake, first)
    assert outcome.result == "triggered"

    outcome = run_workflow_step(
        fake, second, **{"needs.trigger.outputs.run_id": outputs(outcome)["run_id"]}
    )
    assert (outcome.result, outcome.created) == ("success", False)


def test_the_nightly_recipe_stops_a_run_that_takes_too_long() -> None:
    (step,) = action_inputs(workflow_text("nightly"))
    with FakeAirflow("2.11.2", dags=[LONG]) as fake:
        outcome = run_workflow_step(fake, step | {"poll_interval": 60})

        assert (outcome.result, outcome.stopped) == ("timeout", "yes")
        assert 3 * 3600 <= outcome.waited < 3 * 3600 + 60
        assert [run.state for run in fake.runs("nightly_sales")] == ["failed"]


def test_the_pull_request_recipe_uses_one_run_for_each_commit(fake: FakeAirflow) -> None:
    """A quotation mark in the branch name does not break the conf."""
    (step,) = action_inputs(workflow_text("pull-request"))
    for created in (True, False):
        assert run_workflow_step(fake, step).created is created

    (run,) = fake.runs("nightly_sales")
    assert run.run_id == f"pr-17-{HEAD}"
    assert run.conf == {"pull_request": 17, "branch": 'feature/"sales"'}


def test_the_check_before_the_merge_triggers_nothing(fake: FakeAirflow) -> None:
    (step,) = action_inputs(workflow_text("check"))

    assert run_workflow_step(fake, step).result == "checked"
    assert fake.runs("nightly_sales") == []


def test_the_smoke_suite_runs_the_tagged_dags_and_one_more(fake: FakeAirflow) -> None:
    (step,) = action_inputs(workflow_text("smoke-suite"))
    lines = filled(step)["dags"].splitlines()
    fake.deploy(FakeDag("smoke_1", tags=("smoke",)))
    fake.deploy(FakeDag("smoke_2", tags=("smoke",)))
    outcome = run_dags(fake, *lines, max_parallel=str(step["max_parallel"]))

    assert outcome.result == "success"
    assert fake.runs("nightly_sales")[0].conf == {"rows": 100}
    assert [len(fake.runs(name)) for name in ("smoke_1", "smoke_2", "nightly_sales")] == [1, 1, 1]


def test_the_recipe_for_changed_dags_runs_those_of_the_pull_request(
    fake: FakeAirflow, tmp_path: Path
) -> None:
    (step,) = action_inputs(workflow_text("changed-dags"))
    repository = GitRepository(tmp_path / "repository")
    base = repository.commit({"dags/other.py": "1"})
    event = tmp_path / "event.json"
    head = repository.commit({"dags/nightly_sales.py": "1"})
    event.write_text(json.dumps(pull_request(base, head)))
    with GitHubApi(repository) as api:
        context = CONTEXT._replace(api_url=api.url, event=event, event_name="pull_request")
        outcome = run_dags(fake, step["dags"], context=context, github_token=api.token)

    assert outcome.result == "success"
    assert len(fake.runs("nightly_sales")) == 1


@pytest.mark.parametrize(
    ("dag", "result"), [(FAILS, "failed"), (LONG, "timeout"), (SUCCEEDS, "success")]
)
def test_the_rollback_recipe_rolls_back_only_if_the_dag_did_not_succeed(
    dag: FakeDag, result: Result
) -> None:
    (job,) = read_jobs(workflow_text("rollback")).values()
    condition = job["steps"][-1]["if"]
    named = re.findall(r"steps\.dag\.outputs\.result == '(\w+)'", condition)
    assert condition.startswith("failure() && (")
    assert set(named) < set(get_args(Result))
    (step,) = action_inputs(workflow_text("rollback"))
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        outcome = run_workflow_step(fake, step | {"poll_interval": 60})

        assert outcome.result == result
        assert (outcome.result in named) is (not outcome.passes)
        assert {run.state for run in fake.runs("nightly_sales")} == {
            "success" if outcome.passes else "failed"
        }
