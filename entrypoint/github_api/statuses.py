"""Report one DAG run on GitHub: the protocol of a report target, and the commit status.

`deployments.py` has the deployment. A target sends each request once and decides nothing. The
caller decides whether to add a state.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Protocol
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from entrypoint.errors import ActionError, Forbidden
from entrypoint.inputs.urls import canonical_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from entrypoint.github_api.client import GitHubRepository
    from entrypoint.http.response import Response

State = Literal["pending", "success", "failure"]

NULL_SHA = "0" * 40
"""The SHA of no commit. Writing to it has no effect: GitHub responds with 422 to a token that may
write, and with 403 to a token that may not.
"""
PAGE = 100
"""Items on one page of a list."""
_MAX_PAGES = 10
"""Pages that are read: GitHub keeps 1,000 statuses of one name for a commit."""
_MAX_DESCRIPTION_CHARS, _MAX_NAME_CHARS = 140, 255
"""Characters that GitHub accepts for a description, and for the name of a status. A DAG id may have
250.
"""
STATES: Mapping[str, State] = {
    **dict.fromkeys(("pending", "queued", "in_progress"), "pending"),
    # When a later deployment of the environment succeeds, GitHub sets earlier ones from `success`
    # to `inactive`.
    **dict.fromkeys(("success", "inactive"), "success"),
    **dict.fromkeys(("failure", "error"), "failure"),
}
"""The report state for each state of a GitHub status or deployment."""


class DagRunRef(NamedTuple):
    """A DAG run and the URL of its page in Airflow."""

    dag_id: str
    run_id: str
    url: str

    @property
    def airflow(self) -> str | None:
        """The canonical base URL of the Airflow that has the run."""
        return airflow_url_of(self.url, self)


class LatestStatus(NamedTuple):
    """The latest status that GitHub has under a name.

    Attributes:
        status_id: GitHub's id.
        state: its state.
        ours: whether it is about our DAG run.
        target_url: page of the DAG run that it is about.
    """

    status_id: int
    state: State
    ours: bool
    target_url: str


class ReportTarget(Protocol):
    """A commit status or a deployment that represents one DAG run."""

    permission: str
    """The permission that the token needs, as written in a workflow's `permissions`."""
    name: str

    def can_write(self) -> bool:
        """Return whether the token may write. This has no effect on GitHub."""

    def latest(self) -> LatestStatus | None:
        """Return the latest status, None if there is none."""

    def conflicting_run(self, since: int) -> str | None:
        """Return the page of another DAG run that has used the same name after this status id."""

    def add(self, state: State, description: str) -> None:
        """Add a state. Create the commit status or the deployment if it is missing.

        Raises:
            ActionError: GitHub refuses.
        """


class CommitStatus:
    """A commit status, as a report target. Its name contains the DAG id.

    Args:
        repository: client for the repository of the commit.
        commit: SHA of the commit.
        dag_run: the DAG run that it represents.

    Attributes:
        url: URL of the status in GitHub's API, None until the status is read or written.
    """

    permission = "statuses: write"

    def __init__(self, repository: GitHubRepository, commit: str, dag_run: DagRunRef) -> None:
        self.name = f"airflow / {dag_run.dag_id}"[:_MAX_NAME_CHARS]
        self.url: str | None = None
        self._repository, self._commit, self._dag_run = repository, commit, dag_run

    def can_write(self) -> bool:
        """See `ReportTarget`."""
        return write_allowed(
            self._repository.post(f"/statuses/{NULL_SHA}", self._body("pending", "")),
            self.permission,
        )

    def latest(self) -> LatestStatus | None:
        """See `ReportTarget`."""
        return next(self._all(), None)

    def conflicting_run(self, since: int) -> str | None:
        """See `ReportTarget`."""
        newer = takewhile(lambda one: one.status_id > since, self._all())
        return next((one.target_url for one in newer if not one.ours), None)

    def add(self, state: State, description: str) -> None:
        """See `ReportTarget`."""
        response = self._repository.post(
            f"/statuses/{self._commit}", self._body(state, description)
        )
        self.url = str(require_created(response, self.permission).get("url") or "")

    def _all(self) -> Iterator[LatestStatus]:
        """Yield the statuses with this name, newest first."""
        for status in paginate(
            self._repository, f"/commits/{self._commit}/statuses", self.permission
        ):
            # GitHub ignores the case of a status name.
            if str(status.get("context")).casefold() == self.name.casefold():
                self.url = str(status.get("url") or "")
                target_url = str(status.get("target_url") or "")
                ours = is_page_of(target_url, self._dag_run)
                yield LatestStatus(
                    id_of(status), STATES.get(str(status.get("state")), "failure"), ours, target_url
                )

    def _body(self, state: State, description: str) -> dict[str, str]:
        return {
            "state": state,
            "context": self.name,
            "target_url": self._dag_run.url,
            "description": truncate_description(description),
        }


