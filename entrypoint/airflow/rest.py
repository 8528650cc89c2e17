"""Implement the `Airflow` protocol, but for what differs between the two REST APIs.

`V1` and `V2` override the hooks at the top of `RestAirflow`.
"""

from __future__ import annotations

import json
import re
from copy import copy
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args
from urllib.parse import quote

from entrypoint.airflow.params import refused_param, unknown_rules
from entrypoint.airflow.parse import parse_dag, parse_run, parse_task_instance, require_run
from entrypoint.airflow.responses import (
    dag_not_found,
    dags_changed,
    dags_too_slow,
    describe,
    failed_trigger,
    forbidden,
    forbidden_trigger,
    has_detail,
    is_from_airflow,
    not_supported,
    optional,
    parse_datetime,
    refused_trigger,
    require_object,
    require_status,
    too_slow,
)
from entrypoint.airflow.tracebacks import read_traceback
from entrypoint.errors import (
    Conflict,
    GatewayRefused,
    InvalidConf,
    NotFound,
    NotSupported,
    ResponseTooLarge,
    RunNotFound,
    TransientError,
)
from entrypoint.http.client import NO_DEADLINE
from entrypoint.models import (
    Coordinates,
    DagImportError,
    Health,
    Pool,
    RunState,
    TaskInstance,
    TaskKey,
    TaskList,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import Self

    from entrypoint.airflow.log_follower import LogFollower
    from entrypoint.airflow.logs import LogReader
    from entrypoint.airflow.transport import Transport
    from entrypoint.deadline import Deadline
    from entrypoint.errors import ActionError
    from entrypoint.http.response import Response
    from entrypoint.models import Dag, DagBundle, DagRun, HitlRequest, RunRequest, TaskLog
    from entrypoint.permissions import Probe, Verdict

TasksToClear = Literal["all"] | tuple[TaskInstance, ...]
"""Which task instances to clear: all, or the given ones."""

MAX_PAGES = 500
"""Maximum number of pages of one list: 50,000 task instances or DAGs.

This is more than one response of an Airflow 2 can hold.
"""
_STATES_SINCE = {"awaiting_input": (3, 3)}
"""States with the Airflow version that introduced them.

An older Airflow refuses them as a filter (docs/notes/airflow-3.md#task-states).
"""
_MAX_ITEMS = 100
_MAX_ERROR_PAGES = 10
"""Maximum number of pages of import errors, each of which has a traceback."""
LISTED_RUNS = 3
"""Runs in one list for each run that is looked for, since a DAG may have newer runs."""
_MAX_RUNS = 10
_USUAL_DEPENDENCIES = ("Task Instance State", "Trigger Rule", "Dagrun Running")
"""Dependencies that are unmet for each waiting task instance.

They are its own state, its upstream tasks, and its run.
"""


def segment(text: str) -> str:
    """Quote a path segment or query value, `+` and `:` in run ids included."""
    return quote(text, safe="", errors="backslashreplace")


class RestAirflow:
    """An Airflow behind one of its REST APIs."""

    # The hooks: what differs between the APIs.

    api: ClassVar[str]
    """Path of the API below the base URL."""
    page: ClassVar[int]
    """Maximum number of task instances in one response of this API."""
    _health: ClassVar[str]
    _log_format: ClassVar[str]

    def check(self, request: RunRequest) -> None:
        """See `Airflow`."""
        raise NotImplementedError

    def run_url(self, dag_id: str, run_id: str) -> str:
        """See `Airflow`."""
        raise NotImplementedError

    def task_url(self, task: TaskInstance, dag_id: str, run_id: str) -> str:
        """Return the URL of the task instance's page in Airflow's UI."""
        raise NotImplementedError

    def mark_failed(self, run: DagRun) -> DagRun | None:
        """See `Airflow`."""
        raise NotImplementedError

    def set_note(self, run: DagRun, note: str) -> None:
        """See `Airflow`."""
        raise NotImplementedError

    def stream_states(  # Airflow 2 has no such endpoint
        self,
        run: DagRun,  # noqa: ARG002
        interval: float,  # noqa: ARG002
        consume: Callable[[RunState], bool],  # noqa: ARG002
        max_silence: float,  # noqa: ARG002
        max_seconds: float,  # noqa: ARG002
    ) -> None:
        """See `Airflow`."""
        raise NotSupported(
            "This Airflow cannot stream a run's state",
            f"This is Airflow {self.version}; the stream needs 3.1.",
            "",
        )

    # Airflow 2 has no such questions
    def hitl_requests(self, run: DagRun) -> tuple[HitlRequest, ...]:  # noqa: ARG002
        """See `Airflow`."""
        return ()

    def _trigger_body(self, request: RunRequest) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def can_clear_to_latest(self) -> bool:
        """See `Airflow`. Airflow 2 has no versions."""
        return False

    def dag_bundle(self, name: str) -> DagBundle | None:
        """See `Airflow`. Airflow 3.4 is the first that tells the version of a bundle."""
        raise not_supported(f"the version of the bundle {name}", self.version, "Airflow 3.4")

    def complete_trigger(self, run: DagRun, request: RunRequest) -> DagRun:  # noqa: ARG002
        """See `Airflow`. Most versions accept everything in the trigger."""
        return run

    def explain_failed_trigger(self, request: RunRequest) -> ActionError | None:  # noqa: ARG002
        """See `Airflow`. Most versions give the reason in the response."""
        return None

    def _clear_request(
        self, dag_id: str, run_id: str, tasks: TasksToClear
    ) -> tuple[str, dict[str, Any]]:
        """Return path (below the DAG) and body of the clear request.

        Without `dry_run: false`, which `clear` adds, both APIs only list the task instances.
        """
        raise NotImplementedError

    def _is_run_not_found(self, response: Response) -> bool:
        raise NotImplementedError

    def _is_active(self, dag: dict[str, Any]) -> bool:
        raise NotImplementedError

    def _dag_filters(self, tag: str | None, *, stale: bool) -> dict[str, str]:
        """Return the query that limits a list to DAGs with this tag, active ones unless `stale`.

        It may select more. Both APIs order the list by DAG id.
        """
        raise NotImplementedError

    def _forbidden(self, response: Response) -> Exception:
        return forbidden(response)

    def _log_reader(self, max_lines: int) -> LogReader:
        raise NotImplementedError

    def follow_log(self, max_lines: int, on_line: Callable[[str], None]) -> LogFollower:
        """See `Airflow`."""
        raise NotImplementedError

    def _seconds(self, response: Response, value: Any) -> float:
        """Parse a duration in the format of this API."""
        raise NotImplementedError

    def _xcom_params(self) -> dict[str, str]:
        """Return the query that requests the XCom's value instead of its repr.

        Raises:
            NotSupported: this Airflow returns only the repr.
        """
        raise NotImplementedError

    def probes(self, dag_id: str) -> tuple[Probe, ...]:
        """See `Airflow`."""
        raise NotImplementedError

    @property
    def _can_filter_tasks(self) -> bool:
        """Whether a list of task instances can be limited to some tasks of one run."""
        return True

    _task_order: ClassVar[dict[str, str]] = {}
    """The part of the body that makes the order of that list stable."""

    # The rest is the same in both.

    def __init__(
        self, transport: Transport, version: str, deadline: Deadline = NO_DEADLINE
    ) -> None:
        self._transport = transport
        self.base_url = transport.base_url
        self.version = version
        # Major, minor and patch version: a vendor or a pre-release may append anything.
        numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
        self._release = tuple(int(part) for part in numbers.groups("0")) if numbers else ()
        self._deadline = deadline

    def _require_paths(self, request: RunRequest) -> None:
        """Check that the requests that this step cannot do without can be sent.

        Raises:
            NotSupported: the DAG id is too long for the transport, or the ids for an XCom.
        """
        self._transport.require_path(f"{self.api}/dags/{segment(request.dag_id)}/dagRuns")
        for _, task_id, key in request.xcoms:
            path = xcom_path(request.dag_id, request.run_id, task_id, key)
            self._transport.require_path(f"{self.api}{path}")

    def within(self, deadline: Deadline) -> Self:
        """See `Airflow`."""
        bound = copy(self)
        bound._deadline = deadline  # noqa: SLF001 - its own copy
        return bound

    @property
    def now(self) -> datetime | None:
        """See `Airflow`."""
        return self._transport.server_time

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        missing: Callable[[Response], Exception] | None = None,
        repeatable: bool = True,
    ) -> Response:
        """Send a request and raise the errors that its status means.

        Args:
            method: HTTP method.
            path: path below the API's.
            body: JSON body.
            params: query parameters.
            missing: returns the error for a 404; None: the caller handles a 404.
            repeatable: see `Transport.send`.

        Raises:
            Unauthorized, Forbidden: 401 and 403.
            Exception: the error of `missing` for a 404, or an error of `Transport.send`.
        """
        response = self._transport.send(
            method,
            f"{self.api}{path}",
            self._deadline,
            params=params,
            body=body,
            repeatable=repeatable,
        )
        return self._require_allowed(response, missing)

    def _require_allowed(
        self, response: Response, missing: Callable[[Response], Exception] | None = None
    ) -> Response:
        if response.status == 403:
            raise self._forbidden(response)
        if response.status == 404 and missing is not None:
            raise missing(response)
        return response

    # DAGs.

    def get_dag(self, dag_id: str) -> Dag:
        """See `Airflow`."""
        response = self._request(
            "GET", f"/dags/{segment(dag_id)}", missing=partial(dag_not_found, dag_id)
        )
        body = require_object(response, 200, {"dag_id": str, "is_paused": bool})
        return parse_dag(response, body, is_active=self._is_active(body))

    def list_dags(self, tag: str | None = None, *, stale: bool = False) -> tuple[Dag, ...]:
        """See `Airflow`.

        Measured: docs/notes/airflow-2.md#list-of-dags, docs/notes/airflow-3.md#list-of-dags.

        A DAG that comes or goes between two pages moves all after it. Pages overlap by one DAG, so
        that the number of DAGs is wrong whenever one is missing.
        """
        filters = self._dag_filters(tag, stale=stale)
        listed: dict[str, Dag | None] = {}
        total = 0
        for number in range(MAX_PAGES):
            if number and self._deadline.has_passed():
                raise dags_too_slow(len(listed), total)
            # Pages of a single DAG cannot overlap.
            overlap = min(1, len(listed) - number)
            params = {"limit": _MAX_ITEMS, "offset": len(listed) - overlap}
            response, items = self._list("/dags", "dags", {**filters, **params})
            total = require_object(response, 200, {"total_entries": int})["total_entries"]
            page = dict(self._listed_dag(response, item, tag) for item in items)
            is_last = page.keys() <= listed.keys()
            listed |= page
            if is_last or len(listed) >= total:
                break
        if len(listed) != total:
            raise dags_changed(response, len(listed), total)
        return tuple(dag for dag in listed.values() if dag and (stale or dag.is_active))

    def _listed_dag(
        self, response: Response, item: dict[str, Any], tag: str | None
    ) -> tuple[str, Dag | None]:
        """Return the id of a listed DAG, and the DAG unless it lacks the tag."""
        if not isinstance(item.get("dag_id"), str) or not isinstance(item.get("is_paused"), bool):
            raise response.unexpected("a DAG has no dag_id or is_paused.")
        dag = parse_dag(response, item, is_active=self._is_active(item))
        tags = optional(response, item, "tags", list) or []
        has_tag = tag is None or any(
            isinstance(one, dict) and one.get("name") == tag for one in tags
        )
        return dag.dag_id, dag if has_tag else None

    def request_reparse(self, file_token: str) -> None:
        """See `Airflow`. Only a refusal raises an error here.

        An Airflow without this endpoint responds with 404, and with 409 if a parse is already
        requested (measured on 3.3.2). Both are ignored.
        """
        path = f"{self.api}/parseDagFile/{segment(file_token)}"
        self._require_allowed(self._transport.put(path, self._deadline))

    def latest_dag_version(self, dag_id: str) -> str | None:
        """See `Airflow`. Airflow 2 has no DAG versions."""
        response, details = self._details(dag_id)
        version = optional(response, details, "latest_dag_version", dict) or {}
        return cast("str | None", optional(response, version, "bundle_version", str))

    def dagrun_timeout(self, dag_id: str) -> float | None:
        """See `Airflow`."""
        response, details = self._details(dag_id)
        value = details.get("dag_run_timeout")
        return None if value is None else self._seconds(response, value)

    def dag_start_date(self, dag_id: str) -> datetime | None:
        """See `Airflow`."""
        response, details = self._details(dag_id)
        return parse_datetime(response, details.get("start_date"))

    def _details(self, dag_id: str) -> tuple[Response, dict[str, Any]]:
        response = self._request(
            "GET", f"/dags/{segment(dag_id)}/details", missing=partial(dag_not_found, dag_id)
        )
        return response, require_object(response, 200, {})

    def task_ids(self, dag_id: str) -> tuple[str, ...]:
        """See `Airflow`. Both APIs have the endpoint, without pages."""
        response = self._request(
            "GET", f"/dags/{segment(dag_id)}/tasks", missing=partial(dag_not_found, dag_id)
        )
        items = _objects(response, "tasks")
        if not all(isinstance(item.get("task_id"), str) for item in items):
            raise response.unexpected("a task has no task_id.")
        return tuple(item["task_id"] for item in items)

    def unpause(self, dag_id: str) -> None:
        """See `Airflow`."""
        response = self._request(
            "PATCH",
            f"/dags/{segment(dag_id)}?update_mask=is_paused",
            {"is_paused": False},
            missing=partial(dag_not_found, dag_id),
        )
        if require_object(response, 200, {"is_paused": bool})["is_paused"]:
            raise response.unexpected("the DAG is still paused.")

    def import_errors(self) -> tuple[DagImportError, ...]:
        """See `Airflow`."""
        found: list[DagImportError] = []
        for _ in range(_MAX_ERROR_PAGES):
            params = {"limit": _MAX_ITEMS} | ({"offset": len(found)} if found else {})
            response, items = self._list("/importErrors", "import_errors", params)
            found += (_import_error(response, item) for item in items)
            body = require_object(response, 200, {})
            if not items or len(found) >= (optional(response, body, "total_entries", int) or 0):
                break
        return tuple(found)

    # DAG runs.

    def check_conf(self, request: RunRequest) -> tuple[str, ...]:
        """See `Airflow`."""
        params = self._params(request.dag_id)
        if problem := refused_param(params, request.conf):
            raise InvalidConf(
                "Airflow refused the DAG run's parameters",
                f"{problem}. So says the schema of the DAG's params.",
                "Correct conf in this step; the DAG's params define what is allowed.",
            )
        return unknown_rules(params)

    def _refused_param(self, request: RunRequest) -> str | None:
        return refused_param(self._params(request.dag_id), request.conf)

    def _params(self, dag_id: str) -> dict[str, Any]:
        _, details = self._details(dag_id)
        params = details.get("params")
        return params if isinstance(params, dict) else {}

    def trigger(self, request: RunRequest) -> DagRun:
        """See `Airflow`."""
        body = self._trigger_body(request)
        path = f"{self.api}/dags/{segment(request.dag_id)}/dagRuns"
        try:
            response = self._require_allowed(
                self._transport.send(
                    "POST", path, self._deadline, body=body, quote_failure=True, repeatable=False
                )
            )
        except TransientError as error:
            raise failed_trigger(error) from None
        except GatewayRefused as refusal:
            raise forbidden_trigger(refusal, len(json.dumps(body))) from None
        if response.status == 409 and is_from_airflow(response):
            raise Conflict("The run id or the logical date is taken", response.detail, "")
        if (refused := refused_trigger(response)) is not None:
            raise refused
        if response.status == 404:
            raise dag_not_found(request.dag_id, response)
        return self._parse_run(response, request.dag_id, request.run_id)

    def _parse_run(self, response: Response, dag_id: str, run_id: str) -> DagRun:
        return require_run(response, dag_id, run_id)

    def get_run(self, dag_id: str, run_id: str) -> DagRun | None:
        """See `Airflow`."""
        return self._run_or_none(self._request("GET", run_path(dag_id, run_id)), dag_id, run_id)

    def list_runs(self, runs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], DagRun]:
        """See `Airflow`. Both APIs have the endpoint, but cannot filter by run id.

        Measured: docs/notes/waiting.md#several-runs-in-one-request.
        """
        response = self._request(
            "POST",
            "/dags/~/dagRuns/list",
            {
                "dag_ids": sorted({dag_id for dag_id, _ in runs}),
                "order_by": "-id",
                "page_limit": min(LISTED_RUNS * len(runs), _MAX_ITEMS),
            },
        )
        found = {}
        for item in _objects(response, "dag_runs"):
            key = item.get("dag_id"), item.get("dag_run_id")
            if key in runs and item.get("state") in get_args(RunState):
                run = parse_run(response, item)
                found[run.dag_id, run.run_id] = run
        return found

    def _patch_run(self, run: DagRun, body: dict[str, str]) -> DagRun | None:
        response = self._request("PATCH", run_path(run.dag_id, run.run_id), body)
        return self._run_or_none(response, run.dag_id, run.run_id)

    def _run_or_none(self, response: Response, dag_id: str, run_id: str) -> DagRun | None:
        if response.status == 404 and self._is_run_not_found(response):
            return None
        return self._parse_run(response, dag_id, run_id)

    def clear(self, dag_id: str, run_id: str, tasks: TasksToClear, *, latest: bool) -> None:
        """See `Airflow`."""
        path, body = self._clear_request(dag_id, run_id, tasks)
        if latest and self.can_clear_to_latest:
            body["run_on_latest_version"] = True
        response = self._request(
            "POST",
            f"/dags/{segment(dag_id)}/{path}",
            {"dry_run": False, **body},
            repeatable=False,
        )
        if response.status == 404 and has_detail(response):
            raise RunNotFound(
                "The DAG run cannot be cleared",
                f"{response.source}: {response.detail}",
                "Re-run this job: the run or the DAG may have been deleted a moment ago.",
            )
        if response.status == 409 and is_from_airflow(response):
            raise Conflict(
                "Airflow cannot clear these tasks",
                describe(response),
                "Clear the run in Airflow's UI, or set if_run_exists: restart, which runs all of "
                "its tasks again.",
            )
        require_object(
            response,
            200,
            {"dag_run_id": str} if path.endswith("/clear") else {"task_instances": list},
        )

    def recent_durations(self, dag_id: str) -> tuple[float, ...]:
        """See `Airflow`."""
        runs = self._runs(dag_id, "success", limit=_MAX_RUNS, order_by="-start_date")
        return tuple(run.duration for run in runs if run.duration)

    def running_runs(self, dag_id: str) -> tuple[DagRun, ...]:
        """See `Airflow`."""
        return self._runs(dag_id, "running", limit=_MAX_ITEMS)

    def _runs(self, dag_id: str, state: RunState, **params: Any) -> tuple[DagRun, ...]:
        path = f"/dags/{segment(dag_id)}/dagRuns"
        response, items = self._list(path, "dag_runs", {**self._run_filters(state), **params})
        matching = [
            item for item in items if (item.get("dag_id"), item.get("state")) == (dag_id, state)
        ]
        return tuple(
            parse_run(response, item)
            for item in matching
            if isinstance(item.get("dag_run_id"), str)
        )

    def _run_filters(self, state: RunState) -> dict[str, str]:
        """Return the query parameters for runs in this state; others are left out afterwards."""
        return {"state": state}

    # Task instances.

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
        """See `Airflow`."""
        params: dict[str, Any] = {}
        if task_ids and not self._can_filter_tasks:
            found = self.task_instances(dag_id, run_id, states=states).instances
            found = tuple(task for task in found if task.task_id in task_ids)
            return TaskList(found if most is None else found[:most], len(found))
        if task_ids:
            params["task_ids"] = sorted(task_ids)
        if states:
            params["state"] = [
                state for state in states if self._release >= _STATES_SINCE.get(state, ())
            ]
        if changed_since is not None and self._release >= (2, 11):
            params["updated_at_gte"] = changed_since.isoformat()
        tasks: dict[TaskKey, TaskInstance] = {}
        offset, total, wanted = 0, 0, inf if most is None else most
        for number in range(MAX_PAGES):
            if number and self._deadline.has_passed():
                raise too_slow(len(tasks), total)
            limit = int(min(self.page, wanted - offset))
            response, items, total = self._tasks_page(
                dag_id, run_id, **params, limit=limit, offset=offset
            )
            known = len(tasks)
            for item in items:
                task = self._task(response, item, dag_id, run_id)
                tasks[task.key] = task
            offset += len(items)
            if offset >= min(total, wanted):
                return TaskList(tuple(tasks.values()), total)
            # An incomplete list is an error, because a missing task instance may have failed.
            if len(tasks) == known:
                raise response.unexpected(
                    f"it returns the same {known} of {total} task instances again."
                )
        raise response.unexpected(
            f"{MAX_PAGES} pages contain only {len(tasks)} of {total} task instances."
        )

    def _task(self, response: Response, item: Any, dag_id: str, run_id: str) -> TaskInstance:
        task = parse_task_instance(response, item)
        return task._replace(url=self.task_url(task, dag_id, run_id))

    def _tasks_page(
        self, dag_id: str, run_id: str, **params: Any
    ) -> tuple[Response, list[Any], int]:
        """Return the response, its task instances as JSON, and their total number."""
        if "task_ids" in params:
            response = self._named_tasks(dag_id, run_id, **params)
        else:
            path = f"{run_path(dag_id, run_id)}/taskInstances"
            response = self._request("GET", path, params=params)
        body = require_object(response, 200, {"task_instances": list, "total_entries": int})
        return response, body["task_instances"], body["total_entries"]

    def _named_tasks(
        self,
        dag_id: str,
        run_id: str,
        *,
        task_ids: list[str],
        limit: int,
        offset: int,
        state: Sequence[str] = (),
    ) -> Response:
        """Request task instances of some tasks. A GET can filter by one task at most.

        Measured: docs/notes/airflow-3.md#task-instances, docs/notes/airflow-2.md#task-instances.
        """
        response = self._request(
            "POST",
            "/dags/~/dagRuns/~/taskInstances/list",
            {
                "dag_ids": [dag_id],
                "dag_run_ids": [run_id],
                "task_ids": task_ids,
                "page_limit": max(limit, 1),
                "page_offset": offset,
                **({"state": list(state)} if state else {}),
                **self._task_order,
            },
        )
        for item in _objects(response, "task_instances"):
            place = item.get("dag_id"), item.get("dag_run_id")
            if place != (dag_id, run_id) or item.get("task_id") not in task_ids:
                raise response.unexpected("it is about another run or task.")
        return response

    def log(self, run: DagRun, task: TaskInstance, max_lines: int) -> TaskLog:
        """See `Airflow`."""
        reader = self._log_reader(max_lines)
        path = f"{task_path(run, task.task_id)}/logs/{max(task.try_number, 1)}"
        params = _coordinate_params(task.coordinates)
        self._download(
            path,
            self._log_format,
            reader.consume,
            params,
            lambda found: NotFound("The log is missing", describe(found), ""),
        )
        return reader.close()

    def continue_log(
        self, run: DagRun, task: TaskInstance, try_number: int, follower: LogFollower
    ) -> None:
        """See `Airflow`. Only JSON has a continuation token that works, in both APIs."""
        follower.begin()
        path = f"{self.api}{task_path(run, task.task_id)}/logs/{try_number}"
        params: dict[str, Any] = _coordinate_params(task.coordinates)
        if follower.token is not None:
            params["token"] = follower.token
        response = self._require_allowed(
            self._transport.download(
                path, self._deadline, "application/json", follower.consume, params
            ),
            lambda found: NotFound("The log is missing", describe(found), ""),
        )
        if response.status == 400 and follower.token is not None:
            # After a restart with another secret key, Airflow knows its tokens no longer.
            follower.forget_token()
            return
        require_status(response, 200)
        follower.end()

    def is_mapped(self, run: DagRun, task_id: str) -> bool:
        """See `Airflow`. The list of a task that is not mapped is a 404 in both APIs."""
        try:
            response = self._request(
                "GET",
                f"{task_path(run, task_id)}/listMapped?limit=1",
                missing=lambda found: NotFound("The task is not mapped", describe(found), ""),
            )
        except NotFound:
            return False
        _objects(response, "task_instances")
        return True

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
        """See `Airflow`."""
        body = bytearray()

        def consume(chunk: bytes) -> bool:
            body.extend(chunk)
            return len(body) <= limit

        path = xcom_path(run.dag_id, run.run_id, task_id, key)
        params = {**self._xcom_params(), **_coordinate_params(at)}
        response = self._download(
            path,
            "application/json",
            consume,
            params,
            lambda found: NotFound("The XCom is missing", describe(found), ""),
        )
        if len(body) > limit:
            raise ResponseTooLarge(
                "The XCom is too large", f"{response.source}, with more than {limit} bytes.", ""
            )
        try:
            found = json.loads(body)
            value, written = found["value"], found.get("timestamp")
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise response.unexpected("the JSON is cut off, or has no value.") from None
        written_at = parse_datetime(response, written) if since is not None else None
        if since is not None and written_at is not None and written_at < since:
            raise NotFound("The XCom is missing", "It is from an earlier attempt.", "")
        return value

    def _download(
        self,
        path: str,
        accept: str,
        consume: Callable[[bytes], bool],
        params: dict[str, Any],
        missing: Callable[[Response], Exception],
    ) -> Response:
        """Download a body in chunks; `missing` returns the error for a 404."""
        response = self._transport.download(
            f"{self.api}{path}", self._deadline, accept, consume, params
        )
        return require_status(self._require_allowed(response, missing), 200)

    def heartbeat_timeout(self, run: DagRun, task: TaskInstance) -> str | None:
        """See `Airflow`. The task's own log does not contain it (measured on 2.11.2 and 3.3.2)."""
        params = {
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "task_id": task.task_id,
            "limit": _MAX_ITEMS,
        }
        response, items = self._list("/eventLogs", "event_logs", params)
        for item in items:
            if item.get("event") == "heartbeat timeout" and item.get("task_id") == task.task_id:
                return str(optional(response, item, "extra", str) or "")
        return None

    def unmet_dependencies(self, run: DagRun, task: TaskInstance) -> tuple[str, ...]:
        """See `Airflow`. Both APIs have the endpoint (measured on 2.11.2 and 3.3.2)."""
        region = _coordinate_params(task.coordinates) if task.region_id else None
        index = f"/{task.map_index}" if task.map_index >= 0 and not region else ""
        response = self._request(
            "GET",
            f"{task_path(run, task.task_id)}{index}/dependencies",
            params=region,
            missing=lambda found: NotFound(
                "Airflow does not say what the task waits for", describe(found), ""
            ),
        )
        items = require_object(response, 200, {"dependencies": list})["dependencies"]
        return tuple(
            str(item.get("reason"))
            for item in items
            if isinstance(item, dict) and item.get("name") not in _USUAL_DEPENDENCIES
        )

    # For a dry run.

    def probe(self, probe: Probe) -> Verdict:
        """See `Airflow`. The response to a probe that is allowed is an error, or says nothing."""
        response = self._transport.send(
            probe.method,
            f"{self.api}{probe.path}",
            self._deadline,
            params=probe.params,
            body=probe.body,
            checks_credential=False,  # an old version may not have the endpoint
        )
        if response.status == 403:
            if not is_from_airflow(response):
                raise forbidden(response)
            return "refused"
        return "allowed" if self._is_of_endpoint(response) else "unknown"

    def _is_of_endpoint(self, response: Response) -> bool:
        """Return whether the response can only come from the endpoint, and not from another one."""
        if response.status == 200:
            return isinstance(response.body, dict) and bool(response.body)
        return (
            response.status in (400, 404, 422)
            and is_from_airflow(response)
            and isinstance(response.body, dict)
            and response.body.get("type") != "about:blank"  # Airflow 2 does not know the path
        )

    def runs_at(self, dag_id: str, logical_date: datetime) -> tuple[str, ...]:
        """See `Airflow`. Airflow 2 has the filter by another name."""
        name = "execution_date" if self.api == "/api/v1" else "logical_date"
        day = logical_date.isoformat()
        _, runs = self._list(
            f"/dags/{segment(dag_id)}/dagRuns",
            "dag_runs",
            {f"{name}_gte": day, f"{name}_lte": day},
        )
        return tuple(str(run.get("dag_run_id")) for run in runs)

    # Airflow itself.

    def health(self) -> Health:
        """See `Airflow`. The endpoint needs no permission and responds with 200 in every state.

        Measured: docs/notes/airflow-2.md#health-endpoint, docs/notes/airflow-3.md#health-endpoint.
        """
        response = self._transport.send(
            "GET", f"{self.api}{self._health}", self._deadline, anonymous=True
        )
        body = require_object(response, 200, {"scheduler": dict})
        return Health(
            *(_is_healthy(body.get(name)) for name in ("scheduler", "dag_processor", "triggerer"))
        )

    def pool(self, name: str) -> Pool:
        """See `Airflow`."""
        response = self._request("GET", f"/pools/{segment(name)}")
        body = require_object(response, 200, {"name": str, "slots": int})
        free = body.get("open_slots")
        return Pool(name, body["slots"], free if isinstance(free, int) else body["slots"])

    def pool_task_instances(self, name: str) -> tuple[tuple[str, str, TaskInstance], ...]:
        """See `Airflow`."""
        response, items, _ = self._tasks_page(
            "~", "~", pool=name, state=["running", "queued"], limit=_MAX_ITEMS
        )
        found = []
        for item in items:
            dag_id, run_id = (
                str(item.get(key)) if isinstance(item, dict) else ""
                for key in ("dag_id", "dag_run_id")
            )
            found.append((dag_id, run_id, self._task(response, item, dag_id, run_id)))
        return tuple(found)

    def _list(
        self, path: str, key: str, params: dict[str, Any]
    ) -> tuple[Response, list[dict[str, Any]]]:
        response = self._request("GET", path, params=params)
        return response, _objects(response, key)


