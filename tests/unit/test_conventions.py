"""The rules of tests/README.md that a program can check."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.secrets import MIN_LENGTH

TESTS = Path(__file__).parents[1]
LEVELS = ("unit", "contract", "integration", "airflow", "versions", "kerberos", "container")
# A unit test needs neither sockets, processes and threads nor a real or fake Airflow.
FORBIDDEN_IN_UNIT = {
    "socket",
    "subprocess",
    "threading",
    "dev.airflow",
    "tests.support.fake_airflow",
}


def modules() -> list[Path]:
    """Return every Python file below tests/ except Airflow's DAG files."""
    return [path for path in sorted(TESTS.rglob("*.py")) if "dags" not in path.parts]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield every test function with its path and name."""
    for path in modules():
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.FunctionDef)
                and node.name.startswith("test_")
                and path.name.startswith("test_")
            ):
                yield f"{path.relative_to(TESTS)}::{node.name}", node


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, with their parent packages."""
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
STUBS = [
    *sorted((TESTS / "support").rglob("*.py")),
    *sorted((TESTS.parent / "dev").rglob("*.py")),
]


def test_tests_are_found_on_every_level() -> None:
    """Otherwise the other checks would pass without checking anything."""
    levels = {name.split("/")[0] for name, _ in FUNCTIONS}

    tests = [path for path in modules() if path.name.startswith("test_")]
    assert levels == {path.relative_to(TESTS).parts[0] for path in tests}
    assert levels <= set(LEVELS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_mock_library_is_imported(path: Path) -> None:
    """Tests use real services, or stubs that contract tests compare with real services."""
    assert not {"unittest.mock", "mock", "pytest_mock", "responses", "requests_mock"} & imports(
        path
    )


@pytest.mark.parametrize(
    "path", sorted((TESTS / "unit").rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_unit_test_uses_no_socket_process_thread_or_airflow(path: Path) -> None:
    assert not FORBIDDEN_IN_UNIT & imports(path)
    assert "time" not in imports(path)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TESTS)))
def test_tests_are_skipped_only_by_missing(path: Path) -> None:
    """`missing()` skips on a contributor's machine and fails in CI."""
    skips = re.findall(
        r"pytest\.(?:mark\.)?(?:skip|skipif|importorskip)\(", path.read_text(encoding="utf-8")
    )

    assert len(skips) == (1 if path.name == "missing.py" else 0)


def named_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each text with its name: assignments, arguments, defaults and dictionaries."""
    pairs: list[tuple[str, ast.expr | None]] = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            pairs += [(ast.unparse(target), node.value) for target in targets]
        elif isinstance(node, ast.keyword):
            pairs.append((node.arg or "", node.value))
        elif isinstance(node, ast.arguments):
            optional = [*node.posonlyargs, *node.args][::-1][: len(node.defaults)][::-1]
            pairs += [
                (one.arg, default) for one, default in zip(optional, node.defaults, strict=True)
            ]
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
    """Return the secrets in a file that are too short for the leak check to find."""
    # file_token and continuation_token of Airflow's API are no secrets.
    secret = re.compile(
        r"(password|passwd|secret|api_?key|(?<!file_)(?<!continuation_)token)\W*$", re.IGNORECASE
    )
    return [
        (name, text)
        for name, text in named_texts(path)
        if secret.search(name) and 0 < len(text) < MIN_LENGTH
    ]


@pytest.mark.parametrize("path", STUBS, ids=lambda path: str(path.relative_to(TESTS.parent)))
def test_secrets_of_stubs_are_long_enough_for_the_leak_check(path: Path) -> None:
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
def test_short_secret_is_found_wherever_it_has_a_name(tmp_path: Path, code: str) -> None:
    file = tmp_path / "stub.py"
    file.write_text(code)
    assert [text for _, text in too_short(file)] == ["s3cret"]

    file.write_text(code.replace("s3cret", "s3cret-that-is-long"))
    assert too_short(file) == []


def test_every_folder_is_a_package() -> None:
    """Without an __init__.py the tests package of a dependency could be imported instead."""
    folders = {path.parent for path in modules()}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


PARSING = ("airflow", "auth", "github_api", "http")
"""The packages that parse JSON, or pass arguments to an HTTP library."""


@pytest.mark.parametrize(
    "path",
    [path for path in Path("entrypoint").rglob("*.py") if path.parts[1] not in PARSING],
    ids=str,
)
def test_no_module_above_the_parsers_uses_any(path: Path) -> None:
    names = {
        node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)
    }
    assert "Any" not in names
