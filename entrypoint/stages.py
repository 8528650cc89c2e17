"""The two stages of the action, main and post, from the environment to the exit code."""

from __future__ import annotations

import json
import os
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoint.errors import ActionError, InputError, InvalidInputs, internal_error
from entrypoint.inputs.credentials import header_values
from entrypoint.inputs.ordinary_text import ordinary_secrets
from entrypoint.inputs.parsers import FALSE
from entrypoint.inputs.settings import (
    CREDENTIAL_INPUTS,
    INPUT_NAMES,
    OIDC_INPUTS,
    POST_STAGE_INPUTS,
    SECRET_INPUTS,
    parse_settings,
    post_stage_inputs,
)
from entrypoint.models import Outcome, SavedRun, StepOutcome
from entrypoint.report.console import Console
from entrypoint.report.outputs import Outputs
from entrypoint.runners import github
from entrypoint.session import Session
from entrypoint.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from entrypoint.inputs.settings import Settings
    from entrypoint.runners.base import Context, Runner
    from entrypoint.signals import Interrupts

OUTPUTS_FILE = "AIRFLOW_DAG_RUN_OUTPUTS"
"""The environment variable with the path of the outputs file, for other systems than GitHub."""


def main_stage(interrupts: Interrupts) -> int:
    """Run the step. Return exit code 0 if the workflow may go on, otherwise 1."""

    def run_step(inputs: Mapping[str, str], context: Context, runner: Runner) -> StepOutcome:
        settings = parse_settings(inputs, context.workspace, os.environ)
        _warn_of_ordinary_secrets(inputs, context, runner)
        runner.save_state("INPUTS", json.dumps(post_stage_inputs(inputs, settings)))
        step = Step(settings, context, interrupts, _session_of(settings, runner))
        try:
            return step.run()
        except Exception as error:
            if not settings.dags:
                raise
            return step.fail(_bug(error, runner))

    return 0 if _run_stage(run_step).passes else 1


def post_stage() -> int:
    """Stop the DAG runs that the main stage left running. Print nothing if there is none.

    Return exit code 0 if each run is stopped, has ended or is left running on purpose.
    """
    left = _saved_runs()
    if not left or os.environ.get("STATE_ENDED"):
        return 0
    # Imported here, because the main stage does not need it.
    from entrypoint.post import (  # noqa: PLC0415
        left_behind,
        report_runs_left_running,
        stop_runs_left_behind,
    )

    def stop_left_runs(given: Mapping[str, str], context: Context, runner: Runner) -> StepOutcome:
        # The files in the workspace may be gone by now. So may be the inputs, if a composite action
        # uses this action. So read the inputs from the state that the main stage saved.
        inputs = {
            name: text
            for name, text in given.items()
            if name in POST_STAGE_INPUTS or name in CREDENTIAL_INPUTS
        }
        with suppress(ValueError):
            inputs |= json.loads(os.environ.get("STATE_INPUTS") or "{}")
        # With several DAGs, the input is empty; here it is only required.
        inputs["dag_id"] = left[0].dag_id
        try:
            settings = parse_settings(inputs, context.workspace, os.environ)
        except InvalidInputs as error:
            outcomes = [left_behind(run, error) for run in left]
            if inputs.get("on_cancel") == "leave":
                outcomes = [left_behind(run)._replace(stopped="left") for run in left]
            return StepOutcome(tuple(outcomes))
        session = _session_of(settings, runner)
        leave = settings.on_cancel == "leave"
        end = report_runs_left_running if leave else stop_runs_left_behind
        return StepOutcome(tuple(end(left, session)))

    outcome = _run_stage(stop_left_runs)
    # After an error of the post stage itself there is no run, and those of the step may go on.
    good = outcome.error is None and all(run.stop_settled for run in outcome.runs)
    return 0 if good else 1


def _saved_runs() -> list[SavedRun]:
    """Return the DAG runs that the main stage saved; none if it saved nothing valid."""
    try:
        return [
            SavedRun(*saved) if isinstance(saved, list) else SavedRun(**saved)
            for saved in json.loads(os.environ.get("STATE_RUNS") or "[]")
        ]
    except (TypeError, ValueError):
        return []


def _session_of(settings: Settings, runner: Runner) -> Session:
    return Session(settings, time.monotonic, time.sleep, runner, Console(time.monotonic, runner))


