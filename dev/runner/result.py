"""What came of one stage of a step."""

from dataclasses import dataclass
from typing import Literal

from dev.runner.commands import Annotation


@dataclass(frozen=True, slots=True)
class StepResult:
    """All that the runner learns from a stage, and all that a reader of the workflow run sees of
    it.

    Attributes: exit_code: the client process's; negative if a signal ended it. conclusion:
        `failure` also if the runner could not read a file or refused a command. raw: every line of
        stdout and stderr as it arrived, unmasked. log: the same as GitHub shows it: commands
        obeyed, secrets masked. outputs, state, env, path: from the files (and, for the first two,
        from deprecated commands). summary: the Markdown that is uploaded, masked. annotations: at
        most ten of each level. masks: what the step asked to hide. unexpected_commands: lines with
        commands that no action written today should print.
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
