"""One contestant at work, measured: its processes, its requests, its lines and when they came.

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
from dev.bench.tools import Job
from dev.processes import kill_group
from dev.usage import measured, used

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from dev.airflow_api import AirflowApi
    from dev.bench.tools import Contestant

_GONE = 10.0
_TAIL = 15
_LAST = (str(shutil.which("nice")), "-n", "19")
"""What goes before a command that is to take no processor from others."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a contestant has used. CPU in seconds, `peak` in MiB, `carried` in bytes; moments are
    Unix time.
    """

    exit_code: int
    cpu_to_trigger: float | None
    cpu: float
    peak: float
    kinds: Counter[str] = field(repr=False)
    carried: int
    told_at: float
    exited_at: float


class Waiter:
    """A contestant that triggers a run of this DAG and waits for it, from the entering of the
    context on.

    Its DAG run has `mark` in its conf, as `mark`, beside what is in `conf`. Without `proxied`
    nothing is counted, and it talks to Airflow itself. With `elsewhere` it takes no processor from
    Airflow, as one on a machine of its own. Leaving the context ends what still runs.
    """

    def __init__(
        self,
        contestant: Contestant,
        airflow: AirflowApi,
        dag_id: str,
        conf: Mapping[str, float] | None = None,
        *,
        proxied: bool = True,
        elsewhere: bool = False,
    ) -> None:
        self.contestant = contestant
        self.mark = uuid4().hex
        self.triggered = threading.Event()
        self._airflow = airflow
        self._dag_id = dag_id
        self._conf = {"mark": self.mark, **(conf or {})}
        self._cpu_to_trigger: float | None = None
        self._lines: list[tuple[float, str]] = []
        self._exited_at = 0.0
        self._proxied = proxied
        self._last = _LAST if elsewhere else ()
        self._proxy = CountingProxy(urlsplit(airflow.url).port or 80, self._trigger)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._proxy)
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            work = self._folder / "work"
            work.mkdir()
            airflow = self._airflow
            url = self._proxy.url if self._proxied else airflow.url
            job = Job(
                url,
                airflow.api,
                "admin",
                airflow.users["admin"],
                self._dag_id,
                json.dumps(self._conf),
                work,
            )
            command = self.contestant.command(job)
            self._process = subprocess.Popen(
                measured((*self._last, *command.argv), self._folder / "use"),
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
    def asked(self) -> int:
        """How many requests it has sent so far."""
        return self._proxy.kinds.total()

    @property
    def lines(self) -> list[str]:
        """What it has printed."""
        return [line for _, line in self._lines]

    @property
    def tail(self) -> str:
        """The last lines that it has printed."""
        return "\n".join(self.lines[-_TAIL:])

    def said(self, text: str) -> bool:
        """Whether it has printed this."""
        return any(text in line for line in self.lines)

    def wait(self, timeout: float) -> Use:
        """What it has used, when it has ended. Raises TimeoutError after `timeout` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"{self.contestant.name} goes on after {timeout:.0f} s:\n{self.tail}"
            ) from None
        self._reader.join(_GONE)
        seconds, peak = used(self._folder / "use")
        told = [moment for moment, line in self._lines if self.contestant.end.search(line)]
        return Use(
            exit_code=code,
            cpu_to_trigger=self._cpu_to_trigger,
            cpu=seconds,
            peak=peak,
            kinds=self._proxy.kinds,
            carried=self._proxy.carried,
            told_at=told[0] if told else self._exited_at,
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
