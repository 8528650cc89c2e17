"""One Airflow, whichever version answers: the `Airflow` protocol, and `connect()` which finds out
who is there.

Differences of version end in this room: no caller ever asks which one it has. It decides nothing
about runs, and repeats a request only after it has renewed a credential that was refused.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from entrypoint.airflow.responses import unauthorized
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.errors import ActionError, TransientError, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from entrypoint.airflow.rest import TasksToClear
    from entrypoint.airflow.transport import Authorizer, Transport
    from entrypoint.http.response import Response
    from entrypoint.models import (
        Dag,
        DagImportError,
        DagRun,
        Health,
        HitlRequest,
        Pool,
        RunRequest,
        RunState,
        TaskInstance,
        TaskList,
        TaskLog,
    )


class Airflow(Protocol):
    """What the gate may ask of an Airflow. Every method raises the errors of `Transport.send`, and
    Forbidden.
    """

    version: str
    base_url: str

    def check(self, request: RunRequest) -> None:
        """Raise NotSupported if this version cannot honour part of the request. Sends nothing."""

    def get_dag(self, dag_id: str) -> Dag:
        """Return the DAG. Raises DagNotFound."""

    def latest_dag_version(self, dag_id: str) -> str | None:
        """Return the version of the bundle from which the DAG's structure is, None if this Airflow
        does not say.

        After several commits in a row it lags behind the DAG's own `bundle_version`
        (docs/notes/airflow-3.md#bundle-versions). Raises DagNotFound.
        """

    def request_reparse(self, dag: Dag) -> None:
        """Ask Airflow to parse the DAG's file now; nothing says whether it does. Airflow 3 fetches
        the bundle first.
        """

    def unpause(self, dag_id: str) -> None:
        """Unpause the DAG."""

    def trigger(self, request: RunRequest) -> DagRun:
        """Ask once for the DAG run. Raises Conflict, InvalidConf, DagNotFound; anything else leaves
        open what happened.
        """

    def get_run(self, dag_id: str, run_id: str) -> DagRun | None:
        """Return the DAG run, None if Airflow itself says that there is none."""

    def stream_states(
        self,
        run: DagRun,
        interval: float,
        take: Callable[[RunState], bool],
        max_silence: float,
        max_seconds: float,
    ) -> None:
        """Let Airflow tell the run's state every `interval` seconds, as long as `take` returns True
        and it goes on.

        That it stops by itself proves nothing: so it does when the run is deleted
        (docs/notes/airflow-3.md#wait-endpoint), or unknown.

        Raises: NotSupported: this version cannot. TransientError: also after `max_silence` seconds
            without a word, and after `max_seconds` seconds in all.
        """

    def clear(self, dag_id: str, run_id: str, tasks: TasksToClear) -> None:
        """Ask once to clear task instances of a run that has ended, so that it runs again. Raises
        RunNotFound.
        """

    def mark_failed(self, run: DagRun) -> DagRun | None:
        """Mark the run failed and note that its workflow was cancelled. Return it as it is then,
        None if it is gone.
        """

    def set_note(self, run: DagRun, note: str) -> None:
        """Replace the run's note."""

    def task_instances(
        self,
        dag_id: str,
        run_id: str,
        *,
        states: tuple[str, ...] = (),
        changed_since: datetime | None = None,
        most: int | None = None,
    ) -> TaskList:
        """Return the run's task instances in the order of Airflow's answer, page by page.

        Args: dag_id: the DAG. run_id: its run. states: only those that are in one of these; `none`
            is that of a task about which nothing was decided yet. changed_since: on Airflow's
            clock; those that did not change are left out if this Airflow can tell. most: how many
            to read (0: only to count them), None for all.
        """

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the run's page in Airflow's UI."""

    # What explains a run. Each needs a permission of its own; the verdict needs none of it.

    @property
    def now(self) -> datetime | None:
        """Airflow's clock at its last answer, None if it did not say."""

    def log(self, run: DagRun, task: TaskInstance, keep: int) -> TaskLog:
        """Return the log of the task instance's last try, of its lines the last `keep`. Raises
        NotFound.
        """

    def xcom(self, run: DagRun, task_id: str, map_index: int, key: str, limit: int) -> Any:
        """Return the value, as JSON has it. Raises NotFound, ResponseTooLarge (more than `limit`
        bytes of JSON).
        """

    def dagrun_timeout(self, dag_id: str) -> float | None:
        """Return the DAG's `dagrun_timeout` in seconds."""

    def recent_durations(self, dag_id: str) -> tuple[float, ...]:
        """Return the seconds that the DAG's last successful runs took, ten of them at the most."""

    def running_runs(self, dag_id: str) -> tuple[DagRun, ...]:
        """Return the DAG's runs that are running, a hundred of them at the most."""

    def import_errors(self) -> tuple[DagImportError, ...]:
        """Return the DAG files that cannot be imported, a hundred of them at the most."""

    def health(self) -> Health:
        """Return which components of Airflow send heartbeats."""

    def pool(self, name: str) -> Pool:
        """Return the pool."""

    def pool_task_instances(self, name: str) -> tuple[tuple[str, str, TaskInstance], ...]:
        """Return who takes the pool's slots: DAG, run id and task instance, a hundred of them at
        the most.
        """

    def heartbeat_timeout(self, run: DagRun, task: TaskInstance) -> str | None:
        """Return what Airflow's audit log says of a task instance whose worker sent no more
        heartbeats.
        """

    def unmet_dependencies(self, run: DagRun, task: TaskInstance) -> tuple[str, ...]:
        """Return what Airflow itself says that keeps the task instance from starting, beside the
        tasks before it.
        """

    def hitl_requests(self, run: DagRun) -> tuple[HitlRequest, ...]:
        """Return the questions to humans that are open in this run; none where Airflow does not
        know such.
        """


class Credentials(Protocol):
    """How a credential is presented to each API."""

    def for_any(self) -> Authorizer | None:
        """Return the authorizer for whichever API answers, None if it depends on that."""

    def for_v1(self) -> Authorizer:
        """Return the authorizer for `/api/v1`. Raises NotSupported."""

    def for_v2(self, login: Callable[[dict[str, str]], str]) -> Authorizer:
        """Return the authorizer for `/api/v2`; `login` exchanges a JSON body for a token at
        Airflow's `/auth/token`.
        """


def connect(transport: Transport, credentials: Credentials) -> Airflow:
    """Find out which API answers, and hand the transport the credential in the form that this API
    takes.

    Airflow's own version endpoints need no credential and ignore a bad one
    (docs/notes/airflow-2.md#version-endpoint,
    docs/notes/airflow-3.md#endpoints-without-authentication); a gateway in front of it may want one
    there too.

    Raises:
        TransientError: nobody answers at present.
        UnexpectedResponse: somebody answers, but not Airflow; or an Airflow that is too old.
        Unauthorized: a gateway refused the request; or who grants the credential did.
        NotSupported: this Airflow takes no such credential.
    """
    refusals: list[ActionError] = []
    transport.authorizer = credentials.for_any()
    for dialect in (V2, V1):
        version = _version(_ask(transport, f"{dialect.api}/version", refusals))
        if version is None:
            continue
        transport.ambiguous_403 = dialect is V1  # docs/notes/airflow-2.md#401-and-403
        if transport.authorizer is None:
            login = partial(_login, transport)
            transport.authorizer = (
                credentials.for_v1() if dialect is V1 else credentials.for_v2(login)
            )
        return dialect(transport, version)
    raise next(
        (refusal for refusal in refusals if isinstance(refusal, TransientError)), refusals[0]
    )


def _ask(transport: Transport, path: str, refusals: list[ActionError]) -> Response | None:
    try:
        answer = transport.send("GET", path, checks_credential=False)
    except (UnexpectedResponse, TransientError) as error:
        # A gateway may answer 502 for a path that this Airflow does not have: the other API is
        # asked all the same.
        refusals.append(error)
        return None
    if answer.status in (401, 403):
        refusals.append(unauthorized(answer))
    else:
        refusals.append(answer.unexpected("neither Airflow 3 nor Airflow 2 is there."))
    return answer


def _version(answer: Response | None) -> str | None:
    if answer is None or answer.status != 200 or not isinstance(answer.body, dict):
        return None
    version = answer.body.get("version")
    return (
        version
        if isinstance(version, str) and re.fullmatch(r"\d{1,4}\.\d{1,4}[\w.+-]{0,80}", version)
        else None
    )


def _login(transport: Transport, body: dict[str, str]) -> str:
    """Exchange a credential for a token. Raises Unauthorized, UnexpectedResponse and the
    transport's errors.
    """
    answer = transport.send("POST", "/auth/token", body=body, anonymous=True)
    if answer.status in (401, 403):
        raise unauthorized(answer)
    if answer.status in (404, 405):
        raise UnexpectedResponse(
            "This Airflow has no login for this kind of credential",
            f"{answer.source}.",
            "If Airflow is served below a path, airflow_url must contain it; otherwise use "
            "the input token.",
        )
    if answer.status in (400, 422) and "grant_type" in body:  # FAB and the simple auth manager
        raise UnexpectedResponse(
            "This Airflow's login takes no client_id and client_secret",
            f"{answer.source}{_told(answer)}",
            "Only the Keycloak auth manager does. For another identity provider give its "
            "token_url; otherwise use username "
            "and password.",
        )
    token = answer.body.get("access_token") if isinstance(answer.body, dict) else None
    if answer.status not in (200, 201) or not isinstance(token, str) or not token:
        raise UnexpectedResponse(
            "Airflow's login gave no token",
            f"{answer.source}{_told(answer)}",
            "Use the input token.",
        )
    return token


def _told(answer: Response) -> str:
    """Return what a login says, but for a text about what it was sent: that is cut, and half a
    secret is not masked.
    """
    listed = isinstance(answer.body, dict) and isinstance(answer.body.get("detail"), list)
    return answer.told if answer.status != 422 or listed else ""
