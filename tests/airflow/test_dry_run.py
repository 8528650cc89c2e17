"""Dry runs with a real Airflow 2 and 3: each role gets an exact report, and nothing changes."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from dev.airflow_settings import password_of
from entrypoint.permissions import Feature, Permission
from tests.airflow.job import REQUEST, get, patch, trigger, until
from tests.airflow.services import AuthService  # noqa: TC001 - pytest reads the annotation
from tests.support import known_secrets
from tests.support.proxy import Proxy
from tests.support.step import run_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow import LocalAirflow
    from entrypoint.models import FeatureAccess, Outcome

DAG = "only_checked"
ENDED = "ended"
"""The id of a DAG run that has failed."""
F, P = Feature, Permission
TRIGGER = F.TRIGGER.permissions
ALONE = {P.EDIT_DAGS: {F.UNPAUSE, F.PARSING}} | {
    feature.permissions[0]: {feature} for feature in (F.IMPORT_ERRORS, F.POOLS)
}
"""What a role with only this permission may do; with any other one, nothing."""
ADDED = {
    P.READ_TASKS: {F.TASKS},
    P.READ_LOGS: {F.LOGS},
    P.READ_XCOMS: {F.XCOM},
    P.READ_IMPORT_ERRORS: {F.IMPORT_ERRORS},
    P.READ_EVENTS: {F.EVENTS},
    P.READ_POOLS: {F.POOLS},
    P.READ_HITL: {F.HUMAN_INPUT},
    P.EDIT_RUNS: {F.STOP},
    P.EDIT_TASKS: set(),
}
"""What a role that may trigger may do besides with this permission."""
MAY_TRIGGER = {F.TRIGGER, F.WAIT, F.UNPAUSE, F.PARSING}
READS = {F.WAIT, F.TASKS, F.LOGS, F.XCOM, F.IMPORT_ERRORS, F.POOLS, F.HUMAN_INPUT}
USES = {F.RESUME, F.RESTART, F.STOP} | MAY_TRIGGER | READS
OWN_ROLES = {"Admin": USES | {F.EVENTS}, "Op": USES, "User": USES, "Viewer": READS, "Public": set()}
"""What Airflow's own roles may do."""

HARMLESS = (
    r"POST /auth/token ",
    r'POST \S+/dags/[^/]+/dagRuns \{"conf": "airflow-dag-run checks .*", "dry_run": true\}',
    r'POST \S+/dags/[^/]+/dagRuns \{"dry_run": "airflow-dag-run .*", "dag_run_id": "x{251}"\}',
    r'PATCH \S+/dags/[^/]+ \{"is_paused": "airflow-dag-run .*", "dry_run": true\}',
    r'PATCH \S+/dags/[^/]+ \{"dry_run": "airflow-dag-run .*"\}',
    r'PATCH \S+/dagRuns/dry_run__[\w-]+ \{"state": "failed", "dry_run": "airflow-dag-run .*"\}',
    r'POST \S+/dagRuns/dry_run__[\w-]+/clear \{"dry_run": true\}',
    r'POST \S+/clearTaskInstances \{"dry_run": true, "dag_run_id": "dry_run__[\w-]+"\}',
)
"""The requests besides GET that a dry run may send, none of which can have an effect."""


