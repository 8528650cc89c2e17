"""The gate in this process, on a clock that only sleeping moves: real code, real sockets, no real
waiting.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from dev.airflow_settings import password_of
from entrypoint.http.client import READ_TIMEOUT
from entrypoint.inputs.settings import parse_settings
from entrypoint.report.console import Console
from entrypoint.runners import github as commands
from entrypoint.session import Session
from entrypoint.signals import Interrupts
from entrypoint.step import Step
from tests.support.factories import a_context
from tests.support.guard import listening
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entrypoint.models import Outcome
    from entrypoint.runners.base import Context
    from tests.support.fake_airflow import FakeAirflow

CONTEXT = a_context(workspace=Path())
HANG = 0.2
"""Real seconds after which the gate gives up a request to a server that is to hang; any other may
be slow for once.
"""


def run_gate(
    airflow: FakeAirflow,
    *,
    time: VirtualTime | None = None,
    context: Context = CONTEXT,
    hang: float = READ_TIMEOUT,
    **inputs: str,
) -> Outcome:
    """Live through one step against this Airflow, as its admin unless the inputs say otherwise."""
    own = {
        "airflow_url": airflow.url,
        "username": "admin",
        "password": password_of("admin"),
        "dag_id": "sales",
    }
    return run_step(own | inputs, time=time, context=context, hang=HANG if airflow.hangs else hang)


def run_step(
    given: Mapping[str, str],
    environment: Mapping[str, str] = MappingProxyType({}),
    *,
    time: VirtualTime | None = None,
    context: Context = CONTEXT,
    hang: float = READ_TIMEOUT,
) -> Outcome:
    """Live through one step with these inputs, in a job with this environment."""
    settings = parse_settings(given, context.workspace, environment)
    time = time or VirtualTime()
    session = Session(
        settings, time.clock, time.sleep, commands, Console(time.clock, commands), read_timeout=hang
    )
    with time.rules(), listening(given, environment, context.workspace) as ear:
        outcome = Step(settings, context, Interrupts(), session).run()
        if outcome.error:
            ear.keep(f"{outcome.error.title}\n{outcome.error.detail}\n{outcome.error.hint}")
    return outcome
