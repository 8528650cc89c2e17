"""A started stage: its lines as they arrive, signals, and waiting with a timeout."""

import codecs
import io
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

from dev.processes import kill_group
from dev.runner.launch import Launch
from dev.runner.result import StepResult

# Signals that the runner sends on cancel, with seconds of grace, before it kills the client
# (docs/notes/runner.md#cancellation).
CANCEL_SIGNALS = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5))
# Seconds for output after the process has ended; a child process may keep the pipes open forever.
_DRAIN_SECONDS = 5.0
_KILL_SECONDS = 10.0  # until a killed process must have ended
_TAIL = 50  # lines in error messages


class RunningStep:
    """A running stage, which calls `feed` with each line, and `finish` at its end.

    `finish` gets the exit code and all lines, and returns the result. Leaving the context ends all
    processes.
    """

    def __init__(
        self,
        launch: Launch,
        feed: Callable[[str], None],
        finish: Callable[[int, tuple[str, ...]], StepResult],
    ) -> None:
        self._cleanup = launch.discard
        self._feed = feed
        self._finish = finish
        self._result: StepResult | None = None
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            launch.argv,
            env=launch.env,
            cwd=launch.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(
            target=self._read, name=f"lines of {self._process.pid}", daemon=True
        )
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._destroy()

    @property
    def pid(self) -> int:
        """The client's process id."""
        return self._process.pid

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines so far, unmasked."""
        with self._changed:
            return tuple(self._lines)

    def wait_for(self, text: str, timeout: float = 30) -> str:
        """Return the first line that contains `text`, as soon as it arrives.

        Raises:
            TimeoutError: after `timeout` seconds, or if the step ends without it
        """

        def find() -> str | None:
            ended = "" if not self._reader.is_alive() else None
            return next((line for line in self._lines if text in line), ended)

        deadline = time.monotonic() + timeout
        with self._changed:
            while (found := find()) is None and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, 0.1))
        if not found:
            raise TimeoutError(f"No line with {text!r} within {timeout} s:\n{self._tail()}")
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the client process only, unless it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the client process only; as on GitHub, a container may outlive it."""
        self._process.kill()

    def cancel(self) -> StepResult:
        """Cancel the stage as the runner does: signals, each with a grace period, then kill."""
        for number, grace in CANCEL_SIGNALS:
            self.signal(number)
            try:
                return self.wait(grace)
            except TimeoutError:
                continue
        self.kill()
        return self.wait(_KILL_SECONDS)

    def wait(self, timeout: float = 60) -> StepResult:
        """Return the result once the stage has ended.

        Raises:
            TimeoutError: after `timeout` seconds; the stage continues
        """
        if self._result is None:
            try:
                code = self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"The step goes on after {timeout} s:\n{self._tail()}") from None
            self._reader.join(_DRAIN_SECONDS + 1)
            self._result = self._finish(code, self.lines)
        return self._result

    def _read(self) -> None:
        """Feed the lines of both streams in the order in which they arrive."""
        streams = [stream for stream in (self._process.stdout, self._process.stderr) if stream]
        deadline = float("inf")
        with selectors.DefaultSelector() as selector:
            for stream in streams:
                selector.register(stream, selectors.EVENT_READ, _LineReader(stream))
            while selector.get_map() and time.monotonic() < deadline:
                for key, _ in selector.select(timeout=0.1):
                    lines, ended = key.data.read()
                    if ended:
                        selector.unregister(key.fileobj)
                    with self._changed:
                        for line in lines:
                            self._lines.append(line)
                            self._feed(line)
                        self._changed.notify_all()
                if deadline == float("inf") and self._process.poll() is not None:
                    deadline = time.monotonic() + _DRAIN_SECONDS
        for stream in streams:
            stream.close()

    def _tail(self) -> str:
        return "\n".join(self.lines[-_TAIL:])

    def _destroy(self) -> None:
        """End the client's process group, its container, and the reading thread."""
        if self._process.poll() is None:
            kill_group(self._process, _KILL_SECONDS)
        self._reader.join(_DRAIN_SECONDS + 1)
        self._cleanup()


class _LineReader:
    """Cuts a stream into lines as .NET's ReadLine does: a lone CR ends a line, too."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8")("replace"), translate=True
        )
        self._rest = ""

    def read(self) -> tuple[list[str], bool]:
        """Return the lines that are complete now, and whether the stream has ended."""
        data = os.read(self._stream.fileno(), 65536)
        *lines, self._rest = (self._rest + self._decoder.decode(data, final=not data)).split("\n")
        if not data and self._rest:
            lines.append(self._rest)
        return lines, not data
