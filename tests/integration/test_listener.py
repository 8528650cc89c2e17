"""Airflow's listener against GitHub's stand-in over real sockets: what is moved on GitHub, once, and what is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.gate.marker import Marker, noted
from entrypoint.models import CANCELLED
from tests.integration.reporting import CONTEXT, PAGE, reporting
from tests.support.doors.github import REPOSITORY
from tests.support.listener import Connection
from tests.support.nouns import SHA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.reporting import World

LONG = [f"task_with_quite_a_long_name_{number}" for number in range(25)]


@pytest.fixture
def world(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Everything."""
    with reporting(listener, monkeypatch) as made:
        yield made


@pytest.mark.parametrize(("state", "moved"), [("success", "success"), ("failed", "failure")])
def test_a_status(world: World, state: str, moved: str) -> None:
    """The end of a run moves the status that stands for it, once however often it is reported, and back when it is cleared."""
    world.begin()
    world.report(announced="running")
    assert (world.states, world.posted) == (["pending"], 0)
    for _ in range(3):
        world.end("r1", state)
    assert world.states == ["pending", moved]
    assert world.last["target_url"] == PAGE.format("r1")
    assert world.last["description"] == f"The DAG run {'succeeded' if state == 'success' else 'failed'} after 3 s"
    for _ in range(2):
        world.end("r1", "running")
    world.end("r1", "success")
    assert world.report() is True
    assert world.states == ["pending", moved, "pending", "success"]
    assert world.posted == 3


def test_a_deployment(world: World) -> None:
    """The end of a run moves the deployment that stands for it, once, with its page; that of another run is left alone."""
    world.begin("r1", "production")
    world.begin("r2", "production")
    one, other = (deployment["id"] for deployment in world.github.deployments)
    for _ in range(3):
        world.end("r1", "success", environment="production")
    assert world.github.deployment_states(one) == ["in_progress", "success"]
    assert world.github.deployment_states(other) == ["in_progress"]
    last = world.github.deployment_statuses(one)[-1]
    assert (last["log_url"], last["description"]) == (PAGE.format("r1"), "The DAG run succeeded after 3 s")
    for state in ("running", "running", "failed"):
        world.end("r1", state, environment="production")
    assert world.github.deployment_states(one) == ["in_progress", "success", "in_progress", "failure"]


def test_a_deployment_that_a_later_one_has_replaced(world: World) -> None:
    """A success that GitHub has made inactive, since a later one succeeded, is not reported again."""
    world.begin("r1", "staging")
    (deployment,) = world.github.deployments
    world.end("r1", "success", environment="staging")
    world.github.settle(deployment["id"], "inactive")
    world.end("r1", "success", environment="staging")
    assert world.github.deployment_states(deployment["id"]) == ["in_progress", "success", "inactive"]


@pytest.mark.parametrize("environment", [None, "production"])
def test_nothing_was_begun(world: World, environment: str | None) -> None:
    """Where the action has let nothing stand for the run, nothing is made up: a note may be anybody's."""
    if environment is None:
        world.github.report(SHA, "pending", "airflow / other", PAGE.format("r1").replace("sales", "other"))
        world.github.report(SHA, "pending", CONTEXT, PAGE.format("r2"))
        world.github.report(SHA, "pending", "airflow / other", PAGE.format("r1"))
        world.github.report(SHA, "pending", CONTEXT)
        world.github.report(SHA, "pending", CONTEXT, "http://[")
    else:
        world.begin("r2", environment)
        world.begin("r1", "staging")
    before = world.posted
    for state in ("success", "failed"):
        world.end("r1", state, environment=environment)
    assert world.posted == before


@pytest.mark.parametrize(("state", "states"), [("success", []), ("failed", ["failure"])])
def test_a_later_run_has_the_status(world: World, state: str, states: list[str]) -> None:
    """An earlier run's failure is shown even where a later run has the status; its success would hide the later one."""
    world.begin("r1")
    world.begin("r2")
    for _ in range(2):
        world.end("r1", state)
    assert world.states == ["pending", "pending", *states]


