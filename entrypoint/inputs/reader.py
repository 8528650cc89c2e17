"""Parse inputs one by one, and collect all errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from entrypoint.errors import InputError
from entrypoint.inputs import parsers as parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class Reader:
    """The inputs, and the `errors` found in them so far."""

    def __init__(self, inputs: Mapping[str, str]) -> None:
        self._inputs = {name: text.strip() for name, text in inputs.items()}
        self.errors: list[InputError] = []

    def is_given(self, name: str) -> bool:
        """Return whether the input is not empty."""
        return bool(self._inputs.get(name))

    def read(self, name: str, parser: Callable[[str], T], default: T) -> T:
        """Parse the input; return `default` if it is empty or invalid."""
        if not self.is_given(name):
            return default
        try:
            return parser(self._inputs[name])
        except parse.ParseError as error:
            self.add_error(name, error.problem, error.remedy)
            return default

    def required(self, name: str, parser: Callable[[str], str], example: str) -> str:
        """Parse a required input."""
        if not self.is_given(name):
            self.add_error(name, "it is required, but empty.", f"Write one like {example}.")
        return self.read(name, parser, "")

    def optional(self, name: str, parser: Callable[[str], T]) -> T | None:
        """Parse an input; return None if it is empty or invalid."""
        return self.read(name, cast("Callable[[str], T | None]", parser), None)

    def pair(self, one: str, other: str) -> None:
        """Add an error if only one of the two inputs is given."""
        for name, missing in ((one, other), (other, one)):
            if self.is_given(name) and not self.is_given(missing):
                self.add_error(
                    missing,
                    f"it is empty, but {name} is given.",
                    "Give both, and check the secret's name.",
                )

    def add_error(self, name: str, problem: str, remedy: str) -> None:
        """Add an error, unless it was added before."""
        error = InputError(name, problem, remedy)
        if error not in self.errors:
            self.errors.append(error)
