"""Report a DAG run to GitHub for a step that does not wait for it (the input `report_to`).

It decides what GitHub shows and when, and leaves the requests to `github_api/`. Airflow's listener
(`listener/`) reports the end of the run. This module reports it only for a run that ends before the
listener can know of it. It does not know why tasks failed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import ActionError, CommitStatusTaken, Forbidden, NotSupported, RunExists
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
    from entrypoint.deadline import Deadline
    from entrypoint.github_api.statuses import State
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import DagRun, RunRequest
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

LISTENER_SECONDS = 10.0
"""Seconds after a run's end in which only the listener reports it, so that the two do not report it
at the same time.
"""

T = TypeVar("T")

_KINDS = {"commit-status": "commit status", "deployment": "deployment"}


class DetachedReport:
    """The report of one step's DAG run on GitHub.

    Args:
        settings: kind of report, environment and token.
        context: repository and commit of the workflow run.
        session: deadlines, retrier and HTTP client.
        base_url: base URL of the Airflow that has the run.
    """

    def __init__(
        self, settings: Settings, context: Context, session: Session, base_url: str
    ) -> None:
        repository = session.github_repository(context)
        if repository is None:
            raise ActionError(
                "Only a GitHub workflow can report to GitHub",
                f"report_to is {settings.report_to}, but GitHub's runner does not run this step.",
                "Remove report_to, and wait for the run.",
            )
        self._settings = settings
        self._session = session
        self._repository = repository
        commit = head_commit(context)
        self._last_status_id = 0
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
                "The line for its note is longer than Airflow can store, or its format is not "
                f"valid: {self._marker}.",
                "Give an airflow_url of fewer than 200 characters; or remove report_to, and wait "
                "for the run.",
            )

    def note(self, text: str) -> str:
        """Return the note for a new run: the text, and below it the marker for the listener."""
        return note_with_marker(text, self._marker)

    def check(self, airflow: Airflow, request: RunRequest, run: DagRun | None) -> None:
        """Raise ActionError before the trigger if this run could not be reported.

        It changes nothing in Airflow or on GitHub.

        Args:
            airflow: API client.
            request: request for the run, with its note.
            run: the run if it already exists.
        """
        try:
            airflow.check(request)
        except NotSupported as error:
            raise NotSupported(
                "This Airflow does not support report_to",
                f"{error.detail} The listener reads from the run's note where to report.",
                "Remove report_to, and wait for the run; or upgrade Airflow.",
            ) from None
        if run is not None:
            self._adopt(run)
        if not self._settings.trigger:
            return
        deadline = self._session.deadline(SETUP_SECONDS)
        page = airflow.run_url(request.dag_id, request.run_id)
        target = self._target(request.run_id, page, deadline)
        if not self._read(target.can_write, deadline):
            raise Forbidden(
                f"github_token may not write {target.permission.split(':')[0]}",
                f"GitHub refuses it for {self._marker.repository}. Nothing was triggered.",
                f"Add `{target.permission}` to the permissions of the job, and to those of the "
                "caller of a reusable workflow. A pull request from a fork gets a token that may "
                "only read.",
            )
        last = self._read(target.latest, deadline)
        if last is not None and last.state == "pending" and not last.ours:
            raise self._taken(target.name, last.target_url, "Nothing was triggered.")
        self._last_status_id = last.status_id if last else 0

    def begin(
        self,
        airflow: Airflow,
        run: DagRun,
        run_url: str,
        failed_tasks: Callable[[DagRun, Deadline], list[str]],
    ) -> tuple[DagRun, Report]:
        """Create the commit status or deployment, and report the run's end if it has ended.

        Args:
            airflow: API client.
            run: the run.
            run_url: URL of the run's page in Airflow.
            failed_tasks: function that returns the names of the failed tasks of a run, read
                before a deadline.

        Returns:
            The latest state of the run in Airflow, and the report.

        Raises:
            Forbidden: the token or the Airflow credential lacks a permission.
            ActionError: GitHub refuses the report, or another step reports the run.
        """
        deadline = self._session.deadline(SETUP_SECONDS)
        airflow = airflow.within(deadline)
        self._adopt(run)
        if parse_marker(run.note) is None:
            self._mark(airflow, run, deadline)
        target = self._target(run.run_id, run_url, deadline)
        if not run.ended:
            self._report(target, "pending", f"DAG run {run.run_id}", deadline)
            if self._settings.trigger and (
                conflicting_run := self._read(
                    partial(target.conflicting_run, self._last_status_id), deadline
                )
            ):
                raise self._taken(
                    target.name, conflicting_run, "This step's run was triggered nevertheless."
                )
            fetch = partial(airflow.get_run, run.dag_id, run.run_id)
            run = self._read(fetch, deadline, retry_refused=True) or run
        state: State = "pending"
        if run.ended:
            end: State = "success" if run.state == "success" and not run.cancelled else "failure"
            self._wait_for_listener(airflow, run)
            failed = failed_tasks(run, deadline) if run.state == "failed" else []
            state = self._report(target, end, describe_end(run, failed), deadline)
        number = target.deployment_id if isinstance(target, GitHubDeployment) else None
        url = target.url if isinstance(target, CommitStatus) else None
        kind = _KINDS[self._settings.report_to]
        return run, Report(kind, target.name, self._marker.commit, state, url, number)

    def _adopt(self, run: DagRun) -> None:
        """Use the marker in the run's note; raise ActionError if it does not match this step."""
        found = parse_marker(run.note)
        if found is None and not self._settings.trigger:
            raise ActionError(
                "The DAG run is not reported to GitHub",
                f"The note of {run.run_id} names no commit status or deployment, so no step with "
                "report_to created the run.",
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
            reported = (
                "a commit status"
                if found.environment is None
                else f"a deployment to {found.environment}"
            )
            raise RunExists(
                "The DAG run is reported elsewhere",
                f"The note of {run.run_id} names {reported} of {found.commit[:12]} in "
                f"{found.repository}, for the Airflow at {found.airflow}; this step asks for "
                f"{self._settings.report_to} of {self._marker.commit[:12]} in "
                f"{self._marker.repository}, for the Airflow at {self._marker.airflow}.",
                "Give this step its own run_id, or set report_to and environment as in the step "
                "that created the run.",
            )
        self._marker = found

    def _mark(self, airflow: Airflow, run: DagRun, deadline: Deadline) -> None:
        """Add the marker to the note of a run that this step did not create."""
        try:
            self._read(
                partial(airflow.set_note, run, note_with_marker(run.note, self._marker)),
                deadline,
                retry_refused=True,
            )
        except Forbidden as error:
            raise Forbidden(
                "The DAG run cannot be marked for Airflow's listener",
                f"It already existed, and the credential may not change its note: {error.detail}",
                'Give the credential the permission "can edit on DAG Runs", or let this '
                "step trigger the run.",
            ) from None

    def _target(
        self, run_id: str, run_url: str, deadline: Deadline
    ) -> CommitStatus | GitHubDeployment:
        marker, dag_run = self._marker, DagRunRef(self._settings.dag_id, run_id, run_url)
        repository = self._repository.within(deadline)
        if marker.environment is None:
            return CommitStatus(repository, marker.commit, dag_run)
        return GitHubDeployment(repository, marker.commit, marker.environment, dag_run)

    def _report(
        self,
        target: CommitStatus | GitHubDeployment,
        state: State,
        description: str,
        deadline: Deadline,
    ) -> State:
        """Add the state unless GitHub already has it; return the state that GitHub shows.

        After a failure the whole function is retried, because it reads before it adds a state. If
        two runs share a status, the later run's state wins, but no success may hide a failure.
        """

        def update() -> State:
            last = target.latest()
            if last is None and not self._settings.trigger:
                raise ActionError(
                    "GitHub has no status or deployment for the DAG run",
                    f"{self._marker.commit[:12]} has no {_KINDS[self._settings.report_to]} "
                    f"{target.name} to update.",
                    "Re-run the job that triggered the run: its step was interrupted before it "
                    "created one.",
                )
            if last is None:
                needed = True
            elif last.ours:
                needed = last.state != state
            elif self._settings.trigger and last.state == "pending":
                raise self._taken(
                    target.name, last.target_url, "This step's run exists nevertheless."
                )
            else:
                hides = state == "success" and last.state == "failure"
                needed = state == "failure" or (self._settings.trigger and not hides)
            if not needed:
                assert last is not None  # noqa: S101 - `needed` is true if there is no last state
                return last.state
            target.add(state, description)
            return state

        return self._read(update, deadline)

    def _taken(self, name: str, page: str, consequence: str) -> CommitStatusTaken:
        return CommitStatusTaken(
            "Another DAG run has this commit status",
            f"`{name}` of {self._marker.commit[:12]} is pending for {page}. Two runs with one "
            f"status would hide each other's result. {consequence}",
            "Wait until that run has ended. If it has already ended, set its final state with "
            "trigger: false, wait: false, its run_id and report_to. Steps that run one DAG for one "
            "commit at the same time each need report_to: deployment.",
        )

    def _wait_for_listener(self, airflow: Airflow, run: DagRun) -> None:
        if run.end_date is not None and airflow.now is not None:
            left = LISTENER_SECONDS - (airflow.now - run.end_date).total_seconds()
            self._session.retrier.sleep(min(max(left, 0.0), LISTENER_SECONDS))

    def _read(
        self, fetch: Callable[[], T], deadline: Deadline, *, retry_refused: bool = False
    ) -> T:
        return self._session.retrier.within(deadline).read(fetch, retry_refused=retry_refused)


def describe_end(run: DagRun, failed: list[str]) -> str:
    """Return one line for GitHub about how the run ended."""
    if run.cancelled:
        return "The DAG run was stopped: its workflow was cancelled"
    if run.state == "success":
        return f"The DAG run succeeded{duration_suffix(run)}"
    return f"The DAG run failed{duration_suffix(run)}{f': {list_names(failed)}' if failed else ''}"
