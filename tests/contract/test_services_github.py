"""The stand-in of GitHub's API: what is documented of commits, statuses, deployments and apps;
nothing else is taken.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from tests.contract.services import Client
from tests.support import known_secrets as ledger
from tests.support.fake_airflow import Fault
from tests.support.services import GitHubApi
from tests.support.services.github import FORBIDDEN, REPOSITORY
from tests.support.services.github_schema import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST, SECOND, THIRD, OTHER = (digit * 40 for digit in "0123")
UNKNOWN = "f" * 40
NEEDED = {
    *(
        "url",
        "html_url",
        "permalink_url",
        "diff_url",
        "patch_url",
        "base_commit",
        "merge_base_commit",
        "status",
    ),
    *("ahead_by", "behind_by", "total_commits", "commits"),
}
"""What GitHub's description of its API requires of a comparison."""
MADE = {"url", "id", "node_id", "description", "creator", "created_at", "updated_at"}
STATUS = MADE | {"avatar_url", "state", "target_url", "context"}
DEPLOYMENT = MADE | {
    "sha",
    "ref",
    "task",
    "payload",
    "environment",
    "statuses_url",
    "repository_url",
}
STATE = MADE | {
    "state",
    "environment",
    "target_url",
    "deployment_url",
    "repository_url",
    "environment_url",
    "log_url",
}
"""And of what was made."""


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """GitHub, with three commits in a row and one on another branch."""
    with GitHubApi({FIRST: None, SECOND: FIRST, THIRD: SECOND, OTHER: FIRST}) as api:
        yield api


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Who asks."""
    return Client(tmp_path)


def ask(client: Client, github: GitHubApi, path: str, token: str | None = None) -> tuple[int, Any]:
    """Status and body of a GET below the repository."""
    headers = {"Authorization": f"Bearer {token or github.token}"}
    answer = client("GET", f"{github.url}/repos/{REPOSITORY}{path}", headers=headers)
    return answer.status_code, answer.json()


def tell(
    client: Client, github: GitHubApi, path: str, token: str | None = None, **body: Any
) -> tuple[int, Any]:
    """Status and body of a POST below the repository."""
    headers = {"Authorization": f"Bearer {token or github.token}"}
    answer = client("POST", f"{github.url}/repos/{REPOSITORY}{path}", headers=headers, json=body)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("base", "head", "told"),
    [
        (SECOND, SECOND, ("identical", 0, 0)),
        (FIRST, THIRD, ("ahead", 2, 0)),
        (THIRD, FIRST, ("behind", 0, 2)),
        (THIRD, OTHER, ("diverged", 1, 2)),
    ],
)
def test_a_comparison(
    client: Client, github: GitHubApi, base: str, head: str, told: tuple[str, int, int]
) -> None:
    """A comparison tells how head is to base, by how many commits, and lists files on its first
    page only.
    """
    for page in (1, 2):
        code, body = ask(client, github, f"/compare/{base}...{head}?per_page=1&page={page}")

        assert code == 200
        assert (body["status"], body["ahead_by"], body["behind_by"]) == told
        assert set(body) - {"files"} == NEEDED
        assert ("files" in body) is (page == 1)


def test_a_commit(client: Client, github: GitHubApi) -> None:
    """A commit that is there is shown; one that is not is a 422 that names it, and nothing to
    compare with.
    """
    assert ask(client, github, f"/commits/{SECOND}")[1]["sha"] == SECOND
    code, body = ask(client, github, f"/commits/{UNKNOWN}")
    assert (code, body["message"]) == (422, f"No commit found for SHA: {UNKNOWN}")
    assert ask(client, github, f"/compare/{FIRST}...{UNKNOWN}")[0] == 404


def test_who_may_not_read(client: Client, github: GitHubApi) -> None:
    """A bad token is a 401; to a token without the permission the repository is not there."""
    assert ask(client, github, f"/commits/{FIRST}", "not-the-token-of-this-job")[0] == 401
    with GitHubApi(github.history, may_read=False) as closed:
        assert ask(client, closed, f"/commits/{FIRST}")[0] == 404


# Statuses.


def test_a_status(client: Client, github: GitHubApi) -> None:
    """A status is made with all its fields and a growing id, and listed for its commit, the newest
    first, in pages.
    """
    for number in range(3):
        page = f"https://airflow.example.com/{number}"
        code, made = tell(
            client,
            github,
            f"/statuses/{FIRST}",
            state="pending",
            context="airflow",
            target_url=page,
        )

        assert (code, made["state"], made["context"], made["target_url"]) == (
            201,
            "pending",
            "airflow",
            page,
        )
        assert made.keys() >= STATUS
        assert made["url"] == f"{github.url}/repos/{REPOSITORY}/statuses/{FIRST}"

    kept = github.statuses_of(FIRST, "airflow")
    assert [one["id"] for one in kept] == sorted({one["id"] for one in kept})
    assert ask(client, github, f"/commits/{FIRST}/statuses") == (200, kept[::-1])
    assert ask(client, github, f"/commits/{FIRST}/statuses?per_page=2&page=2") == (200, kept[:1])
    assert ask(client, github, f"/commits/{SECOND}/statuses?per_page=100&page=1") == (200, [])
    assert github.statuses_of(FIRST, "another") == []


def test_a_status_without_a_commit(client: Client, github: GitHubApi) -> None:
    """A status of an unknown commit is a 422 that names it, to who may write; to who may not, a 403
    whatever the commit.
    """
    code, body = tell(client, github, f"/statuses/{UNKNOWN}", state="pending")
    assert (code, body["message"]) == (422, f"No commit found for SHA: {UNKNOWN}")
    with GitHubApi(github.history, can_write=("deployments",)) as closed:
        for commit in (UNKNOWN, FIRST):
            code, body = tell(client, closed, f"/statuses/{commit}", state="pending")
            assert (code, body["message"]) == (403, FORBIDDEN)
        assert ask(client, closed, f"/commits/{FIRST}/statuses") == (200, [])
        assert closed.statuses_of(FIRST) == []


def test_there_is_an_end_of_statuses(client: Client, github: GitHubApi) -> None:
    """The thousand-and-first status of one name is refused."""
    for _ in range(1000):
        github.report(FIRST, "pending", "airflow")

    assert tell(client, github, f"/statuses/{FIRST}", state="success", context="airflow")[0] == 422
    assert tell(client, github, f"/statuses/{FIRST}", state="success", context="another")[0] == 201
    assert len(ask(client, github, f"/commits/{FIRST}/statuses")[1]) == 30


# Deployments.


def test_a_deployment(client: Client, github: GitHubApi) -> None:
    """A deployment is made with all its fields, is found by each filter alone, and its states are
    listed newest first.
    """
    payload = {"dag_id": "sales"}
    given: dict[str, Any] = {
        "ref": FIRST,
        "task": "airflow",
        "environment": "staging",
        "payload": payload,
        "required_contexts": [],
    }
    code, made = tell(client, github, "/deployments", **given)
    assert (code, made["sha"], made["payload"], made["environment"]) == (
        201,
        FIRST,
        payload,
        "staging",
    )
    assert made.keys() >= DEPLOYMENT
    tell(client, github, "/deployments", ref=SECOND)

    for query in (
        f"sha={FIRST}",
        "task=airflow",
        "environment=staging",
        f"ref={FIRST}&per_page=100&page=1",
    ):
        assert ask(client, github, f"/deployments?{query}") == (200, [made])
    assert len(ask(client, github, "/deployments")[1]) == 2
    states = f"/deployments/{made['id']}/statuses"
    for state in ("in_progress", "success"):
        code, status = tell(
            client, github, states, state=state, log_url="https://airflow.example.com/"
        )
        assert (code, status["state"], status["log_url"]) == (201, state, status["target_url"])
        assert status.keys() >= STATE
    assert [one["state"] for one in ask(client, github, states)[1]] == ["success", "in_progress"]
    assert github.deployment_states(made["id"]) == ["in_progress", "success"]
    assert tell(client, github, "/deployments/1/statuses", state="success")[0] == 404


def test_a_deployment_that_is_refused(client: Client, github: GitHubApi) -> None:
    """A deployment of what is not there is a 422, one before the commit's statuses succeed a 409,
    one without leave a 403.
    """
    code, body = tell(client, github, "/deployments", ref=UNKNOWN)
    assert (code, body["message"]) == (422, f"No ref found for: {UNKNOWN}")
    github.report(FIRST, "pending", "airflow")
    assert tell(client, github, "/deployments", ref=FIRST)[0] == 409
    assert tell(client, github, "/deployments", ref=FIRST, required_contexts=["airflow"])[0] == 409
    assert tell(client, github, "/deployments", ref=FIRST, required_contexts=[])[0] == 201
    github.report(FIRST, "success", "airflow")
    assert tell(client, github, "/deployments", ref=FIRST)[0] == 201
    with GitHubApi(github.history, can_write=("statuses",)) as closed:
        code, body = tell(client, closed, "/deployments", ref=UNKNOWN)
        assert (code, body["message"], closed.deployments) == (403, FORBIDDEN, [])


@pytest.mark.parametrize(
    ("environment", "last"), [("staging", "inactive"), ("production", "success")]
)
def test_a_later_deployment_succeeds(
    client: Client, github: GitHubApi, environment: str, last: str
) -> None:
    """A success makes an older one of the same environment inactive, but for production."""
    numbers = [
        tell(client, github, "/deployments", ref=FIRST, environment=environment)[1]["id"]
        for _ in range(3)
    ]
    for number, state in zip(numbers, ("success", "failure", "success"), strict=True):
        tell(client, github, f"/deployments/{number}/statuses", state=state)

    assert [github.deployment_states(number)[-1] for number in numbers] == [
        last,
        "failure",
        "success",
    ]


# Who asks.


def test_who_is_nobody(client: Client, github: GitHubApi) -> None:
    """Without a token, or in a repository that the token does not see, nothing is there; a bad one
    is a 401.
    """
    path = f"/repos/{REPOSITORY}/statuses/{FIRST}"
    assert client("POST", f"{github.url}{path}", json={"state": "pending"}).status_code == 404
    headers = {"Authorization": f"Bearer {github.token}"}
    other = f"{github.url}/repos/octo-org/other/statuses/{FIRST}"
    assert client("POST", other, json={"state": "pending"}, headers=headers).status_code == 404
    assert (
        tell(client, github, f"/statuses/{FIRST}", "not-the-token-of-this-job", state="pending")[0]
        == 401
    )
    assert github.statuses_of(FIRST) == []


def test_several_repositories(client: Client) -> None:
    """What is reported in one repository is not seen in another."""
    with GitHubApi({FIRST: None}, repositories=(REPOSITORY, "octo-org/other")) as github:
        assert tell(client, github, f"/statuses/{FIRST}", state="success")[0] == 201
        headers = {"Authorization": f"Bearer {github.token}"}
        url = f"{github.url}/repos/octo-org/other/commits/{FIRST}/statuses"

        assert client("GET", url, headers=headers).json() == []


@pytest.mark.parametrize("secondary", [True, False])
# A table's column
def test_a_rate_limit(client: Client, github: GitHubApi, secondary: bool) -> None:
    """A request too many is a 403 that says so and does nothing, and the next one is heard
    again.
    """
    github.limit(secondary=secondary)

    code, body = tell(client, github, f"/statuses/{FIRST}", state="success")
    assert (code, "rate limit" in body["message"], github.statuses_of(FIRST)) == (403, True, [])
    assert tell(client, github, f"/statuses/{FIRST}", state="success")[0] == 201


def test_a_lost_answer(client: Client, github: GitHubApi) -> None:
    """An answer that is lost afterwards leaves what was made."""
    github.fault(Fault.HTML_502, on=("POST", "/statuses/*"), when="after")
    headers = {"Authorization": f"Bearer {github.token}"}
    url = f"{github.url}/repos/{REPOSITORY}/statuses/{FIRST}"

    assert client("POST", url, json={"state": "success"}, headers=headers).status_code == 502
    assert len(github.statuses_of(FIRST)) == 1


# The app.


def proof(github: GitHubApi, key: str = "", algorithm: str = "RS256", **changes: Any) -> str:
    """Who says to be the app."""
    now = int(time.time())
    claims = {"iss": github.app.app_id, "iat": now - 60, "exp": now + 540} | changes
    shown = jwt.encode(claims, key or github.app.private_key, algorithm)
    ledger.note(shown)
    return shown


def install(
    client: Client, github: GitHubApi, shown: str, number: int = 0, **body: Any
) -> tuple[int, Any]:
    """Ask for an installation's token."""
    url = f"{github.url}/app/installations/{number or github.app.installation}/access_tokens"
    answer = client(
        "POST",
        url,
        headers={"Authorization": f"Bearer {shown}"},
        **({"json": body} if body else {}),
    )
    return answer.status_code, answer.json()


