"""airflow-dag-run.pyz and native/, and the Pythons and Node of this machine that can run them."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dev.runner import Native
from pyz.build import VERSIONS, BuildError, build, find_python
from tests.support.missing import missing

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
FLAGS = ("-I", "-S", "-u", "-B", "-X", "utf8")
"""The flags with which native/launch.cjs starts Python."""


@cache
def pythons() -> dict[str, str]:
    """Return the path of each Python, by its version like 3.11; newest last."""
    return {version: path for version in VERSIONS if (path := find_python(version))}


def newest_python() -> str:
    return list(pythons().values())[-1]


def made_file(folder: Path) -> Path:
    """Return the file that FILE names, as a release does, or a new one in the folder."""
    if given := os.environ.get("FILE"):
        return Path(given).resolve()
    target = folder / "airflow-dag-run.pyz"
    try:
        build(target, list(pythons().values()))
    except BuildError as error:
        missing(str(error), "Its packages have to be reachable")
    return target


def run_file(
    file: Path,
    *arguments: str,
    env: Mapping[str, str],
    python: str = "",
    flags: tuple[str, ...] = FLAGS,
    cwd: Path | None = None,
) -> tuple[int, str]:
    """Run the file to its end; return exit code, and stdout with stderr."""
    done = subprocess.run(
        [python or newest_python(), *flags, file, *arguments],
        env={"PATH": os.defpath, **env},
        cwd=cwd or file.parent,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    return done.returncode, done.stdout


def node() -> str:
    """Return the path of Node, which the variable NODE may name."""
    found = os.environ.get("NODE") or shutil.which("node")
    return found or missing("There is no Node", "Install it (on Debian: apt-get install nodejs)")


def native_launcher(file: Path, *, version: str = "", path: str = "") -> Native:
    """Return a launcher of native/ beside this file, with one Python in the PATH and no Docker.

    Args:
        file: airflow-dag-run.pyz; the scripts of native/ are copied beside it.
        version: version of Python, like 3.11; by default PYTHON_VERSION, or the newest.
        path: PATH instead of that Python's.
    """
    for source in (ROOT / "native").glob("*[!z]"):
        shutil.copy(source, file.parent)
    version = version or os.environ.get("PYTHON_VERSION", "")
    python = pythons()[version] if version else newest_python()
    only_python = file.parent / f"bin-{Path(python).parts[-3]}"
    only_python.mkdir(exist_ok=True)
    if not (only_python / "python3").is_symlink():
        (only_python / "python3").symlink_to(python)
    return Native(node(), path or str(only_python), metadata=file.parent / "action.yml")
