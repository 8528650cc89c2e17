"""Until Airflow has the code that this commit deployed.

Airflow takes seconds to minutes to pick new code up, and runs the old one meanwhile. What it
reveals of its code: whether the DAG is there and imports, when its file was last parsed, and from
which commit, if its bundle has versions (docs/notes/airflow-2.md#dags-and-import-errors,
docs/notes/airflow-3.md#dags-and-import-errors). It asks; it triggers nothing.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from entrypoint.errors import (
    DagNotFound,
    Forbidden,
    InputError,
    InvalidConf,
    InvalidInputs,
    NotDeployed,
    NotSupported,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import Refusals
from entrypoint.models import Ancestry
from entrypoint.run.code_version import ancestry, is_commit, require_commit
from entrypoint.run.dag_checks import import_failed, refuse_paused, stale_dag
from entrypoint.run.schedule import poll_interval_after
from entrypoint.run.trigger import SETTLE_POLL_SECONDS
from entrypoint.session import OPTIONAL_TIMEOUT, SETUP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from entrypoint.airflow.client import Airflow
    from entrypoint.errors import ActionError
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Dag, DagImportError, DagRun
    from entrypoint.run.code_version import Commits
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

REPARSE_SECONDS = 30.0
"""Seconds after which Airflow is asked once more to parse the file, if nothing came of it; and the
longest pause anyway.
"""
EXTRA_SECONDS = 60.0
"""Seconds beyond the wait for which an Airflow that does not answer is asked again."""
MIN_PARSINGS = 2
"""New parsings after which the file as it was at the first look has certainly been parsed: the
first may have begun before.
"""

_ABOUT_THE_DAG = re.compile(
    r"\bdag\b.*\b(import errors?|inactive|not active|deactivated|stale)\b",
    re.IGNORECASE | re.DOTALL,
)
_ABOUT_CONF = re.compile(r"\b(params?|conf|schema)\b", re.IGNORECASE)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")

T = TypeVar("T")


class DagFiles(Protocol):
    """Optional requests about DAG files; None when this credential may not make them."""

    def import_errors(self) -> tuple[DagImportError, ...] | None:
        """Return the DAG files that Airflow cannot import."""

    def request_reparse(self, dag: Dag) -> None:
        """Ask Airflow to parse the DAG's file now."""

    def relevant(self, fault: DagImportError, dag: Dag | None) -> bool:
        """Return whether an import error may be this DAG's."""


