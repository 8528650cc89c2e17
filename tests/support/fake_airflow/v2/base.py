"""Common parts of Airflow 3.3.2's responses: errors, permissions, lookups, unknown paths.

Measured: docs/notes/airflow-3.md#error-bodies.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.fake_airflow.bodies import health
from tests.support.fake_airflow.connection import ConnectionPolicy
from tests.support.fake_airflow.messages import (
    FakeResponse,
    ReceivedRequest,
    RefusedError,
    as_json,
    page,
)
from tests.support.fake_airflow.routing import Call, FakeRestApi, ordered, page_of
from tests.support.fake_airflow.v2.trigger import EXTRA, NO_OBJECT, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.support.fake_airflow.database import Database
    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance
    from tests.support.fake_airflow.tokens import Tokens

T = TypeVar("T")


def refuse(status: int, detail: Any) -> RefusedError:
    """Return an error in FastAPI's format: {"detail": ...}."""
    return RefusedError(as_json(status, {"detail": detail}))


class V2Base(FakeRestApi):
    """Base class of the routes in `api.py`."""

    connection_policy = ConnectionPolicy(server="uvicorn", keep_alive=True, gzip=True)

    def __init__(self, database: Database, prefix: str, tokens: Tokens) -> None:
        super().__init__(database, prefix)
        self.tokens = tokens

    def local_path(self, request: ReceivedRequest) -> str | FakeResponse:
        """Return the path below the prefix.

        Outside its prefix Airflow 3 serves only /api (docs/notes/airflow-3.md#base-path).
        """
        path = self.below_prefix(request)
        if path is None and request.path.startswith("/api/"):
            return request.path
        return "/outside" if path is None else path

    def no_route(self, request: ReceivedRequest, path: str, *, other_methods: bool) -> FakeResponse:
        """Return JSON errors below /api, and elsewhere the single-page application."""
        if request.method != "GET" or other_methods:
            return as_json(405, {"detail": "Method Not Allowed"})
        if path.startswith("/api/v1/"):
            hint = (
                "/api/v1 has been removed in Airflow 3, please use its upgraded version "
                "/api/v2 instead."
            )
            return as_json(404, {"error": hint})
        if path.startswith("/api/"):
            return as_json(404, {"error": "API route not found"})
        if path == "/health":
            hint = "Moved in Airflow 3. Please change config to check `/api/v2/monitor/health`"
            return as_json(404, {"error": hint})
        return page(200, "Airflow")

    def version(self, call: Call) -> FakeResponse:  # noqa: ARG002
        """GET /version: needs no credential."""
        return as_json(
            200,
            {
                "version": self.airflow,
                "git_version": ".release:aa19d2dbb9ed187ec01957a92848d9b005e9ba9d",
            },
        )

    def health(self, call: Call) -> FakeResponse:  # noqa: ARG002
        """GET /monitor/health: 200 even when the scheduler is dead."""
        return as_json(200, health(self.database))

    def own_role(self, request: ReceivedRequest) -> str:
        return self.tokens.role(request)

    def forbidden(self) -> RefusedError:
        """Return a 403, which does not name the missing permission."""
        return refuse(403, "Forbidden")

    def writer(self, call: Call) -> str:
        """Return the role of the request's user; refuse read-only users."""
        role = self.role(call.request)
        if role == "viewer":
            raise self.forbidden()
        return role

    def dag(self, call: Call, *, poll: bool = False) -> FakeDag:
        """Return the DAG in the path, or 404."""
        dag = self.database.dag(call["dag_id"], poll=poll)
        if dag is None:
            raise refuse(404, f"The Dag with ID: `{call['dag_id']}` was not found")
        return dag

    def run(self, call: Call) -> FakeRun:
        """Return the run in the path, or 404."""
        run = self.database.runs.get((call["dag_id"], call["run_id"]))
        if run is None:
            text = (
                f"The DagRun with dag_id: `{call['dag_id']}` and run_id: "
                f"`{call['run_id']}` was not found"
            )
            raise refuse(404, text)
        return run

    def find_instance(self, call: Call) -> FakeTaskInstance | None:
        """Return the task instance in path and map_index; in a loop by its region.

        Measured: docs/notes/airflow-versions.md#loops.
        """
        run = self.database.runs.get((call["dag_id"], call["run_id"]))
        index = int(call.parameters.get("map_index", self.number(call, "map_index", -1)))
        of_task = (
            [one for one in run.instances if one.task.task_id == call["task_id"]] if run else []
        )
        if not any(one.region for one in of_task):
            return run.instance(call["task_id"], index) if run else None
        region, place = call.request.first("region_id"), call.request.first("region_index")
        if place and not region:
            raise refuse(400, "region_index requires region_id")
        if region and not place and all(one.task.map_index >= 0 for one in of_task):
            raise refuse(404, "Task instance not found for selected coordinates")
        if not (region and place):
            raise refuse(400, "Select a region and index for this task instance")
        return next((one for one in of_task if one.region == (region, int(place))), None)

    def number(self, call: Call, name: str, otherwise: int) -> int:
        """Return an integer in the query."""
        value = call.request.first(name, str(otherwise))
        try:
            return int(value)
        except ValueError:
            text = "Input should be a valid integer, unable to parse string as an integer"
            raise refuse(
                422, [{"type": "int_parsing", "loc": ["query", name], "msg": text, "input": value}]
            ) from None

    def moment(self, call: Call, name: str) -> datetime | None:
        """Return a date in the query; without an offset the database fails."""
        if not (value := call.request.first(name)):
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            text = "Input should be a valid datetime or date, input is too short"
            wrong = {
                "type": "datetime_from_date_parsing",
                "loc": ["query", name],
                "msg": text,
                "input": value,
            }
            raise refuse(422, [wrong]) from None
        if moment.tzinfo is None:
            hidden = {
                "statement": "hidden",
                "orig_error": "hidden",
                "message": "Serious error when handling your request.",
            }
            raise refuse(500, {"reason": "Database error"} | hidden)
        return moment

    def known(self, call: Call, *real: str) -> None:
        """Check for parameters that this server lacks. Airflow ignores unknown ones.

        Raises:
            NotImplementedError: for `real` parameters, which only the real Airflow supports
        """
        if missing := set(call.request.query) & set(real):
            raise NotImplementedError(
                f"The scripted Airflow does not know these filters: {sorted(missing)}"
            )

    def json_value(self, request: ReceivedRequest) -> Any:
        """Return the body, parsed if it has a JSON content type.

        Invalid JSON is a 422 before any check of credentials.
        """
        if not request.body:
            return None
        if request.headers.get_content_type() != "application/json":
            return request.body.decode()
        try:
            return json.loads(request.body)
        except json.JSONDecodeError as error:
            place = {
                "type": "json_invalid",
                "loc": ["body", error.pos],
                "msg": "JSON decode error",
                "input": {},
            }
            raise refuse(422, [place | {"ctx": {"error": error.msg}}]) from None

    def fields(self, body: Any, *allowed: str) -> dict[str, Any]:
        """Return the body if it is an object with allowed keys only; else 422."""
        if body is None:
            raise refuse(422, [problem("missing", "Field required", None)])
        if not isinstance(body, dict):
            raise refuse(422, [problem("model_attributes_type", NO_OBJECT, body)])
        if extra := [
            problem("extra_forbidden", EXTRA, body[name], name)
            for name in body
            if name not in allowed
        ]:
            raise refuse(422, extra)
        return body

    def states(self, call: Call, known: Sequence[str]) -> list[str]:
        """Return the states in the query; 422 if one is unknown."""
        wanted = call.request.query.get("state", [])
        if not set(wanted) <= {*known, "none"}:
            raise refuse(422, f"Invalid value for state. Valid values are {', '.join(known)}")
        return wanted

    def ordered(
        self, call: Call, rows: list[T], columns: Mapping[str, Callable[[T], Any]], otherwise: str
    ) -> list[T]:
        """Return the rows in the order of order_by; 400 if a column is unknown."""
        keys = call.request.query.get("order_by", [otherwise])
        for name in (key.removeprefix("-") for key in keys):
            if name not in columns:
                raise refuse(
                    400,
                    f"Ordering with '{name}' is disallowed or the attribute does not exist "
                    "on the model",
                )
        return ordered(rows, keys, columns)

    def page(self, call: Call, rows: list[T]) -> list[T]:
        """Return the rows for limit and offset, at most 100; 422 if one of them is negative."""
        for name in ("limit", "offset"):
            if self.number(call, name, 0) < 0:
                text = "Input should be greater than or equal to 0"
                wrong = {"type": "greater_than_equal", "loc": ["query", name], "msg": text}
                raise refuse(422, [wrong | {"input": call.request.first(name), "ctx": {"ge": 0}}])
        return page_of(rows, call.request, default=50, cap=100)
