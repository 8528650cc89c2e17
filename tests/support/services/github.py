"""GitHub's REST API, "2022-11-28", for commits, trees, commit statuses and deployments.

It accepts documented requests only. Any other request is refused, and fails the test at its end.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.support import known_secrets
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, RefusedError, as_json
from tests.support.services.github_app import GitHubApp
from tests.support.services.github_reports import MAX_STATUSES, ReportStore
from tests.support.services.github_schema import operation_of, schema_violation
from tests.support.services.history import (
    GitRepository,
    ScriptedHistory,
    ancestors,
    tree_body,
)
from tests.support.stub_server import StubServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from tests.support.services.github_reports import Record
    from tests.support.services.github_schema import Operation
    from tests.support.services.history import History, TreeEntry

REPOSITORY = "octo-org/sales"
FORBIDDEN = "Resource not accessible by integration"
MAX_TREE_ENTRIES = 100_000
"""Entries that GitHub lists of a tree. The limit of 7 MB is not scripted."""
MAX_FILES = 300
"""Files that GitHub lists of a comparison."""


class GitHubApi(StubServer):
    """Private repositories with one common history.

    Args:
        history: commit to its parent, which may grow; or a real repository
        may_read: whether the job's token has `contents: read`; without it commits are not found
        can_write: permissions that the job's token has
        repositories: names of the repositories
        port: port number, 0 for any free one
        max_tree_entries: number of entries that it lists of a tree

    Attributes:
        history: commit to its parent; empty with a real repository
        token: the job's token
        app: a GitHub App that may write statuses and deployments
        offences: undocumented requests, which fail the test at its end
    """

    def __init__(
        self,
        history: Mapping[str, str | None] | GitRepository,
        *,
        may_read: bool = True,
        can_write: tuple[str, ...] = ("statuses", "deployments"),
        repositories: tuple[str, ...] = (REPOSITORY,),
        port: int = 0,
        max_tree_entries: int = MAX_TREE_ENTRIES,
    ) -> None:
        super().__init__(port=port)
        self._commits: History
        if isinstance(history, GitRepository):
            self.history: dict[str, str | None] = {}
            self._commits = history
        else:
            self.history = dict(history)
            self._commits = ScriptedHistory(self.history)
        self._max_tree_entries = max_tree_entries
        self.token = f"ghs_{secrets.token_urlsafe(30)}"
        self.app = GitHubApp()
        self.violations: list[str] = []
        self._repositories = repositories
        self._permissions = ({"contents": "read"} if may_read else {}) | dict.fromkeys(
            can_write, "write"
        )
        self._reports = ReportStore(self.url)
        self._limited: list[str] = []
        known_secrets.add(self.token)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        if self.violations:
            raise AssertionError(
                "The action sent requests that GitHub does not document:\n"
                + "\n".join(self.violations)
            )

    def statuses_of(self, sha: str, context: str | None = None) -> list[Record]:
        """Return the statuses of a commit, or those of one context, oldest first."""
        with self._lock:
            return [one for one in self._reports.statuses(sha) if context in (None, one["context"])]

    @property
    def deployments(self) -> list[Record]:
        """Every deployment, oldest first."""
        with self._lock:
            return self._reports.deployments()

    def deployment_states(self, number: int) -> list[str]:
        """Return the states of a deployment, oldest first."""
        return [one["state"] for one in self.deployment_statuses(number)]

    def deployment_statuses(self, number: int) -> list[Record]:
        """Return the statuses of a deployment with all fields, oldest first."""
        with self._lock:
            return self._reports.states(number)

    def report(self, sha: str, state: str, context: str, target_url: str | None = None) -> Record:
        """Set a commit status as another user."""
        with self._lock:
            body = {"state": state, "context": context, "target_url": target_url}
            return self._reports.add_status(self._repositories[0], sha, body)

    def settle(self, number: int, state: str) -> Record:
        """Set the state of a deployment as another user."""
        with self._lock:
            return self._reports.add_state(self._repositories[0], number, {"state": state})

    def limit(self, times: int = 1, *, secondary: bool = False) -> None:
        """Answer the next requests with a rate limit error."""
        which = (
            "You have exceeded a secondary rate limit."
            if secondary
            else "API rate limit exceeded for installation."
        )
        with self._lock:
            self._limited += [which] * times

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        with self._lock:
            if self._limited:
                return _error(403, self._limited.pop(0), ("X-RateLimit-Remaining", "0"))
            if wrong := schema_violation(request):
                self.violations.append(f"{request.method} {request.path}: {wrong}")
                return _error(422, f"Invalid request.\n\n{wrong}")
            operation, names = operation_of(request)
            try:
                self._authorize(request, operation, names)
                handle: Callable[..., FakeResponse] = getattr(self, f"_{operation.name}")
                return handle(request, **names)
            except RefusedError as refused:
                return refused.answer

    def _authorize(
        self, request: ReceivedRequest, operation: Operation, names: dict[str, str]
    ) -> None:
        """Refuse a request with a bad token, or without access or permission."""
        header = request.headers.get("Authorization", "")
        if not operation.needs:
            if token_error := self.app.token_error(header):
                raise RefusedError(_error(401, token_error))
            return
        scheme, _, token = header.partition(" ")
        may = self._permissions if token == self.token else self.app.permissions_of(token)
        if header and (may is None or scheme.lower() not in ("bearer", "token")):
            raise RefusedError(_error(401, "Bad credentials"))
        reading = request.method == "GET"
        if may is None or names["repository"] not in self._repositories:
            raise RefusedError(_error(404, "Not Found"))
        if operation.needs == "contents" and "contents" not in may:
            raise RefusedError(_error(404, "Not Found"))
        if not (
            may.get(operation.needs) == "write"
            or (reading and {operation.needs, "contents"} & set(may))
        ):
            raise RefusedError(_error(403, FORBIDDEN))

    # Commits and trees.

    def _commit(self, request: ReceivedRequest, repository: str, sha: str) -> FakeResponse:
        self._require_commit(sha)
        body = self._commit_body(sha, repository)
        if request.first("page", "1") == "1":
            parents = self._commits.parents(sha)
            body["files"] = self._files(parents[0] if parents else None, sha)
        return as_json(200, body)

    def _compare(
        self, request: ReceivedRequest, repository: str, base: str, head: str
    ) -> FakeResponse:
        old, new = self._commits.resolve(unquote(base)), self._commits.resolve(unquote(head))
        if old is None or new is None:
            return _error(404, "Not Found")
        merge_base = self._commits.merge_base(old, new)
        if merge_base is None:
            return _error(404, f"No common ancestor between {unquote(base)} and {unquote(head)}.")
        ours, theirs = ancestors(self._commits, new), ancestors(self._commits, old)
        ahead = [one for one in ours if one not in theirs]
        behind = [one for one in theirs if one not in ours]
        status = {(0, 0): "identical", (1, 0): "ahead", (0, 1): "behind"}.get(
            (bool(ahead), bool(behind)), "diverged"
        )
        urls = ("url", "html_url", "permalink_url", "diff_url", "patch_url")
        page = int(request.first("page", "1"))
        body = {
            **dict.fromkeys(urls, f"{self.url}/repos/{repository}/compare/{base}...{head}"),
            "base_commit": self._commit_body(old, repository),
            "merge_base_commit": self._commit_body(merge_base, repository),
            "status": status,
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [self._commit_body(one, repository) for one in reversed(ahead)][
                page - 1 : page
            ],
            **({"files": self._files(merge_base, new)} if page == 1 else {}),
        }
        return as_json(200, body)

    def _files(self, old: str | None, new: str) -> list[Record]:
        """Return the changed files of a comparison, at most MAX_FILES."""
        before, after = (
            {entry.path: entry for entry in self._entries(commit) if entry.kind != "tree"}
            for commit in (old, new)
        )
        changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
        return [{"filename": path, "patch": "@@"} for path in changed[:MAX_FILES]]

    def _entries(self, commit: str | None) -> list[TreeEntry]:
        tree = self._commits.tree(commit) if commit else None
        return (self._commits.entries(tree, recursive=True) if tree else None) or []

    def _tree(self, request: ReceivedRequest, repository: str, sha: str) -> FakeResponse:
        entries = self._commits.entries(sha, recursive="recursive" in request.query)
        if entries is None:
            return _error(404, "Not Found")
        url = f"{self.url}/repos/{repository}"
        return as_json(200, tree_body(url, sha, entries, self._max_tree_entries))

    def _commit_body(self, sha: str, repository: str) -> Record:
        url, tree = f"{self.url}/repos/{repository}", self._commits.tree(sha)
        return {
            "sha": sha,
            "url": f"{url}/commits/{sha}",
            "commit": {
                "message": "Change the sales",
                "tree": {"sha": tree, "url": f"{url}/git/trees/{tree}"},
            },
            "parents": [
                {"sha": parent, "url": f"{url}/commits/{parent}"}
                for parent in self._commits.parents(sha)
            ],
        }

    def _require_commit(self, sha: str) -> None:
        if self._commits.resolve(sha) is None:
            raise RefusedError(_error(422, f"No commit found for SHA: {sha}"))

    # Commit statuses and deployments.

    def _statuses(self, request: ReceivedRequest, repository: str, sha: str) -> FakeResponse:
        self._require_commit(sha)
        return _page(request, self._reports.statuses(sha, repository))

    def _add_status(self, request: ReceivedRequest, repository: str, sha: str) -> FakeResponse:
        self._require_commit(sha)
        body = json.loads(request.body)
        same = [
            one
            for one in self._reports.statuses(sha, repository)
            if one["context"] == body.get("context", "default")
        ]
        if len(same) >= MAX_STATUSES:
            return _error(
                422,
                "Validation Failed: this SHA and context has reached the maximum number of "
                "statuses.",
            )
        return as_json(201, self._reports.add_status(repository, sha, body))

    def _deployments(self, request: ReceivedRequest, repository: str) -> FakeResponse:
        wanted = {
            name: request.first(name)
            for name in ("sha", "ref", "task", "environment")
            if name in request.query
        }
        found = (
            one for one in self._reports.deployments(repository) if wanted.items() <= one.items()
        )
        return _page(request, list(found))

    def _deploy(self, request: ReceivedRequest, repository: str) -> FakeResponse:
        body = json.loads(request.body)
        if self._commits.resolve(body["ref"]) is None:
            return _error(422, f"No ref found for: {body['ref']}")
        contexts = body.get("required_contexts")
        if contexts != [] and (waits_for := self._reports.unsettled(body["ref"], contexts)):
            return _error(
                409,
                f"Conflict: Commit status checks failed for {body['ref']}. "
                f"({', '.join(waits_for)})",
            )
        return as_json(201, self._reports.deploy(repository, body["ref"], body))

    def _states(self, request: ReceivedRequest, repository: str, number: str) -> FakeResponse:
        self._require_deployment(repository, number)
        return _page(request, self._reports.states(int(number)))

    def _add_state(self, request: ReceivedRequest, repository: str, number: str) -> FakeResponse:
        self._require_deployment(repository, number)
        return as_json(
            201, self._reports.add_state(repository, int(number), json.loads(request.body))
        )

    def _require_deployment(self, repository: str, number: str) -> None:
        if int(number) not in (one["id"] for one in self._reports.deployments(repository)):
            raise RefusedError(_error(404, "Not Found"))

    # The GitHub App.

    def _token(self, request: ReceivedRequest, number: str) -> FakeResponse:
        if int(number) != self.app.installation:
            return _error(404, "Not Found")
        body = json.loads(request.body or b"{}")
        names = {one.partition("/")[2] for one in self._repositories}
        if not set(body.get("repositories", ())) <= names:
            return _error(
                422,
                "There is at least one repository that is not accessible to the parent "
                "installation.",
            )
        granted = {"metadata": "read", "statuses": "write", "deployments": "write"}
        asked = body.get("permissions", granted)
        if any(granted.get(name) not in (level, "write") for name, level in asked.items()):
            return _error(422, "The permissions requested are not granted to this installation.")
        return as_json(201, self.app.issue(asked))


def _page(request: ReceivedRequest, records: list[Record]) -> FakeResponse:
    """Return one page of records, newest first."""
    size, number = int(request.first("per_page", "30")), int(request.first("page", "1"))
    return as_json(200, records[::-1][(number - 1) * size : number * size])


def _error(status: int, message: str, *headers: tuple[str, str]) -> FakeResponse:
    body: dict[str, Any] = {
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    }
    return FakeResponse(status, as_json(status, body).body, "application/json", headers)
