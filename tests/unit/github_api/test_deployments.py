"""The GitHub deployment of one DAG run."""

import json
from typing import Any

import pytest

from entrypoint.credentials import Secret
from entrypoint.errors import ActionError, Forbidden, UnexpectedResponse
from entrypoint.github_api.client import GitHubRepository
from entrypoint.github_api.deployments import GitHubDeployment
from entrypoint.github_api.statuses import DagRunRef, LatestStatus, State
from tests.support.factories import SHA
from tests.unit.script import ScriptedAdapter, http_response

ROOT = "https://api.github.com/repos/octo-org/sales"
PAGE = "https://airflow.example.com/dags/sales/runs/r1"
PAYLOAD = {"airflow": "https://airflow.example.com", "dag_id": "sales", "run_id": "r1"}
NONE = http_response(200, [])


def scripted_deployment(
    script: ScriptedAdapter, environment: str = "eu/west (blue)"
) -> GitHubDeployment:
    repository = GitHubRepository(
        "https://api.github.com", "octo-org/sales", Secret("ghs_t0ken"), script.client
    )
    return GitHubDeployment(repository, SHA, environment, DagRunRef("sales", "r1", PAGE))


def deployments_response(*payloads: Any) -> bytes:
    """Return deployments with these payloads, newest first; the last one has the id 1."""
    return http_response(
        200, [{"id": len(payloads) - n, "payload": one} for n, one in enumerate(payloads)]
    )


def states_response(*found: str) -> bytes:
    """Return states of a deployment, newest first; the last one has the id 1."""
    return http_response(200, [{"id": len(found) - n, "state": one} for n, one in enumerate(found)])


def sent_body(script: ScriptedAdapter, number: int) -> Any:
    return json.loads(script.sent[number].request.body or b"")


def test_first_state_creates_the_deployment_with_the_run_in_its_payload() -> None:
    script = ScriptedAdapter(http_response(201, {"id": 7}), http_response(201, {"id": 8}))
    created = scripted_deployment(script)
    created.add("pending", "DAG run r1")

    assert [(sent.request.method, sent.url) for sent in script.sent] == [
        ("POST", f"{ROOT}/deployments"),
        ("POST", f"{ROOT}/deployments/7/statuses"),
    ]
    assert sent_body(script, 0) == {
        "ref": SHA,
        "task": "airflow",
        "environment": "eu/west (blue)",
        "description": "DAG run r1 of sales",
        "payload": PAYLOAD,
        "auto_merge": False,
        "required_contexts": [],
    }
    assert sent_body(script, 1) == {
        "state": "in_progress",
        "log_url": PAGE,
        "description": "DAG run r1",
    }
    assert created.deployment_id == 7


@pytest.mark.parametrize(
    ("state", "shown"), [("pending", "in_progress"), ("success", "success"), ("failure", "failure")]
)
def test_later_state_reuses_the_deployment(state: State, shown: str) -> None:
    script = ScriptedAdapter(
        deployments_response(PAYLOAD), states_response("in_progress"), http_response(201, {"id": 9})
    )
    found = scripted_deployment(script)
    found.latest()
    found.add(state, "x" * 141)

    assert [sent.request.method for sent in script.sent] == ["GET", "GET", "POST"]
    assert script.sent[2].url == f"{ROOT}/deployments/1/statuses"
    assert (sent_body(script, 2)["state"], len(sent_body(script, 2)["description"])) == (shown, 140)


@pytest.mark.parametrize(
    "payload",
    [PAYLOAD, json.dumps(PAYLOAD), dict(reversed(PAYLOAD.items()))],
    ids=["object", "text", "order"],
)
def test_deployment_is_found_by_the_run_and_airflow_in_its_payload(payload: Any) -> None:
    others = (
        PAYLOAD | {"run_id": "r2"},
        PAYLOAD | {"airflow": "https://staging.example.com"},
        PAYLOAD | {"airflow": "http://airflow.example.com"},
        {"dag_id": "sales", "run_id": "r1"},
    )
    script = ScriptedAdapter(
        deployments_response(*others, payload, {}, "", "{", None, [], "[" * 100_000),
        states_response("queued"),
    )
    found = scripted_deployment(script)

    assert found.latest() == LatestStatus(1, "pending", ours=True, target_url=PAGE)
    assert found.deployment_id == 7
    assert script.sent[0].url == (
        f"{ROOT}/deployments?sha={SHA}&environment=eu%2Fwest+%28blue%29&task=airflow"
        f"&per_page=100&page=1"
    )


