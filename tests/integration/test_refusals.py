"""A refusal, a silence, a cut handshake, in the middle of a wait and just before it: what passes
ends nothing.
"""

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
from tests.support.step import CONTEXT, run_gate
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSALS = [Fault.JSON_401, Fault.JSON_403, Fault.HTML_403, Fault.CACHED_404]


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """An Airflow with a DAG whose runs end at the tenth look."""
    with FakeAirflow(request.param, dags=[FakeDag("sales", looks=10)]) as running:
        yield running


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_short_refusal_ends_no_wait(fake: FakeAirflow, fault: Fault, times: int) -> None:
    """A role that is just synchronised, a replica with another key, a rate rule, a cache."""
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=4, times=times)
    assert run_gate(fake, poll_interval="2").result == "success"


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_refusal_that_stays_is_believed_after_a_minute(fake: FakeAirflow, fault: Fault) -> None:
    """The wait does not last until the timeout, and the run is named."""
    time = VirtualTime()
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=4, times=10_000)
    outcome = run_gate(fake, time=time, poll_interval="2", timeout="1h")
    assert outcome.result == "error"
    assert outcome.run_url is not None
    assert REFUSAL_SECONDS <= time.now - 1000 <= 5 * REFUSAL_SECONDS


@pytest.mark.parametrize("fault", REFUSALS[:3])
def test_a_refusal_while_a_lost_trigger_is_settled(fake: FakeAirflow, fault: Fault) -> None:
    """The run may be there: a short refusal is waited out, a lasting one leaves the run named."""
    fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=1, times=1)
    assert run_gate(fake, run_id="r1").result == "success"
    assert len(fake.runs("sales")) == 1

    fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=1, times=10_000)
    outcome = run_gate(fake, run_id="r2", timeout="1h")
    assert isinstance(outcome.error, TriggerUnclear)
    assert "r2" in outcome.error.detail
    assert "r2" in (outcome.run_url or "")


def test_a_refusal_of_a_trigger_that_is_repeated(fake: FakeAirflow) -> None:
    """The first one may have made the run, whatever is said of the second."""
    fake.fault(Fault.HTML_504, on=("POST", "/dagRuns"))
    fake.fault(Fault.JSON_403, on=("POST", "/dagRuns"), times=10_000)
    outcome = run_gate(fake, run_id="r1")
    assert isinstance(outcome.error, TriggerUnclear)
    assert "r1" in (outcome.run_url or "")


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HTML_503, Fault.HTML_200, Fault.JSON_500])
def test_a_silence_at_the_deadline_is_named(fake: FakeAirflow, fault: Fault) -> None:
    """Nobody knows how the run is: that is no timeout of the run."""
    fake.fault(fault, on=("GET", "/dagRuns/*"), skip=4, times=10_000)
    outcome = run_gate(fake, timeout="5m", poll_interval="2")
    assert outcome.result == "error"
    assert isinstance(outcome.error, StateUnknown)
    assert "last seen running" in outcome.error.detail
    assert outcome.stopped is None


def test_a_silence_that_ends_in_time_is_none(fake: FakeAirflow) -> None:
    """The run's own end counts."""
    fake.fault(Fault.HTML_503, on=("GET", "/dagRuns/*"), skip=4, times=8)
    assert run_gate(fake, timeout="10m", poll_interval="2").result == "success"


def test_a_run_whose_time_is_over_is_stopped_after_a_silence(fake: FakeAirflow) -> None:
    """Where the user wants it stopped, and Airflow answers again."""
    fake.fault(Fault.HTML_503, on=("GET", "/dagRuns/*"), skip=4, times=6)
    outcome = run_gate(fake, timeout="40s", poll_interval="2", on_timeout="cancel")
    assert (outcome.result, outcome.stopped, fake.runs("sales")[0].state) == (
        "error",
        "yes",
        "failed",
    )


@pytest.mark.parametrize("status", [Fault.HTML_502, Fault.HTML_503])
def test_a_gateway_that_fails_for_the_paths_of_airflow_3_only(status: Fault) -> None:
    """An Airflow 2 behind it is found all the same, at once."""
    with FakeAirflow("2.11.2", dags=[FakeDag("sales")]) as fake:
        fake.fault(status, on=("GET", "/api/v2/version"), times=10_000)
        time = VirtualTime()
        assert run_gate(fake, time=time).result == "success"
        assert fake.received("GET", "/api/v2/version")
        assert time.now - 1000 < 30


