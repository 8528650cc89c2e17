"""A workspace and a job that try to get their own code into the action's process.

Measured: docs/notes/runner.md#working-directory-and-imports.

Honest repositories have `requests.py` and `PYTHONPATH: src`, too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dev.runner import Native

if TYPE_CHECKING:
    from pathlib import Path

    from tests.container.forms import AnyLauncher

# Files that a pull request could add.
_FILES = (
    *(
        "entrypoint/__init__.py",
        "entrypoint/__main__.py",
        "requests.py",
        "requests/__init__.py",
        "json.py",
        "signal.py",
    ),
    *(
        "actions_toolkit/__init__.py",
        "actions_toolkit/core.py",
        "src/requests.py",
        "src/entrypoint/__main__.py",
    ),
    *("sitecustomize.py", "usercustomize.py", "src/sitecustomize.py", "startup.py"),
)
_PROGRAMS = ("python3", "python", "venv/bin/python3")
# Variables that a job's `env:` or an earlier step may have set.
ENV = {
    "PYTHONPATH": "src:/github/workspace",
    "PYTHONHOME": "/github/workspace",
    "PYTHONSTARTUP": "startup.py",
    "PYTHONINSPECT": "1",
    "PYTHONUSERBASE": "/github/workspace",
    "PYTHONWARNINGS": "error",
    "VIRTUAL_ENV": "/github/workspace",
    "PATH": "/github/workspace",
}
MARK = "HIJACKED"


def environment(launcher: AnyLauncher, workspace: Path) -> dict[str, str]:
    """Return the variables for this form of the action.

    Without Docker the workspace has its own path, and programs of the machine are behind it.
    """
    if not isinstance(launcher, Native):
        return ENV
    env = {name: value.replace("/github/workspace", str(workspace)) for name, value in ENV.items()}
    links = workspace.parent / "links"
    links.mkdir(exist_ok=True)
    if not (links / "python3").is_symlink():
        (links / "python3").symlink_to(workspace / "python3")
    folders = [workspace, workspace / "venv" / "bin", ".", "", links, launcher.path]
    return env | {"PATH": os.pathsep.join(map(str, folders)), "SSL_CERT_FILE": "ca.pem"}


def write_modules(workspace: Path) -> None:
    """Fill the workspace with modules and programs that print the mark and pass the step.

    A program also leaves a file in the workspace, because its output may be read by others only.
    """
    for name in _FILES:
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'import os\nprint("{MARK}", __name__, flush=True)\nos._exit(0)\n')
    for name in _PROGRAMS:
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n: >'{workspace}/{MARK}'\necho {MARK}\n")
        path.chmod(0o755)
