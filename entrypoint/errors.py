"""Every way in which the action can be kept from knowing, as words for people: what happened, the
evidence, what to do.

The lowest room: it knows nothing of Airflow's or the runner's wire formats. A failed DAG run is no
error but an Outcome (`models.py`).
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import NamedTuple


class StackFrame(NamedTuple):
    """One frame of a traceback: a file as the worker names it, a line from 1 on, a function."""

    filename: str
    line: int
    function: str


class ExceptionInfo(NamedTuple):
    """One exception: its class, its text, and its frames, the one that raised it last."""

    kind: str
    text: str
    frames: tuple[StackFrame, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


class ActionError(Exception):
    """What kept the action from its goal.

    Attributes:
        title: one line for the annotation's heading, the name of the cause.
        detail: the evidence, free text; it may quote Airflow.
        hint: what to change, and where.
        raised: the exceptions behind it, where Airflow shows them.
    """

    raised: tuple[ExceptionInfo, ...] = ()

    def __init__(self, title: str, detail: str, hint: str) -> None:
        super().__init__(f"{title}: {detail}")
        self.title = title
        self.detail = detail
        self.hint = hint


class InputError(NamedTuple):
    """One wrong input: its name, what is wrong with it, and what would be right."""

    name: str
    problem: str
    remedy: str


class InvalidInputs(ActionError):
    """The inputs contain mistakes; all of them are reported at once, before any request."""

    def __init__(self, mistakes: tuple[InputError, ...]) -> None:
        count = "1 input is" if len(mistakes) == 1 else f"{len(mistakes)} inputs are"
        super().__init__(
            f"{count} not usable",
            "\n".join(f"{m.name}: {m.problem} {m.remedy}" for m in mistakes),
            "Correct the `with:` block of this step. Nothing was sent to Airflow.",
        )
        self.mistakes = mistakes


class TransientError(ActionError):
    """No answer, or a passing one (429, 5xx), of Airflow or of who grants its credential: looking
    again may well help.

    Attributes:
        status: the HTTP status, None when there was no answer at all.
        retry_after: seconds that the server asked us to wait, if it did.
    """

    def __init__(
        self,
        title: str,
        detail: str,
        hint: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(title, detail, hint)
        self.status = status
        self.retry_after = retry_after


class UnexpectedResponse(ActionError):
    """An answer that Airflow's API does not give: a login page, a redirect, cut JSON, another
    shape.

    It proves nothing. Before the trigger it means a wrong URL; while waiting it is ridden out like
    a failed request.
    """


class Unauthorized(ActionError):
    """The credential was refused."""


class Forbidden(ActionError):
    """The credential is good, but a permission is missing."""


class GatewayRefused(Forbidden):
    """Not Airflow but something in front of it lets the request go no further."""


class DagNotFound(ActionError):
    """Airflow knows no such DAG, or cannot load it at present."""


class DagNotRunnable(ActionError):
    """The DAG exists, but Airflow would not run it: it is paused, lost, or its file fails to
    import.
    """


class StaleDag(DagNotRunnable):
    """The DAG is listed, but Airflow does not find it in its DAG files any more."""


class NotDeployed(DagNotRunnable):
    """The DAG exists, but not yet from the code that this step waits for."""


class WrongCommit(ActionError):
    """The DAG run does not run with the commit that was asked for, or that cannot be known."""


class InvalidConf(ActionError):
    """Airflow's validation refused the request."""


class NotSupported(ActionError):
    """An input that the Airflow which answers cannot honour."""


class Conflict(ActionError):
    """Airflow refused the trigger because the run id or the logical date is taken; it may not say
    which.

    Measured: docs/notes/airflow-3.md#conflicts.
    """


class TriggerUnclear(ActionError):
    """The trigger's answer was lost, and it could not be found out whether the run exists."""


class StateUnknown(ActionError):
    """The time is over, and how the DAG run is could not be read for a while."""


class RunExists(ActionError):
    """The run id or logical date is taken by a run that this step must not take for its own."""


class RunNotFound(ActionError):
    """The DAG run is not there (any more)."""


class NotFound(ActionError):
    """A log or an XCom that Airflow does not have."""


class ResponseTooLarge(ActionError):
    """An XCom that is larger than what may be read."""


def as_action_error(error: Exception) -> ActionError:
    """Return the error as people are told it: one that has no words of its own is a fault of
    ours.
    """
    return error if isinstance(error, ActionError) else internal_error(error)


def internal_error(error: Exception) -> ActionError:
    """Name a fault of the action itself by type and place; its text is left out, since it may quote
    a secret.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ActionError(
        "The action itself failed",
        f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}.",
        "This is a fault of the action: please report it with these words. With step debug "
        "logging on, the log has more.",
    )
