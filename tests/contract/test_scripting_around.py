"""What a test can make of everything around a run in the scripted Airflow, and what it counts."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from typing import TYPE_CHECKING, get_args

import pytest
import requests

from tests.contract.client import SOON, Talk
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault
from tests.support.fake_airflow.scripting import Feature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS, ROW = 30_000, "a row of a long log " * 10


def read_log(talk: Talk, *, stream: bool = False) -> requests.Response:
    """The log of the task "load", as each version writes it."""
    kind = "text/plain" if talk.fake.version == "2.11.2" else "application/x-ndjson"
    url = f"{talk.fake.url}{talk.fake.api}/dags/d/dagRuns/r/taskInstances/load/logs/1"
    return talk.session.get(
        url, stream=stream, timeout=SOON, headers={"Accept": kind, "Accept-Encoding": "identity"}
    )


def test_a_run_that_others_hold_back(start: Callable[..., Talk]) -> None:
    """While `max_active_runs` others are running a run stays queued, and they are listed; then it
    runs.
    """
    talk = start(FakeDag("d", max_active_runs=1))
    talk.fake.create_run("d", "other", state="running")
    talk.trigger()
    assert talk.looks(4) == ["queued"] * 4
    running = talk.call("GET", "/dags/d/dagRuns?state=running").json()["dag_runs"]
    assert [run["dag_run_id"] for run in running] == ["other"]
    talk.fake.set_run_state("d", "other", "success")
    assert talk.looks(3) == ["queued", "running", "success"]


def test_a_run_whose_time_has_not_come(start: Callable[..., Talk]) -> None:
    """A date in the future keeps a run queued, or, Airflow 3's logical date, running without ever
    starting a task.
    """
    talk = start()
    three = talk.fake.version == "3.3.2"
    for name, field in (
        (("later", "run_after"), ("dated", "logical_date"))
        if three
        else (("dated", "logical_date"),)
    ):
        body = {"dag_run_id": name, "logical_date": None} if three else {"dag_run_id": name}
        answer = talk.call("POST", "/dags/d/dagRuns", body | {field: "2999-01-01T00:00:00Z"})
        assert answer.status_code == 200
        looks = [talk.call("GET", f"/dags/d/dagRuns/{name}").json()["state"] for _ in range(5)]
        assert looks[-1] == ("running" if three and field == "logical_date" else "queued")
        tasks = talk.call("GET", f"/dags/d/dagRuns/{name}/taskInstances").json()["task_instances"]
        assert {one["state"] for one in tasks} == {None}


def test_a_run_starts_when_it_is_told_to(start: Callable[..., Talk]) -> None:
    """A run may be queued for more than one look."""
    talk = start(FakeDag("d", starts=3, looks=5))
    talk.trigger()
    assert talk.looks(5) == ["queued", "queued", "running", "running", "success"]


def test_the_past_of_a_dag(start: Callable[..., Talk]) -> None:
    """Runs of the past have the duration that a test gives them."""
    talk = start()
    for number, took in enumerate((10.0, 840.0)):
        talk.fake.create_run("d", f"old{number}", state="success", took=took)
    found = talk.call("GET", "/dags/d/dagRuns?state=success&limit=10&order_by=-start_date").json()[
        "dag_runs"
    ]
    assert [run["dag_run_id"] for run in found] == ["old0", "old1"]
    if talk.fake.version == "3.3.2":
        assert [run["duration"] for run in found] == [10.0, 840.0]


def test_sick_components(start: Callable[..., Talk]) -> None:
    """A component that a test stops is unhealthy, with a heartbeat that no longer moves."""
    talk = start()
    path = "/health" if talk.fake.version == "2.11.2" else "/monitor/health"
    talk.fake.health("triggerer", "unhealthy")
    talk.fake.scheduler("unhealthy")
    first, second = (talk.call("GET", path).json() for _ in range(2))
    for name in ("scheduler", "triggerer"):
        assert first[name] == second[name]
        assert first[name]["status"] == "unhealthy"
        assert first[name][f"latest_{name}_heartbeat"] is not None


def test_missing_rights(start: Callable[..., Talk]) -> None:
    """What is denied is a 403, to all or to one role, until it is allowed again, and nothing else
    is.
    """
    talk = start()
    talk.trigger()
    run = "/dags/d/dagRuns/r"
    paths = {
        "task_instances": f"{run}/taskInstances",
        "logs": f"{run}/taskInstances/extract/logs/0",
        "xcom": f"{run}/taskInstances/extract/xcomEntries",
        "import_errors": "/importErrors",
        "pools": "/pools/default_pool",
        "hitl": f"{run}/hitlDetails",
        "run_list": "/dags/d/dagRuns",
        "dag_details": "/dags/d/details",
        "parsing": f"/parseDagFile/{talk.call('GET', '/dags/d').json()['file_token']}",
    }
    assert set(paths) == set(get_args(Feature))
    if talk.fake.version == "2.11.2":
        del paths["hitl"]

    def refused() -> set[str]:
        methods = {"parsing": "PUT"}
        return {
            name
            for name, path in paths.items()
            if talk.call(methods.get(name, "GET"), path).status_code == 403
        }

    assert refused() == set()
    for feature in get_args(Feature):
        talk.fake.deny(feature)
        assert refused() == {feature} & set(paths)
        talk.fake.allow(feature)
    talk.fake.deny("logs", "pools", role="viewer")
    assert refused() == set()
    with talk.fake.session("viewer") as viewer:
        assert (
            viewer.get(
                f"{talk.fake.url}{talk.fake.api}/pools/default_pool", timeout=SOON
            ).status_code
            == 403
        )


def test_files_that_are_broken(start: Callable[..., Talk]) -> None:
    """A file that broke a moment ago refuses a trigger with 400, one that broke before or never was
    with 404.
    """
    recent, stale, never = (
        FakeDag("d", broken="SyntaxError: no", stale=False),
        FakeDag("d", broken="SyntaxError: no", file="sub/x.py"),
        FakeDag("d", broken="SyntaxError: no", parsed_after=1000),
    )
    for dag, status, known in ((recent, 400, 200), (stale, 404, 200), (never, 404, 404)):
        talk = start(dag)
        assert talk.trigger().status_code == status
        assert talk.call("GET", "/dags/d").status_code == known
        (error,) = talk.call("GET", "/importErrors").json()["import_errors"]
        assert error["filename"].endswith(dag.file or "d.py")
    talk = start()
    talk.fake.break_file("other.py", "ImportError: no")
    (error,) = talk.call("GET", "/importErrors").json()["import_errors"]
    assert (error["filename"].rsplit("/", 1)[-1], error["stack_trace"]) == (
        "other.py",
        "ImportError: no",
    )


@pytest.mark.parametrize(
    "path",
    [
        "/dags/d/dagRuns/r/taskInstances?queue=x",
        "/dags/d/dagRuns?start_date_gte=2026-01-01T00:00:00Z",
    ],
)
@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_filters_that_it_does_not_know_are_not_ignored(version: str, path: str) -> None:
    """A filter that only the real Airflow knows fails the test that uses it."""

    def use_it() -> None:
        with FakeAirflow(version, dags=[FakeDag("d")]) as fake, fake.session() as session:  # type: ignore[arg-type]
            fake.create_run("d", "r")
            session.get(f"{fake.url}{fake.api}{path}", timeout=SOON)

    with pytest.raises(NotImplementedError, match="does not know these filters"):
        use_it()


def test_five_thousand_task_instances(start: Callable[..., Talk]) -> None:
    """A wide run is read page by page in Airflow 3, in one answer of Airflow 2, without a loss, and
    every byte is counted.
    """
    tasks = tuple(
        FakeTask("wide", map_index=index, ends="failed" if index % 1000 == 7 else "success")
        for index in range(5000)
    )
    talk = start(FakeDag("d", looks=1, tasks=tasks))
    talk.trigger()
    assert talk.look() == "failed"
    limit = 5000 if talk.fake.version == "2.11.2" else 100
    url, seen, received = "/dags/d/dagRuns/r/taskInstances", set(), 0
    for offset in range(0, 5000, limit):
        answer = talk.call("GET", f"{url}?limit={limit}&offset={offset}")
        received += len(answer.content)
        seen |= {one["map_index"] for one in answer.json()["task_instances"]}
    assert seen == set(range(5000))
    traffic = talk.fake.traffic("GET", "/taskInstances")
    assert (traffic.requests, traffic.content) == (5000 // limit, received)
    assert (traffic.wire < received / 5) is (
        talk.fake.version == "3.3.2"
    )  # Airflow 2 does not compress
    failed = talk.call("GET", f"{url}?state=failed").json()
    assert failed["total_entries"] == len(failed["task_instances"]) == 5


def test_a_large_log_is_never_held(start: Callable[..., Talk]) -> None:
    """A log of many MB is made while it is sent: neither side needs memory for it."""
    talk = start(
        FakeDag("d", looks=1, tasks=(FakeTask("load", log=lambda _: (ROW for _ in range(ROWS))),))
    )
    talk.trigger()
    talk.look()
    rows, size = 0, 0
    tracemalloc.start()
    try:
        with read_log(talk, stream=True) as answer:
            for line in answer.iter_lines(chunk_size=65536):
                rows += ROW.encode() in line
                size += len(line) + 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == ROWS
    assert talk.fake.traffic("GET", "/logs/*").content == size
    assert peak < size / 3


def test_a_log_that_is_cut(start: Callable[..., Talk]) -> None:
    """A log may break off in the middle, which a client notices."""
    talk = start(
        FakeDag("d", looks=1, tasks=(FakeTask("load", log=lambda _: (ROW for _ in range(5000))),))
    )
    talk.trigger()
    talk.look()
    talk.fake.fault(Fault.TRUNCATED, on=("GET", "/logs/*"), when="after")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        read_log(talk)


def test_a_client_that_goes_away(start_3: Callable[..., Talk]) -> None:
    """Who stops reading a long log ends it for the server as well, which goes on to serve
    others.
    """
    ended = threading.Event()

    def endless(_: int) -> Iterator[str]:
        try:
            yield from itertools.repeat(ROW)
        finally:
            ended.set()

    talk = start_3(FakeDag("d", looks=1, tasks=(FakeTask("load", log=endless),)))
    talk.trigger()
    talk.look()
    with read_log(talk, stream=True) as answer:
        pieces = answer.iter_content(1024)
        assert next(pieces)
        assert not ended.is_set()
    assert ended.wait(SOON)
    assert talk.look() == "success"
