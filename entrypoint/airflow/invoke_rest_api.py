"""Send requests to the Airflow of an Amazon MWAA environment through AWS's InvokeRestApi.

It is a `Transport`, so that nothing above it knows. AWS relays each request to the web server, also
to a private one, and logs in to Airflow itself. It sets limits: a path has at most 64 characters,
and a response arrives whole and as JSON. So a request for one DAG run or for its task instances,
whose path is too long, becomes another request of the same API that says the same in its query or
body. What AWS cannot carry at all raises NotSupported, which disables the feature that needs it.

Measured: docs/notes/credentials.md#invokerestapi.
"""

from __future__ import annotations

import json
import re
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from entrypoint.airflow.responses import is_credential_refused
from entrypoint.airflow.transport import Transport, response_date
from entrypoint.errors import NotSupported, TransientError
from entrypoint.http.aws import (
    MWAA,
    checked,
    host,
    mwaa_refusal,
    without_signature,
)
from entrypoint.http.client import Request
from entrypoint.http.response import Response, read_response, relayed_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from entrypoint.airflow.transport import ApiRequest, Authorizer
    from entrypoint.deadline import Deadline
    from entrypoint.errors import Unauthorized
    from entrypoint.http.client import HttpClient

    Relay = Callable[[ApiRequest], Response]

MAX_PATH_CHARS = 64
"""Maximum length of `Path`, from the service's own model."""
_PAGE = 100
_MAX_PAGES = 500
"""Maximum number of pages in which a run is searched: 50,000 runs of a DAG."""
_API = re.compile(r"/api/v(?P<version>[12])(?P<path>/.*)")
_RUN = re.compile(r"/dags/(?P<dag>[^/]+)/dagRuns/(?P<run>[^/]+)")
_TASKS = re.compile(rf"{_RUN.pattern}/taskInstances")
_LOG = re.compile(rf"{_TASKS.pattern}/[^/]+/logs/[^/]+")
_AIRFLOW_MAJOR = {"1": "2", "2": "3"}
"""Major version of Airflow for each version of its API."""
_SAFE = ":+~@!$&'()*,;="
"""Characters of an id that a path may contain as they are. AWS may quote the path again."""
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.~:+-]+")