class CodeWait:
    """Wait until Airflow has the code of this step, and hold the DAG run to its commit.

    Args:
        settings: whether to wait, for how long, and for which commit.
        context: repository and commit of the workflow run.
        session: deadlines and retrier.
        commits: history of the repository.
    """

    def __init__(
        self, settings: Settings, context: Context, session: Session, commits: Commits
    ) -> None:
        self._settings = settings
        self._context = context
        self._session = session
        self._retrier = session.retrier
        self._dag_id = settings.dag_id
        self._commit = settings.expect_commit
        self._until = session.clock() + settings.wait_for_dag
        self._refusals = Refusals()
        self._commits = commits
        self._known: dict[tuple[str, str], tuple[str, ...]] | None = None
        self._was_there: bool | None = None
        self._parsed_at: datetime | None = None
        self._parsings = 0
        self._right_at: datetime | None = None
        self._asks, self._asked_at = 0, 0.0
        self._asked_after: datetime | None = None

    def require_known_commit(self) -> None:
        """Raise InvalidInputs if GitHub knows no such commit: no bundle would ever contain it."""
        commit = self._commit
        if commit is None or commit == self._context.sha:
            return
        known = None
        with suppress(TransientError, UnexpectedResponse):
            fetch = partial(self._commits.is_known, commit)
            known = self._retrier.read(
                fetch, until=self._session.set_deadline(OPTIONAL_TIMEOUT), retry_unexpected=False
            )
        if known is False:
            problem = f"GitHub knows no commit {commit} in {self._context.repository}."
            mistake = InputError(
                "expect_commit",
                problem,
                "Give a commit of this repository, as ${{ github.sha }} does.",
            )
            raise InvalidInputs((mistake,))

    def seconds_left(self) -> float:
        """Return the seconds for which the deployment may still be under way."""
        return max(0.0, self._until - self._session.clock())

    def wait(self, airflow: Airflow, files: DagFiles) -> None:
        """Return as soon as the DAG may be triggered; without `wait_for_dag` poll once.

        Raises: DagNotFound, StaleDag, NotDeployed: it is not there in time, as this says best.
            DagNotRunnable: new code does not import, or the old one still does not (with Airflow's
            traceback); or the DAG is paused. NotSupported: this Airflow does not reveal what it
            would have to. TransientError, UnexpectedResponse, Unauthorized, Forbidden: the DAG
            cannot be read.
        """
        if not self._settings.wait_for_dag and self._commit is None:
            return
        self._airflow, self._files = airflow, files
        left = self.seconds_left()
        self._session.set_deadline(left + EXTRA_SECONDS)
        began = self._retrier.clock()
        until = began + left
        while True:
            lack = self._look(until)
            now = self._retrier.clock()
            if lack is None:
                return
            if now >= until:
                raise lack
            self._retrier.events.code_missing(lack, until - now)
            self._retrier.sleep(
                min(self._retrier.jittered(poll_interval_after(now - began)), until - now)
            )

    def keep_waiting(self, lack: ActionError) -> bool:
        """Return, after a pause, whether to try once more: the deployment may still be under way.

        The DAG that was there a moment ago may be gone for some polls; a refusal is final after a
        while.
        """
        now, left = self._session.clock(), self.seconds_left()
        passes = not isinstance(lack, InvalidConf) or is_dag_state_refusal(lack)
        if isinstance(lack, (Unauthorized, Forbidden)):
            self._refusals.record(now)
            passes = not self._refusals.final(now)
        if left <= 0 or not passes:
            return False
        self._retrier.events.code_missing(lack, left)
        self._retrier.sleep(min(self._retrier.jittered(SETTLE_POLL_SECONDS), left))
        return True

    def require(self, run: DagRun) -> None:
        """Raise WrongCommit unless the run has the commit that was asked for; or GitHub's
        errors.
        """
        if self._commit is not None:
            fetch = partial(require_commit, run, self._commit, self._commits)
            # Not for the whole timeout: nobody polls the run in this time.
            self._retrier.read(
                fetch, until=min(self._session.deadline, self._session.clock() + SETUP_SECONDS)
            )

    def _look(self, until: float) -> ActionError | None:
        """Return what is lacking, None if nothing is."""
        first = self._was_there is None
        dag = missing = None
        try:
            # A wrong URL is not waited for, if nothing is.
            waits = not first or until > self._retrier.clock()
            dag = self._read(
                partial(self._airflow.get_dag, self._dag_id), until, retry_unexpected=waits
            )
        except DagNotFound as error:
            missing = error
        fault = self._import_error(dag)
        if dag is None:
            self._was_there = bool(self._was_there)
            return import_failed(self._dag_id, fault) if fault else missing
        refuse_paused(dag, self._settings.if_paused)
        there = dag.is_active and not dag.has_import_errors and fault is None
        self._was_there = there if first else self._was_there
        lack = (
            self._which_code(dag, until)
            if there
            else import_failed(self._dag_id, fault)
            if fault
            else stale_dag(dag)
        )
        if lack is not None and self._retrier.clock() < until:
            self._ask_to_parse(dag)
        return lack

    def _read(self, fetch: Callable[[], T], until: float, *, retry_unexpected: bool = True) -> T:
        waits = until > self._retrier.clock()
        return self._retrier.read(
            fetch,
            until=until + EXTRA_SECONDS,
            retry_unexpected=retry_unexpected,
            retry_refused=waits,
        )

    # Import errors: those that came while we looked are this deployment's. An old one may be what
    # this commit mends.

    def _import_error(self, dag: Dag | None) -> DagImportError | None:
        """Return the import error of this DAG's file that was there before. Raises DagNotRunnable
        for a new one.
        """
        faults = self._files.import_errors()
        if faults is None:
            return None
        known, self._known = (
            self._known,
            {(fault.bundle, fault.filename): _signature(fault) for fault in faults},
        )
        found = None
        for fault in (fault for fault in faults if self._files.relevant(fault, dag)):
            place = fault.bundle, fault.filename
            if known is not None and known.get(place) != self._known[place]:
                raise import_failed(self._dag_id, fault)
            found = found or fault
        return found

    def _ask_to_parse(self, dag: Dag) -> None:
        """Ask for what would come by itself, but later: at once, and after each parsing that did
        not do, ever more seldom.
        """
        now = self._retrier.clock()
        pause = (
            min(2.0 ** (self._asks - 2), REPARSE_SECONDS)
            if self._parsed_at != self._asked_after
            else REPARSE_SECONDS
        )
        if dag.file_token and (not self._asks or now - self._asked_at >= pause):
            self._asks, self._asked_at, self._asked_after = self._asks + 1, now, self._parsed_at
            self._files.request_reparse(dag)

    # Which code it is.

    def _which_code(self, dag: Dag, until: float) -> ActionError | None:
        if dag.last_parsed != self._parsed_at:
            self._parsings += self._parsed_at is not None
            self._parsed_at = dag.last_parsed
        if self._commit is not None:
            return self._from_commit(dag, self._commit, until)
        return self._parsed_since(dag) if dag.bundle_version is None else None

    def _parsed_since(self, dag: Dag) -> ActionError | None:
        """Return what is lacking if nothing but the time of the last parsing tells which code it
        is.
        """
        if not self._was_there or self._parsings >= MIN_PARSINGS:
            return None
        if dag.last_parsed is None:
            raise NotSupported(
                "This Airflow does not say when it parsed the DAG's file",
                f"Airflow {self._airflow.version} answers here; for a DAG that is there, "
                "wait_for_dag needs 2.3.",
                "Remove wait_for_dag from this step, or upgrade Airflow.",
            )
        begun = ", which may have begun before" if self._parsings else ""
        return NotDeployed(
            "Airflow has not parsed the DAG's file since this step began",
            f"{dag.file or self._dag_id} was last parsed at "
            f"{dag.last_parsed.isoformat(timespec='seconds')}{begun}.",
            "Raise wait_for_dag: Airflow parses a file again after "
            "min_file_process_interval. If that does not help, see if "
            "its dag-processor (Airflow 2: its scheduler) runs.",
        )

    def _from_commit(self, dag: Dag, commit: str, until: float) -> ActionError | None:
        """Return what is lacking until the DAG is from this commit, or from one that contains
        it.
        """
        version = dag.bundle_version
        if version is None or not is_commit(version):
            raise NotSupported(
                "The DAG's bundle does not say from which commit it is",
                f"{self._dag_id} is in a bundle without commits as versions"
                f"{'' if version is None else f' (its version is {version})'}: only "
                "Airflow's git bundles have them.",
                "Use wait_for_dag without expect_commit: it waits until the DAG's file was "
                "parsed after this step began.",
            )
        try:
            structure = (
                self._read(partial(self._airflow.latest_dag_version, self._dag_id), until)
                or version
            )
        except DagNotFound as missing:
            return missing
        for what, one in (("The DAG's bundle", version), ("The DAG's structure", structure)):
            found = self._ancestry(one, commit)
            if not found.contains:
                self._right_at = None
                return NotDeployed(
                    "Airflow has not picked up the commit",
                    f"{what} is at {one},\nexpect_commit is {commit}.\n{found.who}".rstrip(),
                    "Raise wait_for_dag (Airflow fetches a bundle every refresh_interval, "
                    "by default 300 s), and check that "
                    "the bundle tracks the branch of this commit.",
                )
        # Airflow names the version at the end of a parsing, and may have fetched it during that:
        # then the structure is older.
        self._right_at = self._right_at or dag.last_parsed
        if dag.last_parsed == self._right_at and self._retrier.clock() < until:
            return NotDeployed(
                "Airflow has picked up the commit, and is to parse the DAG's file once more",
                f"The bundle is at {version}; the parsing that says so may have begun "
                "before it was fetched.",
                "Raise wait_for_dag.",
            )
        how = (
            "the expected commit" if version == commit else f"which contains {commit}. {found.who}"
        )
        self._retrier.events.code_found(f"The DAG's bundle is at {version}, {how}")
        return None

    def _ancestry(self, version: str, commit: str) -> Ancestry:
        try:
            return ancestry(self._commits, version, commit)
        except (TransientError, UnexpectedResponse) as fault:
            return Ancestry(
                None, f"Whether that contains it could not be found out. {fault.detail}"
            )


def is_dag_state_refusal(refusal: InvalidConf) -> bool:
    """Return whether Airflow refused a trigger for the state that its DAG is in, not for what was
    asked for.
    """
    return bool(_ABOUT_THE_DAG.search(refusal.detail)) and not _ABOUT_CONF.search(refusal.detail)


def _signature(fault: DagImportError) -> tuple[str, ...]:
    """Return what stays the same when the same code fails to import again: addresses in memory do
    not.
    """
    return tuple(_ADDRESS.sub("0x", line) for line in fault.trace.splitlines())
