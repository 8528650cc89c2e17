"""The deployment of one DAG run: what is asked of GitHub, and what its answers say."""

import json
from typing import Any

import pytest

from entrypoint.credentials import Secret
from entrypoint.errors import ActionError, Forbidden, UnexpectedResponse
from entrypoint.github_api.client import GitHubRepository
from entrypoint.github_api.deployments import GitHubDeployment
from entrypoint.github_api.statuses import DagRunRef, LatestStatus, State
from tests.support.factories import SHA
from tests.unit.script import Script, answer

ROOT = "https://api.github.com/repos/octo-org/sales"
PAGE = "https://airflow.example.com/dags/sales/runs/r1"
PAYLOAD = {"airflow": "https://airflow.example.com", "dag_id": "sales", "run_id": "r1"}
NONE = answer(200, [])


def deployment(script: Script, environment: str = "eu/west (blue)") -> GitHubDeployment:
    """The deployment of a run at a GitHub that answers by the script."""
    repository = GitHubRepository(
        "https://api.github.com", "octo-org/sales", Secret("ghs_t0ken"), script.wire
    )
    return GitHubDeployment(repository, SHA, environment, DagRunRef("sales", "r1", PAGE))


def listed(*payloads: Any) -> bytes:
    """Deployments with these payloads, the newest first, the last one with the id 1."""
    return answer(
        200, [{"id": len(payloads) - n, "payload": one} for n, one in enumerate(payloads)]
    )


def states(*found: str) -> bytes:
    """The states of a deployment, the newest first, the last one with the id 1."""
    return answer(200, [{"id": len(found) - n, "state": one} for n, one in enumerate(found)])


def body(script: Script, number: int) -> Any:
    """What was sent as that request's body."""
    return json.loads(script.sent[number].request.body or b"")


def test_the_first_state() -> None:
    """The first state makes the deployment: of this very commit, by no rule of the branch, and with
    the run in its payload.
    """
    script = Script(answer(201, {"id": 7}), answer(201, {"id": 8}))
    made = deployment(script)
    made.add("pending", "DAG run r1")

    assert [(sent.request.method, sent.url) for sent in script.sent] == [
        ("POST", f"{ROOT}/deployments"),
        ("POST", f"{ROOT}/deployments/7/statuses"),
    ]
    assert body(script, 0) == {
        "ref": SHA,
        "task": "airflow",
        "environment": "eu/west (blue)",
        "description": "DAG run r1 of sales",
        "payload": PAYLOAD,
        "auto_merge": False,
        "required_contexts": [],
    }
    assert body(script, 1) == {"state": "in_progress", "log_url": PAGE, "description": "DAG run r1"}
    assert made.number == 7


@pytest.mark.parametrize(
    ("state", "shown"), [("pending", "in_progress"), ("success", "success"), ("failure", "failure")]
)
def test_a_later_state(state: State, shown: str) -> None:
    """A later state goes to the deployment that is there, which is not made again."""
    script = Script(listed(PAYLOAD), states("in_progress"), answer(201, {"id": 9}))
    found = deployment(script)
    found.last()
    found.add(state, "x" * 141)

    assert [sent.request.method for sent in script.sent] == ["GET", "GET", "POST"]
    assert script.sent[2].url == f"{ROOT}/deployments/1/statuses"
    assert (body(script, 2)["state"], len(body(script, 2)["description"])) == (shown, 140)


