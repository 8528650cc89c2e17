"""Wait until Airflow has the code of this step's commit. It triggers nothing.

Airflow takes seconds to minutes to pick up new code, and runs the old code until then. It shows
whether the DAG exists and imports, when its file was last parsed, and from which commit, if the
bundle has versions (docs/notes/airflow-2.md#dags-and-import-errors,
docs/notes/airflow-3.md#dags-and-import-errors).
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from entrypoint.deadline import OPTIONAL_TIMEOUT
from entrypoint.errors import (
    ActionError,
    BundleVersionNotFound,
    DagNotFound,
    Forbidden,
    InputError,
    InvalidConf,
    InvalidInputs,
    NotDeployed,
    NotSupported,
    StaleDag,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import Refusals
from entrypoint.models import Ancestry
from entrypoint.run.code_version import ancestry, is_commit, require_commit
from entrypoint.run.dag_checks import (
    import_failed,
    refuse_paused,
    require_runnable,
    stale_dag,
)
from entrypoint.run.schedule import poll_interval_after
from entrypoint.run.trigger import SETTLE_POLL_SECONDS
from entrypoint.session import SETUP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from entrypoint.airflow.client import Airflow
    from entrypoint.deadline import Deadline
    from entrypoint.http.retry import Retrier
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Dag, DagImportError, DagRun, IfPaused
    from entrypoint.run.code_version import Commits
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

REPARSE_SECONDS = 30.0
"""Seconds until the next reparse request if Airflow has not parsed the file since the last one, and
the longest pause between two such requests.
"""
EXTRA_SECONDS = 60.0
"""Seconds after the end of the wait in which a failed request is still retried."""
MAX_REPLACED_VERSIONS = 5
"""Times that a push may replace the checked version before the trigger."""
MIN_PARSINGS = 2
"""New parsings after which Airflow has the file as it was when this step began. One is not enough,
because it may have begun before this step.
"""

_DAG_STATE_WORDS = re.compile(
    r"\bdag\b.*\b(import errors?|inactive|not active|deactivated|stale)\b",
    re.IGNORECASE | re.DOTALL,
)
_CONF_WORDS = re.compile(r"\b(params?|conf|schema)\b", re.IGNORECASE)
_MEMORY_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")

T = TypeVar("T")
_Parsing = tuple["datetime | None", "datetime | None"]
"""When Airflow last parsed a DAG file, and when it last failed to."""


class DagFiles(Protocol):
    """Optional requests about DAG files, disabled if the credential lacks the permission."""

    def import_errors(self, deadline: Deadline) -> tuple[DagImportError, ...] | None:
        """Return the import errors, None if they cannot be read."""

    def request_reparse(self, file_token: str, deadline: Deadline) -> None:
        """Ask Airflow to parse a DAG file now."""

    def bundle_version(self, name: str, deadline: Deadline) -> str | None:
        """Return the version of a bundle that Airflow fetched last, None if it is unknown."""

    def relevant(self, import_error: DagImportError, dag: Dag | None) -> bool:
        """Return whether an import error may belong to this DAG."""


class CodeWait:
    """Wait until Airflow has the code of this step, and check the DAG run's commit.

    Args:
        settings: DAG, `wait_for_dag` in seconds, and `expect_commit`.
        context: repository and commit of the workflow run.
        session: deadlines and retrier.
        commits: history of the repository.

    Attributes:
        bundle_version: the version that has the expected commit, None if there is none yet.
        postpones: whether `read` raises StartPostponed after a failure, and retries nothing.
        dag_id: the DAG.
        dag: the DAG as it was polled last, None if Airflow does not have it.
        parsings: number of parsings of the DAG that were seen since the first poll.
        fails_to_import: whether Airflow could not import the DAG's file at the last poll.
        end: the end of the wait, once it has begun.
    """

    def __init__(
        self, settings: Settings, context: Context, session: Session, commits: Commits
    ) -> None:
        self._settings = settings
        self._context = context
        self._session = session
        self._retrier = session.retrier
        self.dag_id = self._dag_id = settings.dag_id
        self.dag: Dag | None = None
        self.parsings = 0
        self.postpones = False
        self.fails_to_import = False
        self.end: Deadline
        self._commit = settings.expect_commit
        self._wait_deadline = session.deadline(settings.wait_for_dag)
        self.bundle_version: str | None = None
        self._refusals = Refusals()
        self._commits = commits
        self._known_errors: dict[tuple[str, str], tuple[str, ...]] | None = None
        self._runnable_at_start: bool | None = None
        self._parsed_at: datetime | None = None
        self._first_parsing_of_commit: datetime | None = None
        self._bundle_has_commit_since: datetime | None = None
        self._failed_imports: set[datetime] = set()
        self._reparse_requests, self._reparse_requested_at = 0, 0.0
        self._parsing_at_last_request: _Parsing = (None, None)

    def require_known_commit(self) -> None:
        """Raise InvalidInputs if the commit is unknown to GitHub, so that no bundle can have it."""
        commit = self._commit
        if commit in (None, self._context.sha, self._context.ref_sha):
            return
        known = None
        with suppress(TransientError, UnexpectedResponse):
            deadline = self._session.deadline(OPTIONAL_TIMEOUT)
            fetch = partial(self._commits.is_known, commit, deadline)
            known = self._retrier.within(deadline).read(fetch, retry_unexpected=False)
        if known is False:
            error = InputError(
                "expect_commit",
                f"GitHub knows no commit {commit} in {self._context.repository}.",
                "Give a commit of this repository, for example ${{ github.sha }}.",
            )
            raise InvalidInputs((error,))

    def seconds_left(self) -> float:
        """Return the seconds left of `wait_for_dag`."""
        return max(0.0, self._wait_deadline.seconds_left())

    def wait(self, airflow: Airflow, files: DagFiles) -> None:
        """Return as soon as the DAG may be triggered.

        Without `wait_for_dag`, poll only once; without `expect_commit` as well, do not poll.

        Raises:
            DagNotFound, StaleDag, NotDeployed: Airflow does not have the code in time.
            DagNotRunnable: the new code does not import, the old code still does not import (with
                Airflow's traceback), or the DAG is paused.
            NotSupported: this Airflow does not show the fields that the check needs.
            TransientError, UnexpectedResponse, Unauthorized, Forbidden: the request for the DAG
                fails.
        """
        if self.begin(airflow, files):
            for error in wait_for_all([self], self._retrier).values():
                raise error

    def begin(self, airflow: Airflow, files: DagFiles) -> bool:
        """Prepare the polls; return whether any is needed."""
        if not self._settings.wait_for_dag and self._commit is None:
            return False
        self.end = self._session.deadline(self.seconds_left())
        self._request_deadline = self.end.extended(EXTRA_SECONDS)
        self._airflow = airflow.within(self._request_deadline)
        self._files = files
        return True

    @property
    def may_be_new(self) -> bool:
        """Whether Airflow may have parsed the DAG only a moment ago."""
        return bool(self._settings.wait_for_dag) or self._commit is not None

    def begin_new(self, airflow: Airflow, files: DagFiles, since: Deadline) -> None:
        """Prepare the polls for a DAG that appeared during the wait that ends with this deadline.

        So Airflow has it from new code.
        """
        self._wait_deadline, self._runnable_at_start = since, False
        self.begin(airflow, files)

    def count_parsing(self) -> None:
        """Request the DAG once more, only to see whether Airflow has parsed it again."""
        with suppress(ActionError):
            self._record_dag(self._airflow.get_dag(self._dag_id))

    def report_missing(self, reason: ActionError) -> None:
        """Log why the DAG may not be triggered yet."""
        self._retrier.events.code_missing(reason, self.seconds_left())

    def read(self, airflow: Airflow, fetch: Callable[[Airflow], T]) -> T:
        """Send a request before the trigger, with retries.

        While a deployment may be in progress, unexpected and refused responses are retried too.

        Args:
            airflow: API client.
            fetch: sends one idempotent request by the client that it gets.
        """
        left = self.seconds_left()
        deadline = self._session.deadline(max(SETUP_SECONDS, left))
        retrier = self._retrier.within(deadline)
        return (retrier.postponing() if self.postpones else retrier).read(
            partial(fetch, airflow.within(deadline)),
            retry_unexpected=left > 0,
            retry_refused=left > 0,
        )

    def require_runnable(self, airflow: Airflow, if_paused: IfPaused) -> Dag:
        """Return the DAG if Airflow would run it. Raises like `dag_checks.require_runnable`."""
        return self.read(
            airflow, lambda airflow: require_runnable(airflow, self._dag_id, if_paused)
        )

    def call_when_deployed(
        self, airflow: Airflow, files: DagFiles, if_paused: IfPaused, action: Callable[[Dag], T]
    ) -> T:
        """Wait until Airflow has the expected code and would run it, then call `action`.

        If Airflow refuses, start again while the deployment may still be in progress. If a push
        has replaced the version that was checked, check the new one.

        Args:
            airflow: API client.
            files: optional requests about DAG files.
            if_paused: policy for a paused DAG.
            action: called with the DAG.
        """
        replaced = 0
        while True:
            self.wait(airflow, files)
            try:
                return action(self.require_runnable(airflow, if_paused))
            except BundleVersionNotFound:
                replaced += 1
                if replaced == MAX_REPLACED_VERSIONS:
                    raise
            except (DagNotFound, StaleDag, InvalidConf, Unauthorized, Forbidden) as error:
                if not self.wait_before_retry(error):
                    raise

    def wait_before_retry(self, error: ActionError) -> bool:
        """Return whether to repeat a trigger after this error; if so, pause first.

        While a deployment is under way, Airflow may not find a DAG for some polls although it had
        it before. A refused credential becomes final after a while.
        """
        now, left = self._session.clock(), self.seconds_left()
        temporary = not isinstance(error, InvalidConf) or is_dag_state_refusal(error)
        if isinstance(error, (Unauthorized, Forbidden)):
            self._refusals.record(now)
            temporary = not self._refusals.final(now)
        if left <= 0 or not temporary:
            return False
        self._retrier.events.code_missing(error, left)
        self._retrier.sleep(min(self._retrier.jittered(SETTLE_POLL_SECONDS), left))
        return True

    def require(self, run: DagRun, deadline: Deadline) -> None:
        """Raise WrongCommit unless the run has the expected commit; pass on GitHub's errors."""
        if self._commit is not None:
            # Do not retry until the step's deadline: the step does not poll the run in that time.
            deadline = deadline.at_most(SETUP_SECONDS)
            fetch = partial(require_commit, run, self._commit, self._commits, deadline)
            self._retrier.within(deadline).read(fetch)

    def poll(self) -> ActionError | None:
        """Return why the DAG may not be triggered yet, None if it may. Raises like `wait`."""
        first = self._runnable_at_start is None
        dag = None
        missing: ActionError | None = None
        try:
            # Without a wait, an unexpected response means a wrong URL: fail at once.
            retry_unexpected = not first or not self.end.has_passed()
            dag = self._read(
                partial(self._airflow.get_dag, self._dag_id), retry_unexpected=retry_unexpected
            )
        except DagNotFound as error:
            missing = error
        self._record_dag(dag)
        import_error = self._import_error(dag)
        self.fails_to_import = import_error is not None or bool(dag and dag.has_import_errors)
        if dag is None:
            self._runnable_at_start = bool(self._runnable_at_start)
            reason = import_failed(self._dag_id, import_error) if import_error else missing
            # Only from 3.4 on does an import error name its file for such a request.
            token = import_error.file_token if import_error else ""
        else:
            refuse_paused(dag, self._settings.if_paused)
            reason, token = self._check_dag(dag, import_error, first=first), dag.file_token
        if reason is not None and not self.end.has_passed():
            self._request_reparse(
                token, (dag and dag.last_parsed, import_error and import_error.seen_at)
            )
        return reason

    def _record_dag(self, dag: Dag | None) -> None:
        self.dag = dag
        parsed_at = dag.last_parsed if dag is not None else None
        if parsed_at is not None and parsed_at != self._parsed_at:
            self.parsings += self._parsed_at is not None
            self._parsed_at = parsed_at

    def _check_dag(
        self, dag: Dag, import_error: DagImportError | None, *, first: bool
    ) -> ActionError | None:
        """Return why a DAG that exists may not be triggered yet, None if it may."""
        runnable = dag.is_active and not dag.has_import_errors and import_error is None
        self._runnable_at_start = runnable if first else self._runnable_at_start
        if runnable:
            return self._check_code(dag)
        return import_failed(self._dag_id, import_error) if import_error else stale_dag(dag)

    def _read(self, fetch: Callable[[], T], *, retry_unexpected: bool = True) -> T:
        return self._retrier.within(self._request_deadline).read(
            fetch, retry_unexpected=retry_unexpected, retry_refused=not self.end.has_passed()
        )

    def _import_error(self, dag: Dag | None) -> DagImportError | None:
        """Return the import error of this DAG's file, None if there is none.

        An import error that was present at the first poll is returned, because this commit may fix
        it. One that appears later, or that remains after Airflow has fetched the commit, belongs to
        this deployment.

        Raises:
            DagNotRunnable: the import error belongs to this deployment.
        """
        errors = self._files.import_errors(self._request_deadline)
        if errors is None:
            return None
        known, self._known_errors = (
            self._known_errors,
            {(error.bundle, error.filename): _signature(error) for error in errors},
        )
        found = None
        for error in (error for error in errors if self._files.relevant(error, dag)):
            file = error.bundle, error.filename
            if known is not None and known.get(file) != self._known_errors[file]:
                raise import_failed(self._dag_id, error)
            if self._commit is not None and self._is_of_commit(error, self._commit):
                raise import_failed(self._dag_id, error)
            found = found or error
        return found

    def _is_of_commit(self, error: DagImportError, commit: str) -> bool:
        """Return whether the code that fails to import has the commit.

        That is so if Airflow has failed MIN_PARSINGS times since it fetched the commit; the first
        of these parsings may have begun before.
        """
        version = self._files.bundle_version(error.bundle, self._request_deadline)
        now = self._airflow.now
        if version is None or now is None or error.seen_at is None:
            return False
        if self._bundle_has_commit_since is None:
            if not self._ancestry(version, commit).contains:
                return False
            self._bundle_has_commit_since = now
        if error.seen_at > self._bundle_has_commit_since:
            self._failed_imports.add(error.seen_at)
        return len(self._failed_imports) >= MIN_PARSINGS

    def _request_reparse(self, file_token: str, last_parsing: _Parsing) -> None:
        """Ask Airflow to parse the DAG's file earlier than it would on its own.

        Send the first request at once, and another one after each parsing that still has the old
        code or failed, with growing pauses.
        """
        now = self._retrier.clock()
        pause = (
            min(2.0 ** (self._reparse_requests - 2), REPARSE_SECONDS)
            if last_parsing != self._parsing_at_last_request
            else REPARSE_SECONDS
        )
        if file_token and (not self._reparse_requests or now - self._reparse_requested_at >= pause):
            self._reparse_requests += 1
            self._reparse_requested_at = now
            self._parsing_at_last_request = last_parsing
            self._files.request_reparse(file_token, self._request_deadline)

    def _check_code(self, dag: Dag) -> ActionError | None:
        """Return why the DAG's code may be old, None if it is the expected code."""
        if self._commit is not None:
            return self._check_commit(dag, self._commit)
        return self._check_parsings(dag) if dag.bundle_version is None else None

    def _check_parsings(self, dag: Dag) -> ActionError | None:
        """Return why the code may be old if only the time of the last parsing shows its age."""
        if not self._runnable_at_start or self.parsings >= MIN_PARSINGS:
            return None
        if dag.last_parsed is None:
            raise NotSupported(
                "This Airflow does not say when it parsed the DAG's file",
                f"Its version is {self._airflow.version}; for a DAG that already exists, "
                "wait_for_dag needs Airflow 2.3.",
                "Remove wait_for_dag from this step, or upgrade Airflow.",
            )
        begun = "; that parsing may have begun before this step" if self.parsings else ""
        return NotDeployed(
            "Airflow has not parsed the DAG's file since this step began",
            f"{dag.file or self._dag_id} was last parsed at "
            f"{dag.last_parsed.isoformat(timespec='seconds')}{begun}.",
            "Raise wait_for_dag: Airflow parses a file again after min_file_process_interval. If "
            "that does not help, check whether its dag-processor (Airflow 2: its scheduler) runs.",
        )

    def _check_commit(self, dag: Dag, commit: str) -> ActionError | None:
        """Return why the DAG may not have the commit, None if it has it or a later one."""
        version = dag.bundle_version
        if version is None or not is_commit(version):
            raise NotSupported(
                "The DAG's bundle does not say from which commit it is",
                f"{self._dag_id} is in a bundle without commits as versions"
                f"{'' if version is None else f' (its version is {version})'}. Only Airflow's git "
                "bundles have them.",
                "Use wait_for_dag without expect_commit: the step then waits until Airflow has "
                "parsed the DAG's file after the step began.",
            )
        try:
            structure = (
                self._read(partial(self._airflow.latest_dag_version, self._dag_id)) or version
            )
        except DagNotFound as missing:
            return missing
        for what, sha in (("The DAG's bundle", version), ("The DAG's structure", structure)):
            found = self._ancestry(sha, commit)
            if not found.contains:
                self._first_parsing_of_commit = None
                return NotDeployed(
                    "Airflow has not picked up the commit",
                    f"{what} is at {sha},\nexpect_commit is {commit}.\n{found.source}".rstrip(),
                    "Raise wait_for_dag (Airflow fetches a bundle every refresh_interval, 300 s "
                    "by default), and check that the bundle tracks the branch of this commit.",
                )
        # Airflow writes the bundle's version at the end of a parsing. If it fetched the bundle
        # during the parsing, the parsed file is older than that version. So one more parsing must
        # follow.
        self._first_parsing_of_commit = self._first_parsing_of_commit or dag.last_parsed
        if dag.last_parsed == self._first_parsing_of_commit and not self.end.has_passed():
            return NotDeployed(
                "Airflow has the commit, but has not parsed the DAG's file again",
                f"The bundle is at {version}, but the last parsing may have begun before Airflow "
                "fetched that version.",
                "Raise wait_for_dag.",
            )
        how = (
            "the expected commit"
            if version == commit
            else f"which contains {commit}. {found.source}"
        )
        self._retrier.events.code_found(f"The DAG's bundle is at {version}, {how}")
        self.bundle_version = version
        return None

    def _ancestry(self, version: str, commit: str) -> Ancestry:
        try:
            return ancestry(self._commits, version, commit, self._request_deadline)
        except (TransientError, UnexpectedResponse) as error:
            return Ancestry(
                None,
                f"GitHub did not say whether that commit contains the expected one. {error.detail}",
            )


def wait_for_all(
    waits: Sequence[CodeWait],
    retrier: Retrier,
    revise: Callable[[Sequence[CodeWait]], Sequence[CodeWait]] = lambda pending: pending,
) -> dict[CodeWait, ActionError]:
    """Wait until each DAG may be triggered; return why that is not so for some, empty if it is.

    Once one of them can no longer be triggered, do not wait for the others.

    Args:
        waits: waits of the same session that have begun.
        retrier: clock, sleep and jitter.
        revise: called after each poll with the waits that are not over; returns those that go on,
            which may be others.
    """
    began = retrier.clock()
    pending, errors = list(waits), dict[CodeWait, ActionError]()
    while pending:
        reasons: dict[CodeWait, ActionError] = {}
        for each in pending:
            try:
                reason = each.poll()
            except ActionError as error:
                errors[each] = error
            else:
                if reason is not None:
                    reasons[each] = reason
        if errors:
            return errors | reasons
        pending = list(revise(list(reasons)))
        if any(each not in reasons for each in pending):
            continue
        reasons = {each: reasons[each] for each in pending}
        left = min((each.seconds_left() for each in pending), default=0.0)
        if left <= 0:
            return reasons
        for each, reason in reasons.items():
            each.report_missing(reason)
        pause = poll_interval_after(retrier.clock() - began)
        retrier.sleep(min(retrier.jittered(pause), left))
    return errors


def is_dag_state_refusal(refusal: InvalidConf) -> bool:
    """Return whether Airflow refused a trigger because of the DAG's state, not its `conf`."""
    return bool(_DAG_STATE_WORDS.search(refusal.detail)) and not _CONF_WORDS.search(refusal.detail)


def _signature(error: DagImportError) -> tuple[str, ...]:
    """Return the traceback without memory addresses, which differ even for the same code."""
    return tuple(_MEMORY_ADDRESS.sub("0x", line) for line in error.trace.splitlines())
