"""Stop this step's DAG run, and check that it stays stopped.

The scheduler may overwrite the state of a run that was just marked failed, even with `success`
(docs/notes/airflow-3.md#stopping-a-run). Therefore this module polls the run again, and adds a mark
to the run's note so that a later attempt knows that the run was stopped.

A task that was just starting may overwrite the state as well. On Airflow 2.11.2 the task's process
reads its task instance, looks up its host's name, and writes back what it has read. After that,
the task and the run are `running` again (always if the look-up is slow, otherwise once in 48
times). Therefore this module also reads the tasks. It does not know why the run is to be stopped.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from entrypoint.errors import (
    Forbidden,
    NotSupported,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.models import ACTIVE, DagRun, stopped_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrypoint.airflow.client import Airflow, Run
    from entrypoint.errors import ActionError
    from entrypoint.http.retry import Retrier

POLL_SECONDS = 1.0
"""Seconds between two polls of the run."""
CONFIRM_SECONDS = 5.0
"""Seconds for which a run must stay failed: a few cycles of the scheduler's loop."""
ABSENT_SECONDS = 30.0
"""Seconds without a run after which an interrupted trigger counts as ineffective. A busy Airflow
may take that long to create one (docs/notes/airflow-3.md#timing).
"""
MAX_REPEATED_STOPS = 2
"""Maximum times that a failed run is marked failed again because a task still runs. A task that
runs after that is a teardown, which Airflow does not stop.
"""


class Stopped(NamedTuple):
    """The result of a stop.

    Attributes:
        run: last known run, None if there is no run.
        confirmed: whether it is certain that the run has ended or does not exist.
        by_this_step: whether the run was stopped, now or before; otherwise it ended by itself.
        error: last error of a request, if any.
    """

    run: DagRun | None
    confirmed: bool
    by_this_step: bool
    error: ActionError | None = None


class RunToStop(NamedTuple):
    """A run to stop, and what is known of it.

    Attributes:
        run: the run, which need not exist because its trigger may have been interrupted.
        last_seen: the run as last seen; if it had not ended, it is marked failed without a poll.
        created: whether Airflow has confirmed that it created the run.
        stopped: whether this step has stopped the run before, so that its state `success` does not
            count.
    """

    run: Run
    last_seen: DagRun | None = None
    created: bool = False
    stopped: bool = False


def stop(runs: Sequence[RunToStop], retrier: Retrier, *, confirm: bool) -> list[Stopped]:
    """Mark the runs failed, which ends their running tasks, and poll until they have stayed failed.

    Args:
        runs: the runs.
        retrier: clock, sleep, and the deadline of the stop.
        confirm: whether to poll until a run has stayed failed; otherwise the first response is
            final.

    Returns:
        What has become of each run, in the same order.
    """
    stopping = [_Stopping(each, retrier, confirm=confirm) for each in runs]
    while not retrier.deadline.has_passed():
        for each in stopping:
            if each.result is None and not retrier.deadline.has_passed():
                each.step()
        if all(each.result for each in stopping):
            break
        retrier.sleep(max(0.0, min(POLL_SECONDS, retrier.deadline.seconds_left())))
    return [each.result or each.unconfirmed() for each in stopping]


class _Stopping:
    """The last known state of a run to stop, and what was done to stop it."""

    def __init__(self, known: RunToStop, retrier: Retrier, *, confirm: bool) -> None:
        self.result: Stopped | None = None
        self._seen = known.last_seen
        self._by_this_step = known.stopped
        self._error: ActionError | None = None
        self._exists = known.created or known.last_seen is not None
        self._skip_poll = known.last_seen is not None and not known.last_seen.ended
        self._run, self._retrier, self._confirm = known.run, retrier, confirm
        self._unchanged_since: float | None = None
        self._fail_requested = self._gone = False
        self._repeated_stops = 0

    def unconfirmed(self) -> Stopped:
        """Return the result if the time is over before it is certain."""
        return Stopped(
            self._seen, confirmed=False, by_this_step=self._by_this_step, error=self._error
        )

    def step(self) -> None:
        """Poll the run once and mark it failed if needed; set the result once it is certain."""
        self._fail_requested = False
        try:
            found = self._seen if self._skip_poll else self._run.get()
            self._skip_poll = False
            self.result = self._absent() if found is None else self._present(found)
        except (TransientError, UnexpectedResponse) as error:
            # Airflow may have marked the run failed although its response was lost.
            self._by_this_step = self._by_this_step or self._fail_requested
            self._error, self._unchanged_since = error, None
        except (Unauthorized, Forbidden) as error:
            self._error, self._unchanged_since = error, None
        except NotSupported as error:
            self.result = Stopped(self._seen, confirmed=False, by_this_step=False, error=error)

    def _present(self, seen: DagRun) -> Stopped | None:
        self._seen, self._exists = seen, True
        self._by_this_step = self._by_this_step or seen.cancelled
        if seen.state == "success" and not self._by_this_step:
            return Stopped(seen, confirmed=True, by_this_step=False)
        now = seen if seen.state == "failed" else self._mark_failed()
        if now is None:
            return self._absent()
        if not now.ended:
            return None
        if self._by_this_step and not now.cancelled:
            # Without the mark a later attempt may report a success that the scheduler wrote. But
            # the run is stopped, also if the way to Airflow cannot carry a note.
            with suppress(NotSupported):
                self._run.airflow.set_note(now, stopped_note(now))
        if not self._unchanged_for(CONFIRM_SECONDS if self._confirm else 0.0):
            return None
        if (
            not self._confirm
            or not self._by_this_step
            or self._repeated_stops == MAX_REPEATED_STOPS
            or not _has_active_task(self._run.airflow, now)
        ):
            return Stopped(now, confirmed=True, by_this_step=self._by_this_step)
        self._repeated_stops += 1
        self._mark_failed()
        return None

    def _absent(self) -> Stopped | None:
        seconds = (CONFIRM_SECONDS if self._confirm else 0.0) if self._exists else ABSENT_SECONDS
        if not self._unchanged_for(seconds):
            return None
        # A cache may answer a GET with an old 404, but not the request that marks the run failed.
        if not self._gone and self._mark_failed() is not None:
            return None
        return Stopped(None, confirmed=True, by_this_step=self._by_this_step)

    def _mark_failed(self) -> DagRun | None:
        """Mark the run failed, even if only its id is known; return it, None if it is gone."""
        self._fail_requested, self._unchanged_since = True, None
        failed = self._run.airflow.mark_failed(
            self._seen or DagRun(self._run.dag_id, self._run.run_id, "queued", {})
        )
        self._gone = failed is None
        if failed is not None:
            self._seen, self._by_this_step, self._exists = failed, True, True
        return failed

    def _unchanged_for(self, seconds: float) -> bool:
        """Return whether the run has been ended, or absent, for this many seconds."""
        now = self._retrier.clock()
        self._unchanged_since = now if self._unchanged_since is None else self._unchanged_since
        return now - self._unchanged_since >= seconds


def _has_active_task(airflow: Airflow, run: DagRun) -> bool:
    """Return whether a task of the run is active; False if the tasks cannot be read."""
    try:
        tasks = airflow.task_instances(run.dag_id, run.run_id, states=ACTIVE, most=1).instances
    except (Forbidden, NotSupported):
        return False
    return any(task.state in ACTIVE for task in tasks)
