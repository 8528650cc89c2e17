"""Stop a DAG run that this step is answerable for, and make sure that it stays stopped.

The scheduler may overwrite a run that was just marked failed, even with `success`
(docs/notes/airflow-3.md#stopping-a-run): hence the second look, and the mark in the run's note by
which a later
attempt knows what happened. A task that was just starting may do the same: the process of one on
Airflow 2.11.2 reads its task instance, looks up its host's name, and writes back what it has read,
after which task and run are `running` again (each time if that takes long; otherwise once in 48
times). Hence the look at tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from entrypoint.errors import Forbidden, TransientError, Unauthorized, UnexpectedResponse
from entrypoint.models import ACTIVE, DagRun, stopped_note

if TYPE_CHECKING:
    from entrypoint.airflow.client import Airflow
    from entrypoint.errors import ActionError
    from entrypoint.http.retry import Retrier

POLL_SECONDS = 1.0
CONFIRM_SECONDS = 5.0
"""Seconds for which a run must stay failed before that is believed: a few rounds of a scheduler."""
ABSENT_SECONDS = 30.0
"""Seconds for which there must be no run, after a trigger that was cut short: a busy Airflow takes
that long to make one (docs/notes/airflow-3.md#timing)."""
MAX_REPEATED_STOPS = 2
"""How often a run that stays failed is failed again because a task of it goes on. After that it is
a teardown, which Airflow lets run to its end."""


class Stopped(NamedTuple):
    """What came of it.

    Attributes:
        run: as last seen; None: there is none.
        confirmed: whether it is over for certain, or certainly not there.
        by_this_step: whether it was stopped, now or before; if not, it had ended by itself.
        fault: what last kept this step from knowing, if anything did.
    """

    run: DagRun | None
    confirmed: bool
    by_this_step: bool
    fault: ActionError | None = None


def stop(
    airflow: Airflow,
    dag_id: str,
    run_id: str,
    retrier: Retrier,
    *,
    last_seen: DagRun | None,
    confirm: bool,
    until: float,
    already_stopped: bool = False,
    created: bool = False,
) -> Stopped:
    """Mark the run failed, which ends its running tasks, and look until it has stayed so.

    Args: airflow: where the run is. dag_id: its DAG. run_id: the run; it need not exist, since its
        trigger may have been cut short. retrier: clock and sleep. last_seen: the run as last seen;
        if it was alive then, it is failed at once, without another look. confirm: whether to poll
        until it has stayed so; without, the first response is final. until: moment on the clock at
        which to give up. already_stopped: whether this step is known to have stopped it before:
        then a success is none. created: whether Airflow is known to have made it.
    """
    stopping = _Stopping(airflow, dag_id, run_id, retrier, confirm=confirm)
    stopping.seen, stopping.by_this_step, stopping.exists = (
        last_seen,
        already_stopped,
        created or last_seen is not None,
    )
    stopping.at_once = last_seen is not None and not last_seen.ended
    while retrier.clock() < until:
        if (end := stopping.step()) is not None:
            return end
        retrier.sleep(max(0.0, min(POLL_SECONDS, until - retrier.clock())))
    return Stopped(
        stopping.seen, confirmed=False, by_this_step=stopping.by_this_step, fault=stopping.fault
    )


class _Stopping:
    """A run that is to be stopped: how it was when last seen, and what was done about it."""

    def __init__(
        self, airflow: Airflow, dag_id: str, run_id: str, retrier: Retrier, *, confirm: bool
    ) -> None:
        self.seen: DagRun | None = None
        self.by_this_step = self.exists = self.at_once = False
        self.fault: ActionError | None = None
        self._airflow, self._retrier, self._confirm = airflow, retrier, confirm
        self._dag_id, self._run_id = dag_id, run_id
        self._quiet_since: float | None = None
        self._ordered = self._gone = False
        self._again = 0

    def step(self) -> Stopped | None:
        """Look once, and do what is to be done. Returns what came of it once that is certain."""
        self._ordered = False
        try:
            found = self.seen if self.at_once else self._airflow.get_run(self._dag_id, self._run_id)
            self.at_once = False
            return self._absent() if found is None else self._present(found)
        except (TransientError, UnexpectedResponse) as error:
            # An order whose answer was lost may have been taken.
            self.by_this_step = self.by_this_step or self._ordered
            self.fault, self._quiet_since = error, None
        except (Unauthorized, Forbidden) as error:
            self.fault, self._quiet_since = error, None
        return None

    def _present(self, seen: DagRun) -> Stopped | None:
        self.seen, self.exists = seen, True
        self.by_this_step = self.by_this_step or seen.cancelled
        if seen.state == "success" and not self.by_this_step:
            return Stopped(seen, confirmed=True, by_this_step=False)
        now = seen if seen.state == "failed" else self._order()
        if now is None:
            return self._absent()
        if not now.ended:
            return None
        if self.by_this_step and not now.cancelled:
            # Without the mark a later attempt may take what the scheduler makes of the run for a
            # success.
            self._airflow.set_note(now, stopped_note(now))
        if not self._quiet_for(CONFIRM_SECONDS if self._confirm else 0.0):
            return None
        if (
            not self._confirm
            or not self.by_this_step
            or self._again == MAX_REPEATED_STOPS
            or not _at_work(self._airflow, now)
        ):
            return Stopped(now, confirmed=True, by_this_step=self.by_this_step)
        self._again += 1
        self._order()
        return None

    def _absent(self) -> Stopped | None:
        stays = (CONFIRM_SECONDS if self._confirm else 0.0) if self.exists else ABSENT_SECONDS
        if not self._quiet_for(stays):
            return None
        # A cache may keep for long that there is no such run; an order it does not answer.
        if not self._gone and self._order() is not None:
            return None
        return Stopped(None, confirmed=True, by_this_step=self.by_this_step)

    def _order(self) -> DagRun | None:
        """Fail the run, by its name alone if nobody has shown more of it. Returns it as it is then,
        None if it is gone.
        """
        self._ordered, self._quiet_since = True, None
        failed = self._airflow.mark_failed(
            self.seen or DagRun(self._dag_id, self._run_id, "queued", {})
        )
        self._gone = failed is None
        if failed is not None:
            self.seen, self.by_this_step, self.exists = failed, True, True
        return failed

    def _quiet_for(self, seconds: float) -> bool:
        now = self._retrier.clock()
        self._quiet_since = now if self._quiet_since is None else self._quiet_since
        return now - self._quiet_since >= seconds


def _at_work(airflow: Airflow, run: DagRun) -> bool:
    """Return whether a task of the run goes on, as far as this credential may know."""
    try:
        tasks = airflow.task_instances(run.dag_id, run.run_id, states=ACTIVE, most=1).instances
    except Forbidden:
        return False
    return any(task.state in ACTIVE for task in tasks)
