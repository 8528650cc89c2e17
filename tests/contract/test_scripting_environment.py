"""Scripted behaviour around a run: limits, history, health, permissions, large responses."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any, get_args

import pytest
import requests

from tests.contract.client import SOON, ApiClient
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault
from tests.support.fake_airflow.scripting import Feature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS, ROW = 30_000, "a row of a long log " * 10


def read_log(client: ApiClient, *, stream: bool = False) -> requests.Response:
    """Return the log of the task "load" in the form of each version."""
    kind = "text/plain" if client.fake.version == "2.11.2" else "application/x-ndjson"
    url = f"{client.fake.url}{client.fake.api}/dags/d/dagRuns/r/taskInstances/load/logs/1"
    return client.session.get(
        url, stream=stream, timeout=SOON, headers={"Accept": kind, "Accept-Encoding": "identity"}
    )


def test_a_run_stays_queued_while_max_active_runs_are_running(
    start: Callable[..., ApiClient],
) -> None:
    client = start(FakeDag("d", max_active_runs=1))
    client.fake.create_run("d", "other", state="running")
    client.trigger()
    assert client.polls(4) == ["queued"] * 4
    running = client.call("GET", "/dags/d/dagRuns?state=running").json()["dag_runs"]
    assert [run["dag_run_id"] for run in running] == ["other"]
    client.fake.set_run_state("d", "other", "success")
    assert client.polls(3) == ["queued", "running", "success"]


def test_a_future_date_keeps_a_run_from_starting_tasks(start: Callable[..., ApiClient]) -> None:
    """It stays queued; with Airflow 3's logical date it is running without a task."""
    client = start()
    three = client.fake.version == "3.3.2"
    for name, field in (
        (("later", "run_after"), ("dated", "logical_date"))
        if three
        else (("dated", "logical_date"),)
    ):
        body = {"dag_run_id": name, "logical_date": None} if three else {"dag_run_id": name}
        answer = client.call("POST", "/dags/d/dagRuns", body | {field: "2999-01-01T00:00:00Z"})
        assert answer.status_code == 200
        polls = [client.call("GET", f"/dags/d/dagRuns/{name}").json()["state"] for _ in range(5)]
        assert polls[-1] == ("running" if three and field == "logical_date" else "queued")
        tasks = client.call("GET", f"/dags/d/dagRuns/{name}/taskInstances").json()["task_instances"]
        assert {one["state"] for one in tasks} == {None}


def test_a_run_may_be_queued_for_several_polls(start: Callable[..., ApiClient]) -> None:
    client = start(FakeDag("d", starts=3, polls=5))
    client.trigger()
    assert client.polls(5) == ["queued", "queued", "running", "running", "success"]


def test_past_runs_have_the_given_durations(start: Callable[..., ApiClient]) -> None:
    client = start()
    for number, took in enumerate((10.0, 840.0)):
        client.fake.create_run("d", f"old{number}", state="success", took=took)
    found = client.call(
        "GET", "/dags/d/dagRuns?state=success&limit=10&order_by=-start_date"
    ).json()["dag_runs"]
    assert [run["dag_run_id"] for run in found] == ["old0", "old1"]
    if client.fake.version == "3.3.2":
        assert [run["duration"] for run in found] == [10.0, 840.0]


def test_a_stopped_component_is_unhealthy_and_its_heartbeat_stands_still(
    start: Callable[..., ApiClient],
) -> None:
    client = start()
    path = "/health" if client.fake.version == "2.11.2" else "/monitor/health"
    client.fake.health("triggerer", "unhealthy")
    client.fake.scheduler("unhealthy")
    first, second = (client.call("GET", path).json() for _ in range(2))
    for name in ("scheduler", "triggerer"):
        assert first[name] == second[name]
        assert first[name]["status"] == "unhealthy"
        assert first[name][f"latest_{name}_heartbeat"] is not None


def test_a_denied_permission_is_a_403_until_it_is_allowed(start: Callable[..., ApiClient]) -> None:
    """For all users or for one role, and for nothing else."""
    client = start()
    client.trigger()
    run = "/dags/d/dagRuns/r"
    paths = {
        "task_instances": f"{run}/taskInstances",
        "task_batch": "/dags/~/dagRuns/~/taskInstances/list",
        "tasks": "/dags/d/tasks",
        "logs": f"{run}/taskInstances/extract/logs/0",
        "xcom": f"{run}/taskInstances/extract/xcomEntries",
        "import_errors": "/importErrors",
        "pools": "/pools/default_pool",
        "hitl": f"{run}/hitlDetails",
        "run_list": "/dags/d/dagRuns",
        "run_batch": "/dags/~/dagRuns/list",
        "dag_details": "/dags/d/details",
        "parsing": f"/parseDagFile/{client.call('GET', '/dags/d').json()['file_token']}",
    }
    assert set(paths) == set(get_args(Feature))
    if client.fake.version == "2.11.2":
        del paths["hitl"]

    def refused() -> set[str]:
        methods = {"parsing": "PUT", "run_batch": "POST", "task_batch": "POST"}
        return {
            name
            for name, path in paths.items()
            if client.call(methods.get(name, "GET"), path).status_code == 403
        }

    assert refused() == set()
    for feature in get_args(Feature):
        client.fake.deny(feature)
        assert refused() == {feature} & set(paths)
        client.fake.allow(feature)
    client.fake.deny("logs", "pools", role="viewer")
    assert refused() == set()
    with client.fake.session("viewer") as viewer:
        assert (
            viewer.get(
                f"{client.fake.url}{client.fake.api}/pools/default_pool", timeout=SOON
            ).status_code
            == 403
        )


