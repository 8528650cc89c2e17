"""Read every title that the action can print from its source code.

Titles of errors, results, blockers and warnings. A title is a regular expression, because parts of
it may be known only at run time. A title that cannot be read is an error, so that none is
overlooked.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.support.doc_pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = ROOT / "entrypoint"
_LAUNCHER = ROOT / "native" / "launch.cjs"
_WITH_A_TITLE = {"Message": 0, "Blocker": 0, "annotate": 1}
"""Calls besides the errors that take a title: name to position of the argument."""


class UnreadableTitle(Exception):
    """A title that this module cannot read."""


def titles(folder: Path = SOURCE) -> dict[str, str]:
    """Return a regular expression for each title, with its places as `file:line`."""
    found: dict[str, str] = {}
    errors = set(_errors(folder))
    for path in sorted(folder.rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        for call, function in _calls(module):
            place = f"{path.relative_to(folder)}:{call.lineno}"
            for argument in _title_arguments(call, errors):
                for title in _read(argument, function, module, place):
                    found[title] = f"{found[title]}, {place}" if title in found else place
    return found | (_titles_of_the_launcher() if folder == SOURCE else {})


def _titles_of_the_launcher() -> dict[str, str]:
    text = _LAUNCHER.read_text(encoding="utf-8")
    found = re.findall(r'new LaunchError\(\s*"([^"]+)",', text)
    if len(found) != text.count("new LaunchError("):
        raise UnreadableTitle(_LAUNCHER.name)
    return {re.escape(title): _LAUNCHER.name for title in found}


def _errors(folder: Path) -> Iterator[str]:
    """Yield the names of ActionError and all its subclasses."""
    known = {"ActionError"}
    for path in (folder / "errors.py", *sorted(folder.rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and known & {
                ast.unparse(base) for base in node.bases
            }:
                known.add(node.name)
    # The constructor of InvalidInputs makes the title from a list of errors.
    yield from known - {"InvalidInputs"}


def _calls(module: ast.Module) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
    """Yield every call, with the function around it."""
    inside = {
        id(call): function
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
    }
    yield from (
        (node, inside.get(id(node))) for node in ast.walk(module) if isinstance(node, ast.Call)
    )


def _title_arguments(call: ast.Call, errors: set[str]) -> list[ast.expr]:
    """Return the argument that is a title; empty if the call takes none."""
    if ast.unparse(call.func) == "super().__init__":
        # An error class that makes its own title; other classes get theirs where they are raised.
        return [argument for argument in call.args[:1] if isinstance(argument, ast.JoinedStr)]
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in errors:
        return call.args[:1]
    if name == "annotate" and len(call.args) < 3:
        return []  # `annotate` with an outcome; only the runner's `annotate` takes a title
    return call.args[_WITH_A_TITLE[name] :][:1] if name in _WITH_A_TITLE else []


def _read(
    node: ast.expr, function: ast.FunctionDef | None, module: ast.Module, place: str
) -> Iterator[str]:
    """Yield the patterns of an expression; none if it repeats a title that is given elsewhere."""
    match node:
        case ast.Constant(value=str(text)):
            yield re.escape(text)
        case ast.JoinedStr(values=parts):
            if not any(
                isinstance(part, ast.FormattedValue) and _repeats(part.value) for part in parts
            ):
                pattern = "".join(
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+"
                    for part in parts
                )
                yield from [pattern] if re.search("[A-Za-z]", pattern) else []
        case ast.IfExp(body=one, orelse=other):
            yield from _read(one, function, module, place)
            yield from _read(other, function, module, place)
        case ast.Attribute() if _repeats(node):
            pass
        case ast.Name(id=name) if function is not None:
            values = _values(name, function, module)
            if not values:
                raise UnreadableTitle(f"{place}: {name} has no value")
            for value in values:
                yield from _read(value, function, module, place)
        case ast.Starred(value=ast.Call(func=ast.Name(id=name))):
            yield from (
                title
                for value in _returned(name, module)
                for title in _read(value, None, module, place)
            )
        case _:
            raise UnreadableTitle(f"{place}: {ast.unparse(node)}")


def _repeats(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "title"


def _values(name: str, function: ast.FunctionDef, module: ast.Module) -> list[ast.expr]:
    """Return the values of a name in a function: assignments, or arguments in calls."""
    assigned = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and any(ast.unparse(target) == name for target in node.targets)
    ]
    parameters = [one.arg for one in function.args.args if one.arg != "self"]
    if assigned or name not in parameters:
        return assigned
    calls = [
        call for call, _ in _calls(module) if ast.unparse(call.func).split(".")[-1] == function.name
    ]
    return [call.args[parameters.index(name)] for call in calls]


def _returned(name: str, module: ast.Module) -> list[ast.expr]:
    """Return the first item of each tuple that a function of the module returns."""
    return [
        node.value.elts[0]
        for function in module.body
        if isinstance(function, ast.FunctionDef) and function.name == name
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)
    ]
