"""The result of one stage of a step."""

from dataclasses import dataclass
from typing import Literal

from dev.runner.commands import Annotation


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the runner learns from a stage, and what a reader of the workflow run sees of it.

    Attributes:
        exit_code: the client process's; negative if a signal ended it
        conclusion: `failure` also if the runner could not read a file or refused a command
        raw: every line of stdout and stderr as it arrived, unmasked
        log: the same as GitHub shows it: commands executed, secrets masked
        outputs: from the files and from deprecated commands
        state: from the files and from deprecated commands
        env: from the files
        path: from the files
        summary: the uploaded Markdown, masked
        annotations: at most ten of each level
        masks: values that the step masked
        unexpected_commands: lines with commands that no action should print today
    """

    exit_code: int
    conclusion: Literal["success", "failure"]
    raw: str
    log: str
    outputs: dict[str, str]
    state: dict[str, str]
    env: dict[str, str]
    path: tuple[str, ...]
    summary: str
    annotations: tuple[Annotation, ...]
    masks: frozenset[str]
    unexpected_commands: tuple[str, ...]

    @property
    def own_outputs(self) -> dict[str, str]:
        """The outputs without `runs`, which repeats those of each DAG run."""
        return {name: value for name, value in self.outputs.items() if name != "runs"}
