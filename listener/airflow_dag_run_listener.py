"""Reports the ends of DAG runs to GitHub, from within Airflow: the other half of the action's input
`report_to`.

For Airflow 2.9 to 2.11 and 3. Put this file into the plugins folder, or install this folder as a
package, wherever a scheduler or an api-server runs, and restart them. It needs nothing that Airflow
does not have. Then add the connection `airflow_dag_run_github`:

    password  a fine-grained token, or the private key of a GitHub App (PEM) login     with a GitHub
    App its id, else nothing host      GitHub's API; https://api.github.com if empty extra
    {"repositories": ["octo-org/sales"], "airflow_url": ["https://airflow.example.com"],
    "installation_id": 123} (airflow_url if workflows do not use Airflow's own base_url;
    installation_id with a GitHub App only)

Only these repositories are ever reported to, and only a status or deployment is moved that the
action has begun for this very
DAG run of this very Airflow: a note is written by whoever may trigger a run, here or in another
Airflow. Network and database work happens on one thread with a bounded queue; what is given up is
logged, and found again by the action's sweep (docs/detached.md).
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
MOST = 1000
"""DAG runs that may wait to be reported; of more the newest are given up."""
GIVE_UP = 3600.0
"""Seconds for which a report is tried again."""
PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds after the first, second … failure in a row. One pause for all reports: they all go to one
GitHub. Then it is another one's turn, for what fails may be this one alone."""
SETTLES, SOON = 30.0, 0.25
"""Seconds that Airflow may take to commit what it has just announced, and after which the database
is read again.
"""
GRANTED = 3000.0
"""Seconds for which an App's token is used; GitHub grants it for an hour."""
TIMEOUT = (5.0, 15.0)
"""Seconds for a connection, and for an answer."""
NAMED = 20
MAX_NOTE_CHARS, LONGEST_NAME = 1000, 255
"""Characters of a note, by Airflow, and of a status's or an environment's name, by GitHub."""
CANCELLED_MARK = "[stopped because its workflow was cancelled]"
"""The action's mark of a run that it has stopped. The scheduler may overwrite its state, even with
success.
"""
PREFIX = "airflow-dag-run: "
FORMATS = {
    "airflow": re.compile(r"https?://[!#-\[\]-~]{1,200}"),
    "api_url": re.compile(r"https?://[!#-\[\]-~]{1,100}"),
    "repository": re.compile(r"(?!\.{1,2}/)[\w.-]{1,40}/(?!\.{1,2}$)[\w.-]{1,100}", re.ASCII),
    "commit": re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"),
}
STATES = {
    **dict.fromkeys(("pending", "queued", "in_progress"), "pending"),
    **dict.fromkeys(("success", "inactive"), "success"),
    **dict.fromkeys(("failure", "error"), "failure"),
}
"""GitHub's states of statuses and deployments, as ours. A later deployment makes an earlier success
`inactive`.
"""

log = logging.getLogger("airflow.dag_run_listener")


class NotYetError(Exception):
    """The database does not say yet what was announced."""


class LaterError(Exception):
    """It may work later: after `pause` seconds, if GitHub says so."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class GivenUpError(Exception):
    """It will not work by itself."""


class Marker(NamedTuple):
    """Where the end of a run of this Airflow is reported: a commit status, or a deployment if there
    is an environment.
    """

    airflow: str
    api_url: str
    repository: str
    commit: str
    environment: str | None


class Run(NamedTuple):
    """A DAG run as the database has it; `failed` are names of task instances, a few more than are
    named at the most.
    """

    dag_id: str
    run_id: str
    state: str
    note: str | None
    seconds: float | None = None
    failed: tuple[str, ...] = ()


class Access(NamedTuple):
    """The connection: which GitHub, which repositories, and what to show it. The secret is a token,
    or an App's key.

    `airflow` are the base URLs, in their canonical form, under which workflows know this Airflow.
    """

    api_url: str
    repositories: tuple[str, ...]
    secret: str
    app_id: str
    installation_id: str
    airflow: tuple[str, ...]

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Access({self.api_url!r}, {self.repositories!r})"


def parse_marker(note: object) -> Marker | None:
    """Return the marker that the action has put into a note; None if there is none, or one that it
    does not write.
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
    if not all(shape.fullmatch(found[name]) for name, shape in FORMATS.items()):
        return None
    marker = Marker(
        found["airflow"],
        found["api_url"],
        found["repository"],
        found["commit"],
        found.get("environment"),
    )
    place = marker.environment
    sane = place is None or (0 < len(place) <= LONGEST_NAME and place.isprintable())
    return marker if sane and _line(marker) == lines[0] else None


