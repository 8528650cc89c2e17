"""Scripted behaviour of task instances: states, tries, pools, dates, errors and logs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow import KILLED, FakeDag, FakeError, FakeTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.client import ApiClient

DAY = datetime(2026, 1, 31, 12, tzinfo=UTC)


def one_task(**script: Any) -> FakeDag:
    """Return a DAG with one such task, whose run never ends by itself."""
    return FakeDag("d", polls=1_000_000, tasks=(FakeTask("load", **script),))


def task(client: ApiClient) -> dict[str, Any]:
    """Return the only task instance."""
    found: dict[str, Any]
    (found,) = client.call("GET", "/dags/d/dagRuns/r/taskInstances").json()["task_instances"]
    return found


def log(client: ApiClient, number: int = 1) -> str:
    """Return the log of a try of the only task in the form of each version."""
    kind = "text/plain" if client.fake.version == "2.11.2" else "application/x-ndjson"
    url = f"{client.fake.url}{client.fake.api}/dags/d/dagRuns/r/taskInstances/load/logs/{number}"
    answer = client.session.get(url, headers={"Accept": kind}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
    return answer.text


def test_a_task_follows_its_scripted_states_by_poll(start: Callable[..., ApiClient]) -> None:
    """The state "ends" stands for the end of this try."""
    states = {2: "scheduled", 3: "queued", 4: "running", 5: "ends", 6: "running", 8: "ends"}
    client = start(one_task(states=states, ends=("up_for_retry", "failed"), retries=1))
    client.trigger()
    seen = []
    for _ in range(9):
        client.poll()
        seen.append((task(client)["state"], task(client)["try_number"]))
    assert seen == [
        *((None, 0), ("scheduled", 1), ("queued", 1), ("running", 1), ("up_for_retry", 1)),
        *(("running", 2), ("running", 2), ("failed", 2), ("failed", 2)),
    ]
    assert task(client)["max_tries"] == 1


def test_unscripted_tasks_run_and_end_with_the_run(start: Callable[..., ApiClient]) -> None:
    """The end of the run ends scripted tasks, too."""
    tasks = (
        FakeTask("slow", states={3: "running"}, ends="failed"),
        FakeTask("first"),
        FakeTask("second"),
    )
    client = start(FakeDag("d", polls=4, tasks=tasks))
    client.trigger()
    shown = []
    for _ in range(4):
        client.poll()
        shown.append(list(client.tasks().values()))
    nothing = [None, None, None]
    assert shown == [
        nothing,
        [None, "running", None],
        ["running", "running", None],
        ["failed", "success", "success"],
    ]


def test_a_clear_restarts_the_script_of_a_task(start: Callable[..., ApiClient]) -> None:
    """With its next end."""
    client = start(
        FakeDag(
            "d",
            polls=4,
            tasks=(FakeTask("load", states={2: "running", 3: "ends"}, ends=("failed", "success")),),
        )
    )
    client.trigger()
    assert client.polls(4)[-1] == "failed"
    client.clear()
    assert task(client)["state"] is None
    assert client.polls(4)[-1] == "success"
    assert (task(client)["state"], task(client)["try_number"]) == ("success", 2)


def test_a_task_that_fails_while_queued_has_no_start_host_or_log(
    start: Callable[..., ApiClient],
) -> None:
    client = start(one_task(states={2: "queued", 3: "failed"}))
    client.trigger()
    client.polls(3)
    found = task(client)
    assert (found["state"], found["try_number"], found["start_date"], found["hostname"]) == (
        "failed",
        1,
        None,
        "",
    )
    assert found["end_date"] is not None
    assert "working on it" not in log(client)


def test_a_test_can_set_a_task_state_until_the_next_clear(start: Callable[..., ApiClient]) -> None:
    client = start(one_task(states={2: "running", 3: "ends"}))
    client.trigger()
    client.polls(2)
    client.fake.set_task_state("d", "r", "load", "deferred")
    client.polls(2)
    assert (task(client)["state"], task(client)["try_number"]) == ("deferred", 1)
    client.fake.set_task_state("d", "r", "load", "failed")
    assert task(client)["state"] == "failed"


def test_a_task_stays_scheduled_until_its_pool_has_a_slot(start: Callable[..., ApiClient]) -> None:
    tasks = (
        FakeTask("a", pool="tiny", states={2: "running"}),
        FakeTask("b", pool="tiny", states={2: "running"}),
    )
    client = start(FakeDag("d", polls=1_000_000, tasks=tasks), pools={"tiny": 1})
    client.trigger()
    client.polls(3)
    assert client.tasks() == {"a": "running", "b": "scheduled"}
    assert client.call("GET", "/pools/tiny").json()["open_slots"] == 0
    client.fake.set_task_state("d", "r", "a", "success")
    client.poll()
    assert client.tasks() == {"a": "success", "b": "running"}


def test_tasks_of_an_unknown_pool_never_start(start: Callable[..., ApiClient]) -> None:
    """Airflow says why."""
    client = start(one_task(pool="nope", states={2: "running"}))
    client.trigger()
    client.polls(3)
    assert task(client)["state"] == "scheduled"
    (why,) = client.call("GET", "/dags/d/dagRuns/r/taskInstances/load/dependencies").json()[
        "dependencies"
    ]
    assert why["reason"] == "Tasks using non-existent pool 'nope' will not be scheduled"


def test_dates_come_from_the_servers_clock(start: Callable[..., ApiClient]) -> None:
    """A span moves a task within its run."""
    seconds = iter(range(10_000))
    tasks = (FakeTask("a", span=(10.0, 72.5)), FakeTask("b", span=(72.5, 90.0)))
    client = start(
        FakeDag("d", tasks=tasks), clock=lambda: DAY + timedelta(seconds=next(seconds) // 1000)
    )
    client.trigger()
    client.polls(3)
    run = client.call("GET", "/dags/d/dagRuns/r")
    assert run.headers["Date"] == "Sat, 31 Jan 2026 12:00:00 GMT"
    assert run.json()["end_date"].startswith("2026-01-31T12:01:30")
    found = client.call("GET", "/dags/d/dagRuns/r/taskInstances").json()["task_instances"]
    assert [
        (one["start_date"][11:19], one["end_date"][11:19], one["duration"]) for one in found
    ] == [
        ("12:00:10", "12:01:12", 62.5),
        ("12:01:12", "12:01:30", 17.5),
    ]


def test_each_try_may_raise_another_exception_or_none(start: Callable[..., ApiClient]) -> None:
    """With its cause, notes and frames."""
    first = FakeError(
        "KeyError",
        "'a'",
        (("/x/sales.py", 7, "read"),),
        ("look at the file",),
        context=FakeError("OSError", ""),
    )
    client = start(
        one_task(
            states={2: "running", 3: "ends", 4: "running", 5: "ends"},
            ends=("up_for_retry", "failed"),
            error=(first, KILLED),
        )
    )
    client.trigger()
    client.polls(5)
    for text in ("KeyError", "'a'", "/x/sales.py", "look at the file", "OSError"):
        assert text in log(client)
        assert text not in log(client, 2)
    assert ("SIGKILL" in log(client, 2)) is (client.fake.version == "3.3.2")
    silent = start(one_task(states={2: "running", 3: "failed"}, error=None))
    silent.trigger()
    silent.polls(3)
    assert "Task failed with exception" not in log(silent)


def test_a_lost_log_is_a_200_with_the_reason_in_its_head(start: Callable[..., ApiClient]) -> None:
    client = start(one_task(states={2: "running", 3: "failed"}, log=None))
    client.trigger()
    client.polls(3)
    assert "Could not read served logs" in log(client)
    assert "Task failed" not in log(client)


def test_printed_lines_and_entries_are_in_the_log_in_order(start: Callable[..., ApiClient]) -> None:
    """A function makes a log for each try."""

    def printed(number: int) -> list[Any]:
        return [
            f"try {number}\nsecond line",
            {"event": "odd", "level": "warning", "logger": "mine"},
        ]

    client = start(one_task(states={2: "running", 3: "success"}, log=printed))
    client.trigger()
    client.polls(3)
    text = log(client)
    assert text.index("try 1") < text.index("second line") < text.index("odd")
    if client.fake.version == "2.11.2":
        assert "\nsecond line\n" in text
        assert "} WARNING - odd\n" in text
    else:
        assert '"event": "odd", "level": "warning", "logger": "mine"' in text
