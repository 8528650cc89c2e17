"""The dialect of Airflow 2.11.2: /api/v1 with Basic authentication, stock configuration (facts: airflow-2.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow import v1_bodies as bodies
from tests.support.fake_airflow import v1_trigger as rules
from tests.support.fake_airflow.messages import Answer, as_json, page
from tests.support.fake_airflow.routing import Call, Route, page_of
from tests.support.fake_airflow.v1_base import V1Base, refuse

if TYPE_CHECKING:
    from tests.support.fake_airflow.nouns import FakeRun
    from tests.support.fake_airflow.world import World

RUN = "/api/v1/dags/{dag_id}/dagRuns/{run_id}"
TASK = RUN + "/taskInstances/{task_id}"
RUN_ORDER = {"dag_run_id", "execution_date", "start_date", "end_date", "state"}
STATES = {"none", "queued", "running", "success", "failed", "upstream_failed", "skipped", "scheduled", "removed"}
STATES |= {"up_for_retry", "up_for_reschedule", "restarting", "deferred"}
CLEAR_KEYS = {"dry_run", "dag_run_id", "only_failed", "only_running", "reset_dag_runs", "task_ids", "start_date"}
CLEAR_KEYS |= {"end_date", "include_subdags", "include_parentdag", "include_upstream", "include_downstream"}
CLEAR_KEYS |= {"include_future", "include_past"}
INSTANCE_QUERY = {"limit", "offset", "state", "pool", "queue", "duration_gte", "duration_lte"}


class V1(V1Base):
    """Answers as Airflow 2.11.2."""

    def __init__(self, world: World, prefix: str) -> None:
        super().__init__(world, prefix)
        self.routes = (
            Route("GET", "/api/v1/version", self.version),
            Route("GET", "/api/v1/health", self.health),
            Route("GET", "/health", self.health),
            Route("GET", "/login/", lambda _: page(200, "Sign In - Airflow")),
            Route("GET", "/api/v1/dags", self.list_dags),
            Route("GET", "/api/v1/dags/{dag_id}", self.get_dag),
            Route("PATCH", "/api/v1/dags/{dag_id}", self.patch_dag),
            Route("GET", "/api/v1/dags/{dag_id}/details", self.get_details),
            Route("GET", "/api/v1/dags/{dag_id}/dagRuns", self.list_runs),
            Route("POST", "/api/v1/dags/{dag_id}/dagRuns", self.trigger),
            Route("POST", "/api/v1/dags/{dag_id}/clearTaskInstances", self.clear_instances),
            Route("GET", RUN, self.get_run),
            Route("PATCH", RUN, self.patch_run),
            Route("PATCH", RUN + "/setNote", self.set_note),
            Route("POST", RUN + "/clear", self.clear),
            Route("GET", RUN + "/taskInstances", self.list_instances),
            Route("GET", TASK + "/logs/{number}", self.log),
            Route("GET", TASK + "/xcomEntries", self.list_xcoms),
            Route("GET", TASK + "/xcomEntries/{key}", self.get_xcom),
            Route("GET", "/api/v1/importErrors", self.import_errors),
        )

    def list_dags(self, call: Call) -> Answer:
        """GET /dags: what any role may do, so the probe of a credential."""
        self.role(call.request)
        rows = [bodies.dag(self.world, dag) for dag in self.world.dags.values()]
        return as_json(200, {"dags": page_of(rows, call.request, default=100, cap=100), "total_entries": len(rows)})

    def get_dag(self, call: Call) -> Answer:
        """GET a DAG: also one whose file is broken by now."""
        self.role(call.request)
        return as_json(200, bodies.dag(self.world, self.dag(call, look=True)))

    def get_details(self, call: Call) -> Answer:
        """GET a DAG with its params."""
        self.role(call.request)
        dag = self.dag(call, look=True)
        if dag.broken:
            raise refuse(404, "DAG not found", f"The DAG with dag_id: {dag.dag_id} was not found")
        return as_json(200, bodies.details(self.world, dag))

    def patch_dag(self, call: Call) -> Answer:
        """PATCH is_paused."""
        body = self.json_object(call.request)
        if not isinstance(body.get("is_paused", False), bool):
            raise refuse(400, "Bad Request", f"{body['is_paused']!r} is not of type 'boolean' - 'is_paused'")
        self.writer(call)
        self.fields(body, {"is_paused"})
        if not body:
            return page(500, "Ooops!")
        dag = self.world.dag(call["dag_id"])
        if dag is None:
            raise refuse(404, f"Dag with id: '{call['dag_id']}' not found", None)
        self.world.paused[dag.dag_id] = body["is_paused"]
        return as_json(200, bodies.dag(self.world, dag))

    def list_runs(self, call: Call) -> Answer:
        """GET the runs of a DAG."""
        self.role(call.request)
        states, key = call.request.query.get("state", []), call.request.first("order_by", "id")
        column = {"id": "execution_date"}.get(key.removeprefix("-"), key.removeprefix("-"))
        if column not in RUN_ORDER:
            text = f"Ordering with '{column}' is disallowed or the attribute does not exist on the model"
            raise refuse(400, "Bad Request", text)
        rows = [run for run in self.world.runs_of(call["dag_id"]) if not states or run.state in states]
        rows.sort(key=lambda run: str(bodies.run(run)[column]), reverse=key.startswith("-"))
        shown = page_of(rows, call.request, default=100, cap=100)
        return as_json(200, {"dag_runs": [bodies.run(run) for run in shown], "total_entries": len(rows)})

    def trigger(self, call: Call) -> Answer:
        """POST a new run. A 409 says which of its two reasons it has."""
        body = self.json_object(call.request)
        try:
            rules.check_types(body)
            self.writer(call)
            run = self._new_run(call, body)
        except rules.BadRequestError as error:
            raise refuse(400, error.title, error.detail) from None
        except rules.UncaughtError:
            return page(500, "Ooops!")
        return as_json(200, bodies.run(self.world.create(run)))

    def _new_run(self, call: Call, body: dict[str, Any]) -> FakeRun:
        dag = self.world.dag(call["dag_id"])
        if dag is None or dag.broken:
            raise refuse(404, "DAG not found", f"DAG with dag_id: '{call['dag_id']}' not found")
        rules.check_fields(body)
        run = rules.run_from(dag, body)
        what = None
        if self.world.same_date(dag.dag_id, run.logical_date):
            what = f"logical date: '{run.logical_date}'"
        elif (dag.dag_id, run.run_id) in self.world.runs:
            what = f"ID: '{run.run_id}'"
        if what:
            text = f"DAGRun with DAG ID: '{dag.dag_id}' and DAGRun {what} already exists"
            raise refuse(409, "Conflict", text)
        rules.check_run(dag, run)
        return run

    def get_run(self, call: Call) -> Answer:
        """GET a run: one look at it."""
        self.role(call.request)
        return as_json(200, bodies.run(self.world.look(self.run(call))))

    def patch_run(self, call: Call) -> Answer:
        """PATCH a run: {"state": "failed"} cancels it."""
        body = self.json_object(call.request)
        state = body.get("state", "failed")
        if state not in {"queued", "success", "failed"}:
            raise refuse(400, "Bad Request", f"{state!r} is not one of ['success', 'failed', 'queued'] - 'state'")
        self.writer(call)
        run = self.run_to_change(call)
        self.fields(body, {"state"})
        if not body:
            return page(500, "Ooops!")
        if state == "failed":
            self.world.cancel(run)
        else:
            self.world.hold(run, state)
        return as_json(200, bodies.run(run))

    def set_note(self, call: Call) -> Answer:
        """PATCH .../setNote."""
        body = self.json_object(call.request)
        note = body.get("note", "")
        if not isinstance(note, str):
            raise refuse(400, "Bad Request", f"{note!r} is not of type 'string' - 'note'")
        self.writer(call)
        run = self.run_to_change(call)
        self.fields(body, {"note"})
        if len(note) > rules.NOTE_LIMIT:
            raise refuse(400, "Bad Request", str({"note": ["Longer than maximum length 1000."]}))
        if not body:
            return page(500, "Ooops!")
        run.note = note
        return as_json(200, bodies.run(run))

    def clear(self, call: Call) -> Answer:
        """POST .../clear: all tasks of a run; a dry run unless told otherwise."""
        body = self.json_object(call.request)
        self.writer(call)
        run = self.run_to_change(call)
        self.fields(body, {"dry_run"})
        if body.get("dry_run", True):
            return as_json(200, {"task_instances": [bodies.reference(run, instance) for instance in run.instances]})
        self.world.clear(run, run.instances)
        return as_json(200, bodies.run(run))

    def clear_instances(self, call: Call) -> Answer:
        """POST clearTaskInstances: without reset_dag_runs the run stays failed for ever."""
        body = self.json_object(call.request)
        self.writer(call)
        if self.world.dag(call["dag_id"]) is None:
            raise refuse(404, f"Dag id {call['dag_id']} not found", None)
        self.fields(body, CLEAR_KEYS)
        runs = [run for run in self.world.runs_of(call["dag_id"]) if body.get("dag_run_id") in {None, run.run_id}]
        if "dag_run_id" in body and not runs:
            raise refuse(404, f"Dag Run id {body['dag_run_id']} not found in dag {call['dag_id']}", None)
        rows = []
        for run in runs:
            only_failed = body.get("only_failed", True)
            cleared = self.world.selected(run, only_failed=only_failed, task_ids=body.get("task_ids"))
            rows += [bodies.reference(run, instance) for instance in cleared]
            if not body.get("dry_run", True):
                self.world.clear(run, cleared, reset_run=body.get("reset_dag_runs", False))
        return as_json(200, {"task_instances": rows})

    def list_instances(self, call: Call) -> Answer:
        """GET task instances: any limit is honoured, an unknown run has none, unknown parameters are refused."""
        self.role(call.request)
        if unknown := set(call.request.query) - INSTANCE_QUERY:
            raise refuse(400, None, f"Extra query parameter(s) {', '.join(sorted(unknown))} not in spec")
        states = [name for value in call.request.query.get("state", []) for name in value.split(",")]
        if not STATES.issuperset(states):
            return page(500, "Internal Server Error")
        run = self.find_run(call)
        if run is None:
            return as_json(200, {"task_instances": [], "total_entries": 0})
        rows = [i for i in run.instances if not states or (i.state or "none") in states]
        listed = [bodies.instance(run, instance) for instance in page_of(rows, call.request, default=100, cap=None)]
        return as_json(200, {"task_instances": listed, "total_entries": len(rows)})

    def log(self, call: Call) -> Answer:
        """GET one try's log: text, unless JSON is asked for, which wraps a Python repr."""
        self.role(call.request)
        instance = self.find_instance(call)
        if instance is None:
            raise refuse(404, "TaskInstance not found", None)
        text = bodies.log(instance, int(call["number"]))
        accept = call.request.headers.get("Accept", "application/json")
        if "text/plain" in accept or "*/*" in accept:
            return Answer(200, text.encode(), "text/plain")
        host, _, lines = text.partition("\n")
        return as_json(200, {"content": str([(host, lines)]), "continuation_token": "bm9uZQ"})

    def list_xcoms(self, call: Call) -> Answer:
        """GET what a task pushed, without the values."""
        self.role(call.request)
        run, instance = self.find_run(call), self.find_instance(call)
        rows = [bodies.xcom(run, instance, key) for key in instance.pushed] if run and instance else []
        return as_json(200, {"total_entries": len(rows), "xcom_entries": rows})

    def get_xcom(self, call: Call) -> Answer:
        """GET one value a task pushed: a Python repr unless stringify=false."""
        self.role(call.request)
        run, instance, key = self.find_run(call), self.find_instance(call), call["key"]
        if run is None or instance is None or key not in instance.pushed:
            raise refuse(404, "XCom entry not found", None)
        value = instance.pushed[key]
        shown = value if call.request.first("stringify") == "false" else str(value)
        return as_json(200, bodies.xcom(run, instance, key) | {"value": shown})

    def import_errors(self, call: Call) -> Answer:
        """GET the files that could not be parsed."""
        self.role(call.request)
        rows = [bodies.import_error(dag) for dag in self.world.dags.values() if dag.broken]
        return as_json(200, {"import_errors": rows, "total_entries": len(rows)})
