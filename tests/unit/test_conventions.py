"""The doctrine of tests/README.md, as far as a machine can hold us to it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.secrets import SHORTEST

TESTS = Path(__file__).parents[1]
RUNGS = ("unit", "contract", "integration", "airflow", "container")
# What a unit test has no business with: sockets, processes, real time.
FORBIDDEN_IN_UNIT = {
    "socket",
    "subprocess",
    "threading",
    "dev.airflow",
    "tests.support.fake_airflow",
}


def modules() -> list[Path]:
    """Every Python file below tests/ but Airflow's DAG files."""
    return [path for path in sorted(TESTS.rglob("*.py")) if "dags" not in path.parts]


def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every test function, with a name to find it by."""
    for path in modules():
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.FunctionDef)
                and node.name.startswith("test_")
                and path.name.startswith("test_")
            ):
                yield f"{path.relative_to(TESTS)}::{node.name}", node


def imports(path: Path) -> set[str]:
    """The names of the modules that a file imports, each with its parents: a.b also as a."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found | {
        name.rsplit(".", depth)[0] for name in found for depth in range(1, name.count(".") + 1)
    }


FUNCTIONS = list(functions())
STAND_INS = [
    *sorted((TESTS / "support").rglob("*.py")),
    *sorted((TESTS.parent / "dev").rglob("*.py")),
]


def test_there_are_tests() -> None:
    """The search finds tests on every rung that has a file, so that the other checks are not
    empty.
    """
    rungs = {name.split("/")[0] for name, _ in FUNCTIONS}

    tests = [path for path in modules() if path.name.startswith("test_")]
    assert rungs == {path.relative_to(TESTS).parts[0] for path in tests}
    assert rungs <= set(RUNGS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_mocks(path: Path) -> None:
    """No test invents the behaviour of a part: there are real ones, and scripted ones that are held
    to the real ones.
    """
    assert not {"unittest.mock", "mock", "pytest_mock", "responses", "requests_mock"} & imports(
        path
    )


@pytest.mark.parametrize(
    "path", sorted((TESTS / "unit").rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_unit_tests_are_units(path: Path) -> None:
    """A unit test opens no socket, starts no process and no thread, and does not ask for the real
    Airflow.
    """
    assert not FORBIDDEN_IN_UNIT & imports(path)
    assert "time" not in imports(path)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TESTS)))
def test_skips_go_through_one_door(path: Path) -> None:
    """What may be missing is asked for by `missing()`, which skips on a contributor's machine and
    fails in CI.
    """
    doors = re.findall(
        r"pytest\.(?:mark\.)?(?:skip|skipif|importorskip)\(", path.read_text(encoding="utf-8")
    )

    assert len(doors) == (1 if path.name == "missing.py" else 0)


def named_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Every text in a file that is given a name: by an assignment, as an argument or its default,
    or in a dictionary.
    """
    pairs: list[tuple[str, ast.expr | None]] = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            pairs += [(ast.unparse(target), node.value) for target in targets]
        elif isinstance(node, ast.keyword):
            pairs.append((node.arg or "", node.value))
        elif isinstance(node, ast.arguments):
            late = [*node.posonlyargs, *node.args][::-1][: len(node.defaults)][::-1]
            pairs += [(one.arg, default) for one, default in zip(late, node.defaults, strict=True)]
            pairs += [
                (one.arg, default)
                for one, default in zip(node.kwonlyargs, node.kw_defaults, strict=True)
            ]
        elif isinstance(node, ast.Dict):
            pairs += [
                (ast.unparse(key), value)
                for key, value in zip(node.keys, node.values, strict=True)
                if key
            ]
    yield from (
        (name, node.value)
        for name, node in pairs
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def too_short(path: Path) -> list[tuple[str, str]]:
    """The secrets in a file that the guard could not look for."""
    # The other tokens of Airflow's API say where in a log to go on.
    secret = re.compile(
        r"(password|passwd|secret|api_?key|(?<!file_)(?<!continuation_)token)\W*$", re.IGNORECASE
    )
    return [
        (name, text)
        for name, text in named_texts(path)
        if secret.search(name) and 0 < len(text) < SHORTEST
    ]


@pytest.mark.parametrize("path", STAND_INS, ids=lambda path: str(path.relative_to(TESTS.parent)))
def test_secrets_can_be_looked_for(path: Path) -> None:
    """No stand-in has a secret that is so short that the guard would have to skip it."""
    assert too_short(path) == []


@pytest.mark.parametrize(
    "code",
    [
        'PASSWORD = "s3cret"',
        'self.client_secret: str = "s3cret"',
        'log_in(token="s3cret")',
        'def log_in(name, password="s3cret"): ...',
        'def log_in(name, *, password="s3cret"): ...',
        'x = {"API_KEY": "s3cret"}',
    ],
)
def test_secrets_that_cannot(tmp_path: Path, code: str) -> None:
    """The check for short secrets finds them wherever they are given a name."""
    file = tmp_path / "stand_in.py"
    file.write_text(code)
    assert [text for _, text in too_short(file)] == ["s3cret"]

    file.write_text(code.replace("s3cret", "s3cret-that-is-long"))
    assert too_short(file) == []


def test_every_folder_is_a_package() -> None:
    """Every folder with Python files has an __init__.py, or the tests of a dependency could take
    its place.
    """
    folders = {path.parent for path in modules()}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
