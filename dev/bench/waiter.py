"""A running tool and its measurements: processes, requests, output lines with their times.

It knows processes and the counting proxy; it must not know what the figures are compared with.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit
from uuid import uuid4

from dev.bench import cpu
from dev.bench.proxy import CountingProxy
from dev.bench.tools import ToolJob
from dev.processes import kill_group
from dev.usage import measured, used

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from dev.airflow_api import AirflowApi
    from dev.bench.tools import Tool

_GONE = 10.0  # seconds until a killed process must have ended
_TAIL = 15  # lines
_NICE = (str(shutil.which("nice")), "-n", "19")
"""Command prefix for a process that must not take CPU time from others."""


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What a tool has used.

    Attributes:
        exit_code: the tool's exit code
        cpu_to_trigger: CPU seconds up to the trigger request
        cpu: CPU seconds
        peak: peak memory in MiB
        kinds: number of requests by kind
        carried: bytes in both directions
        reported_at: Unix time of the line with the DAG run's end
        exited_at: Unix time of the tool's end
    """

    exit_code: int
    cpu_to_trigger: float | None
    cpu: float
    peak: float
    kinds: Counter[str] = field(repr=False)
    carried: int
    reported_at: float
    exited_at: float


class Waiter:
    """A tool that triggers a run of this DAG and waits for it, started with the context.

    Args:
        tool: the tool
        airflow: the Airflow
        dag_id: id of the DAG
        conf: the run's conf; `mark`, which identifies the run, is added
        proxied: whether the tool uses the counting proxy; without it nothing is counted
        low_priority: whether it leaves the CPU to Airflow, as a tool on another machine would

    Leaving the context ends its processes.
    """

    def __init__(
        self,
        tool: Tool,
        airflow: AirflowApi,
        dag_id: str,
        conf: Mapping[str, float] | None = None,
        *,
        proxied: bool = True,
        low_priority: bool = False,
    ) -> None:
        self.tool = tool
        self.mark = uuid4().hex
        self.triggered = threading.Event()
        self._airflow = airflow
        self._dag_id = dag_id
        self._conf = {"mark": self.mark, **(conf or {})}
        self._cpu_to_trigger: float | None = None
        self._lines: list[tuple[float, str]] = []
        self._exited_at = 0.0
        self._proxied = proxied
        self._prefix = _NICE if low_priority else ()
        self._proxy = CountingProxy(urlsplit(airflow.url).port or 80, self._trigger)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._proxy)
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            work = self._folder / "work"
            work.mkdir()
            airflow = self._airflow
            url = self._proxy.url if self._proxied else airflow.url
            job = ToolJob(
                url,
                airflow.api,
                "admin",
                airflow.users["admin"],
                self._dag_id,
                json.dumps(self._conf),
                work,
            )
            command = self.tool.command(job)
            self._process = subprocess.Popen(
                measured((*self._prefix, *command.argv), self._folder / "use"),
                env=command.env,
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._stack = stack.pop_all()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            kill_group(self._process, _GONE)
        self._reader.join(_GONE)
        self._stack.close()

    @property
    def request_count(self) -> int:
        """Number of requests so far."""
        return self._proxy.kinds.total()

    @property
    def lines(self) -> list[str]:
        """The printed lines."""
        return [line for _, line in self._lines]

    @property
    def tail(self) -> str:
        """The last printed lines."""
        return "\n".join(self.lines[-_TAIL:])

    def printed(self, text: str) -> bool:
        """Tell whether it has printed this text."""
        return any(text in line for line in self.lines)

    def wait(self, timeout: float) -> ResourceUse:
        """Return what the tool has used, when it has ended.

        Raises:
            TimeoutError: after `timeout` seconds
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"{self.tool.name} goes on after {timeout:.0f} s:\n{self.tail}"
            ) from None
        self._reader.join(_GONE)
        seconds, peak = used(self._folder / "use")
        end_times = [moment for moment, line in self._lines if self.tool.end.search(line)]
        return ResourceUse(
            exit_code=code,
            cpu_to_trigger=self._cpu_to_trigger,
            cpu=seconds,
            peak=peak,
            kinds=self._proxy.kinds,
            carried=self._proxy.carried,
            reported_at=end_times[0] if end_times else self._exited_at,
            exited_at=self._exited_at,
        )

    def _trigger(self) -> None:
        if self._cpu_to_trigger is None:
            self._cpu_to_trigger = cpu.below(self._process.pid)
        self.triggered.set()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was opened with a pipe
        with self._process.stdout as stream:
            for line in stream:
                self._lines.append((time.time(), line.decode(errors="replace").rstrip()))
        self._exited_at = time.time()
