"""The REST API of Airflow 3.3.2: /api/v2, /auth/token, simple auth manager.

Measured: docs/notes/airflow-3.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.bodies import parse, pool
from tests.support.fake_airflow.messages import FakeResponse, as_json
from tests.support.fake_airflow.routing import Call, Route, is_between
from tests.support.fake_airflow.v2 import bodies
from tests.support.fake_airflow.v2.base import refuse
from tests.support.fake_airflow.v2.tasks import NO_CURSOR, RUN, V2Tasks
from tests.support.fake_airflow.v2.trigger import problem, problems, run_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.fake_airflow.database import Database
    from tests.support.fake_airflow.runs import FakeRun
    from tests.support.fake_airflow.tokens import Tokens

RUN_ORDER: dict[str, Callable[[FakeRun], Any]] = {
    "id": lambda _: 0,
    "dag_id": lambda run: run.dag_id,
    "run_id": lambda run: run.run_id,
    "dag_run_id": lambda run: run.run_id,
    "logical_date": lambda run: run.logical_date,
    "run_after": lambda run: run.run_after,
    "start_date": lambda run: run.start_date,
    "end_date": lambda run: run.end_date,
    "duration": lambda run: run.duration,
    "state": lambda run: run.state,
}
RUN_STATES = ("queued", "running", "success", "failed")
DATES = ("run_after", "logical_date", "start_date", "end_date", "duration", "updated_at")
BATCH_FIELDS = ("dag_ids", "order_by", "page_limit")
"""The filters of a batch that this server has."""
DAG_FILTERS = ("order_by", "paused", "tags_match_mode", "dag_id_pattern", "owners", "bundle_name")
OTHER_FILTERS = {f"{name}_{end}" for name in DATES for end in ("gte", "gt", "lte", "lt")}
OTHER_FILTERS |= {
    "run_type",
    "conf_contains",
    "dag_version",
    "bundle_version",
    "cursor",
}


class FakeV2(V2Tasks):
    def __init__(self, database: Database, prefix: str, tokens: Tokens) -> None:
        super().__init__(database, prefix, tokens)
        self.routes = (
            Route("GET", "/api/v2/version", self.version),
            Route("GET", "/api/v2/monitor/health", self.health),
            Route("POST", "/auth/token", lambda call: self.tokens.log_in(call.request)),
            Route("GET", "/auth/openapi.json", self.auth_api),
            Route("GET", "/api/v2/dags", self.list_dags, "dag_list"),
            Route("GET", "/api/v2/dags/{dag_id}", self.get_dag),
            Route("PATCH", "/api/v2/dags/{dag_id}", self.patch_dag),
            Route("GET", "/api/v2/dags/{dag_id}/details", self.get_details, "dag_details"),
            Route("GET", "/api/v2/dags/{dag_id}/dagRuns", self.list_runs, "run_list"),
            Route("POST", "/api/v2/dags/~/dagRuns/list", self.list_batch, "run_batch"),
            Route("POST", "/api/v2/dags/{dag_id}/dagRuns", self.trigger),
            Route("POST", "/api/v2/dags/{dag_id}/clearTaskInstances", self.clear_instances),
            Route("PATCH", "/api/v2/dags/{dag_id}/dagRuns", self.patch_runs),
            Route("GET", RUN, self.get_run),
            Route("PATCH", RUN, self.patch_run),
            Route("POST", RUN + "/clear", self.clear),
            Route("GET", RUN + "/wait", self.wait),
            Route("GET", "/api/v2/importErrors", self.import_errors, "import_errors"),
            Route("GET", "/api/v2/pools/{name}", self.pool, "pools"),
            Route("PUT", "/api/v2/parseDagFile/{token}", self.parse, "parsing"),
            *self.task_routes(),
        )

    def auth_api(self, call: Call) -> FakeResponse:  # noqa: ARG002
        """GET the description of the auth manager's API: needs no credential."""
        return as_json(200, {"openapi": "3.1.0", "info": {"title": self.tokens.title}})

    def list_dags(self, call: Call) -> FakeResponse:
        """GET the DAGs."""
        self.role(call.request)
        self.known(call, *DAG_FILTERS)
        stale = call.request.first("exclude_stale", "true") == "false"
        dags = self.database.listed_dags(call.request.query.get("tags", []), stale=stale)
        shown = [bodies.dag(self.database, dag) for dag in self.page(call, dags)]
        return as_json(200, {"dags": shown, "total_entries": len(dags)})

    def get_dag(self, call: Call) -> FakeResponse:
        self.role(call.request)
        return as_json(200, bodies.dag(self.database, self.dag(call, poll=True)))

    def get_details(self, call: Call) -> FakeResponse:
        """GET a DAG with its params."""
        self.role(call.request)
        return as_json(200, bodies.details(self.database, self.dag(call, poll=True)))

    def patch_dag(self, call: Call) -> FakeResponse:
        """PATCH is_paused."""
        body = self.json_value(call.request)
        self.writer(call)
        body = self.fields(body, "is_paused")
        if not isinstance(body.get("is_paused"), bool):
            raise refuse(422, [problem("missing", "Field required", body, "is_paused")])
        if self.database.dag(call["dag_id"]) is None:
            raise refuse(404, f"Dag with id: {call['dag_id']} was not found")
        self.database.paused[call["dag_id"]] = body["is_paused"]
        return as_json(200, bodies.dag(self.database, self.dag(call)))

    def list_runs(self, call: Call) -> FakeResponse:
        """GET the runs of a DAG, or of all."""
        self.role(call.request)
        self.known(call, *OTHER_FILTERS - {"logical_date_gte", "logical_date_lte"})
        states = self.states(call, RUN_STATES)
        since, until = (self.moment(call, f"logical_date_{end}") for end in ("gte", "lte"))
        if call["dag_id"] != "~":
            self.dag(call)
        rows = [
            run
            for run in self.database.runs_of(call["dag_id"])
            if (not states or run.state in states)
            and is_between(run.logical_date, since, until)
            and call.request.first("run_id_pattern").lower() in run.run_id.lower()
        ]
        shown = self.page(call, self.ordered(call, rows, RUN_ORDER, "id"))
        self.database.poll_listed(shown, call.request.first("order_by"))
        return as_json(
            200,
            {"dag_runs": [bodies.run(run) for run in shown], "total_entries": len(rows)}
            | NO_CURSOR,
        )

    def list_batch(self, call: Call) -> FakeResponse:
        """POST a filter: the runs of several DAGs, each of which counts as polled."""
        body = self.json_value(call.request)
        self.role(call.request)
        body = self.fields(body, *BATCH_FIELDS)
        found = [bodies.run(run) for run in self.database.poll_batch(body)]
        return as_json(200, {"dag_runs": found, "total_entries": len(found)} | NO_CURSOR)

    def trigger(self, call: Call) -> FakeResponse:
        """POST a new run. A 409 does not name its reason."""
        body = self.json_value(call.request)
        role = self.writer(call)
        if wrong := problems(body, knows_versions=self.has(3, 4)):
            raise refuse(422, wrong)
        dag = self.database.dag(call["dag_id"])
        if dag is None or dag.is_stale:
            raise refuse(404, f"Dag with dag_id: '{call['dag_id']}' not found")
        if dag.broken:
            raise refuse(
                400, f"Dag with dag_id: '{dag.dag_id}' has import errors and cannot be triggered"
            )
        wanted = body.get("bundle_version")
        if wanted is not None and wanted != self.database.bundle_version(dag):
            text = f"does not have a version for bundle_version '{wanted}'"
            raise refuse(404, f"DAG with dag_id: '{dag.dag_id}' {text}")
        run = run_from(dag, body, role, self.database.now())
        if (dag.dag_id, run.run_id) in self.database.runs or self.database.same_date(
            dag.dag_id, run.logical_date
        ):
            message = "Serious error when handling your request. Check logs for more details - "
            message += "you will find it in api server when you look for ID KEgpGaAx"
            hidden = {"statement": "hidden", "orig_error": "hidden", "message": message}
            raise refuse(409, {"reason": "Unique constraint violation"} | hidden)
        return as_json(200, bodies.run(self.database.create(run)))

    def get_run(self, call: Call) -> FakeResponse:
        """GET a run, which counts as a poll."""
        self.role(call.request)
        return as_json(200, bodies.run(self.database.poll(self.run(call))))

    def patch_run(self, call: Call) -> FakeResponse:
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
            self.database.cancel(run)
        elif state is not None:
            self.database.set_state(run, state)
        run.note = body.get("note", run.note)
        return as_json(200, bodies.run(run))

    def patch_runs(self, call: Call) -> FakeResponse:
        """PATCH several runs (3.3 and later); an error of one of them is in the 200."""
        self.writer(call)
        if not self.has(3, 3):
            raise refuse(405, "Method Not Allowed")
        (action,) = self.fields(self.json_value(call.request), "actions")["actions"]
        done: list[str] = []
        errors: list[dict[str, Any]] = []
        for entity in action["entities"]:
            body = self.fields(entity, "dag_run_id", "state", "note")
            run = self.database.runs.get((call["dag_id"], body["dag_run_id"]))
            if run is None:
                found = [(call["dag_id"], body["dag_run_id"])]
                text = f"The DagRuns with these identifiers: {found} were not found"
                errors.append({"error": text, "status_code": 404})
                continue
            if body.get("state") == "failed":
                self.database.cancel(run)
            run.note = body.get("note", run.note)
            done.append(f"{run.dag_id}.{run.run_id}")
        return as_json(
            200,
            {"create": None, "update": {"success": done, "errors": errors}, "delete": None},
        )

    def clear(self, call: Call) -> FakeResponse:
        """POST .../clear: a dry run by default."""
        body = self.json_value(call.request)
        self.writer(call)
        body = self.fields(
            body, "dry_run", "only_failed", "only_new", "run_on_latest_version", "note"
        )
        run = self.run(call)
        cleared = self.database.selected(run, only_failed=body.get("only_failed", False))
        if body.get("dry_run", True):
            rows = [bodies.instance(run, instance) for instance in cleared]
            return as_json(200, {"task_instances": rows, "total_entries": len(rows)})
        self.database.clear(run, cleared)
        return as_json(200, bodies.run(run))

    def clear_instances(self, call: Call) -> FakeResponse:
        """POST clearTaskInstances: some tasks of a run; a dry run by default."""
        body = self.json_value(call.request)
        self.writer(call)
        body = self.fields(
            body,
            *("dry_run", "dag_run_id", "only_failed", "reset_dag_runs", "task_ids"),
            *(("task_instance_ids",) if self.has(3, 4) else ()),
        )
        dag, run_id = self.dag(call), body.get("dag_run_id")
        runs = [run for run in self.database.runs_of(dag.dag_id) if run_id in {None, run.run_id}]
        if run_id is not None and not runs:
            raise refuse(404, f"Dag Run id {run_id} not found in dag {dag.dag_id}")
        rows = []
        for run in runs:
            only_failed = body.get("only_failed", True)
            cleared = self.database.selected(
                run, only_failed=only_failed, task_ids=body.get("task_ids")
            )
            if (ids := body.get("task_instance_ids")) is not None:
                cleared = [one for one in run.instances if one.id in ids]
                if len(cleared) < len(ids):
                    raise refuse(404, "Selected task execution is not current in this DAG run")
            if not body.get("dry_run", True):
                self.database.clear(run, cleared, reset_run=body.get("reset_dag_runs", True))
            rows += [self.shown(run, instance) for instance in cleared]
        return as_json(200, {"task_instances": rows, "total_entries": len(rows)} | NO_CURSOR)

    def wait(self, call: Call) -> FakeResponse:
        """GET .../wait: a line per poll, without a content type.

        Measured: docs/notes/airflow-3.md#wait-endpoint.
        """
        self.role(call.request)
        interval = call.request.first("interval")
        wrong = {"loc": ["query", "interval"], "input": interval or None}
        if not interval:
            raise refuse(422, [{"type": "missing", "msg": "Field required"} | wrong])
        if float(interval) <= 0:
            raise refuse(
                422, [{"type": "greater_than", "msg": "Input should be greater than 0"} | wrong]
            )
        lines = self._lines(self.run(call), call.request.query.get("result", []), float(interval))
        return FakeResponse(200, stream=lines)

    def _lines(self, run: FakeRun, wanted: list[str], interval: float) -> Iterator[bytes | float]:
        key = (run.dag_id, run.run_id)
        yield 0.0
        while self.database.runs.get(key) is run:
            line: dict[str, Any] = {"state": self.database.poll(run).state}
            if ended := line["state"] in {"success", "failed"}:
                values = {i.task.task_id: i.pushed.get("return_value") for i in run.instances}
                found = {name: values[name] for name in wanted if values.get(name) is not None}
                line |= {"results": found} if wanted else {}
            yield json.dumps(line).encode()
            yield b"\n"
            if ended:
                return
            yield interval

    def import_errors(self, call: Call) -> FakeResponse:
        """GET the import errors."""
        self.role(call.request)
        self.known(call, "filename_pattern", "filename_prefix_pattern", "order_by")
        file, bundle = call.request.first("filename"), call.request.first("bundle_name")
        rows = [bodies.import_error(*found) for found in self.database.import_errors().items()]
        rows = [
            row
            for row in rows
            if file in {"", row["filename"]} and bundle in {"", row["bundle_name"]}
        ]
        return as_json(200, {"import_errors": self.page(call, rows), "total_entries": len(rows)})

    def parse(self, call: Call) -> FakeResponse:
        """PUT: parse a file."""
        self.writer(call)
        if not parse(self.database, call["token"]):
            raise refuse(404, "File not found")
        return as_json(201, None)

    def pool(self, call: Call) -> FakeResponse:
        """GET a pool."""
        self.role(call.request)
        if call["name"] not in self.database.pools:
            raise refuse(404, f"The Pool with name: `{call['name']}` was not found")
        return as_json(200, pool(self.database, call["name"]) | {"team_name": None})
