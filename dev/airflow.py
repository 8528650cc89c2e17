"""A real Airflow on this machine, for `make demo`, `make versions`, the tests and the benchmark.

It starts and stops an Airflow and reads its records; it must not know the action. Nothing is left
when the program ends, for whatever reason (see `dev.processes`). SQLite supports one client that
does one thing at a time (docs/notes/airflow-3.md#sqlite-and-parallel-requests); for more use
`database="postgresql"` (not for the locked Airflow 2).

`python -m dev.airflow 3.3.2` runs one until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import requests

from dev import postgresql
from dev.airflow_api import HTTP_TIMEOUT, AirflowApi
from dev.airflow_install import InstallError, initialise, install
from dev.airflow_settings import (
    AIRFLOW_2,
    AIRFLOW_3,
    LOOPBACK,
    RELEASES,
    ROOT,
    Version,
    clean_environment,
    configuration,
    database_section,
)
from dev.extra_server import extra_server, free_ports
from dev.processes import ComponentDiedError, Components, tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "AIRFLOW_2",
    "AIRFLOW_3",
    "ComponentDiedError",
    "InstallError",
    "LocalAirflow",
    "Version",
]

_START_TIMEOUT = 180.0  # seconds
_POLL = 0.3  # seconds between polls


class LocalAirflow(AirflowApi):
    """One Airflow with the DAG files in `dags`: a context manager, or `start` and `stop`.

    Args:
        version: version of Airflow
        dags: folder with the DAG files
        home: AIRFLOW_HOME, which is kept and may be reused; by default a temporary one per start
        host: address of this machine to listen on
        port: port number, by default a free one
        database: kind of database
        settings: further AIRFLOW__SECTION__KEY variables, which override ours
        path_prefix: path of the base URL, such as `/some/path`
        triggerer: whether to start a triggerer
        say: prints progress
    """

    def __init__(
        self,
        version: Version,
        *,
        dags: Path,
        home: Path | None = None,
        host: str = LOOPBACK,
        port: int | None = None,
        database: Literal["sqlite", "postgresql"] = "sqlite",
        settings: Mapping[str, str] | None = None,
        path_prefix: str = "",
        triggerer: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        ports = free_ports(3)
        super().__init__(version, f"http://{host}:{port or ports[0]}{path_prefix}")
        self.home = home.resolve() if home else Path()  # `start` creates a temporary one
        self._version = version
        self.dags = dags.resolve()
        self._keep_home = home is not None
        self._database = database
        self._settings = dict(settings or {})
        self._address = (host, port or ports[0])
        self._log_ports = ports[1:]
        self._triggerer = triggerer
        self._say = say
        self._components: Components | None = None

    @property
    def logs(self) -> Path:
        """The folder with one log per component; deleted with a temporary home."""
        return self.home / "components"

    @property
    def components(self) -> Components:
        """Its processes: api-server (Airflow 2: webserver), scheduler and so on.

        Raises:
            RuntimeError: if it does not run
        """
        if self._components is None:
            raise RuntimeError(f"Airflow {self.version} does not run")
        return self._components

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Install Airflow if necessary, start it, and return when it can schedule DAG runs.

        After an exception nothing is left running.

        Raises:
            InstallError: if it cannot be installed
            PostgreSQLError: if PostgreSQL cannot be started
            ComponentDiedError: if a component ends
            OSError: if the port is taken
            TimeoutError: if it takes too long
        """
        install(self._version, self._say)
        self._say(f"Airflow {self.version}: starting")
        began = time.monotonic()
        try:
            self._launch()
            self._wait(self._is_ready, "to become ready", _START_TIMEOUT)
        except TimeoutError as error:
            logs = "\n\n".join(f"{log.name}:\n{tail(log)}" for log in self.logs.glob("*.log"))
            self.stop()
            raise TimeoutError(f"{error}\n\n{logs}") from None
        except BaseException:
            self.stop()
            raise
        self._say(
            f"Airflow {self.version}: ready at {self.url} after {time.monotonic() - began:.1f} s"
        )

    def stop(self) -> None:
        """End all its processes, running tasks included. A second call does nothing."""
        if self._components:
            self._components.stop()
        self._components = None

    def freeze(
        self,
        component: str,
        frozen: bool = True,  # noqa: FBT001, FBT002 - like `pause`
    ) -> None:
        """Freeze a running component by SIGSTOP, so that it loses nothing, or let it continue.

        Raises:
            RuntimeError: if Airflow does not run
            KeyError: if there is no such component
        """
        self.components.signal(component, signal.SIGSTOP if frozen else signal.SIGCONT)

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Return when a run of this DAG can be triggered.

        Raises:
            TimeoutError: after `timeout` seconds, with Airflow's import errors
        """
        with self.session() as session:

            def is_known() -> bool:
                try:
                    answer = session.get(
                        f"{self.url}{self.api}/dags/{dag_id}", timeout=HTTP_TIMEOUT
                    )
                except requests.RequestException:
                    # A busy Airflow 2 sometimes replaces its only web server process.
                    return False
                return (
                    answer.ok
                    and not answer.json().get("is_stale")
                    and answer.json().get("is_active") is not False
                )

            try:
                self._wait(is_known, f"to know the DAG {dag_id}", timeout)
            except TimeoutError as error:
                errors = session.get(
                    f"{self.url}{self.api}/importErrors", timeout=HTTP_TIMEOUT
                ).text
                raise TimeoutError(f"{error}. Import errors: {errors}") from None

    @contextlib.contextmanager
    def extra_server(self, settings: Mapping[str, str]) -> Iterator[AirflowApi]:
        """Start another web server for the same DAGs and DAG runs, with these settings.

        Leave the context before you stop Airflow.

        Raises:
            RuntimeError: if Airflow does not run
            ComponentDiedError: if the server ends
            TimeoutError: if it takes too long
        """
        with extra_server(self._version, {**self.components.env, **settings}, self.logs) as server:
            yield server

    def _launch(self) -> None:
        # Fail now, rather than talk to another Airflow later.
        with socket.create_server(self._address):
            pass
        if not self._keep_home:
            self.home = Path(tempfile.mkdtemp(prefix=f"airflow-{self.version}-"))
        if not (self.home / "airflow.cfg").exists():
            shutil.copytree(self._version.template, self.home, dirs_exist_ok=True)
        env = clean_environment(self._version, self.home)
        env |= configuration(self._version, self.url, self.dags, self._log_ports) | self._settings
        self._components = Components(
            env, self.logs, temporary=None if self._keep_home else self.home
        )
        database = f"AIRFLOW__{database_section(self._version)}__SQL_ALCHEMY_CONN"
        if self._database == "postgresql":
            env[database] = postgresql.start(self._components, self.home / "postgresql")
            self._components.env[database] = env[database]
        if database in env:
            initialise(self._version, env)
        airflow = str(self._version.bin / "airflow")
        # The log servers would listen on all interfaces; a common AIRFLOW_HOME makes them useless.
        # The scheduler of 2.0 has no log server.
        quiet = ["--skip-serve-logs"] if self._version.release >= (2, 1) else []
        scheduling = [["scheduler", *quiet]]
        if self._triggerer:
            scheduling.append(["triggerer", "--skip-serve-logs"])
        serving = (
            [["webserver"]] if self._version.major == 2 else [["api-server"], ["dag-processor"]]
        )
        for name, *options in serving + scheduling:
            self._components.start(name, [airflow, name, *options])

    def _is_ready(self) -> bool:
        health = "/health" if self._version.major == 2 else "/monitor/health"
        needed = ["scheduler"] if self._version.major == 2 else ["scheduler", "dag_processor"]
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.get(f"{self.url}{self.api}{health}", timeout=HTTP_TIMEOUT)
            except requests.RequestException:
                return False
        return answer.ok and all(answer.json()[name]["status"] == "healthy" for name in needed)

    def _wait(self, done: Callable[[], bool], what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            if self._components is None:  # stopped by another thread
                raise RuntimeError(f"Airflow {self.version} has been stopped")
            self._components.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"Airflow {self.version} took more than {timeout:.0f} s {what}")
            time.sleep(_POLL)


def main() -> None:
    """Run one Airflow in the foreground until Ctrl-C."""
    versions = {version.name: version for version in (AIRFLOW_3, AIRFLOW_2, *RELEASES)}
    parser = argparse.ArgumentParser(
        prog="python -m dev.airflow", description="A real Airflow on this machine."
    )
    parser.add_argument("version", choices=versions)
    parser.add_argument(
        "--dags", type=Path, default=ROOT / "examples" / "dags", metavar="DIR", help="the DAG files"
    )
    parser.add_argument(
        "--host", default=LOOPBACK, metavar="ADDRESS", help="where it listens, default: %(default)s"
    )
    parser.add_argument("--port", type=int, metavar="N", help="default: a free one")
    given = parser.parse_args()
    version = versions[given.version]
    airflow = LocalAirflow(
        version,
        dags=given.dags,
        host=given.host,
        port=given.port,
        database="sqlite" if version.locked else "postgresql",
    )
    with contextlib.suppress(KeyboardInterrupt), airflow:
        print("Users and their passwords:")
        for user, password in airflow.users.items():
            print(f"  {user}  {password}")
        print(f"Logs: {airflow.logs}")
        print("Stop it with Ctrl-C.", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
