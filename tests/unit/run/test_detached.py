"""Reporting one step's detached DAG run to GitHub."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.diagnostics.collector import Diagnostics
from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.errors import (
    ActionError,
    CommitStatusTaken,
    Forbidden,
    NotSupported,
    RunExists,
    TransientError,
)
from entrypoint.github_api.marker import Marker, note_with_marker, parse_marker
from entrypoint.models import CANCELLED_MARK, Report
from entrypoint.run.detached import LISTENER_SECONDS, DetachedReport
from entrypoint.session import SETUP_SECONDS
from tests.support.factories import SHA, START, ManyTasks, a_context, a_request, a_run, a_task
from tests.unit.run.session import ScriptedSession
from tests.unit.script import ScriptedAdapter, http_response

if TYPE_CHECKING:
    from entrypoint.deadline import Deadline
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
STATUS_INPUTS = {"report_to": "commit-status", "github_token": "ghs_t0kenOfTheJob"}
DEPLOYMENT_INPUTS = {"report_to": "deployment", "environment": "staging"}
SWEEP_INPUTS = {"trigger": "false", "run_id": "r1"}
PAGE = "https://airflow.example.com/dags/nightly_sales/runs/r1"
OTHER = "https://airflow.example.com/dags/nightly_sales/runs/r2"
STAGING = "https://staging.example.com"
THEIRS = f"{STAGING}/dags/nightly_sales/runs/r1"
"""The run with the same id in another Airflow."""
NONE, DOWN, MADE = (
    http_response(200, []),
    http_response(503, b"<html>"),
    http_response(201, {"id": 9, "url": "https://api.github.com/s"}),
)
WRITABLE = http_response(422, {"message": "No commit found for SHA"})
MARKED = note_with_marker(None, MARKER)
RUNNING = a_run(state="running", end_date=None, note=MARKED)
ENDED = a_run(note=MARKED)


def statuses_response(*found: tuple[str, str]) -> bytes:
    """Return statuses with these states and URLs, newest first; the last one has the id 1."""
    names = {"context": "airflow / nightly_sales", "url": "https://api.github.com/s"}
    return http_response(
        200,
        [
            {"id": len(found) - n, "state": state, "target_url": page, **names}
            for n, (state, page) in enumerate(found)
        ],
    )


def session_with(script: ScriptedAdapter, inputs: dict[str, str]) -> ScriptedSession:
    return ScriptedSession(script, {**NEEDED, **STATUS_INPUTS, **inputs})


@dataclass
class AirflowWithNotes(ManyTasks):
    """An Airflow with runs, notes and task instances; `next_run` is the next response."""

    next_run: DagRun | None = None
    notes: list[str] = field(default_factory=list)
    refuses: ActionError | None = None
    now: datetime | None = START + timedelta(days=1)

    def within(self, _: Deadline) -> AirflowWithNotes:
        return self

    def check(self, request: RunRequest) -> None:
        if self.refuses is not None and request.note is not None:
            raise self.refuses

    def run_url(self, dag_id: str, run_id: str) -> str:
        return f"https://airflow.example.com/dags/{dag_id}/runs/{run_id}"

    def get_run(self, _dag: str, _run: str) -> DagRun | None:
        return self.next_run

    def set_note(self, _run: DagRun, note: str) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.notes.append(note)


@dataclass
class DetachedScenario:
    detach: DetachedReport
    session: ScriptedSession
    script: ScriptedAdapter

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Return each request as its method and the state that it sets, or the end of its URL."""
        sent_requests = [(str(one.request.method), one) for one in self.script.sent]
        return [
            (
                method,
                json.loads(one.request.body or b"").get("state", "deployment")
                if method == "POST"
                else one.url[-9:],
            )
            for method, one in sent_requests
        ]

    def check_possible(self, airflow: Any = None, run: DagRun | None = None) -> None:
        shown: Any = airflow or AirflowWithNotes()
        self.detach.check(shown, a_request(note="x"), run)

    def begin(self, run: DagRun, airflow: Any = None) -> tuple[DagRun, Report]:
        airflow = airflow or AirflowWithNotes(next_run=run)
        optional = OptionalRequests(airflow, self.session.retrier)
        diagnostics = Diagnostics(optional, self.session, self.session.settings, Path())
        return self.detach.begin(airflow, run, PAGE, diagnostics.failed_task_names)


def deployment_json(airflow: str = MARKER.airflow) -> bytes:
    return http_response(
        200, [{"id": 7, "payload": {"airflow": airflow, "dag_id": "nightly_sales", "run_id": "r1"}}]
    )


