"""What stands on GitHub for one step's DAG run, on a clock that the test turns: what is asked, in
which order, when not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.diagnostics.collector import Diagnostics
from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.errors import ActionError, Forbidden, NotSupported, RunExists, TransientError
from entrypoint.github_api.marker import Marker, note_with_marker, parse_marker
from entrypoint.http.response import AIRFLOW
from entrypoint.inputs.settings import parse_settings
from entrypoint.models import CANCELLED_MARK, Report
from entrypoint.report.console import Console
from entrypoint.run.detached import LISTENER_SECONDS, DetachedReport
from entrypoint.runners import github as commands
from entrypoint.session import SETUP_SECONDS, Session
from tests.support.factories import SHA, START, ManyTasks, a_context, a_request, a_run, a_task
from tests.support.virtual_time import VirtualTime
from tests.unit.script import Script, answer

if TYPE_CHECKING:
    from entrypoint.http.client import HttpClient
    from entrypoint.http.response import Service
    from entrypoint.models import DagRun, RunRequest

MARKER = Marker(
    "https://airflow.example.com", "https://api.github.com", "octo-org/sales", SHA, None
)
NEEDED = {
    "airflow_url": "https://airflow.example.com",
    "token": "t0ken",
    "dag_id": "nightly_sales",
    "wait": "false",
}
REPORTING = {"report_to": "commit-status", "github_token": "ghs_t0kenOfTheJob"}
DEPLOYING = {"report_to": "deployment", "environment": "staging"}
SWEEP = {"trigger": "false", "run_id": "r1"}
PAGE = "https://airflow.example.com/dags/nightly_sales/runs/r1"
OTHER = "https://airflow.example.com/dags/nightly_sales/runs/r2"
STAGING = "https://staging.example.com"
THEIRS = f"{STAGING}/dags/nightly_sales/runs/r1"
"""The run of the same name in another Airflow."""
NONE, DOWN, MADE = (
    answer(200, []),
    answer(503, b"<html>"),
    answer(201, {"id": 9, "url": "https://api.github.com/s"}),
)
MAY = answer(422, {"message": "No commit found for SHA"})
MARKED = note_with_marker(None, MARKER)
RUNNING = a_run(state="running", end_date=None, note=MARKED)
ENDED = a_run(note=MARKED)


def listed(*found: tuple[str, str]) -> bytes:
    """Statuses of these states and pages, the newest first, the last one with the id 1."""
    names = {"context": "airflow / nightly_sales", "url": "https://api.github.com/s"}
    return answer(
        200,
        [
            {"id": len(found) - n, "state": state, "target_url": page, **names}
            for n, (state, page) in enumerate(found)
        ],
    )


class GitHubSession(Session):
    """A connection that leads to GitHub, where the script answers."""

    def __init__(self, script: Script, inputs: dict[str, str]) -> None:
        self.time = VirtualTime()
        self.settings = parse_settings({**NEEDED, **REPORTING, **inputs}, Path("/github/workspace"))
        self._script = script
        super().__init__(
            self.settings,
            self.time.clock,
            self.time.sleep,
            commands,
            Console(self.time.clock, commands),
        )

    def http_client(self, party: Service = AIRFLOW, *, present: bool = False) -> HttpClient:
        """A way to the script, which is shown no client certificate."""
        assert not present
        return self._script.wire(party)


@dataclass
class Notes(ManyTasks):
    """An Airflow of which the runs, their notes and their task instances matter; `next_run` is what
    it shows next.
    """

    next_run: DagRun | None = None
    notes: list[str] = field(default_factory=list)
    refuses: ActionError | None = None
    now: datetime | None = START + timedelta(days=1)

    def check(self, request: RunRequest) -> None:
        """Know notes, or not."""
        if self.refuses is not None and request.note is not None:
            raise self.refuses

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Name the run's page."""
        return f"https://airflow.example.com/dags/{dag_id}/runs/{run_id}"

    def get_run(self, _dag: str, _run: str) -> DagRun | None:
        """Show it."""
        return self.next_run

    def set_note(self, _run: DagRun, note: str) -> None:
        """Take down the note, or refuse it."""
        if self.refuses is not None:
            raise self.refuses
        self.notes.append(note)


