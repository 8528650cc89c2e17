"""The errors of the action, each with a title, the evidence and a hint.

This module is in the lowest layer: it knows no wire format of Airflow or of the runner. A failed
DAG run is an `Outcome` (`models.py`), not an error.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import NamedTuple


class StackFrame(NamedTuple):
    """A frame of a traceback: the worker's file name, the line (from 1), the function."""

    filename: str
    line: int
    function: str


class ExceptionInfo(NamedTuple):
    """An exception: its class, its text, and its frames with the innermost one last."""

    kind: str
    text: str
    frames: tuple[StackFrame, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


class ActionError(Exception):
    """The base class of all errors that the action reports to the user.

    Attributes:
        title: the cause, in one line, for the heading of an annotation.
        detail: the evidence as free text, which may quote Airflow.
        hint: what to change, and where.
        raised: the exceptions that caused the error, if Airflow shows them.
    """

    raised: tuple[ExceptionInfo, ...] = ()

    def __init__(self, title: str, detail: str, hint: str) -> None:
        super().__init__(f"{title}: {detail}")
        self.title = title
        self.detail = detail
        self.hint = hint


class InputError(NamedTuple):
    """A mistake in an input: the input's name, the problem, and the remedy."""

    name: str
    problem: str
    remedy: str


class InvalidInputs(ActionError):
    """The inputs contain mistakes. All are reported at once, before any request to Airflow."""

    def __init__(self, errors: tuple[InputError, ...]) -> None:
        count = "1 input is" if len(errors) == 1 else f"{len(errors)} inputs are"
        super().__init__(
            f"{count} not usable",
            "\n".join(f"{error.name}: {error.problem} {error.remedy}" for error in errors),
            "Correct the inputs of this step. Nothing was sent to Airflow.",
        )
        self.errors = errors


class TransientError(ActionError):
    """A temporary failure that a retrier retries, for example HTTP 429, 5xx or no response.

    Airflow, GitHub or an identity provider may cause it.

    Attributes:
        status: the HTTP status, None without a response.
        retry_after: the server's `Retry-After` in seconds, None if it sent none.
        body: the response's JSON, None if it has none.
    """

    def __init__(
        self,
        title: str,
        detail: str,
        hint: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        body: object = None,
    ) -> None:
        super().__init__(title, detail, hint)
        self.status = status
        self.retry_after = retry_after
        self.body = body


class CredentialRenewed(TransientError):
    """A request was refused, and was not sent again with the new credential.

    A gateway may refuse the response of a request that Airflow has executed.
    """


class Unreachable(TransientError):
    """No complete response: the connection failed, timed out or was cut."""


class ServerFailure(TransientError):
    """Airflow failed with a reason that the same request would meet again."""


class UnexpectedResponse(ActionError):
    """A response that the API does not give: a login page, a redirect, truncated JSON.

    Before the trigger it means a wrong URL. During the wait it is retried like a TransientError.
    """


class TlsTrustError(UnexpectedResponse):
    """The server's TLS certificate is not trusted."""


class Unauthorized(ActionError):
    """The server rejected the credential."""


class GatewayUnauthorized(Unauthorized):
    """A gateway in front of Airflow asked for a credential with HTTP 401."""


class Forbidden(ActionError):
    """The credential is valid, but a permission is missing."""


class GatewayRefused(Forbidden):
    """A gateway in front of Airflow refused the request."""


class DagNotFound(ActionError):
    """Airflow does not know the DAG, or cannot load it at present."""


class DagNotRunnable(ActionError):
    """The DAG exists, but Airflow would not run it.

    The DAG is paused or stale, its file fails to import, or its new code is not deployed yet.
    """


class StaleDag(DagNotRunnable):
    """Airflow lists the DAG, but no longer finds it in its DAG files."""


class NotDeployed(DagNotRunnable):
    """Airflow does not have the code that this step waits for yet."""


class WrongCommit(ActionError):
    """The DAG run does not use the expected commit, or this cannot be confirmed."""


class InvalidConf(ActionError):
    """Airflow's validation rejected the trigger request."""


class DagsNotRunnable(ActionError):
    """One of several DAGs could not be triggered, so none was."""


class BundleVersionNotFound(ActionError):
    """Airflow no longer has the version of the DAG's bundle to which a new run was to be pinned."""


class TriggerRefused(ActionError):
    """Airflow, or a gateway, refused the trigger with a reason and created nothing."""


class NotSupported(ActionError):
    """An input needs a feature that this Airflow does not have."""


class Conflict(ActionError):
    """Airflow refused the trigger because the run id or the logical date is taken.

    The response may not say which of the two.
    Measured: docs/notes/airflow-3.md#conflicts.
    """


class TriggerUnclear(ActionError):
    """The response to the trigger was lost, and later requests could not find the run."""


class StartPostponed(Exception):
    """One of several DAG runs cannot be started at present, so the others go first.

    Attributes:
        error: the failure.
        outage: whether Airflow did not answer even a request that changes nothing.
        pause: seconds until the next attempt, if the run itself ends its wait; None if the number
            of failures decides.
    """

    def __init__(self, error: ActionError, *, outage: bool, pause: float | None = None) -> None:
        super().__init__(error)
        self.pause = pause
        self.error = error
        self.outage = outage


class StateUnknown(ActionError):
    """The timeout passed while the state of the DAG run could not be read."""


class RunExists(ActionError):
    """An existing DAG run conflicts with this step's run id, logical date or report."""


class CommitStatusTaken(RunExists):
    """Another DAG run has the commit status that this step wants to set."""


class RunNotFound(ActionError):
    """The DAG run does not exist, or it was deleted."""


class NotFound(ActionError):
    """Airflow does not have the requested resource, for example a log or an XCom."""


class InvalidJson(NotFound):
    """An XCom contains a value that JSON does not have: NaN or Infinity."""


class ResponseTooLarge(ActionError):
    """The requested XComs exceed the size limit."""


def as_action_error(error: Exception) -> ActionError:
    """Return the error itself if it is an ActionError, otherwise an internal error."""
    return error if isinstance(error, ActionError) else internal_error(error)


def internal_error(error: Exception) -> ActionError:
    """Return the error for a bug in the action, with its type and its place in the code.

    The text of the exception is left out because it may contain a secret.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ActionError(
        "The action itself failed",
        f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}.",
        "Report this bug of the action and quote this message. Turn on step debug logging to get "
        "a traceback in the log.",
    )
