"""Run on GitHub Actions: log, outputs, state, masks, annotations and job summary.

This module is a `Runner`, and the only importer of actions_toolkit. `prepare_streams` and
`read_inputs` serve the other CI systems too.

All output passes through here, so that text from Airflow never acts as a workflow command
(docs/notes/runner.md#workflow-commands). A command is a line that begins with `::`, or `##[`
anywhere in a line.
"""

from __future__ import annotations

import json
import os
import re
import sys
from base64 import urlsafe_b64decode
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from actions_toolkit import core

from entrypoint import masking
from entrypoint.errors import ActionError
from entrypoint.models import Event
from entrypoint.runners.base import Context, parse_attempt
from entrypoint.runners.sanitize import one_safe_line, printable
from entrypoint.text import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from entrypoint.runners.base import Level

markdown = True
min_secret_chars = 1
MAX_SUMMARY_BYTES = 1_048_576
"""Bytes; GitHub drops a larger job summary as a whole (docs/notes/runner.md#job-summary)."""
MAX_MESSAGE_CHARS = 4000
"""Characters of an annotation; the runner cuts it at 4096."""

JOINER = "\u2060"
"""An invisible character that does not count as a space (`WORD JOINER`)."""
_SEVERITY = r"(?:fatal\s+)?(?:error|warning|info|note|notice)\b"
_DIVIDER = re.compile(
    rf"(?<=[\d)]:)(?=\s)|(?<=:)(?=\sline\s\d)|(?<=\s-)(?=\s{_SEVERITY})"
    rf"|(?<=[\d)])(?=\s+{_SEVERITY})",
    re.IGNORECASE,
)
"""The position between a place in a file and its message.

It is next to a space, so that a joiner does not split a secret that only the runner knows.
"""
_PLACE = re.compile(r"(?<!\S)(?!\S*://)\S*:\d+(?=\s|\Z)")
"""A word that ends with a line number, alone or before a message.

URLs are excluded, because their port is no line number and a joiner would break the link.
"""
_SOURCE_LINE = re.compile(
    r"(?<![\w.:/@-])(?!\S*(?:://|@))[\w./\\+-]*\w\."
    r"(?:py|pyi|ipynb|sql|js|jsx|mjs|cjs|ts|tsx|vue|go|java|kt|scala|c|cc|cpp|cxx|h|hh|hpp|cs|fs"
    r"|vb|rb|php|rs|swift|sh|bash|pl|r"
    r"|yml|yaml|json|toml|xml|tf|md|css|scss|html|jinja|jl|lua|ex|exs"
    r"|proto)(?P<colon>:)(?=\d+(?!\S*@))"
)
"""The name of a source file with a line number.

Only here does a joiner split a word, because a matcher may expect nothing after the number.
"""
_CLOCK = re.compile(r"\s*\d+:\d\d(?::\d\d)?(?=\s|\Z)")
"""The elapsed time at the beginning of a line that this action writes."""

_WARNED_LOSSES: set[str] = set()
"""The values of `loss` about which `_append` has warned already; it warns once about each."""


