"""What all answers of Airflow 3.3.2 share: errors, permissions, look-ups, unknown paths.

Measured: docs/notes/airflow-3.md#error-bodies.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.fake_airflow.bodies import health
from tests.support.fake_airflow.connection import Manners
from tests.support.fake_airflow.messages import (
    FakeResponse,
    ReceivedRequest,
    RefusedError,
    as_json,
    page,
)
from tests.support.fake_airflow.routing import Call, RestAirflow, ordered, page_of
from tests.support.fake_airflow.v2.trigger import EXTRA, NO_OBJECT, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance
    from tests.support.fake_airflow.tokens import Tokens
    from tests.support.fake_airflow.world import World

T = TypeVar("T")


def refuse(status: int, detail: Any) -> RefusedError:
    """An error as FastAPI words it: {"detail": ...}."""
    return RefusedError(as_json(status, {"detail": detail}))


class V2Base(RestAirflow):
    """The ground the routes of `v2.py` stand on."""

    manners = Manners(server="uvicorn", keep_alive=True, gzip=True)

    def __init__(self, world: World, prefix: str, tokens: Tokens) -> None:
        super().__init__(world, prefix)
        self.tokens = tokens

    def local_path(self, request: ReceivedRequest) -> str | FakeResponse:
        """Airflow 3 serves /api/v2, though nothing else, outside its prefix as well
        (docs/notes/airflow-3.md#base-path).
        """
        path = self.below_prefix(request)
        if path is None and request.path.startswith("/api/"):
            return request.path
        return "/outside" if path is None else path

    def unrouted(self, request: ReceivedRequest, path: str, *, other_methods: bool) -> FakeResponse:
        """Outside /api every GET finds the single-page application."""
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
                "version": "3.3.2",
                "git_version": ".release:aa19d2dbb9ed187ec01957a92848d9b005e9ba9d",
            },
        )

    def health(self, call: Call) -> FakeResponse:  # noqa: ARG002
        """GET /monitor/health: 200 even when the scheduler is dead."""
        return as_json(200, health(self.world))

    def own_role(self, request: ReceivedRequest) -> str:
        """The role of who sent this."""
        return self.tokens.role(request)

    def forbidden(self) -> RefusedError:
        """Airflow does not say which right is missing."""
        return refuse(403, "Forbidden")

    def writer(self, call: Call) -> str:
        """The role of who sent this; refuses who may only read."""
        role = self.role(call.request)
        if role == "viewer":
            raise self.forbidden()
        return role

    def dag(self, call: Call, *, look: bool = False) -> FakeDag:
        """The DAG in the path, or 404."""
        dag = self.world.dag(call["dag_id"], look=look)
        if dag is None:
            raise refuse(404, f"The Dag with ID: `{call['dag_id']}` was not found")
        return dag

    def run(self, call: Call) -> FakeRun:
        """The run in the path, or 404."""
        run = self.world.runs.get((call["dag_id"], call["run_id"]))
        if run is None:
            text = (
                f"The DagRun with dag_id: `{call['dag_id']}` and run_id: "
                f"`{call['run_id']}` was not found"
            )
            raise refuse(404, text)
        return run

    def find_instance(self, call: Call) -> FakeTaskInstance | None:
        """The task instance in path and map_index."""
        run = self.world.runs.get((call["dag_id"], call["run_id"]))
        index = self.number(call, "map_index", -1)
        return run.instance(call["task_id"], index) if run else None

    def number(self, call: Call, name: str, otherwise: int) -> int:
        """An integer in the query."""
        value = call.request.first(name, str(otherwise))
        try:
            return int(value)
        except ValueError:
            text = "Input should be a valid integer, unable to parse string as an integer"
            raise refuse(
                422, [{"type": "int_parsing", "loc": ["query", name], "msg": text, "input": value}]
            ) from None

    def moment(self, call: Call, name: str) -> datetime | None:
        """A date in the query; one without an offset is too much for the database."""
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
        """What only Airflow knows is a bug of the test, or of this server; what it does not know,
        it ignores.
        """
        if missing := set(call.request.query) & set(real):
            raise NotImplementedError(
                f"The scripted Airflow does not know these filters: {sorted(missing)}"
            )

    def json_value(self, request: ReceivedRequest) -> Any:
        """The body: as JSON if it claims to be, else as text. Refuses 422, before any credential is
        asked for.
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
        """The body, if it is an object of these keys at most; else 422."""
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
        """The states that the query asks for; 422 if one is unknown."""
        wanted = call.request.query.get("state", [])
        if not set(wanted) <= {*known, "none"}:
            raise refuse(422, f"Invalid value for state. Valid values are {', '.join(known)}")
        return wanted

    def ordered(
        self, call: Call, rows: list[T], columns: Mapping[str, Callable[[T], Any]], otherwise: str
    ) -> list[T]:
        """The rows as order_by wants them; 400 if it names no column."""
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
        """The rows that limit and offset ask for, at most 100; 422 if one of them is negative."""
        for name in ("limit", "offset"):
            if self.number(call, name, 0) < 0:
                text = "Input should be greater than or equal to 0"
                wrong = {"type": "greater_than_equal", "loc": ["query", name], "msg": text}
                raise refuse(422, [wrong | {"input": call.request.first(name), "ctx": {"ge": 0}}])
        return page_of(rows, call.request, default=50, cap=100)
