"""Airflow's listener against the fake GitHub: what it reports and what it ignores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.github_api.marker import Marker, note_with_marker
from entrypoint.models import CANCELLED_MARK
from tests.integration.reporting import AIRFLOW, CONTEXT, PAGE, reporting
from tests.support.factories import SHA
from tests.support.listener import Configuration, Connection
from tests.support.services.github import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.reporting import ReportingScenario

STAGING = "https://staging.example.com"
"""The address of another Airflow."""
LONG_NAMES = [f"task_with_quite_a_long_name_{number}" for number in range(25)]


@pytest.fixture
def scenario(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReportingScenario]:
    with reporting(listener, monkeypatch) as made:
        yield made


@pytest.mark.parametrize(("state", "reported"), [("success", "success"), ("failed", "failure")])
def test_the_end_of_a_run_sets_its_commit_status_once(
    scenario: ReportingScenario, state: str, reported: str
) -> None:
    """A cleared run is pending again."""
    scenario.begin_run()
    scenario.report(announced="running")
    assert (scenario.states, scenario.posts) == (["pending"], 0)
    for _ in range(3):
        scenario.end_run("r1", state)
    assert scenario.states == ["pending", reported]
    assert scenario.last_status["target_url"] == PAGE.format("r1")
    assert (
        scenario.last_status["description"]
        == f"The DAG run {'succeeded' if state == 'success' else 'failed'} after 3 s"
    )
    for _ in range(2):
        scenario.end_run("r1", "running")
    scenario.end_run("r1", "success")
    assert scenario.report() is True
    assert scenario.states == ["pending", reported, "pending", "success"]
    assert scenario.posts == 3


def test_the_end_of_a_run_sets_the_state_of_its_own_deployment_once(
    scenario: ReportingScenario,
) -> None:
    scenario.begin_run("r1", "production")
    scenario.begin_run("r2", "production")
    one, other = (deployment["id"] for deployment in scenario.github.deployments)
    for _ in range(3):
        scenario.end_run("r1", "success", environment="production")
    assert scenario.github.deployment_states(one) == ["in_progress", "success"]
    assert scenario.github.deployment_states(other) == ["in_progress"]
    last = scenario.github.deployment_statuses(one)[-1]
    assert (last["log_url"], last["description"]) == (
        PAGE.format("r1"),
        "The DAG run succeeded after 3 s",
    )
    for state in ("running", "running", "failed"):
        scenario.end_run("r1", state, environment="production")
    assert scenario.github.deployment_states(one) == [
        "in_progress",
        "success",
        "in_progress",
        "failure",
    ]


def test_a_deployment_that_a_later_success_made_inactive_stays_inactive(
    scenario: ReportingScenario,
) -> None:
    scenario.begin_run("r1", "staging")
    (deployment,) = scenario.github.deployments
    scenario.end_run("r1", "success", environment="staging")
    scenario.github.settle(deployment["id"], "inactive")
    scenario.end_run("r1", "success", environment="staging")
    assert scenario.github.deployment_states(deployment["id"]) == [
        "in_progress",
        "success",
        "inactive",
    ]


@pytest.mark.parametrize("environment", [None, "production"])
def test_a_run_that_the_action_has_not_reported_is_never_reported(
    scenario: ReportingScenario, environment: str | None
) -> None:
    """Anybody can write a note."""
    if environment is None:
        scenario.github.report(
            SHA, "pending", "airflow / other", PAGE.format("r1").replace("sales", "other")
        )
        scenario.github.report(SHA, "pending", CONTEXT, PAGE.format("r2"))
        scenario.github.report(SHA, "pending", "airflow / other", PAGE.format("r1"))
        scenario.github.report(SHA, "pending", CONTEXT)
        scenario.begin_run("r1", airflow=STAGING)
        scenario.begin_run("r1", airflow=f"{AIRFLOW}/team")
        scenario.github.report(SHA, "pending", CONTEXT, "http://[")
    else:
        scenario.begin_run("r2", environment)
        scenario.begin_run("r1", "staging")
        scenario.begin_run("r1", environment, airflow=STAGING)
    before = scenario.posts
    for state in ("success", "failed"):
        scenario.end_run("r1", state, environment=environment)
    assert scenario.posts == before


@pytest.mark.parametrize(("state", "states"), [("success", []), ("failed", ["failure"])])
def test_an_earlier_run_replaces_the_status_of_a_later_one_only_with_a_failure(
    scenario: ReportingScenario, state: str, states: list[str]
) -> None:
    """A success would hide the later run."""
    scenario.begin_run("r1")
    scenario.begin_run("r2")
    for _ in range(2):
        scenario.end_run("r1", state)
    assert scenario.states == ["pending", "pending", *states]


# Several Airflows.


@pytest.mark.parametrize("environment", [None, "production"])
@pytest.mark.parametrize("state", ["success", "failed"])
def test_each_airflow_reports_its_own_run_of_the_same_id(
    scenario: ReportingScenario, environment: str | None, state: str
) -> None:
    for airflow in (AIRFLOW, STAGING, f"{AIRFLOW}:8443"):
        scenario.begin_run("r1", environment, airflow=airflow)
    reported = "success" if state == "success" else "failure"
    for _ in range(2):
        scenario.end_run("r1", state, environment=environment)
    if environment:
        assert scenario.deployment_states == [
            ["in_progress", reported],
            ["in_progress"],
            ["in_progress"],
        ]
        return
    # The status belongs to the last Airflow now; only a failure may replace it.
    assert scenario.states == ["pending"] * 3 + (["failure"] if state == "failed" else [])
    assert scenario.last_status["target_url"].startswith(
        f"{AIRFLOW}/" if state == "failed" else f"{AIRFLOW}:8443/"
    )


@pytest.mark.parametrize("environment", [None, "production"])
@pytest.mark.parametrize("airflows", [(), (AIRFLOW,)], ids=["theirs", "both"])
def test_a_note_that_names_another_airflow_changes_nothing(
    scenario: ReportingScenario, environment: str | None, airflows: tuple[str, ...]
) -> None:
    for airflow in (*airflows, STAGING):
        scenario.begin_run("r1", environment, airflow=airflow)
    before = len(scenario.github.record)
    for state in ("success", "failed", "running"):
        with pytest.raises(scenario.listener.PermanentError) as caught:
            scenario.end_run("r1", state, environment=environment, airflow=STAGING)
        assert str(caught.value) == (
            f"its note names the Airflow at {STAGING}, and this one is at {AIRFLOW}. If "
            "workflows use that address, add it to the extra of airflow_dag_run_github as "
            "airflow_url"
        )
    assert len(scenario.github.record) == before


@pytest.mark.parametrize("environment", [None, "production"])
@pytest.mark.parametrize(
    "extra",
    [
        *(
            "https://flow.example.com/team",
            "HTTPS://Flow.Example.com:443/team/",
            ["https://flow.example.com:443/team"],
        ),
        ["http://airflow-webserver:8080", "https://FLOW.example.com/team//"],
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "used", ["https://flow.example.com/team", "https://Flow.example.com:443/team"]
)
def test_an_address_in_the_connection_extra_is_this_airflows_in_any_spelling(
    scenario: ReportingScenario, environment: str | None, extra: Any, used: str
) -> None:
    scenario.set_connection(password=scenario.github.token, extra={"airflow_url": extra})
    scenario.begin_run("r1", environment, airflow=used)
    scenario.end_run("r1", "success", environment=environment, airflow=used)
    settled = scenario.deployment_states if environment else [scenario.states]
    assert settled == [["in_progress" if environment else "pending", "success"]]


@pytest.mark.parametrize("section", ["api", "webserver"])
def test_without_an_extra_the_address_is_airflows_base_url(
    scenario: ReportingScenario, section: str
) -> None:
    """A note never matches an unknown base_url."""
    Configuration.known = {(section, "base_url"): "http://Flow.example.com:8080/"}
    scenario.begin_run("r1", airflow="http://flow.example.com:8080")
    scenario.end_run("r1", "success", airflow="http://flow.example.com:8080")
    assert scenario.states == ["pending", "success"]
    with pytest.raises(
        scenario.listener.PermanentError,
        match=r"this one is at http://flow\.example\.com:8080\. If",
    ):
        scenario.end_run("r1", "failed")
    Configuration.known = {}
    with pytest.raises(
        scenario.listener.PermanentError, match=r"this one is at no known address\. If"
    ):
        scenario.end_run("r1", "failed", airflow="http://flow.example.com:8080")
    assert scenario.states == ["pending", "success"]


def test_a_status_is_found_behind_pages_of_others(scenario: ReportingScenario) -> None:
    scenario.begin_run("r1")
    for number in range(150):
        scenario.github.report(SHA, "success", f"check {number}")
    scenario.end_run("r1", "failed")
    assert scenario.states == ["pending", "failure"]


# Forged notes.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"repository": "octo-org/secrets"},
            "octo-org/secrets is not among the repositories of airflow_dag_run_github",
        ),
        ({"repository": "octo-org/sale"}, "octo-org/sale is not among"),
        (
            {"api_url": "https://evil.example.com"},
            "its note names the GitHub API at https://evil.example.com, and",
        ),
        (
            {"airflow": STAGING},
            f"its note names the Airflow at {STAGING}, and this one is at {AIRFLOW}",
        ),
        # The action writes the canonical form only.
        ({"airflow": f"{AIRFLOW}/"}, f"its note names the Airflow at {AIRFLOW}/, and"),
    ],
)
def test_a_marker_of_another_repository_github_or_airflow_sends_nothing(
    scenario: ReportingScenario, wrong: dict[str, str], message: str
) -> None:
    scenario.begin_run()
    marker = Marker(AIRFLOW, scenario.github.url, REPOSITORY, SHA, None)._replace(**wrong)
    with pytest.raises(scenario.listener.PermanentError) as caught:
        scenario.end_run("r1", "success", note=note_with_marker("", marker))
    assert message in str(caught.value)
    assert scenario.github.record == []


def test_capitals_and_a_trailing_slash_make_no_difference(
    listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reporting(listener, monkeypatch, repositories=("Octo-Org/sales",)) as scenario:
        scenario.begin_run()
        scenario.set_connection(password=scenario.github.token, host=f"{scenario.github.url}/")
        scenario.end_run(
            "r1",
            "success",
            note=note_with_marker(
                "", Marker(AIRFLOW, f"{scenario.github.url}/", "Octo-Org/sales", SHA, None)
            ),
        )
        assert scenario.states == ["pending", "success"]


def test_a_run_without_a_marker_reads_no_connection_and_sends_nothing(
    scenario: ReportingScenario,
) -> None:
    Connection.known.clear()
    for note in (None, "Deployed", "airflow-dag-run: {}"):
        scenario.set_run("r1", "success", note=note)
        assert scenario.report("r1", "success") is False
    scenario.runs.clear()
    assert scenario.report("r1", "success") is False
    assert scenario.github.record == []


def test_a_state_is_reported_only_once_it_is_committed(scenario: ReportingScenario) -> None:
    scenario.begin_run()
    with pytest.raises(scenario.listener.NotCommittedError):
        scenario.report("r1", "success")
    assert scenario.github.record == []
    scenario.set_run("r1", "failed")
    scenario.report("r1", None)
    assert scenario.states == ["pending", "failure"]


def test_a_database_error_is_retried_without_showing_its_text(
    scenario: ReportingScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text may contain a password."""

    def fail(*_: str) -> None:
        raise OSError("postgresql://airflow:Zq8-password@db/airflow")

    monkeypatch.setattr(scenario.listener, "read_run", fail)
    with pytest.raises(
        scenario.listener.TransientError, match=r"^Airflow's database cannot be read \(OSError\)$"
    ):
        scenario.report()


