"""Until Airflow has the code that this commit deployed.

Airflow takes seconds to minutes to pick new code up, and runs the old one meanwhile. What it reveals of its code:
whether the DAG is there and imports, when its file was last parsed, and from which commit, if its bundle has
versions (docs/notes/airflow-2.md#dags-and-import-errors, docs/notes/airflow-3.md#dags-and-import-errors). It asks;
it triggers nothing.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import AirflowUnreachable, DagNotFound, NotDeployed, NotSupported, UnexpectedAnswer
from entrypoint.gate.commit import ancestry, is_commit
from entrypoint.gate.extras import Feature
from entrypoint.gate.pace import pause_after
from entrypoint.gate.refusal import broken, dag_lost
from entrypoint.models import Ancestry

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from entrypoint.errors import ActionError, InvalidConf
    from entrypoint.evidence import ImportFault
    from entrypoint.gate.commit import Commits
    from entrypoint.gate.extras import Extras
    from entrypoint.gate.patience import Patience
    from entrypoint.gate.refusal import Relevant
    from entrypoint.models import Dag

ASK_AGAIN = 30.0
"""Seconds after which Airflow is asked once more to parse the file, if nothing came of it; and the longest pause anyway."""
AFTERWARDS = 60.0
"""Seconds beyond the wait for which an Airflow that does not answer is asked again."""
PARSINGS = 2
"""New parsings after which the file as it was at the first look has certainly been parsed: the first may have begun before."""

_ABOUT_THE_DAG = re.compile(
    r"\bdag\b.*\b(import errors?|inactive|not active|deactivated|stale)\b", re.IGNORECASE | re.DOTALL
)
_ABOUT_CONF = re.compile(r"\b(params?|conf|schema)\b", re.IGNORECASE)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")

T = TypeVar("T")


class Deployment:
    """Waits until one DAG is there as it was deployed.

    Args:
        extras: asks for import errors, and for a parsing, which nothing depends on.
        patience: clock, sleep, the rule for failed looks, and who is told.
        dag_id: the DAG.
        commit: that its bundle has to contain; None: no certain one.
        commits: who knows whether it does.
        relevant: tells whether an import error may be this DAG's.
        may_run: raises if the DAG is there but would not run.
    """

    def __init__(
        self,
        extras: Extras,
        patience: Patience,
        dag_id: str,
        *,
        commit: str | None,
        commits: Commits,
        relevant: Relevant,
        may_run: Callable[[Dag], None],
    ) -> None:
        self._extras = extras
        self._airflow = extras.airflow
        self._patience = patience
        self._dag_id = dag_id
        self._commit = commit
        self._commits = commits
        self._relevant = relevant
        self._may_run = may_run
        self._known: dict[tuple[str, str], tuple[str, ...]] | None = None
        self._was_there: bool | None = None
        self._parsed_at: datetime | None = None
        self._parsings = 0
        self._right_at: datetime | None = None
        self._asks, self._asked_at = 0, 0.0
        self._asked_after: datetime | None = None

    def wait(self, seconds: float) -> None:
        """Return as soon as the DAG may be triggered; with 0 seconds it is looked at once.

        Raises:
            DagNotFound, DagLost, NotDeployed: it is not there in time, as this says best.
            DagNotRunnable: new code does not import, or the old one still does not (with Airflow's traceback); or the DAG is
                paused.
            NotSupported: this Airflow does not reveal what it would have to.
            AirflowUnreachable, UnexpectedAnswer, Unauthorized, Forbidden: the DAG cannot be read.
        """
        began = self._patience.clock()
        until = began + seconds
        while True:
            lack = self._look(until)
            now = self._patience.clock()
            if lack is None:
                return
            if now >= until:
                raise lack
            self._patience.progress.lacking(lack, until - now)
            self._patience.sleep(min(self._patience.about(pause_after(now - began)), until - now))

    def _look(self, until: float) -> ActionError | None:
        """Return what is lacking, None if nothing is."""
        first = self._was_there is None
        dag = missing = None
        try:
            # A wrong URL is not waited for, if nothing is.
            waits = not first or until > self._patience.clock()
            dag = self._read(partial(self._airflow.get_dag, self._dag_id), until, unexpected=waits)
        except DagNotFound as error:
            missing = error
        fault = self._import_error(dag)
        if dag is None:
            self._was_there = bool(self._was_there)
            return broken(self._dag_id, fault) if fault else missing
        self._may_run(dag)
        there = dag.is_active and not dag.has_import_errors and fault is None
        self._was_there = there if first else self._was_there
        lack = self._which_code(dag, until) if there else broken(self._dag_id, fault) if fault else dag_lost(dag)
        if lack is not None and self._patience.clock() < until:
            self._ask_to_parse(dag)
        return lack

    def _read(self, look: Callable[[], T], until: float, *, unexpected: bool = True) -> T:
        waits = until > self._patience.clock()
        return self._patience.read(look, until=until + AFTERWARDS, unexpected=unexpected, allowed=waits)

    # Import errors: those that came while we looked are this deployment's. An old one may be what this commit mends.

    def _import_error(self, dag: Dag | None) -> ImportFault | None:
        """Return the import error of this DAG's file that was there before. Raises DagNotRunnable for a new one."""
        faults = self._extras.ask(Feature.IMPORT_ERRORS, self._airflow.import_faults, None)
        if faults is None:
            return None
        known, self._known = self._known, {(fault.bundle, fault.filename): _signature(fault) for fault in faults}
        found = None
        for fault in (fault for fault in faults if self._relevant(fault, dag)):
            place = fault.bundle, fault.filename
            if known is not None and known.get(place) != self._known[place]:
                raise broken(self._dag_id, fault)
            found = found or fault
        return found

    def _ask_to_parse(self, dag: Dag) -> None:
        """Ask for what would come by itself, but later: at once, and after each parsing that did not do, ever more seldom."""
        now = self._patience.clock()
        pause = min(2.0 ** (self._asks - 2), ASK_AGAIN) if self._parsed_at != self._asked_after else ASK_AGAIN
        if dag.file_token and (not self._asks or now - self._asked_at >= pause):
            self._asks, self._asked_at, self._asked_after = self._asks + 1, now, self._parsed_at
            self._extras.ask(Feature.PARSING, partial(self._airflow.parse_now, dag), None)

    # Which code it is.

    def _which_code(self, dag: Dag, until: float) -> ActionError | None:
        if dag.last_parsed != self._parsed_at:
            self._parsings += self._parsed_at is not None
            self._parsed_at = dag.last_parsed
        if self._commit is not None:
            return self._from_commit(dag, self._commit, until)
        return self._parsed_since(dag) if dag.bundle_version is None else None

    def _parsed_since(self, dag: Dag) -> ActionError | None:
        """Return what is lacking if nothing but the time of the last parsing tells which code it is."""
        if not self._was_there or self._parsings >= PARSINGS:
            return None
        if dag.last_parsed is None:
            raise NotSupported(
                "This Airflow does not say when it parsed the DAG's file",
                f"Airflow {self._airflow.version} answers here; for a DAG that is there, wait_for_dag needs 2.3.",
                "Remove wait_for_dag from this step, or upgrade Airflow.",
            )
        begun = ", which may have begun before" if self._parsings else ""
        return NotDeployed(
            "Airflow has not parsed the DAG's file since this step began",
            f"{dag.file or self._dag_id} was last parsed at {dag.last_parsed.isoformat(timespec='seconds')}{begun}.",
            "Raise wait_for_dag: Airflow parses a file again after min_file_process_interval. If that does not help, see if "
            "its dag-processor (Airflow 2: its scheduler) runs.",
        )

    def _from_commit(self, dag: Dag, commit: str, until: float) -> ActionError | None:
        """Return what is lacking until the DAG is from this commit, or from one that contains it."""
        version = dag.bundle_version
        if version is None or not is_commit(version):
            raise NotSupported(
                "The DAG's bundle does not say from which commit it is",
                f"{self._dag_id} is in a bundle without commits as versions"
                f"{'' if version is None else f' (its version is {version})'}: only Airflow's git bundles have them.",
                "Use wait_for_dag without expect_commit: it waits until the DAG's file was parsed after this step began.",
            )
        try:
            structure = self._read(partial(self._airflow.serialized_version, self._dag_id), until) or version
        except DagNotFound as missing:
            return missing
        for what, one in (("The DAG's bundle", version), ("The DAG's structure", structure)):
            found = self._ancestry(one, commit)
            if not found.contains:
                self._right_at = None
                return NotDeployed(
                    "Airflow has not picked up the commit",
                    f"{what} is at {one},\nexpect_commit is {commit}.\n{found.who}".rstrip(),
                    "Raise wait_for_dag (Airflow fetches a bundle every refresh_interval, by default 300 s), and check that "
                    "the bundle tracks the branch of this commit.",
                )
        # Airflow names the version at the end of a parsing, and may have fetched it during that: then the structure is older.
        self._right_at = self._right_at or dag.last_parsed
        if dag.last_parsed == self._right_at and self._patience.clock() < until:
            return NotDeployed(
                "Airflow has picked up the commit, and is to parse the DAG's file once more",
                f"The bundle is at {version}; the parsing that says so may have begun before it was fetched.",
                "Raise wait_for_dag.",
            )
        how = "the expected commit" if version == commit else f"which contains {commit}. {found.who}"
        self._patience.progress.deployed(f"The DAG's bundle is at {version}, {how}")
        return None

    def _ancestry(self, version: str, commit: str) -> Ancestry:
        try:
            return ancestry(self._commits, version, commit)
        except (AirflowUnreachable, UnexpectedAnswer) as fault:
            return Ancestry(None, f"Whether that contains it could not be found out. {fault.detail}")


def is_about_the_dag(refusal: InvalidConf) -> bool:
    """Return whether Airflow refused a trigger for the state that its DAG is in, not for what was asked for."""
    return bool(_ABOUT_THE_DAG.search(refusal.detail)) and not _ABOUT_CONF.search(refusal.detail)


def _signature(fault: ImportFault) -> tuple[str, ...]:
    """Return what stays the same when the same code fails to import again: addresses in memory do not."""
    return tuple(_ADDRESS.sub("0x", line) for line in fault.trace.splitlines())
