"""The workflows of docs/recipes.md, lived through: the very inputs that are copied, in front of a
scripted Airflow.
"""

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
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Version
from tests.support.step import run_step
from tests.support.virtual_time import VirtualTime
from tests.support.workflows import HEAD, VALUES, filled, gates, read_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

FOLDER = Path(__file__).parents[2] / "examples" / "workflows"
DAG = FakeDag("nightly_sales")
FAILS = FakeDag("nightly_sales", tasks=(FakeTask("load", ends="failed"),))
LONG = FakeDag("nightly_sales", looks=100_000)


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """An Airflow of each version with the DAG of the recipes."""
    version: Version = request.param
    with FakeAirflow(version, dags=[DAG]) as started:
        yield started


def text_of(name: str) -> str:
    """The workflow."""
    return (FOLDER / f"{name}.yml").read_text(encoding="utf-8")


def live(fake: FakeAirflow, step: dict[str, Any], matrix: object = None, **values: str) -> Outcome:
    """The outcome of a step of a recipe, its own inputs but for the way to this Airflow."""
    ours = {"airflow_url": fake.url, "username": "admin", "password": password_of("admin")}
    assert set(ours) <= set(step)
    given = filled(step, {**VALUES, **values}) | ours
    return run_step(given | {"matrix": json.dumps(matrix)}, time=VirtualTime())


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe(fake: FakeAirflow, name: str) -> None:
    """Each step of each recipe does what it is there for: all of them together leave one DAG run,
    which succeeded.
    """
    steps = gates(text_of(name))
    made = ""
    for step in steps:
        outcome = live(fake, step, **({"needs.trigger.outputs.run_id": made} if made else {}))
        made = outputs(outcome)["run_id"]
        assert outcome.passes, outcome.error

    assert [run.state for run in fake.runs("nightly_sales")] == ["success"]


def test_matrix() -> None:
    """Each leg runs its own DAG, in a run of its own."""
    (job,) = [job for job in read_jobs(text_of("matrix")).values() if "strategy" in job]
    names = job["strategy"]["matrix"]["dag"]
    (step,) = gates(text_of("matrix"))
    with FakeAirflow("3.3.2", dags=[FakeDag(name) for name in names]) as fake:
        for name in names:
            assert live(fake, step, {"dag": name}, **{"matrix.dag": name}).result == "success"

        assert [len(fake.runs(name)) for name in names] == [1] * len(names)
        assert len({run.run_id for name in names for run in fake.runs(name)}) == len(names)


def test_trigger_then_wait(fake: FakeAirflow) -> None:
    """The first job's output is the run id that the second one waits for; it triggers nothing, and
    says what came of it.
    """
    jobs = read_jobs(text_of("trigger-then-wait"))
    first, second = gates(text_of("trigger-then-wait"))
    assert jobs["trigger"]["outputs"]["run_id"] == "${{ steps.dag.outputs.run_id }}"
    outcome = live(fake, first)
    assert outcome.result == "triggered"

    outcome = live(fake, second, **{"needs.trigger.outputs.run_id": outputs(outcome)["run_id"]})
    assert (outcome.result, outcome.created) == ("success", False)


def test_nightly() -> None:
    """A run that takes too long is stopped, so that it does not run on into the day."""
    (step,) = gates(text_of("nightly"))
    with FakeAirflow("2.11.2", dags=[LONG]) as fake:
        outcome = live(fake, step | {"poll_interval": 60})

        assert (outcome.result, outcome.stopped) == ("timeout", "yes")
        assert 3 * 3600 <= outcome.waited < 3 * 3600 + 60
        assert [run.state for run in fake.runs("nightly_sales")] == ["failed"]


def test_pull_request(fake: FakeAirflow) -> None:
    """The run id is that of pull request and commit, so a re-run finds it; a branch's name cannot
    break the conf.
    """
    (step,) = gates(text_of("pull-request"))
    for created in (True, False):
        assert live(fake, step).created is created

    (run,) = fake.runs("nightly_sales")
    assert run.run_id == f"pr-17-{HEAD}"
    assert run.conf == {"pull_request": 17, "branch": 'feature/"sales"'}


@pytest.mark.parametrize(
    ("dag", "result"), [(FAILS, "failed"), (LONG, "timeout"), (DAG, "success")]
)
def test_rollback(dag: FakeDag, result: Result) -> None:
    """The commit before is deployed again on just those results that say that the DAG did not do
    its work.
    """
    (job,) = read_jobs(text_of("rollback")).values()
    condition = job["steps"][-1]["if"]
    named = re.findall(r"steps\.dag\.outputs\.result == '(\w+)'", condition)
    assert condition.startswith("failure() && (")
    assert set(named) < set(get_args(Result))
    (step,) = gates(text_of("rollback"))
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        outcome = live(fake, step | {"poll_interval": 60})

        assert outcome.result == result
        assert (outcome.result in named) is (not outcome.passes)
        assert {run.state for run in fake.runs("nightly_sales")} == {
            "success" if outcome.passes else "failed"
        }
