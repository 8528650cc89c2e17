"""What a test can make the scripted Airflow do besides going wrong. Where it imitates, the contract
suite holds it to it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jwt

from tests.contract.client import SOON, Talk
from tests.support.fake_airflow import FakeDag, FakeTask

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_run_moves_on_by_being_looked_at(start: Callable[..., Talk]) -> None:
    """The first look shows queued, the last of `looks` the end, those between running; other
    requests move nothing.
    """
    talk = start(FakeDag("d", looks=4))
    assert talk.trigger().json()["state"] == "queued"
    assert set(talk.tasks().values()) == {None}
    assert talk.looks(2) == ["queued", "running"]
    assert talk.tasks() == {"extract": "running", "load": None}
    assert talk.looks(3) == ["running", "success", "success"]
    assert talk.tasks() == {"extract": "success", "load": "success"}


def test_a_run_fails_with_its_tasks_unless_told_otherwise(start: Callable[..., Talk]) -> None:
    """A run ends failed if a task does, or as the DAG says."""
    tasks = (FakeTask("extract", ends="failed"), FakeTask("load", ends="upstream_failed"))
    for ends, state in ((None, "failed"), ("success", "success")):
        talk = start(FakeDag("d", looks=1, tasks=tasks, ends=ends))
        talk.trigger()
        assert talk.look() == state
        assert talk.tasks() == {"extract": "failed", "load": "upstream_failed"}
        (run,) = talk.fake.runs("d")
        assert [one.try_number for one in run.instances] == [1, 0]


def test_every_attempt_may_end_differently(start: Callable[..., Talk]) -> None:
    """A clear begins a new attempt, whose end is the next one given; the last one repeats."""
    talk = start(FakeDag("d", looks=2, tasks=(FakeTask("extract", ends=("failed", "success")),)))
    talk.trigger()
    assert talk.looks(2) == ["queued", "failed"]
    talk.clear()
    assert talk.looks(2) == ["queued", "success"]
    talk.clear()
    assert talk.looks(2) == ["queued", "success"]
    assert [(run.state, run.attempt) for run in talk.fake.runs("d")] == [("success", 3)]


def test_states_can_be_dictated(start: Callable[..., Talk]) -> None:
    """A script of states wins over everything, its last state repeats, and a clear begins it
    anew.
    """
    talk = start()
    script = ["queued", "running", "failed", "queued", "success"]
    talk.fake.states("d", script)
    talk.trigger()
    assert talk.looks(6) == [*script, "success"]
    talk.clear()
    assert talk.looks(2) == ["queued", "running"]


def test_nothing_moves_while_paused_or_without_a_scheduler(start: Callable[..., Talk]) -> None:
    """A run of a paused DAG, or without a healthy scheduler, shows the same state for ever."""
    talk = start(FakeDag("d", paused=True))
    talk.trigger()
    assert talk.looks(5) == ["queued"] * 5
    talk.fake.pause("d", paused=False)
    assert talk.looks(2) == ["queued", "running"]
    talk.fake.scheduler("unhealthy")
    assert talk.looks(2) == ["running"] * 2
    talk.fake.scheduler("healthy")
    assert talk.look() == "success"


def test_somebody_else_has_a_hand_in_it(start: Callable[..., Talk]) -> None:
    """Runs can be made, set and deleted behind the client's back."""
    talk = start()
    talk.fake.create_run("d", "r", conf={"a": 1}, note="mine", state="failed")
    run = talk.call("GET", "/dags/d/dagRuns/r").json()
    assert (run["state"], run["conf"], run["note"]) == ("failed", {"a": 1}, "mine")
    assert talk.trigger().status_code == 409
    talk.fake.set_run_state("d", "r", "running")
    assert talk.looks(5) == ["running"] * 5
    talk.fake.delete_run("d", "r")
    assert talk.call("GET", "/dags/d/dagRuns/r").status_code == 404
    assert talk.fake.runs("d") == []