def _objects(response: Response, key: str) -> list[dict[str, Any]]:
    """Return the list of objects below this key."""
    items: list[dict[str, Any]] = require_object(response, 200, {key: list})[key]
    if not all(isinstance(item, dict) for item in items):
        raise response.unexpected("an item of the list is not an object.")
    return items


def _import_error(response: Response, item: dict[str, Any]) -> DagImportError:
    trace = optional(response, item, "stack_trace", str) or ""
    file, bundle, token = (
        optional(response, item, key, str) or ""
        for key in ("filename", "bundle_name", "file_token")
    )
    seen_at = parse_datetime(response, item.get("timestamp"))
    return DagImportError(file, trace, read_traceback(trace), bundle, seen_at, token)


def run_path(dag_id: str, run_id: str) -> str:
    """Return the path of a DAG run below the API's."""
    return f"/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}"


def task_path(run: DagRun, task_id: str) -> str:
    """Return the path of a task instance below the API's."""
    return f"{run_path(run.dag_id, run.run_id)}/taskInstances/{segment(task_id)}"


def xcom_path(dag_id: str, run_id: str, task_id: str, key: str) -> str:
    """Return the path of an XCom below the API's."""
    task = f"{run_path(dag_id, run_id)}/taskInstances/{segment(task_id)}"
    return f"{task}/xcomEntries/{segment(key)}"


def _coordinate_params(at: Coordinates) -> dict[str, str | int]:
    """Return the query that addresses one of several task instances of a task.

    In a loop only region id and region index together do; a map index beside them may be refused
    (docs/notes/airflow-versions.md#loops).
    """
    if at.region_id:
        return {"region_id": at.region_id, "region_index": at.region_index}
    return {} if at.map_index < 0 else {"map_index": at.map_index}


def _is_healthy(component: Any) -> bool | None:
    status = component.get("status") if isinstance(component, dict) else None
    return None if status is None else status == "healthy"
