"""A replay of GitHub's runner for one step of a docker container action or a JavaScript action.

Environment, file commands, log and signals follow the runner's source, as recorded in
docs/notes/runner.md. It knows this project only by its action.yml.
"""

from dev.runner.commands import Annotation
from dev.runner.context import RunnerContext
from dev.runner.launch import Container, Native, Process, Stage
from dev.runner.result import StepResult
from dev.runner.running import RunningStep
from dev.runner.step import ActionStep

__all__ = [
    "ActionStep",
    "Annotation",
    "Container",
    "Native",
    "Process",
    "RunnerContext",
    "RunningStep",
    "Stage",
    "StepResult",
]
