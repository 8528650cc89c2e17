"""The pace of live logs, whatever is urgent."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from entrypoint.diagnostics.optional import LIVE_LIMITS, PERIOD_SECONDS, Pace


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 9)), max_size=60))
def test_no_limit_is_exceeded(requests: list[tuple[bool, float]]) -> None:
    pace, now, sent, regular = Pace(), 0.0, list[float](), list[float]()
    for extra, idle in requests:
        now = max(now + idle, pace.extra_at() if extra else pace.regular_at())
        pace.record(now, extra=extra)
        sent.append(now)
        regular += [] if extra else [now]
    for number, seconds in LIVE_LIMITS:
        spans = [late - early for early, late in zip(sent, sent[number:], strict=False)]
        assert all(span >= seconds - 1e-6 for span in spans)
    assert all(b - a >= PERIOD_SECONDS - 1e-6 for a, b in pairwise(regular))
