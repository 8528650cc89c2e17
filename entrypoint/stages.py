"""The two stages of the action, from the environment to the exit code: main, and post, which tidies up after a kill."""

from __future__ import annotations

import os
import time
import traceback
from typing import TYPE_CHECKING

from entrypoint.access import values_of
from entrypoint.action import Gate
from entrypoint.connection import Connection
from entrypoint.errors import ActionError, fault_of_ours
from entrypoint.github import commands
from entrypoint.github import context as github
from entrypoint.inputs import FALSE
from entrypoint.models import Outcome
from entrypoint.post import stop_what_is_left
from entrypoint.report.outputs import Outputs
from entrypoint.settings import NAMES, SECRETS, Settings, parse_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from entrypoint.interrupt import Interrupts
    from entrypoint.runner import Context, Runner

OUTPUTS_FILE = "AIRFLOW_DAG_RUN_OUTPUTS"
"""The variable that names the file for the outputs where there is no GitHub runner."""


def main_stage(interrupts: Interrupts) -> int:
    """Run the gate. Returns the exit code: 0 exactly when the workflow may go on."""

    def gate(settings: Settings, context: Context, runner: Runner) -> Outcome:
        return Gate(settings, context, interrupts, _line(settings, runner)).run()

    return 0 if _stage(gate).passes else 1


def post_stage() -> int:
    """Finish what a kill of the main stage cut short; silent when there is nothing to do."""
    run_id = os.environ.get("STATE_RUN_ID")
    if not run_id or os.environ.get("STATE_ENDED"):
        return 0

    def tidy_up(settings: Settings, _: Context, runner: Runner) -> Outcome:
        stopped = os.environ.get("STATE_STOPPED") == "true"
        return stop_what_is_left(settings, run_id, _line(settings, runner), stopped=stopped)

    # The workspace may be gone by now, and what the run was asked for does not matter any more.
    return 0 if _stage(tidy_up, without=("conf_file",)).stopped in ("yes", "nothing", "left") else 1


def _line(settings: Settings, runner: Runner) -> Connection:
    return Connection(settings, time.monotonic, time.sleep, runner)


def _stage(do: Callable[[Settings, Context, Runner], Outcome], *, without: tuple[str, ...] = ()) -> Outcome:
    """Read the environment, do the work, tell people. Whatever happens ends in an outcome and never in a traceback.

    Inputs named in `without` are taken as not given.
    """
    commands.prepare_streams()
    runner, read_context = _here()
    context: Context | None = None
    inputs: dict[str, str] = {}
    try:
        inputs = commands.read_inputs(NAMES) | dict.fromkeys(without, "")
        for secret in _secrets(inputs):
            runner.mask(secret)
        context = read_context(inputs["run_id"])
        outcome = do(parse_settings(inputs, context.workspace, os.environ), context, runner)
    except ActionError as error:
        outcome = _failed(error, runner)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback, and never a green
        outcome = _failed(_fault_of_ours(error, runner), runner)
    # Not before: nobody should wait for a trigger while that is loaded which only its end needs.
    from entrypoint.report.annotations import annotate  # noqa: PLC0415
    from entrypoint.report.publish import publish  # noqa: PLC0415

    try:
        publish(outcome, context, runner, write_summary=inputs.get("summary") not in FALSE)
    except Exception as error:  # noqa: BLE001 - as above
        outcome = _failed(_fault_of_ours(error, runner), runner)
        annotate(outcome, runner)
    return outcome


def _here() -> tuple[Runner, Callable[[str], Context]]:
    """Return who runs this process, and what reads from its environment which step this is, given the input `run_id`."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return commands, lambda _: github.read_context(os.environ)
    # Nobody should wait for a trigger on GitHub while this is loaded.
    from entrypoint.elsewhere.context import read_context  # noqa: PLC0415
    from entrypoint.elsewhere.log import Log  # noqa: PLC0415

    log = Log(os.environ.get(OUTPUTS_FILE, ""), verbose=_debugging())

    def read(run_id: str) -> Context:
        log.write()
        return read_context(os.environ, run_id=run_id)

    return log, read


def _secrets(inputs: Mapping[str, str]) -> Iterator[str]:
    """Return every secret that was given, by the inputs or by the job's environment."""
    yield from (inputs[name] for name in SECRETS)
    yield from values_of(inputs["headers"])
    if inputs["mwaa_environment"]:
        yield from (os.environ.get(name, "") for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    if inputs["oidc_audience"]:
        yield os.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")


def _failed(error: ActionError, runner: Runner) -> Outcome:
    outcome = Outcome(result="error", error=error)
    Outputs(runner).write(outcome, final=True)
    return outcome


def _debugging() -> bool:
    return os.environ.get("RUNNER_DEBUG") == "1"


def _fault_of_ours(error: Exception, runner: Runner) -> ActionError:
    """Name a fault of the action itself; where debugging is on, with its traceback."""
    if _debugging():
        for line in traceback.format_exception(error):
            for part in line.splitlines():
                runner.say(part)
    return fault_of_ours(error)
