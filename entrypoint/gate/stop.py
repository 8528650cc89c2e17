"""Stop a DAG run that this step is answerable for, and make sure that it stays stopped.

The scheduler may overwrite a run that was just marked failed, even with `success` (airflow-3.md 7): hence the second look, and
the mark in the run's note by which a later attempt knows what happened. A task that was just starting may do the same: the
process of one on Airflow 2.11.2 reads its task instance, looks up its host's name, and writes back what it has read, after
which task and run are `running` again (each time if that takes long; otherwise once in 48 times). Hence the look at tasks.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from entrypoint.errors import AirflowUnreachable, Forbidden, Unauthorized, UnexpectedAnswer
from entrypoint.gate.tasks import AT_WORK
from entrypoint.models import stopped_note

if TYPE_CHECKING:
    from entrypoint.airflow import Airflow
    from entrypoint.errors import ActionError
    from entrypoint.gate.patience import Patience
    from entrypoint.models import DagRun

BETWEEN_LOOKS = 1.0
STAYS = 5.0
"""Seconds for which a run must stay failed before that is believed: a few rounds of a scheduler."""
STAYS_AWAY = 30.0
"""Seconds for which there must be no run, after a trigger that was cut short: a busy Airflow takes that long to make one
(airflow-3.md 10)."""
ONCE_MORE = 2
"""How often a run that stays failed is failed again because a task of it goes on. After that it is a teardown, which Airflow
lets run to its end."""


class Stop(NamedTuple):
    """What came of it.

    Attributes:
        run: as last seen; None: there is none.
        confirmed: whether it is over for certain, or certainly not there.
        ours: whether it was stopped, now or before; if not, it had ended by itself.
        fault: what last kept this step from knowing, if anything did.
    """

    run: DagRun | None
    confirmed: bool
    ours: bool
    fault: ActionError | None = None


def stop(
    airflow: Airflow,
    dag_id: str,
    run_id: str,
    patience: Patience,
    *,
    last: DagRun | None,
    once: bool,
    until: float,
    ours: bool = False,
) -> Stop:
    """Mark the run failed, which ends its running tasks, and look until it has stayed so.

    Args:
        airflow: where the run is.
        dag_id: its DAG.
        run_id: the run; it need not exist, since its trigger may have been cut short.
        patience: clock and sleep.
        last: the run as last seen; if it was alive then, it is failed at once, without another look.
        once: believe the first answer about the run, because there is no time for more.
        until: moment on the clock at which to give up.
        ours: whether this step is known to have stopped it before: then a success is none.
    """
    seen, quiet_since, again = last, None, 0
    fault: ActionError | None = None
    known, existed = last is not None and not last.ended, last is not None
    while patience.clock() < until:
        asked = False
        try:
            seen = seen if known else airflow.get_run(dag_id, run_id)
            known, existed = False, existed or seen is not None
            ours = ours or (seen is not None and seen.cancelled)
            if seen is not None and seen.state == "success" and not ours:
                return Stop(seen, confirmed=True, ours=False)
            if seen is not None and seen.state != "failed":
                quiet_since, asked = None, True
                seen = airflow.fail(seen)
                ours = True
            quiet_since = patience.clock() if quiet_since is None else quiet_since
            stays = STAYS_AWAY if not existed else 0.0 if once else STAYS
            if seen is not None and seen.ended and ours and not seen.cancelled and not once:
                # Without the mark a later attempt may take what the scheduler makes of the run for a success.
                with suppress(AirflowUnreachable, UnexpectedAnswer, Unauthorized, Forbidden):
                    airflow.set_note(seen, stopped_note(seen))
            if (seen is None or seen.ended) and patience.clock() - quiet_since >= stays:
                if once or seen is None or not ours or again == ONCE_MORE or not _at_work(airflow, seen):
                    return Stop(seen, confirmed=True, ours=ours)
                again += 1
                quiet_since, seen = None, airflow.fail(seen)
        except (AirflowUnreachable, UnexpectedAnswer) as error:
            # An order whose answer was lost may have been taken.
            quiet_since, fault, ours = None, error, ours or asked
        except (Unauthorized, Forbidden) as error:
            quiet_since, fault = None, error
        patience.sleep(max(0.0, min(BETWEEN_LOOKS, until - patience.clock())))
    return Stop(seen, confirmed=False, ours=ours, fault=fault)


def _at_work(airflow: Airflow, run: DagRun) -> bool:
    """Return whether a task of the run goes on, as far as this credential may know."""
    try:
        tasks = airflow.task_instances(run.dag_id, run.run_id, states=AT_WORK, most=1).instances
    except Forbidden:
        return False
    return any(task.state in AT_WORK for task in tasks)
