"""Which DAG runs a step saves for its post stage, at odd moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entrypoint.diagnostics.collector import Diagnostics
from entrypoint.run.trigger import trigger
from entrypoint.runners import github
from tests.integration.test_several_runs import WITHOUT_END, cancel
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault
from tests.support.step import run_against, saved_runs
from tests.support.virtual_time import after

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_the_post_stage_knows_that_on_timeout_has_stopped_the_run(
    state_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=WITHOUT_END)]) as fake:

        def explain(*_: object) -> None:
            fake.fault(Fault.RESET, times=WITHOUT_END)
            cancel()

        monkeypatch.setattr(Diagnostics, "explain_end", explain)
        outcome = run_against(fake, timeout="20s", on_timeout="cancel")
    assert (outcome.result, outcome.stopped) == ("cancelled", "unconfirmed")
    assert [run.stopped for run in saved_runs(state_file)] == [True]


def create_before_trigger(
    fake: FakeAirflow, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None
) -> None:
    """Let another workflow create the run just before this step's trigger."""

    def racing(airflow: Any, request: Any, *args: Any, **more: Any) -> Any:
        fake.create_run("sales", request.run_id, note="another workflow")
        then()
        return trigger(airflow, request, *args, **more)

    monkeypatch.setattr("entrypoint.step_run.trigger", racing)


def test_a_cancel_while_the_state_is_saved_leaves_no_foreign_run_to_stop(
    state_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, interrupts = github.save_state, [cancel]

    def save_state(name: str, value: str) -> bool:
        if (name, value) == ("RUNS", "[]") and interrupts:
            interrupts.pop()()
        return save(name, value)

    monkeypatch.setattr(github, "save_state", save_state)
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=WITHOUT_END)]) as fake:
        create_before_trigger(fake, monkeypatch)
        assert run_against(fake, run_id="deploy-1").result == "cancelled"
    assert not interrupts
    assert saved_runs(state_file) == []


def test_a_full_disk_leaves_no_foreign_run_to_stop(
    state_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=WITHOUT_END)]) as fake:
        create_before_trigger(
            fake, monkeypatch, lambda: monkeypatch.setattr("actions_toolkit.core.save_state", full)
        )
        outcome = run_against(fake, run_id="deploy-1", time=after(30, cancel))
    assert (outcome.result, outcome.stopped) == ("cancelled", "left")
    assert "deploy-1" not in state_file.read_text()
