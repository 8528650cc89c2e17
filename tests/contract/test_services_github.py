"""The GitHub API stand-in: commits, trees, statuses, deployments and apps, as documented."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import jwt
import pytest

from tests.contract.services import ServiceClient
from tests.support import known_secrets
from tests.support.fake_airflow import Fault
from tests.support.services import GitHubApi, GitRepository
from tests.support.services.github import FORBIDDEN, MAX_FILES, REPOSITORY
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
"""The required fields of a comparison by GitHub's description of its API."""
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
"""The required fields of the state of a deployment."""


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """A GitHub with three commits in a row and one on another branch."""
    with GitHubApi({FIRST: None, SECOND: FIRST, THIRD: SECOND, OTHER: FIRST}) as api:
        yield api


@pytest.fixture
def client(tmp_path: Path) -> ServiceClient:
    return ServiceClient(tmp_path)


def get(
    client: ServiceClient, github: GitHubApi, path: str, token: str | None = None
) -> tuple[int, Any]:
    """Return status and body of a GET below the repository."""
    headers = {"Authorization": f"Bearer {token or github.token}"}
    answer = client("GET", f"{github.url}/repos/{REPOSITORY}{path}", headers=headers)
    return answer.status_code, answer.json()


def post(
    client: ServiceClient, github: GitHubApi, path: str, token: str | None = None, **body: Any
) -> tuple[int, Any]:
    """Return status and body of a POST below the repository."""
    headers = {"Authorization": f"Bearer {token or github.token}"}
    answer = client("POST", f"{github.url}/repos/{REPOSITORY}{path}", headers=headers, json=body)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        (SECOND, SECOND, ("identical", 0, 0)),
        (FIRST, THIRD, ("ahead", 2, 0)),
        (THIRD, FIRST, ("behind", 0, 2)),
        (THIRD, OTHER, ("diverged", 1, 2)),
    ],
)
def test_a_comparison_has_status_commits_and_files(
    client: ServiceClient, github: GitHubApi, base: str, head: str, expected: tuple[str, int, int]
) -> None:
    """Files are on its first page only."""
    for page in (1, 2):
        code, body = get(client, github, f"/compare/{base}...{head}?per_page=1&page={page}")

        assert code == 200
        assert (body["status"], body["ahead_by"], body["behind_by"]) == expected
        assert set(body) - {"files"} == NEEDED
        assert ("files" in body) is (page == 1)


def test_an_unknown_commit_is_a_422_that_names_it(client: ServiceClient, github: GitHubApi) -> None:
    """It cannot be compared."""
    assert get(client, github, f"/commits/{SECOND}")[1]["sha"] == SECOND
    code, body = get(client, github, f"/commits/{UNKNOWN}")
    assert (code, body["message"]) == (422, f"No commit found for SHA: {UNKNOWN}")
    assert get(client, github, f"/compare/{FIRST}...{UNKNOWN}")[0] == 404


# Trees and comparisons of a real repository.

TEXT = {"type": "string"}
TREE = {
    "type": "object",
    "required": ["sha", "tree", "truncated"],
    "additionalProperties": False,
    "properties": {
        "sha": TEXT,
        "url": TEXT,
        "truncated": {"type": "boolean"},
        "tree": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "mode", "type", "sha"],
                "additionalProperties": False,
                "properties": {
                    "path": TEXT,
                    "mode": {"enum": ["100644", "100755", "040000", "160000", "120000"]},
                    "type": {"enum": ["blob", "tree", "commit"]},
                    "sha": {"type": "string", "pattern": "^[0-9a-f]{40}$"},
                    "size": {"type": "integer"},
                    "url": TEXT,
                },
            },
        },
    },
}
"""A tree by GitHub's description of its API."""


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """A real repository with one commit on main."""
    repository = GitRepository(tmp_path / "repository")
    repository.commit({"dags/team/sales.py": "print()", "README.md": "sales"})
    return repository


@pytest.fixture
def real(repository: GitRepository) -> Iterator[GitHubApi]:
    with GitHubApi(repository) as api:
        yield api


