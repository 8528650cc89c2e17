"""Run on other CI systems than GitHub: a log with masked secrets, and outputs as JSON."""

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
"""Characters of the shortest secret that is masked; shorter ones would make the log unreadable."""
_JSON_OUTPUTS = frozenset({"created", "duration", "failed_dags", "failed_tasks", "runs", "xcom"})
"""Outputs whose text is JSON; the file has their values instead of their text."""


class GenericRunner:
    """A `Runner` on standard output.

    Call `write` before the trigger: it raises an error if the file cannot be written.

    Args:
        outputs: path of the file for the outputs, empty for no file.
        verbose: whether to print lines for debugging.
    """

    markdown = False
    min_secret_chars = _MIN_SECRET_CHARS

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
        """See `Runner`. It prints the title only, since the systems share no syntax for folds."""
        self.say(title)
        yield

    def relay(self, lines: Iterable[str]) -> None:
        """See `Runner`. The lines are indented to show where they end."""
        for line in lines:
            self._print(f"    {one_safe_line(line)}")

    def debug(self, text: str) -> None:
        """See `Runner`."""
        if self._verbose:
            self._print(f"DEBUG: {one_safe_line(text)}")

    def mask(self, secret: str) -> None:
        """See `Runner`. Warn once if a secret is too short to be masked."""
        masking.add(secret, _MIN_SECRET_CHARS)
        if 0 < len(secret.strip()) < _MIN_SECRET_CHARS and not self._warned:
            self._warned = True
            self.annotate(
                "warning",
                "A secret is too short to be masked",
                f"A secret of this step has fewer than {_MIN_SECRET_CHARS} characters. Masking it "
                "would make the log unreadable, so the log shows it wherever a text contains it.",
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
        """See `Runner`. File and line are written as in compiler errors."""
        place = f"{file}:{line}: " if file and line is not None else f"{file}: " if file else ""
        self._print(f"{level.upper()}: {one_safe_line(place + title)}")
        for part in f"{message}{ending}".split("\n"):
            if part.strip():
                self._print(f"    {one_safe_line(part)}")

    def set_output(self, name: str, value: str) -> None:
        """See `Runner`. The whole file is replaced, so that it is valid JSON at every moment.

        If the file can no longer be written, warn once and go on, because the DAG run matters more.
        """
        value = printable(value)
        self._outputs[name] = json.loads(value) if name in _JSON_OUTPUTS and value else value
        try:
            self.write()
        except ActionError as error:
            self._path = None
            self.annotate(
                "warning", error.title, f"{error.detail} Further outputs are not written."
            )

    def write(self) -> None:
        """Write the known outputs to the file. Raises ActionError."""
        if self._path is None:
            return
        try:
            temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            temporary.write_text(
                f"{json.dumps(self._outputs, ensure_ascii=False, indent=2)}\n", encoding="utf-8"
            )
            temporary.replace(self._path)
        except OSError as error:
            raise ActionError(
                "The file for the outputs cannot be written",
                f"{self._path}: {error.strerror}.",
                "Name a file in an existing and writable folder; in a container, in a mounted one.",
            ) from None

    def save_state(self, name: str, value: str) -> bool:  # noqa: ARG002
        """See `Runner`. There is no post stage."""
        return True

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
    """Names of the environment variables of a CI system.

    Attributes:
        name: name of the system, the prefix of run ids.
        marker: variable that identifies the system.
        repository: variables of which the first that is set counts, as for `job` and `actor`.
    """

    name: str
    marker: str
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
        environ: environment of this process.
        run_id: the input run_id, required in a shell without the variables of a CI system.

    Raises:
        ActionError: variables are missing, so that no run id can be derived from the commit.
    """
    system = next((one for one in _SYSTEMS if environ.get(one.marker)), None)
    if system is None:
        if not run_id:
            raise _unknown_system()
        return Context(SHELL, "", "", "", 1, "", "", environ.get("USER", ""), "", "", "", Path())
    missing = [name for name in (system.sha, system.run_id) if not environ.get(name)]
    if missing and not run_id:
        raise _missing_variables(system, missing)
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
        # The system's variable may be wrong in a container, which mounts the checkout elsewhere.
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


def _unknown_system() -> ActionError:
    known = ", ".join(f"{one.marker} ({one.name})" for one in _SYSTEMS)
    return ActionError(
        "The commit of this build is unknown",
        f"The environment has neither GITHUB_ACTIONS (github) nor one of {known}, and "
        "run_id is empty.",
        "In a shell, choose a run id: INPUT_RUN_ID, or --run-id of airflow-dag-run.pyz. In a CI "
        "system, pass its variables to this process; to a container with docker run --env NAME ….",
    )


def _missing_variables(system: _CiSystem, missing: list[str]) -> ActionError:
    return ActionError(
        "The commit of this build is unknown",
        f"{system.marker} is set ({system.name}), but the environment lacks {', '.join(missing)}.",
        f"Pass {system.sha} and {system.run_id} to this process; to a container with docker run "
        "--env NAME …. Or choose a run id: INPUT_RUN_ID, or --run-id of airflow-dag-run.pyz.",
    )
