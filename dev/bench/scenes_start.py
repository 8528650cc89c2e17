"""What each step pays before it does anything: the pull, the container's start, Python's imports.

`start` has a server that only notes the first request, `trigger` a real Airflow. Every tool runs
in a container with the layout of the genuine `python:3.13-slim`, whose standard library has no
bytecode.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import requests

from dev.airflow_api import HTTP_TIMEOUT
from dev.airflow_settings import LOOPBACK
from dev.bench.containers import (
    OURS,
    ContainerJob,
    ContainerTool,
    MeasuredContainer,
    evict,
    others,
    requests_script,
    this_action,
    this_action_on_base,
    version_of_python,
)
from dev.bench.proxy import CountingProxy
from dev.bench.results import Result, Row
from dev.bench.runner import opened
from dev.bench.scoring import Options, commit, say
from dev.bench.tools import SCRIPT
from dev.image import base, compressed, import_cpu, on_base, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SECONDS = 60.0
"""Limit for a start."""
_DAG = "sleep_5"
_LAYOUT = (
    "Every tool runs in a container (`docker run`) with the layout of the genuine "
    "`python:3.13-slim`: Python in /usr/local, its standard library without bytecode. The other "
    "tools are installed there with pip; it compiles them, and leaves the bytecode of the "
    "modules of the standard library that pip itself imports."
)


@contextmanager
def first_request(on_request: Callable[[], None]) -> Iterator[tuple[str, threading.Event]]:
    """A server that calls `on_request` at its first request, and never responds.

    Yields its address, and an event that is set after the call.
    """
    done = threading.Event()
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)
                on_request()
                done.set()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}", done


def start(options: Options) -> Result:
    """Measure the start of this action, of this action on the whole base, and of a script."""
    began, date = time.monotonic(), datetime.now(UTC).date().isoformat()
    ours = this_action()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        before, script = this_action_on_base(Path(folder)), requests_script()
        tools = [ours, before, script]
        rows = {tool.name: Row() for tool in tools}
        for number in range(options.repetitions):
            for tool in _rotated(tools, number):
                say(f"start, repetition {number + 1}: {tool.name}")
                if evict(tool):
                    rows[tool.name].add("cold", _until_request(tool, rows[tool.name])[0])
                warm, cpu = _until_request(tool, rows[tool.name])
                rows[tool.name].add("warm", warm)
                rows[tool.name].add("cpu_to_request", cpu)
        say("start: refused inputs, imports and weights")
        settings, command = on_base(OURS, Path(folder))
        rows[ours.name].figures["refused"] = refusal(OURS)
        rows[before.name].figures["refused"] = refusal(base(), *command, options=tuple(settings))
        rows[ours.name].add("imports", import_cpu(OURS))
        rows[before.name].add("imports", import_cpu(base(), settings[0]))
        rows[ours.name].add("compressed", compressed(OURS) / 1e6)
        rows[script.name].add("compressed", compressed(script.image) / 1e6)
    cold = any("cold" in row.figures for row in rows.values())
    notes = [
        (
            f"{_LAYOUT} The second row is this action on its whole base, without the bytecode that "
            "the image adds."
        ),
        "The time counts from the start of `docker run`, and includes the engine's own. Cold "
        "means that the files of the image were dropped from the page cache before; those of the "
        "engine, and what other containers had mapped, stayed."
        if cold
        else "This machine does not allow to drop the image's files from the page cache, so there "
        "are no figures for a cold one.",
    ]
    return Result(
        "start",
        "From `docker run` to the first request",
        date,
        (time.monotonic() - began) / 60,
        _versions([ours, script]),
        notes,
        rows,
        SCRIPT.name,
    )


def _until_request(tool: ContainerTool, row: Row) -> tuple[float | None, float | None]:
    """Return wall and CPU seconds of a start; None, and a fault in the row, if there is none."""
    found: list[float] = []
    with first_request(lambda: found.extend([time.monotonic(), container.cpu()])) as (url, done):
        job = ContainerJob(url, "admin", "a password", "a-token", "dag", "{}", "by-hand")
        with MeasuredContainer(tool, job) as container:
            if not done.wait(_SECONDS):
                row.faults.append(f"no request: {container.log[-600:]}")
                return None, None
            return found[0] - container.started_at, found[1]


def trigger(options: Options) -> Result:
    """Measure the CPU to the trigger of each tool in a container, with a real Airflow."""
    began, date = time.monotonic(), datetime.now(UTC).date().isoformat()
    tools = [this_action(), *others()]
    rows = {tool.name: Row() for tool in tools}
    with opened() as runner:
        runner.create_history(_DAG, [1.0], 240.0)
        for number in range(options.repetitions):
            for tool in _rotated(tools, number):
                say(f"trigger, repetition {number + 1}: {tool.name}")
                airflow = runner.airflow
                login = {"username": "admin", "password": airflow.users["admin"]}
                answer = requests.post(
                    f"{airflow.url}/auth/token", json=login, timeout=HTTP_TIMEOUT
                )
                token = answer.json()["access_token"]
                job = ("admin", login["password"], token, _DAG)
                _until_trigger(tool, urlsplit(airflow.url).port or 80, job, rows[tool.name])
        notes = [
            (
                f"{_LAYOUT} The CPU is that of all processes in the container, from its start. "
                "Paradime and airflowctl get a bearer token that was issued before, because they "
                "cannot log in with a password."
            ),
        ]
        versions = {"Airflow": runner.description, **_versions(tools[:2])}
    return Result(
        "trigger",
        "CPU to the trigger, in a container",
        date,
        (time.monotonic() - began) / 60,
        versions,
        notes,
        rows,
        SCRIPT.name,
    )


def _until_trigger(
    tool: ContainerTool, port: int, login: tuple[str, str, str, str], row: Row
) -> None:
    done, mark = threading.Event(), uuid4().hex

    def on_trigger() -> None:
        if not done.is_set():
            row.add("cpu_in_container", container.cpu())
            row.add("until_trigger", time.monotonic() - container.started_at)
            done.set()

    with CountingProxy(port, on_trigger) as proxy:
        job = ContainerJob(proxy.url, *login, json.dumps({"mark": mark, "seconds": 0}), mark)
        with MeasuredContainer(tool, job) as container:
            if not done.wait(_SECONDS):
                row.faults.append(f"no trigger: {container.log[-600:]}")


def _rotated(tools: Sequence[ContainerTool], number: int) -> list[ContainerTool]:
    turn = number % len(tools)
    return [*tools[turn:], *tools[:turn]]


def _versions(tools: Sequence[ContainerTool]) -> dict[str, str]:
    pythons = ", ".join(dict.fromkeys(version_of_python(tool) for tool in tools))
    return {"Python": pythons, "this action": commit()}
