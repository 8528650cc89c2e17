"""A private PostgreSQL server for an Airflow with many clients, which SQLite cannot serve.

Measured: docs/notes/airflow-3.md#sqlite-and-parallel-requests.

It knows how to create and start a server; it must not know Airflow. The server listens on a socket
in its own folder only, and does not protect its data from a crash, because they are temporary.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dev.processes import Components

_START_TIMEOUT = 60.0  # seconds
_POLL = 0.1  # seconds between polls
_USER = "postgres"  # created by Debian's package; the server refuses to run as root
_UNSAFE_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgreSQLError(RuntimeError):
    """PostgreSQL is not installed, or did not start."""


def installed() -> Path | None:
    """Return the folder with the newest server's commands; None if there is no server.

    Debian does not have this folder in PATH.
    """
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    elsewhere = shutil.which("initdb")
    folders = [Path(elsewhere).resolve().parent] if elsewhere else debian[::-1]
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def start(components: Components, folder: Path) -> str:
    """Start a server with its data in `folder`, and return its SQLAlchemy URL.

    It initialises a new folder, and waits until the server is ready.

    Raises:
        PostgreSQLError: if there is no server, or initdb fails
        ComponentDiedError: if the server ends
        TimeoutError: if it takes too long
    """
    binaries = installed()
    if binaries is None:
        raise PostgreSQLError(
            "There is no PostgreSQL server. On Debian: apt-get install postgresql"
        )
    user = _USER if os.geteuid() == 0 else None
    if not (folder / "PG_VERSION").exists():
        _create(binaries, folder, user)
    options = [
        option for setting in (*_UNSAFE_SETTINGS, "listen_addresses=") for option in ("-c", setting)
    ]
    components.start(
        "postgresql",
        [str(binaries / "postgres"), "-D", str(folder), "-k", str(folder), *options],
        user=user,
    )
    deadline = time.monotonic() + _START_TIMEOUT
    answers = [str(binaries / "pg_isready"), "--quiet", f"--host={folder}"]
    while subprocess.run(answers, check=False, timeout=_START_TIMEOUT).returncode:
        components.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"PostgreSQL took more than {_START_TIMEOUT:.0f} s to answer")
        time.sleep(_POLL)
    return f"postgresql+psycopg2://airflow@/postgres?host={folder}"


def _create(binaries: Path, folder: Path, user: str | None) -> None:
    folder.mkdir(mode=0o700)
    if user:
        shutil.chown(folder, user)
        # The server must be able to reach its data.
        folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
    options = [
        "--username=airflow",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
        "--no-instructions",
    ]
    try:
        subprocess.run(
            [str(binaries / "initdb"), f"--pgdata={folder}", *options],
            user=user,
            cwd="/",
            check=True,
            timeout=_START_TIMEOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        raise PostgreSQLError(
            f"initdb failed with exit code {error.returncode}:\n{error.stdout}"
        ) from None
