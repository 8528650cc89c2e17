"""What the verdict does not need, asked for with care: a permission that is missing costs its
feature and nothing else.

Every request that only explains goes through here. It never raises for what an explanation can
cost. That a permission is
missing is believed like any other refusal: a gateway's rule or a role that is just synchronised
must not turn anything off.
"""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import Forbidden, GatewayRefused, TransientError, as_action_error
from entrypoint.http.retry import REFUSAL_RESPONSES, REFUSAL_SECONDS, Refusals

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier

_MAX_ATTEMPTS = 2
RETRY_SECONDS = REFUSAL_SECONDS / (REFUSAL_RESPONSES - 1)
"""Seconds after a refusal before the same is asked for once more: no more answers than it takes to
believe it.
"""

T = TypeVar("T")
D = TypeVar("D")


class Feature(Enum):
    """A feature that only explains, and the permission of Airflow's that it needs. The README shows
    this table.
    """

    TASKS = ("live progress, failed tasks and their reasons", "can read on Task Instances")
    LOGS = ("the reasons of failures and the relayed logs", "can read on Task Logs")
    XCOM = ("the output xcom", "can read on XComs")
    IMPORT_ERRORS = ("import errors of DAG files", "can read on ImportError")
    EVENTS = ("a lost worker as the reason of a failure", "can read on Audit Logs")
    POOLS = ("a full pool as the reason why nothing moves", "can read on Pools")
    RUNS = (
        "the usual duration, and other runs as the reason why nothing moves",
        "can read on DAG Runs",
    )
    DAG = ("a paused DAG and dagrun_timeout as reasons", "can read on DAGs")
    HEALTH = (
        "a dead scheduler as the reason why nothing moves",
        "none of Airflow's: a gateway refuses /health",
    )
    PARSING = ("new code parsed at once instead of at Airflow's own interval", "can edit on DAGs")
    HUMAN_INPUT = ("a human's input as the reason why nothing moves", "can read on HITL Detail")

    def __init__(self, gives: str, permission: str) -> None:
        self.gives = gives
        self.permission = permission


class OptionalRequests:
    """Asks for what only explains.

    Args:
        airflow: who is asked.
        retrier: pauses between two tries, and is told what was turned off.
        brief: limits, while it is entered, how long one answer may take.
        left: seconds that are left for explanations.
    """

    def __init__(
        self,
        airflow: Airflow,
        retrier: Retrier,
        brief: Callable[[], AbstractContextManager[None]],
        left: Callable[[], float],
    ) -> None:
        self.airflow = airflow
        self.disabled_features: dict[Feature, str] = {}
        self._doubted: dict[Feature, tuple[Refusals, Forbidden]] = {}
        self._refused_at: dict[tuple[Feature, bool], float] = {}
        self._retrier = retrier
        self._brief = brief
        self._left = left

    def fetch(
        self, feature: Feature, fetch: Callable[[], T], default: D, *, retry: bool = False
    ) -> T | D:
        """Return what `look` returns, or `default` if it cannot be known.

        What is refused is asked for again after a while, until that is believed: then never more.

        Args: feature: what it is for. look: one request that changes nothing. default: what to go
            on with. retry: whether to wait for a slow answer and to ask again after a failure: not
            while somebody has to look at the run.
        """
        if self._retrier.clock() < self._refused_at.get((feature, retry), -inf) + RETRY_SECONDS:
            return default
        for failures in range(_MAX_ATTEMPTS if retry else 1):
            if feature in self.disabled_features or self._left() <= 0:
                break
            try:
                with nullcontext() if retry else self._brief():
                    found = fetch()
            # A fault of ours costs the explanation, not the verdict
            except Exception as error:  # noqa: BLE001
                if not self._again(feature, error, failures, retry=retry):
                    break
            else:
                self.record_success(feature)
                return found
        return default

    def record_success(self, feature: Feature) -> None:
        """Take note that it is not refused, or not any more."""
        self._doubted.pop(feature, None)

    def _again(self, feature: Feature, error: Exception, failures: int, *, retry: bool) -> bool:
        """Tell what cannot be known, or return after a pause that it is worth to ask again."""
        last = not retry or failures + 1 == _MAX_ATTEMPTS or self._left() <= 0
        if isinstance(error, Forbidden):
            self._refused(feature, error, retry=retry)
            last = last or feature in self.disabled_features
        elif last or not isinstance(error, TransientError):
            self._retrier.events.optional_failed(feature.gives, as_action_error(error))
            return False
        if not last:
            self._retrier.backoff(error, failures, self._retrier.clock() + self._left())
        return not last

    def _refused(self, feature: Feature, refusal: Forbidden, *, retry: bool) -> None:
        now = self._retrier.clock()
        refusals, _ = self._doubted.get(feature, (Refusals(), refusal))
        refusals.record(now)
        self._doubted[feature] = refusals, refusal
        self._refused_at[feature, retry] = now
        if refusals.final(now):
            self.disable(feature, refusal)

    def disable(self, feature: Feature, refusal: Forbidden | None = None) -> None:
        """Go on without the feature: its permission is missing, or a gateway lets it not
        through.
        """
        self._doubted.pop(feature, None)
        why = f"It needs the permission: {feature.permission}."
        if isinstance(refusal, GatewayRefused):
            why = "A gateway in front of Airflow refused it."
        sentence = f"Left out: {feature.gives}. {why}"
        self.disabled_features[feature] = sentence
        self._retrier.events.feature_disabled(sentence)

    def report_disabled(self) -> None:
        """At the end, tell what is left out for a refusal that was the last word."""
        for feature, (_, refusal) in list(self._doubted.items()):
            self.disable(feature, refusal)
