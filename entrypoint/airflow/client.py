"""Define the `Airflow` protocol, and connect to an Airflow 2 or 3.

Callers do not need to know the version, because this package hides the differences. It makes no
decision about DAG runs. It sends each request once, and a second time only after it has renewed a
refused credential.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from entrypoint.airflow.responses import describe, is_from_airflow, unauthorized
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.errors import (
    ActionError,
    GatewayUnauthorized,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from entrypoint.airflow.log_follower import LogFollower
    from entrypoint.airflow.rest import TasksToClear
    from entrypoint.airflow.transport import Authorizer, Transport
    from entrypoint.deadline import Deadline
    from entrypoint.http.response import Response
    from entrypoint.models import (
        Coordinates,
        Dag,
        DagBundle,
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
    from entrypoint.permissions import Probe, Verdict


class Airflow(Protocol):
    """The parts of the APIs of Airflow 2 and 3 that the action uses.

    Every method that sends a request raises the errors of `Transport.send`, and Forbidden.
    """

    version: str
    base_url: str

    def within(self, deadline: Deadline) -> Airflow:
        """Return this client with another deadline for each of its requests."""

    def check(self, request: RunRequest) -> None:
        """Check that this Airflow version supports all parts of the request. Sends nothing.

        Raises:
            NotSupported: it does not support a part of it.
        """

    def get_dag(self, dag_id: str) -> Dag:
        """Return the DAG.

        Raises:
            DagNotFound: Airflow does not have it.
        """

    def list_dags(self, tag: str | None = None, *, stale: bool = False) -> tuple[Dag, ...]:
        """Return all active DAGs, or those with this tag, ordered by their ids.

        Args:
            tag: name of the tag, None for all DAGs.
            stale: whether to return also those that Airflow no longer finds in its files.

        Raises:
            TransientError: the list changed while it was read, or the deadline passed.
        """

    def latest_dag_version(self, dag_id: str) -> str | None:
        """Return the bundle version of the DAG's latest structure, None if it is unknown.

        After several commits in a row it lags behind the DAG's own `bundle_version`
        (docs/notes/airflow-3.md#bundle-versions).

        Raises:
            DagNotFound: Airflow does not have the DAG.
        """

    def request_reparse(self, file_token: str) -> None:
        """Request that Airflow parses a DAG file now. Nothing confirms that it does.

        Airflow 3 fetches the bundle first.
        """

    def task_ids(self, dag_id: str) -> tuple[str, ...]:
        """Return the ids of the DAG's tasks.

        Raises:
            DagNotFound: Airflow does not have the DAG.
        """

    def unpause(self, dag_id: str) -> None:
        """Unpause the DAG."""

    def check_conf(self, request: RunRequest) -> tuple[str, ...]:
        """Check the request's conf by what is known of the schema of the DAG's params.

        Raises:
            InvalidConf: Airflow would certainly refuse it.
            DagNotFound: Airflow does not have the DAG.

        Returns:
            The rules of the schema that this check does not know, each with the name of its param.
        """

    def trigger(self, request: RunRequest) -> DagRun:
        """Trigger the DAG run with one request.

        Raises:
            Conflict: the run id or the logical date is taken.
            InvalidConf: Airflow refused the parameters.
            DagNotFound: Airflow does not have the DAG.
            BundleVersionNotFound: Airflow does not have the version for the run.
            TriggerRefused: Airflow or a gateway refused it with another reason.
            ServerFailure: Airflow failed, with a reason that would make it fail again.
            CredentialRenewed: the credential was refused and renewed; nothing was sent again.
            ActionError: any other error leaves it open whether the run exists.
        """

    def complete_trigger(self, run: DagRun, request: RunRequest) -> DagRun:
        """Add to a new run what this Airflow version does not accept in the trigger.

        Returns:
            The run afterwards. It is never an error: the run is complete without.
        """

    def explain_failed_trigger(self, request: RunRequest) -> ActionError | None:
        """Return why Airflow refused a trigger with a 500 without a reason, None if unknown.

        The error means that no trigger with this request can create a run.
        """

    def get_run(self, dag_id: str, run_id: str) -> DagRun | None:
        """Return the DAG run, None if Airflow itself reports that it does not exist."""

    def list_runs(self, runs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], DagRun]:
        """Return those of the runs that one request finds, by DAG id and run id.

        A run may be missing although it exists.

        Args:
            runs: DAG id and run id of each run.
        """

    def stream_states(
        self,
        run: DagRun,
        interval: float,
        consume: Callable[[RunState], bool],
        max_silence: float,
        max_seconds: float,
    ) -> None:
        """Stream the run's state until the stream ends or `consume` returns False.

        The end of the stream proves nothing, because it also ends when the run is deleted
        (docs/notes/airflow-3.md#wait-endpoint) or does not exist.

        Args:
            run: DAG run.
            interval: seconds between two states.
            consume: receives each state and returns whether to continue.
            max_silence: maximum seconds without data.
            max_seconds: maximum seconds in total.

        Raises:
            NotSupported: this Airflow has no such endpoint.
            TransientError: also when `max_silence` or `max_seconds` is exceeded.
        """

    @property
    def can_clear_to_latest(self) -> bool:
        """Whether a cleared run can be asked to run with the DAG's latest code."""

    def clear(self, dag_id: str, run_id: str, tasks: TasksToClear, *, latest: bool) -> None:
        """Clear task instances of a run in a final state with one request, so that it runs again.

        Args:
            dag_id: id of the DAG.
            run_id: id of the run.
            tasks: the task instances.
            latest: whether it is to run with the DAG's latest code, if this Airflow can do that.

        Raises:
            RunNotFound: Airflow does not have the run.
            Conflict: the tasks changed, or Airflow cannot clear just these.
        """

    def mark_failed(self, run: DagRun) -> DagRun | None:
        """Mark the run failed, with a note that its workflow was cancelled.

        Returns:
            The run afterwards, None if it does not exist any more.
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
        task_ids: tuple[str, ...] = (),
        most: int | None = None,
    ) -> TaskList:
        """Return the run's task instances in Airflow's order, page by page.

        Args:
            dag_id: id of the DAG.
            run_id: id of the run.
            states: only task instances in one of these states; `none` is a task instance without a
                state yet.
            changed_since: only those that changed since then, by Airflow's clock; an Airflow that
                cannot filter returns all.
            task_ids: only those of these tasks. It cannot be combined with `changed_since`. An
                Airflow that cannot filter by tasks reads all task instances for it.
            most: maximum number to read (0: only count them), None for all.
        """

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the URL of the run's page in Airflow's UI."""

    # For a dry run.

    def probes(self, dag_id: str) -> tuple[Probe, ...]:
        """Return the requests that show what the credential may do with this DAG. Sends nothing."""

    def probe(self, probe: Probe) -> Verdict:
        """Send a probe and return what the response shows about its permissions.

        Raises:
            GatewayRefused: a gateway refused it.
        """

    def runs_at(self, dag_id: str, logical_date: datetime) -> tuple[str, ...]:
        """Return the ids of the DAG's runs with this logical date."""

    # Diagnostics. Each needs its own permission, and the result of the step needs none of them.

    @property
    def now(self) -> datetime | None:
        """Airflow's clock at its last response, None if it sent no date."""

    def log(self, run: DagRun, task: TaskInstance, max_lines: int) -> TaskLog:
        """Return the log of the task instance's last try, its last `max_lines` lines.

        Raises:
            NotFound: Airflow does not have the log.
        """

    def follow_log(self, max_lines: int, on_line: Callable[[str], None]) -> LogFollower:
        """Return a follower for the log of one try, without a request.

        Args:
            max_lines: maximum number of last lines that it keeps.
            on_line: called with each line, masked and at most 2,000 characters long.
        """

    def continue_log(
        self, run: DagRun, task: TaskInstance, try_number: int, follower: LogFollower
    ) -> None:
        """Read what is new in the log of one try, by one request.

        Raises:
            NotFound: Airflow does not have the log.
            NotSupported: this Airflow does not return it.
        """

    def is_mapped(self, run: DagRun, task_id: str) -> bool:
        """Return whether a task is mapped, or in a mapped task group, even if over nothing."""

    def xcom(
        self,
        run: DagRun,
        task_id: str,
        at: Coordinates,
        key: str,
        limit: int,
        *,
        since: datetime | None = None,
    ) -> Any:
        """Return the value of an XCom, parsed from JSON.

        Raises:
            NotFound: Airflow does not have the XCom, or it was written before `since`.
            ResponseTooLarge: its JSON is larger than `limit` bytes.
        """

    def dagrun_timeout(self, dag_id: str) -> float | None:
        """Return the DAG's `dagrun_timeout` in seconds."""

    def dag_start_date(self, dag_id: str) -> datetime | None:
        """Return the DAG's `start_date`, None if it has none."""

    def recent_durations(self, dag_id: str) -> tuple[float, ...]:
        """Return the seconds that the DAG's last successful runs took, at most ten."""

    def running_runs(self, dag_id: str) -> tuple[DagRun, ...]:
        """Return the DAG's running runs, at most a hundred."""

    def import_errors(self) -> tuple[DagImportError, ...]:
        """Return the import errors of DAG files, at most a thousand."""

    def dag_bundle(self, name: str) -> DagBundle | None:
        """Return the bundle, None if Airflow does not show it to this credential.

        Raises:
            NotSupported: this Airflow does not tell the version of a bundle.
        """

    def health(self) -> Health:
        """Return the health of Airflow's components."""

    def pool(self, name: str) -> Pool:
        """Return the pool."""

    def pool_task_instances(self, name: str) -> tuple[tuple[str, str, TaskInstance], ...]:
        """Return the pool's running and queued task instances, each with DAG id and run id.

        At most a hundred are returned.
        """

    def heartbeat_timeout(self, run: DagRun, task: TaskInstance) -> str | None:
        """Return the audit log's text about a task instance's lost heartbeats, None without one."""

    def unmet_dependencies(self, run: DagRun, task: TaskInstance) -> tuple[str, ...]:
        """Return the reasons that Airflow gives why the task instance cannot start.

        Reasons that hold for each waiting task instance are left out.
        """

    def hitl_requests(self, run: DagRun) -> tuple[HitlRequest, ...]:
        """Return the run's open questions to humans, none if this Airflow has no such feature."""


class Run(NamedTuple):
    """One DAG run of one Airflow, which need not exist yet."""

    airflow: Airflow
    dag_id: str
    run_id: str

    def get(self) -> DagRun | None:
        """Return the run, None if Airflow says that there is none."""
        return self.airflow.get_run(self.dag_id, self.run_id)


class Credentials(Protocol):
    """The credential in the form that each API accepts."""

    def for_any(self) -> Authorizer | None:
        """Return the authorizer that suits both APIs, None if it depends on the API."""

    def for_v1(self) -> Authorizer:
        """Return the authorizer for `/api/v1`.

        Raises:
            NotSupported: Airflow 2 does not accept this kind of credential.
        """

    def for_gateway(self) -> Authorizer | None:
        """Return the authorizer for a gateway with HTTP Basic, None if there is no password."""

    def for_keycloak(self, login: Callable[[dict[str, str], Deadline], str]) -> Authorizer | None:
        """Return the authorizer that exchanges a token of Keycloak at Airflow's login.

        None if the credential gets no token at an identity provider.

        Args:
            login: as for `for_v2`.
        """

    def for_v2(self, login: Callable[[dict[str, str], Deadline], str]) -> Authorizer:
        """Return the authorizer for `/api/v2`.

        Args:
            login: exchanges a JSON body for a token at Airflow's `/auth/token`, before a deadline.
        """


def connect(transport: Transport, credentials: Credentials, deadline: Deadline) -> Airflow:
    """Detect the API version and set up the transport's credential for it.

    Airflow's version endpoints need no credential and ignore a bad one
    (docs/notes/airflow-2.md#version-endpoint,
    docs/notes/airflow-3.md#endpoints-without-authentication). A gateway in front of Airflow may
    require one there too. If it asks for a user's password, Airflow 2 gets the same password.

    Raises:
        TransientError: Airflow does not respond at present.
        UnexpectedResponse: the response is not Airflow's, or that of an Airflow that is too old.
        Unauthorized: a gateway refused the request, or the issuer refused the credential.
        NotSupported: this Airflow does not accept this kind of credential.
    """
    refusals: list[ActionError] = []
    transport.authorizer = credentials.for_any()
    found = _detect(transport, (V2, V1), deadline, refusals)
    if found is None and transport.authorizer is None and _asks_for_password(refusals):
        # Only Airflow 2 takes HTTP Basic itself, and a request has one Authorization.
        transport.authorizer = credentials.for_gateway()
        if transport.authorizer is not None:
            found = _detect(transport, (V1,), deadline, refusals)
    if found is None:
        raise next(
            (refusal for refusal in refusals if isinstance(refusal, TransientError)), refusals[0]
        )
    dialect, version = found
    transport.ambiguous_403 = dialect is V1  # docs/notes/airflow-2.md#401-and-403
    login = partial(_login, transport)
    if transport.authorizer is None:
        transport.authorizer = credentials.for_v1() if dialect is V1 else credentials.for_v2(login)
    elif (
        dialect is V2
        and (chained := credentials.for_keycloak(login)) is not None
        and _auth_manager(transport, deadline).startswith("Keycloak ")
    ):
        # This auth manager refuses Keycloak's token as a bearer, and exchanges it at its login.
        transport.authorizer = chained
    return dialect(transport, version).within(deadline)


def _detect(
    transport: Transport,
    dialects: tuple[type[V1 | V2], ...],
    deadline: Deadline,
    refusals: list[ActionError],
) -> tuple[type[V1 | V2], str] | None:
    """Return the first of the APIs that this Airflow has, and its version."""
    for dialect in dialects:
        version = _version(_probe(transport, f"{dialect.api}/version", deadline, refusals))
        if version is not None:
            return dialect, version
    return None


def _auth_manager(transport: Transport, deadline: Deadline) -> str:
    """Return the title of the auth manager's API, empty if a gateway does not show it.

    Measured: docs/notes/credentials.md#detection-without-credentials.
    """
    try:
        response = transport.send("GET", "/auth/openapi.json", deadline, checks_credential=False)
    except (UnexpectedResponse, Unauthorized):
        return ""
    info = response.body.get("info") if isinstance(response.body, dict) else None
    return str(info.get("title")) if isinstance(info, dict) else ""


def _asks_for_password(refusals: list[ActionError]) -> bool:
    return any(isinstance(refusal, GatewayUnauthorized) for refusal in refusals)


def _probe(
    transport: Transport, path: str, deadline: Deadline, refusals: list[ActionError]
) -> Response | None:
    try:
        response = transport.send("GET", path, deadline, checks_credential=False)
    except (UnexpectedResponse, TransientError) as error:
        # A gateway may respond with 502 to a path that this Airflow does not have, so the other
        # API is tried as well.
        refusals.append(error)
        return None
    if response.status in (401, 403):
        refusals.append(unauthorized(response))
    else:
        refusals.append(response.unexpected("it is neither Airflow 3's API nor Airflow 2's."))
    return response


def _version(response: Response | None) -> str | None:
    if response is None or response.status != 200 or not isinstance(response.body, dict):
        return None
    version = response.body.get("version")
    return (
        version
        if isinstance(version, str) and re.fullmatch(r"\d{1,4}\.\d{1,4}[\w.+-]{0,80}", version)
        else None
    )


def _login(transport: Transport, body: dict[str, str], deadline: Deadline) -> str:
    """Exchange a credential for a token.

    Raises:
        Unauthorized: Airflow refused the credential.
        UnexpectedResponse: this Airflow has no such login, or it returned no token.
        ActionError: any error of `Transport.send`.
    """
    response = transport.send("POST", "/auth/token", deadline, body=body, anonymous=True)
    if "assertion" in body:
        _require_assertion_accepted(response)
    if response.status in (401, 403):
        raise unauthorized(response)
    if response.status in (404, 405):
        raise UnexpectedResponse(
            "This Airflow has no login for this kind of credential",
            f"{response.source}.",
            "Set airflow_url with the path prefix, if Airflow has one; otherwise use the input "
            "token.",
        )
    if response.status in (400, 422) and "grant_type" in body:  # FAB and the simple auth manager
        raise UnexpectedResponse(
            "This Airflow's login takes no client_id and client_secret",
            f"{response.source}{_error_suffix(response)}",
            "Give the token_url of the identity provider that issued them, or username and "
            "password. Only the Keycloak auth manager accepts them directly.",
        )
    token = response.body.get("access_token") if isinstance(response.body, dict) else None
    if response.status not in (200, 201) or not isinstance(token, str) or not token:
        raise UnexpectedResponse(
            "Airflow's login gave no token",
            f"{response.source}{_error_suffix(response)}",
            "Use the input token.",
        )
    return token


def _require_assertion_accepted(response: Response) -> None:
    """Check that the login of the Keycloak auth manager accepted a token of Keycloak.

    Raises:
        Unauthorized: it refused the token.
        UnexpectedResponse: it is too old to take one.
    """
    if response.status in (401, 403) and is_from_airflow(response):
        raise Unauthorized(
            "Airflow's login refused the token of Keycloak",
            describe(response),
            "Let the client's tokens have Airflow's client in their audience, list client_id in "
            "[keycloak_auth_manager] jwt_federated_client_ids, and give scope: openid.",
        )
    if response.status in (400, 422):
        raise UnexpectedResponse(
            "This Airflow's login takes no token of Keycloak",
            f"{response.source}{_error_suffix(response)}",
            "Upgrade the Keycloak provider to 0.11, or give client_id and client_secret of "
            "Airflow's own client without token_url.",
        )


def _error_suffix(response: Response) -> str:
    """Return the error message of a login, except a text that quotes the request.

    Such a text is cut, and half a secret would not be masked.
    """
    structured = isinstance(response.body, dict) and isinstance(response.body.get("detail"), list)
    return response.error_suffix if response.status != 422 or structured else ""