@dataclass
class Scene:
    """A step, its connection, and GitHub."""

    detach: DetachedReport
    session: GitHubSession
    script: Script

    @property
    def sent(self) -> list[tuple[str, str]]:
        """What GitHub was asked: method and the end of the path; of what is set, its state."""
        asked = [(str(one.request.method), one) for one in self.script.sent]
        return [
            (
                method,
                json.loads(one.request.body or b"").get("state", "deployment")
                if method == "POST"
                else one.url[-9:],
            )
            for method, one in asked
        ]

    def possible(self, airflow: Any = None, run: DagRun | None = None) -> None:
        """Find out whether the run could be reported."""
        self.session.set_deadline(SETUP_SECONDS)
        shown: Any = airflow or Notes()
        self.detach.check(shown, a_request(note="x"), run)

    def begin(self, run: DagRun, airflow: Any = None) -> tuple[DagRun, Report]:
        """Let something stand for the run."""
        airflow = airflow or Notes(next_run=run)
        optional = OptionalRequests(
            airflow, self.session.retrier, self.session.limit_requests, self.session.seconds_left
        )
        diagnostics = Diagnostics(optional, self.session, self.session.settings, Path())
        return self.detach.begin(airflow, run, PAGE, diagnostics.failed_task_names)


def deployed(airflow: str = MARKER.airflow) -> bytes:
    """A deployment of the run in this Airflow."""
    return answer(
        200, [{"id": 7, "payload": {"airflow": airflow, "dag_id": "nightly_sales", "run_id": "r1"}}]
    )


def scene(*answers: bytes | Exception, **inputs: str) -> Scene:
    """A step with these inputs, at a GitHub that answers so."""
    script = Script(*answers)
    session = GitHubSession(script, inputs)
    return Scene(
        DetachedReport(session.settings, a_context(), session, "https://airflow.example.com"),
        session,
        script,
    )


def test_elsewhere() -> None:
    """Where no GitHub runner runs the step there is nothing to report to, and that is said at
    once.
    """
    session = GitHubSession(Script(), {})
    with pytest.raises(ActionError, match="Only a GitHub workflow can report to GitHub"):
        DetachedReport(
            session.settings, a_context(api_url=""), session, "https://airflow.example.com"
        )


def test_the_note(tmp_path: Path) -> None:
    """The note names GitHub, repository, the head of a pull request, and the environment of a
    deployment.
    """
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": "d" * 40}}}))
    session = GitHubSession(Script(), DEPLOYING)
    context = a_context(api_url="https://ghe.example.com/api/v3/", event=event)
    note = DetachedReport(
        session.settings, context, session, "https://Airflow.example.com:443/a/"
    ).note("by octocat")

    assert note.startswith("by octocat\n")
    assert parse_marker(note) == Marker(
        "https://airflow.example.com/a",
        "https://ghe.example.com/api/v3",
        "octo-org/sales",
        "d" * 40,
        "staging",
    )


@pytest.mark.parametrize(
    ("base_url", "api_url"),
    [
        (f"https://{'x' * 201}", "https://api.github.com"),
        (f"https://airflow.example.com/{'x' * 181}/", "https://api.github.com"),
        ('https://airflow.example.com/"', "https://api.github.com"),
        ("https://airflow.example.com", f"https://{'x' * 101}"),
    ],
)
def test_what_has_no_room_in_a_note(base_url: str, api_url: str) -> None:
    """An address that the note has no room for, or that the listener would not believe, is refused
    before anything is sent.
    """
    session = GitHubSession(script := Script(), {})
    with pytest.raises(
        ActionError, match="The DAG run cannot be marked for Airflow's listener"
    ) as caught:
        DetachedReport(session.settings, a_context(api_url=api_url), session, base_url)

    assert base_url.rstrip("/") in caught.value.detail
    assert "airflow_url" in caught.value.hint
    assert script.sent == []