def tree_of(client: ServiceClient, api: GitHubApi, commit: str, query: str = "") -> Any:
    sha = get(client, api, f"/commits/{commit}")[1]["commit"]["tree"]["sha"]
    code, body = get(client, api, f"/git/trees/{sha}{query}")
    assert code == 200
    jsonschema.validate(body, TREE)
    assert body["sha"] == sha
    return body


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("", ["README.md", "dags"]),
        ("?recursive=1", ["README.md", "dags", "dags/team", "dags/team/sales.py"]),
        # GitHub reads any value as true.
        ("?recursive=false", ["README.md", "dags", "dags/team", "dags/team/sales.py"]),
    ],
)
def test_a_tree_lists_its_entries_or_those_of_its_subtrees_too(
    client: ServiceClient, repository: GitRepository, real: GitHubApi, query: str, paths: list[str]
) -> None:
    body = tree_of(client, real, repository.head, query)

    assert [one["path"] for one in body["tree"]] == paths
    assert body["truncated"] is False
    by_path = {one["path"]: one for one in body["tree"]}
    assert (by_path["README.md"]["mode"], by_path["README.md"]["type"]) == ("100644", "blob")
    assert by_path["README.md"]["sha"] == repository.git("rev-parse", "HEAD:README.md")
    assert by_path["README.md"]["size"] == len("sales")
    assert (by_path["dags"]["mode"], by_path["dags"]["type"]) == ("040000", "tree")
    assert "size" not in by_path["dags"]


def test_a_tree_with_more_entries_than_the_limit_is_truncated(
    client: ServiceClient, repository: GitRepository
) -> None:
    with GitHubApi(repository, max_tree_entries=3) as api:
        found = tree_of(client, api, repository.head, "?recursive=1")
        assert (len(found["tree"]), found["truncated"]) == (3, True)
        assert tree_of(client, api, repository.head)["truncated"] is False


def test_an_unknown_tree_is_a_404(client: ServiceClient, real: GitHubApi) -> None:
    assert get(client, real, f"/git/trees/{UNKNOWN}")[0] == 404


def test_commits_of_a_real_repository_are_compared_by_sha_or_branch(
    client: ServiceClient, repository: GitRepository, real: GitHubApi
) -> None:
    """The merge base is that of git; a slash in the name of a branch is quoted."""
    left = repository.head
    repository.git("checkout", "--quiet", "-b", "feature/x")
    ahead = repository.commit({"dags/new.py": "1"})
    repository.git("checkout", "--quiet", "main")
    behind = repository.commit({"README.md": "2"})
    for path in (f"main...{ahead}", f"{behind}...feature%2Fx", f"{behind}...{ahead}"):
        code, body = get(client, real, f"/compare/{path}")

        assert (code, body["status"]) == (200, "diverged")
        assert body["merge_base_commit"]["sha"] == left
        assert body["base_commit"]["sha"] == behind
        assert [one["filename"] for one in body["files"]] == ["dags/new.py"]
        assert set(body) - {"files"} == NEEDED
    assert get(client, real, f"/compare/nope...{ahead}")[0] == 404


def test_a_comparison_lists_300_files(
    client: ServiceClient, repository: GitRepository, real: GitHubApi
) -> None:
    left = repository.head
    head = repository.commit({f"dags/{number}.py": "1" for number in range(301)})

    assert len(get(client, real, f"/compare/{left}...{head}")[1]["files"]) == MAX_FILES == 300


def test_commits_without_a_common_ancestor_are_a_404_that_says_so(
    client: ServiceClient, repository: GitRepository, real: GitHubApi
) -> None:
    main = repository.head
    repository.git("checkout", "--quiet", "--orphan", "site")
    site = repository.commit({"index.html": "1"})
    code, body = get(client, real, f"/compare/{main}...{site}")

    assert (code, body["message"]) == (404, f"No common ancestor between {main} and {site}.")


def test_a_replaced_commit_is_served_until_github_loses_it(
    client: ServiceClient, repository: GitRepository, real: GitHubApi
) -> None:
    replaced = repository.commit({"README.md": "2"})
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    assert get(client, real, f"/commits/{replaced}")[0] == 200
    repository.lose(replaced)
    assert get(client, real, f"/commits/{replaced}")[0] == 422
    assert get(client, real, f"/compare/{repository.head}...{replaced}")[0] == 404


def test_a_bad_token_is_a_401_and_a_missing_permission_a_404(
    client: ServiceClient, github: GitHubApi
) -> None:
    assert get(client, github, f"/commits/{FIRST}", "not-the-token-of-this-job")[0] == 401
    with GitHubApi(github.history, may_read=False) as closed:
        for path in (f"/commits/{FIRST}", f"/git/trees/{FIRST}", f"/compare/{FIRST}...{SECOND}"):
            assert get(client, closed, path)[0] == 404


# Statuses.


