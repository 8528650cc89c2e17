"""What other systems are told: lines of text in which secrets are masked, and the outputs as a JSON file."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoint import masking
from entrypoint.errors import ActionError
from entrypoint.runner import harmless, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from entrypoint.runner import Level

_SHORTEST = 4
"""Characters of a line of a secret that is masked; fewer would make the log unreadable and hide nothing."""
_IN_JSON = frozenset({"created", "duration", "failed_tasks", "xcom"})
"""Outputs whose text is JSON: in the file they are the values themselves."""


class Log:
    """A `Runner` on standard output.

    Args:
        outputs: the file for the outputs, empty if nobody wants it. Call `write` before anything is triggered: it raises if
            the file cannot be written.
        verbose: whether to print what is for debugging.
    """

    markdown = False

    def __init__(self, outputs: str = "", *, verbose: bool = False) -> None:
        self._path = Path(outputs) if outputs else None
        self._verbose = verbose
        self._warned = False
        self._outputs: dict[str, object] = {}

    def say(self, text: str) -> None:
        """See `Runner`."""
        self._print(harmless(text))

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """See `Runner`. There is no way to fold that every system knows."""
        self.say(title)
        yield

    def relay(self, lines: Iterable[str]) -> None:
        """See `Runner`. They are indented, so that it can be seen where they end."""
        for line in lines:
            self._print(f"    {harmless(line)}")

    def debug(self, text: str) -> None:
        """See `Runner`."""
        if self._verbose:
            self._print(f"DEBUG: {harmless(text)}")

    def mask(self, secret: str) -> None:
        """See `Runner`. It is not printed: whoever reads this log would see it. That one is not masked is told once."""
        masking.add(secret, _SHORTEST)
        if 0 < len(secret.strip()) < _SHORTEST and not self._warned:
            self._warned = True
            self.annotate(
                "warning",
                "A secret is too short to be masked",
                f"One that this step was given has less than {_SHORTEST} characters: to mask it would make the log "
                "unreadable. Where a text quotes it, it can be read.",
            )

    def annotate(
        self, level: Level, title: str, message: str, *, ending: str = "", file: str = "", line: int | None = None
    ) -> None:
        """See `Runner`. A place is written as compilers do."""
        place = f"{file}:{line}: " if file and line is not None else f"{file}: " if file else ""
        self._print(f"{level.upper()}: {harmless(place + title)}")
        for part in f"{message}{ending}".split("\n"):
            if part.strip():
                self._print(f"    {harmless(part)}")

    def set_output(self, name: str, value: str) -> None:
        """See `Runner`. The file is replaced as a whole, so that it is JSON at every moment.

        A file that can no longer be written is told once: nobody must lose sight of a DAG run for it.
        """
        value = printable(value)
        self._outputs[name] = json.loads(value) if name in _IN_JSON and value else value
        try:
            self.write()
        except ActionError as error:
            self._path = None
            self.annotate("warning", error.title, f"{error.detail} From here on the outputs are not written.")

    def write(self) -> None:
        """Write the file with what is known. Raises ActionError."""
        if self._path is None:
            return
        try:
            beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            beside.write_text(f"{json.dumps(self._outputs, ensure_ascii=False, indent=2)}\n", encoding="utf-8")
            beside.replace(self._path)
        except OSError as error:
            raise ActionError(
                "The file for the outputs cannot be written",
                f"{self._path}: {error.strerror}.",
                "Name a file in a folder that is there and can be written, in a container one that is mounted.",
            ) from None

    def save_state(self, name: str, value: str) -> None:
        """See `Runner`. There is no post stage."""

    def end_stage(self) -> None:
        """See `Runner`. There is no post stage."""

    def append_summary(self, text: str) -> None:
        """See `Runner`."""
        self._print("")
        for line in text.split("\n"):
            self._print(harmless(line))

    def _print(self, line: str) -> None:
        print(printable(line), flush=True)  # noqa: T201 - this is the log
