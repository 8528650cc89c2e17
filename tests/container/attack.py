"""A workspace and a job that try to get their own code into the action's process.

Measured: docs/notes/runner.md#working-directory-and-imports.

Honest repositories have `requests.py` and `PYTHONPATH: src`, too.
"""

from pathlib import Path

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


def write_modules(workspace: Path) -> None:
    """Fill the workspace with modules that print the mark and pass the step if imported."""
    for name in _FILES:
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'import os\nprint("{MARK}", __name__, flush=True)\nos._exit(0)\n')
