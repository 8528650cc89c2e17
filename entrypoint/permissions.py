"""Airflow's permissions, and the features of this action that need them.

The README has the same table, and a test compares the two. The names are those of Airflow's FAB
auth manager; other auth managers have roles with the same rights.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple


class Permission(Enum):
    """A permission of Airflow, by the name that its user interface shows."""

    READ_DAGS = "can read on DAGs"
    EDIT_DAGS = "can edit on DAGs"
    READ_RUNS = "can read on DAG Runs"
    CREATE_RUNS = "can create on DAG Runs"
    EDIT_RUNS = "can edit on DAG Runs"
    READ_TASKS = "can read on Task Instances"
    EDIT_TASKS = "can edit on Task Instances"
    READ_LOGS = "can read on Task Logs"
    READ_XCOMS = "can read on XComs"
    READ_IMPORT_ERRORS = "can read on ImportError"
    READ_EVENTS = "can read on Audit Logs"
    READ_POOLS = "can read on Pools"
    READ_HITL = "can read on HITL Detail"


_P = Permission


class Feature(Enum):
    """A feature of this action: its name in the README's table, and the permissions it needs.

    Without one of the last three, which the table does not have, only an explanation is missing.
    """

    TRIGGER = ("trigger and wait", _P.CREATE_RUNS, _P.EDIT_DAGS, _P.READ_DAGS, _P.READ_RUNS)
    WAIT = ("wait for a DAG run that exists (`trigger: false`)", _P.READ_DAGS, _P.READ_RUNS)
    RESUME = (
        "`if_run_exists: resume` when there is something to run again",
        _P.EDIT_RUNS,
        _P.EDIT_TASKS,
        _P.READ_TASKS,
    )
    RESTART = (
        "`if_run_exists: restart` when there is something to run again",
        _P.EDIT_RUNS,
        _P.EDIT_TASKS,
    )
    STOP = ("`on_cancel: cancel`, `on_timeout: cancel`", _P.EDIT_RUNS)
    UNPAUSE = ("`if_paused: unpause` and `drain`", _P.EDIT_DAGS)
    TASKS = ("live progress, failed tasks and their reasons", _P.READ_TASKS)
    LOGS = ("the reasons of failures and the copied task logs", _P.READ_LOGS)
    XCOM = ("the output xcom", _P.READ_XCOMS)
    IMPORT_ERRORS = ("import errors of DAG files", _P.READ_IMPORT_ERRORS)
    EVENTS = ("a lost worker as the cause of a failure", _P.READ_EVENTS)
    POOLS = ("a full pool as the reason why a run is stuck", _P.READ_POOLS)
    PARSING = ("parsing new code immediately, not at Airflow's interval", _P.EDIT_DAGS)
    HUMAN_INPUT = ("a human's input as the reason why a run is stuck", _P.READ_HITL)
    RUNS = ("the usual duration, and other runs as the reason why a run is stuck", _P.READ_RUNS)
    DAG = ("a paused DAG and dagrun_timeout as reasons", _P.READ_DAGS)
    HEALTH = ("a stopped scheduler as the reason why a run is stuck",)

    def __init__(self, label: str, *permissions: Permission) -> None:
        self.label = label
        self.permissions = permissions

    @property
    def permission(self) -> str:
        """The first of its permissions, for a sentence."""
        if not self.permissions:
            return "none in Airflow (a gateway refuses /health)"
        return self.permissions[0].value


Verdict = Literal["allowed", "refused", "unknown"]
"""What Airflow's response to a probe shows."""


class Probe(NamedTuple):
    """A request without an effect that Airflow refuses with 403 if a permission is missing.

    Attributes:
        features: the features that send such a request.
        permissions: all permissions that it needs.
        method: HTTP method.
        path: path below that of the API.
        body: JSON body, None for a request without one.
        params: query parameters.
    """

    features: tuple[Feature, ...]
    permissions: tuple[Permission, ...]
    method: str
    path: str
    body: dict[str, object] | None = None
    params: dict[str, object] | None = None


class Access(NamedTuple):
    """What a credential may do, by the verdicts of the probes.

    Attributes:
        verdicts: the probes that Airflow has answered, each with the verdict.
    """

    verdicts: tuple[tuple[Probe, Verdict], ...]

    def verdict(self, feature: Feature) -> Verdict:
        """Return whether the credential may use the feature: whether it may send all requests."""
        found = [verdict for probe, verdict in self.verdicts if feature in probe.features]
        if "refused" in found:
            return "refused"
        return "unknown" if not found or "unknown" in found else "allowed"

    @property
    def granted(self) -> set[Permission]:
        """The permissions that the credential certainly has."""
        return {
            permission
            for probe, verdict in self.verdicts
            if verdict == "allowed"
            for permission in probe.permissions
        }

    @property
    def missing(self) -> set[Permission]:
        """The permissions that the credential certainly lacks.

        A probe needs several, and a refusal does not name the missing one. It is certain if the
        credential has all others.
        """
        return {
            candidates.pop()
            for probe, verdict in self.verdicts
            if verdict == "refused"
            and len(candidates := set(probe.permissions) - self.granted) == 1
        }

    def to_grant(self, *features: Feature) -> dict[Permission, bool]:
        """Return the permissions to grant for these features, and whether each is missing for sure.

        Of those that are not certain, some may be granted already: they show only once the others
        are.
        """
        granted, missing = self.granted, self.missing
        needed = [
            permission
            for probe, verdict in self.verdicts
            if verdict == "refused" and not set(features).isdisjoint(probe.features)
            for permission in probe.permissions
            if permission not in granted
        ]
        return {
            permission: permission in missing for permission in Permission if permission in needed
        }
