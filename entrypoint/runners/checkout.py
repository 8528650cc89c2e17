"""Match paths from a worker's traceback with files of the checked-out workspace.

The workspace is untrusted, so the search follows no symbolic links and is limited.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from stat import S_ISREG
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_FILES = 50_000
"""Files of the workspace that a search visits."""
_MAX_NAMES = 200
"""Names that a search looks for."""
_MAX_FILE_BYTES = 1_000_000
"""Bytes of the largest file that is opened."""
_PACKAGE_FOLDER = re.compile(r"site-packages|dist-packages|python3(?:\.\d+)?(?:\.zip)?")
"""Folder of installed code; a path that contains one is no file of the checkout."""
_SKIPPED_FOLDERS = frozenset(
    {".git", "node_modules", "__pycache__", ".venv", "venv", ".tox", "site-packages"}
)


def locate(filenames: Iterable[str], workspace: Path) -> dict[str, str]:
    """Find the files of the workspace that match the file names from a worker.

    A file matches if the ends of both paths are equal: its whole path below the workspace, or at
    least its last two parts. The longest match wins; a tie counts as no match.

    Args:
        filenames: paths from a traceback of another machine.
        workspace: directory of the checkout.

    Returns:
        The path below the workspace, with slashes, for each name that matches exactly one file.
    """
    wanted: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for name in sorted(set(filenames))[:_MAX_NAMES]:
        if (parts := _parts(name)) and not any(map(_PACKAGE_FOLDER.fullmatch, parts)):
            wanted.setdefault(parts[-1], []).append((name, parts))
    if not wanted:
        return {}
    best: dict[str, tuple[int, str | None]] = {}
    for path in _files(workspace, set(wanted)):
        for name, parts in wanted[path.name]:
            common = _common_suffix(parts, path.parts)
            if common < min(2, len(path.parts)) or common < best.get(name, (0, None))[0]:
                continue
            tie = common == best.get(name, (0, None))[0]
            best[name] = (common, None if tie else str(path))
    return {name: path for name, (_, path) in best.items() if path is not None}


def has_line(workspace: Path, path: str, line: int) -> bool:
    """Return whether the file has this line; the worker may have run another version of it."""
    file = workspace / path
    try:
        # Opening a named pipe would block forever.
        if not S_ISREG(file.lstat().st_mode) or file.lstat().st_size > _MAX_FILE_BYTES:
            return False
        with file.open("rb") as opened:
            return any(number == line for number, _ in enumerate(opened, 1))
    except OSError:
        return False


def names(filenames: Iterable[str], word: str, workspace: Path) -> bool:
    """Return whether a file of the workspace that matches one of the names contains the word."""
    wanted = re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])".encode())
    for path in sorted(set(locate(filenames, workspace).values())):
        file = workspace / path
        with suppress(OSError):
            small = S_ISREG(file.lstat().st_mode) and file.lstat().st_size <= _MAX_FILE_BYTES
            if small and wanted.search(file.read_bytes()):
                return True
    return False


def _parts(name: str) -> tuple[str, ...]:
    windows = "\\" in name and "/" not in name
    parts = (PureWindowsPath(name) if windows else PurePosixPath(name)).parts
    return tuple(part for part in parts if part not in ("/", ".", ".."))


def _common_suffix(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return the number of parts at the end that both paths have in common."""
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _files(workspace: Path, names: set[str]) -> Iterator[PurePosixPath]:
    """Yield the regular files with these names below the workspace."""
    seen = 0
    for folder, folders, files in os.walk(workspace):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        seen += len(files)
        if seen > _MAX_FILES:
            return
        for name in names.intersection(files):
            path = Path(folder, name)
            try:
                regular = S_ISREG(path.lstat().st_mode)
            except OSError:
                continue
            if regular:
                yield PurePosixPath(path.relative_to(workspace).as_posix())