def test_a_trigger_with_a_broken_file_is_a_400_or_a_404(start: Callable[..., ApiClient]) -> None:
    """400 if the file broke a moment ago, 404 if it broke before or never existed."""
    recent, stale, never = (
        FakeDag("d", broken="SyntaxError: no", stale=False),
        FakeDag("d", broken="SyntaxError: no", file="sub/x.py"),
        FakeDag("d", broken="SyntaxError: no", parsed_after=1000),
    )
    for dag, status, known in ((recent, 400, 200), (stale, 404, 200), (never, 404, 404)):
        client = start(dag)
        assert client.trigger().status_code == status
        assert client.call("GET", "/dags/d").status_code == known
        (error,) = client.call("GET", "/importErrors").json()["import_errors"]
        assert error["filename"].endswith(dag.file or "d.py")
    client = start()
    client.fake.break_file("other.py", "ImportError: no")
    (error,) = client.call("GET", "/importErrors").json()["import_errors"]
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
def test_an_unknown_filter_fails_the_test(version: str, path: str) -> None:
    def use_it() -> None:
        unknown: Any = version
        with FakeAirflow(unknown, dags=[FakeDag("d")]) as fake, fake.session() as session:
            fake.create_run("d", "r")
            session.get(f"{fake.url}{fake.api}{path}", timeout=SOON)

    with pytest.raises(NotImplementedError, match="does not know these filters"):
        use_it()


def test_five_thousand_task_instances_are_read_completely(start: Callable[..., ApiClient]) -> None:
    """Page by page in Airflow 3, in one response of Airflow 2. Every byte is counted."""
    tasks = tuple(
        FakeTask("wide", map_index=index, ends="failed" if index % 1000 == 7 else "success")
        for index in range(5000)
    )
    client = start(FakeDag("d", polls=1, tasks=tasks))
    client.trigger()
    assert client.poll() == "failed"
    limit = 5000 if client.fake.version == "2.11.2" else 100
    url, seen, received = "/dags/d/dagRuns/r/taskInstances", set(), 0
    for offset in range(0, 5000, limit):
        answer = client.call("GET", f"{url}?limit={limit}&offset={offset}")
        received += len(answer.content)
        seen |= {one["map_index"] for one in answer.json()["task_instances"]}
    assert seen == set(range(5000))
    traffic = client.fake.traffic("GET", "/taskInstances")
    assert (traffic.requests, traffic.content) == (5000 // limit, received)
    assert (traffic.wire < received / 5) is (
        client.fake.version == "3.3.2"
    )  # Airflow 2 does not compress
    failed = client.call("GET", f"{url}?state=failed").json()
    assert failed["total_entries"] == len(failed["task_instances"]) == 5


def test_a_large_log_is_generated_while_it_is_sent(start: Callable[..., ApiClient]) -> None:
    client = start(
        FakeDag("d", polls=1, tasks=(FakeTask("load", log=lambda _: (ROW for _ in range(ROWS))),))
    )
    client.trigger()
    client.poll()
    rows, size = 0, 0
    tracemalloc.start()
    try:
        with read_log(client, stream=True) as answer:
            for line in answer.iter_lines(chunk_size=65536):
                rows += ROW.encode() in line
                size += len(line) + 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == ROWS
    assert client.fake.traffic("GET", "/logs/*").content == size
    assert peak < size / 3


def test_a_truncated_log_is_an_error_for_the_client(start: Callable[..., ApiClient]) -> None:
    client = start(
        FakeDag("d", polls=1, tasks=(FakeTask("load", log=lambda _: (ROW for _ in range(5000))),))
    )
    client.trigger()
    client.poll()
    client.fake.fault(Fault.TRUNCATED, on=("GET", "/logs/*"), when="after")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        read_log(client)


def test_a_client_that_stops_reading_does_not_block_the_server(
    start_3: Callable[..., ApiClient],
) -> None:
    ended = threading.Event()

    def endless(_: int) -> Iterator[str]:
        try:
            yield from itertools.repeat(ROW)
        finally:
            ended.set()

    client = start_3(FakeDag("d", polls=1, tasks=(FakeTask("load", log=endless),)))
    client.trigger()
    client.poll()
    with read_log(client, stream=True) as answer:
        pieces = answer.iter_content(1024)
        assert next(pieces)
        assert not ended.is_set()
    assert ended.wait(SOON)
    assert client.poll() == "success"
