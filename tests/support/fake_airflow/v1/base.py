"""Common parts of Airflow 2.11.2's responses: errors, login, lookups, unknown paths.

Measured: docs/notes/airflow-2.md#error-bodies.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dev.airflow_settings import password_of
from tests.support.fake_airflow.bodies import health
from tests.support.fake_airflow.connection import ConnectionPolicy
from tests.support.fake_airflow.messages import (
    FakeResponse,
    ReceivedRequest,
    RefusedError,
    as_json,
    page,
)
from tests.support.fake_airflow.routing import Call, FakeRestApi
from tests.support.fake_airflow.tokens import USERS

if TYPE_CHECKING:
    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance

DOCS = (
    "https://airflow.apache.org/docs/apache-airflow/2.11.2/stable-rest-api-ref.html#section/Errors/"
)
KINDS = {400: "BadRequest", 403: "PermissionDenied", 404: "NotFound", 409: "AlreadyExists"}


def refuse(status: int, title: str | None, detail: str | None, kind: str = "") -> RefusedError:
    """Return an error in connexion's format: application/problem+json.

    `kind` is the end of the link to the docs; 400, 403, 404 and 409 have a default. "about:blank"
    means an unknown route.
    """
    kind = kind or KINDS.get(status, "about:blank")
    where = kind if kind == "about:blank" else DOCS + kind
    problem = {"detail": detail, "status": status, "title": title, "type": where}
    return RefusedError(as_json(status, problem, "application/problem+json"))


class V1Base(FakeRestApi):
    """Base class of the routes in `api.py`."""

    connection_policy = ConnectionPolicy(server="gunicorn", keep_alive=False, gzip=False)

    def local_path(self, request: ReceivedRequest) -> str | FakeResponse:
        """Return 404 outside the prefix (docs/notes/airflow-2.md#base-path)."""
        path = self.below_prefix(request)
        if path is None:
            return FakeResponse(404, b"Apache Airflow is not at this location", "text/plain")
        return re.sub("//+", "/", path)

    def no_route(
        self,
        request: ReceivedRequest,  # noqa: ARG002 - as in version 3
        path: str,
        *,
        other_methods: bool,
    ) -> FakeResponse:
        """Return JSON for unknown paths below /api/v1, and pages elsewhere."""
        if other_methods:
            return refuse(
                405, "Method Not Allowed", "The method is not allowed for the requested URL."
            ).answer
        if path.startswith("/api/v1/"):
            text = (
                "The requested URL was not found on the server. If you entered the URL "
                "manually please check your "
            )
            return refuse(404, "Not Found", text + "spelling and try again.", "about:blank").answer
        if path == "/":
            return replace(
                page(302, "Redirecting..."), headers=(("Location", f"{self.prefix}/home"),)
            )
        return page(404, "Airflow 404")

    def version(self, call: Call) -> FakeResponse:  # noqa: ARG002
        """GET /version: ignores credentials, even bad ones."""
        return as_json(200, {"git_version": "", "version": self.airflow})

    def health(self, call: Call) -> FakeResponse:  # noqa: ARG002
        """GET /health: 200 even when the scheduler is dead."""
        return as_json(200, health(self.database))

    def own_role(self, request: ReceivedRequest) -> str:
        """Return the role of the request's user; every bad credential gets the same 403.

        Measured: docs/notes/airflow-2.md#401-and-403.
        """
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, password = "", ""
        if scheme.lower() != "basic" or USERS.get(name) is None or password != password_of(name):
            raise refuse(403, "Forbidden", None)
        return USERS[name]

    def forbidden(self) -> RefusedError:
        """Return the same response as for a bad credential."""
        return refuse(403, "Forbidden", None)

    def writer(self, call: Call) -> None:
        """Refuse read-only users."""
        if self.role(call.request) == "viewer":
            raise refuse(403, "Forbidden", None)

    def dag(self, call: Call, *, poll: bool = False) -> FakeDag:
        """Return the DAG in the path, or 404."""
        dag = self.database.dag(call["dag_id"], poll=poll)
        if dag is None:
            raise refuse(
                404, "DAG not found", f"The DAG with dag_id: {call['dag_id']} was not found"
            )
        return dag

    def run(self, call: Call) -> FakeRun:
        """Return the run in the path, or 404."""
        run = self.find_run(call)
        if run is None:
            text = (
                f"DAGRun with DAG ID: '{call['dag_id']}' and DagRun ID: '{call['run_id']}' "
                "not found"
            )
            raise refuse(404, "DAGRun not found", text)
        return run

    def run_to_change(self, call: Call) -> FakeRun:
        """Return the run in the path, or the 404 of the routes that change one."""
        run = self.find_run(call)
        if run is None:
            raise refuse(
                404, f"Dag Run id {call['run_id']} not found in dag {call['dag_id']}", None
            )
        return run

    def find_run(self, call: Call) -> FakeRun | None:
        return self.database.runs.get((call["dag_id"], call["run_id"]))

    def find_instance(self, call: Call) -> FakeTaskInstance | None:
        """Return the task instance in path and map_index."""
        run, index = self.find_run(call), self.number(call, "map_index", -1)
        return run.instance(call["task_id"], index) if run else None

    def number(self, call: Call, name: str, otherwise: int) -> int:
        """Return an integer in the query."""
        try:
            return int(call.request.first(name, str(otherwise)))
        except ValueError:
            text = f"Wrong type, expected 'integer' for query parameter '{name}'"
            raise refuse(400, "Bad Request", text) from None

    def moment(self, call: Call, name: str) -> datetime | None:
        """Return a date in the query, which needs an offset."""
        if not (value := call.request.first(name)):
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise refuse(
                400,
                "Bad Request",
                f"{value!r} is not a 'date-time'\n\nFailed validating 'format' in schema:",
            )
        return moment

    def known(self, call: Call, supported: set[str], real: set[str]) -> None:
        """Refuse unknown parameters.

        Raises:
            NotImplementedError: for `real` parameters, which only the real Airflow supports
        """
        if unknown := set(call.request.query) - supported - real:
            raise refuse(
                400, None, f"Extra query parameter(s) {', '.join(sorted(unknown))} not in spec"
            )
        if missing := set(call.request.query) - supported:
            raise NotImplementedError(
                f"The scripted Airflow does not know these filters: {sorted(missing)}"
            )

    def json_object(self, request: ReceivedRequest) -> dict[str, Any]:
        """Return the body, which must be a JSON object."""
        if not request.body:
            raise refuse(400, "Bad Request", "Request body must not be empty")
        if not (kind := request.headers.get("Content-Type", "")).startswith("application/json"):
            raise refuse(
                415, "Unsupported Media Type", f"Invalid Content-type ({kind}), expected JSON data"
            )
        try:
            body = json.loads(request.body)
        except ValueError:
            raise refuse(400, "Bad Request", "Request body is not valid JSON") from None
        if not isinstance(body, dict):
            raise refuse(400, "Bad Request", f"{body!r} is not of type 'object'")
        return body

    def fields(self, body: dict[str, Any], allowed: set[str]) -> None:
        """Refuse a body with other keys; `detail` is a Python repr."""
        if unknown := {name: ["Unknown field."] for name in body if name not in allowed}:
            raise refuse(400, "Bad Request", str(unknown))
