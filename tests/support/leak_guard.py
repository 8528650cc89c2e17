"""A pytest plugin that looks for secrets in the output of each test's steps.

It watches every stage that `dev.runner` starts and every step that runs in this process. Secrets
are the values of secret inputs and variables, whatever the step masked, and all of `known_secrets`.
A test that leaks on purpose calls `new_leaks()`, which removes these leaks from the guard's list.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import weakref
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from dev.runner import RunningStep
from entrypoint.inputs.settings import SECRET_INPUTS
from tests.support import known_secrets
from tests.support.secrets import leaks_in, leaks_in_arguments, leaks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

    from dev.runner import StepResult
    from dev.runner.launch import Launch

VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
"""Environment variables, besides the inputs, whose values must never be visible."""
_GITHUB_TOKEN = "INPUT_GITHUB_TOKEN"  # the name of a variable
_IN_URLS = re.compile(r"://[^/?#\s:@]*:([^/?#\s@]+)@")


class Leak(AssertionError):
    """A secret is visible. A test that raises this is not rerun."""


def secrets_in(environment: Mapping[str, str], workspace: Path) -> set[str]:
    """Return the secrets in a step's environment.

    A client key may be given as the path of a file in the workspace.
    """
    found = {
        environment.get(name, "")
        for name in (*VARIABLES, *(f"INPUT_{name.upper()}" for name in SECRET_INPUTS))
    }
    found |= {environment.get(_GITHUB_TOKEN, "")}
    for line in environment.get("INPUT_HEADERS", "").splitlines():
        value = line.partition(":")[2].strip()
        found |= {value, value.rpartition(" ")[2]}  # with and without a scheme
    for value in environment.values():
        passwords = _IN_URLS.findall(value)
        found |= {*passwords, *map(unquote, passwords)}
    key = environment.get("INPUT_CLIENT_KEY", "")
    if key and "\n" not in key:
        found.discard(key)
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found.add((workspace / key).read_text(encoding="utf-8"))
    return found - {""}


class _WatchedStage:
    """One started stage, with its output lines even if no test reads its result."""

    def __init__(self, running: RunningStep, launch: Launch) -> None:
        self.lines: list[str] = []
        self.result: StepResult | None = None
        self._step = weakref.ref(running)
        self._env = launch.env
        self._secrets = secrets_in(launch.env, launch.cwd)
        self._reported = set[str]()
        self._arguments = leaks_in_arguments(launch.argv, self._secrets)

    @property
    def has_ended(self) -> bool:
        """Tell whether the stage can produce no more output."""
        return self.result is not None or self._step() is None

    def new_leaks(self, extra_secrets: Iterable[str]) -> list[str]:
        """Return the leaks that were not reported before."""
        secrets, hidden = {*self._secrets, *extra_secrets}, {self._env.get(_GITHUB_TOKEN, "")}
        stream = "".join(f"{line}\n" for line in tuple(self.lines))
        found = (
            leaks_of(self.result, secrets, hidden)
            if self.result
            else leaks_in(stream, secrets, hidden)
        )
        new = dict.fromkeys(
            line for line in (*self._arguments, *found) if line not in self._reported
        )
        self._reported.update(new)
        return [f"The step of {self._env.get('INPUT_DAG_ID') or 'no DAG'}: {line}" for line in new]


_WATCHED: list[_WatchedStage] = []
_IN_PROCESS: list[str] = []


def new_leaks() -> list[str]:
    """Return the leaks since the last call, including those of stages that still run."""
    found, extra_secrets = [*_IN_PROCESS], known_secrets.added_since()
    _IN_PROCESS.clear()
    for stage in tuple(_WATCHED):
        ended = stage.has_ended
        found += stage.new_leaks(extra_secrets)
        if ended:
            _WATCHED.remove(stage)
    return found


class OutputCapture(io.StringIO):
    """Forward the output to another stream, and keep a copy."""

    def __init__(self, target: TextIO) -> None:
        super().__init__()
        self._target = target

    def write(self, text: str) -> int:
        self._target.write(text)
        return super().write(text)

    def flush(self) -> None:
        self._target.flush()

    def add(self, text: str) -> None:
        """Add text that other code shows to the same readers."""
        super().write(f"{text}\n")


@contextlib.contextmanager
def capture_output(
    inputs: Mapping[str, str], environment: Mapping[str, str], workspace: Path
) -> Iterator[OutputCapture]:
    """Capture the output of a step in this process, and look for leaks in it.

    The main stage would have masked the given inputs and variables. Of the known secrets only those
    count that a stub server adds inside this context, because a test may run thousands of steps.
    """
    variables = {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
    given, before, output = (
        secrets_in({**environment, **variables}, workspace),
        known_secrets.count(),
        OutputCapture(sys.stdout),
    )
    try:
        with contextlib.redirect_stdout(output):
            yield output
    finally:
        found = leaks_in(output.getvalue(), {*given, *known_secrets.added_since(before)}, given)
        _IN_PROCESS.extend(f"The step in this process: {line}" for line in found)


def pytest_configure(config: pytest.Config) -> None:
    """Watch every stage that starts from now on."""
    patch = pytest.MonkeyPatch()
    patch.setattr(RunningStep, "__init__", _watching(RunningStep.__init__))
    config.add_cleanup(patch.undo)


def _watching(start: Callable[..., None]) -> Callable[..., None]:
    def watched(
        running: RunningStep,
        launch: Launch,
        feed: Callable[[str], None],
        finish: Callable[[int, tuple[str, ...]], StepResult],
    ) -> None:
        stage = _WatchedStage(running, launch)

        def finished(exit_code: int, lines: tuple[str, ...]) -> StepResult:
            stage.result = finish(exit_code, lines)
            return stage.result

        start(running, launch, feed, finished)
        stage.lines = running._lines
        _WATCHED.append(stage)

    return watched


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget the secrets of the previous test."""
    known_secrets.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Fail the test if one of its steps has leaked a secret."""
    try:
        return (yield)
    finally:
        _raise_leaks()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Fail the test if a step leaked a secret while its fixtures were torn down."""
    try:
        return (yield)
    finally:
        _raise_leaks()


def _raise_leaks() -> None:
    if found := new_leaks():
        raise Leak("\n".join(found))
