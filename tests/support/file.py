"""airflow-dag-run.pyz, made once per session, and the Pythons of this machine that can run it."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pyz.build import VERSIONS, BuildError, build, find_python
from tests.support.missing import missing

if TYPE_CHECKING:
    from collections.abc import Mapping

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
