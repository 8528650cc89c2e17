"""Until the DAG run's end, or the deadline. Only these two end the wait, or a credential that is refused for good."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from entrypoint.errors import AirflowUnreachable, Forbidden, RunNotFound, Unauthorized, UnexpectedAnswer
from entrypoint.gate.pace import pause_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow import Airflow
    from entrypoint.gate.pace import Usual
    from entrypoint.gate.patience import Patience
    from entrypoint.models import DagRun


@dataclass(frozen=True, slots=True)
class Times:
    """How long to wait, and how often to look.

    Attributes:
        since: moment of the trigger on the monotonic clock.
        timeout: seconds from then on.
        start_timeout: seconds for which the run may stay queued.
        poll_interval: fixed pause between looks in seconds, None for the automatic pace.
        expected: how long the DAG usually takes, for that pace.
    """

    since: float
    timeout: float
    start_timeout: float = inf
    poll_interval: float | None = None
    expected: Usual | None = None


def wait(
    airflow: Airflow,
    run: DagRun,
    patience: Patience,
    times: Times,
    meanwhile: Callable[[DagRun], None] = lambda _: None,
) -> tuple[DagRun, float]:
    """Look at the run until it has ended or the time is over.

    That the run is gone or the credential refused must be said twice in a row before it is believed: one answer of a gateway
    that is just being replaced must not end a wait of hours.

    Args:
        airflow: where the run is.
        run: the run as the trigger left it.
        patience: clock, sleep, and the rule for failed looks.
        times: how long, and how often.
        meanwhile: is called with the run after every look at it that is not the last.

    Returns:
        The run as last seen (not ended: the time is over), and the moment since which it is in that state.

    Raises:
        RunNotFound: somebody deleted the run meanwhile.
        Unauthorized, Forbidden: the credential is refused now.
    """
    deadline, entered = times.since + times.timeout, times.since
    look = partial(airflow.get_run, run.dag_id, run.run_id)
    bad_news = False
    patience.progress.state(run)
    while not run.ended:
        now = patience.clock()
        end = min(deadline, entered + times.start_timeout) if run.state == "queued" else deadline
        if now >= end:
            break
        _rest(patience, times, _running_for(airflow, run, now - entered), end - now)
        try:
            seen = patience.read(look, until=deadline)
        except (AirflowUnreachable, UnexpectedAnswer):
            break
        except (Unauthorized, Forbidden):
            if bad_news:
                raise
            bad_news = True
            continue
        if seen is None and bad_news:
            raise _deleted(run)
        bad_news = seen is None
        if seen is None:
            continue
        if seen.state != run.state:
            entered = patience.clock()
        run = seen
        patience.progress.state(run)
        if not run.ended:
            meanwhile(run)
    return run, entered


def _rest(patience: Patience, times: Times, running: float | None, left: float) -> None:
    if times.poll_interval is None:
        patience.about(pause_after(patience.clock() - times.since, running, times.expected), left)
    else:
        patience.sleep(min(times.poll_interval, left))


def _running_for(airflow: Airflow, run: DagRun, seen: float) -> float | None:
    """Return for how long the run has been running: by Airflow's clock, too, for it may have begun before it was seen."""
    if run.state != "running":
        return None
    now, start = airflow.now, run.start_date
    return seen if now is None or start is None else max(seen, (now - start).total_seconds())


def _deleted(run: DagRun) -> RunNotFound:
    return RunNotFound(
        "The DAG run was deleted while this step waited for it",
        f"Airflow no longer knows the run {run.run_id} of {run.dag_id}; it was last seen {run.state}.",
        "Find out who deleted it (Airflow's audit log says so), then re-run this job.",
    )