# Descriptions of an end.


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_cancelled_run_is_a_failure_in_any_final_state(
    scenario: ReportingScenario, state: str
) -> None:
    scenario.begin_run()
    scenario.end_run("r1", state, text=f"\n{CANCELLED_MARK}")
    assert scenario.states == ["pending", "failure"]
    assert (
        scenario.last_status["description"] == "The DAG run was stopped: its workflow was cancelled"
    )


@pytest.mark.parametrize(
    ("failed", "description"),
    [
        ((), "The DAG run failed after 3 s"),
        (("extract", "load[3]"), "The DAG run failed after 3 s: extract, load[3]"),
        (tuple(LONG_NAMES), "The DAG run failed after 3 s: task_with_quite_a_long_name_0, "),
        (tuple("ab" * 10 + "c"), f"The DAG run failed after 3 s: {', '.join('ab' * 10)}, …"),
        (("x" * 110,), f"The DAG run failed after 3 s: {'x' * 110}"),
        (("x" * 111,), f"The DAG run failed after 3 s: {'x' * 109}…"),
        (("x" * 250,), f"The DAG run failed after 3 s: {'x' * 109}…"),
    ],
)
def test_the_description_names_failed_tasks_within_140_characters(
    scenario: ReportingScenario, failed: tuple[str, ...], description: str
) -> None:
    scenario.begin_run()
    scenario.end_run("r1", "failed", failed=failed)
    described = scenario.last_status["description"]
    assert described.startswith(description)
    assert len(described) <= 140
    assert described.endswith("…") is (len(", ".join(failed)) > 110 or len(failed) > 20)
