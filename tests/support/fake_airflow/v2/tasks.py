"""Task instances, logs, XComs and HITL requests in Airflow 3.3.2.

Measured: docs/notes/airflow-3.md#task-instances, docs/notes/airflow-3.md#task-logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.bodies import batch_page, dependencies, task_list
from tests.support.fake_airflow.messages import FakeResponse, as_json
from tests.support.fake_airflow.routing import Call, Route
from tests.support.fake_airflow.runs import ACTIVE, FINISHED, FakeRun, FakeTaskInstance
from tests.support.fake_airflow.v2 import bodies
from tests.support.fake_airflow.v2 import log as v2_log
from tests.support.fake_airflow.v2.base import V2Base, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    Row = tuple[FakeRun, FakeTaskInstance]

RUN = "/api/v2/dags/{dag_id}/dagRuns/{run_id}"
TASK = RUN + "/taskInstances/{task_id}"
EVERYWHERE = "/api/v2/dags/~/dagRuns/~/taskInstances"
ORDER: dict[str, Callable[[Row], Any]] = {
    "id": lambda _: 0,
    "state": lambda row: row[1].state,
    "duration": lambda row: row[1].duration,
    "start_date": lambda row: row[1].start_date,
    "end_date": lambda row: row[1].end_date,
    "map_index": lambda row: row[1].task.map_index,
    "try_number": lambda row: row[1].try_number,
    "logical_date": lambda row: row[0].logical_date,
    "run_after": lambda row: row[0].run_after,
    "operator": lambda row: row[1].task.operator,
}
STATES = (
    *(
        "removed",
        "scheduled",
        "queued",
        "running",
        "success",
        "restarting",
        "failed",
        "up_for_retry",
    ),
    *("up_for_reschedule", "upstream_failed", "skipped", "deferred", "awaiting_input"),
)
NO_CURSOR = {"total_entries_limit": None, "next_cursor": None, "previous_cursor": None}
DATES = ("run_after", "logical_date", "start_date", "end_date", "duration")
OTHER_FILTERS = {f"{name}_{end}" for name in DATES for end in ("gte", "gt", "lte", "lt")}
OTHER_FILTERS |= {
    "updated_at_gt",
    "updated_at_lt",
    "queue",
    "executor",
    "version_number",
    "try_number",
    "operator",
}
OTHER_FILTERS |= {
    "cursor",
    "pool_name_pattern",
    "task_display_name_pattern",
    "task_group_id",
    "run_id_pattern",
}


BATCH_FIELDS = {
    *("dag_ids", "dag_run_ids", "task_ids", "state", "page_limit", "page_offset"),
    "order_by",
}


class V2Tasks(V2Base):
    """The routes below a run's task instances."""

    def task_routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", RUN + "/taskInstances", self.list_instances, "task_instances"),
            Route("GET", "/api/v2/dags/{dag_id}/tasks", self.list_tasks, "tasks"),
            Route("POST", EVERYWHERE + "/list", self.list_instance_batch, "task_batch"),
            Route("GET", TASK + "/dependencies", self.dependencies, "task_instances"),
            Route("GET", TASK + "/{map_index}/dependencies", self.dependencies, "task_instances"),
            Route("GET", TASK + "/logs/{number}", self.log, "logs"),
            Route("GET", TASK + "/xcomEntries", self.list_xcoms, "xcom"),
            Route("GET", TASK + "/xcomEntries/{key}", self.get_xcom, "xcom"),
            Route("GET", RUN + "/hitlDetails", self.questions, "hitl"),
        )

    def list_instances(self, call: Call) -> FakeResponse:
        """GET task instances: at most 100 at a time, whatever the limit."""
        self.role(call.request)
        self.known(call, *OTHER_FILTERS)
        states, query = self.states(call, STATES), call.request.query
        since, until = self.moment(call, "updated_at_gte"), self.moment(call, "updated_at_lte")
        pools, task_id, indexes = (
            query.get("pool", []),
            call.request.first("task_id"),
            query.get("map_index", []),
        )
        rows = [
            (run, one)
            for run, one in self.database.instances(self._runs(call))
            if (not states or (one.state or "none") in states)
            and (not pools or one.task.pool in pools)
            and (not task_id or one.task.task_id == task_id)
            and (not indexes or str(one.task.map_index) in indexes)
            and (since is None or one.updated_at >= since)
            and (until is None or one.updated_at <= until)
        ]
        shown = [
            self.shown(*row)
            for row in self.page(call, self.ordered(call, rows, ORDER, "map_index"))
        ]
        return as_json(200, {"task_instances": shown, "total_entries": len(rows)} | NO_CURSOR)

    def list_tasks(self, call: Call) -> FakeResponse:
        """GET the tasks of a DAG."""
        self.role(call.request)
        return as_json(200, task_list(self.dag(call)))

    def list_instance_batch(self, call: Call) -> FakeResponse:
        """POST a filter: the task instances of some runs or tasks. Any limit works."""
        body = self.json_value(call.request)
        self.role(call.request)
        body = self.fields(body, *BATCH_FIELDS)
        if not {*STATES, None}.issuperset(body.get("state", ())):
            raise refuse(422, "Input should be a state")
        rows = self.database.batch(body, none=None)
        shown = [self.shown(*row) for row in batch_page(rows, body)]
        return as_json(200, {"task_instances": shown, "total_entries": len(rows)} | NO_CURSOR)

    def shown(self, run: FakeRun, instance: FakeTaskInstance) -> dict[str, Any]:
        """Return a task instance as this version shows it."""
        loops = bodies.loop(instance) if self.has(3, 4) else {}
        return bodies.instance(run, instance) | loops

    def dependencies(self, call: Call) -> FakeResponse:
        """GET why a task instance does not start."""
        self.role(call.request)
        run = self.database.runs.get((call["dag_id"], call["run_id"]))
        instance = self.find_instance(call)
        if run is None or instance is None:
            names = f"dag_id={call['dag_id']}, run_id={call['run_id']}, task_id={call['task_id']}"
            raise refuse(404, f"Task Instance not found for {names}")
        return as_json(200, dependencies(self.database, run, instance))

    def log(self, call: Call) -> FakeResponse:
        """GET one try's log: one JSON document, or ndjson without holding it in memory."""
        self.role(call.request)
        accept = call.request.headers.get("Accept", "*/*")
        if not any(kind in accept for kind in ("*/*", "application/json", "application/x-ndjson")):
            raise refuse(406, "Only application/json or application/x-ndjson is supported")
        instance, number = self.find_instance(call), int(call["number"])
        # A task instance that was never scheduled has the try number 0.
        if instance is None or not min(1, instance.try_number) <= number <= instance.try_number:
            raise refuse(404, "TaskInstance not found")
        entries = v2_log.entries(instance, number, self.database.now())
        if "application/x-ndjson" in accept:
            token = (("Airflow-Continuation-Token", "bm9uZQ"),)
            return FakeResponse(
                200,
                stream=v2_log.lines(entries),
                content_type="application/x-ndjson",
                headers=token,
            )
        found = list(entries)
        head = found.index({"event": "::endgroup::"}) + 1
        length = len(found) - head
        if given := call.request.first("token"):
            before = self.database.log_tokens.read(given)
            if before is None:
                message = "Bad Signature. Please use only the tokens provided by the API."
                raise refuse(400, message)
            # Before 3.2, a token only leaves out the head.
            found = found[head + (before["log_pos"] if self.has(3, 2) else 0) :]
        going_on = instance.state in ACTIVE and number == instance.try_number
        position = {"end_of_log": False, "log_pos": length}
        return as_json(
            200,
            {
                "content": found,
                "continuation_token": self.database.log_tokens.write(position)
                if going_on
                else None,
            },
        )

    def list_xcoms(self, call: Call) -> FakeResponse:
        """GET the XComs without their values."""
        self.role(call.request)
        indexes, key = call.request.query.get("map_index", []), call.request.first("xcom_key")
        found = [
            bodies.xcom(run, instance, name)
            for run, instance in self._of_task(call)
            for name in sorted(instance.pushed)
            if (not indexes or str(instance.task.map_index) in indexes) and key in {"", name}
        ]
        return as_json(200, {"xcom_entries": self.page(call, found), "total_entries": len(found)})

    def get_xcom(self, call: Call) -> FakeResponse:
        """GET one XCom."""
        self.role(call.request)
        run, instance, key = (
            self.database.runs.get((call["dag_id"], call["run_id"])),
            self.find_instance(call),
            call["key"],
        )
        if run is None or instance is None or key not in instance.pushed:
            raise refuse(404, f"XCom entry with key: `{key}` not found")
        value = instance.pushed[key]
        shown = str(value) if call.request.first("stringify") == "true" else value
        return as_json(200, bodies.xcom(run, instance, key) | {"value": shown})

    def questions(self, call: Call) -> FakeResponse:
        """GET the HITL requests of a run; none for an unknown run."""
        self.role(call.request)
        self.known(
            call, "task_id", "map_index", "state", "order_by", "subject_search", "body_search"
        )
        found = [
            (run, one)
            for run, one in self.database.instances(
                self.database.runs_of(call["dag_id"], call["run_id"])
            )
            if one.task.question and one.started and one.state in {"awaiting_input", *FINISHED}
        ]
        if wanted := call.request.first("response_received"):
            found = [row for row in found if (row[1].state in FINISHED) is (wanted == "true")]
        shown = [bodies.question(*row) for row in self.page(call, found)]
        return as_json(200, {"hitl_details": shown, "total_entries": len(found)})

    def _runs(self, call: Call) -> list[FakeRun]:
        """Return the runs of the path; 400 or 404 if there are none."""
        dag_id, run_id = call["dag_id"], call["run_id"]
        if run_id == "~":
            if dag_id != "~":
                self.dag(call)
            return self.database.runs_of(dag_id)
        if dag_id == "~":
            raise refuse(400, "dag_id is required when dag_run_id is specified")
        if (run := self.database.runs.get((dag_id, run_id))) is None:
            raise refuse(
                404, f"DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"
            )
        return [run]

    def _of_task(self, call: Call) -> list[Row]:
        found = self.database.instances(self.database.runs_of(call["dag_id"], call["run_id"]))
        return [(run, one) for run, one in found if call["task_id"] in {"~", one.task.task_id}]
