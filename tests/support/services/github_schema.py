"""GitHub's documented requests, API version "2022-11-28", as JSON schemas.

GitHub ignores an unknown field. Here it is a violation, because the client expects an effect.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.fake_airflow.messages import ReceivedRequest

_REPOSITORY = r"/repos/(?P<repository>[\w.-]+/[\w.-]+)"
_SHA = r"(?P<sha>[0-9a-f]{40})"
_REF = r"[^/\s]+?"
"""A SHA, branch or tag; a slash in it is quoted."""
_TEXT, _FLAG = {"type": "string"}, {"type": "boolean"}
_LINE = {"type": ["string", "null"], "maxLength": 140}
_LINK = {"type": ["string", "null"], "pattern": "^(https?://.+)?$"}
_LIST = {"type": "array", "items": _TEXT}


def _record(required: tuple[str, ...] = (), /, **fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


def _query(**more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a query; every list has pages of at most a hundred items."""
    number = {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}
    size = {"type": "string", "pattern": "^([1-9][0-9]?|100)$"}
    return _record((), per_page=size, page=number, **more)


class Operation(NamedTuple):
    """A documented operation.

    `needs` is its permission; `contents` means any token that may read, "" the app's own JWT.
    """

    name: str
    method: str
    path: re.Pattern[str]
    needs: str
    query: dict[str, Any] = _record()
    body: dict[str, Any] | None = None


_STATUS = _record(
    ("state",),
    state={"enum": ["error", "failure", "pending", "success"]},
    target_url=_LINK,
    description=_LINE,
    context={"type": "string", "minLength": 1, "maxLength": 255},
)
_DEPLOYMENT = _record(
    ("ref",),
    ref=_TEXT,
    task=_TEXT,
    auto_merge=_FLAG,
    required_contexts=_LIST,
    payload={"type": ["object", "string"]},
    environment={"type": "string", "minLength": 1, "maxLength": 255},
    description=_LINE,
    transient_environment=_FLAG,
    production_environment=_FLAG,
)
_DEPLOYMENT_STATUS = _record(
    ("state",),
    state={"enum": ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"]},
    target_url=_LINK,
    log_url=_LINK,
    description=_LINE,
    environment=_TEXT,
    environment_url=_LINK,
    auto_inactive=_FLAG,
)
_TOKEN = _record(
    repositories=_LIST | {"maxItems": 500},
    repository_ids={"type": "array", "items": {"type": "integer"}},
    permissions={"type": "object", "additionalProperties": {"enum": ["read", "write"]}},
)


def _operation(name: str, way: str, needs: str, **schemas: Any) -> Operation:
    method, path = way.split()
    return Operation(name, method, re.compile(path), needs, **schemas)


OPERATIONS = (
    _operation("commit", rf"GET {_REPOSITORY}/commits/{_SHA}", "contents", query=_query()),
    _operation(
        "compare",
        rf"GET {_REPOSITORY}/compare/(?P<base>{_REF})\.\.\.(?P<head>{_REF})",
        "contents",
        query=_query(),
    ),
    _operation(
        "tree",
        rf"GET {_REPOSITORY}/git/trees/{_SHA}",
        "contents",
        query=_record((), recursive=_TEXT),
    ),
    _operation("add_status", rf"POST {_REPOSITORY}/statuses/{_SHA}", "statuses", body=_STATUS),
    _operation(
        "statuses", rf"GET {_REPOSITORY}/commits/{_SHA}/statuses", "statuses", query=_query()
    ),
    _operation("deploy", rf"POST {_REPOSITORY}/deployments", "deployments", body=_DEPLOYMENT),
    _operation(
        "deployments",
        rf"GET {_REPOSITORY}/deployments",
        "deployments",
        query=_query(sha=_TEXT, ref=_TEXT, task=_TEXT, environment=_TEXT),
    ),
    _operation(
        "add_state",
        rf"POST {_REPOSITORY}/deployments/(?P<number>\d+)/statuses",
        "deployments",
        body=_DEPLOYMENT_STATUS,
    ),
    _operation(
        "states",
        rf"GET {_REPOSITORY}/deployments/(?P<number>\d+)/statuses",
        "deployments",
        query=_query(),
    ),
    _operation("token", r"POST /app/installations/(?P<number>\d+)/access_tokens", "", body=_TOKEN),
)


def operation_of(request: ReceivedRequest) -> tuple[Operation, dict[str, str]]:
    """Return the operation of a request, and the values in its path.

    Raises:
        LookupError: if there is no such operation
    """
    for operation in OPERATIONS:
        if operation.method == request.method and (match := operation.path.fullmatch(request.path)):
            return operation, match.groupdict()
    raise LookupError(request.path)


def schema_violation(request: ReceivedRequest) -> str | None:
    """Return why a request is not one that GitHub documents; None if it is."""
    try:
        operation, _ = operation_of(request)
    except LookupError:
        return "there is no such operation"
    if not request.headers.get("User-Agent"):
        return "it has no User-Agent"
    if request.headers.get("X-GitHub-Api-Version", "2022-11-28") != "2022-11-28":
        return "there is no such version of the API"
    if any(len(values) > 1 for values in request.query.values()):
        return "a parameter is repeated"
    query = {name: values[0] for name, values in request.query.items()}
    return _wrong(query, operation.query, "query") or _wrong_body(request, operation.body)


def _wrong_body(request: ReceivedRequest, schema: dict[str, Any] | None) -> str | None:
    if schema is None:
        return "it has a body" if request.body else None
    if not request.body and not schema["required"]:
        return None
    if request.headers.get_content_type() not in (
        "application/json",
        "application/vnd.github+json",
    ):
        return "the body has no JSON content type"
    try:
        body = json.loads(request.body)
    except ValueError:
        return "the body is not valid JSON"
    return _wrong(body, schema, "body")


def _wrong(value: Any, schema: dict[str, Any], where: str) -> str | None:
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(value)
    )
    return f"{where}{error.json_path[1:]}: {error.message}" if error else None
