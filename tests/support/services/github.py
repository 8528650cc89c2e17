"""GitHub's REST API, "2022-11-28", as far as it tells commits apart and keeps what is reported
about them.

By the documented answers, and to documented requests only: another one is refused, and fails
whoever let it be sent.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from tests.support import known_secrets as ledger
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, RefusedError, as_json
from tests.support.services.github_app import App
from tests.support.services.github_reports import MOST, Reports
from tests.support.services.github_schema import breach, operation_of
from tests.support.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from tests.support.services.github_reports import Record
    from tests.support.services.github_schema import Operation

REPOSITORY = "octo-org/sales"
FORBIDDEN = "Resource not accessible by integration"


class GitHubApi(StandIn):
    """Knows private repositories with one `history`: each commit's parent; it may grow. `token` is
    the job's.

    `may_read`: whether the token has `contents: read`, and may read what it may not write; without
    it a commit is not found. `can_write`: what it may write. `app`: a GitHub App that may write
    both. `offences`: the requests that GitHub does not document, which are an error at the end.
    """

    def __init__(
        self,
        history: Mapping[str, str | None],
        *,
        may_read: bool = True,
        can_write: tuple[str, ...] = ("statuses", "deployments"),
        repositories: tuple[str, ...] = (REPOSITORY,),
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.history = dict(history)
        self.token = f"ghs_{secrets.token_urlsafe(30)}"
        self.app = App()
        self.offences: list[str] = []
        self._repositories = repositories
        self._may = ({"contents": "read"} if may_read else {}) | dict.fromkeys(can_write, "write")
        self._reports = Reports(self.url)
        self._limited: list[str] = []
        ledger.note(self.token)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        if self.offences:
            raise AssertionError(
                "GitHub was asked what it does not document:\n" + "\n".join(self.offences)
            )

    def statuses_of(self, sha: str, context: str | None = None) -> list[Record]:
        """The statuses of a commit, or those of one name, oldest first."""
        with self._lock:
            return [one for one in self._reports.statuses(sha) if context in (None, one["context"])]

    @property
    def deployments(self) -> list[Record]:
        """Every deployment, oldest first."""
        with self._lock:
            return self._reports.deployments()

    def deployment_states(self, number: int) -> list[str]:
        """The states of a deployment, oldest first."""
        return [one["state"] for one in self.deployment_statuses(number)]

    def deployment_statuses(self, number: int) -> list[Record]:
        """The same, with all that is shown of them."""
        with self._lock:
            return self._reports.states(number)

    def report(self, sha: str, state: str, context: str, target_url: str | None = None) -> Record:
        """Somebody else sets a status."""
        with self._lock:
            body = {"state": state, "context": context, "target_url": target_url}
            return self._reports.add_status(self._repositories[0], sha, body)

    def settle(self, number: int, state: str) -> Record:
        """Somebody else sets the state of a deployment."""
        with self._lock:
            return self._reports.add_state(self._repositories[0], number, {"state": state})

    def limit(self, times: int = 1, *, secondary: bool = False) -> None:
        """The next requests are more than the token may send."""
        which = (
            "You have exceeded a secondary rate limit."
            if secondary
            else "API rate limit exceeded for installation."
        )
        with self._lock:
            self._limited += [which] * times

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """What GitHub says."""
        with self._lock:
            if self._limited:
                return _wrong(403, self._limited.pop(0), ("X-RateLimit-Remaining", "0"))
            if wrong := breach(request):
                self.offences.append(f"{request.method} {request.path}: {wrong}")
                return _wrong(422, f"Invalid request.\n\n{wrong}")
            operation, names = operation_of(request)
            try:
                self._admit(request, operation, names)
                return getattr(self, f"_{operation.name}")(request, **names)  # type: ignore[no-any-return]
            except RefusedError as refused:
                return refused.answer

    def _admit(self, request: ReceivedRequest, operation: Operation, names: dict[str, str]) -> None:
        """Refuse who is nobody, does not see the repository, or may not do this."""
        header = request.headers.get("Authorization", "")
        if not operation.needs:
            if record_failure := self.app.record_failure(header):
                raise RefusedError(_wrong(401, record_failure))
            return
        scheme, _, token = header.partition(" ")
        may = self._may if token == self.token else self.app.permissions_of(token)
        if header and (may is None or scheme.lower() not in ("bearer", "token")):
            raise RefusedError(_wrong(401, "Bad credentials"))
        reading = request.method == "GET"
        if may is None or names["repository"] not in self._repositories:
            raise RefusedError(_wrong(404, "Not Found"))
        if operation.needs == "contents" and "contents" not in may:
            raise RefusedError(_wrong(404, "Not Found"))
        if not (
            may.get(operation.needs) == "write"
            or (reading and {operation.needs, "contents"} & set(may))
        ):
            raise RefusedError(_wrong(403, FORBIDDEN))

    # Commits.

    # All have one history
    def _commit(self, _: ReceivedRequest, repository: str, sha: str) -> FakeResponse:  # noqa: ARG002
        self._know(sha)
        return as_json(200, self._shown(sha))

    def _compare(
        self, request: ReceivedRequest, repository: str, base: str, sha: str
    ) -> FakeResponse:
        if not {base, sha} <= set(self.history):
            return _wrong(404, "Not Found")
        ours, theirs = list(self._line(sha)), list(self._line(base))
        ahead = [one for one in ours if one not in theirs]
        behind = [one for one in theirs if one not in ours]
        status = {(0, 0): "identical", (1, 0): "ahead", (0, 1): "behind"}.get(
            (bool(ahead), bool(behind)), "diverged"
        )
        urls = ("url", "html_url", "permalink_url", "diff_url", "patch_url")
        page = int(request.first("page", "1"))
        body = {
            **dict.fromkeys(urls, f"{self.url}/repos/{repository}/compare/{base}...{sha}"),
            "base_commit": self._shown(base),
            "merge_base_commit": self._shown(next(one for one in ours if one in theirs)),
            "status": status,
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [self._shown(one) for one in reversed(ahead)][page - 1 : page],
            **({"files": [{"filename": "dags/sales.py", "patch": "@@"}]} if page == 1 else {}),
        }
        return as_json(200, body)

    def _line(self, commit: str | None) -> Iterator[str]:
        while commit is not None:
            yield commit
            commit = self.history[commit]

    def _shown(self, sha: str) -> Record:
        parent = self.history[sha]
        return {
            "sha": sha,
            "commit": {"message": "Change the sales"},
            "parents": [{"sha": parent}] if parent else [],
        }

    def _know(self, sha: str) -> None:
        if sha not in self.history:
            raise RefusedError(_wrong(422, f"No commit found for SHA: {sha}"))

    # What is reported about them.

    def _statuses(self, request: ReceivedRequest, repository: str, sha: str) -> FakeResponse:
        self._know(sha)
        return _page(request, self._reports.statuses(sha, repository))

    def _add_status(self, request: ReceivedRequest, repository: str, sha: str) -> FakeResponse:
        self._know(sha)
        body = json.loads(request.body)
        same = [
            one
            for one in self._reports.statuses(sha, repository)
            if one["context"] == body.get("context", "default")
        ]
        if len(same) >= MOST:
            return _wrong(
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
        if body["ref"] not in self.history:
            return _wrong(422, f"No ref found for: {body['ref']}")
        contexts = body.get("required_contexts")
        if contexts != [] and (waits_for := self._reports.unsettled(body["ref"], contexts)):
            return _wrong(
                409,
                f"Conflict: Commit status checks failed for {body['ref']}. "
                f"({', '.join(waits_for)})",
            )
        return as_json(201, self._reports.deploy(repository, body["ref"], body))

    def _states(self, request: ReceivedRequest, repository: str, number: str) -> FakeResponse:
        self._know_deployment(repository, number)
        return _page(request, self._reports.states(int(number)))

    def _add_state(self, request: ReceivedRequest, repository: str, number: str) -> FakeResponse:
        self._know_deployment(repository, number)
        return as_json(
            201, self._reports.add_state(repository, int(number), json.loads(request.body))
        )

    def _know_deployment(self, repository: str, number: str) -> None:
        if int(number) not in (one["id"] for one in self._reports.deployments(repository)):
            raise RefusedError(_wrong(404, "Not Found"))

    # The app's own.

    def _token(self, request: ReceivedRequest, number: str) -> FakeResponse:
        if int(number) != self.app.installation:
            return _wrong(404, "Not Found")
        body = json.loads(request.body or b"{}")
        names = {one.partition("/")[2] for one in self._repositories}
        if not set(body.get("repositories", ())) <= names:
            return _wrong(
                422,
                "There is at least one repository that is not accessible to the parent "
                "installation.",
            )
        granted = {"metadata": "read", "statuses": "write", "deployments": "write"}
        asked = body.get("permissions", granted)
        if any(granted.get(name) not in (level, "write") for name, level in asked.items()):
            return _wrong(422, "The permissions requested are not granted to this installation.")
        return as_json(201, self.app.issue(asked))


def _page(request: ReceivedRequest, records: list[Record]) -> FakeResponse:
    """One page of records, the newest first."""
    size, number = int(request.first("per_page", "30")), int(request.first("page", "1"))
    return as_json(200, records[::-1][(number - 1) * size : number * size])


def _wrong(status: int, message: str, *headers: tuple[str, str]) -> FakeResponse:
    body: dict[str, Any] = {
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    }
    return FakeResponse(status, as_json(status, body).body, "application/json", headers)