def prepare_streams() -> None:
    """Flush stdout and stderr after every line, write UTF-8, and ignore write errors.

    The step must go on and stop its DAG run even if the log cannot be written, for example because
    the disk is full or the reader has closed the pipe.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the process started with the stream closed
            # Stays open until the process exits
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(  # type: ignore[union-attr]
            # Also on Windows, where actions-toolkit writes the line ends of the system itself
            encoding="utf-8",
            errors="backslashreplace",
            newline="\n",
            line_buffering=True,
        )
        for name in ("write", "flush"):
            setattr(stream, name, _tolerant(getattr(stream, name)))


def _tolerant(method: Callable[..., object]) -> Callable[..., object]:
    """Wrap a method of a stream so that it ignores an OSError."""

    def call(*arguments: object) -> object:
        try:
            return method(*arguments)
        except OSError:
            return None

    return call


def read_inputs(names: Iterable[str]) -> dict[str, str]:
    """Return the trimmed inputs by name; an input that the workflow does not set is empty."""
    return {name: core.get_input(name) for name in names}


def say(text: str) -> None:
    """Print one line of the log without control characters and commands."""
    line = one_safe_line(text)
    clock = _CLOCK.match(line)
    start = clock.end() if clock else 0
    print(re.sub(r"^(\s*)::", r"\1: :", _with_joiners(line, start)))  # noqa: T201 - this is the log


@contextmanager
def group(title: str) -> Iterator[None]:
    """Fold the lines printed inside this context."""
    core.start_group(printable(one_safe_line(title)))
    try:
        yield
    finally:
        core.end_group()


def relay(lines: Iterable[str]) -> None:
    """Print untrusted lines with workflow commands disabled.

    Measured: docs/notes/runner.md#workflow-commands.
    """
    token = token_hex(16)
    try:
        print(f"::stop-commands::{token}")  # noqa: T201 - this is the log
        for line in lines:
            print(_hide_from_matchers(one_safe_line(line)))  # noqa: T201 - this is the log
    finally:
        print(f"::{token}::")  # noqa: T201 - this is the log


def _hide_from_matchers(line: str) -> str:
    """Change the line invisibly, so that no problem matcher of an earlier step matches it.

    A matcher recognises the beginning of a line (setup-python, setup-go), or a place in a file and
    its separator from the message (gcc, mypy, csc, eslint, tsc). A command could only remove
    matchers by name, and would remove them for later steps too.
    """
    return JOINER + _with_joiners(line)


def _with_joiners(line: str, start: int = 0) -> str:
    """Insert joiners that keep problem matchers from finding places in files and severities.

    A word with a line number counts only from `start` on.
    """
    positions = {match.start() for match in _DIVIDER.finditer(line)}
    positions |= {match.end() for match in _PLACE.finditer(line, start)}
    positions |= {match.end("colon") for match in _SOURCE_LINE.finditer(line)}
    bounds = [0, *sorted(positions), len(line)]
    return JOINER.join(line[begin:end] for begin, end in pairwise(bounds))


def debug(text: str) -> None:
    """Print a line that the runner shows only with step debug logging on."""
    if core.is_debug():
        core.debug(printable(one_safe_line(text)))


def mask(secret: str) -> None:
    """Make the runner replace the secret by *** in all later output."""
    if secret.strip():
        masking.add(secret)
        core.set_secret(secret)
        sys.stdout.flush()


def annotate(
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
    command = {"error": core.error, "warning": core.warning, "notice": core.notice}[level]
    message, ending = (
        "\n".join(map(one_safe_line, printable(text).split("\n"))) for text in (message, ending)
    )
    command(
        shortened(message, MAX_MESSAGE_CHARS - len(ending)) + ending,
        title=one_safe_line(printable(title)),
        file=printable(file),
        start_line=line,
    )
    sys.stdout.flush()


def set_output(name: str, value: str) -> None:
    """Set an output of the step.

    If the runner names no file, do nothing, because GitHub has disabled the older workflow command.
    """
    if path := os.environ.get("GITHUB_OUTPUT"):
        _append(
            path,
            "Later steps miss outputs of this step.",
            lambda: core.set_output(name, printable(value)),
        )


def save_state(name: str, value: str) -> bool:
    """Save a value for the post stage; return False if the file cannot be written."""
    path = os.environ.get("GITHUB_STATE")
    return not path or _append(
        path,
        "If this step is killed, its DAG run is not stopped.",
        lambda: core.save_state(name, printable(value)),
    )


def disarm_post_stage() -> None:
    """Make the post stage leave the DAG run alone.

    If that cannot be saved, empty the file, so that the post stage does not know the run.
    """
    if path := os.environ.get("GITHUB_STATE"):
        try:
            core.save_state("ENDED", "true")
        except Exception:  # noqa: BLE001 - as in `_append`
            with suppress(OSError):
                os.truncate(path, 0)


def append_summary(text: str) -> None:
    """Append to the job summary."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):

        def write() -> None:
            with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{text}\n")

        _append(path, "The job summary is missing.", write)


