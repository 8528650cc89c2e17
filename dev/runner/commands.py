"""Workflow commands: how the runner handles the lines that a step prints.

Measured: docs/notes/runner.md#workflow-commands.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dev.runner.masking import Masker

Level = Literal["error", "warning", "notice"]

MAX_ANNOTATIONS_PER_LEVEL = 10  # the runner's limit
MAX_MESSAGE_LENGTH = 4096  # characters, the runner's limit
# White space in .NET; Python would add the separators U+001C to U+001F.
_BLANKS = "".join(
    chr(code) for code in range(0x3001) if chr(code).isspace() and code not in range(0x1C, 0x20)
)
_DATA_ESCAPES = {"%0D": "\r", "%0A": "\n", "%25": "%"}
_PROPERTY_ESCAPES = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}
_BRACKET_ESCAPES = {"%3B": ";", "%0D": "\r", "%0A": "\n", "%5D": "]", "%25": "%"}
_SUPPORTED: dict[str, Level | None] = {
    "error": "error",
    "warning": "warning",
    "notice": "notice",
    **dict.fromkeys(("debug", "add-mask", "group", "endgroup", "stop-commands")),
}
# Executed, refused or deprecated commands, which no action should print today.
_UNEXPECTED = frozenset(
    {"set-output", "save-state", "set-env", "add-path", "add-matcher", "remove-matcher", "echo"},
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation as sent to GitHub.

    The runner masks and cuts the message, but not the title.
    """

    level: Level
    message: str
    title: str = ""
    file: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed `::name key=value,…::data` or `##[name key=value;…]data`."""

    name: str
    data: str
    properties: Mapping[str, str] = field(default_factory=dict)


def parse_command(line: str, registered: Collection[str]) -> Command | None:
    """Return the command in `line` if its lower-case name is in `registered`, else None."""
    return _parse_colons(line, registered) or _parse_brackets(line, registered)


def _parse_colons(line: str, registered: Collection[str]) -> Command | None:
    line = line.lstrip(_BLANKS)
    end = line.find("::", 2)
    if not line.startswith("::") or end < 0:
        return None
    name, _, properties = line[2:end].partition(" ")
    if name.lower() not in registered:
        return None
    pairs = _properties(properties.strip(_BLANKS).split(","), _PROPERTY_ESCAPES)
    return Command(name.lower(), _unescape(line[end + 2 :], _DATA_ESCAPES), pairs)


def _parse_brackets(line: str, registered: Collection[str]) -> Command | None:
    start = line.find("##[")
    end = line.find("]", start)
    if start < 0 or end < 0:
        return None
    name, _, properties = line[start + 3 : end].partition(" ")
    if name.lower() not in registered:
        return None
    pairs = _properties(properties.split(";"), _BRACKET_ESCAPES)
    return Command(name.lower(), _unescape(line[end + 1 :], _BRACKET_ESCAPES), pairs)


def _properties(pairs: list[str], escapes: Mapping[str, str]) -> dict[str, str]:
    """Return the properties with lower-case keys.

    The runner drops empty parts when it splits, so a value loses a `=` at its beginning.
    """
    found = {}
    for pair in pairs:
        key, _, value = pair.lstrip("=").partition("=")
        if value := value.lstrip("="):
            found[key.lower()] = _unescape(value, escapes)
    return found


def _unescape(text: str, escapes: Mapping[str, str]) -> str:
    for escaped, character in escapes.items():
        text = text.replace(escaped, character)
    return text


class StepLog:
    """The lines of one stage, handled as the runner does.

    Attributes:
        lines: the log on GitHub; groups appear as their titles
        annotations: at most ten of each level
        outputs: set by deprecated commands only; `files.py` reads the files
        state: set by deprecated commands only
        masks: values and lines that the step masked (without the tokens of stop-commands)
        unexpected: lines with deprecated, disabled or runner-configuring commands
        failed: whether a command makes the runner fail the step
    """

    def __init__(
        self, masker: Masker, *, debug: bool = False, workspace: str = "/github/workspace"
    ) -> None:
        self.lines: list[str] = []
        self.annotations: list[Annotation] = []
        self.outputs: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.masks: set[str] = set()
        self.unexpected: list[str] = []
        self.failed = False
        self._masker = masker
        self._debug = debug
        self._workspace = workspace
        self._issues: Counter[Level] = Counter()
        self._resume_token: str | None = None

    def feed(self, line: str) -> None:
        """Execute the command in `line`, or add the line to the log."""
        registered = {*_SUPPORTED, *_UNEXPECTED} | (
            {self._resume_token} if self._resume_token else set()
        )
        command = parse_command(line, registered)
        if command is None or (self._resume_token and command.name != self._resume_token):
            self.show(line)
        elif self._resume_token:
            self.show(line)
            self._resume_token = None
        else:
            self._execute(command, line)

    def show(self, text: str) -> None:
        """Add `text`, masked, to the log."""
        self.lines.append(self._masker.mask(text))

    def fail(self, message: str) -> None:
        """Report an error of the runner's own, which fails the step."""
        self.failed = True
        self.issue("error", message)

    def issue(
        self, level: Level, message: str, properties: Mapping[str, str] | None = None
    ) -> None:
        """Log `message` and, up to the limit, annotate it."""
        properties = properties or {}
        message = self._masker.mask(message)[:MAX_MESSAGE_LENGTH]
        if message:
            self.lines.append(f"{level.capitalize()}: {message}")
        self._issues[level] += 1
        if self._issues[level] <= MAX_ANNOTATIONS_PER_LEVEL and message.strip():
            line = properties.get("line", "")
            self.annotations.append(
                Annotation(
                    level=level,
                    message=message,
                    title=properties.get("title", ""),
                    file=properties.get("file", "").removeprefix(f"{self._workspace}/"),
                    line=int(line) if line.isdecimal() else None,
                ),
            )

    def _execute(self, command: Command, line: str) -> None:
        if command.name in _UNEXPECTED:
            self.unexpected.append(line)
            self._execute_unexpected(command)
        elif level := _SUPPORTED[command.name]:
            self.issue(level, command.data, command.properties)
        elif command.name == "add-mask":
            self._hide(command.data)
        elif command.name == "stop-commands":
            self._stop(command.data, line)
        elif command.name == "group":
            self.show(command.data)
        elif command.name == "debug" and self._debug:
            for part in command.data.splitlines():
                self.show(f"##[debug]{part}")

    def _hide(self, secret: str) -> None:
        if not secret.strip(_BLANKS):
            self.issue("warning", "Can't add secret mask for empty string in ##[add-mask] command.")
            return
        lines = {line.strip(_BLANKS) for line in secret.replace("\r", "\n").split("\n")}
        for hidden in {secret, *lines} - {""}:
            self.masks.add(hidden)
            self._masker.add(hidden)

    def _stop(self, token: str, line: str) -> None:
        if not token or token.lower() in {*_SUPPORTED, *_UNEXPECTED, "pause-logging"}:
            self.unexpected.append(line)
            self.fail(
                f"You cannot use an endToken that is an empty string or a command's name: '{token}'"
            )
            return
        self._resume_token = token.lower()
        if len(token) > 6:
            self._masker.add(token)
        self.show(line)

    def _execute_unexpected(self, command: Command) -> None:
        targets = {"set-output": self.outputs, "save-state": self.state}
        name = command.properties.get("name", "")
        if command.name in targets and name:
            targets[command.name][name] = command.data
        elif command.name in {*targets, "set-env", "add-path"}:
            self.fail(f"Unable to process command '{command.name}' successfully.")