@pytest.mark.parametrize(
    "fault", [Fault.HTML_503, Fault.JSON_500, Fault.TOO_MANY_DAY, Fault.REDIRECT_LATIN, Fault.HUGE]
)
@pytest.mark.parametrize("path", ["/taskInstances", "/logs/1", "/importErrors"])
@pytest.mark.parametrize("ends", ["success", "failed"])
def test_what_explains_decides_nothing(fault: Fault, path: str, ends: str) -> None:
    """However long it fails, the verdict is Airflow's."""
    dag = FakeDag("sales", tasks=(FakeTask("extract", ends=ends),), ends=ends)
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        fake.fault(fault, on=("GET", path), times=10_000)
        assert run_gate(fake, logs="all").result == ends


@pytest.mark.parametrize("ends", ["success", "failed"])
@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_a_fault_of_ours_in_what_explains_decides_nothing(
    version: Version, ends: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It costs its explanation, and is said."""
    whole = OptionalRequests.fetch

    def ask(
        self: OptionalRequests, feature: object, look: object, otherwise: object, **how: bool
    ) -> object:
        def broken() -> object:
            raise ZeroDivisionError

        del look
        return whole(self, feature, broken, otherwise, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(OptionalRequests, "fetch", ask)
    with FakeAirflow(version, dags=[FakeDag("sales", ends=ends)]) as fake:
        assert run_gate(fake).result == ends
    assert "The action itself failed" in capsys.readouterr().out


def test_tasks_on_which_the_verdict_depends_are_read_on(fake: FakeAirflow) -> None:
    """With fail_on_failed_tasks a green without them would be a guess, and a short failure is no
    reason for red.
    """
    fake.fault(Fault.HTML_503, on=("GET", "/taskInstances"), skip=2, times=12)
    assert run_gate(fake, fail_on_failed_tasks="true", poll_interval="2").result == "success"


# What the verdict, or an output that was asked for, needs.


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("logs", ["all", "none"])
@pytest.mark.parametrize(("skip", "times"), [(0, 1), (1, 1), (2, 1), (0, 2), (1, 3)])
def test_a_short_refusal_of_the_tasks_costs_no_verdict(
    fake: FakeAirflow, fault: Fault, logs: str, skip: int, times: int
) -> None:
    """With fail_on_failed_tasks they are needed, whenever they were refused for once."""
    fake.fault(fault, on=("GET", "/taskInstances"), skip=skip, times=times)
    outcome = run_gate(fake, fail_on_failed_tasks="true", logs=logs)
    assert (outcome.result, outcome.disabled_features) == ("success", ()), outcome.error
    assert outcome.tasks


@pytest.mark.parametrize(
    ("fault", "permission"),
    [(Fault.JSON_403, True), (Fault.HTML_403, False), (Fault.HTML_503, False)],
)
def test_tasks_that_stay_unread_are_told_as_what_they_are(
    fake: FakeAirflow, fault: Fault, permission: bool
) -> None:
    """A gateway's refusal, or a silence, is no missing permission of Airflow's."""
    fake.fault(fault, on=("GET", "/taskInstances"), times=10_000)
    outcome = run_gate(fake, fail_on_failed_tasks="true")
    assert outcome.error is not None
    assert (outcome.result, outcome.error.title) == (
        "error",
        "Whether tasks failed could not be read",
    )
    said = f"{outcome.error.hint} {outcome.disabled_features}"
    assert ("can read on Task Instances" in said) is permission
    assert ("gateway's credential" in said) is (fault is Fault.HTML_403)


@pytest.mark.parametrize("fault", [Fault.JSON_403, Fault.HTML_403])
@pytest.mark.parametrize("logs", ["all", "none"])
def test_what_stays_refused_is_asked_for_seldom(fake: FakeAirflow, fault: Fault, logs: str) -> None:
    """Until it is believed it costs a few requests, and then none."""
    fake.deploy(FakeDag("sales", looks=200))
    fake.fault(fault, on=("GET", "/taskInstances"), times=10_000)
    outcome = run_gate(fake, poll_interval="5", timeout="1h", logs=logs)
    assert outcome.result == "success"
    assert len(outcome.disabled_features) == 1
    assert len(fake.received("GET", "/taskInstances")) <= 2 * REFUSAL_RESPONSES


@pytest.mark.parametrize("fault", REFUSALS[:3])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_short_refusal_costs_no_output(fault: Fault, times: int) -> None:
    """An XCom that was asked for is there in the end."""
    for version in ("3.3.2", "2.11.2"):
        dag = FakeDag("sales", tasks=(FakeTask("load", xcom={"return_value": 7}),))
        with FakeAirflow(version, dags=[dag]) as fake:
            fake.fault(fault, on=("GET", "/xcomEntries/*"), times=times)
            outcome = run_gate(fake, xcom="load")
            assert (outcome.result, outcome.xcom, outcome.disabled_features) == (
                "success",
                {"load": 7},
                (),
            ), outcome.error


# At the end of the time.


@pytest.mark.parametrize("fault", [*REFUSALS, Fault.HTML_503])
@pytest.mark.parametrize("since", [100, 270, 295])
@pytest.mark.parametrize("times", [2, 10_000])
def test_a_refusal_at_the_deadline_is_no_verdict(
    fake: FakeAirflow, fault: Fault, since: int, times: int
) -> None:
    """The run is stopped as the user asked, and nobody says that it was deleted or the credential
    refused.
    """
    fake.deploy(FakeDag("sales", looks=10_000))
    if since == 100 and times > 2 and fault is not Fault.HTML_503:
        return  # that is believed
    time = after(since, lambda: fake.fault(fault, on=("GET", "/dagRuns/*"), times=times))
    outcome = run_gate(fake, time=time, timeout="300s", on_timeout="cancel")
    assert isinstance(outcome.error, StateUnknown) or outcome.result == "timeout"
    assert fake.runs("sales")[0].state == "failed"
    assert outcome.stopped in ("yes", "unconfirmed")
    for text in (outcome_message(outcome).detail, summary(outcome, CONTEXT)):
        assert (
            "The run was stopped"
            if outcome.stopped == "yes"
            else "did not confirm that the run was stopped"
        ) in text


def test_a_last_look_that_fails_is_no_silence(fake: FakeAirflow) -> None:
    """A moment ago Airflow said that the run goes on."""
    fake.deploy(FakeDag("sales", looks=10_000))
    time = after(299, lambda: fake.fault(Fault.HTML_503, on=("GET", "/dagRuns/*"), times=10_000))
    outcome = run_gate(fake, time=time, timeout="300s")
    assert (outcome.result, outcome.error) == ("timeout", None)


def test_a_silence_ends_with_the_start_timeout(fake: FakeAirflow) -> None:
    """And says since when nothing is known."""
    fake.deploy(FakeDag("sales", looks=10_000))
    fake.scheduler("unhealthy")
    fake.states("sales", ["queued"])
    time = after(5, lambda: fake.fault(Fault.HTML_503, times=10_000))
    outcome = run_gate(fake, time=time, timeout="1h", start_timeout="60s")
    assert isinstance(outcome.error, StateUnknown), outcome.error
    assert "last seen queued" in outcome.error.detail
    assert 1060 <= time.now <= 1100


# A run that is continued.


@pytest.mark.parametrize("fault", [*REFUSALS[:3], Fault.HTML_404])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "on", [("GET", "/taskInstances"), ("POST", "/clearTaskInstances"), ("POST", "/clear")]
)
def test_a_short_refusal_ends_no_resume(
    fake: FakeAirflow, fault: Fault, times: int, on: tuple[str, str]
) -> None:
    """The task list and the clear are repeated, and the run goes on."""
    fake.create_run("sales", "r1", state="failed", note=derive_note(CONTEXT))
    fake.fault(fault, on=on, times=times)
    outcome = run_gate(fake, run_id="r1")
    assert (outcome.result, outcome.taken_over) == ("success", "resumed"), outcome.error