def test_a_status_has_all_fields_and_statuses_are_listed_newest_first(
    client: ServiceClient, github: GitHubApi
) -> None:
    """Ids grow; the list has pages."""
    for number in range(3):
        page = f"https://airflow.example.com/{number}"
        code, made = post(
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
    assert get(client, github, f"/commits/{FIRST}/statuses") == (200, kept[::-1])
    assert get(client, github, f"/commits/{FIRST}/statuses?per_page=2&page=2") == (200, kept[:1])
    assert get(client, github, f"/commits/{SECOND}/statuses?per_page=100&page=1") == (200, [])
    assert github.statuses_of(FIRST, "another") == []


def test_a_status_of_an_unknown_commit_is_a_422(client: ServiceClient, github: GitHubApi) -> None:
    """For a token without the permission it is a 403."""
    code, body = post(client, github, f"/statuses/{UNKNOWN}", state="pending")
    assert (code, body["message"]) == (422, f"No commit found for SHA: {UNKNOWN}")
    with GitHubApi(github.history, can_write=("deployments",)) as closed:
        for commit in (UNKNOWN, FIRST):
            code, body = post(client, closed, f"/statuses/{commit}", state="pending")
            assert (code, body["message"]) == (403, FORBIDDEN)
        assert get(client, closed, f"/commits/{FIRST}/statuses") == (200, [])
        assert closed.statuses_of(FIRST) == []


def test_the_1001st_status_of_one_name_is_refused(client: ServiceClient, github: GitHubApi) -> None:
    for _ in range(1000):
        github.report(FIRST, "pending", "airflow")

    assert post(client, github, f"/statuses/{FIRST}", state="success", context="airflow")[0] == 422
    assert post(client, github, f"/statuses/{FIRST}", state="success", context="another")[0] == 201
    assert len(get(client, github, f"/commits/{FIRST}/statuses")[1]) == 30


# Deployments.


def test_a_deployment_has_all_fields_and_its_states_are_listed_newest_first(
    client: ServiceClient, github: GitHubApi
) -> None:
    """Each filter finds it."""
    payload = {"dag_id": "sales"}
    given: dict[str, Any] = {
        "ref": FIRST,
        "task": "airflow",
        "environment": "staging",
        "payload": payload,
        "required_contexts": [],
    }
    code, made = post(client, github, "/deployments", **given)
    assert (code, made["sha"], made["payload"], made["environment"]) == (
        201,
        FIRST,
        payload,
        "staging",
    )
    assert made.keys() >= DEPLOYMENT
    post(client, github, "/deployments", ref=SECOND)

    for query in (
        f"sha={FIRST}",
        "task=airflow",
        "environment=staging",
        f"ref={FIRST}&per_page=100&page=1",
    ):
        assert get(client, github, f"/deployments?{query}") == (200, [made])
    assert len(get(client, github, "/deployments")[1]) == 2
    states = f"/deployments/{made['id']}/statuses"
    for state in ("in_progress", "success"):
        code, status = post(
            client, github, states, state=state, log_url="https://airflow.example.com/"
        )
        assert (code, status["state"], status["log_url"]) == (201, state, status["target_url"])
        assert status.keys() >= STATE
    assert [one["state"] for one in get(client, github, states)[1]] == ["success", "in_progress"]
    assert github.deployment_states(made["id"]) == ["in_progress", "success"]
    assert post(client, github, "/deployments/1/statuses", state="success")[0] == 404


def test_a_deployment_is_refused_for_each_documented_reason(
    client: ServiceClient, github: GitHubApi
) -> None:
    """422: unknown commit; 409: statuses have not succeeded yet; 403: no permission."""
    code, body = post(client, github, "/deployments", ref=UNKNOWN)
    assert (code, body["message"]) == (422, f"No ref found for: {UNKNOWN}")
    github.report(FIRST, "pending", "airflow")
    assert post(client, github, "/deployments", ref=FIRST)[0] == 409
    assert post(client, github, "/deployments", ref=FIRST, required_contexts=["airflow"])[0] == 409
    assert post(client, github, "/deployments", ref=FIRST, required_contexts=[])[0] == 201
    github.report(FIRST, "success", "airflow")
    assert post(client, github, "/deployments", ref=FIRST)[0] == 201
    with GitHubApi(github.history, can_write=("statuses",)) as closed:
        code, body = post(client, closed, "/deployments", ref=UNKNOWN)
        assert (code, body["message"], closed.deployments) == (403, FORBIDDEN, [])


@pytest.mark.parametrize(
    ("environment", "last"), [("staging", "inactive"), ("production", "success")]
)
def test_a_success_makes_older_deployments_inactive(
    client: ServiceClient, github: GitHubApi, environment: str, last: str
) -> None:
    """Of the same environment, except for production."""
    numbers = [
        post(client, github, "/deployments", ref=FIRST, environment=environment)[1]["id"]
        for _ in range(3)
    ]
    for number, state in zip(numbers, ("success", "failure", "success"), strict=True):
        post(client, github, f"/deployments/{number}/statuses", state=state)

    assert [github.deployment_states(number)[-1] for number in numbers] == [
        last,
        "failure",
        "success",
    ]


# Tokens.


def test_without_a_valid_token_the_repository_is_not_found(
    client: ServiceClient, github: GitHubApi
) -> None:
    """A bad token is a 401."""
    path = f"/repos/{REPOSITORY}/statuses/{FIRST}"
    assert client("POST", f"{github.url}{path}", json={"state": "pending"}).status_code == 404
    headers = {"Authorization": f"Bearer {github.token}"}
    other = f"{github.url}/repos/octo-org/other/statuses/{FIRST}"
    assert client("POST", other, json={"state": "pending"}, headers=headers).status_code == 404
    assert (
        post(client, github, f"/statuses/{FIRST}", "not-the-token-of-this-job", state="pending")[0]
        == 401
    )
    assert github.statuses_of(FIRST) == []


def test_repositories_are_separate(client: ServiceClient) -> None:
    with GitHubApi({FIRST: None}, repositories=(REPOSITORY, "octo-org/other")) as github:
        assert post(client, github, f"/statuses/{FIRST}", state="success")[0] == 201
        headers = {"Authorization": f"Bearer {github.token}"}
        url = f"{github.url}/repos/octo-org/other/commits/{FIRST}/statuses"

        assert client("GET", url, headers=headers).json() == []


@pytest.mark.parametrize("secondary", [True, False])
# a column of a table
def test_a_rate_limited_request_is_a_403_without_effect(
    client: ServiceClient, github: GitHubApi, secondary: bool
) -> None:
    """The next request is accepted."""
    github.limit(secondary=secondary)

    code, body = post(client, github, f"/statuses/{FIRST}", state="success")
    assert (code, "rate limit" in body["message"], github.statuses_of(FIRST)) == (403, True, [])
    assert post(client, github, f"/statuses/{FIRST}", state="success")[0] == 201


def test_a_lost_response_does_not_undo_the_request(
    client: ServiceClient, github: GitHubApi
) -> None:
    github.fault(Fault.HTML_502, on=("POST", "/statuses/*"), when="after")
    headers = {"Authorization": f"Bearer {github.token}"}
    url = f"{github.url}/repos/{REPOSITORY}/statuses/{FIRST}"

    assert client("POST", url, json={"state": "success"}, headers=headers).status_code == 502
    assert len(github.statuses_of(FIRST)) == 1


# The app.


def app_jwt(github: GitHubApi, key: str = "", algorithm: str = "RS256", **changes: Any) -> str:
    """Return a JWT of the app."""
    now = int(time.time())
    claims = {"iss": github.app.app_id, "iat": now - 60, "exp": now + 540} | changes
    shown = jwt.encode(claims, key or github.app.private_key, algorithm)
    known_secrets.add(shown)
    return shown


def request_installation_token(
    client: ServiceClient, github: GitHubApi, shown: str, number: int = 0, **body: Any
) -> tuple[int, Any]:
    url = f"{github.url}/app/installations/{number or github.app.installation}/access_tokens"
    answer = client(
        "POST",
        url,
        headers={"Authorization": f"Bearer {shown}"},
        **({"json": body} if body else {}),
    )
    return answer.status_code, answer.json()


def test_an_app_gets_a_token_for_an_hour(client: ServiceClient, github: GitHubApi) -> None:
    for issuer in (github.app.app_id, github.app.client_id):
        code, body = request_installation_token(client, github, app_jwt(github, iss=issuer))
        assert code == 201
        assert body["expires_at"].endswith("Z")
        assert post(client, github, f"/statuses/{FIRST}", body["token"], state="success")[0] == 201
    assert len(github.app.issued) == 2
    github.app.expire()
    assert post(client, github, f"/statuses/{FIRST}", body["token"], state="success")[0] == 401


def test_a_token_is_limited_to_the_requested_permissions_and_repositories(
    client: ServiceClient, github: GitHubApi
) -> None:
    """The app cannot grant more than it has."""
    less: dict[str, Any] = {"repositories": ["sales"], "permissions": {"statuses": "write"}}
    code, body = request_installation_token(client, github, app_jwt(github), **less)
    assert (code, body["permissions"]) == (201, {"statuses": "write"})
    assert post(client, github, f"/statuses/{FIRST}", body["token"], state="success")[0] == 201
    assert post(client, github, "/deployments", body["token"], ref=FIRST)[0] == 403
    assert (
        request_installation_token(client, github, app_jwt(github), repositories=["other"])[0]
        == 422
    )
    assert (
        request_installation_token(
            client, github, app_jwt(github), permissions={"contents": "write"}
        )[0]
        == 422
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "7"}, "Integration not found"),
        ({"exp": int(time.time()) + 3600}, "too far in the future"),
        ({"exp": int(time.time()) - 3600}, "future time"),
        ({"iat": int(time.time()) + 3600}, "'iat'"),
        ({"algorithm": "HS256", "key": secrets.token_hex(32)}, "could not be decoded"),
    ],
)
def test_a_forged_old_long_or_unsigned_jwt_is_a_401_with_the_reason(
    client: ServiceClient, github: GitHubApi, changes: dict[str, Any], reason: str
) -> None:
    code, body = request_installation_token(client, github, app_jwt(github, **changes))

    assert (code, github.app.issued) == (401, [])
    assert reason in body["message"]


