"""Run the action in this process, with real code and real sockets on a virtual clock."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from dev.airflow_settings import password_of
from entrypoint.http.client import READ_TIMEOUT
from entrypoint.inputs.settings import parse_settings
from entrypoint.models import SavedRun
from entrypoint.report.console import Console
from entrypoint.runners import github as commands
from entrypoint.session import Session
from entrypoint.signals import Interrupts
from entrypoint.step import Step
from tests.support.factories import a_context
from tests.support.leak_guard import capture_output
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entrypoint.models import Outcome, StepOutcome
    from entrypoint.runners.base import Context
    from tests.support.fake_airflow import FakeAirflow

CONTEXT = a_context(workspace=Path())
HANG = 0.2
"""Real seconds until the action gives up a request to a server that hangs on purpose.

Any other server may be slow sometimes.
"""


def admin_inputs(airflow: FakeAirflow) -> dict[str, str]:
    """Return the inputs of a step that runs the DAG `sales` as this Airflow's admin."""
    return {
        "airflow_url": airflow.url,
        "username": "admin",
        "password": password_of("admin"),
        "dag_id": "sales",
    }


def run_against(
    airflow: FakeAirflow,
    *,
    time: VirtualTime | None = None,
    context: Context = CONTEXT,
    hang: float = READ_TIMEOUT,
    **inputs: str,
) -> Outcome:
    """Run one step against this Airflow, as its admin unless the inputs say otherwise."""
    given = admin_inputs(airflow) | inputs
    return run_step(given, time=time, context=context, hang=HANG if airflow.hangs else hang)


def run_dags(
    airflow: FakeAirflow,
    *lines: str,
    time: VirtualTime | None = None,
    context: Context = CONTEXT,
    **inputs: str,
) -> StepOutcome:
    """Run one step with these lines of `dags` against this Airflow, as its admin."""
    given = admin_inputs(airflow) | {"dag_id": "", "dags": "\n".join(lines)} | inputs
    return run_whole_step(given, time=time, context=context)


def run_step(
    given: Mapping[str, str],
    environment: Mapping[str, str] = MappingProxyType({}),
    *,
    time: VirtualTime | None = None,
    context: Context = CONTEXT,
    hang: float = READ_TIMEOUT,
) -> Outcome:
    """Run one step with one DAG run, with these inputs and this environment."""
    (outcome,) = run_whole_step(given, environment, time=time, context=context, hang=hang).runs
    return outcome


def run_whole_step(
    given: Mapping[str, str],
    environment: Mapping[str, str] = MappingProxyType({}),
    *,
    time: VirtualTime | None = None,
    context: Context = CONTEXT,
    hang: float = READ_TIMEOUT,
) -> StepOutcome:
    """Run one step with these inputs and this environment."""
    settings = parse_settings(given, context.workspace, environment)
    time = time or VirtualTime()
    session = Session(
        settings,
        time.clock,
        time.sleep,
        commands,
        Console(time.clock, commands),
        read_timeout=hang,
        **({"now": time.wall} if time.moves_wall else {}),
    )
    with time.installed(), capture_output(given, environment, context.workspace) as output:
        outcome = Step(settings, context, Interrupts(), session).run()
        for error in (outcome.error, *(run.error for run in outcome.runs)):
            if error:
                output.add(f"{error.title}\n{error.detail}\n{error.hint}")
    return outcome


def saved_runs(state_file: Path) -> list[SavedRun]:
    """Return the runs that the post stage would get."""
    lines = state_file.read_text().splitlines()
    *_, last = (value for name, value in pairwise(lines) if "RUNS<<" in name)
    return [SavedRun(**run) for run in json.loads(last)]