def test_the_longest_address() -> None:
    """What the note has room for is taken, whatever people wrote, and however long the environment
    is.
    """
    session = GitHubSession(Script(), DEPLOYING | {"environment": "x" * 255})
    detach = DetachedReport(
        session.settings,
        a_context(api_url=f"https://{'y' * 100}"),
        session,
        f"https://airflow.example.com/{'x' * 180}/",
    )
    found = parse_marker(note := detach.note("word " * 200))

    assert found is not None
    assert found.airflow == f"https://airflow.example.com/{'x' * 180}"
    assert len(note) <= 1000


# Before the trigger.


def test_nothing_is_made_before_the_trigger() -> None:
    """Before the trigger GitHub is asked whether the token may write, and what is there; nothing
    else.
    """
    found = scene(MAY, NONE)
    found.possible()

    assert [one.url.rpartition("/")[2] for one in found.script.sent] == [
        "0" * 40,
        "statuses?per_page=100&page=1",
    ]


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    ("inputs", "permission"),
    [({}, "statuses"), (DEPLOYING, "deployments")],
    ids=["status", "deployment"],
)
def test_a_missing_permission(status: int, inputs: dict[str, str], permission: str) -> None:
    """A token that may not write is refused before the trigger, by the name of what it lacks."""
    with pytest.raises(Forbidden) as caught:
        scene(
            answer(status, {"message": "Resource not accessible by integration"}), **inputs
        ).possible()

    assert caught.value.title == f"github_token may not write {permission}"
    assert f"`{permission}: write`" in caught.value.hint
    assert "Nothing was triggered" in caught.value.detail


@pytest.mark.parametrize(
    ("last", "taken"),
    [
        (("pending", OTHER), True),
        (("pending", THEIRS), True),
        (("pending", PAGE), False),
        (
            ("pending", "HTTPS://Airflow.example.com:443/dags/nightly_sales/grid?dag_run_id=r1"),
            False,
        ),
        (("success", OTHER), False),
        (("success", THEIRS), False),
        (("failure", OTHER), False),
    ],
)
# A table's column
def test_a_status_that_is_taken(last: tuple[str, str], taken: bool) -> None:
    """A status that is pending for another run, or another Airflow's, is not taken over, and no run
    is triggered.
    """
    found = scene(MAY, listed(last, ("pending", OTHER)))
    if not taken:
        found.possible()
        return
    with pytest.raises(RunExists, match="Another DAG run has this commit status") as caught:
        found.possible()
    assert last[1] in caught.value.detail
    assert "Nothing was triggered" in caught.value.detail


def test_github_fails_in_passing() -> None:
    """What fails in passing is asked again, for a minute."""
    found = scene(DOWN, MAY, DOWN, NONE)
    found.possible()
    assert len(found.script.sent) == 4

    found = scene(*[DOWN] * 99)
    with pytest.raises(TransientError, match="GitHub answers 503"):
        found.possible()
    assert found.session.time.now == 1000 + SETUP_SECONDS


def test_an_airflow_without_notes() -> None:
    """An Airflow that keeps no notes could not tell anybody where to report, and is refused."""
    old = Notes(
        refuses=NotSupported(
            "This Airflow does not know note", "Airflow 2.4.3 answers here.", "Remove note."
        )
    )
    with pytest.raises(NotSupported, match="This Airflow does not know report_to") as caught:
        scene(MAY, NONE).possible(old)

    assert "Airflow 2.4.3" in caught.value.detail
    assert "report_to" in caught.value.hint


