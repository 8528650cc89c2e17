"""Write the step's outputs, which action.yml lists, as soon as they are known."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from entrypoint.models import PASSING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from entrypoint.models import Json, Outcome, StepOutcome
    from entrypoint.runners.base import Runner


RUNS_RATE = 2_000
"""Characters of `runs` to write per second, on average. The runs of 100 DAGs have 30,000."""
SMALL_RUNS_CHARS = 2_000
"""Characters of `runs` up to which each change is written at once."""


def outputs(outcome: Outcome) -> dict[str, str]:
    """Return the known outputs about one DAG run, without `result`, known only at the end."""
    report = outcome.report
    values: dict[str, Json] = {
        name: value for name, value in _run_values(outcome).items() if name != "dag_id"
    }
    values["airflow_version"] = outcome.airflow_version
    values["xcom"] = outcome.xcom
    values["bundle_version"] = outcome.run.bundle_version if outcome.run else None
    if outcome.run is None and outcome.dry_run is not None:
        values["bundle_version"] = outcome.dry_run.bundle_version
    if report is not None:
        values["status_url"], values["deployment_id"] = report.status_url, report.deployment_id
    return {name: _text(name, value) for name, value in values.items() if value is not None}


def _run_values(outcome: Outcome) -> dict[str, Json]:
    """Return what is known of a DAG run, None for what is not."""
    request, run = outcome.request, outcome.run
    named = request is not None and outcome.run_url is not None
    failed: list[Json] = [task.name for task in outcome.decisive_failures]
    known = outcome.tasks is not None or outcome.verdict is not None
    return {
        "dag_id": request.dag_id if request else None,
        "run_id": request.run_id if named and request else None,
        "state": run.state if run else None,
        "run_url": outcome.run_url,
        "created": outcome.created,
        "logical_date": _date(run.logical_date) if run else None,
        "start_date": _date(run.start_date) if run else None,
        "end_date": _date(run.end_date) if run else None,
        "duration": run.duration if run else None,
        "failed_tasks": failed if known else None,
    }


def _text(name: str, value: Json) -> str:
    if name == "duration":
        return f"{value:.3f}"
    return (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=name != "xcom", allow_nan=False)
    )


def runs_output(outcome: StepOutcome) -> str:
    """Return the output `runs`: an object with the known values of each DAG run."""
    records: list[dict[str, Json]] = []
    for run in outcome.runs:
        values = _run_values(run)
        if values["duration"] is not None and run.run and run.run.duration is not None:
            values["duration"] = round(run.run.duration, 3)
        values["result"] = run.result if run.finished or run.result == "cancelled" else None
        if values["dag_id"] is not None:
            records.append({name: value for name, value in values.items() if value is not None})
    return json.dumps(records, allow_nan=False)


class Outputs:
    """Writes each output when it is first known and when it changes.

    So the outputs are complete however the step ends. After a kill, the runner reads the last value
    in the file. `runs` of many DAGs is limited to RUNS_RATE, so that the file stays small; a change
    that was held back is written with a later one, and at the end.

    Args:
        runner: the runner that stores the outputs.
        clock: returns monotonic seconds.
    """

    def __init__(self, runner: Runner, clock: Callable[[], float] = time.monotonic) -> None:
        self._runner = runner
        self._clock = clock
        self._written: dict[str, str] = {}
        self._runs_due = clock()

    def write(self, outcome: StepOutcome, *, final: bool = False) -> None:
        """Write new and changed outputs, and empty those that are no longer known.

        A run that was continued, for example, no longer has an end date. `final` adds `result`.
        """
        values = dict.fromkeys(self._written, "")
        if final or self._clock() >= self._runs_due:
            values["runs"] = runs_output(outcome)
        else:
            values.pop("runs", None)
        if not outcome.several and outcome.runs:
            values |= outputs(outcome.runs[0])
        if outcome.several and outcome.runs and (version := outcome.runs[0].airflow_version):
            values["airflow_version"] = version
        if final:
            values["result"] = outcome.result
        if final and outcome.several:
            bad = [run for run in outcome.runs if run.result not in PASSING]
            values["failed_dags"] = json.dumps([run.request.dag_id for run in bad if run.request])
        for name, value in values.items():
            if self._written.get(name) != value:
                self._runner.set_output(name, value)
                self._written[name] = value
                if name == "runs" and len(value) > SMALL_RUNS_CHARS:
                    self._runs_due = self._clock() + len(value) / RUNS_RATE


def _date(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
