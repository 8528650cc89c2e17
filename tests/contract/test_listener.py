"""The action and Airflow's listener: what one writes the other understands, and both mean the same by it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.airflow.transport import Transport
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.gate import marker
from entrypoint.gate.marker import Marker
from entrypoint.github import deployments, statuses
from entrypoint.github.statuses import CommitStatus, Subject, is_about
from entrypoint.models import CANCELLED
from entrypoint.report.wording import ended_as
from tests.support.listener import SOURCE, loaded
from tests.support.nouns import SHA, a_run

ASCII = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
NAME = st.text(st.sampled_from("abcXYZ019_.-"), min_size=1, max_size=100).filter(lambda name: name not in (".", ".."))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=255)
MARKERS = st.builds(
    Marker,
    st.builds("{}://{}".format, st.sampled_from(["http", "https"]), st.text(ASCII, min_size=1, max_size=100)),
    st.builds("{}/{}".format, NAME, NAME),
    st.sampled_from([40, 64]).flatmap(lambda size: st.text("0123456789abcdef", min_size=size, max_size=size)),
    st.none() | st.text(st.characters(max_codepoint=0xFFFF), min_size=1, max_size=50).filter(str.isprintable),
)
LINE = f'airflow-dag-run: {{"api_url":"https://api.github.com","repository":"octo-org/sales","commit":"{SHA}"}}'


@given(MARKERS, st.none() | TEXT | st.text(max_size=2000).map(lambda text: text.encode("utf-8", "ignore").decode()))
def test_what_the_action_writes(made: Marker, text: str | None) -> None:
    """Whatever marker the action puts below whatever text, both read it, in Airflow's room, beside the mark of a cancel."""
    with loaded() as listener:
        note = marker.noted(text, made)
        cancelled = f"{note}\n{CANCELLED}"

        assert len(cancelled) <= listener.LONGEST_NOTE == 1000
        for one in (note, cancelled, note.replace("\n", "\r\n")[:1000]):
            assert listener.marker_in(one) == marker.marker_in(one)
        for one in (note, cancelled):
            if marker.marker_in(one) is None:  # the text itself has such a line
                assert (text or "").count(marker._SIGN)
            else:
                assert listener.marker_in(one) == made


@given(
    st.lists(
        st.sampled_from([LINE, "x", "", f" {LINE}", LINE[:-1], LINE.replace("octo", "öcto"), CANCELLED]) | TEXT,
        max_size=4,
    ),
    st.sampled_from(["\n", "\r\n", "\x0b", "\u2028", "\x1c", " "]),
)
def test_they_believe_the_same(lines: list[str], between: str) -> None:
    """Of any note that Airflow may hold both read the same marker, or none."""
    note = between.join(lines)[:1000]
    with loaded() as listener:
        assert listener.marker_in(note) == marker.marker_in(note)


def test_they_have_the_same_words(listener: Any) -> None:
    """Marks, shapes, states and limits are the same on both sides."""
    assert listener.CANCELLED == CANCELLED
    assert listener.SIGN == marker._SIGN
    assert listener.SHAPES == marker._SHAPES
    assert listener.LONGEST_NOTE == marker._LONGEST
    assert dict(statuses.STATES) == listener.STATES
    assert listener.Marker._fields == Marker._fields


def told(listener: Any, page: str, dag_id: str, run_id: str) -> bool:
    """Whether a page is this run's, on which both agree."""
    run = listener.Run(dag_id, run_id, "success", None)
    assert listener._is_about(page, run) is is_about(page, Subject(dag_id, run_id, ""))
    return is_about(page, Subject(dag_id, run_id, ""))