@pytest.mark.parametrize(
    ("marker", "inputs"),
    [
        (MARKER._replace(commit="d" * 40), {}),
        (MARKER._replace(repository="octo-org/other"), {}),
        (MARKER._replace(api_url="https://ghe.example.com/api/v3"), {}),
        (MARKER._replace(airflow=STAGING), {}),
        (MARKER._replace(environment="staging"), {}),
        (MARKER, DEPLOYING),
        (MARKER._replace(environment="production"), DEPLOYING),
        (MARKER._replace(repository="octo-org/other"), SWEEP),
        (MARKER._replace(api_url="https://ghe.example.com/api/v3"), SWEEP),
        (MARKER._replace(airflow=STAGING), SWEEP),
        (MARKER._replace(airflow="http://airflow.example.com"), SWEEP),
        (
            MARKER._replace(airflow=STAGING, environment="staging"),
            SWEEP | {"report_to": "deployment"},
        ),
        (MARKER._replace(environment="staging"), SWEEP),
        (MARKER, SWEEP | {"report_to": "deployment"}),
    ],
)
def test_a_run_that_is_reported_elsewhere(marker: Marker, inputs: dict[str, str]) -> None:
    """A run whose note names something else is not reported a second time, and neither is it
    settled by a stranger.
    """
    found = scene(MAY, NONE, **inputs)
    with pytest.raises(RunExists, match="The DAG run is reported elsewhere") as caught:
        found.possible(run=a_run(note=note_with_marker("by octocat", marker)))

    assert marker.repository in caught.value.detail
    assert f"for the Airflow at {marker.airflow};" in caught.value.detail
    assert caught.value.detail.endswith(f"for the Airflow at {MARKER.airflow}.")
    assert found.script.sent == []


@pytest.mark.parametrize("note", [None, "by octocat", f"{MARKED}\n{MARKED}"])
def test_a_run_that_is_reported_nowhere(note: str | None) -> None:
    """A run without a marker cannot be settled, since nothing stands for it."""
    with pytest.raises(ActionError, match="The DAG run is reported nowhere"):
        scene(**SWEEP).possible(run=a_run(note=note))


# After it.


def test_a_run_is_pending() -> None:
    """Something stands for a run that was made: it is looked for, made, and no other run has come
    in between.
    """
    found = scene(NONE, MADE, listed(("pending", PAGE)))
    run, report = found.begin(RUNNING)

    assert found.sent == [("GET", "00&page=1"), ("POST", "pending"), ("GET", "00&page=1")]
    url = "https://api.github.com/s"
    assert (run, report) == (
        RUNNING,
        Report("commit status", "airflow / nightly_sales", SHA, "pending", url, None),
    )


def test_a_deployment_is_in_progress() -> None:
    """The same with a deployment, which has no rivals."""
    found = scene(NONE, MADE, MADE, **DEPLOYING)
    run = RUNNING._replace(note=note_with_marker(None, MARKER._replace(environment="staging")))

    assert found.begin(run)[1] == Report("deployment", "staging", SHA, "pending", None, 9)
    assert found.sent == [("GET", "00&page=1"), ("POST", "deployment"), ("POST", "in_progress")]


def test_a_deployment_beside_another_airflows() -> None:
    """The run of the same name in another Airflow has a deployment to the same environment: this
    one gets its own.
    """
    found = scene(deployed(STAGING), MADE, MADE, **DEPLOYING)
    found.begin(
        RUNNING._replace(note=note_with_marker(None, MARKER._replace(environment="staging")))
    )

    assert found.sent == [("GET", "00&page=1"), ("POST", "deployment"), ("POST", "in_progress")]
    payload = {"airflow": MARKER.airflow, "dag_id": "nightly_sales", "run_id": "r1"}
    assert json.loads(found.script.sent[1].request.body or b"")["payload"] == payload


@pytest.mark.parametrize("state", ["pending", "success", "failure"])
def test_a_run_that_was_begun_before(state: str) -> None:
    """What is pending for the run already is left alone; what was settled before it was resumed is
    pending again.
    """
    before = listed((state, PAGE))
    found = scene(before, before, before) if state == "pending" else scene(before, MADE, before)
    found.begin(RUNNING)

    assert [one for one in found.sent if one[0] == "POST"] == (
        [] if state == "pending" else [("POST", "pending")]
    )


