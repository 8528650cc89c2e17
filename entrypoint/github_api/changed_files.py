"""Ask GitHub's API which files of the repository the workflow's event changed.

The event names two commits. Their git trees are compared, because a tree lists all files, while
GitHub's comparison of two commits lists at most 300, and only changes since the merge base. The
checkout is not used: it may be shallow, or missing. The token needs `contents: read` unless the
repository is public.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import quote

from entrypoint.errors import ActionError, Forbidden, TransientError, UnexpectedResponse
from entrypoint.github_api.client import GITHUB
from entrypoint.github_api.commits import NO_FILES
from entrypoint.http.response import Response
from entrypoint.models import ChangedFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from entrypoint.github_api.client import GitHubRepository
    from entrypoint.http.retry import Retrier
    from entrypoint.models import Event

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NO_COMMIT = re.compile(r"0+")
"""The SHA that stands for no commit: before the first push of a branch, after its deletion."""
_SHORT_SHA_CHARS = 12
_TREE = "tree"


class _Range(NamedTuple):
    """Which commits an event asks to compare.

    Attributes:
        head: the new commit.
        base: the old commit, empty if all files are new, None if it is a merge base.
        source: what the old commit is, as the end of a sentence.
        merge_base_with: the branch or commit whose merge base with `head` is the old commit.
        fallback: the range if GitHub no longer has `base`, None if there is no other.
    """

    head: str
    base: str | None
    source: str
    merge_base_with: str = ""
    fallback: _Range | None = None


class _Commit(NamedTuple):
    """A commit, and the SHA of its tree."""

    sha: str
    tree: str


_NOTHING = _Commit("", "")
"""The state before the first commit: a tree without files."""


def changed_files(
    repository: GitHubRepository | None, event: Event, retrier: Retrier
) -> ChangedFiles:
    """Return the files that the event of this workflow changed.

    Args:
        repository: the repository of the workflow, None if it does not run on GitHub.
        event: the event that started the workflow.
        retrier: repeats requests until its deadline.

    Raises:
        Forbidden: the token may not read the repository.
        ActionError: the event changes no files, or GitHub does not tell which.
    """
    if repository is None:
        raise ActionError(
            "Only a GitHub workflow can tell which files changed",
            "The input dags has the line `changed`, but this step does not run on GitHub Actions.",
            "Give the ids of the DAGs in the input dags, or their tag: `tag:NAME`.",
        )
    commits = _commits_of(event)
    history = _History(repository, retrier)
    head = history.commit(commits.head)
    if head is None:
        raise _lost(f"It no longer has {commits.head}, the commit of this event.")
    base, source = history.base(commits, head)
    comparison = _Comparison(history)
    comparison.compare(base.tree, head.tree)
    return ChangedFiles(
        tuple(sorted(comparison.changed)),
        tuple(sorted(comparison.deleted)),
        comparison.namesakes(),
        source,
        tuple(sorted(comparison.added)),
    )


# The event.


def _commits_of(event: Event) -> _Range:
    """Return the commits that the event names.

    The payload decides, because more than one event has each of these forms: pull_request,
    pull_request_target and the events of reviews have a pull request.
    """
    range_ = _pull_request(event) or _merge_group(event) or _push(event)
    if range_ is None:
        raise ActionError(
            "The workflow's event changes no files",
            f"The input dags has the line `changed`, but the workflow was started by "
            f"{event.name or 'an unknown event'}, which names no commits to compare.",
            "Use `changed` in a workflow on push, pull_request or merge_group. For other events "
            "give the ids of the DAGs, or their tag: `tag:NAME`.",
        )
    return range_


def _pull_request(event: Event) -> _Range | None:
    head, base = (_sha_at(event, "pull_request", side, "sha") for side in ("head", "base"))
    if not head or not base:
        return None
    return _Range(head, None, "the merge base of this pull request and its base branch", base)


def _merge_group(event: Event) -> _Range | None:
    head, base = (_sha_at(event, "merge_group", f"{side}_sha") for side in ("head", "base"))
    return _Range(head, base, "the commit before this merge group") if head and base else None


def _push(event: Event) -> _Range | None:
    """Return the commits of a push to a branch or a tag.

    Of an annotated tag, `after` is the tag and only `head_commit` is a commit.
    """
    before, after = _sha_at(event, "before"), _sha_at(event, "after")
    if not before or not after or _NO_COMMIT.fullmatch(after):
        return None
    head = _sha_at(event, "head_commit", "id") or after
    branch, ref = event.text_at("repository", "default_branch"), event.text_at("ref")
    pushed_default = ref == f"refs/heads/{branch}"
    if not _NO_COMMIT.fullmatch(before):
        why = f"GitHub no longer has {before[:_SHORT_SHA_CHARS]}, the commit before this push"
        fallback = _since_branch(head, branch, why) if branch and not pushed_default else None
        return _Range(head, before, "the commit before this push", fallback=fallback)
    if pushed_default:
        return _Range(head, "", "")
    kind = "tag" if ref.startswith("refs/tags/") else "branch"
    return _since_branch(head, branch, f"this push created the {kind}") if branch else None


def _since_branch(head: str, branch: str, why: str) -> _Range:
    return _Range(head, None, f"its merge base with {branch}, because {why}", branch)


def _sha_at(event: Event, *path: str) -> str:
    found = event.text_at(*path)
    return found if _SHA.fullmatch(found) else ""


# The commits.


class _History:
    """Commits and trees of the repository; each request is repeated on transient errors."""

    def __init__(self, repository: GitHubRepository, retrier: Retrier) -> None:
        self._repository = repository.within(retrier.deadline)
        self._retrier = retrier

    def commit(self, sha: str) -> _Commit | None:
        """Return the commit, None if GitHub does not have it. It responds with 422 then."""
        response = self._get(f"/commits/{sha}", NO_FILES)
        if response.status == 422:
            return None
        return _read_commit(response, _require_object(response))

    def base(self, commits: _Range, head: _Commit) -> tuple[_Commit, str]:
        """Return the old commit of a range, and a sentence that says which it is."""
        new = f"{head.sha[:_SHORT_SHA_CHARS]} was compared with"
        if commits.base == "":
            return _NOTHING, f"All files of {head.sha[:_SHORT_SHA_CHARS]} are new."
        base = (
            self._merge_base(commits.merge_base_with, head.sha)
            if commits.base is None
            else self.commit(commits.base)
        )
        if base is not None:
            return base, f"{new} {base.sha[:_SHORT_SHA_CHARS]}, {commits.source}."
        if commits.base is None:
            return (
                _NOTHING,
                f"All files are new: {commits.merge_base_with} has no commit in common.",
            )
        if commits.fallback is None:
            raise _lost(f"It no longer has {commits.base}, {commits.source}.")
        return self.base(commits.fallback, head)

    def _merge_base(self, base: str, head: str) -> _Commit | None:
        """Return the merge base of a branch or commit and a commit, None if there is none."""
        response = self._get(f"/compare/{quote(base, safe='')}...{head}", NO_FILES)
        if response.status == 404 and response.detail.startswith("No common ancestor"):
            return None
        return _read_commit(response, _require_object(response).get("merge_base_commit"))

    def folder(self, sha: str) -> dict[str, _Entry] | None:
        """Return the entries directly in a tree, None if GitHub does not list all."""
        entries: dict[str, _Entry] = {}
        return entries if self._read(sha, entries.__setitem__) else None

    def files(self, sha: str) -> dict[str, bytes] | None:
        """Return all files below a tree in a compact form, None if GitHub does not list all."""
        files: dict[str, bytes] = {}

        def consume(path: str, entry: _Entry) -> None:
            if entry.kind != _TREE:
                files[path] = entry.packed

        return files if self._read(sha, consume, recursive=True) else None

    def _read(
        self, sha: str, consume: Callable[[str, _Entry], None], *, recursive: bool = False
    ) -> bool:
        """Read a tree entry by entry, because a large one would take much memory.

        A recursive response that cannot be read counts as incomplete, because it may be too large.

        Returns:
            Whether these are all entries.
        """
        if not sha:
            return True
        # To GitHub any value of `recursive` means true, so it is missing otherwise.
        params = {"recursive": 1} if recursive else {}
        path = f"/git/trees/{sha}"
        try:
            response = self._send(
                path,
                lambda: self._repository.get_items(
                    path, "tree", lambda item: consume(*_read_entry(path, item)), **params
                ),
                retry_unexpected=not recursive,
            )
            body = _require_object(response)
            if not isinstance(body.get("tree"), list) or not isinstance(
                body.get("truncated"), bool
            ):
                raise response.unexpected("the JSON is not a tree.")
        except UnexpectedResponse:
            if not recursive:
                raise
            return False
        return not body["truncated"]

    def _get(self, path: str, params: Mapping[str, int]) -> Response:
        return self._send(path, lambda: self._repository.get(path, **params))

    def _send(
        self, path: str, fetch: Callable[[], Response], *, retry_unexpected: bool = True
    ) -> Response:
        if self._retrier.deadline.has_passed():
            raise TransientError(
                "GitHub lists the changed files too slowly",
                f"GET {path} was not sent before the deadline.",
                "Re-run this job; https://www.githubstatus.com has GitHub's outages.",
            )
        return self._retrier.read(fetch, retry_unexpected=retry_unexpected)


def _lost(detail: str) -> ActionError:
    return ActionError(
        "GitHub no longer has a commit of this event",
        detail,
        "Push again, or give the ids of the DAGs in the input dags.",
    )


def _require_object(response: Response) -> dict[str, Any]:
    """Return the object in a response with status 200. Raise Forbidden or another ActionError."""
    evidence = f"{response.source}: {response.detail}"
    if response.status in (401, 403, 404):
        raise Forbidden(
            "github_token may not read the changed files",
            evidence,
            "Add `contents: read` to the permissions of the job, and to those of the caller of a "
            "reusable workflow.",
        )
    if response.status >= 400:
        _refused(evidence)
    if response.status != 200 or not isinstance(response.body, dict):
        raise response.unexpected("it is neither the expected object nor an error.")
    return response.body


def _refused(evidence: str) -> NoReturn:
    raise ActionError(
        "GitHub does not tell which files changed",
        evidence,
        "Correct the problem that GitHub names, or give the ids of the DAGs in the input dags.",
    )


def _read_commit(response: Response, body: Any) -> _Commit:
    try:
        sha, tree = body["sha"], body["commit"]["tree"]["sha"]
    except (LookupError, TypeError):
        sha = tree = None
    if not (isinstance(sha, str) and isinstance(tree, str)):
        raise response.unexpected("the JSON is not a commit.")
    return _Commit(sha, tree)


# The trees.


class _Entry(NamedTuple):
    """A file, a submodule (type `commit`) or a subtree. Equal entries have equal contents."""

    kind: str
    mode: str
    sha: str

    @property
    def packed(self) -> bytes:
        """The entry in little memory."""
        return f"{self.kind[:1]}{self.mode}{self.sha}".encode()


def _read_entry(path: str, item: Any) -> tuple[str, _Entry]:
    try:
        name, entry = item["path"], _Entry(item["type"], item["mode"], item["sha"])
    except (LookupError, TypeError):
        name, entry = None, None
    if entry is None or not all(isinstance(text, str) for text in (name, *entry)):
        response = Response(200, None, f"GET {path} (GitHub)", service=GITHUB)
        raise response.unexpected("an entry of the tree has no path, type, mode or sha.")
    return name, entry


class _Comparison:
    """Which files differ between two trees.

    Attributes:
        changed: paths of the added and modified files.
        added: paths of the added files.
        deleted: paths of the deleted files.
    """

    def __init__(self, history: _History) -> None:
        self._history = history
        self.changed: list[str] = []
        self.added: list[str] = []
        self.deleted: list[str] = []
        self._all_files: Collection[str] | None = None

    def namesakes(self) -> tuple[str, ...] | None:
        """Return the files of the new tree with the name of a changed one, and ZIP archives."""
        if self._all_files is None:
            return None
        names = {_name(path) for path in self.changed}
        return tuple(
            path
            for path in self._all_files
            if _name(path) in names or path.lower().endswith(".zip")
        )

    def compare(self, old: str, new: str) -> None:
        """Compare two trees, given by their SHAs; an empty SHA is a tree without files."""
        pending = [("", old, new)]
        while pending:
            folder, old, new = pending.pop()
            if old == new:
                continue
            if not self._compare_recursively(folder, old, new):
                pending += self._compare_level(folder, old, new)

    def _compare_recursively(self, folder: str, old: str, new: str) -> bool:
        """Compare all files below two trees. Return False if GitHub does not list all of them."""
        after = self._history.files(new)
        before = self._history.files(old) if after is not None else None
        if before is None or after is None:
            return False
        self._collect(folder, before, after)
        if not folder:
            self._all_files = after.keys()
        return True

    def _compare_level(self, folder: str, old: str, new: str) -> list[tuple[str, str, str]]:
        """Compare the files directly in two trees, and return the subtrees that differ."""
        before, after = (self._history.folder(sha) for sha in (old, new))
        if before is None or after is None:
            _refused(f"The folder {folder or '/'} has more files than GitHub lists.")
        self._collect(folder, _files(before), _files(after))
        trees = [(_subtree(before, name), _subtree(after, name)) for name in {**before, **after}]
        names = [f"{folder}{name}/" for name in {**before, **after}]
        return [(name, *pair) for name, pair in zip(names, trees, strict=True) if len({*pair}) > 1]

    def _collect(self, folder: str, old: dict[str, bytes], new: dict[str, bytes]) -> None:
        self.changed += [f"{folder}{path}" for path, entry in new.items() if old.get(path) != entry]
        self.added += [f"{folder}{path}" for path in new if path not in old]
        self.deleted += [f"{folder}{path}" for path in old if path not in new]


def _files(entries: Mapping[str, _Entry]) -> dict[str, bytes]:
    return {path: entry.packed for path, entry in entries.items() if entry.kind != _TREE}


def _subtree(entries: Mapping[str, _Entry], name: str) -> str:
    """Return the SHA of a subtree, empty if there is none."""
    entry = entries.get(name)
    return entry.sha if entry is not None and entry.kind == _TREE else ""


def _name(path: str) -> str:
    return path.rpartition("/")[2]
