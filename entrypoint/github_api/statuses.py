"""What stands on GitHub for one DAG run: the protocol, and the commit status (`deployments.py` has
the deployment).

It sends once and decides nothing: whether a state has to be added is known to who asks.
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
"""The SHA of no commit. A write about it makes nothing: GitHub answers 422 to who may write, and
403 to who may not.
"""
PAGE = 100
_MAX_PAGES = 10
"""GitHub keeps 1,000 statuses of one name for a commit."""
_MAX_DESCRIPTION_CHARS, _MAX_NAME_CHARS = 140, 255
"""Characters of a description, and of a status's name, that GitHub takes. A DAG's id may have
250.
"""
STATES: Mapping[str, State] = {
    **dict.fromkeys(("pending", "queued", "in_progress"), "pending"),
    # GitHub sets what had succeeded to `inactive` when a later deployment of the environment
    # succeeds.
    **dict.fromkeys(("success", "inactive"), "success"),
    **dict.fromkeys(("failure", "error"), "failure"),
}


class DagRunRef(NamedTuple):
    """The DAG run, and its page in Airflow."""

    dag_id: str
    run_id: str
    url: str

    @property
    def airflow(self) -> str | None:
        """The Airflow to which it belongs."""
        return airflow_url_of(self.url, self)


class LatestStatus(NamedTuple):
    """What GitHub shows last under a name: id, state, and the page of the DAG run that it is about,
    ours or another.
    """

    number: int
    state: State
    ours: bool
    about: str


class ReportTarget(Protocol):
    """What stands for one DAG run."""

    permission: str
    """What the token needs, as a workflow's `permissions` write it."""
    name: str

    def can_write(self) -> bool:
        """Return whether the token may. Makes nothing."""

    def last(self) -> LatestStatus | None:
        """Return what is there."""

    def conflicting_run(self, since: int) -> str | None:
        """Return the page of another DAG run that got the same name since that id, if one did."""

    def add(self, state: State, description: str) -> None:
        """Set the next state; the first one makes what is not there yet. Raises ActionError if
        GitHub refuses.
        """


class CommitStatus:
    """A commit status. `url` is known once it was seen or set.

    Args:
        repository: where the commit is.
        commit: its SHA.
        subject: the DAG run for which it stands; by its DAG it is called.
    """

    permission = "statuses: write"

    def __init__(self, repository: GitHubRepository, commit: str, subject: DagRunRef) -> None:
        self.name = f"airflow / {subject.dag_id}"[:_MAX_NAME_CHARS]
        self.url: str | None = None
        self._repository, self._commit, self._subject = repository, commit, subject

    def can_write(self) -> bool:
        """See `Target`."""
        return write_allowed(
            self._repository.post(f"/statuses/{NULL_SHA}", self._body("pending", "")),
            self.permission,
        )

    def last(self) -> LatestStatus | None:
        """See `Target`."""
        return next(self._all(), None)

    def conflicting_run(self, since: int) -> str | None:
        """Return the page of another DAG run that has taken the same name after the status with
        this id.
        """
        newer = takewhile(lambda one: one.number > since, self._all())
        return next((one.about for one in newer if not one.ours), None)

    def add(self, state: State, description: str) -> None:
        """See `Target`."""
        answer = self._repository.post(f"/statuses/{self._commit}", self._body(state, description))
        self.url = str(require_created(answer, self.permission).get("url") or "")

    def _all(self) -> Iterator[LatestStatus]:
        """Yield the statuses of this name, the newest first."""
        for status in paginate(
            self._repository, f"/commits/{self._commit}/statuses", self.permission
        ):
            # GitHub makes no difference between capital and small letters here.
            if str(status.get("context")).casefold() == self.name.casefold():
                self.url = str(status.get("url") or "")
                about = str(status.get("target_url") or "")
                ours = is_page_of(about, self._subject)
                yield LatestStatus(
                    id_of(status), STATES.get(str(status.get("state")), "failure"), ours, about
                )

    def _body(self, state: State, description: str) -> dict[str, str]:
        return {
            "state": state,
            "context": self.name,
            "target_url": self._subject.url,
            "description": truncate_description(description),
        }


def is_page_of(page: str, subject: DagRunRef) -> bool:
    """Return whether this is the page of the DAG run, of that Airflow and of no other; as Airflow 2
    or 3 has it.
    """
    return (found := airflow_url_of(page, subject)) is not None and found == subject.airflow


def airflow_url_of(page: str, subject: DagRunRef) -> str | None:
    """Return the base URL, in canonical form, of the Airflow whose page of a run of that name this
    is; None: it is none.
    """
    try:
        parts = urlsplit(page)
        way = parts.path.split("/")
        names = [unquote(part) for part in way]
        if names[-3:] == ["dags", subject.dag_id, "grid"]:
            ours, before = parse_qs(parts.query).get("dag_run_id") == [subject.run_id], way[:-3]
        else:
            ours, before = names[-4:] == ["dags", subject.dag_id, "runs", subject.run_id], way[:-4]
        return (
            canonical_url(urlunsplit((parts.scheme, parts.netloc, "/".join(before), "", "")))
            if ours
            else None
        )
    except ValueError:
        return None


def truncate_description(description: str) -> str:
    """Return the description as far as GitHub takes it."""
    return (
        description
        if len(description) <= _MAX_DESCRIPTION_CHARS
        else f"{description[: _MAX_DESCRIPTION_CHARS - 1]}…"
    )


def write_allowed(answer: Response, permission: str) -> bool:
    """Return whether a write about `NOBODY` was let through. Raises ActionError if the answer does
    not say.
    """
    if answer.status in (403, 404):
        return False
    if answer.status != 422:
        _refused(answer, permission)
    return True


def id_of(one: Mapping[str, Any]) -> int:
    """Return GitHub's id of a thing: the greater, the later it was made."""
    number = one.get("id")
    return number if isinstance(number, int) else 0


def paginate(
    repository: GitHubRepository, path: str, permission: str, **filters: str
) -> Iterator[dict[str, Any]]:
    """Yield the objects that GitHub lists there, page by page, as far as they are wanted. Raises
    the errors of `require_list`.
    """
    for page in range(1, _MAX_PAGES + 1):
        found = require_list(repository.get(path, **filters, per_page=PAGE, page=page), permission)
        yield from found
        if len(found) < PAGE:
            return


def require_list(answer: Response, permission: str) -> list[dict[str, Any]]:
    """Return the objects that GitHub lists. Raises Forbidden, ActionError, UnexpectedResponse."""
    if answer.status != 200:
        _refused(answer, permission)
    if not isinstance(answer.body, list) or not all(isinstance(one, dict) for one in answer.body):
        raise answer.unexpected("it is not a list of objects.")
    return answer.body


def require_created(answer: Response, permission: str) -> dict[str, Any]:
    """Return what was made. Raises Forbidden, ActionError, UnexpectedResponse."""
    if answer.status != 201:
        _refused(answer, permission)
    if not isinstance(answer.body, dict) or not isinstance(answer.body.get("id"), int):
        raise answer.unexpected("it is not what was made.")
    return answer.body


def _refused(answer: Response, permission: str) -> NoReturn:
    if answer.status < 400:
        raise answer.unexpected("it is neither what was asked for nor a refusal.")
    told = f"{answer.source}: {answer.detail}"
    if answer.status in (401, 403, 404):
        raise Forbidden(
            "github_token may not report the DAG run",
            told,
            f"Add `{permission}` to the permissions of the job, and to those of the caller "
            "of a reusable workflow. A pull "
            "request from a fork gets a token that may only read.",
        )
    raise ActionError(
        "GitHub does not accept the report",
        told,
        "Correct what GitHub names, then re-run this job.",
    )