@dataclass
class Server:
    """A real Airflow with roles; all dry runs go through `proxy`, which records the requests."""

    airflow: LocalAirflow
    proxy: Proxy
    roles_url: str
    before: Any = None

    def add_user(self, name: str, permissions: tuple[Permission, ...]) -> None:
        """Create a user with a role of these permissions, or with Airflow's role of the name."""
        role = name
        pairs = [one.value.removeprefix("can ").split(" on ") for one in permissions]
        body = [
            {"action": {"name": f"can_{verb}"}, "resource": {"name": noun}} for verb, noun in pairs
        ]
        with self._session() as session:
            if permissions:
                self._post(session, "/roles", {"name": name, "actions": body})
            else:
                role = name.removeprefix("dry ")
            user = {
                "username": name,
                "password": password_of(name),
                "email": f"{name.replace(' ', '-')}@example.com",
                "first_name": name,
                "last_name": name,
                "roles": [{"name": role}],
            }
            self._post(session, "/users", user)
        if self.airflow.api == "/api/v1":
            self._weaken(name)

    def _weaken(self, name: str) -> None:
        """Give the user the password of `viewer`, whose hash is cheap.

        Each request would take 100 ms more (docs/notes/airflow-2.md#basic-authentication).
        """
        with closing(sqlite3.connect(self.airflow.home / "airflow.db", timeout=60)) as database:
            database.execute(
                "UPDATE ab_user SET password = (SELECT password FROM ab_user WHERE username = "
                "'viewer') WHERE username = ?",
                (name,),
            )
            database.commit()

    def _session(self) -> requests.Session:
        if self.airflow.api == "/api/v1":
            return self.airflow.session()
        session = requests.Session()
        session.trust_env = False
        login = {"username": "admin", "password": self.airflow.users["admin"]}
        answer = session.post(
            f"{self.roles_url.removesuffix('/fab/v1')}/token", json=login, timeout=REQUEST
        )
        token = answer.json()["access_token"]
        known_secrets.add(token)
        session.headers["Authorization"] = f"Bearer {token}"
        return session

    def _post(self, session: requests.Session, path: str, body: dict[str, Any]) -> None:
        answer = session.post(f"{self.roles_url}{path}", json=body, timeout=REQUEST)
        if answer.status_code != requests.codes.conflict:
            answer.raise_for_status()

    def dry_run(self, user: str = "admin", **inputs: str) -> Outcome:
        weak = user.startswith("dry ") and self.airflow.api == "/api/v1"
        given = {
            "airflow_url": self.proxy.url,
            "username": user,
            "password": password_of("viewer" if weak else user),
            "dag_id": DAG,
            "dry_run": "true",
        }
        return run_step(given | inputs)

    def state(self) -> Any:
        """Return all that a step could have changed, and what the audit log says beside."""
        dag = get(self.airflow, f"/dags/{DAG}")
        tasks = get(self.airflow, f"/dags/{DAG}/dagRuns/{ENDED}/taskInstances")
        return dag["is_paused"], self.airflow.runs(DAG), tasks