def step_with(*answers: bytes | Exception, **inputs: str) -> DetachedScenario:
    script = ScriptedAdapter(*answers)
    session = session_with(script, inputs)
    return DetachedScenario(
        DetachedReport(session.settings, a_context(), session, "https://airflow.example.com"),
        session,
        script,
    )


def test_reporting_needs_a_github_runner() -> None:
    session = session_with(ScriptedAdapter(), {})
    with pytest.raises(ActionError, match="Only a GitHub workflow can report to GitHub"):
        DetachedReport(
            session.settings, a_context(api_url=""), session, "https://airflow.example.com"
        )


def test_note_names_github_repository_commit_and_environment(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": "d" * 40}}}))
    session = session_with(ScriptedAdapter(), DEPLOYMENT_INPUTS)
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
def test_url_that_does_not_fit_the_note_is_refused_before_any_request(
    base_url: str, api_url: str
) -> None:
    """So is one that the listener would ignore."""
    session = session_with(script := ScriptedAdapter(), {})
    with pytest.raises(
        ActionError, match="The DAG run cannot be marked for Airflow's listener"
    ) as caught:
        DetachedReport(session.settings, a_context(api_url=api_url), session, base_url)

    assert base_url.rstrip("/") in caught.value.detail
    assert "airflow_url" in caught.value.hint
    assert script.sent == []


def test_longest_url_that_fits_is_accepted() -> None:
    session = session_with(ScriptedAdapter(), DEPLOYMENT_INPUTS | {"environment": "x" * 255})
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


def test_only_permission_and_current_state_are_requested_before_the_trigger() -> None:
    found = step_with(WRITABLE, NONE)
    found.check_possible()

    assert [one.url.rpartition("/")[2] for one in found.script.sent] == [
        "0" * 40,
        "statuses?per_page=100&page=1",
    ]


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    ("inputs", "permission"),
    [({}, "statuses"), (DEPLOYMENT_INPUTS, "deployments")],
    ids=["status", "deployment"],
)
def test_missing_write_permission_is_refused_before_the_trigger(
    status: int, inputs: dict[str, str], permission: str
) -> None:
    with pytest.raises(Forbidden) as caught:
        step_with(
            http_response(status, {"message": "Resource not accessible by integration"}), **inputs
        ).check_possible()

    assert caught.value.title == f"github_token may not write {permission}"
    assert f"`{permission}: write`" in caught.value.hint
    assert "Nothing was triggered" in caught.value.detail


@pytest.mark.parametrize(
    ("last", "conflicts"),
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
def test_pending_status_of_another_run_is_not_taken_over(
    last: tuple[str, str], conflicts: bool
) -> None:
    found = step_with(WRITABLE, statuses_response(last, ("pending", OTHER)))
    if not conflicts:
        found.check_possible()
        return
    with pytest.raises(CommitStatusTaken, match="Another DAG run has this commit status") as caught:
        found.check_possible()
    assert last[1] in caught.value.detail
    assert "Nothing was triggered" in caught.value.detail


def test_transient_github_errors_are_retried_for_a_minute() -> None:
    found = step_with(DOWN, WRITABLE, DOWN, NONE)
    found.check_possible()
    assert len(found.script.sent) == 4

    found = step_with(*[DOWN] * 99)
    with pytest.raises(TransientError, match="GitHub answers 503"):
        found.check_possible()
    assert found.session.time.now == 1000 + SETUP_SECONDS


def test_airflow_without_notes_is_refused() -> None:
    old = AirflowWithNotes(
        refuses=NotSupported(
            "This Airflow does not know note", "This is Airflow 2.4.3.", "Remove note."
        )
    )
    with pytest.raises(NotSupported, match="This Airflow does not support report_to") as caught:
        step_with(WRITABLE, NONE).check_possible(old)

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
        (MARKER, DEPLOYMENT_INPUTS),
        (MARKER._replace(environment="production"), DEPLOYMENT_INPUTS),
        (MARKER._replace(repository="octo-org/other"), SWEEP_INPUTS),
        (MARKER._replace(api_url="https://ghe.example.com/api/v3"), SWEEP_INPUTS),
        (MARKER._replace(airflow=STAGING), SWEEP_INPUTS),
        (MARKER._replace(airflow="http://airflow.example.com"), SWEEP_INPUTS),
        (
            MARKER._replace(airflow=STAGING, environment="staging"),
            SWEEP_INPUTS | {"report_to": "deployment"},
        ),
        (MARKER._replace(environment="staging"), SWEEP_INPUTS),
        (MARKER, SWEEP_INPUTS | {"report_to": "deployment"}),
    ],
)
def test_run_reported_elsewhere_is_neither_reported_nor_settled(
    marker: Marker, inputs: dict[str, str]
) -> None:
    found = step_with(WRITABLE, NONE, **inputs)
    with pytest.raises(RunExists, match="The DAG run is reported elsewhere") as caught:
        found.check_possible(run=a_run(note=note_with_marker("by octocat", marker)))

    assert marker.repository in caught.value.detail
    assert f"for the Airflow at {marker.airflow};" in caught.value.detail
    assert caught.value.detail.endswith(f"for the Airflow at {MARKER.airflow}.")
    assert found.script.sent == []


