"""Input after input is read, and the mistakes are collected instead of stopping at the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from entrypoint.errors import InputError
from entrypoint.inputs import parsers as parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class Reader:
    """The inputs, and the `mistakes` that were found in them so far."""

    def __init__(self, inputs: Mapping[str, str]) -> None:
        self._inputs = {name: text.strip() for name, text in inputs.items()}
        self.mistakes: list[InputError] = []

    def given(self, name: str) -> bool:
        """Whether the input is there and not empty."""
        return bool(self._inputs.get(name))

    def read(self, name: str, parser: Callable[[str], T], default: T) -> T:
        """Parse the input; an empty one means its default."""
        if not self.given(name):
            return default
        try:
            return parser(self._inputs[name])
        except parse.ParseError as wrong:
            self.wrong(name, wrong.problem, wrong.remedy)
            return default

    def required(self, name: str, parser: Callable[[str], str], example: str) -> str:
        """Parse an input that must be given."""
        if not self.given(name):
            self.wrong(name, "it is required and empty.", f"Write one like {example}.")
        return self.read(name, parser, "")

    def optional(self, name: str, parser: Callable[[str], T]) -> T | None:
        """Parse an input; an empty one is None."""
        return self.read(name, cast("Callable[[str], T | None]", parser), None)

    def pair(self, one: str, other: str) -> None:
        """Note a mistake if just one of the two inputs is given."""
        for name, missing in ((one, other), (other, one)):
            if self.given(name) and not self.given(missing):
                self.wrong(
                    missing,
                    f"it is empty, but {name} is given.",
                    "Give both; is the secret's name right?",
                )

    def wrong(self, name: str, problem: str, remedy: str) -> None:
        """Note a mistake, once if it is found by two ways."""
        mistake = InputError(name, problem, remedy)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)