class InvokeRestApi(Transport):
    """Sends requests to one MWAA environment through AWS.

    Args:
        environment: name of the environment.
        region: AWS region.
        http_client: HTTP client for Amazon MWAA.
        ui_url: where people open this Airflow, None if AWS does not tell.
    """

    def __init__(
        self, environment: str, region: str, http_client: HttpClient, ui_url: str | None = None
    ) -> None:
        self._url = f"https://{host('env.airflow', region)}/restapi/{environment}"
        super().__init__(ui_url or self._url, http_client)
        self._environment, self._region = environment, region
        if ui_url is None:
            # The console lists the environment, whatever follows in the fragment.
            console = "amazonaws.cn" if region.startswith("cn-") else "aws.amazon.com"
            self.ui_url = (
                f"https://{region}.console.{console}/mwaa/home?region={region}"
                f"#environments/{environment}"
            )

    def require_path(self, path: str) -> None:
        """See `Transport`. The path of a single run may be longer, since a list replaces it."""
        _, carried = _split(path)
        if len(carried) > MAX_PATH_CHARS:
            raise _too_long(carried)

    def send(
        self, method: str, path: str, deadline: Deadline, *, anonymous: bool = False, **options: Any
    ) -> Response:
        """See `Transport`. AWS authorizes each request, also one without a user of Airflow."""
        del anonymous
        return super().send(method, path, deadline, **options)

    def refusal_error(self, response: Response) -> Unauthorized:
        """See `Transport`."""
        expires = self._accepted_since is not None and self.authorizer is not None
        if response.service is not MWAA or (
            expires and self.authorizer is not None and self.authorizer.expiry_hint
        ):
            return super().refusal_error(response)
        return mwaa_refusal(response, self._environment, self._region, "airflow:InvokeRestApi")

    def _may_be_refused(self, response: Response, authorizer: Authorizer) -> bool:
        """See `Transport`. A 403 of Airflow is a missing permission, since AWS logs in to it."""
        del authorizer
        return is_credential_refused(response)

    def _send_once(self, request: ApiRequest, authorizer: Authorizer | None) -> Response:
        if request.max_silence < inf:
            raise NotSupported("InvokeRestApi carries no stream", "The run is polled instead.", "")
        split = urlsplit(request.path)
        version, path = _split(split.path)
        if request.accept != "application/json" or _LOG.fullmatch(path):
            raise NotSupported(
                "InvokeRestApi carries no task logs",
                "Airflow's UI shows them.",
                "Use mwaa_access: web, if the web server is public.",
            )
        query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        relay = partial(self._relay, authorizer=authorizer)
        request = request._replace(path=path, params={**query, **(request.params or {})})
        if path == "/version":
            return _of_version(relay(request), version)
        if len(path) <= MAX_PATH_CHARS:
            return relay(request)
        if request.method == "GET" and (found := _RUN.fullmatch(path)):
            return self._find_run(request, version, *_ids(found), relay=relay)
        if request.method == "GET" and (found := _TASKS.fullmatch(path)):
            return self._list_tasks(request, version, *_ids(found), relay=relay)
        if request.method == "PATCH" and version == "2" and (found := _RUN.fullmatch(path)):
            return self._patch_run(request, version, *_ids(found), relay=relay)
        raise _too_long(path)

    def _find_run(
        self, request: ApiRequest, version: str, dag_id: str, run_id: str, *, relay: Relay
    ) -> Response:
        """Return the response to a GET of the run, from the DAG's list of runs.

        The newest come first, so that one page is enough for a run of this step. A run that is not
        found is missing for certain: pages overlap, so that a change between two is noticed.

        Raises:
            TransientError: the list changed while it was read, or is too long.
        """
        path = f"/dags/{quote(dag_id, safe=_SAFE)}/dagRuns"
        params: dict[str, Any] = {"order_by": "-id", "limit": _PAGE}
        if version == "2" and _PLAIN_ID.fullmatch(run_id):
            params["run_id_pattern"] = run_id  # from 3.1 on; an older version ignores it
        offset, last = 0, None
        for _ in range(_MAX_PAGES):
            response = relay(request._replace(path=path, params=params | {"offset": offset}))
            body = response.body if isinstance(response.body, dict) else {}
            runs, total = body.get("dag_runs"), body.get("total_entries")
            if response.status != 200 or not isinstance(runs, list) or not isinstance(total, int):
                return response if response.status != 200 else response._replace(body=None)
            ids = [run.get("dag_run_id") if isinstance(run, dict) else None for run in runs]
            if run_id in ids:
                return response._replace(body=runs[ids.index(run_id)])
            if last is not None and last not in ids:
                break
            if offset + len(runs) >= total:
                return _run_not_found(response, version, dag_id, run_id)
            if len(runs) < 2:
                break
            offset, last = offset + len(runs) - 1, ids[-1]
        raise TransientError(
            "Airflow's list of DAG runs changed while it was read",
            f"{response.source}: the run {run_id} was searched in {total} runs.",
            "Re-run this job.",
        )

    def _list_tasks(
        self, request: ApiRequest, version: str, dag_id: str, run_id: str, *, relay: Relay
    ) -> Response:
        """Return the run's task instances from the list of those of all runs.

        Raises:
            NotSupported: the list cannot be limited to a run, as before Airflow 2.7.1.
        """
        response = relay(_listed_tasks(request, version, dag_id, run_id))
        if version == "1" and response.status == 400:
            raise _too_long(request.path)
        items = response.body.get("task_instances") if isinstance(response.body, dict) else None
        for item in items if isinstance(items, list) else ():
            place = isinstance(item, dict) and (item.get("dag_id"), item.get("dag_run_id"))
            if place and place != (dag_id, run_id):
                raise response.unexpected("it is about another run.")
        return response

    def _patch_run(
        self, request: ApiRequest, version: str, dag_id: str, run_id: str, *, relay: Relay
    ) -> Response:
        """Change the run by the bulk endpoint of Airflow 3.3 and later, and return it."""
        path = f"/dags/{quote(dag_id, safe=_SAFE)}/dagRuns"
        entity = {"dag_run_id": run_id, **json.loads(request.body or b"{}")}
        body = {"actions": [{"action": "update", "entities": [entity]}]}
        response = relay(request._replace(path=path, body=json.dumps(body).encode()))
        if response.status in (404, 405):
            raise _too_long(request.path)
        results = response.body.get("update") if isinstance(response.body, dict) else None
        errors = results.get("errors") if isinstance(results, dict) else None
        if response.status != 200 or not isinstance(errors, list):
            return response
        for error in errors:
            status = error.get("status_code") if isinstance(error, dict) else None
            if status == 404:
                return _run_not_found(response, version, dag_id, run_id)
            return response._replace(
                status=status if isinstance(status, int) else 500,
                body={"detail": str(error.get("error")) if isinstance(error, dict) else ""},
            )
        get = request._replace(method="GET", body=None, params=None)
        return self._find_run(get, version, dag_id, run_id, relay=relay)

    def _relay(self, request: ApiRequest, *, authorizer: Authorizer | None) -> Response:
        """Send one request through AWS, and return Airflow's response to it."""
        call: dict[str, Any] = {"Path": request.path, "Method": request.method}
        if request.params:
            call["QueryParameters"] = _query(request.params)
        if request.body is not None:
            call["Body"] = json.loads(request.body)
        source = f"{request.method} {request.path} through InvokeRestApi"
        authorization = ""

        def authorize(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
            nonlocal authorization
            if authorizer is not None:
                prepared = authorizer.authorize(request.deadline, prepared)
            authorization = prepared.headers.get("Authorization", "")
            return prepared

        http_request = Request(
            "POST",
            self._url,
            source,
            {"Accept": "application/json", "Content-Type": "application/json"},
            body=json.dumps(call, allow_nan=False).encode(),
            auth=authorize,
            deadline=request.deadline,
        )

        def read(raw: requests.Response, _: float) -> Response:
            self.server_time = response_date(raw.headers.get("Date"))
            return checked(read_response(source, raw, MWAA), authorization)

        answer = self._http.send(http_request, read)
        body = answer.body if isinstance(answer.body, dict) else {}
        status = body.get("RestApiStatusCode")
        if isinstance(status, int) and answer.status in (200, 400):
            return _delivered(request, source, status, body.get("RestApiResponse"))
        if answer.status in (401, 403, 404):
            # Not Airflow's: AWS did not relay the request.
            return answer._replace(status=401) if answer.status != 404 else self._unknown(answer)
        # A 200 that is not AWS's may quote the request, too.
        answer = without_signature(answer, authorization)
        raise answer.unexpected(answer.detail or "it has no RestApiStatusCode.")

    def _unknown(self, answer: Response) -> Response:
        raise mwaa_refusal(answer, self._environment, self._region, "airflow:InvokeRestApi")


def _delivered(request: ApiRequest, source: str, status: int, body: Any) -> Response:
    """Return Airflow's response, and pass its body on to a consumer of chunks."""
    response = relayed_response(
        source,
        status,
        body,
        quote_failure=request.quote_failure,
        needs_json=request.consume is None,
    )
    if request.consume is None or status >= 300:
        return response
    request.consume(json.dumps(body).encode())
    return response._replace(body=None)


def _split(path: str) -> tuple[str, str]:
    """Return the version of the API, and the path as AWS takes it: below the API's."""
    match = _API.fullmatch(path)
    if match is None:
        raise NotSupported(
            "InvokeRestApi cannot carry this request", f"{path} is not in Airflow's REST API.", ""
        )
    segments = (quote(unquote(part), safe=_SAFE) for part in match["path"].split("/"))
    return match["version"], "/".join(segments)


def _ids(found: re.Match[str]) -> tuple[str, str]:
    return unquote(found["dag"]), unquote(found["run"])


def _query(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the query as JSON. A list stays one, and a parameter without a value is left out."""
    return {name: value for name, value in params.items() if value is not None}


def _listed_tasks(request: ApiRequest, version: str, dag_id: str, run_id: str) -> ApiRequest:
    """Return the request for the run's task instances that names the run in its body."""
    params = dict(request.params or {})
    body: dict[str, Any] = {"dag_ids": [dag_id], "dag_run_ids": [run_id]}
    if "state" in params:
        # Airflow 3 writes a missing state as null here, and as "none" in a query.
        missing = None if version == "2" else "none"
        body["state"] = [missing if state == "none" else state for state in params["state"]]
    for name, key in (("limit", "page_limit"), ("offset", "page_offset")):
        if name in params:
            body[key] = max(params[name], 1) if (version, name) == ("1", "limit") else params[name]
    return request._replace(
        method="POST",
        path="/dags/~/dagRuns/~/taskInstances/list",
        params=None,
        body=json.dumps(body).encode(),
    )


def _run_not_found(response: Response, version: str, dag_id: str, run_id: str) -> Response:
    """Return the 404 with which this version of the API reports a missing run."""
    detail = f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"
    body: dict[str, Any] = {"detail": detail}
    if version == "1":
        body |= {"status": 404, "title": "DAGRun not found", "type": "/Errors/NotFound"}
    return response._replace(status=404, body=body)


def _of_version(response: Response, version: str) -> Response:
    """Return a 404 if the environment has the other version of the API.

    AWS chooses the version by itself, and the path does not name it.
    """
    found = response.body.get("version") if isinstance(response.body, dict) else None
    if not isinstance(found, str) or found.split(".")[0] == _AIRFLOW_MAJOR[version]:
        return response
    detail = f"This environment has Airflow {found}."
    return response._replace(status=404, body={"detail": detail})


def _too_long(path: str) -> NotSupported:
    """Return the error for a path that AWS does not carry, without the ids in it."""
    parts = path.split("/")
    names = "/".join(part if number % 2 else "…" for number, part in enumerate(parts) if part)
    room = MAX_PATH_CHARS - len(f"/{names.replace('…', '')}")
    return NotSupported(
        "InvokeRestApi cannot carry this request",
        f"With these ids, the path {names} is longer than the {MAX_PATH_CHARS} characters that AWS "
        "carries.",
        f"Give shorter ids: together, those in this path may have at most {room} characters. Or "
        "use mwaa_access: web on a runner that reaches the web server.",
    )
