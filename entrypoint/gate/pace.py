"""How long to pause between two looks at a DAG run. Pure."""

from __future__ import annotations

from math import sqrt


def pause_after(waited: float, fixed: float | None) -> float:
    """Return the seconds until the next look, `waited` seconds after the trigger.

    Without history the chance that a run ends in the next second falls as 1/t, so that the best pause grows as the square
    root of the time (waiting.md 3); doubling is dominated.

    Args:
        waited: seconds since the trigger.
        fixed: the user's own interval in seconds, which overrides the pace.
    """
    if fixed is not None:
        return fixed
    return min(max(0.5 * sqrt(max(waited, 0.0)), 1.0), 10.0)
