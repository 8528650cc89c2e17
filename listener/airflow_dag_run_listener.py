"""Report the ends of DAG runs to GitHub from inside Airflow, for the input `report_to`.

This file works with Airflow 2.9 to 2.11 and 3, and needs no further packages. Put it into the
plugins folder, or install this folder as a package, on every scheduler and api-server, and restart
them. Then add the connection `airflow_dag_run_github`:

    password  a fine-grained token, or the private key of a GitHub App (PEM)
    login     the id of the GitHub App, else empty
    host      GitHub's API; https://api.github.com if empty
    extra     {"repositories": ["octo-org/sales"],
               "airflow_url": ["https://airflow.example.com"],
               "installation_id": 123}

    airflow_url is needed only if workflows do not use Airflow's own base_url, installation_id only
    for a GitHub App.

The listener reports to these repositories only. It updates a commit status or a deployment only if
the action has created it for this DAG run of this Airflow, because every user who may trigger a
run, here or in another Airflow, can write a note. One thread does all network and database work,
from a bounded queue. The listener logs when it drops reports; the workflow detached-sweep
finds them (docs/detached.md).
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

import jwt
import requests
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECTION = "airflow_dag_run_github"
MAX_WAITING = 1000
"""DAG runs in the queue; further ones are dropped."""
RETRY_SECONDS = 3600.0
"""Seconds after which a failing report is dropped."""
RETRY_PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds of the pause after the first, second … consecutive failure.

The pause holds for all reports, because all go to the same GitHub. After the pause, another
report is sent first, because the failure may concern only this one.
"""
COMMIT_SECONDS = 30.0
"""Seconds that Airflow may take to commit an announced state to the database."""
REREAD_SECONDS = 0.25
"""Seconds between two reads of the database before that commit."""
TOKEN_SECONDS = 3000.0
"""Seconds for which the token of a GitHub App is used; it is valid for an hour."""
TIMEOUT = (5.0, 15.0)
"""Connect and read timeouts in seconds."""
MAX_NAMES_LISTED = 20
"""Failed task instances that a description names."""
MAX_NOTE_CHARS = 1000
"""Characters of a note that Airflow stores."""
MAX_NAME_CHARS = 255
"""Characters of the name of a status or an environment on GitHub."""
MAX_DESCRIPTION_CHARS = 140
"""Characters of a description on GitHub."""
CANCELLED_MARK = "[stopped because its workflow was cancelled]"
"""Text in the note of a run that the action stopped.

It decides the result, because the scheduler may overwrite the state, even with success.
"""
PREFIX = "airflow-dag-run: "
"""Start of the line in a note that has the marker."""
FORMATS = {
    "airflow": re.compile(r"https?://[!#-\[\]-~]{1,200}"),
    "api_url": re.compile(r"https?://[!#-\[\]-~]{1,100}"),
    "repository": re.compile(r"(?!\.{1,2}/)[\w.-]{1,40}/(?!\.{1,2}$)[\w.-]{1,100}", re.ASCII),
    "commit": re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"),
}
"""Format of each required field of a marker."""
STATES = {
    **dict.fromkeys(("pending", "queued", "in_progress"), "pending"),
    **dict.fromkeys(("success", "inactive"), "success"),
    **dict.fromkeys(("failure", "error"), "failure"),
}
"""GitHub's states of statuses and deployments, mapped to the three states of a report.

GitHub sets a successful deployment to `inactive` after a later one.
"""

log = logging.getLogger("airflow.dag_run_listener")


class NotCommittedError(Exception):
    """Airflow has not committed the announced state yet."""


