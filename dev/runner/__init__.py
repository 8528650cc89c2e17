"""A replay of GitHub's runner for one step of a docker container action: environment, file
commands, log, signals.

It is made from the runner's source as recorded in docs/notes/runner.md and knows this project by
its action.yml alone.
"""

from dev.runner.commands import Annotation
from dev.runner.context import Context
from dev.runner.launch import Container, Process, Stage
from dev.runner.result import StepResult
from dev.runner.running import RunningStep
from dev.runner.step import Step

__all__ = [
    "Annotation",
    "Container",
    "Context",
    "Process",
    "RunningStep",
    "Stage",
    "Step",
    "StepResult",
]
