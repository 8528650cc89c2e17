"""What other systems are told: lines of text in which secrets are masked, and the outputs as a JSON
file.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from entrypoint import masking
from entrypoint.errors import ActionError
from entrypoint.runners.base import Context, parse_attempt
from entrypoint.runners.sanitize import one_safe_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from entrypoint.runners.base import Level

_MIN_SECRET_CHARS = 4
"""Characters of a line of a secret that is masked; fewer would make the log unreadable and hide
nothing.
"""
_JSON_OUTPUTS = frozenset({"created", "duration", "failed_tasks", "xcom"})
"""Outputs whose text is JSON: in the file they are the values themselves."""


class GenericRunner:
    """A `Runner` on standard output.

    Args: outputs: the file for the outputs, empty if nobody wants it. Call `write` before anything
        is triggered: it raises if the file cannot be written. verbose: whether to print what is for
        debugging.
    """

    markdown = False

    def __init__(self, outputs: str = "", *, verbose: bool = False) -> None:
        self._path = Path(outputs) if outputs else None
        self._verbose = verbose
        self._warned = False
        self._outputs: dict[str, object] = {}

    def say(self, text: str) -> None:
        """See `Runner`."""
        self._print(one_safe_line(text))

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """See `Runner`. There is no way to fold that every system knows."""
        self.say(title)
        yield

    def relay(self, lines: Iterable[str]) -> None:
        """See `Runner`. They are indented, so that it can be seen where they end."""
        for line in lines:
            self._print(f"    {one_safe_line(line)}")

    def debug(self, text: str) -> None:
        """See `Runner`."""
        if self._verbose:
            self._print(f"DEBUG: {one_safe_line(text)}")

    def mask(self, secret: str) -> None:
        """See `Runner`. It is not printed: whoever reads this log would see it. That one is not
        masked is told once.
        """
        masking.add(secret, _MIN_SECRET_CHARS)
        if 0 < len(secret.strip()) < _MIN_SECRET_CHARS and not self._warned:
            self._warned = True
            self.annotate(
                "warning",
                "A secret is too short to be masked",
                f"One that this step was given has less than {_MIN_SECRET_CHARS} "
                "characters: to mask it would make the log "
                "unreadable. Where a text quotes it, it can be read.",
            )

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
        """See `Runner`. A place is written as compilers do."""
        place = f"{file}:{line}: " if file and line is not None else f"{file}: " if file else ""
        self._print(f"{level.upper()}: {one_safe_line(place + title)}")
        for part in f"{message}{ending}".split("\n"):
            if part.strip():
                self._print(f"    {one_safe_line(part)}")

    def set_output(self, name: str, value: str) -> None:
        """See `Runner`. The file is replaced as a whole, so that it is JSON at every moment.

        A file that can no longer be written is told once: nobody must lose sight of a DAG run for
        it.
        """
        value = printable(value)
        self._outputs[name] = json.loads(value) if name in _JSON_OUTPUTS and value else value
        try:
            self.write()
        except ActionError as error:
            self._path = None
            self.annotate(
                "warning", error.title, f"{error.detail} From here on the outputs are not written."
            )

    def write(self) -> None:
        """Write the file with what is known. Raises ActionError."""
        if self._path is None:
            return
        try:
            beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            beside.write_text(
                f"{json.dumps(self._outputs, ensure_ascii=False, indent=2)}\n", encoding="utf-8"
            )
            beside.replace(self._path)
        except OSError as error:
            raise ActionError(
                "The file for the outputs cannot be written",
                f"{self._path}: {error.strerror}.",
                "Name a file in a folder that is there and can be written, in a container "
                "one that is mounted.",
            ) from None

    def save_state(self, name: str, value: str) -> None:
        """See `Runner`. There is no post stage."""

    def disarm_post_stage(self) -> None:
        """See `Runner`. There is no post stage."""

    def append_summary(self, text: str) -> None:
        """See `Runner`."""
        self._print("")
        for line in text.split("\n"):
            self._print(one_safe_line(line))

    def _print(self, line: str) -> None:
        print(printable(line), flush=True)  # noqa: T201 - this is the log


class _CiSystem(NamedTuple):
    """One system's names of variables: `sign` is that by which it is known; of several the first
    that is set counts.
    """

    name: str
    sign: str
    sha: str
    repository: tuple[str, ...]
    run_id: str
    job: tuple[str, ...]
    actor: tuple[str, ...]
    run_url: str = ""
    attempt: str = ""
    step: str = ""


_SYSTEMS = (
    _CiSystem(
        "gitlab",
        "GITLAB_CI",
        "CI_COMMIT_SHA",
        ("CI_PROJECT_PATH",),
        "CI_PIPELINE_ID",
        ("CI_JOB_NAME",),
        ("GITLAB_USER_LOGIN",),
        "CI_PIPELINE_URL",
    ),
    _CiSystem(
        "azure",
        "TF_BUILD",
        "BUILD_SOURCEVERSION",
        ("BUILD_REPOSITORY_NAME",),
        "BUILD_BUILDID",
        ("SYSTEM_JOBNAME", "AGENT_JOBNAME"),
        ("BUILD_REQUESTEDFOR",),
        attempt="SYSTEM_JOBATTEMPT",
    ),
    _CiSystem(
        "jenkins",
        "BUILD_TAG",
        "GIT_COMMIT",
        ("GIT_URL", "JOB_NAME"),
        "BUILD_ID",
        ("JOB_NAME",),
        ("BUILD_USER_ID",),
        "BUILD_URL",
        step="STAGE_NAME",
    ),
)
SHELL = "shell"


def read_context(environ: Mapping[str, str], *, run_id: str) -> Context:
    """Read the context from the environment of the system that started this process.

    Args:
        environ: the process's.
        run_id: the input: with it a shell need not say of which commit and build this is.

    Raises:
        ActionError: naming what is missing: without it the run id would not be that of a commit.
    """
    system = next((one for one in _SYSTEMS if environ.get(one.sign)), None)
    if system is None:
        if not run_id:
            raise _unknown()
        return Context(SHELL, "", "", "", 1, "", "", environ.get("USER", ""), "", "", "", Path())
    missing = [name for name in (system.sha, system.run_id) if not environ.get(name)]
    if missing and not run_id:
        raise _lacking(system, missing)
    return Context(
        system=system.name,
        sha=environ.get(system.sha, ""),
        repository=_first(environ, system.repository),
        run_id=environ.get(system.run_id, ""),
        attempt=parse_attempt(environ.get(system.attempt, "")),
        job=_first(environ, system.job),
        step=environ.get(system.step, ""),
        actor=_first(environ, system.actor),
        run_url=_azure_url(environ) if system.name == "azure" else environ.get(system.run_url, ""),
        commit_url=_gitlab_commit(environ) if system.name == "gitlab" else "",
        api_url="",
        # Not the system's own variable: in a container the checkout may be mounted elsewhere.
        workspace=Path(),
    )


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := environ.get(name, ""))), "")


def _azure_url(environ: Mapping[str, str]) -> str:
    server, project, build = (
        environ.get(name, "")
        for name in ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECTID", "BUILD_BUILDID")
    )
    return (
        f"{server.rstrip('/')}/{project}/_build/results?buildId={build}"
        if server and project
        else ""
    )


def _gitlab_commit(environ: Mapping[str, str]) -> str:
    project, sha = environ.get("CI_PROJECT_URL", ""), environ.get("CI_COMMIT_SHA", "")
    return f"{project}/-/commit/{sha}" if project and sha else ""


def _unknown() -> ActionError:
    known = ", ".join(f"{one.sign} ({one.name})" for one in _SYSTEMS)
    return ActionError(
        "Nothing says for which commit this is",
        f"The environment has neither GITHUB_ACTIONS (github) nor one of {known}, and "
        "run_id is empty.",
        "In a container hand over the variables of your CI system (docker run --env NAME "
        "…); from a shell give the run id "
        "yourself, as INPUT_RUN_ID.",
    )


def _lacking(system: _CiSystem, missing: list[str]) -> ActionError:
    return ActionError(
        "Nothing says for which commit this is",
        f"{system.sign} is there ({system.name}), but the environment lacks {', '.join(missing)}.",
        f"Hand over {system.sha} and {system.run_id} (docker run --env NAME …), or give "
        "the run id yourself, as INPUT_RUN_ID.",
    )
