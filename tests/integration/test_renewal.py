"""Logins that are renewed: a wait of several lifetimes, refusals, and requests sent once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import scenarios
from tests.support.fake_airflow import FakeDag, Fault
from tests.support.step import run_step, run_whole_step
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.scenarios import AuthScenario

    Opener = Callable[..., AbstractContextManager[AuthScenario]]

LIFETIME = 20
WAIT = 3 * LIFETIME + 10
POLL = 5
SHORT_LIVED: dict[str, Opener] = {
    "AWS role, web, 2": partial(scenarios.mwaa_with_role, version="2.11.2", access="web"),
    "AWS role, web, 3": partial(scenarios.mwaa_with_role, version="3.3.2", access="web"),
    "AWS role, InvokeRestApi, 2": partial(
        scenarios.mwaa_with_role, version="2.11.2", access="rest_api"
    ),
    "AWS role, InvokeRestApi, 3": partial(
        scenarios.mwaa_with_role, version="3.3.2", access="rest_api"
    ),
    "Google, access token": scenarios.google,
    "Google, proxy": scenarios.iap_with_google,
    "Google, ID token": partial(scenarios.iap_with_google, password=False),
    "Keycloak": scenarios.keycloak_chain,
}
"""Logins with tokens of LIFETIME seconds."""


@pytest.fixture(params=SHORT_LIVED)
def scenario(request: pytest.FixtureRequest) -> Iterator[AuthScenario]:
    with SHORT_LIVED[request.param]("user", lifetime=LIFETIME) as opened:
        yield opened


def run(
    scenario: AuthScenario, monkeypatch: pytest.MonkeyPatch, time: VirtualTime, **inputs: str
) -> Any:
    for name, text in scenario.environment.items():
        monkeypatch.setenv(name, text)
    given = scenario.inputs | {"dag_id": "sales", "poll_interval": str(POLL)} | inputs
    return (run_whole_step if "dags" in inputs else run_step)(
        given, scenario.environment, time=time
    )


def refusals(scenario: AuthScenario) -> list[tuple[str, str, int | None]]:
    """Return each request that a stand-in refused for its credential.

    A 400 of InvokeRestApi is an error of Airflow, whose own status it relays.
    """
    relayed = [one for server in scenario.servers for one in getattr(server, "relayed", ())]
    received = [
        (one.method, one.path, one.status)
        for server in scenario.servers
        for one in server.record
        if one.status in (401, 403) or (one.status == 400 and "/restapi/" not in one.path)
    ]
    return received + [one for one in relayed if one[2] in (400, 401, 403)]


def test_no_request_is_refused_during_three_lifetimes(
    scenario: AuthScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.airflow.deploy(FakeDag("sales", polls=WAIT // POLL))
    time = VirtualTime(moves_wall=True)
    outcome = run(scenario, monkeypatch, time)

    assert outcome.result == "success", outcome.error
    assert outcome.waited >= 3 * LIFETIME
    assert refusals(scenario) == []
    if "mwaa_environment" not in scenario.inputs or "mwaa_access" in scenario.inputs:
        assert 4 <= scenario.grants() <= 9


def test_several_runs_share_each_renewed_credential(
    scenario: AuthScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("sales", "stock", "returns")
    for name in names:
        scenario.airflow.deploy(FakeDag(name, polls=WAIT // POLL))
    outcome = run(
        scenario, monkeypatch, VirtualTime(moves_wall=True), dag_id="", dags="\n".join(names)
    )

    assert outcome.result == "success", outcome.error
    assert refusals(scenario) == []
    assert scenario.grants() <= 9


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
@pytest.mark.parametrize("status", [200, 400, 403])
def test_no_error_shows_a_derived_secret(
    scenario: AuthScenario, monkeypatch: pytest.MonkeyPatch, status: int, kind: str
) -> None:
    """A debugging gateway in front of each service answers with the request. The guard looks."""
    for server in scenario.servers:
        if server is not scenario.airflow:
            server.echo(status, kind, times=3)
        outcome = run(scenario, monkeypatch, VirtualTime())

        assert outcome.result in ("error", "success")


@pytest.mark.parametrize("executed", [False, True], ids=["refused", "executed"])
@pytest.mark.parametrize("fault", [Fault.JSON_401, Fault.JSON_403])
@pytest.mark.parametrize("name", ["Google, access token", "Keycloak", "AWS role, web, 2"])
def test_a_refused_trigger_is_sent_again_only_if_there_is_no_run(
    name: str, fault: Fault, executed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal may come from a gateway, after Airflow has executed the request."""
    with SHORT_LIVED[name]("user") as scenario:
        scenario.airflow.fault(
            fault, on=("POST", "/dagRuns"), when="after" if executed else "before"
        )
        outcome = run(scenario, monkeypatch, VirtualTime(), if_run_exists="fail")

        if fault is Fault.JSON_403 and name.startswith("Google") and not executed:
            assert outcome.error.title == "A permission is missing"
            return
        assert (outcome.result, outcome.created) == ("success", True), outcome.error
        assert len(scenario.airflow.runs("sales")) == 1
        assert len(scenario.airflow.received("POST", "/dagRuns")) == (1 if executed else 2)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [Fault.HTML_504, Fault.RESET, Fault.TOO_MANY, Fault.HTML_403])
