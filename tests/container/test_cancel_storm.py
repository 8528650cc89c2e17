"""Cancelled or killed at any moment, the step leaves no DAG run behind: many moments, against real
Airflows.

CI affords a few moments each time, different ones every time. CANCEL_MOMENTS=40 KILL_MOMENTS=20 is
the full figure for each Airflow; STORM_SEED repeats one that failed.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from dev.engine import docker
from tests.container.storm import LIMIT, PATIENCE, SIGTERM_AFTER, Storm, draw, figure, seed

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from dev.airflow import LocalAirflow
    from dev.runner import Container, RunningStep, StepResult

OUT_OF_MEMORY = 128 + signal.SIGKILL


def test_cancel(
    airflow: LocalAirflow, image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whenever the workflow is cancelled, main is gone within 8 s, and the post stage leaves no run
    queued or running.
    """
    chosen = seed()
    storm = Storm(airflow, image, tmp_path)
    moments = draw(
        figure("CANCEL_MOMENTS", 5), ("trigger", "wait", "connect", "start-up", "report"), chosen
    )

    storm.rage(moments, lambda running, _: running.cancel())

    for blow in storm.blows:
        # Before the container is up Docker may lose the SIGINT
        # (docs/notes/runner.md#signals-and-process-1); then the SIGTERM has to do.
        lost = blow.moment.phase == "start-up" and blow.took > SIGTERM_AFTER
        if blow.took > (LIMIT + 1 if lost else LIMIT):
            blow.wrong.append("too late")
    with capsys.disabled():
        print(storm.report("cancels", chosen))
    storm.result_of()


def test_kill(
    airflow: LocalAirflow, image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whenever the step's process is killed, as by a lack of memory, the post stage stops the DAG
    run.
    """
    chosen = seed()
    storm = Storm(airflow, image, tmp_path)

    storm.rage(draw(figure("KILL_MOMENTS", 3), ("trigger", "wait"), chosen), kill)

    with capsys.disabled():
        print(storm.report("kills", chosen))
    storm.result_of()


def kill(running: RunningStep, launcher: Container) -> StepResult:
    """Kill the container's process and see the step fail of it."""
    docker("kill", "--signal=KILL", *launcher.leftovers())
    result = running.wait(PATIENCE)
    assert result.exit_code == OUT_OF_MEMORY, result.log
    return result
