"""Match paths from a worker's traceback with files of the checkouts in the workspace.

The workspace is untrusted, so the search follows no symbolic links and is limited.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from stat import S_ISREG
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MAX_FILES = 50_000
"""Files of the workspace that a search visits."""
_MAX_NAMES = 200
"""Names that a search looks for."""
_MAX_FILE_BYTES = 1_000_000
"""Bytes of the largest file that is opened."""
_PACKAGE_FOLDER = re.compile(r"site-packages|dist-packages|python3(?:\.\d+)?(?:\.zip)?")
"""Folder of installed code; a path that contains one is no file of the checkout."""
_GIT = ".git"
"""Name of the folder or file at the root of a repository's checkout."""
_SKIPPED_FOLDERS = frozenset(
    {_GIT, "node_modules", "__pycache__", ".venv", "venv", ".tox", "site-packages"}
)
_SECTION = re.compile(r"""\s*\[\s*remote\s+"origin"\s*\]""", re.IGNORECASE)
_URL = re.compile(r"\s*url\s*=\s*(\S+)\s*", re.IGNORECASE)
_OWNER_AND_NAME = re.compile(r"([^/:@]+/[^/:]+?)(?:\.git)?/*")


class RepositoryFile(NamedTuple):
    """A file of the workspace, named as its repository does.

    Attributes:
        path: path below the root of its repository, or below the workspace if it is in none.
        repository: owner and name from the URL of its remote `origin`, empty if that is unknown.
    """

    path: str
    repository: str


def locate(
    filenames: Iterable[str], workspace: Path, report: Callable[[str], None] = lambda _: None
) -> dict[str, str]:
    """Find the files of the workspace that match the file names from a worker.

    A file matches if the ends of both paths are equal: its whole path below its repository (or the
    workspace), or at least its last two parts. The longest match wins; a tie counts as no match.

    Args:
        filenames: paths from a traceback of another machine.
        workspace: directory of the checkout.
        report: receives a sentence if the search reaches its limit.

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
    for path, depth in _files(workspace, set(wanted), report):
        for name, parts in wanted[path.name]:
            common = _common_suffix(parts, path.parts)
            if common < min(2, depth) or common < best.get(name, (0, None))[0]:
                continue
            tie = common == best.get(name, (0, None))[0]
            best[name] = (common, None if tie else str(path))
    return {name: path for name, (_, path) in best.items() if path is not None}


def in_repository(workspace: Path, path: str) -> RepositoryFile:
    """Return the file as its repository names it; `actions/checkout` may have any `path`.

    Args:
        workspace: directory of the checkouts.
        path: path of the file below the workspace, with slashes.
    """
    parts = PurePosixPath(path).parts
    for depth in range(len(parts) - 1, -1, -1):
        root = workspace.joinpath(*parts[:depth])
        if os.path.lexists(root / _GIT):
            return RepositoryFile("/".join(parts[depth:]), _origin(root / _GIT, workspace))
    return RepositoryFile(path, "")


def _origin(git: Path, workspace: Path) -> str:
    """Return owner and name of the remote `origin`, empty if they are unknown.

    Args:
        git: the folder `.git`, or the file that names the folder of a submodule.
        workspace: directory that contains all files which may be read.
    """
    if git.is_file() and (target := _small_text(git)).startswith("gitdir:"):
        git = git.parent / target.removeprefix("gitdir:").strip().replace("\0", "")
    try:
        if not git.resolve().is_relative_to(workspace.resolve()):
            return ""
    except (OSError, RuntimeError):  # a loop of symbolic links
        return ""
    inside = False
    for line in _small_text(git / "config").splitlines():
        if line.lstrip().startswith("["):
            inside = _SECTION.match(line) is not None
        elif inside and (url := _URL.fullmatch(line)):
            words = url[1].replace(":", "/").rstrip("/").split("/")
            name = _OWNER_AND_NAME.fullmatch("/".join(words[-2:]))
            return name[1] if name else ""
    return ""


def _small_text(file: Path) -> str:
    """Return the text of a regular file, empty if it is another or a large one."""
    with suppress(OSError):
        found = file.lstat()
        if S_ISREG(found.st_mode) and found.st_size <= _MAX_FILE_BYTES:
            return file.read_text(encoding="utf-8", errors="replace")
    return ""


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


def _files(
    workspace: Path, names: set[str], report: Callable[[str], None]
) -> Iterator[tuple[PurePosixPath, int]]:
    """Yield the regular files with these names below the workspace.

    The number is that of the parts of the path below the repository, or below the workspace.
    """
    seen = 0
    roots: dict[str, int] = {}
    for folder, folders, files in os.walk(workspace):
        here = len(Path(folder).relative_to(workspace).parts)
        is_root = _GIT in folders or _GIT in files
        roots[folder] = here if is_root else roots.get(os.path.dirname(folder), 0)  # noqa: PTH120
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        seen += len(files)
        if seen > _MAX_FILES:
            report(
                f"The workspace has more than {_MAX_FILES:,} files. Not all of them were searched "
                "for the lines that raised exceptions; a sparse checkout has fewer"
            )
            return
        for name in names.intersection(files):
            path = Path(folder, name)
            try:
                regular = S_ISREG(path.lstat().st_mode)
            except OSError:
                continue
            if regular:
                found = PurePosixPath(path.relative_to(workspace).as_posix())
                yield found, len(found.parts) - roots[folder]
