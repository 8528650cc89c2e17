"""The tools' environments, below `.airflow/bench/`, made from hashed locks.

A changed lock makes a new environment. It knows uv, the locks and how the Dockerfile makes the
image's environment; it must not know how to run a tool.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import py_compile
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dev.airflow_install import locked, run
from dev.airflow_settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = ROOT / ".airflow" / "bench"
ACTION = "action"
_LOCKS = {
    ACTION: ROOT / "requirements.txt",
    **{
        name: ROOT / "dev" / "locks" / f"bench-{name}.txt"
        for name in ("requests", "af", "paradime", "airflowctl")
    },
}


def install(name: str, say: Callable[[str], None] = print) -> None:
    """Make this environment, unless this was done with the same lock.

    The action's code is always the current one.

    Raises:
        InstallError: if a command fails
    """
    with locked(FOLDER):
        mark, lock = FOLDER / f"{name}.installed", _LOCKS[name]
        done = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
        if not (python(name).exists() and mark.exists() and mark.read_text() == done):
            mark.unlink(missing_ok=True)
            say(
                f"Installing {lock.relative_to(ROOT)} into "
                f"{(FOLDER / name).relative_to(ROOT)} (once)"
            )
            _create(name, lock)
            mark.write_text(done)
        if name == ACTION:
            _copy_action()


def python(name: str) -> Path:
    """Return the Python of this environment."""
    return FOLDER / name / "bin" / "python"


def mebibytes(name: str) -> float:
    """Return the size in MiB of the packages and their bytecode, without Python itself."""
    return sum(file.lstat().st_size for file in _packages(name).rglob("*")) / 2**20


def version(name: str, package: str) -> str:
    """Return the version of an installed package."""
    (found,) = _packages(name).glob(f"{package.replace('-', '_')}-*.dist-info")
    return found.name.removesuffix(".dist-info").rpartition("-")[2]


def _packages(name: str) -> Path:
    (folder,) = (FOLDER / name / "lib").glob("python*/site-packages")
    return folder


def _create(name: str, lock: Path) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    shutil.rmtree(FOLDER / name, ignore_errors=True)
    run([sys.executable, "-m", "venv", "--without-pip", str(FOLDER / name)], os.environ)
    options = [
        "--require-hashes",
        "--link-mode",
        "copy",
        "--python",
        str(python(name)),
        "-r",
        str(lock),
    ]
    if name == ACTION:
        run([uv, "pip", "install", "--no-deps", *options], os.environ)
        shutil.rmtree(_packages(name) / "tests")
        _compile(_packages(name))
    else:
        run([uv, "pip", "install", "--compile-bytecode", *options], os.environ)


def _copy_action() -> None:
    target = _packages(ACTION) / "entrypoint"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "entrypoint", target, ignore=shutil.ignore_patterns("__pycache__"))
    _compile(target)


def _compile(folder: Path) -> None:
    """Compile as the Dockerfile does: bytecode that is never checked against its source."""
    compileall.compile_dir(
        folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