@pytest.fixture(scope="module", params=["airflow_2", "airflow_3"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each real Airflow with FAB's roles, and with a failed DAG run."""
    airflow: LocalAirflow = request.getfixturevalue(request.param)
    url, roles_url = airflow.url, f"{airflow.url}/api/v1"
    if request.param == "airflow_3":
        services: dict[str, AuthService]
        services, _ = request.getfixturevalue("auth_servers_3")
        url = services["FAB"].url
        roles_url = f"{url}/auth/fab/v1"
    airflow.wait_for_dag(DAG)
    trigger(airflow, DAG, ENDED, {})
    until(lambda: airflow.runs(DAG)[0]["state"] == "success", "succeeded")
    patch(airflow, f"/dags/{DAG}/dagRuns/{ENDED}", state="failed")
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(url))
        found = Server(airflow, proxy, roles_url)
        found.before = found.state()
        yield found


def features(outcome: Outcome, verdict: str) -> set[str]:
    assert outcome.dry_run is not None
    return {one.label for one in outcome.dry_run.access if one.verdict == verdict}


def access_of(outcome: Outcome) -> dict[str, FeatureAccess]:
    assert outcome.dry_run is not None
    return {one.label: one for one in outcome.dry_run.access}


def labels(found: set[Feature], server: Server) -> set[str]:
    """Return the features' labels, without the one that Airflow 2 does not have."""
    lacking = {F.HUMAN_INPUT} if server.airflow.api == "/api/v1" else set()
    return {feature.label for feature in found - lacking}


@pytest.mark.parametrize("role", OWN_ROLES)
def test_the_report_is_exact_for_airflows_own_roles(server: Server, role: str) -> None:
    user = f"dry {role}"
    server.add_user(user, ())
    outcome = server.dry_run(user)

    assert features(outcome, "allowed") == labels(OWN_ROLES[role], server)
    assert features(outcome, "unknown") == set()
    assert outcome.result == ("error" if role in ("Viewer", "Public") else "checked")
    if role == "Viewer":
        assert outcome.error is not None
        assert outcome.error.title == "A permission is missing"
        assert '"can edit on DAGs"' in outcome.error.hint
    if role == "Public":
        assert outcome.error is not None
        # On Airflow 2.11.2 such a user looks like a wrong password.
        ambiguous = server.airflow.api == "/api/v1"
        title = "Airflow refused the credential" if ambiguous else "A permission is missing"
        assert outcome.error.title == title


@pytest.mark.parametrize("added", [*ADDED, None], ids=lambda one: one and one.name)
@pytest.mark.parametrize("base", [(), TRIGGER], ids=["alone", "may trigger"])
def test_the_report_is_exact_for_a_role_with_a_single_permission(
    server: Server, base: tuple[Permission, ...], added: Permission | None
) -> None:
    check_role(server, base, added)


@pytest.mark.parametrize("added", TRIGGER, ids=lambda one: one.name)
def test_the_report_is_exact_without_the_other_permissions_of_a_trigger(
    server: Server, added: Permission
) -> None:
    check_role(server, (), added)


def check_role(server: Server, base: tuple[Permission, ...], added: Permission | None) -> None:
    is_1 = server.airflow.api == "/api/v1"
    if (added is None and not base) or (is_1 and added is P.READ_HITL):
        return
    granted = {*base, *((added,) if added else ())}
    user = "dry " + " ".join(one.name for one in P if one in granted)
    server.add_user(user, tuple(granted))
    outcome = server.dry_run(user)

    expected: set[Feature] = set(MAY_TRIGGER) if base else set()
    if added:
        expected |= (ADDED if base else ALONE).get(added, set())
    if not base and is_1 and added is P.READ_EVENTS:
        expected |= {F.EVENTS}  # Airflow 3 also wants to read the DAG
    if base and not is_1 and added is P.EDIT_RUNS:
        expected |= {F.RESTART}  # Airflow 2 clears the task instances
    assert features(outcome, "allowed") == labels(expected, server)
    assert outcome.result == ("checked" if base else "error")
    names = {one.value for one in granted}
    for feature in Feature:
        if (access := access_of(outcome).get(feature.label)) is None:
            continue
        if access.verdict == "refused":
            needed = {one.value for one in feature.permissions}
            if not is_1 and feature is F.RESTART:
                needed.remove(P.EDIT_TASKS.value)
            assert access.missing or access.unclear
            assert not names.intersection(access.missing)
            assert needed - names <= {*access.missing, *access.unclear}
            assert not base or not access.unclear or feature in (F.RESUME, F.RESTART)


def test_simple_roles_of_airflow_3(airflow_3_with_postgresql: LocalAirflow) -> None:
    airflow = airflow_3_with_postgresql
    airflow.wait_for_dag(DAG)
    with Proxy(airflow.url) as proxy:
        server = Server(airflow, proxy, "")
        results = {user: server.dry_run(user).result for user in airflow.users}

    assert results == {"admin": "checked", "op": "checked", "user": "checked", "viewer": "error"}


@pytest.mark.parametrize(
    ("inputs", "title", "words"),
    [
        ({"dag_id": "no_such_dag"}, "Airflow has no such DAG", "no_such_dag"),
        ({"conf": '{"region": "Mars"}'}, "Airflow refused the DAG run's parameters", "region"),
        ({"dag_id": "paused_dag"}, "The DAG is paused", "paused_dag"),
        ({"run_id": ENDED, "if_run_exists": "fail"}, "The DAG run exists already", "failed"),
        (
            {"run_id": ENDED, "conf": '{"region": "APAC"}'},
            "The run id is taken by another request",
            "APAC",
        ),
        (
            {"trigger": "false", "run_id": "none"},
            "There is no such DAG run to wait for",
            "none",
        ),
    ],
)
def test_an_error_is_that_of_the_real_step(
    server: Server, inputs: dict[str, str], title: str, words: str
) -> None:
    outcome = server.dry_run(**inputs)

    assert (outcome.result, outcome.error and outcome.error.title) == ("error", title)
    assert outcome.error is not None
    assert words in outcome.error.detail


@pytest.mark.parametrize(
    ("inputs", "next_step"),
    [
        ({}, "would trigger the DAG run"),
        ({"dag_id": "paused_dag", "if_paused": "unpause"}, "would trigger the DAG run"),
        ({"run_id": ENDED}, "would run its tasks again that did not succeed"),
        ({"run_id": ENDED, "if_run_exists": "restart"}, "would run all its tasks again"),
        ({"run_id": ENDED, "if_run_exists": "attach"}, "and take its result"),
        ({"run_id": ENDED, "trigger": "false"}, "and take its result"),
        ({"run_id": ENDED, "trigger": "false", "user": "viewer"}, "and take its result"),
    ],
)
def test_a_dry_run_says_what_the_step_would_do(
    server: Server, inputs: dict[str, str], next_step: str
) -> None:
    outcome = server.dry_run(**inputs)

    assert outcome.error is None
    assert outcome.result == "checked"
    assert outcome.dry_run is not None
    assert next_step in outcome.dry_run.next_step


def test_no_dry_run_could_have_changed_anything(server: Server) -> None:
    """All dry runs of this module went through the proxy."""
    sent = {
        f"{one.method} {one.path} {one.body.decode()}"
        for one in server.proxy.record
        if one.method != "GET"
    }

    strangers = [one for one in sent if not any(re.match(rule, one) for rule in HARMLESS)]
    assert strangers == []
    assert len(sent) > len(HARMLESS) / 2
    assert server.state() == server.before
    events = get(server.airflow, f"/eventLogs?dag_id={DAG}&limit=100")["event_logs"]
    ours = [json.loads(one["extra"] or "{}") for one in events if "dry_run" in str(one["extra"])]
    assert ours != []
    assert [one for one in ours if "airflow-dag-run" not in str(one) and not one["dry_run"]] == []
