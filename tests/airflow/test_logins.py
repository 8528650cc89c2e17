"""Every way in to the real Airflows: who is let in, who is turned away and why, and what comes of a
credential that dies.

A wrong password and a missing permission at the doors that all tests use, Airflow 3's simple auth
manager and Airflow 2 with the basic_auth backend, are in `test_gate.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import the_run, verdict
from tests.airflow.scenario import Stage
from tests.airflow.scenarios.services import REFUSED, WAITING, through_2
from tests.airflow.services import CLIENT

if TYPE_CHECKING:
    from dev.airflow import LocalAirflow
    from dev.runner import StepResult
    from tests.airflow.scenarios.services import Through

KEYCLOAK = ("Keycloak", CLIENT)
ALL = ("simple", "FAB", *KEYCLOAK)
PART = 8
"""Characters of a secret that are too many to be shown."""


@pytest.fixture(scope="module")
def two(airflow_2: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """What steps met at the doors of a real Airflow 2, all over."""
    stage = Stage(airflow_2, tmp_path_factory.mktemp("doors-2"))
    through_2(stage)
    return stage


def assert_stopped(result: StepResult, title: str, state: str | None = None) -> None:
    """The step ended red with this title, while its DAG run was in that state, or without any."""
    assert (result.exit_code, result.outputs["result"], result.outputs.get("state")) == (
        1,
        "error",
        state,
    ), result.log
    assert verdict(result).startswith(f"{title}: "), verdict(result)


@pytest.mark.parametrize("name", ALL[:3])
def test_the_auth_managers_are_airflows_own(through_3: Through, name: str) -> None:
    """Behind each door is the auth manager that the door is named after."""
    assert through_3.doors[name].manager.lower().startswith(f"{name.lower()} auth manager")


@pytest.mark.parametrize("name", ALL)
def test_a_credential_is_renewed(through_3: Through, name: str) -> None:
    """A DAG run that waits beyond the life of the first token is followed to its end, and makes the
    step green.
    """
    result = through_3.stage[f"{name}, renewed"]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert verdict(result).startswith("DAG run succeeded: ")
    assert the_run(through_3.stage.airflow, WAITING, result.outputs["run_id"])["state"] == "success"
    logins = through_3.doors[name].proxy.received("POST", "/auth/token")
    assert len(logins) >= 2
    assert set(logins) == {201}


@pytest.mark.parametrize("name", ALL)
def test_it_is_renewed_in_time(through_3: Through, name: str) -> None:
    """A token is renewed before it dies: no look at the DAG run is refused."""
    looks = through_3.doors[name].proxy.received("GET", "/dagRuns/*")

    assert 200 in looks
    assert not {401, 403} & set(looks)


@pytest.mark.parametrize("name", ALL)
def test_a_ready_token_dies(through_3: Through, name: str) -> None:
    """A token that cannot be renewed and dies during the wait ends the step red, with how long a
    run may take with it.
    """
    result = through_3.stage[f"{name}, outlived"]

    assert_stopped(result, "Airflow no longer accepts the credential", "queued")
    assert "A DAG run may take about" in verdict(result)


@pytest.mark.parametrize("name", ["FAB", *KEYCLOAK])
def test_a_wrong_credential(through_3: Through, name: str) -> None:
    """A wrong password or secret is named as such."""
    assert_stopped(through_3.stage[f"{name}, wrong"], "Airflow refused the credential")


@pytest.mark.parametrize("name", ["FAB", *KEYCLOAK])
def test_a_missing_permission(through_3: Through, name: str) -> None:
    """Who may read but not create is told that a permission is missing, not that the credential is
    bad.
    """
    assert_stopped(through_3.stage[f"{name}, poor"], "A permission is missing")


@pytest.mark.parametrize("name", ["simple", "FAB"])
def test_a_client_at_the_wrong_door(through_3: Through, name: str) -> None:
    """An auth manager that takes no clients is named as such; not even a part of the secret is
    shown, which Airflow quotes.
    """
    result = through_3.stage[f"{name}, client"]

    assert_stopped(result, "This Airflow's login takes no client_id and client_secret")
    secret = through_3.doors[CLIENT].good["client_secret"]
    parts = {secret[start : start + PART] for start in range(len(secret) - PART + 1)}
    assert {part for part in parts if part in result.log or part in result.summary} == set()


@pytest.mark.parametrize("fixture", ["through_3", "two"])
def test_who_is_refused_makes_no_run(request: pytest.FixtureRequest, fixture: str) -> None:
    """By Airflow's own record there is no DAG run of a step that was turned away."""
    over = request.getfixturevalue(fixture)
    airflow = over.airflow if isinstance(over, Stage) else over.stage.airflow

    assert [
        run for run in airflow.runs("quick_success") if run["dag_run_id"].startswith(REFUSED)
    ] == []


def test_a_password_is_changed(two: Stage) -> None:
    """A password of Airflow 2 that is changed during the wait ends the step red, as one that was
    good before.
    """
    assert_stopped(two["changed"], "Airflow no longer accepts the credential", "queued")
    assert "Was the password changed" in verdict(two["changed"])


@pytest.mark.parametrize("play", ["session only", "session only, wrong"])
def test_a_backend_without_passwords(two: Stage, play: str) -> None:
    """An Airflow 2 with the API backend that it has by default refuses every password, and the one
    that it lacks is named.
    """
    assert_stopped(two[play], "Airflow refused the credential")
    assert "basic_auth" in verdict(two[play])
