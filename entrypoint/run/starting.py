"""Start several DAG runs, at most so many at the same time, with one patience for an outage.

It knows neither what is requested for one run, nor what becomes of a run that was started.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from entrypoint.deadline import Deadline
from entrypoint.errors import ActionError, RunNotFound, StartPostponed
from entrypoint.http.client import READ_TIMEOUT
from entrypoint.run.polling import FollowedRun, WaitLimits
from entrypoint.run.trigger import SETTLE_POLL_SECONDS
from entrypoint.session import SETUP_SECONDS
from entrypoint.text import list_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, Outcome


class StartableRun(Protocol):
    """A DAG run that can be started.

    Attributes:
        active: whether Airflow runs it whatever the step does, so that it needs no free slot.
    """

    outcome: Outcome
    active: bool

    @property
    def triggered(self) -> bool:
        """Whether a trigger had no clear response."""

    @property
    def unclear(self) -> bool:
        """Whether no request since the last trigger has told if the run exists."""

    def start(self, *, last_chance: bool) -> FollowedRun | None:
        """Start the run. Raise StartPostponed if it cannot be started now."""

    def fail(self, error: ActionError) -> None:
        """End this run's part of the step with an error."""


R = TypeVar("R", bound=StartableRun)


class Starter(Generic[R]):
    """Starts DAG runs in their order while there are free slots.

    A run that cannot be started now is tried again after the others, with growing pauses: while
    other runs are polled, otherwise for SETUP_SECONDS. So an outage costs all of them one patience.
    If Airflow starts one of them, the others have their patience again.

    A run that is active already has a slot, so these are first, even if they are more than slots.

    A run that the step has left running, at its timeout or after an error, keeps its slot until it
    ends. If all slots are kept for longer than `slot_seconds`, the runs that wait for one fail.

    Args:
        runs: the runs.
        max_parallel: number of slots.
        retrier: clock, sleep, pauses and events.
        slot_seconds: how long to wait for the end of a run that was left running.

    Attributes:
        followed: the runs to poll.
    """

    def __init__(
        self, runs: Iterable[R], max_parallel: int, retrier: Retrier, slot_seconds: float
    ) -> None:
        self.followed: list[FollowedRun] = []
        self._runs: dict[FollowedRun, R] = {}
        self._waiting = list(runs)
        self._max_parallel = max_parallel
        self._slot_seconds = slot_seconds
        self._kept: dict[FollowedRun, FollowedRun | None] = {}
        self._retrier = retrier
        self._failures = self._tried = 0
        self._retry_at = 0.0
        self._patience: Deadline | None = None
        self._final = False

    def run_of(self, followed: FollowedRun) -> R | None:
        """Return the run that is followed, None if it is only polled because it keeps a slot."""
        return self._runs.get(followed)

    def start(self) -> None:
        """Start runs. Return when none is left, or while others have to be polled first."""
        while True:
            self._keep_slots()
            candidates = self._candidates()
            pause = self._retry_at - self._retrier.clock()
            if not candidates or (pause > 0 and self._polled()):
                return
            if pause > 0:
                self._retrier.sleep(pause)
            run = candidates[0]
            self._waiting.remove(run)
            self._start(run, len(candidates))

    def _start(self, run: R, candidates: int) -> None:
        try:
            found = run.start(last_chance=self._final)
        except StartPostponed as postponed:
            self._waiting.append(run)
            self._tried += 1
            if postponed.outage or self._tried >= candidates:
                self._pause(postponed)
        except ActionError as error:
            run.fail(error)
            self._keep_slot_of(run)
        else:
            self._patience, self._final, self._failures, self._tried = None, False, 0, 0
            if found is not None:
                self.followed.append(found)
                self._runs[found] = run

    def _candidates(self) -> list[R]:
        """Return the runs that may be started now, in their order.

        If it is unknown whether some exist, Airflow cannot be read, and those decide first.
        """
        unclear = [run for run in self._waiting if run.unclear]
        free = self._final or self._polled() + self._lost_slots() < self._max_parallel
        active = [run for run in self._waiting if run.active]
        return unclear or active or (self._waiting[:] if free else [])

    def _keep_slots(self) -> None:
        """Poll the runs that were left running, as long as others wait for their slots."""
        for followed in [*self._runs]:
            if followed.done and followed not in self._kept:
                outcome = self._runs[followed].outcome
                self._kept[followed] = None
                if outcome.may_go_on and outcome.run is not None and self._waiting:
                    slot = self._slot_of(outcome.run, followed)
                    self._kept[followed] = slot
                    self.followed.append(slot)
        if self._lost_slots() >= self._max_parallel:
            self._fail([run for run in self._waiting if not run.active], self._no_slot())
            # Those that were triggered may exist, so they are looked for.
            self._final = self._final or any(run.triggered for run in self._waiting)
        if not self._waiting:
            for slot in self._slots():
                slot.done = True

    def _keep_slot_of(self, run: R) -> None:
        """Keep the slot of a run that exists, and goes on although its start failed."""
        if run.outcome.run is not None:
            now = self._retrier.clock()
            limits = WaitLimits(now, self._retrier.deadline.limited(READ_TIMEOUT))
            found = FollowedRun(run.outcome.run, limits, now)
            found.done = True
            self._runs[found] = run

    def _slot_of(self, run: DagRun, followed: FollowedRun) -> FollowedRun:
        now, limits = self._retrier.clock(), followed.limits
        deadline = limits.deadline._replace(at=now + self._slot_seconds)
        self._retrier.events.slot_kept(run, self._slot_seconds)
        return FollowedRun(run, limits._replace(deadline=deadline, start_timeout=inf), now)

    def _slots(self) -> list[FollowedRun]:
        return [slot for slot in self._kept.values() if slot is not None]

    def _lost_slots(self) -> int:
        """Return how many runs have kept their slot for longer than `slot_seconds`."""
        return sum(
            slot.done and not slot.run.ended and not isinstance(slot.error, RunNotFound)
            for slot in self._slots()
        )

    def _no_slot(self) -> ActionError:
        names = list_names([slot.run.dag_id for slot in self._slots() if not slot.run.ended])
        return ActionError(
            "No slot for the DAG became free",
            f"max_parallel is {self._max_parallel}, and Airflow still runs what this step has left "
            f"running at its timeout: {names}. Nothing was triggered for this DAG.",
            "Set on_timeout: cancel, raise max_parallel or timeout, or find out in Airflow why "
            "those runs do not end.",
        )

    def _polled(self) -> int:
        return sum(not followed.done for followed in self.followed)

    def _pause(self, postponed: StartPostponed) -> None:
        """Wait until the next attempt, or let other runs be polled until then."""
        self._tried = 0
        if postponed.pause is not None:
            # Airflow has answered.
            self._patience, self._final, self._failures = None, False, 0
            self._retry_at = self._retrier.clock() + postponed.pause
            return
        seconds = self._retrier.pause_after(postponed.error, self._failures)
        self._failures += 1
        if not self._polled():
            if self._patience is None:
                self._patience = Deadline.after(self._retrier.clock, SETUP_SECONDS)
            elif self._patience.has_passed():
                self._give_up(postponed)
            left = self._patience.seconds_left()
            if left > 0:
                seconds = min(seconds, left)
            elif not postponed.outage:
                seconds = min(seconds, SETTLE_POLL_SECONDS)
        self._retry_at = self._retrier.clock() + seconds

    def _give_up(self, postponed: StartPostponed) -> None:
        """Fail the runs that certainly do not exist. The others are looked for.

        While it is unknown whether one exists, the others have not had their turn.
        """
        self._final = True
        if postponed.outage and not any(run.unclear for run in self._waiting):
            self._fail(self._waiting, postponed.error)

    def _fail(self, runs: Iterable[R], error: ActionError) -> None:
        """Fail those of these runs that were not triggered, so that they certainly do not exist."""
        for run in [run for run in runs if not run.triggered]:
            self._waiting.remove(run)
            run.fail(error)
