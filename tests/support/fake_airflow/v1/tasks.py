"""Task instances, logs and XComs in Airflow 2.11.2.

Measured: docs/notes/airflow-2.md#task-instances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.fake_airflow.bodies import batch_page, dependencies, task_list
from tests.support.fake_airflow.messages import FakeResponse, as_json, page
from tests.support.fake_airflow.routing import Call, Route, page_of
from tests.support.fake_airflow.v1 import bodies
from tests.support.fake_airflow.v1 import log as v1_log
from tests.support.fake_airflow.v1.base import V1Base, refuse

if TYPE_CHECKING:
    from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance

T = TypeVar("T")

RUN = "/api/v1/dags/{dag_id}/dagRuns/{run_id}"
TASK = RUN + "/taskInstances/{task_id}"
EVERYWHERE = "/api/v1/dags/~/dagRuns/~/taskInstances"
PAGE = {"limit", "offset"}
STATES = {
    "none",
    "queued",
    "running",
    "success",
    "failed",
    "upstream_failed",
    "skipped",
    "scheduled",
    "removed",
}
STATES |= {"up_for_retry", "up_for_reschedule", "restarting", "deferred"}
FILTERS = {*PAGE, "state", "pool", "updated_at_gte", "updated_at_lte"}
OTHER_FILTERS = {
    "queue",
    "executor",
    "duration_gte",
    "duration_lte",
    "execution_date_gte",
    "execution_date_lte",
}
OTHER_FILTERS |= {"start_date_gte", "start_date_lte", "end_date_gte", "end_date_lte"}


BATCH_FIELDS = {"dag_ids", "dag_run_ids", "task_ids", "state", "page_limit", "page_offset"}


class V1Tasks(V1Base):
    """The routes below a run's task instances."""

    def task_routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", RUN + "/taskInstances", self.list_instances, "task_instances"),
            Route("GET", "/api/v1/dags/{dag_id}/tasks", self.list_tasks, "tasks"),
            Route("POST", EVERYWHERE + "/list", self.list_instance_batch, "task_batch"),
            Route("GET", TASK + "/dependencies", self.dependencies, "task_instances"),
            Route("GET", TASK + "/{map_index}/dependencies", self.dependencies, "task_instances"),
            Route("GET", TASK + "/logs/{number}", self.log, "logs"),
            Route("GET", TASK + "/xcomEntries", self.list_xcoms, "xcom"),
            Route("GET", TASK + "/xcomEntries/{key}", self.get_xcom, "xcom"),
        )

    def page(self, call: Call, rows: list[T]) -> list[T]:
        """Return the rows for limit and offset: at most 100, and 100 for a limit of 0."""
        limit = self.number(call, "limit", 100) or 100
        if limit < 0:
            raise refuse(400, "Page limit must be a positive integer", None)
        offset = self.number(call, "offset", 0)
        return rows[offset : offset + min(limit, 100)]

    def listed(self, call: Call, name: str) -> list[str]:
        """Return the values of a query parameter, repeated or separated by commas."""
        return [one for value in call.request.query.get(name, []) for one in value.split(",")]

    def list_instances(self, call: Call) -> FakeResponse:
        """GET task instances.

        Any limit works, an unknown run has none, unknown parameters are refused.
        """
        self.role(call.request)
        self.known(call, FILTERS, OTHER_FILTERS)
        states, pools = self.listed(call, "state"), self.listed(call, "pool")
        since, until = self.moment(call, "updated_at_gte"), self.moment(call, "updated_at_lte")
        if not STATES.issuperset(states):
            return page(500, "Internal Server Error")
        rows = [
            (run, one)
            for run, one in self.database.instances(
                self.database.runs_of(call["dag_id"], call["run_id"])
            )
            if (not states or (one.state or "none") in states)
            and (not pools or one.task.pool in pools)
            and (since is None or one.updated_at >= since)
            and (until is None or one.updated_at <= until)
        ]
        shown = [
            bodies.instance(*row) for row in page_of(rows, call.request, default=100, cap=None)
        ]
        return as_json(200, {"task_instances": shown, "total_entries": len(rows)})

    def list_tasks(self, call: Call) -> FakeResponse:
        """GET the tasks of a DAG."""
        self.role(call.request)
        return as_json(200, task_list(self.dag(call)))

    def list_instance_batch(self, call: Call) -> FakeResponse:
        """POST a filter: the task instances of some runs or tasks. Any limit works, but for 0."""
        body = self.json_object(call.request)
        self.role(call.request)
        self.fields(body, BATCH_FIELDS)
        states = body.get("state", ())
        if body.get("page_limit") == 0:
            detail = "{'page_limit': ['Must be greater than or equal to 1.']}"
            raise refuse(400, "Bad Request", detail)
        if not STATES.issuperset(states):
            raise refuse(400, "Bad Request", f"{states!r} is not one of the enum values - 'state'")
        rows = self.database.batch(body, none="none")
        shown = [bodies.instance(*row) for row in batch_page(rows, body)]
        return as_json(200, {"task_instances": shown, "total_entries": len(rows)})

    def dependencies(self, call: Call) -> FakeResponse:
        """GET why a task instance does not start."""
        self.role(call.request)
        run = self.find_run(call)
        instance = (
            run.instance(call["task_id"], int(call.parameters.get("map_index", "-1")))
            if run
            else None
        )
        if run is None or instance is None:
            names = f"dag_id={call['dag_id']}, run_id={call['run_id']}, task_id={call['task_id']}"
            raise refuse(404, f"Task Instance not found for {names}", None)
        return as_json(200, dependencies(self.database, run, instance))

    def log(self, call: Call) -> FakeResponse:
        """GET one try's log: text, or JSON on request, which wraps a Python repr."""
        self.role(call.request)
        instance, number = self.find_instance(call), int(call["number"])
        if instance is None:
            raise refuse(404, "TaskInstance not found", None)
        before = self.read_token(call)
        accept = call.request.headers.get("Accept", "application/json")
        if "text/plain" in accept or "*/*" in accept:
            length = sum(len(piece) for piece in v1_log.pieces(instance, number))
            return FakeResponse(
                200,
                stream=v1_log.pieces(instance, number),
                length=length,
                content_type="text/plain",
            )
        host, *lines = v1_log.lines(instance, number)
        head = next((n + 1 for n, line in enumerate(lines) if line.endswith(v1_log.END)), 0)
        log = "\n".join(lines[head:])
        ended = number != instance.try_number or instance.state not in {"running", "deferred"}
        found: dict[str, int | bool] = {"end_of_log": ended}
        if self.has(2, 5):
            found["log_pos"] = len(log)
        else:  # it reads the whole log again
            before = {}
        text = log[before["log_pos"] :] if "log_pos" in before else "\n".join(lines)
        return as_json(
            200,
            {
                "content": str([(host, text)]),
                "continuation_token": self.database.log_tokens.write(found),
            },
        )

    def read_token(self, call: Call) -> dict[str, Any]:
        """Return what the request's continuation token says."""
        if not (token := call.request.first("token")):
            return {}
        if (found := self.database.log_tokens.read(token)) is None:
            raise refuse(
                400, "Bad Signature. Please use only the tokens provided by the API.", None
            )
        return found

    def list_xcoms(self, call: Call) -> FakeResponse:
        """GET the XComs without their values."""
        self.role(call.request)
        self.known(call, {*PAGE, "map_index", "xcom_key"}, set())
        index, key = self.number(call, "map_index", -2), call.request.first("xcom_key")
        found = [
            bodies.xcom(run, instance, name)
            for run, instance in self._of_task(call)
            for name in sorted(instance.pushed)
            if index in {-2, instance.task.map_index} and key in {"", name}
        ]
        return as_json(200, {"total_entries": len(found), "xcom_entries": self.page(call, found)})

    def get_xcom(self, call: Call) -> FakeResponse:
        """GET one XCom: a Python repr unless stringify=false."""
        self.role(call.request)
        run, instance, key = self.find_run(call), self.find_instance(call), call["key"]
        if run is None or instance is None or key not in instance.pushed:
            raise refuse(404, "XCom entry not found", None)
        value = instance.pushed[key]
        shown = value if call.request.first("stringify") == "false" else str(value)
        return as_json(200, bodies.xcom(run, instance, key) | {"value": shown})

    def _of_task(self, call: Call) -> list[tuple[FakeRun, FakeTaskInstance]]:
        found = self.database.instances(self.database.runs_of(call["dag_id"], call["run_id"]))
        return [(run, one) for run, one in found if call["task_id"] in {"~", one.task.task_id}]
