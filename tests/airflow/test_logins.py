"""Logins at real Airflows: accepted, refused, and credentials that expire.

`test_step.py` has a wrong password and a missing permission with the usual logins: Airflow 3's
simple auth manager, and Airflow 2 with the basic_auth backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import the_run, verdict
from tests.airflow.scenarios.services import REFUSED, WAITING
from tests.airflow.services import CLIENT, FEDERATED, FEDERATED_LIFE, LIFE

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.scenario import ScenarioRunner
    from tests.airflow.scenarios.services import AuthScenarios

KEYCLOAK = ("Keycloak", CLIENT)
ALL = ("simple", "FAB", *KEYCLOAK)
PART = 8
"""Length of a part of a secret that must not be shown."""


def runs_of_refused_steps(scenarios: ScenarioRunner) -> list[str]:
    runs = [run["dag_run_id"] for run in scenarios.airflow.runs("quick_success")]
    return [run_id for run_id in runs if run_id.startswith(REFUSED)]


def assert_stopped(result: StepResult, title: str, state: str | None = None) -> None:
    """Check that the step failed with this title, and the state of its DAG run if it has one."""
    assert (result.exit_code, result.outputs["result"], result.outputs.get("state")) == (
        1,
        "error",
        state,
    ), result.log
    assert verdict(result).startswith(f"{title}: "), verdict(result)


@pytest.mark.parametrize("name", ALL[:3])
def test_each_service_has_the_auth_manager_of_its_name(
    auth_scenarios_3: AuthScenarios, name: str
) -> None:
    assert (
        auth_scenarios_3.services[name].manager.lower().startswith(f"{name.lower()} auth manager")
    )


@pytest.mark.parametrize("name", [*ALL, FEDERATED])
def test_a_step_that_outlives_its_first_token_passes(
    auth_scenarios_3: AuthScenarios, name: str
) -> None:
    result = auth_scenarios_3.scenarios[f"{name}, renewed"]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert verdict(result).startswith("DAG run succeeded: ")
    assert (
        the_run(auth_scenarios_3.scenarios.airflow, WAITING, result.outputs["run_id"])["state"]
        == "success"
    )
    logins = auth_scenarios_3.services[name].proxy.received("POST", "/auth/token")
    assert len(logins) >= (LIFE / FEDERATED_LIFE if name == FEDERATED else 2)
    assert set(logins) == {201}


def test_a_user_name_may_contain_a_colon(auth_scenarios_3: AuthScenarios) -> None:
    result = auth_scenarios_3.scenarios["FAB, colon"]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log


def test_a_run_id_that_the_servers_pattern_refuses_is_an_error_with_the_pattern(
    auth_scenarios_3: AuthScenarios,
) -> None:
    result = auth_scenarios_3.scenarios["FAB, run id"]

    assert_stopped(result, "Airflow does not allow this run id")
    assert "[A-Za-z0-9_.:+-]+" in verdict(result)


@pytest.mark.parametrize("name", [*ALL, FEDERATED])
def test_a_token_is_renewed_before_it_expires(auth_scenarios_3: AuthScenarios, name: str) -> None:
    """No poll of the DAG run is refused."""
    polls = auth_scenarios_3.services[name].proxy.received("GET", "/dagRuns/*")

    assert 200 in polls
    assert not {401, 403} & set(polls)


@pytest.mark.parametrize("name", ALL)
def test_a_token_that_expires_during_the_wait_is_an_error(
    auth_scenarios_3: AuthScenarios, name: str
) -> None:
    """It says how long a run may take with such a token."""
    result = auth_scenarios_3.scenarios[f"{name}, expired"]

    assert_stopped(result, "Airflow no longer accepts the credential", "queued")
    assert "a DAG run may take about" in verdict(result)


@pytest.mark.parametrize("name", ["FAB", *KEYCLOAK])
def test_a_wrong_password_or_secret_is_a_refused_credential(
    auth_scenarios_3: AuthScenarios, name: str
) -> None:
    assert_stopped(auth_scenarios_3.scenarios[f"{name}, wrong"], "Airflow refused the credential")


@pytest.mark.parametrize("name", ["FAB", *KEYCLOAK])
def test_a_credential_that_may_only_read_lacks_a_permission(
    auth_scenarios_3: AuthScenarios, name: str
) -> None:
    assert_stopped(auth_scenarios_3.scenarios[f"{name}, readonly"], "A permission is missing")


@pytest.mark.parametrize("name", ["simple", "FAB"])
def test_an_auth_manager_without_clients_is_an_error_without_the_secret(
    auth_scenarios_3: AuthScenarios, name: str
) -> None:
    """Airflow quotes the secret in its response."""
    result = auth_scenarios_3.scenarios[f"{name}, client"]

    assert_stopped(result, "This Airflow's login takes no client_id and client_secret")
    secret = auth_scenarios_3.services[CLIENT].good["client_secret"]
    parts = {secret[start : start + PART] for start in range(len(secret) - PART + 1)}
    assert {part for part in parts if part in result.log or part in result.summary} == set()


def test_a_refused_step_makes_no_run_of_airflow_3(auth_scenarios_3: AuthScenarios) -> None:
    assert runs_of_refused_steps(auth_scenarios_3.scenarios) == []


def test_a_refused_step_makes_no_run_of_airflow_2(auth_scenarios_2: ScenarioRunner) -> None:
    assert runs_of_refused_steps(auth_scenarios_2) == []


def test_a_password_changed_during_the_wait_is_no_longer_accepted(
    auth_scenarios_2: ScenarioRunner,
) -> None:
    assert_stopped(
        auth_scenarios_2["changed"], "Airflow no longer accepts the credential", "queued"
    )
    assert "Check whether the password was changed" in verdict(auth_scenarios_2["changed"])


@pytest.mark.parametrize("scenario", ["session only", "session only, wrong"])
def test_the_default_api_backend_of_airflow_2_refuses_every_password(
    auth_scenarios_2: ScenarioRunner, scenario: str
) -> None:
    """The error names the missing backend."""
    assert_stopped(auth_scenarios_2[scenario], "Airflow refused the credential")
    assert "basic_auth" in verdict(auth_scenarios_2[scenario])
