"""Which Airflows there are, and the settings that make one of them small, quick and private to this
machine.

It knows Airflow's configuration; it must not install, start or ask anything.
"""

from __future__ import annotations

import os
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
    """The password of a user: nothing else looks like it, and URLs, JSON and Base64 each make
    something else of it.
    """
    return f'zQ8/"{name}"+pa55w0rd:Kx4%7'


@dataclass(frozen=True, slots=True)
class Version:
    """One release of Airflow, and the newest Python it runs on."""

    name: str
    newest_python: tuple[int, int]

    @property
    def major(self) -> int:
        """2 or 3."""
        return int(self.name.partition(".")[0])

    @property
    def lock(self) -> Path:
        """The hashed lock of its packages."""
        return ROOT / "dev" / "locks" / f"airflow-{self.major}.txt"

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return ROOT / ".airflow" / self.name

    @property
    def bin(self) -> Path:
        """The folder of its commands."""
        return self.folder / "venv" / "bin"

    @property
    def template(self) -> Path:
        """An AIRFLOW_HOME with an initialised database, the users and no logs, to be copied."""
        return self.folder / "template"


AIRFLOW_2 = Version("2.11.2", newest_python=(3, 12))
AIRFLOW_3 = Version("3.3.2", newest_python=(3, 14))


_PARSE_AGAIN = "480"
"""Seconds, default 30, after which a DAG file is parsed again that has not changed (one that has is
parsed at once): thirty of them would keep half a processor busy for as long as an Airflow runs.
Below 600, after which a DAG may count as gone."""


def clean_environment(version: Version, home: Path) -> dict[str, str]:
    """The environment for this Airflow's processes: nothing of the caller's but what any process
    needs.

    So no AIRFLOW_*, no PYTHON*, no token of a CI job, and no proxy between components that talk
    over the loopback.
    """
    env = {
        name: os.environ[name]
        for name in ("HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
        if name in os.environ
    }
    env["PATH"] = os.pathsep.join([str(version.bin), os.environ.get("PATH", os.defpath)])
    env["AIRFLOW_HOME"] = str(home)
    env["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    env["AIRFLOW__CORE__FERNET_KEY"] = (
        ""  # there are no connections, so there is nothing to encrypt
    )
    env["AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS"] = "False"
    env["PYTHONUNBUFFERED"] = "1"  # the log of a component that dies must be complete
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # DAG folders belong to somebody else
    return env


def configuration(
    version: Version, url: str, dags: Path, log_ports: Sequence[int]
) -> dict[str, str]:
    """The settings of an Airflow with this base URL and these DAG files, as AIRFLOW__SECTION__KEY
    variables.

    `log_ports` are two ports for the log servers of scheduler and triggerer.
    Measured: docs/notes/airflow-2.md#test-server, docs/notes/airflow-3.md#test-server.
    """
    common = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        # Default 1 s. Shortens short runs, and Airflow 2 on SQLite parses just one DAG file per
        # loop. A loop costs some 20 ms.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # A scheduler that stands still is noticed after 20 s in place of 30, and one that is merely
        # slow not sooner than before: it says every second that it lives, in place of every five.
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
    }
    return (
        common
        | address(version, url)
        | (_configuration_2() if version == AIRFLOW_2 else _configuration_3())
    )


def address(version: Version, url: str) -> dict[str, str]:
    """The settings of a web server that listens where this base URL leads, and nowhere else."""
    host, port = str(urlsplit(url).hostname), str(urlsplit(url).port)
    if version == AIRFLOW_2:
        return {
            "AIRFLOW__WEBSERVER__BASE_URL": url,
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": host,
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": port,
        }
    return {"AIRFLOW__API__BASE_URL": url, "AIRFLOW__API__HOST": host, "AIRFLOW__API__PORT": port}


def _configuration_2() -> dict[str, str]:
    return {
        # Allows LocalExecutor on SQLite (docs/notes/airflow-2.md#test-server).
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth"
        ",airflow.api.auth.backend.session",
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": _PARSE_AGAIN,
        # Seconds until a new DAG file is seen; default 300
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "2",
    }


def _configuration_3() -> dict[str, str]:
    return {
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{name}" for name in ROLES),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": _PARSE_AGAIN,
        # Seconds until a new DAG file is seen; default 300
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
        # Default 5 s, by which most failing tasks end later
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }
