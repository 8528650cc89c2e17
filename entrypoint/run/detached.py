"""The detached gate: what stands on GitHub for the DAG run when nobody waits for it (the input
`report_to`).

Between the story (`step.py`), which says when, and the rooms that know how (`github_api/`).
Airflow's listener (`listener/`) moves it on when the run ends; what ends before the listener can
know of it is settled here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import ActionError, Forbidden, NotSupported, RunExists
from entrypoint.github_api.client import GitHubRepository
from entrypoint.github_api.deployments import GitHubDeployment
from entrypoint.github_api.marker import Marker, note_with_marker, parse_marker
from entrypoint.github_api.statuses import CommitStatus, DagRunRef
from entrypoint.inputs.urls import canonical_url
from entrypoint.models import Report
from entrypoint.runners.github import head_commit
from entrypoint.session import SETUP_SECONDS
from entrypoint.text import duration_suffix, list_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.github_api.statuses import State
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import DagRun, RunRequest
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

LISTENER_SECONDS = 10.0
"""Seconds after a run's end within which the listener is left to report it, so that two do not do
it at the same time.
"""
T = TypeVar("T")

_WHAT = {"commit-status": "commit status", "deployment": "deployment"}


class DetachedReport:
    """What stands for one step's DAG run.

    Args:
        settings: what kind of thing, and with which token it is made.
        context: of which repository and commit.
        session: the connection, with its retrier, and the way to GitHub.
        base_url: the Airflow that has the run.
    """

    def __init__(
        self, settings: Settings, context: Context, session: Session, base_url: str
    ) -> None:
        if not context.api_url:
            raise ActionError(
                "Only a GitHub workflow can report to GitHub",
                f"report_to is {settings.report_to}, and this step is not run by GitHub's runner.",
                "Remove report_to, and wait for the run.",
            )
        self._settings = settings
        self._session = session
        self._repository = GitHubRepository(
            context.api_url, context.repository, settings.github_token, session.http_client
        )
        commit = head_commit(context)
        self._since = 0
        self._marker = Marker(
            canonical_url(base_url),
            context.api_url.rstrip("/"),
            context.repository,
            commit,
            settings.environment,
        )
        if parse_marker(self.note("")) is None:
            raise ActionError(
                "The DAG run cannot be marked for Airflow's listener",
                "What would stand in its note is longer than Airflow stores there, or of "
                f"no known form: {self._marker}.",
                "Give an airflow_url of less than 200 characters; or remove report_to, and "
                "wait for the run.",
            )

    def note(self, text: str) -> str:
        """Return the note of a run that is made now: the text, and below it what tells the listener
        where to report.
        """
        return note_with_marker(text, self._marker)

    def check(self, airflow: Airflow, request: RunRequest, run: DagRun | None) -> None:
        """Raise ActionError before anything is triggered if this run could not be reported. Makes
        nothing.

        Args:
            airflow: where it is made.
            request: the run, which need not exist yet, with its note.
            run: the run, if it is there already.
        """
        try:
            airflow.check(request)
        except NotSupported as error:
            raise NotSupported(
                "This Airflow does not know report_to",
                f"{error.detail} What a run is reported as, its note says.",
                "Remove report_to, and wait for the run; or upgrade Airflow.",
            ) from None
        if run is not None:
            self._adopt(run)
        if not self._settings.trigger:
            return
        target = self._target(request.run_id, airflow.run_url(request.dag_id, request.run_id))
        if not self._read(target.can_write):
            raise Forbidden(
                f"github_token may not write {target.permission.split(':')[0]}",
                f"GitHub refuses it for {self._marker.repository}. Nothing was triggered.",
                f"Add `{target.permission}` to the permissions of the job, and to those of "
                "the caller of a reusable workflow. "
                "A pull request from a fork gets a token that may only read.",
            )
        last = self._read(target.last)
        if last is not None and last.state == "pending" and not last.ours:
            raise self._taken(target.name, last.about, "Nothing was triggered.")
        self._since = last.number if last else 0

    def begin(
        self,
        airflow: Airflow,
        run: DagRun,
        run_url: str,
        failed_tasks: Callable[[DagRun], list[str]],
    ) -> tuple[DagRun, Report]:
        """Let something on GitHub stand for the run, and settle it if the run has ended.

        Returns:
            The run as it is then, and what stands for it.

        Raises:
            Forbidden: the token, or the credential, may not do it.
            ActionError: GitHub refuses it, or the run is somebody else's to report.
        """
        self._session.set_deadline(SETUP_SECONDS)
        self._adopt(run)
        if parse_marker(run.note) is None:
            self._mark(airflow, run)
        target = self._target(run.run_id, run_url)
        if not run.ended:
            self._move(target, "pending", f"DAG run {run.run_id}")
            if self._settings.trigger and (
                conflicting_run := self._read(partial(target.conflicting_run, self._since))
            ):
                raise self._taken(
                    target.name, conflicting_run, "This one was triggered all the same."
                )
            fetch = partial(airflow.get_run, run.dag_id, run.run_id)
            run = self._read(fetch, retry_refused=True) or run
        state: State = "pending"
        if run.ended:
            end: State = "success" if run.state == "success" and not run.cancelled else "failure"
            self._leave_to_listener(airflow, run)
            state = self._move(
                target, end, ended_as(run, failed_tasks(run) if run.state == "failed" else [])
            )
        number = target.number if isinstance(target, GitHubDeployment) else None
        url = target.url if isinstance(target, CommitStatus) else None
        what = _WHAT[self._settings.report_to]
        return run, Report(what, target.name, self._marker.commit, state, url, number)

    def _adopt(self, run: DagRun) -> None:
        """Go by the marker of a run that has one; raise ActionError unless it can be this
        step's.
        """
        found = parse_marker(run.note)
        if found is None and not self._settings.trigger:
            raise ActionError(
                "The DAG run is reported nowhere",
                f"The note of {run.run_id} does not say what on GitHub stands for it: no "
                "step with report_to made it.",
                "Give the run_id of a run that a step with report_to has triggered.",
            )
        if found is None:
            return
        same = found._replace(commit="", environment=None) == self._marker._replace(
            commit="", environment=None
        )
        kind = "commit-status" if found.environment is None else "deployment"
        changed = self._settings.trigger and found != self._marker
        if changed or not same or kind != self._settings.report_to:
            to = (
                "a commit status"
                if found.environment is None
                else f"a deployment to {found.environment}"
            )
            raise RunExists(
                "The DAG run is reported elsewhere",
                f"The note of {run.run_id} says {to} of {found.commit[:12]} in "
                f"{found.repository}, for the Airflow at "
                f"{found.airflow}; this step asks for {self._settings.report_to} of "
                f"{self._marker.commit[:12]} in "
                f"{self._marker.repository}, for the Airflow at {self._marker.airflow}.",
                "Give this step a run_id of its own, or report_to and environment as they "
                "were when the run was made.",
            )
        self._marker = found

    def _mark(self, airflow: Airflow, run: DagRun) -> None:
        """Put the marker into the note of a run that somebody else made."""
        try:
            self._read(
                partial(airflow.set_note, run, note_with_marker(run.note, self._marker)),
                retry_refused=True,
            )
        except Forbidden as error:
            raise Forbidden(
                "The DAG run cannot be marked for Airflow's listener",
                f"It was there already, and its note may not be changed: {error.detail}",
                'Give the credential the permission "can edit on DAG Runs", or let this '
                "step trigger the run.",
            ) from None

    def _target(self, run_id: str, run_url: str) -> CommitStatus | GitHubDeployment:
        marker, subject = self._marker, DagRunRef(self._settings.dag_id, run_id, run_url)
        if marker.environment is None:
            return CommitStatus(self._repository, marker.commit, subject)
        return GitHubDeployment(self._repository, marker.commit, marker.environment, subject)

    def _move(
        self, target: CommitStatus | GitHubDeployment, state: State, description: str
    ) -> State:
        """Make sure that this is the state. Repeated as a whole: it looks before it adds anything.

        Of two runs with one status the later one's counts, but for a failure: no run that has ended
        already hides it.

        Returns:
            The state that GitHub shows then.
        """

        def step() -> State:
            last = target.last()
            if last is None and not self._settings.trigger:
                raise ActionError(
                    "Nothing stands on GitHub for the DAG run",
                    f"{self._marker.commit[:12]} has no {_WHAT[self._settings.report_to]} "
                    f"{target.name} to be settled.",
                    "The step that triggered the run was cut short before it made one: "
                    "re-run that job.",
                )
            if last is None:
                needed = True
            elif last.ours:
                needed = last.state != state
            elif self._settings.trigger and last.state == "pending":
                raise self._taken(target.name, last.about, "This one is there all the same.")
            else:
                hides = state == "success" and last.state == "failure"
                needed = state == "failure" or (self._settings.trigger and not hides)
            if not needed:
                assert last is not None  # noqa: S101 - where there is nothing, something is needed
                return last.state
            target.add(state, description)
            return state

        return self._read(step)

    def _taken(self, name: str, page: str, done: str) -> RunExists:
        return RunExists(
            "Another DAG run has this commit status",
            f"`{name}` of {self._marker.commit[:12]} is pending for {page}. Two runs with "
            "one status would hide each other's "
            f"end. {done}",
            "Let that run end first. If it has ended, settle its status: trigger: false, "
            "wait: false, its run_id, report_to. "
            "Steps that run one DAG for one commit side by side each need report_to: deployment.",
        )

    def _leave_to_listener(self, airflow: Airflow, run: DagRun) -> None:
        if run.end_date is not None and airflow.now is not None:
            left = LISTENER_SECONDS - (airflow.now - run.end_date).total_seconds()
            self._session.retrier.sleep(min(max(left, 0.0), LISTENER_SECONDS))

    def _read(self, fetch: Callable[[], T], *, retry_refused: bool = False) -> T:
        return self._session.retrier.read(
            fetch, until=self._session.deadline, retry_refused=retry_refused
        )


def ended_as(run: DagRun, failed: list[str]) -> str:
    """Say in one line how the run ended, for GitHub: there is room for a few words."""
    if run.cancelled:
        return "The DAG run was stopped: its workflow was cancelled"
    if run.state == "success":
        return f"The DAG run succeeded{duration_suffix(run)}"
    return f"The DAG run failed{duration_suffix(run)}{f': {list_names(failed)}' if failed else ''}"
