"""`python -m pyz.build`: make airflow-dag-run.pyz, the same bytes for the same versions of Python.

The file has the sources of the action and of its dependencies, and their bytecode for several
versions of Python, so that nothing is compiled at a start. Another version compiles the sources.
The bytecode is stored, because Python would decompress it at each start.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from entrypoint import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from entrypoint.command_line import About

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "native" / "airflow-dag-run.pyz"
"""Where native/launch.cjs finds it."""
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
"""The versions of Python for which a release has bytecode."""

_SHEBANG = b"#!/usr/bin/env python3\n"
_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can have: the files' own times would change its bytes."""

# A process of its own for each Python. The order of the modules and the seed of the hashes decide
# which constants are shared, and so the bytes.
_COMPILE = """
import base64, importlib.util, json, marshal, platform, sys
header = importlib.util.MAGIC_NUMBER + (0b01).to_bytes(4, "little") + bytes(8)  # never checked
modules = {
    name: base64.b64encode(
        header + marshal.dumps(compile(source, name, "exec", dont_inherit=True))
    ).decode()
    for name, source in json.load(sys.stdin).items()
}
print(json.dumps([sys.implementation.cache_tag, platform.python_version(), modules]))
"""


class Bytecode(NamedTuple):
    """The modules of the file as one version of Python compiles them.

    Attributes:
        tag: Python's name for its bytecode, like cpython-313.
        python: version of that Python.
        modules: content of each `.pyc`, by the path of its source.
    """

    tag: str
    python: str
    modules: Mapping[str, bytes]


class BuildError(RuntimeError):
    """The file cannot be made."""


def find_python(version: str) -> str | None:
    """Return the path of this version of Python; None if there is none.

    uv does not know the Pythons of pyenv that are not in PATH, nor those of GitHub's runners.
    """
    uv = Path(sys.executable).parent / "uv"
    done = subprocess.run(
        [uv, "python", "find", "--no-python-downloads", "--system", version],
        check=False,
        capture_output=True,
        text=True,
    )
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))
    if cache := os.environ.get("RUNNER_TOOL_CACHE"):
        found += sorted(map(str, Path(cache).glob(f"Python/{version}.*/*/bin/python")))
    return done.stdout.strip() or next(iter(found), None)


def build(target: Path, pythons: Sequence[str], version: str = __version__) -> None:
    """Write the file.

    Args:
        target: path of the file.
        pythons: paths of the interpreters that compile the bytecode.
        version: version that the file reports.

    Raises:
        BuildError: the dependencies cannot be installed, or a module cannot be compiled.
    """
    with tempfile.TemporaryDirectory() as folder:
        _install_dependencies(Path(folder))
        modules = {name: path.read_text(encoding="utf-8") for name, path in _modules(Path(folder))}
        licences = dict(_licences(Path(folder)))
    compiled = [_compile(python, modules) for python in pythons]
    about = _about(version, [one.python for one in compiled])
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(_SHEBANG)
        with zipfile.ZipFile(file, "w") as archive:
            _add(archive, "__main__.py", (ROOT / "pyz" / "start.py").read_bytes())
            _add(archive, "about.json", json.dumps(about, indent=1).encode())
            for name, text in licences.items():
                _add(archive, f"licences/{name}", text)
            for each in compiled:
                for name, code in each.modules.items():
                    _add(archive, f"{each.tag}/{name}c", code, compress=False)
            for name, source in modules.items():
                _add(archive, f"sources/{name}", source.encode())
    temporary.chmod(0o755)
    temporary.replace(target)


def _about(version: str, bytecode: list[str]) -> About:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return {
        "version": version,
        "description": action["description"],
        "inputs": {name: each["description"] for name, each in action["inputs"].items()},
        "bytecode": bytecode,
    }


def _install_dependencies(folder: Path) -> None:
    locks = [ROOT / "requirements.txt", ROOT / "pyz" / "requirements.txt"]
    options = [option for lock in locks for option in ("--requirement", str(lock))]
    uv = str(Path(sys.executable).parent / "uv")
    options += ["--no-deps", "--require-hashes", "--only-binary=:all:", f"--target={folder}"]
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", *options],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BuildError(f"The dependencies cannot be installed:\n{done.stderr}")


def _modules(dependencies: Path) -> Iterator[tuple[str, Path]]:
    """Yield the path in the file and the source of each module, in a fixed order.

    actions-toolkit and certifi install their own tests; certifi is replaced.
    """
    left_out = {"tests", "certifi", "bin"}
    found = {
        path.relative_to(folder).as_posix(): path
        for folder, roots in (
            (ROOT, [ROOT / "entrypoint"]),
            (dependencies, [one for one in dependencies.iterdir() if one.name not in left_out]),
        )
        for root in roots
        for path in root.rglob("*.py")
        if "__pycache__" not in path.parts
    }
    yield from sorted((found | {"certifi.py": ROOT / "pyz" / "certifi.py"}).items())


def _licences(dependencies: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the licences of the action and of its dependencies, in a fixed order."""
    yield "airflow-dag-run/LICENSE", (ROOT / "LICENSE").read_bytes()
    for path in sorted(dependencies.glob("*.dist-info/**/*")):
        package = path.relative_to(dependencies).parts[0].partition("-")[0]
        if package != "certifi" and re.match("LICEN[CS]E|NOTICE|COPYING|AUTHORS", path.name):
            yield f"{package}/{path.name}", path.read_bytes()


def _compile(python: str, modules: Mapping[str, str]) -> Bytecode:
    done = subprocess.run(
        [python, "-s", "-S", "-P", "-c", _COMPILE],
        env={"PYTHONHASHSEED": "0", "SYSTEMROOT": os.environ.get("SYSTEMROOT", "")},
        input=json.dumps(modules),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BuildError(f"{python} cannot compile the modules:\n{done.stderr}")
    tag, number, encoded = json.loads(done.stdout)
    return Bytecode(tag, number, {name: base64.b64decode(one) for name, one in encoded.items()})


def _add(archive: zipfile.ZipFile, name: str, content: bytes, *, compress: bool = True) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system = 3  # POSIX, on every system
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    archive.writestr(entry, content, compresslevel=9)


def main(arguments: Sequence[str]) -> int:
    """Make the file; return 1, with the reason on stderr, if that is not possible."""
    parser = argparse.ArgumentParser(
        prog="python -m pyz.build", description="Make airflow-dag-run.pyz."
    )
    parser.add_argument("--output", type=Path, default=FILE, metavar="FILE")
    parser.add_argument("--version", default=__version__, metavar="VERSION", help="as v1.2.3")
    parser.add_argument("--complete", action="store_true", help=f"require {', '.join(VERSIONS)}")
    given = parser.parse_args(arguments)
    found = {version: find_python(version) for version in VERSIONS}
    pythons = {version: path for version, path in found.items() if path}
    if given.complete and len(pythons) < len(VERSIONS):
        missing = ", ".join(version for version in VERSIONS if version not in pythons)
        print(f"There is no Python {missing}", file=sys.stderr)
        return 1
    try:
        build(given.output, list(pythons.values()), given.version.removeprefix("v"))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    size = given.output.stat().st_size / 1e6
    print(f"{given.output}: {size:.1f} MB, bytecode for Python {', '.join(pythons)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