def test_a_cancel_may_be_overwritten(start: Callable[..., Talk]) -> None:
    """After a run was set to failed, the next look shows `after_cancel`."""
    talk = start(FakeDag("d", after_cancel="success"))
    talk.trigger()
    assert talk.looks(2) == ["queued", "running"]
    assert talk.call("PATCH", "/dags/d/dagRuns/r", {"state": "failed"}).json()["state"] == "failed"
    assert talk.tasks() == {"extract": "failed", "load": "skipped"}
    assert talk.look() == "success"


def test_a_run_that_was_cancelled_before_it_began(start: Callable[..., Talk]) -> None:
    """A run that was set to failed while it was queued has never started, however often it is
    looked at.
    """
    talk = start(FakeDag("d", paused=True))
    talk.trigger()
    talk.call("PATCH", "/dags/d/dagRuns/r", {"state": "failed"})
    assert talk.looks(2) == ["failed", "failed"]
    run = talk.call("GET", "/dags/d/dagRuns/r").json()
    assert run["start_date"] is None
    assert run["end_date"] is not None


def test_a_dag_may_take_its_time(start: Callable[..., Talk]) -> None:
    """A DAG is unknown for the first `parsed_after` looks at it."""
    talk = start(FakeDag("d", parsed_after=2))
    assert talk.trigger().status_code == 404
    assert [talk.call("GET", "/dags/d").status_code for _ in range(3)] == [404, 404, 200]
    assert talk.trigger().status_code == 200


def test_a_broken_dag(start: Callable[..., Talk]) -> None:
    """A DAG whose file broke is still to be seen, but not to be run, and its error is listed."""
    talk = start(FakeDag("d", broken="SyntaxError: no"))
    dag = talk.call("GET", "/dags/d").json()
    assert dag["is_active"] is False if talk.fake.version == "2.11.2" else dag["is_stale"] is True
    assert talk.trigger().status_code == 404
    (error,) = talk.call("GET", "/importErrors").json()["import_errors"]
    assert error["stack_trace"] == "SyntaxError: no"
    assert dag["fileloc"].endswith(error["filename"])


def test_bundle_versions(start_3: Callable[..., Talk]) -> None:
    """Each look at a DAG shows the next bundle version; a run keeps the one it was triggered
    with.
    """
    talk = start_3(FakeDag("d", bundle_version=("old", "new")))
    seen = [
        talk.call("GET", "/dags/d/details").json()["latest_dag_version"]["bundle_version"]
        for _ in range(3)
    ]
    assert seen == ["old", "new", "new"]
    assert talk.trigger().json()["bundle_version"] == "new"


def test_tokens_expire(start_3: Callable[..., Talk]) -> None:
    """Tokens live as long as the test says, and all of them end when it says so."""
    talk = start_3(token_lifetime=60)
    claims = jwt.decode(talk.fake.token(), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 60
    talk.fake.expire_tokens()
    answer = talk.call("GET", "/dags/d")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token Expired"})
    talk.session.headers["Authorization"] = f"Bearer {talk.fake.token('viewer')}"
    assert talk.call("GET", "/dags/d").status_code == 200


def test_an_expired_token_is_refused(start_3: Callable[..., Talk]) -> None:
    """A token whose time is over, and ten seconds more, is expired without further ado."""
    answer = start_3(token_lifetime=-11).call("GET", "/dags/d")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token Expired"})


def test_a_deleted_run_ends_its_stream(start_3: Callable[..., Talk]) -> None:
    """A run deleted while somebody waits ends the stream cleanly, without an end of the run."""
    talk = start_3(FakeDag("d", paused=True))
    talk.trigger()
    url = f"{talk.fake.url}/api/v2/dags/d/dagRuns/r/wait?interval=1"
    with talk.session.get(
        url, stream=True, timeout=SOON, headers={"Accept-Encoding": "identity"}
    ) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert json.loads(next(lines)) == {"state": "queued"}
        talk.fake.delete_run("d", "r")
        assert {line for line in lines if line} <= {b'{"state": "queued"}'}
