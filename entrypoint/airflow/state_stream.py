"""The lines with which an Airflow tells a run's state again and again, read as they come.

Measured: docs/notes/airflow-3.md#wait-endpoint.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast, get_args

from entrypoint.models import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LINE_BYTES = 65_536
"""Bytes. The last line may carry the results of a task, which nobody has asked for: the state comes
before them.
"""


class StateLineReader:
    """Cuts what comes into lines, and tells the state in each.

    Args:
        tell: is given each state, and returns whether to go on.
    """

    def __init__(self, tell: Callable[[RunState], bool]) -> None:
        self._tell = tell
        self._begun = b""

    def take(self, piece: bytes) -> bool:
        """Take a piece of the answer. False once nothing more is wanted, or a line tells no
        state.
        """
        *lines, self._begun = (self._begun + piece).split(b"\n")
        for line in lines:
            state = _state(line)
            if state is None or not self._tell(state):
                return False
        return len(self._begun) <= _MAX_LINE_BYTES


def _state(line: bytes) -> RunState | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    state = told.get("state") if isinstance(told, dict) else None
    return cast("RunState", state) if state in get_args(RunState) else None
