"""Define the interface of a runner and the context of a step, without I/O.

`github.py` implements it for GitHub Actions, `generic.py` for all other CI systems.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

Level = Literal["error", "warning", "notice"]


def parse_attempt(text: str) -> int:
    """Return the number of an attempt, or 1 if the text is not a number."""
    return int(text) if text.isdecimal() else 1


class Context(NamedTuple):
    """The step that this process runs. A text field is empty if the CI system does not set it.

    Attributes:
        system: name of the CI system, the prefix of run ids.
        sha: commit that the workflow run is about.
        repository: name of the repository.
        run_id: id of the workflow run, pipeline or build; a re-run has the same one.
        attempt: number of the attempt, from 1.
        job: id or name of the job.
        step: id that distinguishes the steps of a job.
        actor: user who started the run.
        run_url: page of the workflow run.
        commit_url: page of the commit.
        api_url: GitHub's API, empty if the repository is not on GitHub.
        workspace: directory of the checkout.
        event: file with the event that started the workflow.
        event_name: name of that event.
        ref_sha: commit of the ref on which the workflow runs, if GitHub runs it; `sha` may differ.
        commit_remark: sentence about `sha`, if users may expect another commit.
        job_path: path of the job through reusable workflows, the same in every attempt.
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
    event_name: str = ""
    ref_sha: str = ""
    commit_remark: str = ""


class Runner(Protocol):
    """The interface to the CI system. It never treats text from Airflow as a command."""

    markdown: bool
    """Whether the system renders the job summary as Markdown; else the log shows it as text."""

    min_secret_chars: int
    """Characters of the shortest secret that the system masks."""

    def say(self, text: str) -> None:
        """Print one line of the log."""

    def group(self, title: str) -> AbstractContextManager[None]:
        """Fold the lines printed inside this context, if the log supports it."""

    def relay(self, lines: Iterable[str]) -> None:
        """Print lines from an untrusted source, such as a task's log."""

    def debug(self, text: str) -> None:
        """Print a line that is shown only if debugging is on."""

    def mask(self, secret: str) -> None:
        """Replace the secret by *** in all later output."""

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
        """Print one annotation, on a line of a file in the workspace if one is given.

        If the annotation is too long, `message` is shortened and `ending` is kept.
        """

    def set_output(self, name: str, value: str) -> None:
        """Set an output of the step."""

    def save_state(self, name: str, value: str) -> bool:
        """Save a value for the post stage, if the system has one; return False if that failed."""

    def disarm_post_stage(self) -> None:
        """Make the post stage, if the system has one, leave the DAG run alone."""

    def append_summary(self, text: str) -> None:
        """Append to the job summary."""