class TransientError(Exception):
    """A report failed and can be retried, after `pause` seconds if GitHub gives a pause."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class PermanentError(Exception):
    """A report failed, and a retry cannot succeed."""


class Marker(NamedTuple):
    """The target of a report: a deployment if there is an environment, else a commit status."""

    airflow: str
    api_url: str
    repository: str
    commit: str
    environment: str | None


class Run(NamedTuple):
    """A DAG run in the database.

    `failed` has the names of at most MAX_NAMES_LISTED + 1 failed task instances.
    """

    dag_id: str
    run_id: str
    state: str
    note: str | None
    seconds: float | None = None
    failed: tuple[str, ...] = ()


class GitHubAccess(NamedTuple):
    """The contents of the connection.

    `secret` is a token, or the private key of a GitHub App. `airflow` has the base URLs, in their
    canonical form, that workflows use for this Airflow.
    """

    api_url: str
    repositories: tuple[str, ...]
    secret: str
    app_id: str
    installation_id: str
    airflow: tuple[str, ...]

    def __repr__(self) -> str:
        """Leave out the secret."""
        return f"GitHubAccess({self.api_url!r}, {self.repositories!r})"


def parse_marker(note: object) -> Marker | None:
    """Return the marker that the action has written into a note.

    Return None if there is no marker, more than one, or one in a form that the action never writes.
    """
    if not isinstance(note, str) or len(note) > MAX_NOTE_CHARS:
        return None
    lines = [line for line in note.splitlines() if line.startswith(PREFIX)]
    try:
        note.encode()
        (found,) = map(json.loads, (line[len(PREFIX) :] for line in lines))
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or set(found) - {"environment"} != set(FORMATS):
        return None
    if not all(isinstance(value, str) for value in found.values()):
        return None
    if not all(pattern.fullmatch(found[name]) for name, pattern in FORMATS.items()):
        return None
    marker = Marker(
        found["airflow"],
        found["api_url"],
        found["repository"],
        found["commit"],
        found.get("environment"),
    )
    name = marker.environment
    valid = name is None or (0 < len(name) <= MAX_NAME_CHARS and name.isprintable())
    return marker if valid and _marker_line(marker) == lines[0] else None


def _marker_line(marker: Marker) -> str:
    known = {name: value for name, value in marker._asdict().items() if value is not None}
    return f"{PREFIX}{json.dumps(known, separators=(',', ':'), ensure_ascii=False)}"


def read_run(dag_id: str, run_id: str) -> Run | None:
    """Read the run from Airflow's database, in a new session. Return None if it was deleted."""
    # Slow to import, and not importable yet when Airflow loads its plugins
    from airflow.models import DagRun, TaskInstance  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    with create_session() as session:
        run = (
            session.query(DagRun)
            .filter(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
            .one_or_none()
        )
        if run is None:
            return None
        tasks = session.query(TaskInstance.task_id, TaskInstance.map_index).filter(
            TaskInstance.dag_id == dag_id,
            TaskInstance.run_id == run_id,
            TaskInstance.state == "failed",
        )
        failed: tuple[str, ...] = ()
        if run.state == "failed" and parse_marker(run.note) is not None:
            rows = tasks.order_by(TaskInstance.task_id, TaskInstance.map_index).limit(
                MAX_NAMES_LISTED + 1
            )
            failed = tuple(task if index < 0 else f"{task}[{index}]" for task, index in rows)
        known = run.start_date is not None and run.end_date is not None
        seconds = (run.end_date - run.start_date).total_seconds() if known else None
        return Run(dag_id, run_id, str(run.state), run.note, seconds, failed)


def read_access() -> GitHubAccess:
    """Read the connection, for each report, because it may change while Airflow runs."""
    from airflow.exceptions import AirflowNotFoundException  # noqa: PLC0415 - as above
    from airflow.models.connection import Connection  # noqa: PLC0415

    try:
        connection = Connection.get_connection_from_secrets(CONNECTION)
    except AirflowNotFoundException:
        raise PermanentError(f"there is no connection {CONNECTION}") from None
    except Exception as error:  # noqa: BLE001 - a secrets backend may raise anything
        raise TransientError(
            f"the connection {CONNECTION} cannot be read ({type(error).__name__})"
        ) from None
    extra = connection.extra_dejson
    repositories = extra.get("repositories")
    if not isinstance(repositories, list) or not all(isinstance(one, str) for one in repositories):
        raise PermanentError(
            f"the connection {CONNECTION} has no list of repositories in its extra"
        )
    airflow = extra.get("airflow_url") or _base_url()
    try:
        addresses = tuple(
            map(canonical_url, filter(None, airflow if isinstance(airflow, list) else [airflow]))
        )
    except (ValueError, TypeError, AttributeError):
        name = (
            f"airflow_url in the extra of {CONNECTION}"
            if extra.get("airflow_url")
            else "Airflow's own base_url"
        )
        raise PermanentError(f"{name} is neither a URL nor a list of URLs") from None
    if not connection.password:
        raise PermanentError(f"the connection {CONNECTION} has no password")
    host = (connection.host or "https://api.github.com").rstrip("/")
    return GitHubAccess(
        host if "://" in host else f"https://{host}",
        tuple(one.lower() for one in repositories),
        connection.password,
        connection.login or "",
        str(extra.get("installation_id") or ""),
        addresses,
    )


def _base_url() -> str:
    """Return the base URL in Airflow's configuration, empty if it is not set."""
    from airflow.configuration import conf  # noqa: PLC0415 - as above

    return str(
        conf.get("api", "base_url", fallback="")
        or conf.get("webserver", "base_url", fallback="")
        or ""
    )


def canonical_url(url: str) -> str:
    """Return the canonical form of a base URL. Raises ValueError if it is not a base URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is not an http or https URL with a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default_port = parts.port is None or parts.port == {"http": 80, "https": 443}.get(parts.scheme)
    return (
        f"{parts.scheme}://{host}{'' if default_port else f':{parts.port}'}{parts.path.rstrip('/')}"
    )


class GitHub:
    """A client of GitHub's REST API that reuses its connections and the token of a GitHub App."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._app_token: tuple[GitHubAccess, str, float] | None = None

    def request(
        self, access: GitHubAccess, method: str, path: str, body: Any = None, **params: str | int
    ) -> Any:
        """Send one request and return the listed objects (GET) or the created one (POST).

        Raises:
            TransientError: a retry may succeed.
            PermanentError: GitHub refused the request.
        """
        return self._send(access, self._token(access), method, path, json=body, params=params)

    def _token(self, access: GitHubAccess) -> str:
        """Return the token of the connection, or an installation token of the GitHub App."""
        if not access.app_id:
            return access.secret
        if (
            self._app_token is not None
            and self._app_token[0] == access
            and time.time() < self._app_token[2]
        ):
            return self._app_token[1]
        now = int(time.time())
        claims = {"iss": access.app_id, "iat": now - 60, "exp": now + 540}
        try:
            app_jwt = jwt.encode(claims, access.secret.replace("\\n", "\n"), algorithm="RS256")
        # cryptography raises many types, and their texts may contain the key
        except Exception as error:  # noqa: BLE001
            raise PermanentError(
                f"the private key in {CONNECTION} cannot be used ({type(error).__name__})"
            ) from None
        path = f"/app/installations/{quote(access.installation_id, safe='')}/access_tokens"
        token = str(self._send(access, app_jwt, "POST", path)["token"])
        self._app_token = access, token, now + TOKEN_SECONDS
        return token

    def _send(
        self, access: GitHubAccess, token: str, method: str, path: str, **content: Any
    ) -> Any:
        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            # Set by `auth`, because a ~/.netrc would replace a header.
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        try:
            url = f"{access.api_url}{path}"
            response = self._session.request(
                method,
                url,
                headers=headers,
                auth=authorize,
                timeout=TIMEOUT,
                allow_redirects=False,
                **content,
            )
            if response.status_code in (200, 201):
                content = response.json()
        except (requests.RequestException, ValueError) as error:
            raise TransientError(f"{method} {path}: {type(error).__name__}") from None
        if response.status_code not in (200, 201):
            self._raise_for_status(
                response,
                f"{method} {path} answered {response.status_code}{_error_message(response, token)}",
            )
        created = response.status_code == 201 and isinstance(content, dict)
        listed = isinstance(content, list) and all(isinstance(one, dict) for one in content)
        if not (listed if method == "GET" else created):
            raise TransientError(f"{method} {path}: the response is not from GitHub")
        return content

    def _raise_for_status(self, response: requests.Response, what: str) -> NoReturn:
        status, pause = response.status_code, _retry_after(response)
        limited = status == 403 and (pause or "rate limit" in response.text.lower())
        if status == 401:
            self._app_token = None
        if status in (401, 408, 429) or status >= 500 or limited:
            raise TransientError(what, pause)
        raise PermanentError(what)


def _retry_after(response: requests.Response) -> float:
    """Return the pause in seconds that GitHub's headers request, 0 if none."""
    after = response.headers.get("Retry-After", "")
    if after.isdecimal():
        return min(float(after), RETRY_SECONDS)
    reset = response.headers.get("X-RateLimit-Reset", "")
    if response.headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return min(max(float(reset) - time.time(), 1.0), RETRY_SECONDS)
    return 0.0


def _error_message(response: requests.Response, token: str) -> str:
    """Return the error message in the response, without the token that a gateway may quote."""
    try:
        message = response.json()["message"]
    except (ValueError, LookupError, TypeError):
        return ""
    return f": {str(message).replace(token, '***')[:200]!r}"


def report(dag_id: str, run_id: str, announced: str | None, github: GitHub) -> bool:
    """Report the state of a run if the run has a marker and GitHub shows another state.

    Args:
        dag_id: id of the DAG.
        run_id: id of the DAG run.
        announced: state that Airflow announced; None: accept any state in the database.
        github: client of GitHub's API.

    Returns:
        Whether GitHub was queried.

    Raises:
        NotCommittedError: the database does not have the announced state yet.
        TransientError: a retry may succeed.
        PermanentError: a retry cannot succeed.
    """
    try:
        run = read_run(dag_id, run_id)
    except Exception as error:  # noqa: BLE001 - a database driver may raise anything
        raise TransientError(
            f"Airflow's database cannot be read ({type(error).__name__})"
        ) from None
    marker = parse_marker(run.note) if run is not None else None
    if run is None or marker is None:
        return False
    if announced is not None and run.state != announced:
        raise NotCommittedError
    access = read_access()
    if marker.repository.lower() not in access.repositories:
        raise PermanentError(f"{marker.repository} is not among the repositories of {CONNECTION}")
    if marker.api_url.rstrip("/") != access.api_url:
        raise PermanentError(
            f"its note names the GitHub API at {marker.api_url}, and {CONNECTION} is for "
            f"{access.api_url}"
        )
    if marker.airflow not in access.airflow:
        here = " or ".join(access.airflow) or "no known address"
        raise PermanentError(
            f"its note names the Airflow at {marker.airflow}, and this one is at {here}. If "
            f"workflows use that address, add it to the extra of {CONNECTION} as airflow_url"
        )
    if marker.environment is None:
        _move_status(github, access, marker, run)
    else:
        _move_deployment(github, access, marker, run)
    return True


def _move_status(github: GitHub, access: GitHubAccess, marker: Marker, run: Run) -> None:
    """Update the commit status, if the action has created one for this run.

    If another run of the DAG has replaced the status, report only a failure, so that no failure
    stays hidden.
    """
    context, repository = f"airflow / {run.dag_id}"[:MAX_NAME_CHARS], f"/repos/{marker.repository}"
    pages = _pages(github, access, f"{repository}/commits/{marker.commit}/statuses")
    # GitHub ignores case in the names of statuses.
    statuses = [one for one in pages if str(one.get("context")).casefold() == context.casefold()]
    ours = next(
        (
            one
            for one in statuses
            if _is_page_of(str(one.get("target_url") or ""), run, marker.airflow)
        ),
        None,
    )
    if ours is None:
        log.info("GitHub has no commit status for the DAG run %s of %s", run.run_id, run.dag_id)
        return
    target, latest = _target_state(run), statuses[0] is ours
    if STATES.get(str(ours.get("state"))) == target or not (latest or target == "failure"):
        return
    body = {
        "state": target,
        "context": context,
        "target_url": ours["target_url"],
        "description": _describe(run),
    }
    github.request(access, "POST", f"{repository}/statuses/{marker.commit}", body)
    log.info(
        "Reported the DAG run %s of %s to %s: %s", run.run_id, run.dag_id, marker.repository, target
    )


def _move_deployment(github: GitHub, access: GitHubAccess, marker: Marker, run: Run) -> None:
    """Update the deployment, if the action has created one for this run."""
    path = f"/repos/{marker.repository}/deployments"
    filters = {"sha": marker.commit, "environment": str(marker.environment), "task": "airflow"}
    subject = {"airflow": marker.airflow, "dag_id": run.dag_id, "run_id": run.run_id}
    for one in _pages(github, access, path, **filters):
        if _parsed_payload(one.get("payload")) == subject:
            path = f"{path}/{int(one['id'])}/statuses"
            break
    else:
        log.info("GitHub has no deployment for the DAG run %s of %s", run.run_id, run.dag_id)
        return
    states = github.request(access, "GET", path, per_page=100)
    newest: dict[str, Any] = max(states, key=lambda state: int(state["id"]), default={})
    target = _target_state(run)
    if STATES.get(str(newest.get("state"))) == target:
        return
    body = {
        "state": "in_progress" if target == "pending" else target,
        "description": _describe(run),
    }
    if page := newest.get("log_url"):
        body["log_url"] = page
    github.request(access, "POST", path, body)
    log.info(
        "Reported the DAG run %s of %s to %s: %s", run.run_id, run.dag_id, marker.repository, target
    )


def _pages(
    github: GitHub, access: GitHubAccess, path: str, **params: str
) -> Iterator[dict[str, Any]]:
    """Yield the objects of the first ten pages."""
    for page in range(1, 11):
        found = github.request(access, "GET", path, per_page=100, page=page, **params)
        yield from found
        if len(found) < 100:
            return


def _is_page_of(page: str, run: Run, airflow: str) -> bool:
    """Return whether the URL is the page of the DAG run in the Airflow at this base URL."""
    try:
        parts = urlsplit(page)
        segments = parts.path.split("/")
        names = [unquote(segment) for segment in segments]
        if names[-3:] == ["dags", run.dag_id, "grid"]:
            ours, base = parse_qs(parts.query).get("dag_run_id") == [run.run_id], segments[:-3]
        else:
            ours, base = names[-4:] == ["dags", run.dag_id, "runs", run.run_id], segments[:-4]
        return (
            ours
            and canonical_url(urlunsplit((parts.scheme, parts.netloc, "/".join(base), "", "")))
            == airflow
        )
    except ValueError:
        return False


def _parsed_payload(payload: Any) -> Any:
    if not isinstance(payload, str):
        return payload
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _target_state(run: Run) -> str:
    if run.state not in ("success", "failed"):
        return "pending"
    return (
        "success"
        if run.state == "success" and CANCELLED_MARK not in (run.note or "")
        else "failure"
    )


def _describe(run: Run) -> str:
    """Describe the run in at most MAX_DESCRIPTION_CHARS characters."""
    after = "" if run.seconds is None else f" after {round(run.seconds)} s"
    if run.state not in ("success", "failed"):
        text = f"DAG run {run.run_id}"
    elif CANCELLED_MARK in (run.note or ""):
        text = "The DAG run was stopped: its workflow was cancelled"
    elif run.state == "success":
        text = f"The DAG run succeeded{after}"
    else:
        more = ", …" if len(run.failed) > MAX_NAMES_LISTED else ""
        names = f": {', '.join(run.failed[:MAX_NAMES_LISTED])}{more}" if run.failed else ""
        text = f"The DAG run failed{after}{names}"
    if len(text) <= MAX_DESCRIPTION_CHARS:
        return text
    return f"{text[: MAX_DESCRIPTION_CHARS - 1]}…"


class Announcement(NamedTuple):
    """A state that Airflow announced, when it was announced, and when to report it."""

    state: str | None
    since: float
    due: float


class Reporter:
    """A queue of announcements, and the thread that reports them.

    Args:
        send: function that reports a run, given its DAG id, run id and announced state.
        clock: function that returns monotonic seconds.
    """

    def __init__(
        self,
        send: Callable[[str, str, str | None], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._clock = clock
        self._condition = threading.Condition()
        self._waiting: OrderedDict[tuple[str, str], Announcement] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._failures, self._paused_until, self._last_error, self._overflowing = 0, 0.0, "", False

    def add(self, dag_id: str, run_id: str, state: str) -> None:
        """Queue an announcement in place of an earlier one of the same run.

        It must not block, because it runs in Airflow's scheduler.
        """
        with self._condition:
            if (dag_id, run_id) not in self._waiting and len(self._waiting) >= MAX_WAITING:
                if not self._overflowing:
                    log.warning(
                        "%d DAG runs wait to be reported to GitHub: dropping further ones",
                        MAX_WAITING,
                    )
                self._overflowing = True
                return
            now = self._clock()
            self._waiting[dag_id, run_id] = Announcement(state, now, now)
            self._condition.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="airflow-dag-run-listener", daemon=True
                )
                self._thread.start()

    def step(self) -> float | None:
        """Report one run, if one is due.

        Returns:
            Seconds until the next call, or None if the queue is empty.
        """
        now = self._clock()
        with self._condition:
            if not self._waiting:
                return None
            key = min(self._waiting, key=lambda one: self._waiting[one].due)
            event = self._waiting[key]
        wait = max(event.due, self._paused_until) - now
        if wait > 0:
            return wait
        remaining = self._attempt(key, event, now)
        with self._condition:
            if self._waiting.get(key) is event:
                if remaining is None:
                    del self._waiting[key]
                    self._overflowing = False
                else:
                    self._waiting[key] = remaining
        return 0.0

    def _attempt(
        self, key: tuple[str, str], event: Announcement, now: float
    ) -> Announcement | None:
        """Try to report a run. Return the announcement if it stays in the queue, else None."""
        name = f"the DAG run {key[1]} of {key[0]}"
        try:
            queried = self._send(*key, event.state)
        except NotCommittedError:
            state = event.state if now - event.since < COMMIT_SECONDS else None
            return event._replace(state=state, due=self._clock() + REREAD_SECONDS)
        except TransientError as error:
            pause = max(RETRY_PAUSES[min(self._failures, len(RETRY_PAUSES) - 1)], error.pause)
            self._failures += 1
            self._paused_until = self._clock() + pause
            if now - event.since >= RETRY_SECONDS:
                log.warning("Could not report %s to GitHub: %s", name, error)
                return None
            if not self._last_error:
                log.warning("Reports to GitHub fail and are retried for an hour: %s", error)
            self._last_error = str(error)
            return event._replace(due=self._paused_until)
        except PermanentError as error:
            log.warning("Could not report %s to GitHub: %s", name, error)
        # The thread must survive, and the text of an exception may contain a secret
        except Exception as error:  # noqa: BLE001
            log.warning("Could not report %s to GitHub: %s", name, type(error).__name__)
        else:
            if queried and self._last_error:
                log.info("Reports to GitHub work again")
            if queried:
                self._failures, self._last_error = 0, ""
        return None

    def _work(self) -> None:
        while True:
            wait = self.step()
            if wait == 0.0:
                continue
            with self._condition:
                if wait is not None or not self._waiting:
                    self._condition.wait(wait)


_GITHUB: GitHub
_REPORTER: Reporter
_PROCESS_CLIENTS: list[GitHub] = []
"""The clients of this process and of those that it was forked from.

They are kept and never closed, because that needs locks that no thread may release after a fork.
"""


def _start() -> None:
    """Create the client and the reporter. A forked process creates its own.

    A forked process has no reporter thread, its locks may be held, and it shares the connections of
    its parent.
    """
    global _GITHUB, _REPORTER  # noqa: PLW0603 - one of each in a process
    _GITHUB = GitHub()
    _PROCESS_CLIENTS.append(_GITHUB)
    _REPORTER = Reporter(lambda dag_id, run_id, state: report(dag_id, run_id, state, _GITHUB))


_start()
os.register_at_fork(after_in_child=_start)


def _enqueue(dag_run: Any, *, only_cleared: bool = False) -> None:
    """Queue a manually triggered run, since scheduled ones have no marker. Raise nothing."""
    try:
        if dag_run.run_type == "manual" and (
            not only_cleared or getattr(dag_run, "clear_number", 1)
        ):
            _REPORTER.add(dag_run.dag_id, dag_run.run_id, str(dag_run.state))
    except Exception as error:  # noqa: BLE001 - it would stop the scheduler of Airflow 2
        log.warning("A DAG run cannot be reported to GitHub: %s", type(error).__name__)


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:  # noqa: ARG001 - the hook's own names
    """Report that a cleared run is pending again; GitHub shows a new run as pending already."""
    _enqueue(dag_run, only_cleared=True)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:  # noqa: ARG001
    """Report the end of the run."""
    _enqueue(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:  # noqa: ARG001
    """Report the end of the run."""
    _enqueue(dag_run)


class AirflowDagRunListener(AirflowPlugin):
    """Register the hooks of this file with Airflow."""

    name = "airflow_dag_run_listener"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - Airflow expects a list
