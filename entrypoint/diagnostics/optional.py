"""Optional requests. A missing permission disables the feature; the result is unaffected.

All requests that only explain a DAG run go through this module, which never raises their errors.
One refusal does not disable a feature, because it may come from a short problem: a gateway's rule,
or a role that Airflow is just synchronising. Only repeated refusals do (`Refusals`).
"""

from __future__ import annotations

from collections import deque
from copy import copy
from math import inf
from typing import TYPE_CHECKING, TypeVar

from entrypoint.deadline import OPTIONAL_TIMEOUT, Deadline
from entrypoint.errors import (
    Forbidden,
    GatewayRefused,
    NotSupported,
    TransientError,
    as_action_error,
)
from entrypoint.http.retry import REFUSAL_RESPONSES, REFUSAL_SECONDS, Refusals

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.permissions import Feature

_MAX_ATTEMPTS = 2
"""Maximum attempts of one request with `retry`."""
PERIOD_SECONDS = 5.5
"""Seconds between two regular requests for live logs."""
LIVE_LIMITS = ((5, 20.0), (12, 60.0))
"""How many requests for live logs there may be in so many seconds."""
RETRY_SECONDS = REFUSAL_SECONDS / (REFUSAL_RESPONSES - 1)
"""Seconds after a refusal before the next request for the feature, so that the refusals are final
after REFUSAL_RESPONSES requests.
"""

T = TypeVar("T")
D = TypeVar("D")


class Pace:
    """Limit the requests for live logs, of all DAG runs of the step together.

    There is a regular one each PERIOD_SECONDS. An extra one may come between, within LIVE_LIMITS.
    """

    def __init__(self) -> None:
        most = max(number for number, _ in LIVE_LIMITS)
        self._times = deque([-inf] * most, maxlen=most)
        self._regular_at = -inf

    def record(self, now: float, *, extra: bool) -> None:
        """Record a request at this clock time."""
        self._times.append(now)
        if not extra:
            self._regular_at = now

    def regular_at(self) -> float:
        """Return the clock time from which the next regular request may be sent."""
        return max(self.extra_at(), self._regular_at + PERIOD_SECONDS)

    def extra_at(self, spare: int = 0) -> float:
        """Return the clock time from which an extra request may be sent, so that `spare` remain."""
        return max(self._times[spare - number] + seconds for number, seconds in LIVE_LIMITS)


class OptionalRequests:
    """Send optional requests, and disable the features that Airflow refuses.

    Args:
        airflow: API client.
        retrier: retrier for the pause between two attempts, with the clock and the events.

    Attributes:
        pace: the pace of the requests for live logs.
    """

    def __init__(self, airflow: Airflow, retrier: Retrier) -> None:
        self.airflow = airflow
        self.disabled_features: dict[Feature, str] = {}
        self._refusals: dict[Feature, tuple[Refusals, Forbidden]] = {}
        self._refused_at: dict[tuple[Feature, bool], float] = {}
        self._unsupported: dict[str, None] = {}
        self._retrier = retrier
        self._deadline = Deadline(retrier.clock, inf)
        self.pace = Pace()

    def within(self, deadline: Deadline) -> Self:
        """Return these requests with another deadline. What is disabled, is so for both."""
        bound = copy(self)
        bound._deadline = deadline  # noqa: SLF001 - its own copy
        bound.airflow = self.airflow.within(deadline)
        return bound

    def fetch(
        self, feature: Feature, fetch: Callable[[Airflow], T], default: D, *, retry: bool = False
    ) -> T | D:
        """Return the result of `fetch`, or `default` if the request fails.

        After a refusal, wait RETRY_SECONDS before the next request. Once the refusals are final,
        disable the feature and send no more requests for it.

        Args:
            feature: feature that needs the request.
            fetch: function that sends one read-only request by the client that it gets.
            default: result if the request fails.
            retry: whether to wait for a slow response and to retry after an error. False while the
                step polls the run.
        """
        if self._retrier.clock() < self._refused_at.get((feature, retry), -inf) + RETRY_SECONDS:
            return default
        limit = self._deadline if retry else self._deadline.limited(OPTIONAL_TIMEOUT)
        for failures in range(_MAX_ATTEMPTS if retry else 1):
            if feature in self.disabled_features or self._deadline.has_passed():
                break
            try:
                found = fetch(self.airflow.within(limit))
            except Exception as error:  # noqa: BLE001 - not even a bug here may change the result
                if not self._handle_error(feature, error, failures, retry=retry):
                    break
            else:
                self.record_success(feature)
                return found
        return default

    def record_success(self, feature: Feature) -> None:
        """Forget earlier refusals of the feature."""
        self._refusals.pop(feature, None)

    def _handle_error(
        self, feature: Feature, error: Exception, failures: int, *, retry: bool
    ) -> bool:
        """Log the error and return False, or back off and return True to retry."""
        last = not retry or failures + 1 == _MAX_ATTEMPTS or self._deadline.has_passed()
        if isinstance(error, Forbidden):
            self._record_refusal(feature, error, retry=retry)
            last = last or feature in self.disabled_features
        elif isinstance(error, NotSupported):
            self._record_unsupported(error)
            return False
        elif last or not isinstance(error, TransientError):
            self._retrier.events.optional_failed(feature.label, as_action_error(error))
            return False
        if not last:
            self._retrier.within(self._deadline).backoff(error, failures)
        return not last

    def _record_refusal(self, feature: Feature, refusal: Forbidden, *, retry: bool) -> None:
        now = self._retrier.clock()
        refusals, _ = self._refusals.get(feature, (Refusals(), refusal))
        refusals.record(now)
        self._refusals[feature] = refusals, refusal
        self._refused_at[feature, retry] = now
        if refusals.final(now):
            self.disable(feature, refusal)

    def _record_unsupported(self, error: NotSupported) -> None:
        """Log once what this Airflow, or the way to it, does not offer."""
        sentence = f"{error.title}: {error.detail}"
        if sentence not in self._unsupported:
            self._unsupported[sentence] = None
            self._retrier.events.feature_disabled(sentence)

    def disable(self, feature: Feature, refusal: Forbidden | None = None) -> None:
        """Disable the feature because its permission is missing or a gateway refuses it."""
        self._refusals.pop(feature, None)
        reason = f"It needs the permission: {feature.permission}."
        if isinstance(refusal, GatewayRefused):
            reason = "A gateway in front of Airflow refused it."
        sentence = f"Left out: {feature.label}. {reason}"
        self.disabled_features[feature] = sentence
        self._retrier.events.feature_disabled(sentence)

    def report_disabled(self) -> tuple[str, ...]:
        """At the end, disable and log the features whose last request was refused.

        Return one sentence for each disabled feature, and for what this Airflow does not offer.
        """
        for feature, (_, refusal) in list(self._refusals.items()):
            self.disable(feature, refusal)
        return (*self.disabled_features.values(), *self._unsupported)
