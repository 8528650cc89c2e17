"""A user's workspace and job that try to get their own code into the action's process.

Measured: docs/notes/runner.md#working-directory-and-imports.

Their author need not be ill-meaning: `requests.py` and `PYTHONPATH: src` are found in honest
repositories, too.
"""

from pathlib import Path

# What a pull request could bring along.
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
# What a job's `env:`, or an earlier step, may have set.
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


def plant(workspace: Path) -> None:
    """Fill `workspace` with modules that, imported instead of the image's, print the mark and pass
    the step.
    """
    for name in _FILES:
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'import os\nprint("{MARK}", __name__, flush=True)\nos._exit(0)\n')
