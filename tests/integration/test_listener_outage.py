"""Airflow's listener with a GitHub that is down, rate limited, redirected or an App's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.reporting import reporting
from tests.support.factories import SHA
from tests.support.fake_airflow.faults import Fault
from tests.support.services import GitHubApi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.reporting import ReportingScenario


@pytest.fixture
def scenario(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReportingScenario]:
    with reporting(listener, monkeypatch) as made:
        yield made


@pytest.mark.parametrize(
    "fault", [Fault.HTML_503, Fault.RESET, Fault.TRUNCATED_JSON, Fault.HTML_200, Fault.EMPTY_JSON]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_end_is_reported_once_after_an_outage(
    scenario: ReportingScenario, fault: Fault, when: Any
) -> None:
    scenario.begin_run()
    scenario.set_run("r1", "success")
    for skip in (0, 1):
        scenario.github.fault(fault, when=when, skip=skip)
        with pytest.raises(scenario.listener.TransientError):
            scenario.report("r1", "success")
    for _ in range(2):
        scenario.report("r1", "success")
    assert scenario.states == ["pending", "success"]


def test_a_rate_limit_is_retried_after_the_time_that_github_names(
    scenario: ReportingScenario,
) -> None:
    scenario.begin_run()
    scenario.github.limit()
    with pytest.raises(scenario.listener.TransientError, match="rate limit"):
        scenario.end_run("r1", "success")
    scenario.github.fault(Fault.TOO_MANY, retry_after=42)
    with pytest.raises(scenario.listener.TransientError) as caught:
        scenario.end_run("r1", "success")
    assert caught.value.pause == 42.0


def test_an_app_token_is_reused_until_it_expires(scenario: ReportingScenario) -> None:
    app = scenario.github.app
    fields = {
        "login": app.app_id,
        "password": app.private_key,
        "extra": {"installation_id": app.installation},
    }
    scenario.set_connection(**fields)
    for number in range(3):
        scenario.begin_run(f"r{number}")
        scenario.end_run(f"r{number}", "success")
    assert len(app.issued) == 1
    app.expire()
    with pytest.raises(scenario.listener.TransientError, match="401: 'Bad credentials'"):
        scenario.end_run("r2", "failed")
    scenario.end_run("r2", "failed")
    assert (scenario.states[-1], len(app.issued)) == ("failure", 2)


def test_a_read_only_token_is_a_permanent_error(
    listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reporting(listener, monkeypatch, can_write=()) as scenario:
        scenario.begin_run()
        with pytest.raises(
            listener.PermanentError, match="403: 'Resource not accessible by integration'"
        ):
            scenario.end_run("r1", "success")


def test_the_listener_does_not_follow_a_redirect(scenario: ReportingScenario) -> None:
    """The token is only for the address of the connection."""
    with GitHubApi({SHA: None}) as redirect_target:
        scenario.begin_run()
        scenario.github.redirect(307, redirect_target.url)
        with pytest.raises(scenario.listener.PermanentError, match="answered 307"):
            scenario.end_run("r1", "success")
        assert redirect_target.record == []
