"""What GitHub's runner is told: outputs, state, masks, annotations and the job summary. The only
importer of actions_toolkit.

As a module it is a `Runner`. The streams and the inputs are the same wherever the step runs.

Whatever is printed goes through here, so that text from Airflow can never act as a workflow command
(docs/notes/runner.md#workflow-commands): a command begins a line with `::`, or stands anywhere in a
line as `##[`.
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
from entrypoint.runners.base import Context, parse_attempt
from entrypoint.runners.sanitize import one_safe_line, printable
from entrypoint.text import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from entrypoint.runners.base import Level

markdown = True
MAX_SUMMARY_BYTES = 1_048_576
"""Bytes; a larger job summary is dropped as a whole (docs/notes/runner.md#job-summary)."""

MAX_MESSAGE_CHARS = 4000
"""Characters; the runner cuts an annotation at 4096."""


JOINER = "\u2060"
"""A character that is not seen, and no blank (`WORD JOINER`)."""
_SEVERITY = r"(?:fatal\s+)?(?:error|warning|info|note|notice)\b"
_DIVIDER = re.compile(
    rf"(?<=[\d)]:)(?=\s)|(?<=:)(?=\sline\s\d)|(?<=\s-)(?=\s{_SEVERITY})|(?<=[\d)])(?=\s+{_SEVERITY})",
    re.IGNORECASE,
)
"""Where a place in a file ends and a message begins: at a blank, so that no secret of the runner's
own is divided.
"""
_PLACE = re.compile(r"(?<!\S)(?!\S*://)\S*:\d+(?=\s|\Z)")
"""A word that ends in the number of a line, as a whole message or before one. No URL: its port is
no line, and links end.
"""
_SOURCE_LINE = re.compile(
    r"(?<![\w.:/@-])(?!\S*(?:://|@))[\w./\\+-]*\w\."
    r"(?:py|pyi|ipynb|sql|js|jsx|mjs|cjs|ts|tsx|vue|go|java|kt|scala|c|cc|cpp|cxx|h|hh|hpp|cs|fs|vb|rb|php|rs|swift|sh|bash|pl|r"
    r"|yml|yaml|json|toml|xml|tf|md|css|scss|html|jinja|jl|lua|ex|exs|proto)(?P<colon>:)(?=\d+(?!\S*@))"
)
"""A source file with the number of a line. The only place where a word is divided: a matcher may
want nothing after it.
"""
_CLOCK = re.compile(r"\s*\d+:\d\d(?::\d\d)?(?=\s|\Z)")
"""The time at the beginning of a line of our own."""

_WARNED: set[str] = set()
"""Losses that were told: each is told once."""


def prepare_streams() -> None:
    """Make every line leave at once and every character printable, whatever the job's environment
    says.

    A reader that is gone, or was never there, or a full disk, costs the log and nothing else: a DAG
    run has to be stopped all the same.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the process began with the stream closed
            # It lives as long as the process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
        for name in ("write", "flush"):
            setattr(stream, name, _tolerant(getattr(stream, name)))


def _tolerant(method: Callable[..., object]) -> Callable[..., object]:
    def call(*arguments: object) -> object:
        try:
            return method(*arguments)
        except OSError:
            return None

    return call


def read_inputs(names: Iterable[str]) -> dict[str, str]:
    """Return the inputs by name, trimmed, empty where the workflow gave none."""
    return {name: core.get_input(name) for name in names}


def say(text: str) -> None:
    """Print one line of the log. Control characters and what would be a command are made
    harmless.
    """
    line = one_safe_line(text)
    clock = _CLOCK.match(line)
    ours = clock.end() if clock else 0
    print(re.sub(r"^(\s*)::", r"\1: :", _divided(line, ours)))  # noqa: T201 - this is the log


@contextmanager
def group(title: str) -> Iterator[None]:
    """Fold what is printed meanwhile."""
    core.start_group(printable(one_safe_line(title)))
    try:
        yield
    finally:
        core.end_group()


def relay(lines: Iterable[str]) -> None:
    """Print lines that others wrote: behind a fence, so that no command in them is obeyed.

    Measured: docs/notes/runner.md#workflow-commands.
    """
    token = token_hex(16)
    try:
        print(f"::stop-commands::{token}")  # noqa: T201 - this is the log
        for line in lines:
            print(_unmatched(one_safe_line(line)))  # noqa: T201 - this is the log
    finally:
        print(f"::{token}::")  # noqa: T201 - this is the log


def _unmatched(line: str) -> str:
    """Return the line so that no problem matcher of an earlier step takes it for an error in this
    repository.

    A matcher knows lines by how they begin (setup-python, setup-go), or by a place in a file and
    what divides it from the message (gcc, mypy, csc, eslint, tsc). No command turns one off but by
    its name, and for the steps behind this one too.
    """
    return JOINER + _divided(line)


def _divided(line: str, start: int = 0) -> str:
    """Return the line with a joiner in each place in a file, from `start` on, and between a number
    and a severity.
    """
    found = {match.start() for match in _DIVIDER.finditer(line)}
    found |= {match.end() for match in _PLACE.finditer(line, start)}
    found |= {match.end("colon") for match in _SOURCE_LINE.finditer(line)}
    bounds = [0, *sorted(found), len(line)]
    return JOINER.join(line[begin:end] for begin, end in pairwise(bounds))


def debug(text: str) -> None:
    """Print a line that the runner shows only with step debug logging on."""
    if core.is_debug():
        core.debug(printable(one_safe_line(text)))


def mask(secret: str) -> None:
    """Have the runner replace the secret by *** from here on."""
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
    """Print one annotation, on a line of a file in the workspace if one is given. If it is too
    long, the `ending` stays.
    """
    print_it = {"error": core.error, "warning": core.warning, "notice": core.notice}[level]
    message, ending = (
        "\n".join(map(one_safe_line, printable(text).split("\n"))) for text in (message, ending)
    )
    print_it(
        shortened(message, MAX_MESSAGE_CHARS - len(ending)) + ending,
        title=one_safe_line(printable(title)),
        file=printable(file),
        start_line=line,
    )
    sys.stdout.flush()


def set_output(name: str, value: str) -> None:
    """Set an output of the step. Without a runner's file it is left out: the old command is
    disabled.
    """
    if path := os.environ.get("GITHUB_OUTPUT"):
        _append(
            path,
            "Later steps miss outputs of this step.",
            lambda: core.set_output(name, printable(value)),
        )


def save_state(name: str, value: str) -> None:
    """Keep a value for the post stage."""
    if path := os.environ.get("GITHUB_STATE"):
        _append(
            path,
            "If this step is killed, its DAG run is not stopped.",
            lambda: core.save_state(name, printable(value)),
        )


def disarm_post_stage() -> None:
    """Leave the post stage nothing to stop. Where that cannot be written, what it would go by is
    taken away.
    """
    if path := os.environ.get("GITHUB_STATE"):
        try:
            core.save_state("ENDED", "true")
        except Exception:  # noqa: BLE001 - as of `_append`
            with suppress(OSError):
                os.truncate(path, 0)


def append_summary(text: str) -> None:
    """Append to the job summary."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):

        def write() -> None:
            # As short as it gets
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
                file.write(f"{text}\n")

        _append(path, "The job summary is missing.", write)


def _append(path: str, loss: str, write: Callable[[], None]) -> None:
    """Write a record whole or not at all: half of one would fail the step. What cannot be written
    is told once.
    """
    size = 0
    try:
        with suppress(FileNotFoundError):
            size = os.stat(path).st_size  # noqa: PTH116 - as short as it gets
        write()
    except Exception as error:  # noqa: BLE001 - the system's, and actions-toolkit's own
        with suppress(OSError):
            os.truncate(path, size)
        if loss not in _WARNED:
            _WARNED.add(loss)
            what = getattr(error, "strerror", None) or "the file is not there"
            text = f"{path}: {what}. {loss} What this step decides does not depend on it."
            annotate("warning", "A file of the runner cannot be written", text)


def read_context(environ: Mapping[str, str]) -> Context:
    """Read the context from the runner's environment.

    Raises: ActionError: naming every variable that is missing: without them the run id would not be
        that of a commit.
    """
    needed = (
        "GITHUB_SHA",
        "GITHUB_REPOSITORY",
        "GITHUB_RUN_ID",
        "GITHUB_JOB",
        "GITHUB_ACTION",
        "GITHUB_ACTOR",
    )
    if missing := [name for name in needed if not environ.get(name)]:
        raise ActionError(
            "Not started by a GitHub runner",
            f"The environment lacks {', '.join(missing)}.",
            "Use this image as an action: `uses: OWNER/airflow-dag-run@…` in a workflow's step.",
        )
    page = (
        f"{environ.get('GITHUB_SERVER_URL') or 'https://github.com'}/{environ['GITHUB_REPOSITORY']}"
    )
    return Context(
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
        event=Path(path) if (path := environ.get("GITHUB_EVENT_PATH")) else None,
        job_path=_job_path(environ),
    )


def _job_path(environ: Mapping[str, str]) -> str:
    """Return what tells the calls of one reusable workflow apart, in every attempt alike.

    Measured: docs/notes/runner.md#calls-of-one-reusable-workflow.

    Everything else that a step sees is the same for two calls. The token is decoded, and never sent
    or shown.
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


def head_commit(context: Context) -> str:
    """Return the commit that branch protection looks at: of a pull request its head, else the
    workflow run's.

    In a pull request the runner's own SHA is that of a merge which GitHub only tries, and shows
    nowhere.
    """
    try:
        event = json.loads(context.event.read_text(encoding="utf-8")) if context.event else {}
        head = event["pull_request"]["head"]["sha"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return context.sha
    return head if isinstance(head, str) and _SHA.fullmatch(head) else context.sha