def test_a_trigger_through_invoke_rest_api_makes_one_run(
    fault: Fault, when: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS fails or refuses before or after it has relayed the trigger."""
    with SHORT_LIVED["AWS role, InvokeRestApi, 3"]("user") as scenario:
        api = scenario.servers[0]
        # Two requests for the version, then one for the DAG.
        api.fault(fault, on=("POST", "/restapi/*"), when=when, skip=2)
        outcome = run(scenario, monkeypatch, VirtualTime(), if_run_exists="fail")

        assert (outcome.result, outcome.created) == ("success", True), outcome.error
        assert len(scenario.airflow.runs("sales")) == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_a_missing_permission_for_the_address_costs_only_the_links(
    allowed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with SHORT_LIVED["AWS role, InvokeRestApi, 3"]("user") as scenario:
        if not allowed:
            scenario.servers[0].deny("GetEnvironment")
        outcome = run(scenario, monkeypatch, VirtualTime())

        assert outcome.result == "success", outcome.error
        assert ("airflow:GetEnvironment" in capsys.readouterr().out) is not allowed
        assert (".console.aws.amazon.com/mwaa/home" in outcome.run_url) is not allowed
        assert scenario.grants() == 1


@pytest.mark.parametrize("name", ["AWS role, InvokeRestApi, 2", "AWS role, InvokeRestApi, 3"])
@pytest.mark.parametrize("dags", ["", "sales"])
def test_a_dry_run_names_what_aws_does_not_carry(
    name: str, dags: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with SHORT_LIVED[name]("user") as scenario:
        given = {"dags": dags, "dag_id": ""} if dags else {}
        outcome = run(scenario, monkeypatch, VirtualTime(), dry_run="true", **given)

        assert outcome.result == "checked", outcome.error
        assert (
            "InvokeRestApi cannot carry this request. Not checked: on_cancel"
            in capsys.readouterr().out
        )
        assert scenario.airflow.runs("sales") == []


@pytest.mark.parametrize("name", ["AWS role, InvokeRestApi, 2", "AWS role, InvokeRestApi, 3"])
def test_a_stop_through_invoke_rest_api_is_confirmed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS carries the path of the derived run id, but not that of its note in Airflow 2."""
    with SHORT_LIVED[name]("admin") as scenario:
        scenario.airflow.deploy(FakeDag("sales", polls=1000))
        outcome = run(scenario, monkeypatch, VirtualTime(), timeout="30s", on_timeout="cancel")

        assert (outcome.result, outcome.stopped) == ("timeout", "yes"), outcome.stop_error
        assert scenario.airflow.runs("sales")[0].state == "failed"


@pytest.mark.parametrize("logs", ["live", "all"])
@pytest.mark.parametrize("name", ["AWS role, InvokeRestApi, 2", "AWS role, InvokeRestApi, 3"])
def test_logs_that_aws_does_not_carry_are_left_out_with_one_sentence(
    name: str, logs: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with SHORT_LIVED[name]("user") as scenario:
        scenario.airflow.deploy(FakeDag("sales", polls=20))
        outcome = run(scenario, monkeypatch, VirtualTime(), logs=logs, run_id="r1")

        printed = capsys.readouterr().out
        assert outcome.result == "success", outcome.error
        assert printed.count("InvokeRestApi carries no task logs") == 1
        assert "not shown completely" not in printed
        assert "while it runs" not in printed


def test_a_refused_trigger_of_one_of_several_runs_is_adopted_after_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gateway refuses the response of a trigger that Airflow has executed, and then fails."""
    with SHORT_LIVED["Google, access token"]("user") as scenario:
        airflow = scenario.airflow
        airflow.deploy(FakeDag("stock"))
        airflow.fault(Fault.JSON_401, on=("POST", "/dagRuns"), when="after")
        airflow.fault(Fault.HTML_503, on=("GET", "/dagRuns/*"), skip=1)
        outcome = run(
            scenario,
            monkeypatch,
            VirtualTime(),
            dag_id="",
            dags="sales\nstock",
            if_run_exists="fail",
        )

        assert outcome.result == "success", [each.error for each in outcome.runs]
        assert [(each.result, each.created) for each in outcome.runs] == [("success", True)] * 2
        assert len(airflow.received("POST", "/dagRuns")) == 2


@pytest.mark.parametrize("name", ["AWS role, InvokeRestApi, 2", "AWS role, InvokeRestApi, 3"])
def test_an_xcom_that_aws_does_not_carry_is_an_error_before_the_trigger(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SHORT_LIVED[name]("user") as scenario:
        for xcom in ("load", "load:k"):
            outcome = run(scenario, monkeypatch, VirtualTime(), run_id="r1", xcom=xcom)
            fits = xcom == "load:k"
            assert (outcome.error is None or outcome.run is not None) is fits, outcome.error
            assert bool(scenario.airflow.runs("sales")) is fits