def test_many_statuses(world: World) -> None:
    """A status is found behind hundreds of others."""
    world.begin("r1")
    for number in range(150):
        world.github.report(SHA, "success", f"check {number}")
    world.end("r1", "failed")
    assert world.states == ["pending", "failure"]


# What a note may not do.


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"repository": "octo-org/secrets"},
            "octo-org/secrets is not among the repositories of airflow_dag_run_github",
        ),
        ({"repository": "octo-org/sale"}, "octo-org/sale is not among"),
        ({"api_url": "https://evil.example.com"}, "it is to be reported to https://evil.example.com, and"),
    ],
)
def test_another_place(world: World, wrong: dict[str, str], said: str) -> None:
    """A marker of a repository that the connection does not list, or of another GitHub, sends nothing at all."""
    world.begin()
    marker = Marker(world.github.url, REPOSITORY, SHA, None)._replace(**wrong)
    with pytest.raises(world.listener.GivenUpError) as caught:
        world.end("r1", "success", note=noted("", marker))
    assert said in str(caught.value)
    assert world.github.record == []


def test_the_same_place_written_otherwise(listener: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capitals in the repository, and a slash behind the API's address, make no difference."""
    with reporting(listener, monkeypatch, repositories=("Octo-Org/sales",)) as world:
        world.begin()
        world.connect(password=world.github.token, host=f"{world.github.url}/")
        world.end("r1", "success", note=noted("", Marker(f"{world.github.url}/", "Octo-Org/sales", SHA, None)))
        assert world.states == ["pending", "success"]


def test_runs_that_are_none_of_its_business(world: World) -> None:
    """A run without a marker, or that is gone, reads no connection and sends nothing."""
    Connection.known.clear()
    for note in (None, "Deployed", "airflow-dag-run: {}"):
        world.run("r1", "success", note=note)
        assert world.report("r1", "success") is False
    world.runs.clear()
    assert world.report("r1", "success") is False
    assert world.github.record == []


def test_a_state_that_is_not_committed(world: World) -> None:
    """What was announced and is not in the database yet is not reported, until it does not matter any more."""
    world.begin()
    with pytest.raises(world.listener.NotYetError):
        world.report("r1", "success")
    assert world.github.record == []
    world.run("r1", "failed")
    world.report("r1", None)
    assert world.states == ["pending", "failure"]


def test_a_database_that_cannot_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the database is for later, and its text, which may have a password in it, is not shown."""

    def fail(*_: str) -> None:
        raise OSError("postgresql://airflow:Zq8-password@db/airflow")

    monkeypatch.setattr(world.listener, "read_run", fail)
    with pytest.raises(world.listener.LaterError, match=r"^Airflow's database cannot be read \(OSError\)$"):
        world.report()


# How an end is described.


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_run_that_was_cancelled(world: World, state: str) -> None:
    """A run that the action has stopped is a failure, even when Airflow calls it a success afterwards."""
    world.begin()
    world.end("r1", state, text=f"\n{CANCELLED}")
    assert world.states == ["pending", "failure"]
    assert world.last["description"] == "The DAG run was stopped: its workflow was cancelled"


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        ((), "The DAG run failed after 3 s"),
        (("extract", "load[3]"), "The DAG run failed after 3 s: extract, load[3]"),
        (tuple(LONG), "The DAG run failed after 3 s: task_with_quite_a_long_name_0, "),
        (tuple("ab" * 10 + "c"), f"The DAG run failed after 3 s: {', '.join('ab' * 10)}, …"),
        (("x" * 110,), f"The DAG run failed after 3 s: {'x' * 110}"),
        (("x" * 111,), f"The DAG run failed after 3 s: {'x' * 109}…"),
        (("x" * 250,), f"The DAG run failed after 3 s: {'x' * 109}…"),
    ],
)
def test_what_failed(world: World, failed: tuple[str, ...], told: str) -> None:
    """The tasks that failed are named, as far as GitHub's 140 characters go."""
    world.begin()
    world.end("r1", "failed", failed=failed)
    described = world.last["description"]
    assert described.startswith(told)
    assert len(described) <= 140
    assert described.endswith("…") is (len(", ".join(failed)) > 110 or len(failed) > 20)
