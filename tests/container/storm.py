"""Random moments in the life of a step, spread evenly over its phases, and what Airflow's own
record says afterwards.

The phases are told by the step's own log and measured once, so that a slow machine does not move
all moments into the first.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from dev.engine import docker
from dev.runner import Container, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult

DAG = "slow_sales"
PATIENCE = 120.0
ALIVE = ("queued", "running")
LIMIT = 8.0
"""Seconds from the first signal to the end of the main stage."""
SIGTERM_AFTER = 7.5
GONE_WITHIN = 3.0
"""Seconds that the engine may take to remove a container that has ended."""
POSTS_AT_ONCE = 3

PHASES = {
    "start-up": "",
    "connect": "is http, so whoever",
    "trigger": " answers at http",
    "wait": "Follow it at",
    "report": "The DAG run is success",
}
"""Each phase of a step, and the words in its log with which it begins; the last one ends with the
process.
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point within a phase: `fraction` of its length after its beginning."""

    number: int
    phase: str
    fraction: float


@dataclass(slots=True)
class Blow:
    """What came of one step that was hit at one moment. `wrong` says what should not be."""

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
            f"{self.moment.number}: {where}, run {self.run_id}, main gone after "
            f"{self.took:.2f} s saying {self.verdict!r}, "
            f"{states}: {'; '.join(self.wrong) or 'fine'}\n{self.log}"
        )


def figure(name: str, default: int) -> int:
    """The number that the environment gives, or the one that CI can afford."""
    return int(os.environ.get(name) or default)


def seed() -> int:
    """STORM_SEED, or a new one."""
    return figure("STORM_SEED", secrets.randbelow(10**6))


def draw(count: int, phases: Sequence[str], chosen: int) -> list[Moment]:
    """That many moments, as many in each phase as in any other, give or take one; the same for the
    same seed.
    """
    rng = random.Random(chosen)  # noqa: S311 - no secret
    return [Moment(number, phases[number % len(phases)], rng.random()) for number in range(count)]


def state_of(airflow: LocalAirflow, run_id: str) -> str | None:
    """The state of a run, by Airflow's own record; None if there is no such run."""
    with airflow.session() as session:
        answer = session.get(
            f"{airflow.url}{airflow.api}/dags/{DAG}/dagRuns/{run_id}", timeout=PATIENCE
        )
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    state: str = answer.json()["state"]
    return state