def test_an_app(client: Client, github: GitHubApi) -> None:
    """Who proves to be the app gets a token that dies in an hour, and writes until it does."""
    for issuer in (github.app.app_id, github.app.client_id):
        code, body = install(client, github, proof(github, iss=issuer))
        assert code == 201
        assert body["expires_at"].endswith("Z")
        assert tell(client, github, f"/statuses/{FIRST}", body["token"], state="success")[0] == 201
    assert len(github.app.issued) == 2
    github.app.expire()
    assert tell(client, github, f"/statuses/{FIRST}", body["token"], state="success")[0] == 401


def test_a_token_for_less(client: Client, github: GitHubApi) -> None:
    """A token for some permissions and repositories has no more, and none is given for what the app
    has not.
    """
    less: dict[str, Any] = {"repositories": ["sales"], "permissions": {"statuses": "write"}}
    code, body = install(client, github, proof(github), **less)
    assert (code, body["permissions"]) == (201, {"statuses": "write"})
    assert tell(client, github, f"/statuses/{FIRST}", body["token"], state="success")[0] == 201
    assert tell(client, github, "/deployments", body["token"], ref=FIRST)[0] == 403
    assert install(client, github, proof(github), repositories=["other"])[0] == 422
    assert install(client, github, proof(github), permissions={"contents": "write"})[0] == 422


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"iss": "7"}, "Integration not found"),
        ({"exp": int(time.time()) + 3600}, "too far in the future"),
        ({"exp": int(time.time()) - 3600}, "future time"),
        ({"iat": int(time.time()) + 3600}, "'iat'"),
        ({"algorithm": "HS256", "key": secrets.token_hex(32)}, "could not be decoded"),
    ],
)
def test_who_is_not_the_app(
    client: Client, github: GitHubApi, changes: dict[str, Any], told: str
) -> None:
    """A proof that is another's, too old, too long or not signed is a 401 that says why."""
    code, body = install(client, github, proof(github, **changes))

    assert (code, github.app.issued) == (401, [])
    assert told in body["message"]