@pytest.mark.parametrize(
    "payload",
    [PAYLOAD, json.dumps(PAYLOAD), dict(reversed(PAYLOAD.items()))],
    ids=["object", "text", "order"],
)
def test_the_one_of_this_run(payload: Any) -> None:
    """Of the deployments of the commit to the environment the one with this run of this Airflow in
    its payload is found.
    """
    others = (
        PAYLOAD | {"run_id": "r2"},
        PAYLOAD | {"airflow": "https://staging.example.com"},
        PAYLOAD | {"airflow": "http://airflow.example.com"},
        {"dag_id": "sales", "run_id": "r1"},
    )
    script = Script(
        listed(*others, payload, {}, "", "{", None, [], "[" * 100_000), states("queued")
    )
    found = deployment(script)

    assert found.last() == LatestStatus(1, "pending", ours=True, about=PAGE)
    assert found.number == 7
    assert script.sent[0].url == (
        f"{ROOT}/deployments?sha={SHA}&environment=eu%2Fwest+%28blue%29&task=airflow&per_page=100&page=1"
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
def test_the_last_state(found: list[str], last: str | None) -> None:
    """The newest state counts, one that a later deployment retired was a success, and one without a
    state is none yet.
    """
    state = deployment(Script(listed(PAYLOAD), states(*found))).last()

    assert (state.state if state else None) == last


def test_the_newest_state_in_whatever_order() -> None:
    """GitHub does not say in which order it lists the states of a deployment."""
    unordered = answer(
        200,
        [
            {"id": 1, "state": "in_progress"},
            {"id": 3, "state": "failure"},
            {"id": 2, "state": "queued"},
        ],
    )

    assert deployment(Script(listed(PAYLOAD), unordered)).last() == LatestStatus(
        3, "failure", ours=True, about=PAGE
    )


@pytest.mark.parametrize(
    ("page", "whose"),
    [
        (
            "HTTPS://Airflow.Example.com:443/team/dags/sales/grid?dag_run_id=r1",
            "https://airflow.example.com/team",
        ),
        ("http://[::1]:8080/dags/sales/runs/r1", "http://[::1]:8080"),
    ],
)
def test_whose_it_is(page: str, whose: str) -> None:
    """The payload names the Airflow in its canonical form, by which the listener knows it, and the
    link stays as it is.
    """
    script = Script(answer(201, {"id": 7}), answer(201, {"id": 8}))
    repository = GitHubRepository(
        "https://api.github.com", "octo-org/sales", Secret("ghs_t0ken"), script.wire
    )
    GitHubDeployment(repository, SHA, "staging", DagRunRef("sales", "r1", page)).add("pending", "")

    assert body(script, 0)["payload"] == PAYLOAD | {"airflow": whose}
    assert body(script, 1)["log_url"] == page


def test_none_yet() -> None:
    """Where no deployment has this run there is no state, and its states are not asked for."""
    script = Script(NONE)

    assert deployment(script).last() is None
    assert len(script.sent) == 1
    assert deployment(Script()).conflicting_run(0) is None


def test_many_deployments() -> None:
    """It is looked for on page after page, until one is not full, and not without end."""
    full = answer(200, [{"id": 1, "payload": {}}] * 100)
    script = Script(full, listed(PAYLOAD), states("success"))
    assert deployment(script).last() is not None

    script = Script(*[full] * 99)
    assert deployment(script).last() is None
    assert len(script.sent) == 10


@pytest.mark.parametrize(("status", "may"), [(422, True), (403, False), (404, False)])
# A table's column
def test_whether_it_may_be_written(status: int, may: bool) -> None:
    """Whether the token may write is found out by a deployment of no commit, which makes
    nothing.
    """
    script = Script(answer(status, {"message": "x"}))
    assert deployment(script).can_write() is may

    assert (script.sent[0].url, body(script, 0)["ref"]) == (f"{ROOT}/deployments", "0" * 40)


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ([answer(403, {"message": "Resource not accessible by integration"})], Forbidden),
        ([answer(409, {"message": "Conflict"})], ActionError),
        ([answer(202, {"message": "Auto-merged"})], UnexpectedResponse),
        ([answer(201, {})], UnexpectedResponse),
        ([answer(201, {"id": 7}), answer(404, {"message": "Not Found"})], Forbidden),
        ([answer(201, {"id": 7}), answer(201, [])], UnexpectedResponse),
    ],
)
def test_it_cannot_be_added(replies: list[bytes], error: type[ActionError]) -> None:
    """What is no made deployment, or no made state, is an error, which says what the token lacks if
    that is it.
    """
    with pytest.raises(error) as caught:
        deployment(Script(*replies)).add("pending", "")

    assert ("`deployments: write`" in caught.value.hint) is (error is Forbidden)


@pytest.mark.parametrize("replies", [[answer(200, {})], [listed(PAYLOAD), answer(200, ["x"])]])
def test_what_is_no_list(replies: list[bytes]) -> None:
    """An answer that is no list says nothing about deployments, least of all that there are
    none.
    """
    with pytest.raises(UnexpectedResponse):
        deployment(Script(*replies)).last()