@pytest.mark.parametrize("conflicting_run", [OTHER, THEIRS])
def test_a_rival_came_in_between(conflicting_run: str) -> None:
    """Two runs that took one status at the same time are both told, and nothing is hidden."""
    found = scene(MAY, NONE, listed(("pending", conflicting_run)))
    found.possible()
    with pytest.raises(RunExists, match="This one is there all the same"):
        found.begin(RUNNING)

    found = scene(
        MAY,
        listed(("success", OTHER)),
        NONE,
        MADE,
        listed(("pending", conflicting_run), ("pending", PAGE), ("success", OTHER)),
    )
    found.possible()
    with pytest.raises(RunExists, match="This one was triggered all the same"):
        found.begin(RUNNING)


@pytest.mark.parametrize("note", [None, "", "by hand", f"by hand\n{CANCELLED_MARK}"])
def test_a_run_that_somebody_else_made_is_marked(note: str | None) -> None:
    """A run that was there already gets the marker below its note, before anything stands for
    it.
    """
    airflow = Notes(next_run=RUNNING)
    scene(NONE, MADE, NONE).begin(RUNNING._replace(note=note), airflow)

    assert airflow.notes == [note_with_marker(note, MARKER)]


def test_a_note_that_may_not_be_changed() -> None:
    """Without the permission to edit the note nothing is made that nobody could settle, and the
    permission is named.
    """
    airflow = Notes(refuses=Forbidden("The credential may not do this", "PATCH answers 403.", "x"))
    found = scene()
    with pytest.raises(
        Forbidden, match="The DAG run cannot be marked for Airflow's listener"
    ) as caught:
        found.begin(RUNNING._replace(note=None), airflow)

    assert '"can edit on DAG Runs"' in caught.value.hint
    assert found.script.sent == []


def test_a_run_that_ended_meanwhile() -> None:
    """A run that ended before its status was there is settled here: the listener may have come too
    early.
    """
    found = scene(NONE, MADE, listed(("pending", PAGE)), listed(("pending", PAGE)), MADE)
    run, report = found.begin(RUNNING, Notes(next_run=ENDED))

    assert [one for one in found.sent if one[0] == "POST"] == [
        ("POST", "pending"),
        ("POST", "success"),
    ]
    assert (run.state, report.state) == ("success", "success")


def test_a_run_that_vanished_meanwhile() -> None:
    """A run that can no longer be read is left as it was."""
    assert scene(NONE, MADE, NONE).begin(RUNNING, Notes(next_run=None))[0] == RUNNING


@pytest.mark.parametrize(
    ("run", "state", "text"),
    [
        (ENDED, "success", "The DAG run succeeded after 2 m 12 s"),
        (ENDED._replace(state="failed"), "failure", "The DAG run failed after 2 m 12 s: extract"),
        (
            ENDED._replace(note=f"{MARKED}\n{CANCELLED_MARK}"),
            "failure",
            "The DAG run was stopped: its workflow was cancelled",
        ),
    ],
)
def test_a_run_that_has_ended(run: DagRun, state: str, text: str) -> None:
    """A run that has ended is settled at once, with the reason in a few words, and never passes
    through pending.
    """
    found = scene(NONE, MADE)
    failed = Notes(tasks=(a_task(state="failed"), a_task("load")))
    _, report = found.begin(run, failed)
    (made,) = (
        json.loads(one.request.body or b"")
        for one in found.script.sent
        if one.request.method == "POST"
    )

    assert (made["state"], made["description"], report.state) == (state, text, state)


def test_a_run_that_was_settled() -> None:
    """What the listener has settled meanwhile is not settled twice."""
    found = scene(listed(("success", PAGE), ("pending", PAGE)))

    assert found.begin(ENDED)[1].state == "success"
    assert [one[0] for one in found.sent] == ["GET"]


