"""The action and the Airflow listener agree on markers, URLs, statuses and deployments."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrypoint.airflow.transport import Transport
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.github_api import deployments, marker, statuses
from entrypoint.github_api.marker import Marker
from entrypoint.github_api.statuses import CommitStatus, DagRunRef, is_page_of
from entrypoint.inputs.parsers import ParseError
from entrypoint.inputs.urls import base_url, canonical_url
from entrypoint.models import CANCELLED_MARK
from entrypoint.run.detached import describe_end
from tests.support.factories import SHA, a_run
from tests.support.listener import SOURCE, Connection, loaded_listener

if TYPE_CHECKING:
    from collections.abc import Callable

ASCII = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\')
NAME = st.text(st.sampled_from("abcXYZ019_.-"), min_size=1, max_size=100).filter(
    lambda name: name not in (".", "..")
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=255)
OWNER = NAME.filter(lambda name: len(name) <= 40)
SCHEME = st.sampled_from(["http", "https"])
MARKERS = st.builds(
    Marker,
    st.builds("{}://{}".format, SCHEME, st.text(ASCII, min_size=1, max_size=200)),
    st.builds("{}://{}".format, SCHEME, st.text(ASCII, min_size=1, max_size=100)),
    st.builds("{}/{}".format, OWNER, NAME),
    st.sampled_from([40, 64]).flatmap(
        lambda size: st.text("0123456789abcdef", min_size=size, max_size=size)
    ),
    st.none()
    | st.text(st.characters(max_codepoint=0xFFFF), min_size=1, max_size=50).filter(str.isprintable),
)
AIRFLOW = "https://airflow.example.com"
LINE = (
    f'airflow-dag-run: {{"airflow":"{AIRFLOW}","api_url":"https://api.github.com",'
    f'"repository":"octo-org/sales","commit":"{SHA}"}}'
)
URLS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTPS://", "ftp://", "//", ""]),
    st.sampled_from(
        [
            "airflow.example.com",
            "Airflow.Example.COM",
            "127.0.0.1",
            "[::1]",
            "[2001:DB8::1]",
            "u:p@a",
            "[",
            "",
        ]
    ),
    st.sampled_from(["", ":80", ":443", ":0443", ":8080", ":", ":port", ":99999"]),
    st.sampled_from(
        ["", "/", "//", "/Team/a/", "/team//a///", "/a%2Fb/", "/dags/sales/runs/r1", "/a;b", "/ä"]
    ),
    st.sampled_from(["", "/", "?", "?a=b", "#c", "/?a#b"]),
)
"""URLs, and text that is almost one."""


@given(
    MARKERS,
    st.none()
    | TEXT
    | st.text(max_size=2000).map(lambda text: text.encode("utf-8", "ignore").decode()),
)
def test_both_read_every_marker_that_the_action_writes(made: Marker, text: str | None) -> None:
    """Below any text, beside the marker of a cancel, within Airflow's limit."""
    with loaded_listener() as listener:
        note = marker.note_with_marker(text, made)
        cancelled = f"{note}\n{CANCELLED_MARK}"

        assert len(cancelled) <= listener.MAX_NOTE_CHARS == 1000
        for one in (note, cancelled, note.replace("\n", "\r\n")[:1000]):
            assert listener.parse_marker(one) == marker.parse_marker(one)
        for one in (note, cancelled):
            if marker.parse_marker(one) is None:  # the text itself has a marker
                assert (text or "").count(marker._PREFIX)
            else:
                assert listener.parse_marker(one) == made


@given(
    st.lists(
        st.sampled_from(
            [LINE, "x", "", f" {LINE}", LINE[:-1], LINE.replace("octo", "öcto"), CANCELLED_MARK]
        )
        | TEXT,
        max_size=4,
    ),
    st.sampled_from(["\n", "\r\n", "\x0b", "\u2028", "\x1c", " "]),
)
def test_both_read_the_same_marker_in_any_note(lines: list[str], between: str) -> None:
    note = between.join(lines)[:1000]
    with loaded_listener() as listener:
        assert listener.parse_marker(note) == marker.parse_marker(note)


def test_marks_shapes_states_and_limits_are_the_same_on_both_sides(listener: Any) -> None:
    assert listener.CANCELLED_MARK == CANCELLED_MARK
    assert listener.PREFIX == marker._PREFIX
    assert listener.FORMATS == marker._FORMATS
    assert listener.MAX_NOTE_CHARS == marker._MAX_NOTE_CHARS
    assert dict(statuses.STATES) == listener.STATES
    assert listener.Marker._fields == Marker._fields
    known = Marker(AIRFLOW, "https://api.github.com", "octo-org/sales", SHA, None)
    assert listener.parse_marker(LINE) == marker.parse_marker(LINE) == known


