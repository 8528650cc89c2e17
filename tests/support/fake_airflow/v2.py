"""The dialect of Airflow 3.3.2: /api/v2 and /auth/token, with the simple auth manager (facts: airflow-3.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow import v2_bodies as bodies
from tests.support.fake_airflow.messages import Answer, as_json
from tests.support.fake_airflow.routing import Call, Route
from tests.support.fake_airflow.v2_base import V2Base, refuse
from tests.support.fake_airflow.v2_trigger import problem, problems, run_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fake_airflow.nouns import FakeRun
    from tests.support.fake_airflow.world import World

RUN = "/api/v2/dags/{dag_id}/dagRuns/{run_id}"
TASK = RUN + "/taskInstances/{task_id}"
RUN_ORDER = {name: name for name in ("dag_run_id", "logical_date", "run_after", "start_date", "end_date", "state")}
RUN_ORDER |= {"id": "queued_at", "run_id": "dag_run_id", "duration": "duration"}
INSTANCE_ORDER = {
    name: name for name in ("id", "state", "start_date", "end_date", "duration", "map_index", "try_number")
}
RUN_STATES = ("queued", "running", "success", "failed")
TASK_STATES = (
    *("removed", "scheduled", "queued", "running", "success", "restarting", "failed", "up_for_retry"),
    *("up_for_reschedule", "upstream_failed", "skipped", "deferred", "awaiting_input"),
)
NO_CURSOR = {"total_entries_limit": None, "next_cursor": None, "previous_cursor": None}


class V2(V2Base):
    """Answers as Airflow 3.3.2."""

    def __init__(self, world: World, prefix: str, token_lifetime: int) -> None:
        super().__init__(world, prefix, token_lifetime)
        self.routes = (
            Route("GET", "/api/v2/version", self.version),
            Route("GET", "/api/v2/monitor/health", self.health),
            Route("POST", "/auth/token", lambda call: self.tokens.log_in(call.request)),
            Route("GET", "/api/v2/dags/{dag_id}", self.get_dag),
            Route("PATCH", "/api/v2/dags/{dag_id}", self.patch_dag),
            Route("GET", "/api/v2/dags/{dag_id}/details", self.get_details),
            Route("GET", "/api/v2/dags/{dag_id}/dagRuns", self.list_runs),
            Route("POST", "/api/v2/dags/{dag_id}/dagRuns", self.trigger),
            Route("POST", "/api/v2/dags/{dag_id}/clearTaskInstances", self.clear_instances),
            Route("GET", RUN, self.get_run),
            Route("PATCH", RUN, self.patch_run),
            Route("POST", RUN + "/clear", self.clear),
            Route("GET", RUN + "/wait", self.wait),
            Route("GET", RUN + "/taskInstances", self.list_instances),
            Route("GET", TASK + "/logs/{number}", self.log),
            Route("GET", TASK + "/xcomEntries", self.list_xcoms),
            Route("GET", TASK + "/xcomEntries/{key}", self.get_xcom),
            Route("GET", "/api/v2/importErrors", self.import_errors),
        )

    def get_dag(self, call: Call) -> Answer:
        """GET a DAG."""
        self.tokens.role(call.request)
        return as_json(200, bodies.dag(self.world, self.dag(call, look=True)))

    def get_details(self, call: Call) -> Answer:
        """GET a DAG with its params."""
        self.tokens.role(call.request)
        return as_json(200, bodies.details(self.world, self.dag(call, look=True)))

    def patch_dag(self, call: Call) -> Answer:
        """PATCH is_paused."""
        body = self.json_value(call.request)
        self.writer(call)
        body = self.fields(body, "is_paused")
        if not isinstance(body.get("is_paused"), bool):
            raise refuse(422, [problem("missing", "Field required", body, "is_paused")])
        if self.world.dag(call["dag_id"]) is None:
            raise refuse(404, f"Dag with id: {call['dag_id']} was not found")
        self.world.paused[call["dag_id"]] = body["is_paused"]
        return as_json(200, bodies.dag(self.world, self.dag(call)))

    def list_runs(self, call: Call) -> Answer:
        """GET the runs of a DAG."""
        self.tokens.role(call.request)
        states, dag = self.states(call, RUN_STATES), self.dag(call)
        rows = [run for run in self.world.runs_of(dag.dag_id) if not states or run.state in states]
        found = self.ordered(call, [bodies.run(run) for run in rows], RUN_ORDER)
        return as_json(200, {"dag_runs": self.page(call, found), "total_entries": len(rows)} | NO_CURSOR)

    def trigger(self, call: Call) -> Answer:
        """POST a new run. A 409 does not say which of its two reasons it has."""
        body = self.json_value(call.request)
        role = self.writer(call)
        if wrong := problems(body):
            raise refuse(422, wrong)
        dag = self.world.dag(call["dag_id"])
        if dag is None or dag.broken:
            raise refuse(404, f"Dag with dag_id: '{call['dag_id']}' not found")
        run = run_from(dag, body, role)
        if (dag.dag_id, run.run_id) in self.world.runs or self.world.same_date(dag.dag_id, run.logical_date):
            message = "Serious error when handling your request. Check logs for more details - "
            message += "you will find it in api server when you look for ID KEgpGaAx"
            hidden = {"statement": "hidden", "orig_error": "hidden", "message": message}
            raise refuse(409, {"reason": "Unique constraint violation"} | hidden)
        return as_json(200, bodies.run(self.world.create(run)))

    def get_run(self, call: Call) -> Answer:
        """GET a run: one look at it."""
        self.tokens.role(call.request)
        return as_json(200, bodies.run(self.world.look(self.run(call))))

    def patch_run(self, call: Call) -> Answer:
        """PATCH a run: {"state": "failed"} cancels it."""
        body = self.json_value(call.request)
        self.writer(call)
        body = self.fields(body, "state", "note")
        state = body.get("state")
        if state not in {None, "queued", "success", "failed"}:
            text = "Input should be 'queued', 'success' or 'failed'"
            raise refuse(422, [problem("enum", text, state, "state")])
        run = self.run(call)
        if state == "failed":
            self.world.cancel(run)
        elif state is not None:
            self.world.hold(run, state)
        run.note = body.get("note", run.note)
        return as_json(200, bodies.run(run))

    def clear(self, call: Call) -> Answer:
        """POST .../clear: a dry run unless told otherwise."""
        body = self.json_value(call.request)
        self.writer(call)
        body = self.fields(body, "dry_run", "only_failed", "only_new", "run_on_latest_version", "note")
        run = self.run(call)
        cleared = self.world.selected(run, only_failed=body.get("only_failed", False))
        if body.get("dry_run", True):
            rows = [bodies.instance(run, instance) for instance in cleared]
            return as_json(200, {"task_instances": rows, "total_entries": len(rows)})
        self.world.clear(run, cleared)
        return as_json(200, bodies.run(run))

    def clear_instances(self, call: Call) -> Answer:
        """POST clearTaskInstances: chosen tasks of a run; a dry run unless told otherwise."""
        body = self.json_value(call.request)
        self.writer(call)
        body = self.fields(body, "dry_run", "dag_run_id", "only_failed", "reset_dag_runs", "task_ids")
        dag, run_id = self.dag(call), body.get("dag_run_id")
        runs = [run for run in self.world.runs_of(dag.dag_id) if run_id in {None, run.run_id}]
        if run_id is not None and not runs:
            raise refuse(404, f"Dag Run id {run_id} not found in dag {dag.dag_id}")
        rows = []
        for run in runs:
            only_failed = body.get("only_failed", True)
            cleared = self.world.selected(run, only_failed=only_failed, task_ids=body.get("task_ids"))
            if not body.get("dry_run", True):
                self.world.clear(run, cleared, reset_run=body.get("reset_dag_runs", True))
            rows += [bodies.instance(run, instance) for instance in cleared]
        return as_json(200, {"task_instances": rows, "total_entries": len(rows)} | NO_CURSOR)

    def wait(self, call: Call) -> Answer:
        """GET .../wait: a line per look, and no content type (airflow-3.md 6)."""
        self.tokens.role(call.request)
        interval = call.request.first("interval")
        wrong = {"loc": ["query", "interval"], "input": interval or None}
        if not interval:
            raise refuse(422, [{"type": "missing", "msg": "Field required"} | wrong])
        if float(interval) <= 0:
            raise refuse(422, [{"type": "greater_than", "msg": "Input should be greater than 0"} | wrong])
        return Answer(200, stream=self._lines(self.run(call), call.request.query.get("result", [])))

    def _lines(self, run: FakeRun, wanted: list[str]) -> Iterator[bytes]:
        key = (run.dag_id, run.run_id)
        while self.world.runs.get(key) is run:
            line: dict[str, Any] = {"state": self.world.look(run).state}
            if ended := line["state"] in {"success", "failed"}:
                values = {i.task.task_id: i.pushed.get("return_value") for i in run.instances}
                found = {name: values[name] for name in wanted if values.get(name) is not None}
                line |= {"results": found} if wanted else {}
            yield json.dumps(line).encode()
            yield b"\n"
            if ended:
                return

    def list_instances(self, call: Call) -> Answer:
        """GET task instances: at most 100 at a time, whatever the limit."""
        self.tokens.role(call.request)
        states = self.states(call, TASK_STATES)
        run = self.world.runs.get((call["dag_id"], call["run_id"]))
        if run is None:
            text = f"DagRun with dag_id: `{call['dag_id']}` and run_id: `{call['run_id']}` was not found"
            raise refuse(404, text)
        rows = [instance for instance in run.instances if not states or (instance.state or "none") in states]
        found = self.ordered(call, [bodies.instance(run, instance) for instance in rows], INSTANCE_ORDER)
        return as_json(200, {"task_instances": self.page(call, found), "total_entries": len(rows)} | NO_CURSOR)

    def log(self, call: Call) -> Answer:
        """GET one try's log: structured, as one JSON document or as lines."""
        self.tokens.role(call.request)
        accept = call.request.headers.get("Accept", "*/*")
        if not any(kind in accept for kind in ("*/*", "application/json", "application/x-ndjson")):
            raise refuse(406, "Only application/json or application/x-ndjson is supported")
        instance, number = self.find_instance(call), int(call["number"])
        if instance and instance.state == "upstream_failed" and number == 0:
            lines = [{"event": "Task did not run because upstream task(s) failed."}]
        elif instance is None or not 0 < number <= instance.try_number:
            raise refuse(404, "TaskInstance not found")
        else:
            lines = list(bodies.log_lines(instance, number))
        if "application/x-ndjson" in accept:
            text = "".join(json.dumps({"timestamp": None} | line) + "\n" for line in lines).encode()
            return Answer(200, text, "application/x-ndjson", (("Airflow-Continuation-Token", "bm9uZQ"),))
        return as_json(200, {"content": lines, "continuation_token": None})

    def list_xcoms(self, call: Call) -> Answer:
        """GET what a task pushed, without the values."""
        self.tokens.role(call.request)
        run, instance = self.run(call), self.find_instance(call)
        rows = [bodies.xcom(run, instance, key) for key in instance.pushed] if instance else []
        return as_json(200, {"xcom_entries": rows, "total_entries": len(rows)})

    def get_xcom(self, call: Call) -> Answer:
        """GET one value a task pushed."""
        self.tokens.role(call.request)
        run, instance, key = self.run(call), self.find_instance(call), call["key"]
        if instance is None or key not in instance.pushed:
            raise refuse(404, f"XCom entry with key: `{key}` not found")
        value = instance.pushed[key]
        shown = str(value) if call.request.first("stringify") == "true" else value
        return as_json(200, bodies.xcom(run, instance, key) | {"value": shown})

    def import_errors(self, call: Call) -> Answer:
        """GET the files that could not be parsed."""
        self.tokens.role(call.request)
        rows = [bodies.import_error(dag) for dag in self.world.dags.values() if dag.broken]
        if wanted := call.request.first("filename"):
            rows = [row for row in rows if row["filename"] == wanted]
        return as_json(200, {"import_errors": rows, "total_entries": len(rows)})
