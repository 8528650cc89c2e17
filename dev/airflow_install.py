"""Install Airflows, each with its own environment and a template of its home.

It knows uv, the locks in `dev/locks/` and how to initialise a database; it must not know how to
start Airflow or its API. Everything is below `.airflow/<version>/`. The file `installed` is written
last: if it is missing, or has another fingerprint, the installation starts again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dev.airflow_settings import (
    ROLES,
    ROOT,
    Version,
    clean_environment,
    password_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_TIMEOUT = 900.0  # seconds for one step of the installation
_PASSWORDS = json.dumps({name: password_of(name) for name in ROLES})
_PASSWORDS_3 = "simple_auth_manager_passwords.json.generated"  # the name is Airflow's

# One process, because each `airflow users create` starts Airflow again, and fails for roles other
# than Admin before the webserver has run (docs/notes/airflow-2.md#users-and-roles). The cheap hash
# saves 100 ms per request, which scrypt takes (docs/notes/airflow-2.md#basic-authentication).
_INITIALISE_2 = """
import json, os
import airflow
from airflow.utils import db
new = tuple(map(int, airflow.__version__.split(".")[:2])) >= (2, 7)
(db.upgradedb if new else db.initdb)()  # docs/notes/airflow-versions.md#settings-that-moved
from airflow.www.app import create_app
from werkzeug.security import generate_password_hash
app = create_app()
with app.app_context():
    manager = app.appbuilder.sm
    manager.sync_roles()
    for name, password in json.loads(os.environ["PASSWORDS"]).items():
        if manager.find_user(name):
            continue
        added = manager.add_user(
            username=name, first_name=name, last_name=name, email=f"{name}@example.com",
            role=manager.find_role(name.capitalize()),
            hashed_password=generate_password_hash(password, method="pbkdf2:sha256:1000"),
        )
        assert added, name
"""


class InstallError(RuntimeError):
    """Airflow could not be installed. The message has the end of the failed command's output."""


def install(version: Version, say: Callable[[str], None] = print) -> None:
    """Install this Airflow and prepare its template, unless this was done with the same packages.

    Several programs may call this at the same time.

    Raises:
        InstallError: if a command fails
    """
    with locked(version.folder):
        mark = version.folder / "installed"
        packages = (
            version.lock.read_bytes()
            if version.locked
            else repr((version.requirements, version.day)).encode()
        )
        done = hashlib.sha256(packages + _INITIALISE_2.encode() + _PASSWORDS.encode()).hexdigest()
        python = version.bin / "python"  # a broken link if its Python was removed
        if python.exists() and mark.exists() and mark.read_text() == done:
            return
        mark.unlink(missing_ok=True)
        say(
            f"Airflow {version.name}: installing into {version.folder.relative_to(ROOT)} "
            "(once, about 300 MB)"
        )
        _install_packages(version)
        _make_template(version)
        mark.write_text(done)


def initialise(version: Version, env: Mapping[str, str]) -> None:
    """Migrate the database that `env` names and, for Airflow 2, create the users.

    Raises:
        InstallError: if a command fails
    """
    if version.major == 2:
        run([str(version.bin / "python"), "-c", _INITIALISE_2], {**env, "PASSWORDS": _PASSWORDS})
    else:
        run([str(version.bin / "airflow"), "db", "migrate"], env)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other programs from installing into this folder inside this context."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        # The commands inherit the lock: if this program is killed, the next installation waits
        # for a command that still runs.
        os.set_inheritable(lock.fileno(), True)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_packages(version: Version) -> None:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        raise InstallError(
            f"uv is not next to {sys.executable}: run this with the .venv that `make` sets up"
        )
    venv = version.folder / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    try:
        run([str(uv), "venv", "--python", _python(version), str(venv)], os.environ)
    except InstallError as error:
        wanted = "{}.{}".format(*version.newest_python)
        raise InstallError(
            f"Airflow {version.name} needs Python {wanted}, and uv neither finds nor downloads it. "
            f"Install it, for example with `pyenv install {wanted}`.\n{error}"
        ) from None
    # Compile now, because nothing is compiled later (see clean_environment): it takes 3 s, and
    # `airflow db migrate` then takes 2.3 s in place of 5.0 s.
    options = ["--compile-bytecode", "--python", str(version.bin / "python")]
    if version.locked:
        options += ["--require-hashes", "-r", str(version.lock)]
    else:
        options += ["--exclude-newer", version.day] if version.day else []
        options += version.requirements
    run([str(uv), "pip", "install", *options], os.environ)


def _python(version: Version) -> str:
    """Return the Python to make the environment with, as a path or as a version for uv.

    A locked release runs with this Python if it can. The others were measured with one Python each,
    which may be pyenv's. If there is none, uv looks for one, and downloads it if it may.
    """
    if version.locked and sys.version_info[:2] <= version.newest_python:
        return sys.executable
    wanted = "{}.{}".format(*version.newest_python)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{wanted}.*/bin/python"))
    return str(found[-1]) if found else wanted


def _make_template(version: Version) -> None:
    template = version.template
    shutil.rmtree(template, ignore_errors=True)
    template.mkdir()
    # With this file Airflow does not write its own; components that start at the same time would
    # overwrite each other's.
    (template / "airflow.cfg").write_text(
        "# All settings come from the environment, see dev/airflow_settings.py.\n"
    )
    if version.major == 3:
        (template / _PASSWORDS_3).write_text(_PASSWORDS)
    if not version.locked:
        return  # it runs on PostgreSQL only
    initialise(version, clean_environment(version, template))
    # With WAL, readers and writers do not block each other. Airflow 3 sets it itself, Airflow 2
    # does not.
    with contextlib.closing(sqlite3.connect(template / "airflow.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
    shutil.rmtree(template / "logs", ignore_errors=True)


def run(command: list[str], env: Mapping[str, str]) -> None:
    """Run a command to its end.

    Raises:
        InstallError: if it fails or takes too long, with the end of its output
    """
    try:
        subprocess.run(
            command,
            env=env,
            check=True,
            timeout=_TIMEOUT,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        end = "\n".join(error.stdout.splitlines()[-20:])
        raise InstallError(
            f"{Path(command[0]).name} {command[1]} failed with exit code {error.returncode}:\n{end}"
        ) from None
    except subprocess.TimeoutExpired:
        raise InstallError(
            f"{Path(command[0]).name} {command[1]} took more than {_TIMEOUT:.0f} s"
        ) from None
