"""The commit status of one DAG run."""

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
from tests.unit.script import ScriptedAdapter, http_response

ROOT = "https://api.github.com/repos/octo-org/sales"
PAGE = "https://airflow.example.com/dags/sales/runs/r1"
OTHER = "https://airflow.example.com/dags/sales/runs/r2"
THEIRS = "https://staging.example.com/dags/sales/runs/r1"
"""The run with the same id in another Airflow."""
SUBJECT = DagRunRef("sales", "r1", PAGE)
NAME = "airflow / sales"
URL = f"{ROOT}/statuses/{SHA}"


def scripted_status(script: ScriptedAdapter, subject: DagRunRef = SUBJECT) -> CommitStatus:
    return CommitStatus(
        GitHubRepository(
            "https://api.github.com", "octo-org/sales", Secret("ghs_t0ken"), script.client
        ),
        SHA,
        subject,
    )


def status_json(
    number: int, state: str = "pending", page: str | None = PAGE, context: str | None = NAME
) -> dict[str, Any]:
    return {"id": number, "state": state, "context": context, "target_url": page, "url": URL}


def test_status_is_named_after_the_dag_and_links_the_run() -> None:
    script = ScriptedAdapter(http_response(201, status_json(7)))
    created = scripted_status(script)
    created.add("pending", "DAG run r1")
    (sent,) = script.sent

    assert (sent.request.method, sent.url, created.url) == ("POST", URL, URL)
    body = {"state": "pending", "context": NAME, "target_url": PAGE, "description": "DAG run r1"}
    assert json.loads(sent.request.body or b"") == body


@pytest.mark.parametrize(("length", "shown"), [(140, "x" * 140), (141, f"{'x' * 139}…")])
def test_long_description_is_cut_to_githubs_limit(length: int, shown: str) -> None:
    script = ScriptedAdapter(http_response(201, status_json(7)))
    scripted_status(script).add("failure", "x" * length)

    assert json.loads(script.sent[0].request.body or b"")["description"] == shown


@pytest.mark.parametrize("length", [1, 245, 246, 250])
def test_longest_dag_id_fits_into_the_status_name(length: int) -> None:
    assert (
        scripted_status(ScriptedAdapter(), DagRunRef("d" * length, "r1", PAGE)).name
        == f"airflow / {'d' * min(length, 245)}"
    )


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ([], None),
        ([status_json(9, context="ci / build"), status_json(8, context=None)], None),
        (
            [status_json(9, "success"), status_json(8)],
            LatestStatus(9, "success", ours=True, target_url=PAGE),
        ),
        (
            [status_json(9, page=OTHER), status_json(8)],
            LatestStatus(9, "pending", ours=False, target_url=OTHER),
        ),
        (
            [status_json(9, page=THEIRS), status_json(8)],
            LatestStatus(9, "pending", ours=False, target_url=THEIRS),
        ),
        ([status_json(9, page=None)], LatestStatus(9, "pending", ours=False, target_url="")),
        ([status_json(9, "error")], LatestStatus(9, "failure", ours=True, target_url=PAGE)),
        # GitHub treats these names as equal.
        (
            [status_json(9, page=OTHER, context="Airflow / SALES")],
            LatestStatus(9, "pending", ours=False, target_url=OTHER),
        ),
        ([status_json(9, "whatever")], LatestStatus(9, "failure", ours=True, target_url=PAGE)),
        ([{"context": NAME}], LatestStatus(0, "failure", ours=False, target_url="")),
    ],
)
def test_newest_status_of_this_name_counts(
    listed: Sequence[dict[str, Any]], found: LatestStatus | None
) -> None:
    script = ScriptedAdapter(http_response(200, list(listed)))
    api = scripted_status(script)

    assert api.latest() == found
    assert [sent.url for sent in script.sent] == [
        f"{ROOT}/commits/{SHA}/statuses?per_page=100&page=1"
    ]


def test_search_reads_a_bounded_number_of_pages() -> None:
    full = http_response(200, [status_json(9, context="ci / build")] * 100)
    script = ScriptedAdapter(full, full, http_response(200, [status_json(8)]))
    assert scripted_status(script).latest() == LatestStatus(
        8, "pending", ours=True, target_url=PAGE
    )
    assert [sent.url.rpartition("=")[2] for sent in script.sent] == ["1", "2", "3"]

    script = ScriptedAdapter(*[full] * 99)
    assert scripted_status(script).latest() is None
    assert len(script.sent) == 10


