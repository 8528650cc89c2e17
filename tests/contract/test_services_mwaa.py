"""The web server of the Amazon MWAA stand-in: web tokens and sessions in both versions."""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from dev.airflow_settings import password_of
from tests.contract.mwaa import LOGINS, MwaaScenario, opened
from tests.contract.services import summary_of
from tests.support.fake_airflow import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Callable[..., MwaaScenario]]:
    """Return a factory of environments with an Airflow of a version."""
    with contextlib.ExitStack() as stack:

        def build(version: str = "3.3.2", **options: Any) -> MwaaScenario:
            return stack.enter_context(opened(tmp_path, version, **options))

        yield build


@pytest.mark.parametrize("status", [302, 200])
@pytest.mark.parametrize("version", LOGINS)
def test_a_web_token_becomes_a_session_for_the_api(
    environment: Callable[..., MwaaScenario], version: str, status: int
) -> None:
    scenario = environment(version, login_status=status)
    answer = scenario.log_in(scenario.web_token())
    assert (answer.status_code, list(answer.cookies.keys())) == (status, [LOGINS[version][1]])
    assert ("Location" in answer.headers) is (status == 302)
    assert (
        scenario.client.trigger(scenario.fake, scenario.session(), scenario.web).status_code == 200
    )
    assert len(scenario.fake.runs("d")) == 1
    assert scenario.fake.record[-1].headers["Cookie"] is None


@pytest.mark.parametrize("version", LOGINS)
def test_a_web_token_is_valid_once(environment: Callable[..., MwaaScenario], version: str) -> None:
    """A used, stale or missing token is refused without a cookie."""
    scenario = environment(version)
    web_token = scenario.web_token()
    assert scenario.log_in(web_token).cookies
    scenario.mwaa.api.web_token_lives = -1
    for bad in (web_token, scenario.web_token(), ""):
        answer = scenario.log_in(bad)
        assert (answer.status_code, len(answer.cookies)) == (403, 0)


@pytest.mark.parametrize("version", LOGINS)
def test_the_login_of_the_other_version_is_missing_and_spends_no_token(
    environment: Callable[..., MwaaScenario], version: str
) -> None:
    scenario = environment(version)
    web_token = scenario.web_token()
    (other,) = set(LOGINS) - {version}
    assert scenario.log_in(web_token, other).status_code == (404 if version == "2.11.2" else 405)
    assert scenario.log_in(web_token).cookies


@pytest.mark.parametrize(
    ("version", "unknown", "expired"),
    [
        ("2.11.2", (403, "Forbidden"), (403, "Forbidden")),
        ("3.3.2", (401, "Not authenticated"), (401, "Token Expired")),
    ],
)
def test_an_ended_session_is_refused_and_a_new_one_accepted(
    environment: Callable[..., MwaaScenario],
    version: str,
    unknown: tuple[int, str],
    expired: tuple[int, str],
) -> None:
    scenario = environment(version)
    pair = base64.b64encode(f"admin:{password_of('admin')}".encode()).decode()
    assert summary_of(scenario.client.get_dag(scenario.fake, {}, scenario.web)) == unknown
    if version == "2.11.2":
        assert (
            summary_of(
                scenario.client.get_dag(
                    scenario.fake, {"Authorization": f"Basic {pair}"}, scenario.web
                )
            )
            == unknown
        )
    old = scenario.session()
    assert scenario.client.get_dag(scenario.fake, old, scenario.web).status_code == 200
    scenario.mwaa.web.expire_sessions()
    assert summary_of(scenario.client.get_dag(scenario.fake, old, scenario.web)) == expired
    assert (
        scenario.client.get_dag(scenario.fake, scenario.session(), scenario.web).status_code == 200
    )


@pytest.mark.parametrize("version", LOGINS)
def test_a_session_has_the_permissions_of_its_user(
    environment: Callable[..., MwaaScenario], version: str
) -> None:
    scenario = environment(version, user="viewer")
    assert (
        scenario.client.get_dag(scenario.fake, scenario.session(), scenario.web).status_code == 200
    )
    assert (
        scenario.client.trigger(scenario.fake, scenario.session(), scenario.web).status_code == 403
    )


def test_the_web_server_may_have_a_newer_host_name(
    environment: Callable[..., MwaaScenario],
) -> None:
    scenario = environment(web_domain="c2.airflow.{region}.on.aws")
    assert scenario.mwaa.web_host.endswith(".airflow.eu-west-1.on.aws")
    assert (
        scenario.client.get_dag(scenario.fake, scenario.session(), scenario.web).status_code == 200
    )


def test_both_servers_can_have_faults(environment: Callable[..., MwaaScenario]) -> None:
    scenario = environment()
    scenario.mwaa.api.fault(Fault.HTML_503)
    assert scenario.send(scenario.signed()).status_code == 503
    scenario.mwaa.web.fail_requests(Fault.TOO_MANY, on=("POST", "/login"), when="before")
    web_token = scenario.web_token()
    assert scenario.log_in(web_token).status_code == 429
    assert scenario.log_in(web_token).cookies


def test_a_job_has_the_keys_of_its_role_and_a_proxy_to_the_hosts(
    environment: Callable[..., MwaaScenario],
) -> None:
    scenario = environment()
    keys = {
        f"AWS_{name}" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION")
    }
    assert set(scenario.mwaa.environment) == keys
    assert set(scenario.mwaa.ports) == {
        f"{scenario.mwaa.api.host}:443",
        f"{scenario.mwaa.api.control_host}:443",
        f"{scenario.mwaa.web_host}:443",
    }
