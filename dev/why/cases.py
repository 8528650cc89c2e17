"""The things that go wrong, and what one tool does then on a real Airflow.

It knows the benchmark's tools and Airflow's API; it must not know the page.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from dev.airflow_api import HTTP_TIMEOUT
from dev.bench.tools import AF, AIRFLOWCTL, CURL, PARADIME, THIS_ACTION, ToolCommand, ToolJob, shell
from dev.processes import kill_group
from dev.runner.running import CANCEL_SIGNALS
from dev.why.faults import FaultyProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from dev.airflow_api import AirflowApi
    from dev.bench.tools import Tool
    from dev.why.faults import Fault


def _of_a_new_workflow_run(job: ToolJob) -> ToolCommand:
    """Return the action's command with another GITHUB_RUN_ID, on which the DAG run's id depends."""
    command = THIS_ACTION.command(job)
    run_id = str(time.time_ns())
    return replace(command, env={**command.env, "GITHUB_RUN_ID": run_id})


TOOLS: dict[str, Tool] = {
    "curl": replace(CURL, name="curl loop"),
    "af": replace(AF, name="`af`"),
    "paradime": replace(PARADIME, name="`paradime`"),
    "airflowctl": replace(
        AIRFLOWCTL,
        name="`airflowctl` loop",
        command=shell(Path(__file__).parent / "airflowctl.sh", "airflowctl"),
    ),
    "action": replace(THIS_ACTION, command=_of_a_new_workflow_run),
}
"""The tools by their name on the command line."""
DAG_IDS = ("failing_sales", "nightly_sales", "slow_sales")
"""The DAGs of the demo."""
ACTIVE = frozenset({"queued", "running"})
_GONE = 30.0  # seconds until a killed process must have ended
_START_TIMEOUT = 60.0  # seconds
_POLL = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool did.

    Attributes:
        exit_code: its exit code, None if it was still waiting at the limit
        seconds: how long it took
        states: states of the DAG runs that it has created, when it had ended
        unpaused: whether it has unpaused the DAG
        rerun: exit code of the same command once more, None without a re-run
    """

    exit_code: int | None
    seconds: float
    states: tuple[str, ...]
    unpaused: bool = False
    rerun: int | None = None

    @property
    def active(self) -> bool:
        """Whether a DAG run goes on without a tool that waits for it."""
        return bool(ACTIVE & set(self.states))


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that goes wrong.

    Attributes:
        title: what may go wrong: a heading of the page
        right: tells whether an outcome is right
        dag_id: the DAG that the tool is told to run
        conf: the conf of its run
        fault: how the connection to Airflow fails
        cancel: whether the tool gets SIGINT, and SIGTERM later, once the run is running
        paused: whether the DAG is paused
        timeout: whether the tool's own timeout is shorter than the run
        rerun: whether the command is run again if it fails, as a job is re-run
        limit: seconds after which the tool is ended
    """

    title: str
    right: Callable[[Outcome], bool]
    dag_id: str = "slow_sales"
    conf: Mapping[str, float] = field(default_factory=lambda: {"seconds": 20})
    fault: Fault | None = None
    cancel: bool = False
    paused: bool = False
    timeout: bool = False
    rerun: bool = False
    limit: float = 180.0


def _green(outcome: Outcome) -> bool:
    last = outcome.exit_code if outcome.rerun is None else outcome.rerun
    return last == 0 and outcome.states == ("success",)


def _red(outcome: Outcome) -> bool:
    return bool(outcome.exit_code) and not outcome.active


CASES = {
    "failed": Case("Exit 0 although the DAG run failed", _red, "failing_sales", {}),
    "bad-gateway": Case("One HTTP 502 ends the wait", _green, fault="bad gateway"),
    "lost-response": Case(
        "A lost response makes two DAG runs", _green, fault="lost response", rerun=True
    ),
    "expired-token": Case("The token expires during the wait", _green, fault="expired token"),
    "cancel": Case("Cancelled, but the DAG run goes on", _red, conf={"seconds": 120}, cancel=True),
    "timeout": Case(
        "Exit 0 at the timeout",
        lambda outcome: bool(outcome.exit_code),
        conf={"seconds": 120},
        timeout=True,
    ),
    "paused": Case(
        "A paused DAG waits forever",
        lambda outcome: outcome.exit_code is not None and not outcome.active,
        "nightly_sales",
        {},
        paused=True,
        limit=60.0,
    ),
    "wrong-id": Case("A wrong DAG id", _red, "nightly_sale", {}),
}
"""The cases by their name on the command line."""
_TIMEOUTS: dict[str, Callable[[ToolCommand], ToolCommand]] = {
    "curl": lambda command: replace(command, argv=("timeout", "15", *command.argv)),
    "af": lambda command: replace(command, argv=(*command.argv, "--timeout", "15")),
    # Its unit is the minute, and it reads the variable only without the option.
    "paradime": lambda command: replace(
        command, env={**command.env, "AIRFLOW_TRIGGER_TIMEOUT": "1"}
    ),
    "airflowctl": lambda command: replace(command, argv=("timeout", "15", *command.argv)),
    "action": lambda command: replace(command, env={**command.env, "INPUT_TIMEOUT": "15s"}),
}
"""How each tool gets a timeout that is shorter than the run, by its name."""


def measure(case: Case, name: str, airflow: AirflowApi, output: Path) -> Outcome:
    """Let the tool with this name meet this case, and return what it did.

    The DAG runs that it leaves are ended, and the DAG is unpaused.

    Args:
        case: the case
        name: name of the tool
        airflow: a running Airflow with the DAGs of the demo
        output: file for the tool's command and what it prints
    """
    before = set(_states(airflow, case.dag_id))
    if case.paused:
        airflow.pause(case.dag_id)
    with ExitStack() as stack:
        stack.callback(_clean, airflow, case, before)
        proxy = stack.enter_context(FaultyProxy(airflow.url, case.fault))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="why-")))
        url = proxy.url if case.fault else airflow.url
        command = _command(case, name, airflow, url, folder)
        stream = stack.enter_context(output.open("wb"))
        stream.write(f"$ {shlex.join(command.argv)}\n".encode())
        stream.flush()
        process = _started(command, folder, stream, stack)
        if case.cancel:
            _wait(lambda: "running" in _new(airflow, case, before).values())
        began = time.monotonic()
        if case.cancel:
            _cancel(process)
        code = _exit_code(process, case.limit)
        seconds = time.monotonic() - began
        again = None
        if case.rerun and code:
            again = _exit_code(_started(command, folder, stream, stack), case.limit)
        states = tuple(_new(airflow, case, before).values())
        unpaused = case.paused and not _is_paused(airflow, case.dag_id)
        return Outcome(code, seconds, states, unpaused, again)


def _command(case: Case, name: str, airflow: AirflowApi, url: str, folder: Path) -> ToolCommand:
    conf = json.dumps(case.conf)
    job = ToolJob(url, airflow.api, "admin", airflow.users["admin"], case.dag_id, conf, folder)
    command = TOOLS[name].command(job)
    return _TIMEOUTS[name](command) if case.timeout else command


def _started(
    command: ToolCommand, folder: Path, stream: IO[bytes], stack: ExitStack
) -> subprocess.Popen[bytes]:
    """Start a command, which is killed at the end of `stack`."""
    process = subprocess.Popen(
        command.argv,
        env=command.env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    stack.callback(kill_group, process, _GONE)
    return process


def _cancel(process: subprocess.Popen[bytes]) -> None:
    """Send what GitHub sends, but to all processes of the tool, as Ctrl-C in a terminal does."""
    for number, grace in CANCEL_SIGNALS:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
            return


def _exit_code(process: subprocess.Popen[bytes], limit: float) -> int | None:
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    return 128 - code if code < 0 else code  # as a shell reports a signal


def _new(airflow: AirflowApi, case: Case, before: Collection[str]) -> dict[str, str]:
    """Return the states of the runs that are not in `before`, by run id."""
    found = _states(airflow, case.dag_id)
    return {run_id: state for run_id, state in found.items() if run_id not in before}


def _states(airflow: AirflowApi, dag_id: str) -> dict[str, str]:
    if dag_id not in DAG_IDS:
        return {}
    return {run["dag_run_id"]: run["state"] for run in airflow.runs(dag_id)}


def _is_paused(airflow: AirflowApi, dag_id: str) -> bool:
    with airflow.session() as session:
        answer = session.get(f"{airflow.url}{airflow.api}/dags/{dag_id}", timeout=HTTP_TIMEOUT)
    return bool(answer.json()["is_paused"])


def _clean(airflow: AirflowApi, case: Case, before: Collection[str]) -> None:
    """End the DAG runs that are not in `before`, and unpause the DAG."""
    with airflow.session() as session:
        for run_id, state in _new(airflow, case, before).items():
            if state in ACTIVE:
                url = f"{airflow.url}{airflow.api}/dags/{case.dag_id}/dagRuns/{quote(run_id)}"
                session.patch(url, json={"state": "failed"}, timeout=HTTP_TIMEOUT)
    if case.paused:
        airflow.pause(case.dag_id, paused=False)


def _wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no DAG run was running after {_START_TIMEOUT:.0f} s")
        time.sleep(_POLL)
