"""Airflow's listener against GitHub's stand-in over real sockets: what is moved on GitHub, once,
and what is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.github_api.marker import Marker, note_with_marker
from entrypoint.models import CANCELLED_MARK
from tests.integration.reporting import AIRFLOW, CONTEXT, PAGE, reporting
from tests.support.factories import SHA
from tests.support.listener import Configuration, Connection
from tests.support.services.github import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.reporting import World

STAGING = "https://staging.example.com"
"""Another Airflow."""
LONG = [f"task_with_quite_a_long_name_{number}" for number in range(25)]


@pytest.fixture
def world(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Everything."""
    with reporting(listener, monkeypatch) as made:
        yield made


@pytest.mark.parametrize(("state", "moved"), [("success", "success"), ("failed", "failure")])
def test_a_status(world: World, state: str, moved: str) -> None:
    """The end of a run moves the status that stands for it, once however often it is reported, and
    back when it is cleared.
    """
    world.begin()
    world.report(announced="running")
    assert (world.states, world.posted) == (["pending"], 0)
    for _ in range(3):
        world.end("r1", state)
    assert world.states == ["pending", moved]
    assert world.last["target_url"] == PAGE.format("r1")
    assert (
        world.last["description"]
        == f"The DAG run {'succeeded' if state == 'success' else 'failed'} after 3 s"
    )
    for _ in range(2):
        world.end("r1", "running")
    world.end("r1", "success")
    assert world.report() is True
    assert world.states == ["pending", moved, "pending", "success"]
    assert world.posted == 3


def test_a_deployment(world: World) -> None:
    """The end of a run moves the deployment that stands for it, once, with its page; that of
    another run is left alone.
    """
    world.begin("r1", "production")
    world.begin("r2", "production")
    one, other = (deployment["id"] for deployment in world.github.deployments)
    for _ in range(3):
        world.end("r1", "success", environment="production")
    assert world.github.deployment_states(one) == ["in_progress", "success"]
    assert world.github.deployment_states(other) == ["in_progress"]
    last = world.github.deployment_statuses(one)[-1]
    assert (last["log_url"], last["description"]) == (
        PAGE.format("r1"),
        "The DAG run succeeded after 3 s",
    )
    for state in ("running", "running", "failed"):
        world.end("r1", state, environment="production")
    assert world.github.deployment_states(one) == [
        "in_progress",
        "success",
        "in_progress",
        "failure",
    ]


def test_a_deployment_that_a_later_one_has_replaced(world: World) -> None:
    """A success that GitHub has made inactive, since a later one succeeded, is not reported
    again.
    """
    world.begin("r1", "staging")
    (deployment,) = world.github.deployments
    world.end("r1", "success", environment="staging")
    world.github.settle(deployment["id"], "inactive")
    world.end("r1", "success", environment="staging")
    assert world.github.deployment_states(deployment["id"]) == [
        "in_progress",
        "success",
        "inactive",
    ]


@pytest.mark.parametrize("environment", [None, "production"])
def test_nothing_was_begun(world: World, environment: str | None) -> None:
    """Where the action has let nothing stand for the run, nothing is made up: a note may be
    anybody's.
    """
    if environment is None:
        world.github.report(
            SHA, "pending", "airflow / other", PAGE.format("r1").replace("sales", "other")
        )
        world.github.report(SHA, "pending", CONTEXT, PAGE.format("r2"))
        world.github.report(SHA, "pending", "airflow / other", PAGE.format("r1"))
        world.github.report(SHA, "pending", CONTEXT)
        world.begin("r1", airflow=STAGING)
        world.begin("r1", airflow=f"{AIRFLOW}/team")
        world.github.report(SHA, "pending", CONTEXT, "http://[")
    else:
        world.begin("r2", environment)
        world.begin("r1", "staging")
        world.begin("r1", environment, airflow=STAGING)
    before = world.posted
    for state in ("success", "failed"):
        world.end("r1", state, environment=environment)
    assert world.posted == before


@pytest.mark.parametrize(("state", "states"), [("success", []), ("failed", ["failure"])])
def test_a_later_run_has_the_status(world: World, state: str, states: list[str]) -> None:
    """An earlier run's failure is shown even where a later run has the status; its success would
    hide the later one.
    """
    world.begin("r1")
    world.begin("r2")
    for _ in range(2):
        world.end("r1", state)
    assert world.states == ["pending", "pending", *states]


# More than one Airflow.


@pytest.mark.parametrize("environment", [None, "production"])
@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_run_of_that_name_in_another_airflow(
    world: World, environment: str | None, state: str
) -> None:
    """Of two runs with one name in two Airflows each listener moves what stands for its own,
    whichever was begun last.
    """
    for airflow in (AIRFLOW, STAGING, f"{AIRFLOW}:8443"):
        world.begin("r1", environment, airflow=airflow)
    moved = "success" if state == "success" else "failure"
    for _ in range(2):
        world.end("r1", state, environment=environment)
    if environment:
        assert world.deployed == [["in_progress", moved], ["in_progress"], ["in_progress"]]
        return
    # The status is another's by now: no failure is hidden, and a success would hide that one.
    assert world.states == ["pending"] * 3 + (["failure"] if state == "failed" else [])
    assert world.last["target_url"].startswith(
        f"{AIRFLOW}/" if state == "failed" else f"{AIRFLOW}:8443/"
    )


