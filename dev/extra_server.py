"""Start another web server for a running Airflow, with the same DAGs and DAG runs.

Its settings are those of the first server, with the caller's changes: another auth manager, another
API backend, or tokens with a shorter validity. With the FAB auth manager it creates the users.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
from typing import TYPE_CHECKING

import requests

from dev.airflow_api import AirflowApi
from dev.airflow_settings import AUTH_MANAGER, FAB, LOOPBACK, address
from dev.processes import Components

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dev.airflow_settings import Version

_START_TIMEOUT = 180.0  # seconds
_POLL = 0.3  # seconds between polls
_HTTP_TIMEOUT = 60.0  # seconds

# In the server's own process, because another process would import Airflow again (5 s of CPU). The
# server itself gives the roles their permissions. The cheap hash saves scrypt's time per login.
_FAB_WITH_USERS = """
import json, os
from airflow.providers.fab.auth_manager.models import Role, User
from airflow.providers.fab.auth_manager.models.db import FABDBManager
from airflow.utils.session import create_session
from sqlalchemy import select
from werkzeug.security import generate_password_hash
with create_session() as session:
    FABDBManager(session).upgradedb()
    if session.scalar(select(User)) is None:
        for name, password in json.loads(os.environ["PASSWORDS"]).items():
            user = User(
                username=name, first_name=name, last_name=name, email=f"{name}@example.com",
                active=True,
                password=generate_password_hash(password, method="pbkdf2:sha256:1000"),
            )
            user.roles = [Role(name=name.capitalize())]
            session.add(user)
from airflow.__main__ import main
main()
"""


@contextlib.contextmanager
def extra_server(version: Version, env: Mapping[str, str], logs: Path) -> Iterator[AirflowApi]:
    """Start a web server with this environment.

    With the FAB auth manager it has the same users and passwords as all our Airflows. Its log is
    `server-PORT.log`. After an exception nothing is left running.

    Raises:
        ComponentDiedError: if it ends
        TimeoutError: if it takes too long
    """
    (port,) = free_ports(1)
    name, api = f"server-{port}", AirflowApi(version, f"http://{LOOPBACK}:{port}")
    fab = env.get(AUTH_MANAGER) == FAB
    passwords = {"PASSWORDS": json.dumps(api.users)} if fab else {}
    components = Components({**env, **address(version, api.url), **passwords}, logs)
    with contextlib.ExitStack() as stack:
        stack.callback(components.stop)
        components.start(name, _command(version, logs / f"{name}.pid", fab=fab))
        if version.major != 2:
            # After SIGTERM it closes everything within 0.3 s, but its process needs 5 s to end.
            stack.callback(components.signal, name, signal.SIGKILL)
        _wait(components, f"{api.url}{api.api}/version")
        yield api


def free_ports(count: int) -> list[int]:
    """Return free ports of the loopback, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [taken.getsockname()[1] for taken in sockets]


def _command(version: Version, pid: Path, *, fab: bool) -> list[str]:
    if version.major == 2:
        return [str(version.bin / "airflow"), "webserver", "--pid", str(pid)]
    start = (
        [str(version.bin / "python"), "-c", _FAB_WITH_USERS]
        if fab
        else [str(version.bin / "airflow")]
    )
    return [*start, "api-server", "--apps", "core"]  # tasks still use the first server


def _wait(components: Components, url: str) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    with requests.Session() as session:
        session.trust_env = False
        while True:
            components.check()
            with contextlib.suppress(requests.RequestException):
                if session.get(url, timeout=_HTTP_TIMEOUT).ok:
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} took more than {_START_TIMEOUT:.0f} s to answer")
            time.sleep(_POLL)
