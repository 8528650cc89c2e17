"""The guard against leaks, a plugin of pytest: after each test it looks for secrets in what the
test's steps have written.

It sees every stage that `dev.runner` starts and every gate that runs in this process, and what is
secret in them: the inputs and variables that are secrets by their names, what the step masked, what
`ledger` was told. A test that shows secrets on purpose asks for its `leaks()`, which are its own
then.
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
from tests.support import known_secrets as ledger
from tests.support.secrets import leaks_in, leaks_in_arguments, leaks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

    from dev.runner import StepResult
    from dev.runner.launch import Launch

VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
"""Variables, beside the inputs, whose values no step may show."""
_GITHUB_TOKEN = "INPUT_GITHUB_TOKEN"  # the name of it
_IN_URLS = re.compile(r"://[^/?#\s:@]*:([^/?#\s@]+)@")


class Leak(AssertionError):
    """A secret can be seen: no test that meets this is given a second try."""


def secrets_in(environment: Mapping[str, str], workspace: Path) -> set[str]:
    """What must not be seen of a step's environment; a key may be given by the path of its file."""
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


class _Stage:
    """One stage that was started. Its lines outlive it, in case nobody ever asks for its result."""

    def __init__(self, running: RunningStep, launch: Launch) -> None:
        self.lines: list[str] = []
        self.result: StepResult | None = None
        self._owned = weakref.ref(running)
        self._env = launch.env
        self._secrets = secrets_in(launch.env, launch.cwd)
        self._told = set[str]()
        self._arguments = leaks_in_arguments(launch.argv, self._secrets)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come of it."""
        return self.result is not None or self._owned() is None

    def news(self, note_with_marker: Iterable[str]) -> list[str]:
        """What it shows that has not been told yet."""
        secrets, hidden = {*self._secrets, *note_with_marker}, {self._env.get(_GITHUB_TOKEN, "")}
        stream = "".join(f"{line}\n" for line in tuple(self.lines))
        found = (
            leaks_of(self.result, secrets, hidden)
            if self.result
            else leaks_in(stream, secrets, hidden)
        )
        new = dict.fromkeys(line for line in (*self._arguments, *found) if line not in self._told)
        self._told.update(new)
        return [f"The step of {self._env.get('INPUT_DAG_ID') or 'no DAG'}: {line}" for line in new]


_STAGES: list[_Stage] = []
_HEARD: list[str] = []


def leaks() -> list[str]:
    """Every leak since this was asked last, of stages that go on included."""
    found, note_with_marker = [*_HEARD], ledger.note_with_marker()
    _HEARD.clear()
    for stage in tuple(_STAGES):
        over = stage.is_over
        found += stage.news(note_with_marker)
        if over:
            _STAGES.remove(stage)
    return found


class Ear(io.StringIO):
    """Passes on what is written, and keeps it."""

    def __init__(self, beyond: TextIO) -> None:
        super().__init__()
        self._beyond = beyond

    def write(self, text: str) -> int:
        """Pass it on, and keep it."""
        self._beyond.write(text)
        return super().write(text)

    def flush(self) -> None:
        """Pass it on at once."""
        self._beyond.flush()

    def keep(self, text: str) -> None:
        """Keep what others write to where the same readers look."""
        super().write(f"{text}\n")


@contextlib.contextmanager
def listening(
    inputs: Mapping[str, str], environment: Mapping[str, str], workspace: Path
) -> Iterator[Ear]:
    """Hear what is printed meanwhile, as the output of such a step; what it was given has been
    masked by the main stage.

    Of what stand-ins note, that counts which they note meanwhile: a test may run thousands of
    gates.
    """
    variables = {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
    given, before, ear = (
        secrets_in({**environment, **variables}, workspace),
        ledger.count(),
        Ear(sys.stdout),
    )
    try:
        with contextlib.redirect_stdout(ear):
            yield ear
    finally:
        found = leaks_in(ear.getvalue(), {*given, *ledger.note_with_marker(before)}, given)
        _HEARD.extend(f"The gate in this process: {line}" for line in found)


def pytest_configure(config: pytest.Config) -> None:
    """See every stage that is started from now on."""
    patch = pytest.MonkeyPatch()
    patch.setattr(RunningStep, "__init__", _witnessed(RunningStep.__init__))
    config.add_cleanup(patch.undo)


def _witnessed(start: Callable[..., None]) -> Callable[..., None]:
    def witness(
        running: RunningStep,
        launch: Launch,
        feed: Callable[[str], None],
        finish: Callable[[int, tuple[str, ...]], StepResult],
    ) -> None:
        stage = _Stage(running, launch)

        def finished(exit_code: int, lines: tuple[str, ...]) -> StepResult:
            stage.result = finish(exit_code, lines)
            return stage.result

        start(running, launch, feed, finished)
        stage.lines = running._lines
        _STAGES.append(stage)

    return witness


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget what was secret in the test before."""
    ledger.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Judge what the test's steps have shown, as part of the test."""
    try:
        return (yield)
    finally:
        _judge()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Judge what has been shown since by steps that its fixtures have ended."""
    try:
        return (yield)
    finally:
        _judge()


def _judge() -> None:
    if found := leaks():
        raise Leak("\n".join(found))
