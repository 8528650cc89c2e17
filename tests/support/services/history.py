"""The commits behind the stand-in of GitHub's API: scripted ones, or those of a real repository."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class TreeEntry(NamedTuple):
    """An entry of a git tree; `size` is None unless it is a file."""

    mode: str
    kind: str
    sha: str
    size: int | None
    path: str


class History(Protocol):
    """The commits and trees of a repository, and its forks."""

    def resolve(self, ref: str) -> str | None:
        """Return the commit of a SHA, branch or tag, None if there is none."""

    def parents(self, commit: str) -> tuple[str, ...]: ...

    def merge_base(self, one: str, other: str) -> str | None: ...

    def tree(self, commit: str) -> str:
        """Return the SHA of a commit's tree."""

    def entries(self, tree: str, *, recursive: bool) -> list[TreeEntry] | None:
        """Return the entries of a tree in git's order, None if there is no such tree."""


def ancestors(history: History, commit: str) -> list[str]:
    """Return a commit and all commits that it contains, the nearest first."""
    found, pending = {commit: None}, deque([commit])
    while pending:
        new = [one for one in history.parents(pending.popleft()) if one not in found]
        found |= dict.fromkeys(new)
        pending += new
    return list(found)


class ScriptedHistory:
    """Commits with one parent each, whose trees are empty."""

    def __init__(self, parent_of: Mapping[str, str | None]) -> None:
        self._parent_of = parent_of

    def resolve(self, ref: str) -> str | None:
        return ref if ref in self._parent_of else None

    def parents(self, commit: str) -> tuple[str, ...]:
        parent = self._parent_of[commit]
        return (parent,) if parent else ()

    def merge_base(self, one: str, other: str) -> str | None:
        theirs = ancestors(self, other)
        return next((commit for commit in ancestors(self, one) if commit in theirs), None)

    def tree(self, commit: str) -> str:
        return hashlib.sha1(f"tree {commit}".encode(), usedforsecurity=False).hexdigest()

    def entries(self, tree: str, *, recursive: bool) -> list[TreeEntry] | None:  # noqa: ARG002
        return [] if tree in map(self.tree, self._parent_of) else None


class GitRepository:
    """A real repository, which tests change by git commands.

    GitHub serves a commit as long as it has it, whether a branch contains it or not. `lose` makes
    it forget one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lost: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, given: str = "") -> str:
        """Run a git command in the work tree and return what it prints."""
        who = {f"GIT_{role}_{kind}": "octocat@example.com" for role, kind in _IDENTITY}
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - the machine's own git
            cwd=self.folder,
            input=given,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | who | settings,
        )
        return done.stdout.strip("\n")

    def commit(self, files: Mapping[str, str | None], *more: str) -> str:
        """Write these files (None: delete it), commit everything, and return the SHA.

        Args:
            files: path to content.
            more: further arguments of `git commit`.
        """
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change the sales", *more)
        return self.head

    @property
    def head(self) -> str:
        """The checked-out commit."""
        return self.git("rev-parse", "HEAD")

    def lose(self, commit: str) -> None:
        """Make GitHub forget a commit that no branch contains."""
        self._lost.add(commit)

    def resolve(self, ref: str) -> str | None:
        found = self._try("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        # The SHA of an annotated tag is not that of a commit.
        is_other_object = re.fullmatch("[0-9a-f]{40}", ref) and found != ref
        return None if found in self._lost or is_other_object else found

    def parents(self, commit: str) -> tuple[str, ...]:
        return tuple(self.git("rev-list", "--parents", "--max-count=1", commit).split()[1:])

    def merge_base(self, one: str, other: str) -> str | None:
        return self._try("merge-base", one, other)

    def tree(self, commit: str) -> str:
        return self.git("rev-parse", f"{commit}^{{tree}}")

    def entries(self, tree: str, *, recursive: bool) -> list[TreeEntry] | None:
        options = ("-r", "-t") if recursive else ()
        found = self._try("ls-tree", "-z", "--long", *options, tree)
        return None if found is None else list(_parsed(found))

    def _try(self, *arguments: str) -> str | None:
        """Return what a git command prints, None if it fails."""
        try:
            return self.git(*arguments)
        except subprocess.CalledProcessError:
            return None


_IDENTITY = [(role, kind) for role in ("AUTHOR", "COMMITTER") for kind in ("NAME", "EMAIL")]


def _parsed(lines: str) -> Iterator[TreeEntry]:
    """Parse the output of `git ls-tree -z --long`."""
    for line in filter(None, lines.split("\0")):
        fields, _, path = line.partition("\t")
        mode, kind, sha, size = fields.split()
        yield TreeEntry(mode, kind, sha, int(size) if size.isdecimal() else None, path)


def tree_body(url: str, sha: str, entries: list[TreeEntry], limit: int) -> dict[str, Any]:
    """Return the body of a tree. GitHub lists a limited number of entries."""
    return {
        "sha": sha,
        "url": f"{url}/git/trees/{sha}",
        "tree": [_entry_body(url, entry) for entry in entries[:limit]],
        "truncated": len(entries) > limit,
    }


def _entry_body(url: str, entry: TreeEntry) -> dict[str, Any]:
    """Return an entry; only a file has a size, and a submodule has no URL."""
    body: dict[str, Any] = {
        "path": entry.path,
        "mode": entry.mode,
        "type": entry.kind,
        "sha": entry.sha,
    }
    if entry.size is not None:
        body["size"] = entry.size
    if entry.kind != "commit":
        body["url"] = f"{url}/git/{entry.kind}s/{entry.sha}"
    return body