def is_page_of(page: str, dag_run: DagRunRef) -> bool:
    """Return whether `page` is the page of this DAG run in its own Airflow, version 2 or 3."""
    return (found := airflow_url_of(page, dag_run)) is not None and found == dag_run.airflow


def airflow_url_of(page: str, dag_run: DagRunRef) -> str | None:
    """Return the canonical base URL of the Airflow that serves `page`.

    None if it is not the page of a DAG run with these ids.
    """
    try:
        parts = urlsplit(page)
        segments = parts.path.split("/")
        names = [unquote(segment) for segment in segments]
        if names[-3:] == ["dags", dag_run.dag_id, "grid"]:
            ours = parse_qs(parts.query).get("dag_run_id") == [dag_run.run_id]
            base = segments[:-3]
        else:
            ours = names[-4:] == ["dags", dag_run.dag_id, "runs", dag_run.run_id]
            base = segments[:-4]
        return (
            canonical_url(urlunsplit((parts.scheme, parts.netloc, "/".join(base), "", "")))
            if ours
            else None
        )
    except ValueError:
        return None


def truncate_description(description: str) -> str:
    """Return the description, cut to the length that GitHub accepts."""
    return (
        description
        if len(description) <= _MAX_DESCRIPTION_CHARS
        else f"{description[: _MAX_DESCRIPTION_CHARS - 1]}…"
    )


def write_allowed(response: Response, permission: str) -> bool:
    """Return whether GitHub accepts a write to NULL_SHA.

    Raises:
        ActionError: the response does not show it.
    """
    if response.status in (403, 404):
        return False
    if response.status != 422:
        _refused(response, permission)
    return True


def id_of(one: Mapping[str, Any]) -> int:
    """Return GitHub's id of an object. Newer objects have greater ids."""
    number = one.get("id")
    return number if isinstance(number, int) else 0


def paginate(
    repository: GitHubRepository, path: str, permission: str, **filters: str
) -> Iterator[dict[str, Any]]:
    """Yield the listed objects, and request each page only when it is needed.

    Raise the errors of `require_list`.
    """
    for page in range(1, _MAX_PAGES + 1):
        found = require_list(repository.get(path, **filters, per_page=PAGE, page=page), permission)
        yield from found
        if len(found) < PAGE:
            return


def require_list(response: Response, permission: str) -> list[dict[str, Any]]:
    """Return the listed objects. Raise Forbidden, ActionError or UnexpectedResponse."""
    if response.status != 200:
        _refused(response, permission)
    if not isinstance(response.body, list) or not all(
        isinstance(one, dict) for one in response.body
    ):
        raise response.unexpected("it is not a list of objects.")
    return response.body


def require_created(response: Response, permission: str) -> dict[str, Any]:
    """Return the created object. Raise Forbidden, ActionError or UnexpectedResponse."""
    if response.status != 201:
        _refused(response, permission)
    if not isinstance(response.body, dict) or not isinstance(response.body.get("id"), int):
        raise response.unexpected("it is not the created object.")
    return response.body


def _refused(response: Response, permission: str) -> NoReturn:
    if response.status < 400:
        raise response.unexpected("it is neither the expected object nor an error.")
    evidence = f"{response.source}: {response.detail}"
    if response.status in (401, 403, 404):
        raise Forbidden(
            "github_token may not report the DAG run",
            evidence,
            f"Add `{permission}` to the permissions of the job, and to those of the caller of a "
            "reusable workflow. A pull request from a fork gets a read-only token.",
        )
    raise ActionError(
        "GitHub does not accept the report",
        evidence,
        "Correct the problem that GitHub names, then re-run this job.",
    )