@pytest.mark.parametrize("note", [None, "by octocat", f"{MARKED}\n{MARKED}"])
def test_run_without_a_marker_cannot_be_settled(note: str | None) -> None:
    with pytest.raises(ActionError, match="The DAG run is not reported to GitHub"):
        step_with(**SWEEP_INPUTS).check_possible(run=a_run(note=note))


# After the trigger.


def test_status_is_looked_up_created_and_checked_for_conflicts() -> None:
    found = step_with(NONE, MADE, statuses_response(("pending", PAGE)))
    run, report = found.begin(RUNNING)

    assert found.sent == [("GET", "00&page=1"), ("POST", "pending"), ("GET", "00&page=1")]
    url = "https://api.github.com/s"
    assert (run, report) == (
        RUNNING,
        Report("commit status", "airflow / nightly_sales", SHA, "pending", url, None),
    )


def test_deployment_is_created_without_a_conflict_check() -> None:
    found = step_with(NONE, MADE, MADE, **DEPLOYMENT_INPUTS)
    run = RUNNING._replace(note=note_with_marker(None, MARKER._replace(environment="staging")))

    assert found.begin(run)[1] == Report("deployment", "staging", SHA, "pending", None, 9)
    assert found.sent == [("GET", "00&page=1"), ("POST", "deployment"), ("POST", "in_progress")]


def test_same_run_id_in_another_airflow_has_its_own_deployment() -> None:
    found = step_with(deployment_json(STAGING), MADE, MADE, **DEPLOYMENT_INPUTS)
    found.begin(
        RUNNING._replace(note=note_with_marker(None, MARKER._replace(environment="staging")))
    )

    assert found.sent == [("GET", "00&page=1"), ("POST", "deployment"), ("POST", "in_progress")]
    payload = {"airflow": MARKER.airflow, "dag_id": "nightly_sales", "run_id": "r1"}
    assert json.loads(found.script.sent[1].request.body or b"")["payload"] == payload


@pytest.mark.parametrize("state", ["pending", "success", "failure"])
def test_pending_report_is_kept_and_settled_one_is_pending_again(state: str) -> None:
    before = statuses_response((state, PAGE))
    found = (
        step_with(before, before, before) if state == "pending" else step_with(before, MADE, before)
    )
    found.begin(RUNNING)

    assert [one for one in found.sent if one[0] == "POST"] == (
        [] if state == "pending" else [("POST", "pending")]
    )


@pytest.mark.parametrize("conflicting_run", [OTHER, THEIRS])
def test_concurrent_runs_with_one_status_are_both_warned(conflicting_run: str) -> None:
    found = step_with(WRITABLE, NONE, statuses_response(("pending", conflicting_run)))
    found.check_possible()
    with pytest.raises(CommitStatusTaken, match="This step's run exists nevertheless"):
        found.begin(RUNNING)

    found = step_with(
        WRITABLE,
        statuses_response(("success", OTHER)),
        NONE,
        MADE,
        statuses_response(("pending", conflicting_run), ("pending", PAGE), ("success", OTHER)),
    )
    found.check_possible()
    with pytest.raises(CommitStatusTaken, match="This step's run was triggered nevertheless"):
        found.begin(RUNNING)


@pytest.mark.parametrize("note", [None, "", "by hand", f"by hand\n{CANCELLED_MARK}"])
def test_existing_run_gets_the_marker_below_its_note(note: str | None) -> None:
    airflow = AirflowWithNotes(next_run=RUNNING)
    step_with(NONE, MADE, NONE).begin(RUNNING._replace(note=note), airflow)

    assert airflow.notes == [note_with_marker(note, MARKER)]


