"""What the verdict does not need, asked for with care: a permission that is missing costs its feature and nothing else.

Every request that only explains goes through here. It never raises for what an explanation can cost.
"""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import ActionError, AirflowUnreachable, Forbidden, fault_of_ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from entrypoint.airflow import Airflow
    from entrypoint.gate.patience import Patience

_TRIES = 2

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
        self._patience = patience
        self._brief = brief
        self._left = left

    def ask(self, feature: Feature, look: Callable[[], T], otherwise: D, *, patient: bool = False) -> T | D:
        """Return what `look` returns, or `otherwise` if it cannot be known.

        What is refused for want of a permission is not asked for again.

        Args:
            feature: what it is for.
            look: one request that changes nothing.
            otherwise: what to go on with.
            patient: whether to wait for a slow answer and to ask again after a failure: not while somebody has to look at
                the run.
        """
        tries = _TRIES if patient else 1
        for failures in range(tries):
            if feature in self.turned_off or self._left() <= 0:
                break
            try:
                with nullcontext() if patient else self._brief():
                    return look()
            except Forbidden:
                self.turn_off(feature)
            except AirflowUnreachable as fault:
                if failures + 1 == tries or self._left() <= 0:
                    self._patience.progress.not_told(feature.gives, fault)
                    break
                self._patience.ride_out(fault, failures, self._patience.clock() + self._left())
            except ActionError as error:
                self._patience.progress.not_told(feature.gives, error)
                break
            except Exception as error:  # noqa: BLE001 - a fault of ours costs the explanation, not the verdict
                self._patience.progress.not_told(feature.gives, fault_of_ours(error))
                break
        return otherwise

    def turn_off(self, feature: Feature) -> None:
        """Go on without the feature: its permission is missing."""
        sentence = f"Left out: {feature.gives}. It needs the permission: {feature.permission}."
        self.turned_off[feature] = sentence
        self._patience.progress.turned_off(sentence)
