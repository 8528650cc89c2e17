"""Load Airflow's listener without an Airflow, with fakes for the names that it imports.

The fakes exist only while a test uses them. `tests/airflow/detached.py` tests the same file in real
Airflows.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SOURCE = Path(__file__).parents[2] / "listener" / "airflow_dag_run_listener.py"
_NAME = "airflow_dag_run_listener"


class NotFoundError(Exception):
    """Raised, as by Airflow, for an unknown connection."""


class Connection:
    """An Airflow connection. `known` maps ids to fields, or to the exception to raise instead."""

    # One Airflow has one set of connections
    known: dict[str, Mapping[str, Any] | Exception] = {}  # noqa: RUF012

    def __init__(
        self,
        host: str | None = None,
        login: str | None = None,
        password: str | None = None,
        extra: Any = None,
    ) -> None:
        self.host, self.login, self.password = host, login, password
        self.extra_dejson = {} if extra is None else extra

    @classmethod
    def get_connection_from_secrets(cls, conn_id: str) -> Connection:
        found = cls.known.get(conn_id, NotFoundError(f"The conn_id `{conn_id}` isn't defined"))
        if isinstance(found, Exception):
            raise found
        return cls(**found)


class Configuration:
    """The Airflow settings that the listener reads."""

    known: dict[tuple[str, str], str | None] = {}  # noqa: RUF012 - per Airflow

    @classmethod
    def get(cls, section: str, key: str, *, fallback: str) -> str | None:
        return cls.known.get((section, key), fallback)


class IdleThread:
    """Replaces the worker thread and does nothing, because the test calls the reporter itself."""

    def is_alive(self) -> bool:
        return True


@contextmanager
def loaded_listener() -> Iterator[Any]:
    """Return the listener's module as after loading the plugin; remove the fakes afterwards."""
    before = dict(sys.modules)
    Connection.known = {}
    Configuration.known = {("api", "base_url"): "https://airflow.example.com"}
    sys.modules.update(_airflow())
    try:
        module = _module()
        module._start()
        yield module
    finally:
        with module._REPORTER._condition:  # its thread never runs
            module._REPORTER._waiting.clear()
        for name in _airflow():
            if name in before:
                sys.modules[name] = before[name]
            else:
                del sys.modules[name]


def manual_reporter(
    listener: Any, do: Callable[[str, str, str | None], Any], clock: Callable[[], float]
) -> Any:
    """Return a reporter without a thread; the test calls its steps."""
    reporter = listener.Reporter(do, clock)
    reporter._thread = IdleThread()
    return reporter


class ManualReporter:
    """A reporter, its clock, and the attempts: time, run, announced state.

    `outcome` is called at each attempt.
    """

    def __init__(self, listener: Any) -> None:
        self.time = VirtualTime(0.0)
        self.tried: list[tuple[float, str, str | None]] = []
        self.outcome: Callable[[str, str | None], bool] = lambda *_: True
        self.reporter = manual_reporter(listener, self._do, self.time.clock)

    def note(self, run_id: str, state: str = "success") -> None:
        self.reporter.add("sales", run_id, state)

    def advance(self, seconds: float) -> None:
        """Do what the thread would do in this number of seconds."""
        until = self.time.now + seconds
        for _ in range(100_000):
            wait = self.reporter.step()
            if wait != 0.0 and (wait is None or self.time.now + wait >= until):
                break
            self.time.now += wait
        else:
            raise AssertionError("The reporter never stops")
        self.time.now = max(until, self.time.now)

    @property
    def waiting(self) -> list[str]:
        return [run_id for _, run_id in self.reporter._waiting]

    def _do(self, dag_id: str, run_id: str, state: str | None) -> bool:
        assert dag_id == "sales"
        self.tried.append((self.time.now, run_id, state))
        return self.outcome(run_id, state)


def raising(error: Exception) -> Callable[..., bool]:
    def outcome(*_: Any) -> bool:
        raise error

    return outcome


@cache
def _module() -> Any:
    """Load the file as Airflow loads a plugin.

    Only once, because it registers itself with the process.
    """
    loader = SourceFileLoader(_NAME, str(SOURCE))
    spec = spec_from_loader(_NAME, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[_NAME] = module
    try:
        loader.exec_module(module)
    finally:
        del sys.modules[_NAME]
    return module


@cache
def _airflow() -> dict[str, ModuleType]:
    """Return the fake modules by name."""
    contents: dict[str, dict[str, Any]] = {
        "airflow": {},
        "airflow.configuration": {"conf": Configuration},
        "airflow.exceptions": {"AirflowNotFoundException": NotFoundError},
        "airflow.listeners": {"hookimpl": lambda function: function},
        "airflow.models": {},
        "airflow.models.connection": {"Connection": Connection},
        "airflow.plugins_manager": {"AirflowPlugin": type("AirflowPlugin", (), {})},
    }
    made = {name: ModuleType(name) for name in contents}
    for name, module in made.items():
        vars(module).update(contents[name])
    return made
