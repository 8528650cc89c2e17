"""A user who may log in but read nothing that explains a run, on each of the four servers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, get_args

import jwt
import requests

from dev.airflow import LocalAirflow
from dev.airflow_settings import password_of
from tests.support.fake_airflow import FakeAirflow
from tests.support.fake_airflow.scripting import Feature
from tests.support.fake_airflow.tokens import USERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.api import Server

NAME = "nobody"
SECRET = "AIRFLOW__API_AUTH__JWT_SECRET"


@contextlib.contextmanager
def without_rights(server: Server) -> Iterator[requests.Session]:
    with contextlib.ExitStack() as stack:
        if isinstance(server, LocalAirflow):
            made = _by_role(server) if server.version == "2.11.2" else _by_token(server)
        else:
            assert isinstance(server, FakeAirflow)
            USERS[NAME] = NAME
            stack.callback(USERS.pop, NAME)
            server.deny(*get_args(Feature), role=NAME)
            made = server.session(NAME)
        yield stack.enter_context(made)


def _by_role(server: LocalAirflow) -> requests.Session:
    """Create a role of Airflow 2 that may read DAGs, and a user with it."""
    role = {
        "name": NAME,
        "actions": [{"action": {"name": "can_read"}, "resource": {"name": "DAGs"}}],
    }
    user = {"username": NAME, "password": password_of(NAME), "email": "nobody@example.com"}
    user |= {"first_name": NAME, "last_name": NAME}
    with server.session() as admin:
        for path, body in (("/roles", role), ("/users", user | {"roles": [{"name": NAME}]})):
            admin.post(f"{server.url}{server.api}{path}", json=body, timeout=60).raise_for_status()
    session = requests.Session()
    session.trust_env = False
    session.auth = (NAME, password_of(NAME))
    return session


def _by_token(server: LocalAirflow) -> requests.Session:
    """Sign a token, because the simple auth manager of Airflow 3 has no such role."""
    assert server._components is not None
    session = server.session("viewer")
    _, _, token = str(session.headers["Authorization"]).partition(" ")
    claims = jwt.decode(token, options={"verify_signature": False}) | {"sub": NAME, "role": ""}
    forged = jwt.encode(claims, server._components.env[SECRET], "HS512")
    session.headers["Authorization"] = f"Bearer {forged}"
    return session