def _append(path: str, loss: str, write: Callable[[], None]) -> bool:
    """Write a record to a file of the runner, or nothing: half a record would fail the step.

    Return False if the file cannot be written.

    Args:
        path: file of the runner.
        loss: sentence that says what is lost if the file cannot be written; warned about once.
        write: function that appends the record.
    """
    size = 0
    try:
        with suppress(FileNotFoundError):
            size = os.stat(path).st_size  # noqa: PTH116
        write()
    except Exception as error:  # noqa: BLE001 - actions-toolkit raises its own besides OSError
        with suppress(OSError):
            os.truncate(path, size)
        if loss not in _WARNED_LOSSES:
            _WARNED_LOSSES.add(loss)
            reason = getattr(error, "strerror", None) or "the file is missing"
            text = f"{path}: {reason}. {loss} The result of this step does not depend on it."
            annotate("warning", "A file of the runner cannot be written", text)
        return False
    return True


_REQUIRED = (
    "GITHUB_SHA",
    "GITHUB_REPOSITORY",
    "GITHUB_RUN_ID",
    "GITHUB_JOB",
    "GITHUB_ACTION",
    "GITHUB_ACTOR",
)
"""Variables that every runner sets, and that the context needs."""
_OTHER_SYSTEMS = ("GITLAB_CI", "TF_BUILD", "BUILD_TAG", "JENKINS_URL")
"""Variables that tell that another CI system has started this process."""


def is_runner(environ: Mapping[str, str]) -> bool:
    """Return whether GitHub's runner has started this process.

    The runner passes `GITHUB_ACTIONS` only to the containers that it starts itself, and a container
    hook in Kubernetes may not (docs/notes/runner.md#docker-run-command). Then the other variables
    decide, together with the file for the outputs, which no other machine has: a workflow command
    would show secrets in any other log.
    """
    if environ.get("GITHUB_ACTIONS") or any(map(environ.get, _OTHER_SYSTEMS)):
        return environ.get("GITHUB_ACTIONS") == "true"
    outputs = environ.get("GITHUB_OUTPUT")
    return bool(outputs) and all(map(environ.get, _REQUIRED)) and Path(outputs or "").is_file()


def read_context(environ: Mapping[str, str]) -> Context:
    """Read the context from the runner's environment.

    Raises:
        ActionError: variables are missing, so that no run id can be derived from the commit.
    """
    if missing := [name for name in _REQUIRED if not environ.get(name)]:
        raise ActionError(
            "Not started by a GitHub runner",
            f"The environment lacks {', '.join(missing)}.",
            "Use this as an action: `uses: OWNER/airflow-dag-run@…` in a workflow's step.",
        )
    page = (
        f"{environ.get('GITHUB_SERVER_URL') or 'https://github.com'}/{environ['GITHUB_REPOSITORY']}"
    )
    event_name = environ.get("GITHUB_EVENT_NAME", "")
    path = environ.get("GITHUB_EVENT_PATH")
    context = Context(
        system="github",
        sha=environ["GITHUB_SHA"],
        repository=environ["GITHUB_REPOSITORY"],
        run_id=environ["GITHUB_RUN_ID"],
        attempt=parse_attempt(environ.get("GITHUB_RUN_ATTEMPT", "")),
        job=environ["GITHUB_JOB"],
        step=environ["GITHUB_ACTION"],
        actor=environ.get("GITHUB_TRIGGERING_ACTOR") or environ["GITHUB_ACTOR"],
        run_url=f"{page}/actions/runs/{environ['GITHUB_RUN_ID']}",
        commit_url=f"{page}/commit/{environ['GITHUB_SHA']}",
        api_url=environ.get("GITHUB_API_URL") or "https://api.github.com",
        workspace=Path(environ.get("GITHUB_WORKSPACE") or "."),
        event=Path(path) if path else None,
        job_path=_job_path(environ),
        event_name=event_name,
        ref_sha=environ["GITHUB_SHA"],
    )
    if event_name == "issue_comment":
        return context._replace(commit_remark=_commit_of_comment(context))
    if event_name not in _COMMITS_OF_EVENTS:
        return context
    sha = _commit_of_event(context)
    return context._replace(sha=sha, commit_url=f"{page}/commit/{sha}")


