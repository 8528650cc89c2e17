"""The versions of Airflow, and settings for a small, fast and private one.

It knows Airflow's configuration; it must not install or start anything, or send requests.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
ROLES = ("admin", "op", "user", "viewer")  # each is a user's name as well
AUTH_MANAGER = "AIRFLOW__CORE__AUTH_MANAGER"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def password_of(name: str) -> str:
    """Return a user's password.

    It is unique, and has a different form in URLs, in JSON and in Base64.
    """
    return f'zQ8/"{name}"+pa55w0rd:Kx4%7'


@dataclass(frozen=True, slots=True)
class Version:
    """A release of Airflow, and the newest Python that it supports.

    Attributes:
        name: number of the release.
        newest_python: major and minor version of Python.
        locked: whether its packages are pinned by hash. The other releases are only for
            `make versions` and get the packages of one day.
        day: that day, None for today
            (docs/notes/airflow-versions.md#installing-each-version).
    """

    name: str
    newest_python: tuple[int, int]
    locked: bool = True
    day: str | None = None

    @property
    def major(self) -> int:
        """The major version, 2 or 3."""
        return self.release[0]

    @property
    def release(self) -> tuple[int, ...]:
        """Major, minor and patch version, without the number of a pre-release."""
        return tuple(int(part) for part in re.findall(r"(?:^|\.)(\d+)", self.name)[:3])

    @property
    def requirements(self) -> tuple[str, ...]:
        """The packages of a release that is not locked: drivers, and git bundles for Airflow 3."""
        further = ("asyncpg", "apache-airflow-providers-git") if self.major == 3 else ()
        return (f"apache-airflow=={self.name}", "psycopg2-binary", *further)

    @property
    def lock(self) -> Path:
        """The lock file with the hashes of its packages."""
        return ROOT / "dev" / "locks" / f"airflow-{self.major}.txt"

    @property
    def folder(self) -> Path:
        """The folder of the installation."""
        return ROOT / ".airflow" / self.name

    @property
    def bin(self) -> Path:
        """The folder of its commands."""
        return self.folder / "venv" / "bin"

    @property
    def template(self) -> Path:
        """An AIRFLOW_HOME to copy: an initialised database with the users, and no logs."""
        return self.folder / "template"


AIRFLOW_2 = Version("2.11.2", newest_python=(3, 12))
AIRFLOW_3 = Version("3.3.2", newest_python=(3, 14))


def _release(name: str, python: tuple[int, int], day: str | None = None) -> Version:
    return Version(name, python, locked=False, day=day)


RELEASES = (
    _release("2.0.2", (3, 8), "2021-05-10"),
    _release("2.2.5", (3, 8), "2022-04-20"),
    _release("2.3.4", (3, 9), "2022-09-10"),
    _release("2.4.3", (3, 9), "2022-11-30"),
    _release("2.5.1", (3, 9), "2023-01-25"),
    _release("2.5.3", (3, 9), "2023-04-20"),
    _release("2.6.3", (3, 10), "2023-07-25"),
    _release("2.7.3", (3, 10), "2023-11-20"),
    _release("2.8.4", (3, 11), "2024-04-01"),
    _release("2.9.3", (3, 11), "2024-07-30"),
    _release("2.10.5", (3, 11), "2025-02-20"),
    _release("2.11.0", (3, 11), "2025-06-05"),
    _release("3.0.6", (3, 12), "2025-09-05"),
    _release("3.1.8", (3, 12), "2026-03-15"),
    _release("3.2.2", (3, 12), "2026-06-20"),
    _release("3.4.0b2", (3, 12)),
)
"""The releases that `make versions` tries, oldest first.

Each has the packages of the day on which it was current
(docs/notes/airflow-versions.md#installing-each-version).
"""


_PARSE_AGAIN = "480"
"""Seconds (default 30) until an unchanged DAG file is parsed again.

A changed file is parsed at once. Every 30 s would keep half a processor busy for as long as an
Airflow runs. Must be below 600, after which a DAG may count as deleted.
"""


def clean_environment(version: Version, home: Path) -> dict[str, str]:
    """Return the environment for this Airflow's processes, without the caller's own variables.

    No AIRFLOW_* or PYTHON* variables, no token of a CI job, and no proxy between components on the
    loopback.
    """
    env = {
        name: os.environ[name]
        for name in ("HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
        if name in os.environ
    }
    env["PATH"] = os.pathsep.join([str(version.bin), os.environ.get("PATH", os.defpath)])
    env["AIRFLOW_HOME"] = str(home)
    env["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    env["AIRFLOW__CORE__FERNET_KEY"] = ""  # no connections, so nothing to encrypt
    section = database_section(version)
    env[f"AIRFLOW__{section}__LOAD_DEFAULT_CONNECTIONS"] = "False"
    env["PYTHONUNBUFFERED"] = "1"  # the log of a component that dies must be complete
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # do not write into DAG folders
    return env


def database_section(version: Version) -> str:
    """Return the section with the database's settings.

    Measured: docs/notes/airflow-versions.md#settings-that-moved.
    """
    return "CORE" if version.release < (2, 3) else "DATABASE"


def configuration(
    version: Version, url: str, dags: Path, log_ports: Sequence[int]
) -> dict[str, str]:
    """Return the settings of an Airflow as AIRFLOW__SECTION__KEY variables.

    Measured: docs/notes/airflow-2.md#test-server, docs/notes/airflow-3.md#test-server.

    Args:
        version: version of Airflow
        url: base URL
        dags: folder with the DAG files
        log_ports: two ports for the log servers of scheduler and triggerer
    """
    common = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        # Default 1 s. Short runs end sooner, and Airflow 2 on SQLite parses only one DAG file per
        # loop. A loop takes about 20 ms.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # A stopped scheduler is unhealthy after 20 s in place of 30. A slow one is not affected,
        # because it sends a heartbeat every second in place of every five.
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
    }
    return (
        common
        | address(version, url)
        | (_configuration_2(version, log_ports[0]) if version.major == 2 else _configuration_3())
    )


def address(version: Version, url: str) -> dict[str, str]:
    """Return the settings of a web server that listens only on this base URL's address."""
    host, port = str(urlsplit(url).hostname), str(urlsplit(url).port)
    if version.major == 2:
        return {
            "AIRFLOW__WEBSERVER__BASE_URL": url,
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": host,
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": port,
        }
    return {"AIRFLOW__API__BASE_URL": url, "AIRFLOW__API__HOST": host, "AIRFLOW__API__PORT": port}


def _configuration_2(version: Version, log_port: int) -> dict[str, str]:
    backends = "airflow.api.auth.backend.basic_auth"
    if version.release >= (2, 3):
        backends += ",airflow.api.auth.backend.session"
    return {
        # Allows LocalExecutor on SQLite (docs/notes/airflow-2.md#test-server).
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        # Two names of one setting: docs/notes/airflow-versions.md#settings-that-moved
        f"AIRFLOW__API__AUTH_BACKEND{'S' if version.release >= (2, 3) else ''}": backends,
        "AIRFLOW__CELERY__WORKER_LOG_SERVER_PORT": str(log_port),
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": _PARSE_AGAIN,
        # Seconds until a new DAG file is found; default 300
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "2",
    }


def _configuration_3() -> dict[str, str]:
    return {
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{name}" for name in ROLES),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": _PARSE_AGAIN,
        # Seconds until a new DAG file is found; default 300
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
        # Default 5 s, which delays the end of most failing tasks
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }
