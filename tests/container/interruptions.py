"""Interrupt steps at random moments, and check what Airflow has afterwards.

The phases of a step are measured once by its log, so that moments are spread evenly over them.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from dev.engine import docker
from dev.runner import ActionStep, Container, Native

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult
    from tests.container.forms import AnyLauncher, MakeLauncher

DAG = "slow_sales"
TIMEOUT = 120.0
ALIVE = ("queued", "running")
LIMIT = 8.0
"""Seconds from the first signal to the end of the main stage."""
SIGTERM_AFTER = 7.5
GONE_WITHIN = 3.0
"""Seconds that the engine may take to remove a container that has ended."""
POSTS_AT_ONCE = 3

PHASES = {
    "start-up": "",
    "connect": "uses http, so",
    "trigger": " answers at http",
    "wait": "Follow it at",
    "report": "The DAG run is success",
}
"""The phases of a step, with the text in its log with which each begins."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point within a phase: `fraction` of its length after its beginning."""

    number: int
    phase: str
    fraction: float


@dataclass(slots=True)
class Interruption:
    """The outcome of one interrupted step. `wrong` lists what must not be."""

    moment: Moment
    run_id: str
    took: float = 0.0
    verdict: str = ""
    log: str = ""
    saved: bool = False
    before_post: str | None = None
    after_post: str | None = None
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        where = f"{self.moment.phase} {self.moment.fraction:.0%}"
        states = f"{self.before_post} before the post stage, {self.after_post} after it"
        return (
            f"{self.moment.number}: {where}, run {self.run_id}, main ended after "
            f"{self.took:.2f} s with {self.verdict!r}, "
            f"{states}: {'; '.join(self.wrong) or 'fine'}\n{self.log}"
        )


def number_from_env(name: str, default: int) -> int:
    """Return the number in the environment, or a default that CI has time for."""
    return int(os.environ.get(name) or default)


def seed() -> int:
    """Return INTERRUPTION_SEED, or a random one."""
    return number_from_env("INTERRUPTION_SEED", secrets.randbelow(10**6))


def random_moments(count: int, phases: Sequence[str], chosen: int) -> list[Moment]:
    """Return random moments, spread evenly over the phases; the same for the same seed."""
    rng = random.Random(chosen)  # noqa: S311 - no secret
    return [Moment(number, phases[number % len(phases)], rng.random()) for number in range(count)]


def state_of(airflow: LocalAirflow, run_id: str) -> str | None:
    """Return the state of a run by Airflow's API; None if there is no such run."""
    with airflow.session() as session:
        answer = session.get(
            f"{airflow.url}{airflow.api}/dags/{DAG}/dagRuns/{run_id}", timeout=TIMEOUT
        )
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    state: str = answer.json()["state"]
    return state


