"""Scripted behaviour of the scripted Airflow: runs, DAGs, versions and tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jwt

from tests.contract.client import SOON, ApiClient
from tests.support.fake_airflow import FakeDag, FakeTask

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_run_advances_with_each_poll(start: Callable[..., ApiClient]) -> None:
    """The first poll shows queued, the last of `polls` the end. Other requests change nothing."""
    client = start(FakeDag("d", polls=4))
    assert client.trigger().json()["state"] == "queued"
    assert set(client.tasks().values()) == {None}
    assert client.polls(2) == ["queued", "running"]
    assert client.tasks() == {"extract": "running", "load": None}
    assert client.polls(3) == ["running", "success", "success"]
    assert client.tasks() == {"extract": "success", "load": "success"}


def test_a_run_fails_with_its_tasks_unless_ends_says_otherwise(
    start: Callable[..., ApiClient],
) -> None:
    tasks = (FakeTask("extract", ends="failed"), FakeTask("load", ends="upstream_failed"))
    for ends, state in ((None, "failed"), ("success", "success")):
        client = start(FakeDag("d", polls=1, tasks=tasks, ends=ends))
        client.trigger()
        assert client.poll() == state
        assert client.tasks() == {"extract": "failed", "load": "upstream_failed"}
        (run,) = client.fake.runs("d")
        assert [one.try_number for one in run.instances] == [1, 0]


def test_each_clear_begins_an_attempt_with_the_next_end(start: Callable[..., ApiClient]) -> None:
    """The last end repeats."""
    client = start(FakeDag("d", polls=2, tasks=(FakeTask("extract", ends=("failed", "success")),)))
    client.trigger()
    assert client.polls(2) == ["queued", "failed"]
    client.clear()
    assert client.polls(2) == ["queued", "success"]
    client.clear()
    assert client.polls(2) == ["queued", "success"]
    assert [(run.state, run.attempt) for run in client.fake.runs("d")] == [("success", 3)]


def test_scripted_states_win_and_a_clear_restarts_them(start: Callable[..., ApiClient]) -> None:
    """The last state repeats."""
    client = start()
    script = ["queued", "running", "failed", "queued", "success"]
    client.fake.states("d", script)
    client.trigger()
    assert client.polls(6) == [*script, "success"]
    client.clear()
    assert client.polls(2) == ["queued", "running"]


def test_a_run_does_not_advance_while_paused_or_without_a_scheduler(
    start: Callable[..., ApiClient],
) -> None:
    client = start(FakeDag("d", paused=True))
    client.trigger()
    assert client.polls(5) == ["queued"] * 5
    client.fake.pause("d", paused=False)
    assert client.polls(2) == ["queued", "running"]
    client.fake.scheduler("unhealthy")
    assert client.polls(2) == ["running"] * 2
    client.fake.scheduler("healthy")
    assert client.poll() == "success"


def test_a_test_can_create_change_and_delete_runs(start: Callable[..., ApiClient]) -> None:
    client = start()
    client.fake.create_run("d", "r", conf={"a": 1}, note="mine", state="failed")
    run = client.call("GET", "/dags/d/dagRuns/r").json()
    assert (run["state"], run["conf"], run["note"]) == ("failed", {"a": 1}, "mine")
    assert client.trigger().status_code == 409
    client.fake.set_run_state("d", "r", "running")
    assert client.polls(5) == ["running"] * 5
    client.fake.delete_run("d", "r")
    assert client.call("GET", "/dags/d/dagRuns/r").status_code == 404
    assert client.fake.runs("d") == []


def test_after_cancel_overwrites_the_failed_state(start: Callable[..., ApiClient]) -> None:
    client = start(FakeDag("d", after_cancel="success"))
    client.trigger()
    assert client.polls(2) == ["queued", "running"]
    assert (
        client.call("PATCH", "/dags/d/dagRuns/r", {"state": "failed"}).json()["state"] == "failed"
    )
    assert client.tasks() == {"extract": "failed", "load": "skipped"}
    assert client.poll() == "success"


def test_a_run_that_was_failed_while_queued_never_starts(start: Callable[..., ApiClient]) -> None:
    client = start(FakeDag("d", paused=True))
    client.trigger()
    client.call("PATCH", "/dags/d/dagRuns/r", {"state": "failed"})
    assert client.polls(2) == ["failed", "failed"]
    run = client.call("GET", "/dags/d/dagRuns/r").json()
    assert run["start_date"] is None
    assert run["end_date"] is not None


def test_a_dag_is_unknown_for_the_first_polls(start: Callable[..., ApiClient]) -> None:
    client = start(FakeDag("d", parsed_after=2))
    assert client.trigger().status_code == 404
    assert [client.call("GET", "/dags/d").status_code for _ in range(3)] == [404, 404, 200]
    assert client.trigger().status_code == 200


def test_a_broken_dag_is_shown_with_its_import_error_and_refuses_a_trigger(
    start: Callable[..., ApiClient],
) -> None:
    client = start(FakeDag("d", broken="SyntaxError: no"))
    dag = client.call("GET", "/dags/d").json()
    assert dag["is_active"] is False if client.fake.version == "2.11.2" else dag["is_stale"] is True
    assert client.trigger().status_code == 404
    (error,) = client.call("GET", "/importErrors").json()["import_errors"]
    assert error["stack_trace"] == "SyntaxError: no"
    assert dag["fileloc"].endswith(error["filename"])


def test_each_poll_of_a_dag_shows_the_next_bundle_version(
    start_3: Callable[..., ApiClient],
) -> None:
    """A run keeps the version with which it was triggered."""
    client = start_3(FakeDag("d", bundle_version=("old", "new")))
    seen = [
        client.call("GET", "/dags/d/details").json()["latest_dag_version"]["bundle_version"]
        for _ in range(3)
    ]
    assert seen == ["old", "new", "new"]
    assert client.trigger().json()["bundle_version"] == "new"


def test_tokens_expire_after_their_life_or_on_demand(start_3: Callable[..., ApiClient]) -> None:
    client = start_3(token_lifetime=60)
    claims = jwt.decode(client.fake.token(), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 60
    client.fake.expire_tokens()
    answer = client.call("GET", "/dags/d")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token Expired"})
    client.session.headers["Authorization"] = f"Bearer {client.fake.token('viewer')}"
    assert client.call("GET", "/dags/d").status_code == 200


def test_a_token_is_refused_ten_seconds_after_its_end(start_3: Callable[..., ApiClient]) -> None:
    answer = start_3(token_lifetime=-11).call("GET", "/dags/d")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token Expired"})


def test_a_deleted_run_ends_its_stream_without_a_final_state(
    start_3: Callable[..., ApiClient],
) -> None:
    client = start_3(FakeDag("d", paused=True))
    client.trigger()
    url = f"{client.fake.url}/api/v2/dags/d/dagRuns/r/wait?interval=1"
    with client.session.get(
        url, stream=True, timeout=SOON, headers={"Accept-Encoding": "identity"}
    ) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert json.loads(next(lines)) == {"state": "queued"}
        client.fake.delete_run("d", "r")
        assert {line for line in lines if line} <= {b'{"state": "queued"}'}