def test_missing_note_permission_is_named_and_nothing_is_created() -> None:
    airflow = AirflowWithNotes(
        refuses=Forbidden("The credential may not do this", "PATCH answers 403.", "x")
    )
    found = step_with()
    with pytest.raises(
        Forbidden, match="The DAG run cannot be marked for Airflow's listener"
    ) as caught:
        found.begin(RUNNING._replace(note=None), airflow)

    assert '"can edit on DAG Runs"' in caught.value.hint
    assert found.script.sent == []


def test_run_that_ended_before_its_status_existed_is_settled_here() -> None:
    found = step_with(
        NONE, MADE, statuses_response(("pending", PAGE)), statuses_response(("pending", PAGE)), MADE
    )
    run, report = found.begin(RUNNING, AirflowWithNotes(next_run=ENDED))

    assert [one for one in found.sent if one[0] == "POST"] == [
        ("POST", "pending"),
        ("POST", "success"),
    ]
    assert (run.state, report.state) == ("success", "success")


def test_run_that_disappeared_is_left_pending() -> None:
    assert step_with(NONE, MADE, NONE).begin(RUNNING, AirflowWithNotes(next_run=None))[0] == RUNNING


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
def test_ended_run_is_settled_at_once_without_pending(run: DagRun, state: str, text: str) -> None:
    found = step_with(NONE, MADE)
    failed = AirflowWithNotes(tasks=(a_task(state="failed"), a_task("load")))
    _, report = found.begin(run, failed)
    (created,) = (
        json.loads(one.request.body or b"")
        for one in found.script.sent
        if one.request.method == "POST"
    )

    assert (created["state"], created["description"], report.state) == (state, text, state)


def test_run_settled_by_the_listener_is_not_settled_again() -> None:
    found = step_with(statuses_response(("success", PAGE), ("pending", PAGE)))

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
def test_listener_has_a_few_seconds_to_settle_a_run(ago: float | None, pause: float | None) -> None:
    found = step_with(NONE, MADE)
    ended = START + timedelta(seconds=132.4)
    found.begin(
        ENDED, AirflowWithNotes(now=None if ago is None else ended + timedelta(seconds=ago))
    )

    assert found.session.time.slept == ([] if pause is None else [pause])


@pytest.mark.parametrize(
    "answers", [[DOWN, NONE, MADE, NONE], [NONE, DOWN, statuses_response(("pending", PAGE)), NONE]]
)
def test_only_missing_reports_are_created_after_a_failure(answers: list[bytes]) -> None:
    found = step_with(*answers)
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
        # A status of a later run is replaced only by a failure.
        (ENDED, ("pending", OTHER), []),
        (ENDED._replace(state="failed"), ("pending", OTHER), ["failure"]),
        (ENDED._replace(state="failed"), ("success", OTHER), ["failure"]),
        (RUNNING, ("pending", OTHER), []),
        (ENDED, ("pending", THEIRS), []),
        (ENDED._replace(state="failed"), ("pending", THEIRS), ["failure"]),
        (RUNNING, ("success", THEIRS), []),
    ],
)
def test_sweep_updates_the_report_without_a_permission_check(
    run: DagRun, last: tuple[str, str], sent: list[str]
) -> None:
    found = step_with(statuses_response(last), *([MADE] if sent else []), **SWEEP_INPUTS)
    found.check_possible(run=run)
    found.begin(run)

    assert [one[1] for one in found.sent if one[0] == "POST"] == sent


def test_sweep_reports_about_the_commit_of_the_marker() -> None:
    found = step_with(statuses_response(("pending", PAGE)), MADE, **SWEEP_INPUTS)
    _, report = found.begin(
        ENDED._replace(note=note_with_marker(None, MARKER._replace(commit="d" * 40)))
    )

    assert report.commit == "d" * 40
    assert all(f"/{'d' * 40}" in one.url for one in found.script.sent)


def test_sweep_uses_the_environment_of_the_marker() -> None:
    found = step_with(
        deployment_json(),
        http_response(200, [{"id": 8, "state": "in_progress"}]),
        MADE,
        **SWEEP_INPUTS,
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
        (deployment_json(STAGING), "deployment", "staging"),
    ],
    ids=["status", "deployment", "another Airflow's deployment"],
)
def test_sweep_creates_nothing_without_a_report(
    there: bytes, kind: str, environment: str | None
) -> None:
    found = step_with(there, **SWEEP_INPUTS, report_to=kind)
    with pytest.raises(ActionError, match="GitHub has no status or deployment for the DAG run"):
        found.begin(
            ENDED._replace(note=note_with_marker(None, MARKER._replace(environment=environment)))
        )

    assert [one[0] for one in found.sent] == ["GET"]
