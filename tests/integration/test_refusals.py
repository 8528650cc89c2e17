"""Short refusals and outages do not end a step, before or during the wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.errors import StateUnknown, TriggerUnclear
from entrypoint.http.retry import REFUSAL_RESPONSES, REFUSAL_SECONDS
from entrypoint.report.summary import summary
from entrypoint.report.wording import outcome_message
from entrypoint.run.request import derive_note
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.step import CONTEXT, run_against
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSALS = [Fault.JSON_401, Fault.JSON_403, Fault.HTML_403, Fault.CACHED_404]


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=[FakeDag("sales", polls=10)]) as running:
        yield running


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_short_refusal_does_not_end_the_wait(fake: FakeAirflow, fault: Fault, times: int) -> None:
    """A role that is just synchronised, a replica with another key, a rate rule or a cache can
    cause it.
    """
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=4, times=times)
    assert run_against(fake, poll_interval="2").result == "success"


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_lasting_refusal_ends_the_wait_after_a_minute_and_names_the_run(
    fake: FakeAirflow, fault: Fault
) -> None:
    time = VirtualTime()
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=4, times=10_000)
    outcome = run_against(fake, time=time, poll_interval="2", timeout="1h")
    assert outcome.result == "error"
    assert outcome.run_url is not None
    assert REFUSAL_SECONDS <= time.now - 1000 <= 5 * REFUSAL_SECONDS


@pytest.mark.parametrize("fault", REFUSALS[:3])
def test_a_refusal_after_a_lost_trigger_is_retried_and_then_names_the_run(
    fake: FakeAirflow, fault: Fault
) -> None:
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=1, times=1)
    assert run_against(fake, run_id="r1").result == "success"
    assert len(fake.runs("sales")) == 1

    fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=1, times=10_000)
    outcome = run_against(fake, run_id="r2", timeout="1h")
    assert isinstance(outcome.error, TriggerUnclear)
    assert "r2" in outcome.error.detail
    assert "r2" in (outcome.run_url or "")


def test_a_refused_second_trigger_leaves_the_first_one_unclear(fake: FakeAirflow) -> None:
    """The first request may have made the run."""
    fake.fault(Fault.HTML_504, on=("POST", "/dagRuns"))
    fake.fault(Fault.JSON_403, on=("POST", "/dagRuns"), times=10_000)
    outcome = run_against(fake, run_id="r1")
    assert isinstance(outcome.error, TriggerUnclear)
    assert "r1" in (outcome.run_url or "")


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HTML_503, Fault.HTML_200, Fault.JSON_500])
def test_an_outage_at_the_deadline_is_an_unknown_state(fake: FakeAirflow, fault: Fault) -> None:
    """It is not a timeout of the run."""
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=4, times=10_000)
    outcome = run_against(fake, timeout="5m", poll_interval="2")
    assert outcome.result == "error"
    assert isinstance(outcome.error, StateUnknown)
    assert "last known state is running" in outcome.error.detail
    assert outcome.stopped is None


def test_an_outage_that_ends_in_time_does_not_change_the_result(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_503, on=("GET", "/dagRuns/*"), skip=4, times=8)
    assert run_against(fake, timeout="10m", poll_interval="2").result == "success"


def test_on_timeout_cancel_stops_the_run_after_an_outage(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_503, on=("GET", "/dagRuns/*"), skip=4, times=6)
    outcome = run_against(fake, timeout="40s", poll_interval="2", on_timeout="cancel")
    assert (outcome.result, outcome.stopped, fake.runs("sales")[0].state) == (
        "error",
        "yes",
        "failed",
    )


@pytest.mark.parametrize("status", [Fault.HTML_502, Fault.HTML_503])
def test_airflow_2_is_detected_behind_a_gateway_that_fails_for_airflow_3_paths(
    status: Fault,
) -> None:
    with FakeAirflow("2.11.2", dags=[FakeDag("sales")]) as fake:
        fake.fault(status, on=("GET", "/api/v2/version"), times=10_000)
        time = VirtualTime()
        assert run_against(fake, time=time).result == "success"
        assert fake.received("GET", "/api/v2/version")
        assert time.now - 1000 < 30


@pytest.mark.parametrize(
    "fault", [Fault.HTML_503, Fault.JSON_500, Fault.TOO_MANY_DAY, Fault.REDIRECT_LATIN, Fault.HUGE]
)
@pytest.mark.parametrize("path", ["/taskInstances", "/logs/1", "/importErrors"])
@pytest.mark.parametrize("ends", ["success", "failed"])
def test_a_lasting_fault_of_optional_requests_does_not_change_the_result(
    fault: Fault, path: str, ends: str
) -> None:
    dag = FakeDag("sales", tasks=(FakeTask("extract", ends=ends),), ends=ends)
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        fake.fault(fault, on=("GET", path), times=10_000)
        assert run_against(fake, logs="all").result == ends


@pytest.mark.parametrize("ends", ["success", "failed"])
@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_a_bug_in_optional_requests_is_logged_and_leaves_the_result(
    version: Version, ends: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original_fetch = OptionalRequests.fetch

    def fetch_broken(
        self: OptionalRequests, feature: object, fetch: object, default: object, **how: bool
    ) -> object:
        def broken() -> object:
            raise ZeroDivisionError

        del fetch
        return original_fetch(self, feature, broken, default, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(OptionalRequests, "fetch", fetch_broken)
    with FakeAirflow(version, dags=[FakeDag("sales", ends=ends)]) as fake:
        assert run_against(fake).result == ends
    assert "The action itself failed" in capsys.readouterr().out


def test_task_requests_are_retried_with_fail_on_failed_tasks(fake: FakeAirflow) -> None:
    """Without the tasks the result would be a guess."""
    fake.fault(Fault.HTML_503, on=("GET", "/taskInstances"), skip=2, times=12)
    assert run_against(fake, fail_on_failed_tasks="true", poll_interval="2").result == "success"


# Requests that the result or a requested output needs.


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("logs", ["all", "none"])
@pytest.mark.parametrize(("skip", "times"), [(0, 1), (1, 1), (2, 1), (0, 2), (1, 3)])
def test_a_short_refusal_of_the_tasks_does_not_change_the_result(
    fake: FakeAirflow, fault: Fault, logs: str, skip: int, times: int
) -> None:
    """With fail_on_failed_tasks the result depends on them."""
    fake.fault(fault, on=("GET", "/taskInstances"), skip=skip, times=times)
    outcome = run_against(fake, fail_on_failed_tasks="true", logs=logs)
    assert (outcome.result, outcome.disabled_features) == ("success", ()), outcome.error
    assert outcome.tasks


@pytest.mark.parametrize(
    ("fault", "permission"),
    [(Fault.JSON_403, True), (Fault.HTML_403, False), (Fault.HTML_503, False)],
)
def test_unread_tasks_are_a_missing_permission_only_if_airflow_says_so(
    fake: FakeAirflow, fault: Fault, permission: bool
) -> None:
    """A gateway can refuse the request as well."""
    fake.fault(fault, on=("GET", "/taskInstances"), times=10_000)
    outcome = run_against(fake, fail_on_failed_tasks="true")
    assert outcome.error is not None
    assert (outcome.result, outcome.error.title) == (
        "error",
        "The task instances could not be read",
    )
    texts = f"{outcome.error.hint} {outcome.disabled_features}"
    assert ("can read on Task Instances" in texts) is permission
    assert ("gateway's credential" in texts) is (fault is Fault.HTML_403)


@pytest.mark.parametrize("fault", [Fault.JSON_403, Fault.HTML_403])
@pytest.mark.parametrize("logs", ["all", "none"])
def test_a_lasting_refusal_of_the_tasks_costs_few_requests(
    fake: FakeAirflow, fault: Fault, logs: str
) -> None:
    fake.deploy(FakeDag("sales", polls=200))
    fake.fault(fault, on=("GET", "/taskInstances"), times=10_000)
    outcome = run_against(fake, poll_interval="5", timeout="1h", logs=logs)
    assert outcome.result == "success"
    assert len(outcome.disabled_features) == 1
    assert len(fake.received("GET", "/taskInstances")) <= 2 * REFUSAL_RESPONSES


@pytest.mark.parametrize("fault", REFUSALS[:3])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_short_refusal_does_not_lose_a_requested_xcom(fault: Fault, times: int) -> None:
    for version in ("3.3.2", "2.11.2"):
        dag = FakeDag("sales", tasks=(FakeTask("load", xcom={"return_value": 7}),))
        with FakeAirflow(version, dags=[dag]) as fake:
            fake.fault(fault, on=("GET", "/xcomEntries/*"), times=times)
            outcome = run_against(fake, xcom="load")
            assert (outcome.result, outcome.xcom, outcome.disabled_features) == (
                "success",
                {"load": 7},
                (),
            ), outcome.error


# Refusals at the deadline.


@pytest.mark.parametrize("fault", [*REFUSALS, Fault.HTML_503])
@pytest.mark.parametrize("since", [100, 270, 295])
@pytest.mark.parametrize("times", [2, 10_000])
def test_a_refusal_at_the_deadline_stops_the_run_as_requested(
    fake: FakeAirflow, fault: Fault, since: int, times: int
) -> None:
    fake.deploy(FakeDag("sales", polls=10_000))
    if since == 100 and times > 2 and fault is not Fault.HTML_503:
        return  # long enough to count as permanent
    time = after(since, lambda: fake.fault(fault, on=("GET", "/dagRuns/*"), times=times))
    outcome = run_against(fake, time=time, timeout="300s", on_timeout="cancel")
    assert isinstance(outcome.error, StateUnknown) or outcome.result == "timeout"
    assert fake.runs("sales")[0].state == "failed"
    assert outcome.stopped in ("yes", "unconfirmed")
    for text in (outcome_message(outcome).detail, summary(outcome, CONTEXT)):
        assert (
            "The run was stopped"
            if outcome.stopped == "yes"
            else "did not confirm that the run was stopped"
        ) in text


def test_a_failed_last_poll_is_a_normal_timeout(fake: FakeAirflow) -> None:
    """Airflow said a moment before that the run goes on."""
    fake.deploy(FakeDag("sales", polls=10_000))
    time = after(299, lambda: fake.fault(Fault.HTML_503, on=("GET", "/dagRuns/*"), times=10_000))
    outcome = run_against(fake, time=time, timeout="300s")
    assert (outcome.result, outcome.error) == ("timeout", None)


def test_an_outage_ends_with_the_start_timeout(fake: FakeAirflow) -> None:
    fake.deploy(FakeDag("sales", polls=10_000))
    fake.scheduler("unhealthy")
    fake.states("sales", ["queued"])
    time = after(5, lambda: fake.fault(Fault.HTML_503, times=10_000))
    outcome = run_against(fake, time=time, timeout="1h", start_timeout="60s")
    assert isinstance(outcome.error, StateUnknown), outcome.error
    assert "last known state is queued" in outcome.error.detail
    assert 1060 <= time.now <= 1100


# Resumed runs.


@pytest.mark.parametrize("fault", [*REFUSALS[:3], Fault.HTML_404])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "on", [("GET", "/taskInstances"), ("POST", "/clearTaskInstances"), ("POST", "/clear")]
)
def test_a_short_refusal_does_not_end_a_resume(
    fake: FakeAirflow, fault: Fault, times: int, on: tuple[str, str]
) -> None:
    fake.create_run("sales", "r1", state="failed", note=derive_note(CONTEXT))
    fake.fault(fault, on=on, times=times)
    outcome = run_against(fake, run_id="r1")
    assert (outcome.result, outcome.taken_over) == ("success", "resumed"), outcome.error