def test_an_unknown_installation_gets_no_token(client: ServiceClient, github: GitHubApi) -> None:
    assert request_installation_token(client, github, app_jwt(github), number=1)[0] == 404


# Undocumented requests.


@pytest.mark.parametrize(
    ("path", "body", "reason"),
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
        (f"/git/trees/{FIRST}?per_page=1", None, "'per_page' was unexpected"),
        ("/git/trees/main", None, "no such operation"),
        ("/issues", None, "no such operation"),
        ("/issues", {"title": "x"}, "no such operation"),
    ],
)
def test_an_undocumented_request_is_refused_and_fails_the_test(
    client: ServiceClient, path: str, body: dict[str, Any] | None, reason: str
) -> None:
    github = GitHubApi({FIRST: None})
    with pytest.raises(AssertionError, match="requests that GitHub does not document") as failure:
        _send_undocumented(client, github, path, body, reason)

    assert reason in str(failure.value)
    assert len(github.violations) == 1


def _send_undocumented(
    client: ServiceClient, github: GitHubApi, path: str, body: dict[str, Any] | None, reason: str
) -> None:
    with github:
        code, answer = (
            get(client, github, path) if body is None else post(client, github, path, **body)
        )

        assert (code, github.statuses_of(FIRST), github.deployments) == (422, [], [])
        assert reason in answer["message"]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"User-Agent": ""}, "User-Agent"),
        ({"X-GitHub-Api-Version": "2001-01-01"}, "no such version"),
        ({"Content-Type": "text/plain"}, "has no JSON content type"),
    ],
)
def test_an_undocumented_header_is_refused_and_fails_the_test(
    client: ServiceClient, headers: dict[str, Any], reason: str
) -> None:
    github = GitHubApi({FIRST: None})
    url = f"{github.url}/repos/{REPOSITORY}/statuses/{FIRST}"
    shown = {"Authorization": f"Bearer {github.token}"} | headers
    assert client("POST", url, headers=shown, json={"state": "success"}).status_code == 422

    with pytest.raises(AssertionError, match=reason):
        github.__exit__(None, None, None)


def test_a_documented_refusal_does_not_fail_the_test(
    client: ServiceClient, github: GitHubApi
) -> None:
    post(
        client,
        github,
        f"/statuses/{UNKNOWN}",
        state="pending",
        context="x",
        target_url=None,
        description="x" * 140,
    )
    post(client, github, "/deployments", ref=UNKNOWN, payload="text", production_environment=False)
    request_installation_token(client, github, app_jwt(github), number=1, repository_ids=[7])

    assert len(github.record) == 3
    assert github.violations == []


def test_every_operation_of_the_schema_has_a_response(github: GitHubApi) -> None:
    assert [one.name for one in OPERATIONS if not hasattr(github, f"_{one.name}")] == []


def test_it_listens_on_the_given_port() -> None:
    with GitHubApi({}) as first:
        port = first.port
    with GitHubApi({}, port=port) as again:
        assert (again.port, again.url) == (port, f"http://127.0.0.1:{port}")
