"""A step that is cancelled or killed at any moment leaves no DAG run behind.

CI tests a few random moments each time. CANCEL_MOMENTS=40 KILL_MOMENTS=20 is the full number for
each Airflow; INTERRUPTION_SEED repeats a failed choice.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.container.interruptions import (
    LIMIT,
    SIGTERM_AFTER,
    TIMEOUT,
    InterruptedSteps,
    kill,
    number_from_env,
    random_moments,
    seed,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult
    from tests.container.forms import AnyLauncher, MakeLauncher

OUT_OF_MEMORY = 128 + signal.SIGKILL


def test_a_cancel_at_any_moment_leaves_no_active_run(
    airflow: LocalAirflow,
    make_launcher: MakeLauncher,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The main stage ends within 8 s."""
    chosen = seed()
    steps = InterruptedSteps(airflow, make_launcher, tmp_path)
    moments = random_moments(
        number_from_env("CANCEL_MOMENTS", 5),
        ("trigger", "wait", "connect", "start-up", "report"),
        chosen,
    )

    steps.run(moments, lambda running, _: running.cancel())

    for interruption in steps.interruptions:
        # Docker may lose a SIGINT before the container has started
        # (docs/notes/runner.md#signals-and-process-1); then the SIGTERM follows.
        lost = interruption.moment.phase == "start-up" and interruption.took > SIGTERM_AFTER
        if interruption.took > (LIMIT + 1 if lost else LIMIT):
            interruption.wrong.append("too late")
    with capsys.disabled():
        print(steps.report("cancels", chosen))
    steps.assert_no_errors()


def test_the_post_stage_stops_the_run_of_a_step_killed_at_any_moment(
    airflow: LocalAirflow,
    make_launcher: MakeLauncher,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = seed()
    steps = InterruptedSteps(airflow, make_launcher, tmp_path)

    steps.run(
        random_moments(number_from_env("KILL_MOMENTS", 3), ("trigger", "wait"), chosen), killed
    )

    with capsys.disabled():
        print(steps.report("kills", chosen))
    steps.assert_no_errors()


def killed(running: RunningStep, launcher: AnyLauncher) -> StepResult:
    kill(launcher)
    result = running.wait(TIMEOUT)
    assert result.exit_code == OUT_OF_MEMORY, result.log
    return result
