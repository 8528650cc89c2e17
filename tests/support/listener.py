"""Airflow's listener without an Airflow: the few names that it imports, made up, are there only
while a test asks for them.

`tests/airflow/detached.py` proves the same file in real Airflows. What this knows of Airflow is
what the listener asks of it.
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
    """What Airflow raises for a connection that it does not have."""


class Connection:
    """A connection in Airflow. `known` has those that there are, as their fields, or as what is
    raised instead.
    """

    # One Airflow has one set of them
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
        """Look it up."""
        found = cls.known.get(conn_id, NotFoundError(f"The conn_id `{conn_id}` isn't defined"))
        if isinstance(found, Exception):
            raise found
        return cls(**found)


class Configuration:
    """Airflow's settings: those that the listener reads."""

    known: dict[tuple[str, str], str | None] = {}  # noqa: RUF012 - one Airflow has one of them

    @classmethod
    def get(cls, section: str, key: str, *, fallback: str) -> str | None:
        """Look one up."""
        return cls.known.get((section, key), fallback)


class Idle:
    """Stands for a thread that works, and does nothing: the test takes the steps."""

    def is_alive(self) -> bool:
        """Whether another has to be started."""
        return True


@contextmanager
def loaded() -> Iterator[Any]:
    """The listener's module, as it is when a plugin has just been loaded. Afterwards there is no
    Airflow any more.
    """
    before = dict(sys.modules)
    Connection.known = {}
    Configuration.known = {("api", "base_url"): "https://airflow.example.com"}
    sys.modules.update(_airflow())
    try:
        module = _module()
        module._begin()
        yield module
    finally:
        with module._REPORTER._turn:  # its thread rests for ever
            module._REPORTER._waiting.clear()
        for name in _airflow():
            if name in before:
                sys.modules[name] = before[name]
            else:
                del sys.modules[name]


def by_hand(
    listener: Any, do: Callable[[str, str, str | None], Any], clock: Callable[[], float]
) -> Any:
    """A reporter whose steps are taken by the test: it starts no thread."""
    reporter = listener.Reporter(do, clock)
    reporter._thread = Idle()
    return reporter


class ByHand:
    """A reporter, its clock, and what was tried: when, which run, announced as what. `outcome` is
    called at each try.
    """

    def __init__(self, listener: Any) -> None:
        self.time = VirtualTime(0.0)
        self.tried: list[tuple[float, str, str | None]] = []
        self.outcome: Callable[[str, str | None], bool] = lambda *_: True
        self.reporter = by_hand(listener, self._do, self.time.clock)

    def note(self, run_id: str, state: str = "success") -> None:
        """An announcement."""
        self.reporter.note("sales", run_id, state)

    def pass_by(self, seconds: float) -> None:
        """Let the thread do what it does in so many seconds."""
        until = self.time.now + seconds
        for _ in range(100_000):
            wait = self.reporter.step()
            if wait != 0.0 and (wait is None or self.time.now + wait >= until):
                break
            self.time.now += wait
        else:
            raise AssertionError("It never rests")
        self.time.now = max(until, self.time.now)

    @property
    def waiting(self) -> list[str]:
        """The runs that wait."""
        return [run_id for _, run_id in self.reporter._waiting]

    def _do(self, dag_id: str, run_id: str, state: str | None) -> bool:
        assert dag_id == "sales"
        self.tried.append((self.time.now, run_id, state))
        return self.outcome(run_id, state)


def raising(error: Exception) -> Callable[..., bool]:
    """An outcome."""

    def outcome(*_: Any) -> bool:
        raise error

    return outcome


@cache
def _module() -> Any:
    """Load the file in the way in which Airflow loads a plugin; once, for it registers itself with
    the process.
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
    """The modules, by their names."""
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
