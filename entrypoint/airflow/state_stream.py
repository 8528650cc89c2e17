"""Parse a stream of a run's states, one JSON object in each line.

Measured: docs/notes/airflow-3.md#wait-endpoint.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast, get_args

from entrypoint.models import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LINE_BYTES = 65_536
"""Maximum length of a line in bytes.

The last line may contain a task's results after the state. The action does not request them.
"""


class StateLineReader:
    """Splits chunks into lines and reports the state in each line.

    Args:
        on_state: receives each state and returns whether to continue.
    """

    def __init__(self, on_state: Callable[[RunState], bool]) -> None:
        self._on_state = on_state
        self._incomplete_line = b""

    def consume(self, chunk: bytes) -> bool:
        """Parse a chunk, and return whether to continue.

        It returns False if `on_state` does, or if a line contains no valid state.
        """
        *lines, self._incomplete_line = (self._incomplete_line + chunk).split(b"\n")
        for line in lines:
            state = _state(line)
            if state is None or not self._on_state(state):
                return False
        return len(self._incomplete_line) <= _MAX_LINE_BYTES


def _state(line: bytes) -> RunState | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    state = entry.get("state") if isinstance(entry, dict) else None
    return cast("RunState", state) if state in get_args(RunState) else None