class InterruptedSteps:
    """Steps, each interrupted once. Post stages run beside later main stages."""

    def __init__(self, airflow: LocalAirflow, make_launcher: MakeLauncher, workspace: Path) -> None:
        airflow.wait_for_dag(DAG)
        self.interruptions: list[Interruption] = []
        self._airflow = airflow
        self._make_launcher = make_launcher
        self._workspace = workspace
        self._name = f"interrupted-{secrets.token_hex(4)}"
        self._lengths = self._measure()

    def run(
        self, moments: Sequence[Moment], interrupt: Callable[[RunningStep, AnyLauncher], StepResult]
    ) -> None:
        """Interrupt a step at each moment, run its post stage, and check its DAG run."""
        with ThreadPoolExecutor(POSTS_AT_ONCE) as posts:
            pending = []
            for moment in moments:
                interruption = Interruption(moment, f"{self._name}-{moment.number}")
                step, launcher = self._step(
                    interruption.run_id, seconds=0 if moment.phase == "report" else 600
                )
                self._interrupt(step, launcher, interruption, interrupt)
                pending.append(posts.submit(self._run_post, step, launcher, interruption))
                self.interruptions.append(interruption)
        for done in pending:
            done.result()
        for interruption in self.interruptions:
            if (
                state := state_of(self._airflow, interruption.run_id)
            ) != interruption.after_post or state in ALIVE:
                interruption.wrong.append(
                    f"{interruption.after_post} after the post stage, {state} in the end"
                )

    def assert_no_errors(self) -> None:
        """Fail with the log of each step with an error."""
        if wrong := [
            str(interruption) for interruption in self.interruptions if interruption.wrong
        ]:
            pytest.fail("\n".join(wrong), pytrace=False)

    def report(self, what: str, chosen: int) -> str:
        """Return the figures on one line."""
        done = self.interruptions
        phases = ", ".join(
            f"{phase} {count}"
            for phase, count in Counter(b.moment.phase for b in self.interruptions).items()
        )
        late = sum(one.took > SIGTERM_AFTER for one in done)
        return (
            f"\nAirflow {self._airflow.version}: {len(done)} {what} ({phases}; "
            f"INTERRUPTION_SEED={chosen}): main ended within "
            f"{max(one.took for one in done):.2f} "
            f"s{f' ({late} by SIGTERM, Docker lost the SIGINT)' if late else ''}; "
            f"run id saved {sum(one.saved for one in done)} times, run found "
            "before the post stage "
            f"{sum(one.before_post is not None for one in done)} times, alive "
            f"{sum(one.before_post in ALIVE for one in done)} times; "
            f"after it {dict(Counter(one.after_post for one in done))}; "
            f"main said {dict(Counter(one.verdict for one in done))}"
        )

    def _step(self, run_id: str, *, seconds: float) -> tuple[ActionStep, AnyLauncher]:
        inputs = {
            "airflow_url": self._airflow.url,
            "username": "user",
            "password": self._airflow.users["user"],
            "dag_id": DAG,
            "run_id": run_id,
            "conf": json.dumps({"seconds": seconds}),
        }
        launcher = self._make_launcher()
        return ActionStep(inputs, launcher=launcher, workspace=self._workspace), launcher

    def _measure(self) -> dict[str, float]:
        """Return the length of each phase in seconds, measured with an uninterrupted step."""
        step, _ = self._step(f"{self._name}-measured", seconds=0)
        times: list[float] = [time.monotonic()]
        marks = [mark for mark in PHASES.values() if mark]

        def note(line: str) -> None:
            if len(times) <= len(marks) and marks[len(times) - 1] in line:
                times.append(time.monotonic())

        with step.start(show=note) as running:
            result = running.wait(TIMEOUT)
        times.append(time.monotonic())
        assert result.exit_code == 0, result.log
        assert len(times) == len(PHASES) + 1, result.log
        return {
            name: end - begin for name, begin, end in zip(PHASES, times, times[1:], strict=False)
        }

    def _interrupt(
        self,
        step: ActionStep,
        launcher: AnyLauncher,
        interruption: Interruption,
        interrupt: Callable[[RunningStep, AnyLauncher], StepResult],
    ) -> None:
        with step.start() as running:
            if mark := PHASES[interruption.moment.phase]:
                running.wait_for(mark, TIMEOUT)
            time.sleep(interruption.moment.fraction * self._lengths[interruption.moment.phase])
            began = time.monotonic()
            main = interrupt(running, launcher)
            interruption.took = time.monotonic() - began
            if is_left_behind(launcher):
                interruption.wrong.append("its container or process still exists")
        interruption.log = main.log
        interruption.verdict = main.annotations[-1].title if main.annotations else ""
        interruption.saved = step.state.get("RUNS", "[]") != "[]"
        interruption.before_post = state_of(self._airflow, interruption.run_id)
        if interruption.moment.phase != "start-up":
            # While Python starts, a signal ends it with a traceback of its own
            # (docs/notes/runner.md#signals-and-process-1).
            interruption.wrong += _errors_in(main, "main")

    def _run_post(
        self, step: ActionStep, launcher: AnyLauncher, interruption: Interruption
    ) -> None:
        post = step.run("post", timeout=TIMEOUT)
        interruption.after_post = state_of(self._airflow, interruption.run_id)
        interruption.wrong += _errors_in(post, "post")
        if interruption.after_post in ALIVE:
            interruption.wrong.append(
                f"{interruption.after_post} after the post stage:\n{post.log}"
            )
        if post.exit_code:
            interruption.wrong.append(f"the post stage failed:\n{post.log}")
        if is_left_behind(launcher):
            interruption.wrong.append("the post stage's container or process still exists")


def is_left_behind(launcher: AnyLauncher) -> bool:
    """Whether a container or process still exists after it had time to end.

    A container that never started is ignored, because the client died while the engine created it.
    """
    if isinstance(launcher, Container) and docker(
        "ps", "--all", f"--filter=label={launcher.label}", "--filter=status=created", "--quiet"
    ):
        launcher.remove_leftovers()
    deadline = time.monotonic() + GONE_WITHIN
    while launcher.leftovers():
        if time.monotonic() > deadline:
            return True
        time.sleep(0.1)
    return False


def kill(launcher: AnyLauncher) -> None:
    """Kill the process of the action, not its client, with the signal of the out-of-memory killer.

    The replay's Node stands for the docker client.
    """
    if isinstance(launcher, Native):
        for pid in launcher.pythons():
            os.kill(int(pid), signal.SIGKILL)
    else:
        docker("kill", "--signal=KILL", *launcher.leftovers())


def _errors_in(result: StepResult, stage: str) -> list[str]:
    return [
        f"{stage} says {word}:\n{result.raw}"
        for word in ("Traceback", "Exception ignored")
        if word in result.raw
    ]
