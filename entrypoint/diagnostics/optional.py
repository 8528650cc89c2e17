"""What the verdict does not need, asked for with care: a permission that is missing costs its feature and nothing else.

Every request that only explains goes through here. It never raises for what an explanation can cost. That a permission is
missing is believed like any other refusal: a gateway's rule or a role that is just synchronised must not turn anything off.
"""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import AirflowUnreachable, Forbidden, GatewayRefused, as_action_error
from entrypoint.http.retry import BELIEVED, BELIEVED_LOOKS, Refusals

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Patience

_TRIES = 2
AGAIN = BELIEVED / (BELIEVED_LOOKS - 1)
"""Seconds after a refusal before the same is asked for once more: no more answers than it takes to believe it."""

T = TypeVar("T")
D = TypeVar("D")


class Feature(Enum):
    """A feature that only explains, and the permission of Airflow's that it needs. The README shows this table."""

    TASKS = ("live progress, failed tasks and their reasons", "can read on Task Instances")
    LOGS = ("the reasons of failures and the relayed logs", "can read on Task Logs")
    XCOM = ("the output xcom", "can read on XComs")
    IMPORT_ERRORS = ("import errors of DAG files", "can read on ImportError")
    EVENTS = ("a lost worker as the reason of a failure", "can read on Audit Logs")
    POOLS = ("a full pool as the reason why nothing moves", "can read on Pools")
    RUNS = ("the usual duration, and other runs as the reason why nothing moves", "can read on DAG Runs")
    DAG = ("a paused DAG and dagrun_timeout as reasons", "can read on DAGs")
    HEALTH = ("a dead scheduler as the reason why nothing moves", "none of Airflow's: a gateway refuses /health")
    PARSING = ("new code parsed at once instead of at Airflow's own interval", "can edit on DAGs")
    HUMAN_INPUT = ("a human's input as the reason why nothing moves", "can read on HITL Detail")

    def __init__(self, gives: str, permission: str) -> None:
        self.gives = gives
        self.permission = permission


class Extras:
    """Asks for what only explains.

    Args:
        airflow: who is asked.
        patience: pauses between two tries, and is told what was turned off.
        brief: limits, while it is entered, how long one answer may take.
        left: seconds that are left for explanations.
    """

    def __init__(
        self,
        airflow: Airflow,
        patience: Patience,
        brief: Callable[[], AbstractContextManager[None]],
        left: Callable[[], float],
    ) -> None:
        self.airflow = airflow
        self.turned_off: dict[Feature, str] = {}
        self._doubted: dict[Feature, tuple[Refusals, Forbidden]] = {}
        self._refused_at: dict[tuple[Feature, bool], float] = {}
        self._patience = patience
        self._brief = brief
        self._left = left

    def ask(self, feature: Feature, look: Callable[[], T], otherwise: D, *, patient: bool = False) -> T | D:
        """Return what `look` returns, or `otherwise` if it cannot be known.

        What is refused is asked for again after a while, until that is believed: then never more.

        Args:
            feature: what it is for.
            look: one request that changes nothing.
            otherwise: what to go on with.
            patient: whether to wait for a slow answer and to ask again after a failure: not while somebody has to look at
                the run.
        """
        if self._patience.clock() < self._refused_at.get((feature, patient), -inf) + AGAIN:
            return otherwise
        for failures in range(_TRIES if patient else 1):
            if feature in self.turned_off or self._left() <= 0:
                break
            try:
                with nullcontext() if patient else self._brief():
                    found = look()
            except Exception as error:  # noqa: BLE001 - a fault of ours costs the explanation, not the verdict
                if not self._again(feature, error, failures, patient=patient):
                    break
            else:
                self.answered(feature)
                return found
        return otherwise

    def answered(self, feature: Feature) -> None:
        """Take note that it is not refused, or not any more."""
        self._doubted.pop(feature, None)

    def _again(self, feature: Feature, error: Exception, failures: int, *, patient: bool) -> bool:
        """Tell what cannot be known, or return after a pause that it is worth to ask again."""
        last = not patient or failures + 1 == _TRIES or self._left() <= 0
        if isinstance(error, Forbidden):
            self._refused(feature, error, patient=patient)
            last = last or feature in self.turned_off
        elif last or not isinstance(error, AirflowUnreachable):
            self._patience.progress.not_told(feature.gives, as_action_error(error))
            return False
        if not last:
            self._patience.ride_out(error, failures, self._patience.clock() + self._left())
        return not last

    def _refused(self, feature: Feature, refusal: Forbidden, *, patient: bool) -> None:
        now = self._patience.clock()
        refusals, _ = self._doubted.get(feature, (Refusals(), refusal))
        refusals.one_more(now)
        self._doubted[feature] = refusals, refusal
        self._refused_at[feature, patient] = now
        if refusals.believed(now):
            self.turn_off(feature, refusal)

    def turn_off(self, feature: Feature, refusal: Forbidden | None = None) -> None:
        """Go on without the feature: its permission is missing, or a gateway lets it not through."""
        self._doubted.pop(feature, None)
        why = f"It needs the permission: {feature.permission}."
        if isinstance(refusal, GatewayRefused):
            why = "A gateway in front of Airflow refused it."
        sentence = f"Left out: {feature.gives}. {why}"
        self.turned_off[feature] = sentence
        self._patience.progress.turned_off(sentence)

    def settle(self) -> None:
        """At the end, tell what is left out for a refusal that was the last word."""
        for feature, (_, refusal) in list(self._doubted.items()):
            self.turn_off(feature, refusal)