def is_page_of_run(
    listener: Any, page: str, dag_id: str, run_id: str, airflow: str = AIRFLOW
) -> bool:
    """Whether a page belongs to a run of this Airflow; both sides must agree."""
    run = listener.Run(dag_id, run_id, "success", None)
    found: bool = listener._is_page_of(page, run, canonical_url(airflow))
    for either in (V1(Transport(airflow), "2.11.2"), V2(Transport(airflow), "3.3.2")):
        subject = DagRunRef(dag_id, run_id, either.run_url(dag_id, run_id))
        assert subject.airflow == canonical_url(airflow) or not run_id
        assert is_page_of(page, subject) is found
    return found


def canonical_by(one: Callable[[str], str], url: str) -> str | None:
    """Return the canonical URL; None if one side rejects the URL."""
    try:
        return one(url)
    except ValueError:
        return None


@given(URLS | st.text(ASCII, max_size=30) | TEXT)
@example("HTTPS://Airflow.Example.COM:443/Team/")
def test_both_make_the_same_canonical_url_or_reject_it(url: str) -> None:
    with loaded_listener() as listener:
        assert canonical_by(listener.canonical_url, url) == canonical_by(canonical_url, url)


@given(URLS)
def test_every_accepted_airflow_url_has_a_canonical_form(url: str) -> None:
    """Its own pages are found under that form."""
    try:
        accepted = base_url(url)
    except ParseError:
        return
    with loaded_listener() as listener:
        form = canonical_url(accepted)
        assert listener.FORMATS["airflow"].fullmatch(form)
        assert canonical_url(form) == form
        assert is_page_of_run(
            listener,
            V2(Transport(accepted), "3.3.2").run_url("sales", "r1"),
            "sales",
            "r1",
            accepted,
        )


@pytest.mark.parametrize(
    "base",
    [AIRFLOW, "http://127.0.0.1:8080/dags/sales/runs/r2", "https://Airflow.example.com:443/a"],
)
@pytest.mark.parametrize(
    "run_id",
    [
        "r1",
        "gh-8000000001-1+x",
        "manual__2026-01-31T09:30:15.1+00:00",
        "ä/b c&d=e",
        "runs",
        "sales",
    ],
)
def test_the_linked_page_belongs_to_that_run_only(listener: Any, base: str, run_id: str) -> None:
    """Also if the name of another run is a part of it."""
    others = {
        "r1",
        "r2",
        "r",
        "runs",
        "dags",
        "grid",
        "sales",
        "",
        "dag_run_id",
        "127.0.0.1:8080",
        "r1x",
    } - {run_id}
    for airflow in (V1(Transport(base), "2.11.2"), V2(Transport(base), "3.3.2")):
        page = airflow.run_url("sales", run_id)
        assert is_page_of_run(listener, page, "sales", run_id, base)
        assert [
            other for other in others if is_page_of_run(listener, page, "sales", other, base)
        ] == []
        assert [
            other
            for other in others - {"sales"}
            if is_page_of_run(listener, page, other, run_id, base)
        ] == []


@pytest.mark.parametrize("form", ["runs/r1", "grid?dag_run_id=r1", "grid?x=1&dag_run_id=r1"])
@pytest.mark.parametrize(
    ("base", "ours"),
    [
        (AIRFLOW, True),
        ("https://airflow.example.com:443", True),
        ("HTTPS://AIRFLOW.example.com/", True),
        ("http://airflow.example.com", False),
        ("https://airflow.example.com:8443", False),
        ("https://airflow.example.com/team", False),
        ("https://airflow.example.com/dags/sales/runs/r1", False),
        ("https://staging.example.com", False),
        ("https://airflow.example.com.evil.example.com", False),
        ("https://airflow.example.com@evil.example.com", False),
        ("https://evil.example.com/https://airflow.example.com", False),
        ("https://airflow.example.com:port", False),
        ("//airflow.example.com", False),
        ("", False),
    ],
)
# a row of a table
def test_the_page_of_a_run_in_another_airflow_is_not_the_runs(
    listener: Any, base: str, ours: bool, form: str
) -> None:
    """A URL of the same Airflow may be spelled differently."""
    assert is_page_of_run(listener, f"{base}/dags/sales/{form}", "sales", "r1") is ours


