"""A refusal, a silence, a cut handshake, in the middle of a wait and just before it: what passes ends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrypoint.errors import AirflowSilent, TriggerUnclear
from entrypoint.gate.extras import Extras
from entrypoint.gate.patience import BELIEVED
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.gate import run_gate
from tests.support.virtual import VirtualTime

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
    assert BELIEVED <= time.now - 1000 <= 5 * BELIEVED


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
    assert isinstance(outcome.error, AirflowSilent)
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
    assert (outcome.result, outcome.stopped, fake.runs("sales")[0].state) == ("error", "yes", "failed")


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
    whole = Extras.ask

    def ask(self: Extras, feature: object, look: object, otherwise: object, **how: bool) -> object:
        def broken() -> object:
            raise ZeroDivisionError

        del look
        return whole(self, feature, broken, otherwise, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Extras, "ask", ask)
    with FakeAirflow(version, dags=[FakeDag("sales", ends=ends)]) as fake:
        assert run_gate(fake).result == ends
    assert "The action itself failed" in capsys.readouterr().out


def test_tasks_on_which_the_verdict_depends_are_read_on(fake: FakeAirflow) -> None:
    """With fail_on_failed_tasks a green without them would be a guess, and a short failure is no reason for red."""
    fake.fault(Fault.HTML_503, on=("GET", "/taskInstances"), skip=2, times=12)
    assert run_gate(fake, fail_on_failed_tasks="true", poll_interval="2").result == "success"
