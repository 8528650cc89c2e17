"""What a test can make of the task instances of the scripted Airflow. Where it imitates, the
contract suite holds it to it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow import KILLED, FakeDag, FakeError, FakeTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.client import Talk

DAY = datetime(2026, 1, 31, 12, tzinfo=UTC)


def one_task(**script: Any) -> FakeDag:
    """A DAG with one task of this life, whose run never ends by itself."""
    return FakeDag("d", looks=1_000_000, tasks=(FakeTask("load", **script),))


def task(talk: Talk) -> dict[str, Any]:
    """The only task instance."""
    found: dict[str, Any]
    (found,) = talk.call("GET", "/dags/d/dagRuns/r/taskInstances").json()["task_instances"]
    return found


def log(talk: Talk, number: int = 1) -> str:
    """The log of a try of the only task, as each version writes it."""
    kind = "text/plain" if talk.fake.version == "2.11.2" else "application/x-ndjson"
    url = f"{talk.fake.url}{talk.fake.api}/dags/d/dagRuns/r/taskInstances/load/logs/{number}"
    answer = talk.session.get(url, headers={"Accept": kind}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
    return answer.text


def test_a_task_lives_by_looks(start: Callable[..., Talk]) -> None:
    """A task instance is in the state that its script gives for the last look; "ends" is what
    `ends` says of this try.
    """
    states = {2: "scheduled", 3: "queued", 4: "running", 5: "ends", 6: "running", 8: "ends"}
    talk = start(one_task(states=states, ends=("up_for_retry", "failed"), retries=1))
    talk.trigger()
    seen = []
    for _ in range(9):
        talk.look()
        seen.append((task(talk)["state"], task(talk)["try_number"]))
    assert seen == [
        *((None, 0), ("scheduled", 1), ("queued", 1), ("running", 1), ("up_for_retry", 1)),
        *(("running", 2), ("running", 2), ("failed", 2), ("failed", 2)),
    ]
    assert task(talk)["max_tries"] == 1


def test_other_tasks_live_as_ever(start: Callable[..., Talk]) -> None:
    """Tasks without a script run and end with the run, and the run ends its scripted ones as
    well.
    """
    tasks = (
        FakeTask("slow", states={3: "running"}, ends="failed"),
        FakeTask("first"),
        FakeTask("second"),
    )
    talk = start(FakeDag("d", looks=4, tasks=tasks))
    talk.trigger()
    shown = []
    for _ in range(4):
        talk.look()
        shown.append(list(talk.tasks().values()))
    nothing = [None, None, None]
    assert shown == [
        nothing,
        [None, "running", None],
        ["running", "running", None],
        ["failed", "success", "success"],
    ]


def test_a_clear_begins_the_script_anew(start: Callable[..., Talk]) -> None:
    """Cleared, a task lives through its script again, with its next end."""
    talk = start(
        FakeDag(
            "d",
            looks=4,
            tasks=(FakeTask("load", states={2: "running", 3: "ends"}, ends=("failed", "success")),),
        )
    )
    talk.trigger()
    assert talk.looks(4)[-1] == "failed"
    talk.clear()
    assert task(talk)["state"] is None
    assert talk.looks(4)[-1] == "success"
    assert (task(talk)["state"], task(talk)["try_number"]) == ("success", 2)


def test_a_task_that_never_started(start: Callable[..., Talk]) -> None:
    """What fails out of `queued` lost its worker before it started: an end, but no start, no host
    and no line in its log.
    """
    talk = start(one_task(states={2: "queued", 3: "failed"}))
    talk.trigger()
    talk.looks(3)
    found = task(talk)
    assert (found["state"], found["try_number"], found["start_date"], found["hostname"]) == (
        "failed",
        1,
        None,
        "",
    )
    assert found["end_date"] is not None
    assert "working on it" not in log(talk)


def test_a_hand_on_a_task(start: Callable[..., Talk]) -> None:
    """A test may set a task instance at any moment; from then on its script is void, until it is
    cleared.
    """
    talk = start(one_task(states={2: "running", 3: "ends"}))
    talk.trigger()
    talk.looks(2)
    talk.fake.set_task_state("d", "r", "load", "deferred")
    talk.looks(2)
    assert (task(talk)["state"], task(talk)["try_number"]) == ("deferred", 1)
    talk.fake.set_task_state("d", "r", "load", "failed")
    assert task(talk)["state"] == "failed"


def test_a_pool_holds_back_what_it_has_no_room_for(start: Callable[..., Talk]) -> None:
    """A task that would run stays scheduled until its pool has room, and then does run."""
    tasks = (
        FakeTask("a", pool="tiny", states={2: "running"}),
        FakeTask("b", pool="tiny", states={2: "running"}),
    )
    talk = start(FakeDag("d", looks=1_000_000, tasks=tasks), pools={"tiny": 1})
    talk.trigger()
    talk.looks(3)
    assert talk.tasks() == {"a": "running", "b": "scheduled"}
    assert talk.call("GET", "/pools/tiny").json()["open_slots"] == 0
    talk.fake.set_task_state("d", "r", "a", "success")
    talk.look()
    assert talk.tasks() == {"a": "success", "b": "running"}


def test_a_pool_that_is_not_there(start: Callable[..., Talk]) -> None:
    """Tasks of an unknown pool are never started, and Airflow says why."""
    talk = start(one_task(pool="nope", states={2: "running"}))
    talk.trigger()
    talk.looks(3)
    assert task(talk)["state"] == "scheduled"
    (why,) = talk.call("GET", "/dags/d/dagRuns/r/taskInstances/load/dependencies").json()[
        "dependencies"
    ]
    assert why["reason"] == "Tasks using non-existent pool 'nope' will not be scheduled"


def test_dates_of_a_task(start: Callable[..., Talk]) -> None:
    """With a clock of its own the server dates everything by it, answers included; a span moves a
    task within its run.
    """
    seconds = iter(range(10_000))
    tasks = (FakeTask("a", span=(10.0, 72.5)), FakeTask("b", span=(72.5, 90.0)))
    talk = start(
        FakeDag("d", tasks=tasks), clock=lambda: DAY + timedelta(seconds=next(seconds) // 1000)
    )
    talk.trigger()
    talk.looks(3)
    run = talk.call("GET", "/dags/d/dagRuns/r")
    assert run.headers["Date"] == "Sat, 31 Jan 2026 12:00:00 GMT"
    assert run.json()["end_date"].startswith("2026-01-31T12:01:30")
    found = talk.call("GET", "/dags/d/dagRuns/r/taskInstances").json()["task_instances"]
    assert [
        (one["start_date"][11:19], one["end_date"][11:19], one["duration"]) for one in found
    ] == [
        ("12:00:10", "12:01:12", 62.5),
        ("12:01:12", "12:01:30", 17.5),
    ]


def test_errors_of_each_try(start: Callable[..., Talk]) -> None:
    """Each try may raise something else, with what it was handling, notes and frames; or nothing at
    all.
    """
    first = FakeError(
        "KeyError",
        "'a'",
        (("/x/sales.py", 7, "read"),),
        ("look at the file",),
        context=FakeError("OSError", ""),
    )
    talk = start(
        one_task(
            states={2: "running", 3: "ends", 4: "running", 5: "ends"},
            ends=("up_for_retry", "failed"),
            error=(first, KILLED),
        )
    )
    talk.trigger()
    talk.looks(5)
    for text in ("KeyError", "'a'", "/x/sales.py", "look at the file", "OSError"):
        assert text in log(talk)
        assert text not in log(talk, 2)
    assert ("SIGKILL" in log(talk, 2)) is (talk.fake.version == "3.3.2")
    silent = start(one_task(states={2: "running", 3: "failed"}, error=None))
    silent.trigger()
    silent.looks(3)
    assert "Task failed with exception" not in log(silent)


def test_a_log_that_is_gone(start: Callable[..., Talk]) -> None:
    """A lost log is a 200 with the reason in its head, and nothing of the task."""
    talk = start(one_task(states={2: "running", 3: "failed"}, log=None))
    talk.trigger()
    talk.looks(3)
    assert "Could not read served logs" in log(talk)
    assert "Task failed" not in log(talk)


def test_what_a_task_prints(start: Callable[..., Talk]) -> None:
    """Printed lines and ready-made entries stand in the log in their order; a log may be made per
    try.
    """

    def printed(number: int) -> list[Any]:
        return [
            f"try {number}\nsecond line",
            {"event": "odd", "level": "warning", "logger": "mine"},
        ]

    talk = start(one_task(states={2: "running", 3: "success"}, log=printed))
    talk.trigger()
    talk.looks(3)
    text = log(talk)
    assert text.index("try 1") < text.index("second line") < text.index("odd")
    if talk.fake.version == "2.11.2":
        assert "\nsecond line\n" in text
        assert "} WARNING - odd\n" in text
    else:
        assert '"event": "odd", "level": "warning", "logger": "mine"' in text
