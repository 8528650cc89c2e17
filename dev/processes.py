"""Long-running processes that never outlive the program which started them.

It knows processes, sessions and signals; it must not know Airflow. Every component runs in its own
session. A small guard process, also in its own session, reads from a pipe; when the pipe closes,
the guard ends all components and then itself. The pipe closes when `stop` closes it, and also when
this program ends by an exception, Ctrl-C, SIGTERM or SIGKILL. So no signal handler is needed, and
any thread may start components.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_GUARD_TIMEOUT = 30.0  # seconds
_TAIL_LINES = 40


class ComponentDiedError(RuntimeError):
    """A component has ended. The message has the end of its log."""


class Components:
    """Processes that are started one by one and stopped together.

    Args:
        env: environment of the processes that are started from now on
        logs: folder for one `NAME.log` per process
        temporary: folder to remove at the stop
    """

    def __init__(
        self, env: Mapping[str, str], logs: Path, *, temporary: Path | None = None
    ) -> None:
        self.env = dict(env)
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = subprocess.Popen(
            [sys.executable, "-I", __file__, *([str(temporary)] if temporary else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # a reader of our output must not wait for the guard
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def start(self, name: str, command: Sequence[str], *, user: str | None = None) -> None:
        """Start a component, optionally as another user; append its output to `NAME.log`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self.env,
                cwd=self._logs,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
            )
        self._running[name] = process
        assert self._guard.stdin is not None  # noqa: S101  # opened with a pipe
        self._guard.stdin.write(f"{process.pid}\n".encode())
        self._guard.stdin.flush()

    def check(self) -> None:
        """Check that no component has ended.

        Raises:
            ComponentDiedError: if one has
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                end = tail(self._logs / f"{name}.log")
                raise ComponentDiedError(
                    f"{name} ended with exit code {process.returncode}. Its log ends:\n{end}"
                )

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a component, but not to its child processes.

        Raises:
            KeyError: if there is no such component
        """
        self._running[name].send_signal(number)

    def pid(self, name: str) -> int:
        """Return a component's process id, which is also its session id.

        Raises:
            KeyError: if there is no such component
        """
        return self._running[name].pid

    def end(self, name: str, number: int, timeout: float) -> None:
        """Send a signal to a component, and return when it has ended.

        Raises:
            subprocess.TimeoutExpired: after `timeout` seconds
        """
        self._running[name].send_signal(number)
        self._running[name].wait(timeout)

    def start_again(self, name: str) -> None:
        """Restart a component that has ended.

        Raises:
            KeyError: if there is no such component
        """
        before = self._running[name].args
        assert isinstance(before, list)  # noqa: S101  # `start` passed a list
        self.start(name, before)

    def stop(self) -> None:
        """End all components and their descendants: SIGTERM, 5 s of grace, SIGKILL.

        Return when all have ended.
        """
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        if self._guard.wait(_GUARD_TIMEOUT) != 0:
            raise RuntimeError(
                f"The guard failed; these may still run: {[p.pid for p in self._running.values()]}"
            )
        for process in self._running.values():
            process.wait(_GUARD_TIMEOUT)
        self._running.clear()


def tail(log: Path) -> str:
    """Return the last lines of a log file, or a note that there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(lines[-_TAIL_LINES:])


def kill_group(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Kill a process that leads a session, and its process group.

    Raises:
        subprocess.TimeoutExpired: if it does not end within `timeout` seconds
    """
    # Signal it in any case: while another thread collects the exit code, `poll` returns None.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout)


def alive(leaders: set[int]) -> set[int]:
    """Return the living processes of these leaders' sessions, and all their descendants.

    Airflow gives its workers process groups of their own but leaves them in the session; a task's
    shell may leave even that.
    """
    found: set[int] = set()
    table = list(_processes())
    while True:
        more = {
            pid
            for pid, parent, session in table
            if session in leaders or pid in leaders or parent in found
        }
        if more <= found:
            return found
        found |= more


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield every living process as (pid, parent's pid, session).

    From /proc, or from `ps` where there is no /proc (macOS).
    """
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    for stat in stats:
        with contextlib.suppress(OSError):  # it has ended since
            state, parent, _, session = (
                stat.read_text(errors="replace").rpartition(")")[2].split()[:4]
            )
            if state not in "ZX":
                yield int(stat.parent.name), int(parent), int(session)
    if not stats:
        # macOS's ps does not print sessions: a process group is the nearest thing.
        listing = subprocess.run(
            ["/bin/ps", "-A", "-o", "pid=,ppid=,pgid=,stat="],
            check=True,
            capture_output=True,
            text=True,
        )
        for line in listing.stdout.splitlines():
            pid, parent, group, state = line.split()[:4]
            if not state.startswith("Z"):
                yield int(pid), int(parent), int(group)


def _end(leaders: set[int]) -> None:
    """End the sessions: SIGTERM to the leaders, which end their own children, then SIGKILL."""
    _signal(alive(leaders) & leaders, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and alive(leaders):
        time.sleep(0.05)
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and (rest := alive(leaders)):
        _signal(rest, signal.SIGKILL)
        time.sleep(0.05)


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _guard() -> None:
    """Collect the leaders' pids until the pipe closes, end them, remove the folder."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _end({int(line) for line in sys.stdin})
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard()