class Storm:
    """Steps in front of one Airflow, each of which is hit once; their post stages overlap with the
    next steps' main ones.
    """

    def __init__(self, airflow: LocalAirflow, image: str, workspace: Path) -> None:
        airflow.wait_for_dag(DAG)
        self.blows: list[Blow] = []
        self._airflow = airflow
        self._image = image
        self._workspace = workspace
        self._name = f"storm-{secrets.token_hex(4)}"
        self._lengths = self._measure()

    def rage(
        self, moments: Sequence[Moment], hit: Callable[[RunningStep, Container], StepResult]
    ) -> None:
        """Hit one step at each moment, run its post stage, and look what became of its DAG run, at
        once and in the end.
        """
        with ThreadPoolExecutor(POSTS_AT_ONCE) as posts:
            pending = []
            for moment in moments:
                blow = Blow(moment, f"{self._name}-{moment.number}")
                step, launcher = self._step(
                    blow.run_id, seconds=0 if moment.phase == "report" else 600
                )
                self._hit(step, launcher, blow, hit)
                pending.append(posts.submit(self._tidy_up, step, launcher, blow))
                self.blows.append(blow)
        for done in pending:
            done.result()
        for blow in self.blows:
            if (state := state_of(self._airflow, blow.run_id)) != blow.after_post or state in ALIVE:
                blow.wrong.append(f"{blow.after_post} after the post stage, {state} in the end")

    def result_of(self) -> None:
        """Fail, with the log of each step after which something is not as it should be, if there is
        one.
        """
        if wrong := [str(blow) for blow in self.blows if blow.wrong]:
            pytest.fail("\n".join(wrong), pytrace=False)

    def report(self, what: str, chosen: int) -> str:
        """The figures, on one line."""
        phases = ", ".join(
            f"{phase} {count}"
            for phase, count in Counter(b.moment.phase for b in self.blows).items()
        )
        late = sum(blow.took > SIGTERM_AFTER for blow in self.blows)
        return (
            f"\nAirflow {self._airflow.version}: {len(self.blows)} {what} ({phases}; "
            f"STORM_SEED={chosen}): main gone within "
            f"{max(blow.took for blow in self.blows):.2f} "
            f"s{f' ({late} by SIGTERM, Docker lost the SIGINT)' if late else ''}; "
            f"run id saved {sum(blow.saved for blow in self.blows)} times, run there "
            "before the post stage "
            f"{sum(blow.before_post is not None for blow in self.blows)} times, alive "
            f"{sum(blow.before_post in ALIVE for blow in self.blows)} times; "
            f"after it {dict(Counter(blow.after_post for blow in self.blows))}; "
            f"main said {dict(Counter(blow.verdict for blow in self.blows))}"
        )

    def _step(self, run_id: str, *, seconds: float) -> tuple[Step, Container]:
        inputs = {
            "airflow_url": self._airflow.url,
            "username": "user",
            "password": self._airflow.users["user"],
            "dag_id": DAG,
            "run_id": run_id,
            "conf": json.dumps({"seconds": seconds}),
        }
        launcher = Container(self._image)
        return Step(inputs, launcher=launcher, workspace=self._workspace), launcher

    def _measure(self) -> dict[str, float]:
        """The length of each phase in seconds, of a step that nobody hits."""
        step, _ = self._step(f"{self._name}-measured", seconds=0)
        times: list[float] = [time.monotonic()]
        marks = [words for words in PHASES.values() if words]

        def note(line: str) -> None:
            if len(times) <= len(marks) and marks[len(times) - 1] in line:
                times.append(time.monotonic())

        with step.start(show=note) as running:
            result = running.wait(PATIENCE)
        times.append(time.monotonic())
        assert result.exit_code == 0, result.log
        assert len(times) == len(PHASES) + 1, result.log
        return {
            name: end - begin for name, begin, end in zip(PHASES, times, times[1:], strict=False)
        }

    def _hit(
        self,
        step: Step,
        launcher: Container,
        blow: Blow,
        hit: Callable[[RunningStep, Container], StepResult],
    ) -> None:
        with step.start() as running:
            if words := PHASES[blow.moment.phase]:
                running.wait_for(words, PATIENCE)
            time.sleep(blow.moment.fraction * self._lengths[blow.moment.phase])
            began = time.monotonic()
            main = hit(running, launcher)
            blow.took = time.monotonic() - began
            if outlived(launcher):
                blow.wrong.append("its container is left behind")
        blow.log = main.log
        blow.verdict = main.annotations[-1].title if main.annotations else ""
        blow.saved = "RUN_ID" in step.state
        blow.before_post = state_of(self._airflow, blow.run_id)
        if blow.moment.phase != "start-up":
            # While Python itself starts, it ends in a traceback of its own
            # (docs/notes/runner.md#signals-and-process-1).
            blow.wrong += _faults_of(main, "main")

    def _tidy_up(self, step: Step, launcher: Container, blow: Blow) -> None:
        post = step.run("post", timeout=PATIENCE)
        blow.after_post = state_of(self._airflow, blow.run_id)
        blow.wrong += _faults_of(post, "post")
        if blow.after_post in ALIVE:
            blow.wrong.append(f"{blow.after_post} after the post stage:\n{post.log}")
        if post.exit_code:
            blow.wrong.append(f"the post stage failed:\n{post.log}")
        if outlived(launcher):
            blow.wrong.append("the post stage's container is left behind")


def outlived(launcher: Container) -> bool:
    """Whether a container is still there when the engine has had the time to remove it.

    One that never started does not count: when the client dies while the engine creates it, it is
    no doing of ours.
    """
    never_started = docker(
        "ps", "--all", f"--filter=label={launcher.label}", "--filter=status=created", "--quiet"
    )
    if never_started:
        launcher.remove_leftovers()
    deadline = time.monotonic() + GONE_WITHIN
    while launcher.leftovers():
        if time.monotonic() > deadline:
            return True
        time.sleep(0.1)
    return False


def _faults_of(result: StepResult, stage: str) -> list[str]:
    return [
        f"{stage} says {word}:\n{result.raw}"
        for word in ("Traceback", "Exception ignored")
        if word in result.raw
    ]
