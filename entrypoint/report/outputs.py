"""Write the step's outputs, which action.yml lists, as soon as they are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.models import Outcome, StepOutcome
    from entrypoint.runners.base import Runner


def outputs(outcome: Outcome) -> dict[str, str]:
    """Return the known outputs, without `result`, which is known only at the end."""
    run = outcome.run
    known: dict[str, str | None] = {
        "airflow_version": outcome.airflow_version,
        "run_id": outcome.request.run_id if outcome.request and outcome.run_url else None,
        "run_url": outcome.run_url,
        "created": None if outcome.created is None else json.dumps(outcome.created),
        "xcom": None
        if outcome.xcom is None
        else json.dumps(outcome.xcom, ensure_ascii=False, allow_nan=False),
        "failed_tasks": None
        if outcome.tasks is None
        else json.dumps([task.name for task in outcome.failed_tasks]),
    }
    if outcome.report is not None:
        number = outcome.report.deployment_id
        known |= {
            "status_url": outcome.report.status_url,
            "deployment_id": None if number is None else str(number),
        }
    if run is not None:
        known |= {
            "state": run.state,
            "logical_date": _date(run.logical_date),
            "start_date": _date(run.start_date),
            "end_date": _date(run.end_date),
            "duration": None if run.duration is None else f"{run.duration:.3f}",
            "bundle_version": run.bundle_version,
        }
    return {name: value for name, value in known.items() if value is not None}


class Outputs:
    """Writes each output when it is first known and when it changes.

    So the outputs are complete however the step ends.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._written: dict[str, str] = {}

    def write(self, outcome: StepOutcome, *, final: bool = False) -> None:
        """Write new and changed outputs, and empty those that are no longer known.

        A run that was continued, for example, no longer has an end date. `final` adds `result`.
        """
        values = dict.fromkeys(self._written, "")
        if len(outcome.runs) == 1:
            values |= outputs(outcome.runs[0])
        if final:
            values["result"] = outcome.result
        for name, value in values.items():
            if self._written.get(name) != value:
                self._runner.set_output(name, value)
                self._written[name] = value


def _date(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