@pytest.mark.parametrize(
    ("listed", "conflicting_run"),
    [
        ([status_json(9), status_json(7, page=OTHER)], None),
        ([status_json(9), status_json(8, page=OTHER), status_json(7)], OTHER),
        ([status_json(9, page=OTHER), status_json(8)], OTHER),
        ([status_json(9), status_json(8, page=THEIRS), status_json(7)], THEIRS),
        ([status_json(9, page=OTHER, context="ci / build"), status_json(8)], None),
        ([], None),
    ],
)
def test_newer_status_of_another_run_is_a_conflict(
    listed: list[dict[str, Any]], conflicting_run: str | None
) -> None:
    assert (
        scripted_status(ScriptedAdapter(http_response(200, listed))).conflicting_run(7)
        == conflicting_run
    )


@pytest.mark.parametrize(
    ("reply", "may"),
    [
        (http_response(422, {"message": f"No commit found for SHA: {NULL_SHA}"}), True),
        (http_response(403, {"message": "Resource not accessible by integration"}), False),
        (http_response(404, {"message": "Not Found"}), False),
    ],
)
def test_write_permission_is_checked_without_creating_anything(reply: bytes, may: bool) -> None:
    script = ScriptedAdapter(reply)
    assert scripted_status(script).can_write() is may
    (sent,) = script.sent

    assert (sent.request.method, sent.url) == ("POST", f"{ROOT}/statuses/{'0' * 40}")


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (http_response(401, {"message": "Bad credentials"}), Forbidden, "Bad credentials"),
        (
            http_response(403, {"message": "Resource not accessible by integration"}),
            Forbidden,
            "Resource not accessible",
        ),
        (http_response(404, {"message": "Not Found"}), Forbidden, "Not Found"),
        (http_response(409, {"message": "Conflict"}), ActionError, "Conflict"),
        (http_response(422, {"message": "Validation Failed"}), ActionError, "Validation Failed"),
        (http_response(200, {"id": 7}), UnexpectedResponse, "unexpected"),
        (http_response(200, b"", "application/json"), UnexpectedResponse, "unexpected"),
        (http_response(201, ["x"]), UnexpectedResponse, "unexpected"),
        (http_response(201, {}), UnexpectedResponse, "unexpected"),
    ],
)
def test_failed_write_names_the_missing_permission_and_quotes_github(
    reply: bytes, error: type[ActionError], words: str
) -> None:
    with pytest.raises(error) as caught:
        scripted_status(ScriptedAdapter(reply)).add("pending", "")

    assert words in f"{caught.value.title} {caught.value.detail}"
    if error is Forbidden:
        assert "`statuses: write`" in caught.value.hint


@pytest.mark.parametrize("body", [{}, {"id": 1}, ["success"], [[]], None])
def test_invalid_list_is_an_error_not_an_empty_list(body: object) -> None:
    with pytest.raises(UnexpectedResponse):
        scripted_status(ScriptedAdapter(http_response(200, body))).latest()


def test_unclear_response_to_the_permission_check_is_an_error() -> None:
    with pytest.raises(UnexpectedResponse):
        scripted_status(ScriptedAdapter(http_response(201, status_json(7)))).can_write()
    with pytest.raises(Forbidden):
        scripted_status(
            ScriptedAdapter(http_response(401, {"message": "Bad credentials"}))
        ).can_write()


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
def test_run_url_of_either_airflow_version_identifies_the_run(page: str, ours: bool) -> None:
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
def test_similar_run_ids_and_urls_are_told_apart(page: str, dag_id: str, run_id: str) -> None:
    subject = DagRunRef(dag_id, run_id, page)
    assert subject.airflow == "https://a.example.com/x"
    assert is_page_of(page, subject)
    assert not is_page_of(OTHER, subject)
    assert not is_page_of(page.replace("https://a.", "https://b."), subject)
    for other in ("sales", "runs", "r1"):
        assert not is_page_of(OTHER, DagRunRef("sales", other, OTHER.replace("r2", other)))


def test_run_without_a_valid_url_matches_nothing() -> None:
    nowhere = DagRunRef("sales", "r1", "")
    assert nowhere.airflow is None
    assert not is_page_of("", nowhere)
    assert not is_page_of(PAGE, nowhere)
