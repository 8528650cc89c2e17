"""A started stage: its lines as they arrive, signals to it, and a bounded wait for its end."""

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

# On cancel the runner sends these to the client process, waits so many seconds each time, then
# kills (docs/notes/runner.md#cancellation).
CANCEL_LADDER = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5))
# How long output may still arrive once the process has ended: something it started may hold its
# pipes for ever.
_DRAIN_SECONDS = 5.0
_KILL_SECONDS = 10.0
_TAIL = 50


class RunningStep:
    """Calls `feed` with each line, and `finish` with the exit code and all lines, from which it
    makes the result.

    As a context manager it leaves nothing running.
    """

    def __init__(
        self,
        launch: Launch,
        feed: Callable[[str], None],
        finish: Callable[[int, tuple[str, ...]], StepResult],
    ) -> None:
        self._discard = launch.discard
        self._feed = feed
        self._finish = finish
        self._result: StepResult | None = None
        self._lines: list[str] = []
        self._news = threading.Condition()
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
        """The client process's id."""
        return self._process.pid

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines so far, unmasked."""
        with self._news:
            return tuple(self._lines)

    def wait_for(self, text: str, timeout: float = 30) -> str:
        """The first line that contains `text`, as soon as it is there.

        Raises:
            TimeoutError: if it does not come within `timeout` seconds, or the step ends without it.
        """

        def find() -> str | None:
            ended = "" if not self._reader.is_alive() else None
            return next((line for line in self._lines if text in line), ended)

        deadline = time.monotonic() + timeout
        with self._news:
            while (found := find()) is None and (left := deadline - time.monotonic()) > 0:
                self._news.wait(min(left, 0.1))
        if not found:
            raise TimeoutError(f"No line with {text!r} within {timeout} s:\n{self._tail()}")
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the client process, and to it alone, unless it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the client process, and it alone: as on GitHub, a container may outlive it."""
        self._process.kill()

    def cancel(self) -> StepResult:
        """Do what the runner does when the workflow is cancelled: signals, patience, kill."""
        for number, patience in CANCEL_LADDER:
            self.signal(number)
            try:
                return self.wait(patience)
            except TimeoutError:
                continue
        self.kill()
        return self.wait(_KILL_SECONDS)

    def wait(self, timeout: float = 60) -> StepResult:
        """The result once the stage has ended.

        Raises:
            TimeoutError: if it goes on for `timeout` more seconds. It is left running then.
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
                    with self._news:
                        for line in lines:
                            self._lines.append(line)
                            self._feed(line)
                        self._news.notify_all()
                if deadline == float("inf") and self._process.poll() is not None:
                    deadline = time.monotonic() + _DRAIN_SECONDS
        for stream in streams:
            stream.close()

    def _tail(self) -> str:
        return "\n".join(self.lines[-_TAIL:])

    def _destroy(self) -> None:
        """End the client process and its group, the container it may have started, and the
        reading.
        """
        if self._process.poll() is None:
            kill_group(self._process, _KILL_SECONDS)
        self._reader.join(_DRAIN_SECONDS + 1)
        self._discard()


class _LineReader:
    """Cuts one stream into lines as .NET's ReadLine does: a lone CR ends a line, too."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8")("replace"), translate=True
        )
        self._rest = ""

    def read(self) -> tuple[list[str], bool]:
        """The lines completed by what can be read now, and whether the stream has ended."""
        data = os.read(self._stream.fileno(), 65536)
        *lines, self._rest = (self._rest + self._decoder.decode(data, final=not data)).split("\n")
        if not data and self._rest:
            lines.append(self._rest)
        return lines, not data