def test_another_installation(client: Client, github: GitHubApi) -> None:
    """Where the app is not installed it gets nothing."""
    assert install(client, github, proof(github), number=1)[0] == 404


# What GitHub does not document.


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (f"/statuses/{FIRST}", {"state": "green"}, "'green' is not one of"),
        (f"/statuses/{FIRST}", {}, "'state' is a required property"),
        (f"/statuses/{FIRST}", {"state": "success", "dag": "sales"}, "'dag' was unexpected"),
        (f"/statuses/{FIRST}", {"state": "success", "description": "x" * 141}, "too long"),
        (f"/statuses/{FIRST}", {"state": "success", "context": "x" * 256}, "too long"),
        (
            f"/statuses/{FIRST}",
            {"state": "success", "target_url": "airflow.example.com"},
            "does not match",
        ),
        ("/deployments", {"ref": FIRST, "payload": 7}, "is not of type"),
        ("/deployments", {"ref": FIRST, "auto_merge": "false"}, "is not of type 'boolean'"),
        ("/deployments/7/statuses", {"state": "running"}, "'running' is not one of"),
        (f"/commits/{FIRST}/statuses?per_page=101", None, "does not match"),
        (f"/commits/{FIRST}/statuses?context=airflow", None, "'context' was unexpected"),
        ("/deployments?payload=x", None, "'payload' was unexpected"),
        ("/issues", None, "no such operation"),
        ("/issues", {"title": "x"}, "no such operation"),
    ],
)
def test_an_offence(client: Client, path: str, body: dict[str, Any] | None, told: str) -> None:
    """A request that GitHub does not document is refused, makes nothing, and fails the test that
    let it be sent.
    """
    github = GitHubApi({FIRST: None})
    with pytest.raises(
        AssertionError, match="GitHub was asked what it does not document"
    ) as failure:
        _offend(client, github, path, body, told)

    assert told in str(failure.value)
    assert len(github.offences) == 1