@pytest.mark.parametrize(
    "page",
    [
        "",
        "http://[",
        "r1",
        "https://evil.example.com/?sales&r1",
        "https://evil.example.com/?dag_id=sales&dag_run_id=r1",
        "https://evil.example.com/sales/r1",
        "https://evil.example.com/dags/other/grid?dag_run_id=r1&x=sales",
        "https://evil.example.com/dags/sales/grid?dag_run_id=r2&dag_run_id=r1",
        "https://evil.example.com/dags/sales%2Fruns%2Fr1",
    ],
)
def test_a_page_that_the_action_does_not_link_to_belongs_to_no_run(
    listener: Any, page: str
) -> None:
    assert not is_page_of_run(listener, page, "sales", "r1", "https://evil.example.com")
    assert not is_page_of_run(listener, page, "sales", "r1")


class GitHubRecorder:
    """Records the requests to GitHub and returns what it is given."""

    def __init__(self, *answers: Any) -> None:
        self.requested: list[tuple[str, str, Any]] = []
        self._answers = list(answers)

    def request(self, _: Any, method: str, path: str, body: Any = None, **params: Any) -> Any:
        self.requested.append((method, path, body or params))
        return self._answers.pop(0) if self._answers else []


def access(listener: Any) -> Any:
    return listener.GitHubAccess(
        "https://api.github.com", ("octo-org/sales",), "github_pat_Zq8", "", "", (AIRFLOW,)
    )


def test_statuses_and_deployments_have_the_names_that_the_action_gives(listener: Any) -> None:
    """Name, task, environment and payload."""
    run = listener.Run("sales", "r1", "success", None, 3.0)
    subject = DagRunRef("sales", "r1", f"{AIRFLOW}/dags/sales/runs/r1")
    known_marker = listener.Marker(AIRFLOW, "", "octo-org/sales", SHA, None)
    status: Any = CommitStatus(None, SHA, subject)  # type: ignore[arg-type]
    made = {**status._body("pending", "x"), "url": "u"}
    github = GitHubRecorder([made], None)
    listener._move_status(github, access(listener), known_marker, run)
    body = github.requested[1][2]
    assert {**body, "description": ""} == {**status._body("success", ""), "description": ""}

    repository: Any = None
    deployment: Any = deployments.GitHubDeployment(repository, SHA, "production", subject)
    github = GitHubRecorder(
        [{**deployment._body(SHA), "id": 7}], [{"id": 1, "state": "in_progress", "log_url": "u"}]
    )
    listener._move_deployment(
        github, access(listener), known_marker._replace(environment="production"), run
    )
    (_, path, filters), _, (_, moved, body) = github.requested
    known = deployment._body(SHA)
    assert {name: filters[name] for name in ("task", "environment")} == {
        name: known[name] for name in ("task", "environment")
    }
    assert (path, moved) == (
        "/repos/octo-org/sales/deployments",
        "/repos/octo-org/sales/deployments/7/statuses",
    )
    assert (body["state"], body["log_url"]) == ("success", "u")

    for other in ("https://staging.example.com", f"{AIRFLOW}/team", ""):
        github = GitHubRecorder([made])
        listener._move_status(github, access(listener), known_marker._replace(airflow=other), run)
        listener._move_deployment(
            github,
            access(listener),
            known_marker._replace(airflow=other, environment="production"),
            run,
        )
        assert [method for method, *_ in github.requested] == ["GET", "GET"]


@pytest.mark.parametrize(
    ("state", "note", "failed"),
    [
        ("success", None, []),
        ("failed", None, []),
        ("failed", None, ["extract", "load[3]"]),
        ("success", f"x\n{CANCELLED_MARK}", []),
        ("failed", CANCELLED_MARK, ["extract"]),
    ],
)
def test_both_describe_an_end_in_the_same_words(
    listener: Any, state: Any, note: str | None, failed: list[str]
) -> None:
    run = a_run(state=state, note=note)
    is_page_of_run = listener._describe(
        listener.Run("nightly_sales", "r1", state, note, 132.4, tuple(failed))
    )

    assert is_page_of_run.replace("132 s", "2 m 12 s") == describe_end(run, failed)


def test_the_documented_extra_is_json_with_the_keys_that_are_read(listener: Any) -> None:
    shown = re.search(r"extra\s+(\{.*?\})", SOURCE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown
    extra = json.loads(shown[1])
    assert set(extra) == {"repositories", "airflow_url", "installation_id"}
    Connection.known = {listener.CONNECTION: {"password": "github_pat_Zq8", "extra": extra}}
    assert listener.read_access()[1:] == (
        ("octo-org/sales",),
        "github_pat_Zq8",
        "",
        "123",
        (AIRFLOW,),
    )
    assert f"`{listener.CONNECTION}`" in listener.__doc__