@pytest.mark.parametrize("environment", [None, "production"])
@pytest.mark.parametrize("there", [(), (AIRFLOW,)], ids=["theirs", "both"])
def test_a_forged_airflow(world: World, environment: str | None, there: tuple[str, ...]) -> None:
    """A note that names another Airflow moves nothing, neither what stands for that one's run nor
    for this one's.
    """
    for airflow in (*there, STAGING):
        world.begin("r1", environment, airflow=airflow)
    before = len(world.github.record)
    for state in ("success", "failed", "running"):
        with pytest.raises(world.listener.GivenUpError) as caught:
            world.end("r1", state, environment=environment, airflow=STAGING)
        assert str(caught.value) == (
            f"its note names the Airflow at {STAGING}, and this one is at {AIRFLOW}. If "
            "workflows call it by that address, "
            "add it to the extra of airflow_dag_run_github as airflow_url"
        )
    assert len(world.github.record) == before


@pytest.mark.parametrize("environment", [None, "production"])
@pytest.mark.parametrize(
    "extra",
    [
        *(
            "https://flow.example.com/team",
            "HTTPS://Flow.Example.com:443/team/",
            ["https://flow.example.com:443/team"],
        ),
        ["http://airflow-webserver:8080", "https://FLOW.example.com/team//"],
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "used", ["https://flow.example.com/team", "https://Flow.example.com:443/team"]
)
def test_an_address_that_only_workflows_use(
    world: World, environment: str | None, extra: Any, used: str
) -> None:
    """An address that the extra names is this Airflow's, however it, or the one in the workflow, is
    written.
    """
    world.connect(password=world.github.token, extra={"airflow_url": extra})
    world.begin("r1", environment, airflow=used)
    world.end("r1", "success", environment=environment, airflow=used)
    settled = world.deployed if environment else [world.states]
    assert settled == [["in_progress" if environment else "pending", "success"]]


@pytest.mark.parametrize("section", ["api", "webserver"])
def test_the_address_in_airflows_settings(world: World, section: str) -> None:
    """Where the extra names none it is the base_url of Airflow 3, or of Airflow 2; one that is not
    known is no Airflow's.
    """
    Configuration.known = {(section, "base_url"): "http://Flow.example.com:8080/"}
    world.begin("r1", airflow="http://flow.example.com:8080")
    world.end("r1", "success", airflow="http://flow.example.com:8080")
    assert world.states == ["pending", "success"]
    with pytest.raises(
        world.listener.GivenUpError, match=r"this one is at http://flow\.example\.com:8080\. If"
    ):
        world.end("r1", "failed")
    Configuration.known = {}
    with pytest.raises(world.listener.GivenUpError, match=r"this one is at no known address\. If"):
        world.end("r1", "failed", airflow="http://flow.example.com:8080")
    assert world.states == ["pending", "success"]


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
        (
            {"api_url": "https://evil.example.com"},
            "it is to be reported to https://evil.example.com, and",
        ),
        (
            {"airflow": STAGING},
            f"its note names the Airflow at {STAGING}, and this one is at {AIRFLOW}",
        ),
        # The action writes the canonical form only.
        ({"airflow": f"{AIRFLOW}/"}, f"its note names the Airflow at {AIRFLOW}/, and"),
    ],
)
def test_another_place(world: World, wrong: dict[str, str], said: str) -> None:
    """A marker of a repository that is not listed, of another GitHub, or of another Airflow sends
    nothing at all.
    """
    world.begin()
    marker = Marker(AIRFLOW, world.github.url, REPOSITORY, SHA, None)._replace(**wrong)
    with pytest.raises(world.listener.GivenUpError) as caught:
        world.end("r1", "success", note=note_with_marker("", marker))
    assert said in str(caught.value)
    assert world.github.record == []


def test_the_same_place_written_otherwise(listener: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capitals in the repository, and a slash behind the API's address, make no difference."""
    with reporting(listener, monkeypatch, repositories=("Octo-Org/sales",)) as world:
        world.begin()
        world.connect(password=world.github.token, host=f"{world.github.url}/")
        world.end(
            "r1",
            "success",
            note=note_with_marker(
                "", Marker(AIRFLOW, f"{world.github.url}/", "Octo-Org/sales", SHA, None)
            ),
        )
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
    """What was announced and is not in the database yet is not reported, until it does not matter
    any more.
    """
    world.begin()
    with pytest.raises(world.listener.NotYetError):
        world.report("r1", "success")
    assert world.github.record == []
    world.run("r1", "failed")
    world.report("r1", None)
    assert world.states == ["pending", "failure"]


def test_a_database_that_cannot_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the database is for later, and its text, which may have a password in it, is not
    shown.
    """

    def fail(*_: str) -> None:
        raise OSError("postgresql://airflow:Zq8-password@db/airflow")

    monkeypatch.setattr(world.listener, "read_run", fail)
    with pytest.raises(
        world.listener.LaterError, match=r"^Airflow's database cannot be read \(OSError\)$"
    ):
        world.report()


# How an end is described.


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_run_that_was_cancelled(world: World, state: str) -> None:
    """A run that the action has stopped is a failure, even when Airflow calls it a success
    afterwards.
    """
    world.begin()
    world.end("r1", state, text=f"\n{CANCELLED_MARK}")
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
