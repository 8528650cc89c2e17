"""The REST API of Airflow 2.11.2: /api/v1, Basic authentication, default settings.

Measured: docs/notes/airflow-2.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.bodies import parse, pool
from tests.support.fake_airflow.messages import FakeResponse, as_json, page
from tests.support.fake_airflow.routing import Call, Route, is_between, ordered
from tests.support.fake_airflow.v1 import bodies
from tests.support.fake_airflow.v1 import trigger as rules
from tests.support.fake_airflow.v1.base import refuse
from tests.support.fake_airflow.v1.tasks import PAGE, RUN, V1Tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fake_airflow.database import Database
    from tests.support.fake_airflow.runs import FakeRun

RUN_ORDER: dict[str, Callable[[FakeRun], Any]] = {
    "id": lambda _: 0,
    "dag_id": lambda run: run.dag_id,
    "dag_run_id": lambda run: run.run_id,
    "execution_date": lambda run: run.logical_date,
    "start_date": lambda run: run.start_date,
    "end_date": lambda run: run.end_date,
    "state": lambda run: run.state,
}
RANGES = {f"{name}_date_{end}" for name in ("execution", "start", "end") for end in ("gte", "lte")}
RANGES |= {"updated_at_gte", "updated_at_lte", "fields"}
DAG_FILTERS = {"order_by", "paused", "dag_id_pattern", "fields"}
CLEAR_KEYS = {
    "dry_run",
    "dag_run_id",
    "only_failed",
    "only_running",
    "reset_dag_runs",
    "task_ids",
    "start_date",
}
CLEAR_KEYS |= {
    "end_date",
    "include_subdags",
    "include_parentdag",
    "include_upstream",
    "include_downstream",
}
CLEAR_KEYS |= {"include_future", "include_past"}


class FakeV1(V1Tasks):
    def __init__(self, database: Database, prefix: str) -> None:
        super().__init__(database, prefix)
        self.routes = (
            Route("GET", "/api/v1/version", self.version),
            Route("GET", "/api/v1/health", self.health),
            Route("GET", "/health", self.health),
            Route("GET", "/login/", lambda _: page(200, "Sign In - Airflow")),
            Route("GET", "/api/v1/dags", self.list_dags),
            Route("GET", "/api/v1/dags/{dag_id}", self.get_dag),
            Route("PATCH", "/api/v1/dags/{dag_id}", self.patch_dag),
            Route("GET", "/api/v1/dags/{dag_id}/details", self.get_details, "dag_details"),
            Route("GET", "/api/v1/dags/{dag_id}/dagRuns", self.list_runs, "run_list"),
            Route("POST", "/api/v1/dags/~/dagRuns/list", self.list_batch, "run_batch"),
            Route("POST", "/api/v1/dags/{dag_id}/dagRuns", self.trigger),
            Route("POST", "/api/v1/dags/{dag_id}/clearTaskInstances", self.clear_instances),
            Route("GET", RUN, self.get_run),
            Route("PATCH", RUN, self.patch_run),
            Route("PATCH", RUN + "/setNote", self.set_note),
            Route("POST", RUN + "/clear", self.clear),
            Route("GET", "/api/v1/importErrors", self.import_errors, "import_errors"),
            Route("GET", "/api/v1/pools/{name}", self.pool, "pools"),
            Route("PUT", "/api/v1/parseDagFile/{token}", self.parse, "parsing"),
            *self.task_routes(),
        )

    def list_dags(self, call: Call) -> FakeResponse:
        """GET /dags, which every role may do, so that clients check credentials with it."""
        self.role(call.request)
        self.known(call, {*PAGE, "tags", "only_active"}, DAG_FILTERS)
        stale = call.request.first("only_active", "true") == "false"
        dags = self.database.listed_dags(self.listed(call, "tags"), stale=stale)
        shown = [bodies.dag(self.database, dag) for dag in self.page(call, dags)]
        return as_json(200, {"dags": shown, "total_entries": len(dags)})

    def get_dag(self, call: Call) -> FakeResponse:
        """GET a DAG, also one whose file is broken."""
        self.role(call.request)
        return as_json(200, bodies.dag(self.database, self.dag(call, poll=True)))

    def get_details(self, call: Call) -> FakeResponse:
        """GET a DAG with its params."""
        self.role(call.request)
        dag = self.dag(call, poll=True)
        if dag.is_stale:
            raise refuse(404, "DAG not found", f"The DAG with dag_id: {dag.dag_id} was not found")
        return as_json(200, bodies.details(self.database, dag))

    def patch_dag(self, call: Call) -> FakeResponse:
        """PATCH is_paused."""
        body = self.json_object(call.request)
        if not isinstance(body.get("is_paused", False), bool):
            raise refuse(
                400, "Bad Request", f"{body['is_paused']!r} is not of type 'boolean' - 'is_paused'"
            )
        self.writer(call)
        self.fields(body, {"is_paused"})
        if not body:
            return page(500, "Ooops!")
        dag = self.database.dag(call["dag_id"])
        if dag is None:
            raise refuse(404, f"Dag with id: '{call['dag_id']}' not found", None)
        self.database.paused[dag.dag_id] = body["is_paused"]
        return as_json(200, bodies.dag(self.database, dag))

    def list_runs(self, call: Call) -> FakeResponse:
        """GET the runs of a DAG, or of all."""
        self.role(call.request)
        dates = {"execution_date_gte", "execution_date_lte"}
        self.known(call, {*PAGE, "state", "order_by", *dates}, RANGES)
        since, until = (self.moment(call, f"execution_date_{end}") for end in ("gte", "lte"))
        states, key = self.listed(call, "state"), call.request.first("order_by", "id")
        if key.removeprefix("-") not in RUN_ORDER:
            text = (
                f"Ordering with '{key.removeprefix('-')}' is disallowed or the attribute "
                "does not exist on the model"
            )
            raise refuse(400, "Bad Request", text)
        rows = [
            run
            for run in self.database.runs_of(call["dag_id"])
            if (not states or run.state in states) and is_between(run.logical_date, since, until)
        ]
        shown = self.page(call, ordered(rows, [key], RUN_ORDER))
        self.database.poll_listed(shown, key)
        return as_json(
            200, {"dag_runs": [bodies.run(run) for run in shown], "total_entries": len(rows)}
        )

    def list_batch(self, call: Call) -> FakeResponse:
        """POST a filter: the runs of several DAGs, each of which counts as polled."""
        body = self.json_object(call.request)
        self.role(call.request)
        self.fields(body, {"dag_ids", "order_by", "page_limit"})
        found = [bodies.run(run) for run in self.database.poll_batch(body)]
        return as_json(200, {"dag_runs": found, "total_entries": len(found)})

    def trigger(self, call: Call) -> FakeResponse:
        """POST a new run. A 409 names its reason."""
        body = self.json_object(call.request)
        try:
            rules.check_types(body)
            self.writer(call)
            run = self._new_run(call, body)
        except rules.BadRequestError as error:
            raise refuse(400, error.title, error.detail) from None
        except rules.UncaughtError:
            return page(500, "Ooops!")
        return as_json(200, bodies.run(self.database.create(run)))

    def _new_run(self, call: Call, body: dict[str, Any]) -> FakeRun:
        dag = self.database.dag(call["dag_id"])
        if dag is None or dag.is_stale:
            raise refuse(404, "DAG not found", f"DAG with dag_id: '{call['dag_id']}' not found")
        if dag.broken:
            raise refuse(
                400, "DAG cannot be triggered", f"DAG with dag_id: '{dag.dag_id}' has import errors"
            )
        rules.check_fields(body, has_note=self.has(2, 5, 2))
        run = rules.run_from(dag, body, self.database.now())
        what = None
        if self.database.same_date(dag.dag_id, run.logical_date):
            what = f"logical date: '{run.logical_date}'"
        elif (dag.dag_id, run.run_id) in self.database.runs:
            what = f"ID: '{run.run_id}'"
        if what:
            text = f"DAGRun with DAG ID: '{dag.dag_id}' and DAGRun {what} already exists"
            raise refuse(409, "Conflict", text)
        rules.check_run(dag, run, gives_reason=self.has(2, 9))
        return run

    def get_run(self, call: Call) -> FakeResponse:
        """GET a run, which counts as a poll."""
        self.role(call.request)
        return as_json(200, bodies.run(self.database.poll(self.run(call))))

    def patch_run(self, call: Call) -> FakeResponse:
        """PATCH a run: {"state": "failed"} cancels it."""
        body = self.json_object(call.request)
        state = body.get("state", "failed")
        if state not in {"queued", "success", "failed"}:
            raise refuse(
                400,
                "Bad Request",
                f"{state!r} is not one of ['success', 'failed', 'queued'] - 'state'",
            )
        self.writer(call)
        run = self.run_to_change(call)
        self.fields(body, {"state"})
        if not body:
            return page(500, "Ooops!")
        if state == "failed":
            self.database.cancel(run)
        else:
            self.database.set_state(run, state)
        return as_json(200, bodies.run(run))

    def set_note(self, call: Call) -> FakeResponse:
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

    def clear(self, call: Call) -> FakeResponse:
        """POST .../clear: all tasks of a run; a dry run by default."""
        body = self.json_object(call.request)
        self.writer(call)
        run = self.run_to_change(call)
        self.fields(body, {"dry_run"})
        if body.get("dry_run", True):
            return as_json(
                200,
                {"task_instances": [bodies.reference(run, instance) for instance in run.instances]},
            )
        self.database.clear(run, run.instances)
        return as_json(200, bodies.run(run))

    def clear_instances(self, call: Call) -> FakeResponse:
        """POST clearTaskInstances: without reset_dag_runs the run stays failed forever."""
        body = self.json_object(call.request)
        self.writer(call)
        if self.database.dag(call["dag_id"]) is None:
            raise refuse(404, f"Dag id {call['dag_id']} not found", None)
        self.fields(body, CLEAR_KEYS)
        runs = [
            run
            for run in self.database.runs_of(call["dag_id"])
            if body.get("dag_run_id") in {None, run.run_id}
        ]
        if "dag_run_id" in body and not runs:
            raise refuse(
                404, f"Dag Run id {body['dag_run_id']} not found in dag {call['dag_id']}", None
            )
        rows = []
        for run in runs:
            only_failed = body.get("only_failed", True)
            cleared = self.database.selected(
                run, only_failed=only_failed, task_ids=body.get("task_ids")
            )
            rows += [bodies.reference(run, instance) for instance in cleared]
            if not body.get("dry_run", True):
                self.database.clear(run, cleared, reset_run=body.get("reset_dag_runs", False))
        return as_json(200, {"task_instances": rows})

    def import_errors(self, call: Call) -> FakeResponse:
        """GET the import errors."""
        self.role(call.request)
        self.known(call, PAGE, {"order_by"})
        found = [
            bodies.import_error(file, trace)
            for file, trace in self.database.import_errors().items()
        ]
        return as_json(200, {"import_errors": self.page(call, found), "total_entries": len(found)})

    def parse(self, call: Call) -> FakeResponse:
        """PUT: parse a file; the response has no body."""
        self.writer(call)
        if not parse(self.database, call["token"]):
            raise refuse(404, "File not found", None)
        return FakeResponse(201, b"", "text/html; charset=utf-8")

    def pool(self, call: Call) -> FakeResponse:
        """GET a pool."""
        self.role(call.request)
        if call["name"] not in self.database.pools:
            raise refuse(404, "Not Found", f"Pool with name:'{call['name']}' not found")
        return as_json(200, pool(self.database, call["name"]))