def _job_path(environ: Mapping[str, str]) -> str:
    """Return a path that differs for each call of a reusable workflow, not for each attempt.

    Measured: docs/notes/runner.md#calls-of-one-reusable-workflow.

    All other values that a step sees are the same for two calls. The runner's token is only
    decoded, never sent or printed.
    """
    plan_and_path = environ.get("ACTIONS_ORCHESTRATION_ID", "")
    if path := plan_and_path.partition(".")[2]:
        return path
    claims = environ.get("ACTIONS_RUNTIME_TOKEN", "").split(".")
    try:
        scopes = json.loads(urlsafe_b64decode(f"{claims[1]}==="))["scp"].split()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    found = (re.fullmatch(r"Actions\.Results:[^:]+:([^:]+)", scope) for scope in scopes)
    return next((match[1] for match in found if match), "")


_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_COMMITS_OF_EVENTS = {
    "check_run": ("check_run", "head_sha"),
    "check_suite": ("check_suite", "head_sha"),
    "deployment": ("deployment", "sha"),
    "deployment_status": ("deployment", "sha"),
    "merge_group": ("merge_group", "head_sha"),
    "pull_request_target": ("pull_request", "head", "sha"),
    "status": ("sha",),
    "workflow_run": ("workflow_run", "head_sha"),
}
"""Where the payload of an event has the commit that the event is about.

Of several of them, GITHUB_SHA is the last commit of the default branch, or of a pull request's base
(https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows).
Of all other events it is GITHUB_SHA; the payload of `schedule` and the like has no commit.
"""


def _commit_of_event(context: Context) -> str:
    """Return the commit that the event is about, GITHUB_SHA if its payload does not say."""
    event = read_event(context)
    pull_request = event.payload.get("pull_request")
    if isinstance(pull_request, dict) and pull_request.get("merged") is True:
        return context.sha  # the workflow runs on the branch that has the pull request now
    found = event.text_at(*_COMMITS_OF_EVENTS[event.name])
    return found if _SHA.fullmatch(found) else context.sha


def _commit_of_comment(context: Context) -> str:
    """Say which commit a comment on a pull request is about, because the payload has none."""
    issue = read_event(context).payload.get("issue")
    if not isinstance(issue, dict) or not issue.get("pull_request"):
        return ""
    return (
        f"The event {context.event_name} does not name the commit of its pull request. So this "
        f"step is about {context.sha[:12]}, the last commit of the default branch"
    )


def head_commit(context: Context) -> str:
    """Return the commit that branch protection checks: a pull request's head, or GITHUB_SHA.

    In a pull request, GITHUB_SHA is a test merge commit, on which GitHub shows no status.
    """
    head = read_event(context).text_at("pull_request", "head", "sha")
    return head if _SHA.fullmatch(head) else context.sha


def head_repositories(context: Context) -> tuple[str, ...]:
    """Return the repository of the workflow, and the fork with the commit that started it."""
    event = read_event(context)
    heads = (("pull_request", "head", "repo"), ("workflow_run", "head_repository"))
    forks = (event.text_at(*path, "full_name") for path in heads)
    return (context.repository, *filter(None, forks))


def read_event(context: Context) -> Event:
    """Return the event that started the workflow; its payload is empty if it cannot be read."""
    try:
        payload = json.loads(context.event.read_text(encoding="utf-8")) if context.event else {}
    except (OSError, ValueError, RecursionError):
        payload = {}
    return Event(context.event_name, payload if isinstance(payload, dict) else {})