def _run_stage(
    work: Callable[[Mapping[str, str], Context, Runner], StepOutcome],
) -> StepOutcome:
    """Read the environment, do the work and report the outcome.

    Every exception becomes an outcome, never a traceback.
    """
    github.prepare_streams()
    runner, read_context = _detect_runner()
    context: Context | None = None
    inputs: dict[str, str] = {}
    try:
        inputs = github.read_inputs(INPUT_NAMES)
        for secret in _secrets(inputs):
            runner.mask(secret)
        context = read_context(inputs)
        outcome = work(inputs, context, runner)
    except ActionError as error:
        outcome = _failed(error, runner, several=bool(inputs.get("dags")))
    # A bug in the action must never cause a success or a bare traceback.
    except Exception as error:  # noqa: BLE001
        outcome = _failed(_bug(error, runner), runner, several=bool(inputs.get("dags")))
    # Imported late, because the trigger should not wait for modules that only the end needs.
    from entrypoint.report.publish import publish  # noqa: PLC0415

    try:
        publish(outcome, context, runner, write_summary=inputs.get("summary") not in FALSE)
    # A bug in the report does not change the result of the step. Its outputs are already written.
    except Exception as error:  # noqa: BLE001
        with suppress(Exception):
            runner.say(_bug(error, runner).detail)
    return outcome


def _detect_runner() -> tuple[Runner, Callable[[Mapping[str, str]], Context]]:
    """Return the runner of this process, and a function that reads the context of the step.

    The function takes the inputs.
    """
    if github.is_runner(os.environ):
        return github, lambda _: github.read_context(os.environ)
    # Imported late, because on GitHub the trigger should not wait for this module.
    from entrypoint.runners.generic import GenericRunner, read_context  # noqa: PLC0415

    generic = GenericRunner(os.environ.get(OUTPUTS_FILE, ""), verbose=_debugging())

    def read(inputs: Mapping[str, str]) -> Context:
        generic.write()
        try:
            return read_context(os.environ, run_id=inputs["run_id"])
        except ActionError as error:
            # A first call in a shell often lacks more than the run id: name all of it.
            try:
                parse_settings(inputs, Path(), os.environ)
            except InvalidInputs as invalid:
                missing = InputError("run_id", error.detail, error.hint)
                raise InvalidInputs((*invalid.errors, missing)) from None
            raise

    return generic, read


def _secrets(inputs: Mapping[str, str]) -> Iterator[str]:
    """Yield every secret of the inputs, and those of the job's environment that they use."""
    yield from (inputs[name] for name in SECRET_INPUTS)
    yield from header_values(inputs["headers"])
    if inputs["mwaa_environment"]:
        yield from (
            os.environ.get(name, "") for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        )
    if any(map(inputs.get, OIDC_INPUTS)):
        yield os.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")


def _warn_of_ordinary_secrets(inputs: Mapping[str, str], context: Context, runner: Runner) -> None:
    texts = (context.repository, context.run_url, context.actor, context.job)
    if not (names := list(ordinary_secrets(inputs, texts, runner.min_secret_chars))):
        return
    dropped = ", and GitHub drops each job output that contains it, such as run_url"
    runner.annotate(
        "warning",
        "A secret hides ordinary text",
        f"The secret in {' and in '.join(names)} occurs in words that are not secret. It is "
        "replaced by *** everywhere in the log and in the job summary"
        f"{dropped if context.system == 'github' else ''}.",
        ending="\nUse a long and random secret. Store other values (an address, a header "
        "without a credential) as a variable, and not as a secret.",
    )


def _failed(error: ActionError, runner: Runner, *, several: bool) -> StepOutcome:
    if several:
        outcome = StepOutcome((), several=True, error=error)
    else:
        outcome = StepOutcome((Outcome(result="error", error=error),))
    Outputs(runner).write(outcome, final=True)
    return outcome


def _debugging() -> bool:
    return os.environ.get("RUNNER_DEBUG") == "1"


def _bug(error: Exception, runner: Runner) -> ActionError:
    """Return the error for a bug in the action. With debugging on, print its traceback."""
    if _debugging():
        for line in traceback.format_exception(error):
            for part in line.splitlines():
                runner.say(part)
    return internal_error(error)
