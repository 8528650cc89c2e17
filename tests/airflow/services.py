"""The auth managers of Airflow 3, each with its own web server for the same DAG runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import requests

from dev.airflow_settings import AUTH_MANAGER, FAB
from tests.airflow.job import REQUEST
from tests.support import known_secrets
from tests.support.keycloak import CLIENT_ID, FEDERATED_ID
from tests.support.proxy import Proxy
from tests.support.services import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dev.airflow import LocalAirflow
    from dev.airflow_api import AirflowApi
    from tests.support.keycloak import Keycloak
    from tests.support.services import FakeGitHubOidc

CLIENT = "Keycloak, client"
"""Keycloak with a client's credential instead of a user's; it has the same server."""
FEDERATED = "Keycloak, GitHub"
"""Keycloak with GitHub's OIDC token in place of a secret, and tokens of FEDERATED_LIFE."""
FEDERATED_LIFE = 20
"""Seconds until the federated client's token expires: a third of LIFE."""
WRONG = f"wrong-credential-{uuid4()}"
"""A wrong password or client secret."""
NO_USER = {"username": "", "password": ""}
"""For a step without a user's credential."""
LIFE = 65
"""Seconds until a token of Airflow or Keycloak expires; Airflow's default is a day."""
_SHORT_LIVED = {
    "AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME": str(LIFE),
    "AIRFLOW__API_AUTH__JWT_LEEWAY": "0",
}
FORBIDDEN_RUN_ID = "no~tilde"
"""A run id that the server of FAB does not allow."""
_OWN_PATTERN = {"AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": "^[A-Za-z0-9_.:+-]+$"}


@dataclass(frozen=True, slots=True)
class AuthService:
    """A web server with credentials that may trigger, are wrong, or may only read.

    `manager` is the name that the auth manager reports. `proxy` records the requests.
    """

    url: str
    good: dict[str, str]
    wrong: dict[str, str]
    readonly: dict[str, str]
    manager: str
    proxy: Proxy
    environment: Mapping[str, str] = field(default_factory=dict)

    def token(self) -> str:
        """Return a new token for the credential that may trigger."""
        body = {name: text for name, text in self.good.items() if text}
        if "client_id" in body:
            body["grant_type"] = "client_credentials"
        answer = _ask("POST", f"{self.url}/auth/token", json=body)
        answer.raise_for_status()
        token = str(answer.json()["access_token"])
        known_secrets.add(token)
        return token

    def create_user(self, credential: dict[str, str], admin: dict[str, str]) -> None:
        """Create a user of the FAB auth manager with the role User."""
        answer = _ask("POST", f"{self.url}/auth/token", json=admin)
        answer.raise_for_status()
        token = str(answer.json()["access_token"])
        known_secrets.add(token)
        name = credential["username"]
        person = {"email": f"{uuid4()}@example.com", "first_name": name, "last_name": name}
        _ask(
            "POST",
            f"{self.url}/auth/fab/v1/users",
            headers={"Authorization": f"Bearer {token}"},
            json=person | credential | {"roles": [{"name": "User"}]},
        ).raise_for_status()

    def refuses(self, token: str) -> bool:
        """Whether Airflow refuses this token, with 401 or, as Keycloak does, with 403."""
        answer = _ask(
            "GET",
            f"{self.url}/api/v2/dags/quick_success",
            headers={"Authorization": f"Bearer {token}"},
        )
        return answer.status_code in (401, 403)


@contextmanager
def auth_services(
    airflow: LocalAirflow, keycloak: Keycloak, oidc: FakeGitHubOidc
) -> Iterator[dict[str, AuthService]]:
    """Start the servers of "simple", "FAB" and "Keycloak" at the same time.

    "Keycloak" is also that of CLIENT and FEDERATED.
    """
    settings = {
        "simple": _SHORT_LIVED,
        "FAB": {AUTH_MANAGER: FAB} | _SHORT_LIVED | _OWN_PATTERN,
        "Keycloak": keycloak.settings,
    }
    user, viewer = (
        {"username": name, "password": airflow.users[name]} for name in ("user", "viewer")
    )
    client = {"client_id": CLIENT_ID, "client_secret": keycloak.client_secret} | NO_USER
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            starting = {
                name: pool.submit(stack.enter_context, airflow.extra_server(one))
                for name, one in settings.items()
            }
        servers = {name: one.result() for name, one in starting.items()}

        def service(
            server: AirflowApi,
            good: dict[str, str],
            wrong: dict[str, str],
            readonly: dict[str, str],
            environment: Mapping[str, str] | None = None,
        ) -> AuthService:
            title = str(_ask("GET", f"{server.url}/auth/openapi.json").json()["info"]["title"])
            return AuthService(
                server.url,
                good,
                good | wrong,
                readonly,
                title,
                stack.enter_context(Proxy(server.url)),
                environment or {},
            )

        services = {
            name: service(server, user, {"password": WRONG}, viewer)
            for name, server in servers.items()
        }
        tls = certificates.trusted_ca().server()
        realm = stack.enter_context(Proxy(keycloak.url, tls=tls))
        federated = {
            "client_id": FEDERATED_ID,
            "token_url": f"{realm.url}{keycloak.token_path}",
            "oidc_audience": keycloak.issuer,
            "scope": "openid",
            "ca_certificate": certificates.trusted_ca().pem,
        } | NO_USER
        wrong = {"oidc_audience": "another-audience"}
        yield services | {
            CLIENT: service(servers["Keycloak"], client, {"client_secret": WRONG}, client),
            FEDERATED: service(servers["Keycloak"], federated, wrong, federated, oidc.environment),
        }


def _ask(method: str, url: str, **arguments: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=REQUEST, **arguments)
