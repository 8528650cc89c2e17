"""The runner's file commands: GITHUB_OUTPUT, _STATE, _ENV, _PATH and _STEP_SUMMARY.

Measured: docs/notes/runner.md#file-commands.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.runner.commands import StepLog
from dev.runner.masking import Masker

MAX_SUMMARY_BYTES = 1024 * 1024
# In the order in which the runner reads them.
_PREFIXES = {
    "PATH": "add_path_",
    "ENV": "set_env_",
    "STEP_SUMMARY": "step_summary_",
    "STATE": "save_state_",
    "OUTPUT": "set_output_",
}


class FileCommandError(Exception):
    """A record that makes the runner fail the step."""


@dataclass(frozen=True, slots=True)
class FileContents:
    """What the runner reads from the files; it drops the records after a bad one."""

    outputs: dict[str, str]
    state: dict[str, str]
    env: dict[str, str]
    path: tuple[str, ...]
    summary: str


class CommandFiles:
    """The files of one stage, in `folder`, empty at first."""

    def __init__(self, folder: Path) -> None:
        suffix = uuid.uuid4()
        self._paths = {name: folder / f"{prefix}{suffix}" for name, prefix in _PREFIXES.items()}
        for path in self._paths.values():
            path.touch(mode=0o644)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name the files, as paths on the host."""
        return {f"GITHUB_{name}": str(path) for name, path in self._paths.items()}

    def collect(self, log: StepLog, masker: Masker) -> FileContents:
        """Read and remove the files; report errors to `log`, which fails the step."""
        contents = {
            name: path.read_bytes() if path.is_file() else b"" for name, path in self._paths.items()
        }
        for path in self._paths.values():
            path.unlink(missing_ok=True)
        return FileContents(
            path=tuple(line for line in split_lines(decode(contents["PATH"])) if line),
            env=_pairs("env", contents["ENV"], log),
            summary=_summary(contents["STEP_SUMMARY"], log, masker),
            state=_pairs("state", contents["STATE"], log),
            outputs=_pairs("output", contents["OUTPUT"], log),
        )


def _pairs(name: str, content: bytes, log: StepLog) -> dict[str, str]:
    found = {}
    try:
        for key, value in _named(name, parse_pairs(decode(content))):
            found[key] = value  # noqa: PERF403 - records before a bad one count
    except FileCommandError as error:
        log.fail(f"Unable to process file command '{name}' successfully.")
        log.fail(str(error))
    return found


def _named(file: str, pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in pairs:
        if file == "output" and not name:
            raise FileCommandError("An output's name must not be empty")
        yield name, value


def _summary(content: bytes, log: StepLog, masker: Masker) -> str:
    if len(content) > MAX_SUMMARY_BYTES:
        sizes = f"{MAX_SUMMARY_BYTES // 1024}k, got {len(content) // 1024}k"
        log.issue(
            "error",
            f"$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of {sizes}.",
        )
        return ""
    return "".join(f"{masker.mask(line)}\n" for line in split_lines(decode(content)))


def decode(content: bytes) -> str:
    """Return a text as .NET reads it: UTF-8, no byte order mark, invalid bytes replaced."""
    return content.decode("utf-8-sig", errors="replace")


def split_lines(text: str) -> list[str]:
    """Split `text` as .NET's ReadLine does: at CR LF, LF and a lone CR.

    There is no empty last line.
    """
    lines = re.split("\r\n|\n|\r", text)
    return lines if lines[-1] else lines[:-1]


def parse_pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the `NAME=VALUE` and `NAME<<DELIMITER` records of `text`.

    Records before a bad line take effect.

    Raises:
        FileCommandError: at the first invalid line, or at a record without its closing delimiter
    """
    lines = iter(text.removesuffix("\n").split("\n"))
    for line in lines:
        match = re.search("=|<<", line)
        if match is None:
            if line:
                raise FileCommandError(f"Invalid format '{line}'")
            continue
        name, rest = line[: match.start()], line[match.end() :]
        if match[0] == "=":
            yield name, rest
        elif name and rest:
            yield name, "\n".join(_until(rest, lines))
        else:
            raise FileCommandError(
                f"Invalid format '{line}'. Name must not be empty and delimiter must not be empty"
            )


def _until(delimiter: str, lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == delimiter:
            return
        yield line
    raise FileCommandError(f"Invalid value. Matching delimiter not found '{delimiter}'")
