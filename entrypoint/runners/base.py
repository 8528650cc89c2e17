"""Whoever runs the step, GitHub's runner or another system: which step this is, and what can be
told to it. No I/O.

Two rooms know the particulars: `github/`, and `elsewhere/` for every other system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

Level = Literal["error", "warning", "notice"]


def parse_attempt(text: str) -> int:
    """Return the number of an attempt as a variable says it: one that is no number counts as the
    first.
    """
    return int(text) if text.isdecimal() else 1


class Context(NamedTuple):
    """The step that this process is.

    Attributes: system: who runs it, as run ids begin. sha: of the commit; empty where nobody says.
        run_id: of the workflow run, pipeline or build; the same when a job is run again. step: what
        tells the steps of a job apart, if anything does. job_path: of the job through reusable
        workflows, the same in every attempt; empty where nobody tells. run_url: the workflow run's
        page. This and `commit_url` are empty where they are not known. api_url: GitHub's API; empty
        where the repository is not GitHub's. workspace: the checkout. event: the file that tells
        what started the workflow, where there is one.
    """

    system: str
    sha: str
    repository: str
    run_id: str
    attempt: int
    job: str
    step: str
    actor: str
    run_url: str
    commit_url: str
    api_url: str
    workspace: Path
    event: Path | None = None
    job_path: str = ""


class Runner(Protocol):
    """What can be told to whoever runs the step. Text from Airflow may be in all of it, and never
    acts as a command.
    """

    markdown: bool
    """Whether a job summary is shown as Markdown; if not, it is read as a text in the log."""

    def say(self, text: str) -> None:
        """Print one line of the log."""

    def group(self, title: str) -> AbstractContextManager[None]:
        """Fold what is printed meanwhile, if the log can."""

    def relay(self, lines: Iterable[str]) -> None:
        """Print lines that others wrote."""

    def debug(self, text: str) -> None:
        """Print a line that is shown only if debugging is on."""

    def mask(self, secret: str) -> None:
        """Show *** in place of the secret from here on."""

    def annotate(
        self,
        level: Level,
        title: str,
        message: str,
        *,
        ending: str = "",
        file: str = "",
        line: int | None = None,
    ) -> None:
        """Print one annotation, on a line of a file of the workspace if one is given. Of a long one
        the `ending` stays.
        """

    def set_output(self, name: str, value: str) -> None:
        """Set an output of the step."""

    def save_state(self, name: str, value: str) -> None:
        """Keep a value for the post stage, where there is one."""

    def disarm_post_stage(self) -> None:
        """Leave the post stage, where there is one, nothing to stop."""

    def append_summary(self, text: str) -> None:
        """Show a job summary."""