def _line(marker: Marker) -> str:
    known = {name: value for name, value in marker._asdict().items() if value is not None}
    return f"{PREFIX}{json.dumps(known, separators=(',', ':'), ensure_ascii=False)}"


def read_run(dag_id: str, run_id: str) -> Run | None:
    """Return the run as Airflow's database has it now, None if it is gone. In a session of this
    thread's own.
    """
    # Heavy, and not there when a plugin is loaded
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
            rows = tasks.order_by(TaskInstance.task_id, TaskInstance.map_index).limit(NAMED + 1)
            failed = tuple(task if index < 0 else f"{task}[{index}]" for task, index in rows)
        known = run.start_date is not None and run.end_date is not None
        seconds = (run.end_date - run.start_date).total_seconds() if known else None
        return Run(dag_id, run_id, str(run.state), run.note, seconds, failed)


def read_access() -> Access:
    """Return what the connection says, read anew each time: it may be replaced while Airflow
    runs.
    """
    from airflow.exceptions import AirflowNotFoundException  # noqa: PLC0415 - as above
    from airflow.models.connection import Connection  # noqa: PLC0415

    try:
        connection = Connection.get_connection_from_secrets(CONNECTION)
    except AirflowNotFoundException:
        raise GivenUpError(f"there is no connection {CONNECTION}") from None
    except Exception as error:  # noqa: BLE001 - whatever a secrets backend raises
        raise LaterError(
            f"the connection {CONNECTION} cannot be read ({type(error).__name__})"
        ) from None
    extra = connection.extra_dejson
    repositories = extra.get("repositories")
    if not isinstance(repositories, list) or not all(isinstance(one, str) for one in repositories):
        raise GivenUpError(f"the connection {CONNECTION} has no list of repositories in its extra")
    airflow = extra.get("airflow_url") or _base_url()
    try:
        places = tuple(
            map(canonical, filter(None, airflow if isinstance(airflow, list) else [airflow]))
        )
    except (ValueError, TypeError, AttributeError):
        name = (
            f"airflow_url in the extra of {CONNECTION}"
            if extra.get("airflow_url")
            else "Airflow's own base_url"
        )
        raise GivenUpError(f"{name} is no URL, nor a list of some") from None
    if not connection.password:
        raise GivenUpError(f"the connection {CONNECTION} has no password")
    host = (connection.host or "https://api.github.com").rstrip("/")
    return Access(
        host if "://" in host else f"https://{host}",
        tuple(one.lower() for one in repositories),
        connection.password,
        connection.login or "",
        str(extra.get("installation_id") or ""),
        places,
    )


def _base_url() -> str:
    """Return the address that Airflow's configuration gives, empty if it gives none."""
    from airflow.configuration import conf  # noqa: PLC0415 - as above

    return str(
        conf.get("api", "base_url", fallback="")
        or conf.get("webserver", "base_url", fallback="")
        or ""
    )