def _offend(
    client: Client, github: GitHubApi, path: str, body: dict[str, Any] | None, told: str
) -> None:
    with github:
        code, answer = (
            ask(client, github, path) if body is None else tell(client, github, path, **body)
        )

        assert (code, github.statuses_of(FIRST), github.deployments) == (422, [], [])
        assert told in answer["message"]


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"User-Agent": ""}, "User-Agent"),
        ({"X-GitHub-Api-Version": "2001-01-01"}, "no such version"),
        ({"Content-Type": "text/plain"}, "does not say that it is JSON"),
    ],
)
def test_an_offending_head(client: Client, headers: dict[str, Any], told: str) -> None:
    """The same goes for the head of a request."""
    github = GitHubApi({FIRST: None})
    url = f"{github.url}/repos/{REPOSITORY}/statuses/{FIRST}"
    shown = {"Authorization": f"Bearer {github.token}"} | headers
    assert client("POST", url, headers=shown, json={"state": "success"}).status_code == 422

    with pytest.raises(AssertionError, match=told):
        github.__exit__(None, None, None)


def test_no_offence(client: Client, github: GitHubApi) -> None:
    """What is documented, and only refused, is none."""
    tell(
        client,
        github,
        f"/statuses/{UNKNOWN}",
        state="pending",
        context="x",
        target_url=None,
        description="x" * 140,
    )
    tell(client, github, "/deployments", ref=UNKNOWN, payload="text", production_environment=False)
    install(client, github, proof(github), number=1, repository_ids=[7])

    assert len(github.record) == 3
    assert github.offences == []


def test_every_operation_is_answered(github: GitHubApi) -> None:
    """The stand-in has an answer for each operation of the schema."""
    assert [one.name for one in OPERATIONS if not hasattr(github, f"_{one.name}")] == []


def test_a_port_of_its_own() -> None:
    """It listens where it is told to."""
    with GitHubApi({}) as first:
        port = first.port
    with GitHubApi({}, port=port) as again:
        assert (again.port, again.url) == (port, f"http://127.0.0.1:{port}")
