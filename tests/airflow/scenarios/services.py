"""Logins at real Airflows: accepted, refused, or with a credential that expires."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Barrier
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.airflow.job import TIMEOUT, patch, post, until
from tests.airflow.services import CLIENT, FEDERATED, FORBIDDEN_RUN_ID, NO_USER, WRONG
from tests.support.keycloak import SERVICE

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.scenario import ScenarioRunner
    from tests.airflow.services import AuthService
    from tests.support.keycloak import Keycloak

WAITING = "waits_for_unpause"
"""The DAG whose runs wait until it is unpaused."""
REFUSED = "refused-"
"""The prefix of the ids of runs that must not exist."""
_SESSION_ONLY = {"AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.session"}
"""The default of Airflow 2."""
_PATIENTLY = {"if_paused": "queue", "poll_interval": "5"}


@dataclass(frozen=True, slots=True)
class AuthScenarios:
    """The scenarios with Airflow 3, named after the service and what happens."""

    scenarios: ScenarioRunner
    services: dict[str, AuthService]

    def run(self, keycloak: Keycloak) -> AuthScenarios:
        """Run the scenarios side by side, because most of them wait for a token to expire."""
        scenarios, airflow = self.scenarios, self.scenarios.airflow
        client = self.services[CLIENT]
        scenarios.begin(f"{CLIENT}, readonly", _readonly_client, client, keycloak)
        scenarios.wait_until_done(f"{CLIENT}, readonly")
        dead = Barrier(len(self.services), lambda: airflow.pause(WAITING, False), TIMEOUT)
        own = {name: one for name, one in self.services.items() if name != FEDERATED}
        scenarios.begin(f"{FEDERATED}, renewed", _federated, self.services[FEDERATED], dead)
        for name, service in own.items():
            scenarios.begin(f"{name}, renewed", _renewed, service, dead)
        for name, service in own.items():
            scenarios.begin(f"{name}, expired", _expired, service)
        for name in ("FAB", "Keycloak", CLIENT):
            scenarios.begin(
                f"{name}, wrong", _refused, self.services[name].url, self.services[name].wrong
            )
        for name in ("FAB", "Keycloak"):
            scenarios.begin(
                f"{name}, readonly", _refused, self.services[name].url, self.services[name].readonly
            )
        for name in ("simple", "FAB"):
            scenarios.begin(f"{name}, client", _refused, self.services[name].url, client.good)
        scenarios.begin("FAB, colon", _colon, self.services["FAB"])
        scenarios.begin("FAB, run id", _forbidden_run_id, self.services["FAB"])
        scenarios.wait_for_all()
        return self


def run_auth_scenarios_2(scenarios: ScenarioRunner) -> ScenarioRunner:
    """Run the scenarios with Airflow 2, and return them."""
    user = scenarios.credential("user")
    scenarios.begin("changed", _changed)
    with scenarios.airflow.extra_server(_SESSION_ONLY) as server:
        scenarios.begin("session only", _refused, server.url, user)
        scenarios.begin("session only, wrong", _refused, server.url, user | {"password": WRONG})
        scenarios.wait_for_all()
    return scenarios


def _expired(scenarios: ScenarioRunner, service: AuthService) -> StepResult:
    """A token without a refresh, which expires before the DAG run may start."""
    return scenarios.run(
        WAITING, airflow_url=service.url, token=service.token(), **NO_USER, **_PATIENTLY
    )


def _renewed(scenarios: ScenarioRunner, service: AuthService, dead: Barrier) -> StepResult:
    """A DAG run that starts once the first token of the step has expired, at every service."""
    with scenarios.started(
        WAITING, airflow_url=service.proxy.url, **service.good, **_PATIENTLY
    ) as running:
        younger = service.token()
        until(lambda: service.refuses(younger), "too old")
        dead.wait()
        return running.wait(TIMEOUT)


def _federated(scenarios: ScenarioRunner, service: AuthService, dead: Barrier) -> StepResult:
    """A DAG run that starts after three lifetimes of the federated client's token."""
    job = scenarios.job(env=service.environment)
    with scenarios.started(
        WAITING, job, airflow_url=service.proxy.url, **service.good, **_PATIENTLY
    ) as running:
        dead.wait()
        return running.wait(TIMEOUT)


def _refused(scenarios: ScenarioRunner, url: str, credential: dict[str, str]) -> StepResult:
    """A credential that is refused at the login or the trigger."""
    return scenarios.refused(
        "quick_success", run_id=f"{REFUSED}{uuid4()}", airflow_url=url, **credential
    )


def _colon(scenarios: ScenarioRunner, service: AuthService) -> StepResult:
    """A user whose name has a colon, which Airflow 3 takes as JSON."""
    name = f"team:deploy-{uuid4()}"
    credential = {"username": name, "password": f"the-password-of-{name}"}
    service.create_user(credential, scenarios.credential("admin"))
    return scenarios.run("quick_success", airflow_url=service.url, **credential)


def _forbidden_run_id(scenarios: ScenarioRunner, service: AuthService) -> StepResult:
    """A run id that the web server's own pattern refuses."""
    return scenarios.refused(
        "quick_success", run_id=FORBIDDEN_RUN_ID, airflow_url=service.url, **service.good
    )


def _readonly_client(
    scenarios: ScenarioRunner, service: AuthService, keycloak: Keycloak
) -> StepResult:
    """A client with read permissions only."""
    keycloak.roles[SERVICE] = "viewer"
    try:
        return _refused(scenarios, service.url, service.readonly)
    finally:
        keycloak.roles[SERVICE] = "user"


def _changed(scenarios: ScenarioRunner) -> StepResult:
    """A password of Airflow 2 that is changed while the step waits."""
    name = f"changing-{uuid4()}"
    before, after = f"the-first-password-of-{name}", f"the-second-password-of-{name}"
    person = {
        "username": name,
        "email": f"{name}@example.com",
        "first_name": name,
        "last_name": name,
    }
    post(scenarios.airflow, "/users", {**person, "password": before, "roles": [{"name": "User"}]})
    with scenarios.started(WAITING, username=name, password=before, **_PATIENTLY) as running:
        patch(scenarios.airflow, f"/users/{name}?update_mask=password", **person, password=after)
        return running.wait(TIMEOUT)