def canonical(url: str) -> str:
    """Return a base URL so that two of one place are equal. Raises ValueError: it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it does not lead to a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = parts.port is None or parts.port == {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}{'' if usual else f':{parts.port}'}{parts.path.rstrip('/')}"


class GitHub:
    """GitHub's REST API. One for all reports, so that its connections and an App's token are used
    again.
    """

    def __init__(self) -> None:
        self._session = requests.Session()
        self._granted: tuple[Access, str, float] | None = None

    def ask(
        self, access: Access, method: str, path: str, body: Any = None, **params: str | int
    ) -> Any:
        """Send once and return the objects that GitHub lists, or the one that it has made. Raises
        LaterError, GivenUpError.
        """
        return self._send(access, self._token(access), method, path, json=body, params=params)

    def _token(self, access: Access) -> str:
        """Return the token, or the one that the App is granted for an hour."""
        if not access.app_id:
            return access.secret
        if (
            self._granted is not None
            and self._granted[0] == access
            and time.time() < self._granted[2]
        ):
            return self._granted[1]
        now = int(time.time())
        claims = {"iss": access.app_id, "iat": now - 60, "exp": now + 540}
        try:
            proof = jwt.encode(claims, access.secret.replace("\\n", "\n"), algorithm="RS256")
        # Of cryptography's many; its text may show the key
        except Exception as error:  # noqa: BLE001
            raise GivenUpError(
                f"the private key in {CONNECTION} cannot be used ({type(error).__name__})"
            ) from None
        path = f"/app/installations/{quote(access.installation_id, safe='')}/access_tokens"
        token = str(self._send(access, proof, "POST", path)["token"])
        self._granted = access, token, now + GRANTED
        return token

    def _send(self, access: Access, token: str, method: str, path: str, **content: Any) -> Any:
        def signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
            # As `auth`, or a ~/.netrc would take its place.
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        try:
            url = f"{access.api_url}{path}"
            answer = self._session.request(
                method,
                url,
                headers=headers,
                auth=signed,
                timeout=TIMEOUT,
                allow_redirects=False,
                **content,
            )
            if answer.status_code in (200, 201):
                content = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise LaterError(f"{method} {path}: {type(error).__name__}") from None
        if answer.status_code not in (200, 201):
            self._refused(
                answer, f"{method} {path} answered {answer.status_code}{_words(answer, token)}"
            )
        made = answer.status_code == 201 and isinstance(content, dict)
        listed = isinstance(content, list) and all(isinstance(one, dict) for one in content)
        if not (listed if method == "GET" else made):
            raise LaterError(f"{method} {path} was answered by somebody else than GitHub")
        return content

    def _refused(self, answer: requests.Response, what: str) -> NoReturn:
        status, pause = answer.status_code, _asked_pause(answer)
        limited = status == 403 and (pause or "rate limit" in answer.text.lower())
        if status == 401:
            self._granted = None
        if status in (401, 408, 429) or status >= 500 or limited:
            raise LaterError(what, pause)
        raise GivenUpError(what)


def _asked_pause(answer: requests.Response) -> float:
    """Return for how many seconds GitHub asks to be left alone."""
    after = answer.headers.get("Retry-After", "")
    if after.isdecimal():
        return min(float(after), GIVE_UP)
    reset = answer.headers.get("X-RateLimit-Reset", "")
    if answer.headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return min(max(float(reset) - time.time(), 1.0), GIVE_UP)
    return 0.0


def _words(answer: requests.Response, token: str) -> str:
    """Return what GitHub says, or what a gateway does: that may be the request, token included."""
    try:
        message = answer.json()["message"]
    except (ValueError, LookupError, TypeError):
        return ""
    return f": {str(message).replace(token, '***')[:200]!r}"


def report(dag_id: str, run_id: str, announced: str | None, github: GitHub) -> bool:
    """Report a run as the database has it now, unless it has no marker or GitHub shows that state
    already.

    Args:
        dag_id: its DAG.
        run_id: the run.
        announced: the state that Airflow has announced; None: whatever it is.
        github: who is told.

    Returns:
        Whether GitHub was asked, and answered.

    Raises:
        NotYetError, LaterError, GivenUpError: it could not be reported, for now or for good.
    """
    try:
        run = read_run(dag_id, run_id)
    except Exception as error:  # noqa: BLE001 - whatever a database driver raises
        raise LaterError(f"Airflow's database cannot be read ({type(error).__name__})") from None
    marker = parse_marker(run.note) if run is not None else None
    if run is None or marker is None:
        return False
    if announced is not None and run.state != announced:
        raise NotYetError
    access = read_access()
    if marker.repository.lower() not in access.repositories:
        raise GivenUpError(f"{marker.repository} is not among the repositories of {CONNECTION}")
    if marker.api_url.rstrip("/") != access.api_url:
        raise GivenUpError(
            f"it is to be reported to {marker.api_url}, and {CONNECTION} is for {access.api_url}"
        )
    if marker.airflow not in access.airflow:
        here = " or ".join(access.airflow) or "no known address"
        raise GivenUpError(
            f"its note names the Airflow at {marker.airflow}, and this one is at {here}. "
            "If workflows call it by that "
            f"address, add it to the extra of {CONNECTION} as airflow_url"
        )
    if marker.environment is None:
        _move_status(github, access, marker, run)
    else:
        _move_deployment(github, access, marker, run)
    return True


def _move_status(github: GitHub, access: Access, marker: Marker, run: Run) -> None:
    """Set the next state of the status, if the action has begun one for this run.

    Where another run of the DAG has the status by now, only a failure is reported: none is ever
    hidden.
    """
    context, repository = f"airflow / {run.dag_id}"[:LONGEST_NAME], f"/repos/{marker.repository}"
    pages = _pages(github, access, f"{repository}/commits/{marker.commit}/statuses")
    # GitHub does not tell capital letters from small ones.
    every = [one for one in pages if str(one.get("context")).casefold() == context.casefold()]
    ours = next(
        (one for one in every if _is_about(str(one.get("target_url") or ""), run, marker.airflow)),
        None,
    )
    if ours is None:
        log.info("Nothing on GitHub stands for the DAG run %s of %s", run.run_id, run.dag_id)
        return
    wanted, latest = _wanted(run), every[0] is ours
    if STATES.get(str(ours.get("state"))) == wanted or not (latest or wanted == "failure"):
        return
    body = {
        "state": wanted,
        "context": context,
        "target_url": ours["target_url"],
        "description": _describe(run),
    }
    github.ask(access, "POST", f"{repository}/statuses/{marker.commit}", body)
    log.info(
        "Reported the DAG run %s of %s to %s: %s", run.run_id, run.dag_id, marker.repository, wanted
    )


def _move_deployment(github: GitHub, access: Access, marker: Marker, run: Run) -> None:
    """Set the next state of the deployment, if the action has made one for this run."""
    path = f"/repos/{marker.repository}/deployments"
    filters = {"sha": marker.commit, "environment": str(marker.environment), "task": "airflow"}
    subject = {"airflow": marker.airflow, "dag_id": run.dag_id, "run_id": run.run_id}
    for one in _pages(github, access, path, **filters):
        if _payload(one.get("payload")) == subject:
            path = f"{path}/{int(one['id'])}/statuses"
            break
    else:
        log.info("Nothing on GitHub stands for the DAG run %s of %s", run.run_id, run.dag_id)
        return
    states = github.ask(access, "GET", path, per_page=100)
    newest: dict[str, Any] = max(states, key=lambda state: int(state["id"]), default={})
    wanted = _wanted(run)
    if STATES.get(str(newest.get("state"))) == wanted:
        return
    body = {
        "state": "in_progress" if wanted == "pending" else wanted,
        "description": _describe(run),
    }
    if page := newest.get("log_url"):
        body["log_url"] = page
    github.ask(access, "POST", path, body)
    log.info(
        "Reported the DAG run %s of %s to %s: %s", run.run_id, run.dag_id, marker.repository, wanted
    )


def _pages(github: GitHub, access: Access, path: str, **params: str) -> Iterator[dict[str, Any]]:
    for page in range(1, 11):
        found = github.ask(access, "GET", path, per_page=100, page=page, **params)
        yield from found
        if len(found) < 100:
            return


def _is_about(page: str, run: Run, airflow: str) -> bool:
    """Return whether this is the page of the DAG run in the Airflow of that address."""
    try:
        parts = urlsplit(page)
        way = parts.path.split("/")
        names = [unquote(part) for part in way]
        if names[-3:] == ["dags", run.dag_id, "grid"]:
            ours, before = parse_qs(parts.query).get("dag_run_id") == [run.run_id], way[:-3]
        else:
            ours, before = names[-4:] == ["dags", run.dag_id, "runs", run.run_id], way[:-4]
        return (
            ours
            and canonical(urlunsplit((parts.scheme, parts.netloc, "/".join(before), "", "")))
            == airflow
        )
    except ValueError:
        return False


def _payload(payload: Any) -> Any:
    if not isinstance(payload, str):
        return payload
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _wanted(run: Run) -> str:
    if run.state not in ("success", "failed"):
        return "pending"
    return (
        "success"
        if run.state == "success" and CANCELLED_MARK not in (run.note or "")
        else "failure"
    )


def _describe(run: Run) -> str:
    """Say in GitHub's 140 characters how the run is."""
    after = "" if run.seconds is None else f" after {round(run.seconds)} s"
    if run.state not in ("success", "failed"):
        text = f"DAG run {run.run_id}"
    elif CANCELLED_MARK in (run.note or ""):
        text = "The DAG run was stopped: its workflow was cancelled"
    elif run.state == "success":
        text = f"The DAG run succeeded{after}"
    else:
        more = ", …" if len(run.failed) > NAMED else ""
        text = (
            "The DAG run "
            f"failed{after}{': ' if run.failed else ''}{', '.join(run.failed[:NAMED])}{more}"
        )
    return text if len(text) <= 140 else f"{text[:139]}…"


