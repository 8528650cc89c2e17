"""Ways in to a real Airflow 3: each of its auth managers, behind a web server of its own in front
of the same DAG runs.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import requests

from dev.airflow_settings import AUTH_MANAGER, FAB
from tests.airflow.job import REQUEST
from tests.support import known_secrets as ledger
from tests.support.keycloak import CLIENT_ID
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow import LocalAirflow
    from dev.airflow_api import AirflowApi
    from tests.support.keycloak import Keycloak

CLIENT = "Keycloak, client"
"""The door whose credential is no user's: the same server as that of Keycloak."""
WRONG = f"nobody-has-ever-had-this-one-{uuid4()}"
"""A password, or a client's secret."""
NOBODY = {"username": "", "password": ""}
"""For a step that comes otherwise than as a user."""
LIFE = 65
"""Seconds that a token lives, be it Airflow's own, which lives for a day by default, or
Keycloak's.
"""
_SHORT_LIVED = {
    "AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME": str(LIFE),
    "AIRFLOW__API_AUTH__JWT_LEEWAY": "0",
}


@dataclass(frozen=True, slots=True)
class Door:
    """A way in, and inputs with credentials: one that may trigger, a wrong one, and one that may
    only look.

    `manager` is how the auth manager calls itself. `proxy` stands in front of the door and notes
    what goes through.
    """

    url: str
    good: dict[str, str]
    wrong: dict[str, str]
    poor: dict[str, str]
    manager: str
    proxy: Proxy

    def token(self) -> str:
        """A new token of Airflow's for the credential that may trigger."""
        body = {name: text for name, text in self.good.items() if text}
        if "client_id" in body:
            body["grant_type"] = "client_credentials"
        answer = _ask("POST", f"{self.url}/auth/token", json=body)
        answer.raise_for_status()
        token = str(answer.json()["access_token"])
        ledger.note(token)
        return token

    def refuses(self, token: str) -> bool:
        """Whether Airflow does not let this token look at a DAG, be it with 401 or, as with
        Keycloak, with 403.
        """
        answer = _ask(
            "GET",
            f"{self.url}/api/v2/dags/quick_success",
            headers={"Authorization": f"Bearer {token}"},
        )
        return answer.status_code in (401, 403)


@contextmanager
def opened(airflow: LocalAirflow, keycloak: Keycloak) -> Iterator[dict[str, Door]]:
    """The doors "simple", "FAB", "Keycloak" and CLIENT, whose servers are started at the same
    time.
    """
    settings = {
        "simple": _SHORT_LIVED,
        "FAB": {AUTH_MANAGER: FAB} | _SHORT_LIVED,
        "Keycloak": keycloak.settings,
    }
    user, viewer = (
        {"username": name, "password": airflow.users[name]} for name in ("user", "viewer")
    )
    client = {"client_id": CLIENT_ID, "client_secret": keycloak.client_secret} | NOBODY
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            starting = {
                name: pool.submit(stack.enter_context, airflow.door(one))
                for name, one in settings.items()
            }
        servers = {name: one.result() for name, one in starting.items()}

        def door(
            server: AirflowApi, good: dict[str, str], wrong: dict[str, str], poor: dict[str, str]
        ) -> Door:
            title = str(_ask("GET", f"{server.url}/auth/openapi.json").json()["info"]["title"])
            return Door(
                server.url, good, good | wrong, poor, title, stack.enter_context(Proxy(server.url))
            )

        doors = {
            name: door(server, user, {"password": WRONG}, viewer)
            for name, server in servers.items()
        }
        yield doors | {CLIENT: door(servers["Keycloak"], client, {"client_secret": WRONG}, client)}


def _ask(method: str, url: str, **arguments: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=REQUEST, **arguments)