@pytest.mark.parametrize("base", ["https://airflow.example.com", "http://127.0.0.1:8080/dags/sales/runs/r2"])
@pytest.mark.parametrize(
    "run_id", ["r1", "gh-8000000001-1+x", "manual__2026-01-31T09:30:15.1+00:00", "ä/b c&d=e", "runs", "sales"]
)
def test_the_page_of_a_run(listener: Any, base: str, run_id: str) -> None:
    """The page that the action links to is the run's for both, and no other run's, even of one named like a part of it."""
    others = {"r1", "r2", "r", "runs", "dags", "grid", "sales", "", "dag_run_id", "127.0.0.1:8080", "r1x"} - {run_id}
    for airflow in (V1(Transport(base), "2.11.2"), V2(Transport(base), "3.3.2")):
        page = airflow.run_url("sales", run_id)
        assert told(listener, page, "sales", run_id)
        assert [other for other in others if told(listener, page, "sales", other)] == []
        assert [other for other in others - {"sales"} if told(listener, page, other, run_id)] == []


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
def test_a_page_of_another_form(listener: Any, page: str) -> None:
    """A page that the action does not link to is no run's."""
    assert not told(listener, page, "sales", "r1")


class Asked:
    """A GitHub that notes what it is asked, and has what it is given."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self._answers = list(answers)

    def ask(self, _: Any, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Take it down."""
        self.asked.append((method, path, body or params))
        return self._answers.pop(0) if self._answers else []


def access(listener: Any) -> Any:
    """Any."""
    return listener.Access("https://api.github.com", ("octo-org/sales",), "github_pat_Zq8", "", "")


def test_they_call_it_the_same(listener: Any) -> None:
    """The status has the name, and the deployment the task, environment and payload that the action gives to it."""
    run = listener.Run("sales", "r1", "success", None, 3.0)
    status: Any = CommitStatus(None, SHA, Subject("sales", "r1", "https://airflow.example.com/dags/sales/runs/r1"))  # type: ignore[arg-type]
    made = {**status._body("pending", "x"), "url": "u"}
    github = Asked([made], None)
    listener._move_status(github, access(listener), listener.Marker("", "octo-org/sales", SHA, None), run)
    body = github.asked[1][2]
    assert {**body, "description": ""} == {**status._body("success", ""), "description": ""}

    deployment: Any = deployments.Deployment(None, SHA, "production", Subject("sales", "r1", "u"))  # type: ignore[arg-type]
    github = Asked([{**deployment._body(SHA), "id": 7}], [{"id": 1, "state": "in_progress", "log_url": "u"}])
    listener._move_deployment(github, access(listener), listener.Marker("", "octo-org/sales", SHA, "production"), run)
    (_, path, filters), _, (_, moved, body) = github.asked
    known = deployment._body(SHA)
    assert {name: filters[name] for name in ("task", "environment")} == {
        name: known[name] for name in ("task", "environment")
    }
    assert (path, moved) == ("/repos/octo-org/sales/deployments", "/repos/octo-org/sales/deployments/7/statuses")
    assert (body["state"], body["log_url"]) == ("success", "u")


@pytest.mark.parametrize(
    ("state", "note", "failed"),
    [
        ("success", None, []),
        ("failed", None, []),
        ("failed", None, ["extract", "load[3]"]),
        ("success", f"x\n{CANCELLED}", []),
        ("failed", CANCELLED, ["extract"]),
    ],
)
def test_they_say_the_same_of_an_end(listener: Any, state: Any, note: str | None, failed: list[str]) -> None:
    """An end is described in the same words, whichever of the two reports it."""
    run = a_run(state=state, note=note)
    told = listener._describe(listener.Run("nightly_sales", "r1", state, note, 132.4, tuple(failed)))

    assert told.replace("132 s", "2 m 12 s") == ended_as(run, failed)


def test_the_documented_connection_is_the_one_that_is_read(listener: Any) -> None:
    """What the head of the file shows as `extra` is JSON that has what is read of it."""
    shown = re.search(r"extra\s+(\{.*?\})", SOURCE.read_text(encoding="utf-8"))
    assert shown
    assert set(json.loads(shown[1])) == {"repositories", "installation_id"}
    assert f"`{listener.CONNECTION}`" in listener.__doc__
