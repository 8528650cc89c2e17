"""Read the parts of action.yml that decide how an action runs: in a container, or with Node."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from dev.runner.context import RunnerContext

_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Inputs with defaults (expressions not evaluated), entry points and environment.

    The entry points of a JavaScript action are its scripts, relative to its folder.
    """

    inputs: Mapping[str, str]
    entrypoint: str | None
    post_entrypoint: str | None
    env: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> "Metadata":
        """Read the metadata in `path`.

        Raises:
            ValueError: if it is neither a docker nor a Node action, or has `args:`, which are never
                used (docs/notes/runner.md#args)
        """
        # The base loader keeps every scalar as text, as the runner does, and creates no objects.
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
        runs = document["runs"]
        if runs.get("using") not in ("docker", "node24") or "args" in runs:
            raise ValueError(f"{path} is not a docker or Node action without args")
        declared = document.get("inputs") or {}
        return cls(
            inputs={name: (details or {}).get("default", "") for name, details in declared.items()},
            entrypoint=runs.get("entrypoint") or runs.get("main"),
            post_entrypoint=runs.get("post-entrypoint") or runs.get("post"),
            env=runs.get("env") or {},
        )

    def input_environment(self, given: Mapping[str, str], context: RunnerContext) -> dict[str, str]:
        """Return the INPUT_* variables of all declared and all given inputs."""
        chosen = {name.lower(): value for name, value in given.items()}
        defaults = {
            name.lower(): default
            for name, default in self.inputs.items()
            if name.lower() not in chosen
        }
        values = {name: _evaluate(default, context) for name, default in defaults.items()} | chosen
        return {f"INPUT_{name.replace(' ', '_').upper()}": value for name, value in values.items()}

    def undeclared(self, given: Mapping[str, str]) -> list[str]:
        """Return the names of given inputs that are not declared.

        A container action always accepts two more.
        """
        known = {name.lower() for name in self.inputs} | {"entrypoint", "args"}
        return [name for name in given if name.lower() not in known]


def _evaluate(text: str, context: RunnerContext) -> str:
    return _EXPRESSION.sub(lambda match: context.evaluate(match[1]), text)