@pytest.mark.parametrize(
    ("ago", "pause"),
    [
        (0, LISTENER_SECONDS),
        (4, LISTENER_SECONDS - 4),
        (10, 0),
        (500, 0),
        (-3, LISTENER_SECONDS),
        (None, None),
    ],
)
def test_the_listener_goes_first(ago: float | None, pause: float | None) -> None:
    """A run that has just ended is left to the listener for a few seconds, by Airflow's own
    clock.
    """
    found = scene(NONE, MADE)
    ended = START + timedelta(seconds=132.4)
    found.begin(ENDED, Notes(now=None if ago is None else ended + timedelta(seconds=ago)))

    assert found.session.time.slept == ([] if pause is None else [pause])


@pytest.mark.parametrize(
    "answers", [[DOWN, NONE, MADE, NONE], [NONE, DOWN, listed(("pending", PAGE)), NONE]]
)
def test_a_lost_answer(answers: list[bytes]) -> None:
    """After a failure it is looked at what is there, and only what is missing is made."""
    found = scene(*answers)
    found.begin(RUNNING)

    assert sum(one[0] == "POST" for one in found.sent) == 1
    assert found.script.answers == []


# The sweep.


@pytest.mark.parametrize(
    ("run", "last", "sent"),
    [
        (ENDED, ("pending", PAGE), ["success"]),
        (ENDED, ("success", PAGE), []),
        (ENDED, ("failure", PAGE), ["success"]),
        (RUNNING, ("pending", PAGE), []),
        (RUNNING, ("success", PAGE), ["pending"]),
        # Of another, later run with the same status: only a failure is worth to be shown in its
        # place.
        (ENDED, ("pending", OTHER), []),
        (ENDED._replace(state="failed"), ("pending", OTHER), ["failure"]),
        (ENDED._replace(state="failed"), ("success", OTHER), ["failure"]),
        (RUNNING, ("pending", OTHER), []),
        (ENDED, ("pending", THEIRS), []),
        (ENDED._replace(state="failed"), ("pending", THEIRS), ["failure"]),
        (RUNNING, ("success", THEIRS), []),
    ],
)
def test_a_sweep(run: DagRun, last: tuple[str, str], sent: list[str]) -> None:
    """A step that triggers nothing moves what stands for the run to where the run is, and asks for
    no permission first.
    """
    found = scene(listed(last), *([MADE] if sent else []), **SWEEP)
    found.possible(run=run)
    found.begin(run)

    assert [one[1] for one in found.sent if one[0] == "POST"] == sent


def test_a_sweep_of_another_commit() -> None:
    """A sweep runs for whatever commit; the one in the marker is the one that is reported about."""
    found = scene(listed(("pending", PAGE)), MADE, **SWEEP)
    _, report = found.begin(
        ENDED._replace(note=note_with_marker(None, MARKER._replace(commit="d" * 40)))
    )

    assert report.commit == "d" * 40
    assert all(f"/{'d' * 40}" in one.url for one in found.script.sent)


def test_a_sweep_of_a_deployment() -> None:
    """The environment of a deployment is that of the marker, too."""
    found = scene(
        deployed(),
        answer(200, [{"id": 8, "state": "in_progress"}]),
        MADE,
        **SWEEP,
        report_to="deployment",
    )
    _, report = found.begin(
        ENDED._replace(note=note_with_marker(None, MARKER._replace(environment="staging")))
    )

    assert report == Report("deployment", "staging", SHA, "success", None, 7)


@pytest.mark.parametrize(
    ("there", "kind", "environment"),
    [
        (NONE, "commit-status", None),
        (NONE, "deployment", "staging"),
        (deployed(STAGING), "deployment", "staging"),
    ],
    ids=["status", "deployment", "another Airflow's deployment"],
)
def test_a_sweep_of_nothing(there: bytes, kind: str, environment: str | None) -> None:
    """Where nothing stands for the run nothing is made: nobody would look for it."""
    found = scene(there, **SWEEP, report_to=kind)
    with pytest.raises(ActionError, match="Nothing stands on GitHub for the DAG run"):
        found.begin(
            ENDED._replace(note=note_with_marker(None, MARKER._replace(environment=environment)))
        )

    assert [one[0] for one in found.sent] == ["GET"]