class Event(NamedTuple):
    """What was announced, since when it waits, and when it is due."""

    state: str | None
    since: float
    due: float


class Reporter:
    """The queue and the thread. `note` is called where nothing may take time or go wrong."""

    def __init__(
        self,
        do: Callable[[str, str, str | None], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._do = do
        self._clock = clock
        self._turn = threading.Condition()
        self._waiting: OrderedDict[tuple[str, str], Event] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._failures, self._paused_until, self._trouble, self._full = 0, 0.0, "", False

    def note(self, dag_id: str, run_id: str, state: str) -> None:
        """Have this run reported. Of the same run only the last announcement waits."""
        with self._turn:
            if (dag_id, run_id) not in self._waiting and len(self._waiting) >= MOST:
                if not self._full:
                    log.warning(
                        "%d DAG runs wait to be reported to GitHub: further ones are given up", MOST
                    )
                self._full = True
                return
            now = self._clock()
            self._waiting[dag_id, run_id] = Event(state, now, now)
            self._turn.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="airflow-dag-run-listener", daemon=True
                )
                self._thread.start()

    def step(self) -> float | None:
        """Report what is due, one run. Returns the seconds until there may be more to do, None:
        until the next `note`.
        """
        now = self._clock()
        with self._turn:
            if not self._waiting:
                return None
            key = min(self._waiting, key=lambda one: self._waiting[one].due)
            event = self._waiting[key]
        wait = max(event.due, self._paused_until) - now
        if wait > 0:
            return wait
        left = self._try(key, event, now)
        with self._turn:
            if self._waiting.get(key) is event:
                if left is None:
                    del self._waiting[key]
                    self._full = False
                else:
                    self._waiting[key] = left
        return 0.0

    def _try(self, key: tuple[str, str], event: Event, now: float) -> Event | None:
        """Return what still has to be done, None if nothing has to."""
        name = f"the DAG run {key[1]} of {key[0]}"
        try:
            asked = self._do(*key, event.state)
        except NotYetError:
            state = event.state if now - event.since < SETTLES else None
            return event._replace(state=state, due=self._clock() + SOON)
        except LaterError as error:
            pause = max(PAUSES[min(self._failures, len(PAUSES) - 1)], error.pause)
            self._failures += 1
            self._paused_until = self._clock() + pause
            if now - event.since >= GIVE_UP:
                log.warning("Given up to report %s to GitHub: %s", name, error)
                return None
            if not self._trouble:
                log.warning("Reports to GitHub fail, and are tried again for an hour: %s", error)
            self._trouble = str(error)
            return event._replace(due=self._paused_until)
        except GivenUpError as error:
            log.warning("Given up to report %s to GitHub: %s", name, error)
        # The thread must live, and a text may show a secret
        except Exception as error:  # noqa: BLE001
            log.warning("Given up to report %s to GitHub: %s", name, type(error).__name__)
        else:
            if asked and self._trouble:
                log.info("Reports to GitHub work again")
            if asked:
                self._failures, self._trouble = 0, ""
        return None

    def _work(self) -> None:
        while True:
            wait = self.step()
            if wait == 0.0:
                continue
            with self._turn:
                if wait is not None or not self._waiting:
                    self._turn.wait(wait)


_GITHUB: GitHub
_REPORTER: Reporter
_PARENTS: list[GitHub] = []
"""Of the processes that this one was forked from. Kept, for to close their connections takes locks
that nobody may release.
"""


def _begin() -> None:
    """Begin, in a forked process anew: it has no thread, locks as they happened to be, and its
    parent's connections.
    """
    global _GITHUB, _REPORTER  # noqa: PLW0603 - one of each in a process
    _GITHUB = GitHub()
    _PARENTS.append(_GITHUB)
    _REPORTER = Reporter(lambda dag_id, run_id, state: report(dag_id, run_id, state, _GITHUB))


_begin()
os.register_at_fork(after_in_child=_begin)


def _announced(dag_run: Any, *, only_cleared: bool = False) -> None:
    """Take note of a run that somebody triggered. Scheduled ones have no marker, and whatever is
    wrong is not Airflow's.
    """
    try:
        if dag_run.run_type == "manual" and (
            not only_cleared or getattr(dag_run, "clear_number", 1)
        ):
            _REPORTER.note(dag_run.dag_id, dag_run.run_id, str(dag_run.state))
    except Exception as error:  # noqa: BLE001 - Airflow 2 would stop its scheduler
        log.warning("A DAG run cannot be reported to GitHub: %s", type(error).__name__)


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:  # noqa: ARG001 - the hook's own names
    """A run that was cleared is pending again; of one that begins for the first time GitHub shows
    that already.
    """
    _announced(dag_run, only_cleared=True)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:  # noqa: ARG001
    """Have its end reported."""
    _announced(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:  # noqa: ARG001
    """Have its end reported."""
    _announced(dag_run)


class AirflowDagRunListener(AirflowPlugin):
    """Tells Airflow of the hooks in this file."""

    name = "airflow_dag_run_listener"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow wants it
