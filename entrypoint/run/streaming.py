"""A pause between two looks in which Airflow itself tells the run's state, where it can (3.1 and later;
docs/notes/waiting.md#intervals-of-a-stream).

It costs Airflow less than being asked, and tells the end sooner. What is heard ends no wait: then a look decides. An Airflow
that is to stop waits for such answers to end, so none is listened to for long.
"""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING

from entrypoint.errors import ActionError, NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Patience
    from entrypoint.models import DagRun, RunState

SLICE = 70.0
"""Seconds for which one answer is listened to: ten minutes are nine of them, whatever the jitter."""
SILENCE = 15.0
"""Seconds without a word, three times the longest interval, after which a look decides: a gateway may keep words back."""
ENOUGH = 2
"""Failures in a row after which nothing is listened to any more."""
GRACE = 1.0
"""Seconds that the last word may come late."""
_SHORTEST = 0.1


class Heard(Enum):
    """What listening came to: the run goes on, it ended, or nothing that can be relied on."""

    GOES_ON = auto()
    END = auto()
    NOTHING = auto()


class Ear:
    """Listens to one Airflow, as long as that works.

    Args:
        airflow: who tells.
        patience: clock and jitter.
    """

    def __init__(self, airflow: Airflow, patience: Patience) -> None:
        self._airflow = airflow
        self._patience = patience
        self._failures = 0

    def listen(self, run: DagRun, waited: float, most: float, tell: Callable[[RunState], bool]) -> Heard:
        """Listen for a while.

        Args:
            run: the DAG run.
            waited: seconds since the trigger.
            most: seconds after which to stop, if not before.
            tell: is given the state of a run that goes on, time and again, and returns whether to go on as well.
        """
        if self._failures >= ENOUGH:
            return Heard.NOTHING
        lasts = min(self._patience.about(SLICE), most)
        heard, until, last_word = Heard.NOTHING, self._patience.clock() + lasts, -inf

        def take(state: RunState) -> bool:
            nonlocal heard, last_word
            last_word = self._patience.clock()
            if state in ("success", "failed"):
                heard = Heard.END
            elif not tell(state) or self._patience.clock() >= until:
                heard = Heard.GOES_ON
            return heard is Heard.NOTHING

        pause = max(min(interval(waited), most), _SHORTEST)
        try:
            self._airflow.listen(run, pause, take, SILENCE, lasts + min(pause, GRACE))
        except ActionError as error:
            # Whatever else it is, the look that follows meets it too, and knows what it means.
            if isinstance(error, NotSupported):
                self._failures = ENOUGH
            now = self._patience.clock()
            if heard is Heard.NOTHING and now >= until and now - last_word <= pause + GRACE:
                heard = Heard.GOES_ON  # its time was over between two words
        if heard is Heard.NOTHING:
            self.doubt()
        elif heard is Heard.GOES_ON:
            self._failures = 0
        return heard

    def doubt(self) -> None:
        """Take note that what was heard was nothing, or was not so."""
        self._failures += 1


def interval(waited: float) -> float:
    """Return the seconds between two words for a run that was triggered so many seconds ago.

    Each costs Airflow 2.5 to 2.9 ms (docs/notes/waiting.md#cost-for-the-server), so a hundred at 1 s take a quarter
    of its processor.
    """
    return 1.0 if waited < 40 else 2.0 if waited < 600 else 3.0 if waited < 1800 else 5.0