@pytest.mark.parametrize(
    ("found", "last"),
    [
        ([], None),
        (["in_progress"], "pending"),
        (["success", "in_progress"], "success"),
        (["inactive", "success"], "success"),
        (["error"], "failure"),
        (["failure"], "failure"),
        (["whatever"], "failure"),
    ],
)
def test_newest_state_counts(found: list[str], last: str | None) -> None:
    """`inactive` was a success; no state counts as none."""
    state = scripted_deployment(
        ScriptedAdapter(deployments_response(PAYLOAD), states_response(*found))
    ).latest()

    assert (state.state if state else None) == last


def test_newest_state_is_found_in_any_order() -> None:
    """GitHub documents no order."""
    unordered = http_response(
        200,
        [
            {"id": 1, "state": "in_progress"},
            {"id": 3, "state": "failure"},
            {"id": 2, "state": "queued"},
        ],
    )

    assert scripted_deployment(
        ScriptedAdapter(deployments_response(PAYLOAD), unordered)
    ).latest() == LatestStatus(3, "failure", ours=True, target_url=PAGE)


@pytest.mark.parametrize(
    ("page", "airflow"),
    [
        (
            "HTTPS://Airflow.Example.com:443/team/dags/sales/grid?dag_run_id=r1",
            "https://airflow.example.com/team",
        ),
        ("http://[::1]:8080/dags/sales/runs/r1", "http://[::1]:8080"),
    ],
)
def test_payload_has_the_canonical_airflow_url_and_the_link_stays(page: str, airflow: str) -> None:
    """The listener compares the canonical form."""
    script = ScriptedAdapter(http_response(201, {"id": 7}), http_response(201, {"id": 8}))
    repository = GitHubRepository(
        "https://api.github.com", "octo-org/sales", Secret("ghs_t0ken"), script.client
    )
    GitHubDeployment(repository, SHA, "staging", DagRunRef("sales", "r1", page)).add("pending", "")

    assert sent_body(script, 0)["payload"] == PAYLOAD | {"airflow": airflow}
    assert sent_body(script, 1)["log_url"] == page


def test_run_without_a_deployment_costs_no_request_for_states() -> None:
    script = ScriptedAdapter(NONE)

    assert scripted_deployment(script).latest() is None
    assert len(script.sent) == 1
    assert scripted_deployment(ScriptedAdapter()).conflicting_run(0) is None


def test_search_reads_a_bounded_number_of_pages() -> None:
    full = http_response(200, [{"id": 1, "payload": {}}] * 100)
    script = ScriptedAdapter(full, deployments_response(PAYLOAD), states_response("success"))
    assert scripted_deployment(script).latest() is not None

    script = ScriptedAdapter(*[full] * 99)
    assert scripted_deployment(script).latest() is None
    assert len(script.sent) == 10


@pytest.mark.parametrize(("status", "may"), [(422, True), (403, False), (404, False)])
def test_write_permission_is_checked_without_creating_anything(status: int, may: bool) -> None:
    script = ScriptedAdapter(http_response(status, {"message": "x"}))
    assert scripted_deployment(script).can_write() is may

    assert (script.sent[0].url, sent_body(script, 0)["ref"]) == (f"{ROOT}/deployments", "0" * 40)


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ([http_response(403, {"message": "Resource not accessible by integration"})], Forbidden),
        ([http_response(409, {"message": "Conflict"})], ActionError),
        ([http_response(202, {"message": "Auto-merged"})], UnexpectedResponse),
        ([http_response(201, {})], UnexpectedResponse),
        ([http_response(201, {"id": 7}), http_response(404, {"message": "Not Found"})], Forbidden),
        ([http_response(201, {"id": 7}), http_response(201, [])], UnexpectedResponse),
    ],
)
def test_failed_write_names_the_missing_permission(
    replies: list[bytes], error: type[ActionError]
) -> None:
    with pytest.raises(error) as caught:
        scripted_deployment(ScriptedAdapter(*replies)).add("pending", "")

    assert ("`deployments: write`" in caught.value.hint) is (error is Forbidden)


@pytest.mark.parametrize(
    "replies",
    [[http_response(200, {})], [deployments_response(PAYLOAD), http_response(200, ["x"])]],
)
def test_invalid_list_is_an_error_not_an_empty_list(replies: list[bytes]) -> None:
    with pytest.raises(UnexpectedResponse):
        scripted_deployment(ScriptedAdapter(*replies)).latest()
