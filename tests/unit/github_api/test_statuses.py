"""The commit status of one DAG run: what is asked of GitHub, and what its answers say."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from entrypoint.credentials import Secret
from entrypoint.errors import ActionError, Forbidden, UnexpectedResponse
from entrypoint.github_api.client import GitHubRepository
from entrypoint.github_api.statuses import (
    NULL_SHA,
    CommitStatus,
    DagRunRef,
    LatestStatus,
    is_page_of,
)
from tests.support.factories import SHA
from tests.unit.script import Script, answer

ROOT = "https://api.github.com/repos/octo-org/sales"
PAGE = "https://airflow.example.com/dags/sales/runs/r1"
OTHER = "https://airflow.example.com/dags/sales/runs/r2"
THEIRS = "https://staging.example.com/dags/sales/runs/r1"
"""The run of the same name in another Airflow."""
SUBJECT = DagRunRef("sales", "r1", PAGE)
NAME = "airflow / sales"
URL = f"{ROOT}/statuses/{SHA}"


def status(script: Script, subject: DagRunRef = SUBJECT) -> CommitStatus:
    """The status of a run at a GitHub that answers by the script."""
    return CommitStatus(
        GitHubRepository(
            "https://api.github.com", "octo-org/sales", Secret("ghs_t0ken"), script.wire
        ),
        SHA,
        subject,
    )


def one(
    number: int, state: str = "pending", page: str | None = PAGE, context: str | None = NAME
) -> dict[str, Any]:
    """A status as GitHub shows it."""
    return {"id": number, "state": state, "context": context, "target_url": page, "url": URL}


def test_adding_one() -> None:
    """A status is called by its DAG, links the run, and its URL is known then."""
    script = Script(answer(201, one(7)))
    made = status(script)
    made.add("pending", "DAG run r1")
    (sent,) = script.sent

    assert (sent.request.method, sent.url, made.url) == ("POST", URL, URL)
    body = {"state": "pending", "context": NAME, "target_url": PAGE, "description": "DAG run r1"}
    assert json.loads(sent.request.body or b"") == body


@pytest.mark.parametrize(("length", "shown"), [(140, "x" * 140), (141, f"{'x' * 139}…")])
def test_a_long_description(length: int, shown: str) -> None:
    """A description is cut to what GitHub takes."""
    script = Script(answer(201, one(7)))
    status(script).add("failure", "x" * length)

    assert json.loads(script.sent[0].request.body or b"")["description"] == shown


@pytest.mark.parametrize("length", [1, 245, 246, 250])
def test_a_long_name(length: int) -> None:
    """The name of a status stays within what GitHub takes, for the longest DAG id that Airflow
    takes, too.
    """
    assert (
        status(Script(), DagRunRef("d" * length, "r1", PAGE)).name
        == f"airflow / {'d' * min(length, 245)}"
    )


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ([], None),
        ([one(9, context="ci / build"), one(8, context=None)], None),
        ([one(9, "success"), one(8)], LatestStatus(9, "success", ours=True, about=PAGE)),
        ([one(9, page=OTHER), one(8)], LatestStatus(9, "pending", ours=False, about=OTHER)),
        ([one(9, page=THEIRS), one(8)], LatestStatus(9, "pending", ours=False, about=THEIRS)),
        ([one(9, page=None)], LatestStatus(9, "pending", ours=False, about="")),
        ([one(9, "error")], LatestStatus(9, "failure", ours=True, about=PAGE)),
        # GitHub makes no difference between these names.
        (
            [one(9, page=OTHER, context="Airflow / SALES")],
            LatestStatus(9, "pending", ours=False, about=OTHER),
        ),
        ([one(9, "whatever")], LatestStatus(9, "failure", ours=True, about=PAGE)),
        ([{"context": NAME}], LatestStatus(0, "failure", ours=False, about="")),
    ],
)
def test_the_last_one(listed: Sequence[dict[str, Any]], found: LatestStatus | None) -> None:
    """Of all statuses of the commit the newest of this name counts, and it is ours or another
    run's.
    """
    script = Script(answer(200, list(listed)))
    asked = status(script)

    assert asked.last() == found
    assert [sent.url for sent in script.sent] == [
        f"{ROOT}/commits/{SHA}/statuses?per_page=100&page=1"
    ]


def test_many_statuses() -> None:
    """It is looked for on page after page, until one is not full, and not without end."""
    full = answer(200, [one(9, context="ci / build")] * 100)
    script = Script(full, full, answer(200, [one(8)]))
    assert status(script).last() == LatestStatus(8, "pending", ours=True, about=PAGE)
    assert [sent.url.rpartition("=")[2] for sent in script.sent] == ["1", "2", "3"]

    script = Script(*[full] * 99)
    assert status(script).last() is None
    assert len(script.sent) == 10


@pytest.mark.parametrize(
    ("listed", "conflicting_run"),
    [
        ([one(9), one(7, page=OTHER)], None),
        ([one(9), one(8, page=OTHER), one(7)], OTHER),
        ([one(9, page=OTHER), one(8)], OTHER),
        ([one(9), one(8, page=THEIRS), one(7)], THEIRS),
        ([one(9, page=OTHER, context="ci / build"), one(8)], None),
        ([], None),
    ],
)
def test_a_rival(listed: list[dict[str, Any]], conflicting_run: str | None) -> None:
    """Another run that took the name since then is a rival, one from before is none."""
    assert status(Script(answer(200, listed))).conflicting_run(7) == conflicting_run


@pytest.mark.parametrize(
    ("reply", "may"),
    [
        (answer(422, {"message": f"No commit found for SHA: {NULL_SHA}"}), True),
        (answer(403, {"message": "Resource not accessible by integration"}), False),
        (answer(404, {"message": "Not Found"}), False),
    ],
)
# A table's column
def test_whether_it_may_be_written(reply: bytes, may: bool) -> None:
    """Whether the token may write is found out by a write about no commit, which makes nothing."""
    script = Script(reply)
    assert status(script).can_write() is may
    (sent,) = script.sent

    assert (sent.request.method, sent.url) == ("POST", f"{ROOT}/statuses/{'0' * 40}")


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (answer(401, {"message": "Bad credentials"}), Forbidden, "Bad credentials"),
        (
            answer(403, {"message": "Resource not accessible by integration"}),
            Forbidden,
            "Resource not accessible",
        ),
        (answer(404, {"message": "Not Found"}), Forbidden, "Not Found"),
        (answer(409, {"message": "Conflict"}), ActionError, "Conflict"),
        (answer(422, {"message": "Validation Failed"}), ActionError, "Validation Failed"),
        (answer(200, {"id": 7}), UnexpectedResponse, "unexpected"),
        (answer(200, b"", "application/json"), UnexpectedResponse, "unexpected"),
        (answer(201, ["x"]), UnexpectedResponse, "unexpected"),
        (answer(201, {}), UnexpectedResponse, "unexpected"),
    ],
)
def test_it_cannot_be_added(reply: bytes, error: type[ActionError], words: str) -> None:
    """What is no made status is an error: a refusal says what the token lacks, and GitHub's own
    words.
    """
    with pytest.raises(error) as caught:
        status(Script(reply)).add("pending", "")

    assert words in f"{caught.value.title} {caught.value.detail}"
    if error is Forbidden:
        assert "`statuses: write`" in caught.value.hint


@pytest.mark.parametrize("body", [{}, {"id": 1}, ["success"], [[]], None])
def test_what_is_no_list(body: object) -> None:
    """An answer that is no list of statuses says nothing about them, least of all that there are
    none.
    """
    with pytest.raises(UnexpectedResponse):
        status(Script(answer(200, body))).last()


def test_whether_it_may_be_written_is_not_guessed() -> None:
    """An answer to the write about no commit that says neither yes nor no is an error."""
    with pytest.raises(UnexpectedResponse):
        status(Script(answer(201, one(7)))).can_write()
    with pytest.raises(Forbidden):
        status(Script(answer(401, {"message": "Bad credentials"}))).can_write()


@pytest.mark.parametrize(
    ("page", "ours"),
    [
        (PAGE, True),
        (THEIRS, False),
        ("http://10.0.0.1:8080/airflow/dags/sales/runs/r1", False),
        ("http://airflow.example.com/dags/sales/runs/r1", False),
        ("https://airflow.example.com:8443/dags/sales/runs/r1", False),
        ("https://airflow.example.com:443/dags/sales/runs/r1", True),
        ("HTTPS://Airflow.Example.com/dags/sales/runs/r1", True),
        ("https://airflow.example.com//dags/sales/runs/r1", True),
        ("https://airflow.example.com/team/dags/sales/runs/r1", False),
        ("https://airflow.example.com/dags/sales/runs/r1/dags/sales/runs/r1", False),
        ("https://airflow.example.com.evil.example.com/dags/sales/runs/r1", False),
        ("https://airflow.example.com@evil.example.com/dags/sales/runs/r1", False),
        ("https://evil.example.com/https://airflow.example.com/dags/sales/runs/r1", False),
        ("https://airflow.example.com:port/dags/sales/runs/r1", False),
        ("https://staging.example.com/dags/sales/grid?dag_run_id=r1", False),
        ("https://airflow.example.com/dags/sales/grid?dag_run_id=r1", True),
        ("https://airflow.example.com/dags/sales/grid?x=1&dag_run_id=r1", True),
        ("https://airflow.example.com/dags/sales/grid?dag_run_id=r2", False),
        ("https://airflow.example.com/dags/sales/grid", False),
        (OTHER, False),
        ("https://airflow.example.com/dags/other/runs/r1", False),
        ("https://airflow.example.com/dags/r1/runs/sales", False),
        ("https://r1/sales", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_whose_page(page: str, ours: bool) -> None:
    """A page is this run's in either Airflow's form, if it is of the Airflow that has the run,
    however that is written.
    """
    assert is_page_of(page, SUBJECT) is ours


@pytest.mark.parametrize(
    ("page", "dag_id", "run_id"),
    [
        (
            "https://a.example.com/x/dags/gr%C3%B6%C3%9Fe%2F1/runs/m__2026-01-01T00%3A00%3A00%2B00%3A00",
            "größe/1",
            "m__2026-01-01T00:00:00+00:00",
        ),
        (
            "https://a.example.com/x/dags/sales/grid?dag_run_id=m__2026-01-01T00%3A00%3A00%2B00%3A00",
            "sales",
            "m__2026-01-01T00:00:00+00:00",
        ),
        ("https://a.example.com/x/dags/runs/runs/runs", "runs", "runs"),
        ("https://a.example.com/x/dags/dags/runs/grid", "dags", "grid"),
        ("https://a.example.com/x/dags/grid/grid?dag_run_id=grid", "grid", "grid"),
    ],
)
def test_whose_page_if_names_are_alike(page: str, dag_id: str, run_id: str) -> None:
    """A run that is called like its DAG, or like a part of the page, or in need of escapes is not
    taken for another one.
    """
    subject = DagRunRef(dag_id, run_id, page)
    assert subject.airflow == "https://a.example.com/x"
    assert is_page_of(page, subject)
    assert not is_page_of(OTHER, subject)
    assert not is_page_of(page.replace("https://a.", "https://b."), subject)
    for other in ("sales", "runs", "r1"):
        assert not is_page_of(OTHER, DagRunRef("sales", other, OTHER.replace("r2", other)))


def test_a_run_without_a_page() -> None:
    """A run whose own page is none has no Airflow, and nothing is its own, least of all what has no
    page either.
    """
    nowhere = DagRunRef("sales", "r1", "")
    assert nowhere.airflow is None
    assert not is_page_of("", nowhere)
    assert not is_page_of(PAGE, nowhere)
