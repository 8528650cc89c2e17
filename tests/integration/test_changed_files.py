"""Which files an event changed, asked of GitHub's stand-in with a real git history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dev.runner import ActionStep, RunnerContext
from entrypoint.credentials import Secret
from entrypoint.deadline import Deadline
from entrypoint.errors import ActionError, Forbidden, TransientError
from entrypoint.github_api.changed_files import changed_files
from entrypoint.github_api.client import GitHubRepository
from entrypoint.http.client import HttpClient
from entrypoint.http.retry import Retrier
from entrypoint.models import Dag, Event
from entrypoint.report.console import Console
from entrypoint.run.changed_dags import match_files
from entrypoint.runners import github as runner
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault
from tests.support.peak_memory import MeasuredProcess
from tests.support.services import GitHubApi, GitRepository
from tests.support.services.github import MAX_FILES, REPOSITORY
from tests.support.services.history import ScriptedHistory, TreeEntry
from tests.support.step import admin_inputs
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from entrypoint.models import ChangedFiles

NULL = "0" * 40
SECONDS = 60.0
FIRST = {"dags/sales.py": "sales 1", "dags/team/stock.py": "stock 1", "README.md": "1"}


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """A repository with one commit on main."""
    repository = GitRepository(tmp_path / "repository")
    repository.commit(FIRST)
    return repository


def push(
    before: str, after: str, ref: str = "refs/heads/main", commit: str | None = None
) -> dict[str, Any]:
    """Return what is read of the payload of a push."""
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "head_commit": {"id": commit or after},
        "repository": {"default_branch": "main"},
    }


def pull_request(base: str, head: str) -> dict[str, Any]:
    return {
        "action": "synchronize",
        "before": NULL,
        "after": head,
        "pull_request": {"base": {"ref": "main", "sha": base}, "head": {"ref": "f", "sha": head}},
        "repository": {"default_branch": "main"},
    }


def find(
    api: GitHubApi,
    payload: Mapping[str, Any],
    *,
    name: str = "push",
    token: str | None = None,
    time: VirtualTime | None = None,
) -> ChangedFiles:
    """Return the changed files, with requests that are repeated for a minute."""
    time = time or VirtualTime()
    repository = GitHubRepository(api.url, REPOSITORY, Secret(token or api.token), HttpClient)
    retrier = Retrier(time.clock, time.sleep, Console(time.clock, runner))
    return changed_files(
        repository, Event(name, dict(payload)), retrier.within(Deadline.after(time.clock, SECONDS))
    )


def of(repository: GitRepository, payload: Mapping[str, Any], name: str = "push") -> ChangedFiles:
    with GitHubApi(repository) as api:
        return find(api, payload, name=name)


# Events.


def test_a_push_of_several_commits_changes_what_differs_at_its_end(
    repository: GitRepository,
) -> None:
    """A file that was changed back did not change."""
    before = repository.head
    repository.commit({"README.md": "2", "dags/new.py": "1"})
    after = repository.commit({"README.md": "1", "dags/sales.py": "sales 2"})
    found = of(repository, push(before, after))

    assert found.changed == ("dags/new.py", "dags/sales.py")
    assert found.deleted == ()
    assert found.namesakes == ("dags/new.py", "dags/sales.py")
    assert found.source == (
        f"{after[:12]} was compared with {before[:12]}, the commit before this push."
    )


def test_only_files_with_the_name_of_a_changed_one_and_archives_are_kept(
    repository: GitRepository,
) -> None:
    """A DAG in an archive of the repository does not come from a file of its name."""
    names = ["pack.zip", "other/sales.py", "other/stock.py"]
    before = repository.commit(dict.fromkeys(names, "1"))
    found = of(repository, push(before, repository.commit({"dags/sales.py": "2"})))

    assert found.namesakes == ("dags/sales.py", "other/sales.py", "pack.zip")
    packed = Dag(
        "packed",
        is_paused=False,
        is_active=True,
        has_import_errors=False,
        file="pack.zip/sales.py",
        fileloc="/opt/dags/pack.zip/sales.py",
    )
    assert match_files([packed], found).files == {}


def test_a_push_without_a_change_of_files_changes_nothing(repository: GitRepository) -> None:
    before, after = repository.head, repository.commit({})
    with GitHubApi(repository) as api:
        found = find(api, push(before, after))

        assert (found.changed, found.deleted, len(api.record)) == ((), (), 2)


def test_a_rename_is_a_deletion_and_an_addition(repository: GitRepository) -> None:
    before = repository.head
    after = repository.commit({"dags/sales.py": None, "dags/apac/sales.py": "sales 1"})
    found = of(repository, push(before, after))

    assert (found.changed, found.deleted) == (("dags/apac/sales.py",), ("dags/sales.py",))


def test_a_file_whose_mode_or_kind_changes_has_changed(repository: GitRepository) -> None:
    """A submodule counts as a file, because its own files are unknown."""
    before = repository.head
    (repository.folder / "dags" / "sales.py").chmod(0o755)
    (repository.folder / "vendor").mkdir()
    (repository.folder / "README.md").unlink()
    (repository.folder / "README.md").symlink_to("dags/sales.py")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{before},vendor")
    repository.git("commit", "--quiet", "--all", "--message", "Change modes")
    found = of(repository, push(before, repository.head))

    assert found.changed == ("README.md", "dags/sales.py", "vendor")


def test_a_folder_that_becomes_a_file_is_a_deletion_and_an_addition(
    repository: GitRepository,
) -> None:
    before = repository.head
    repository.git("rm", "-r", "--quiet", "dags/team")
    found = of(repository, push(before, repository.commit({"dags/team": "a file"})))

    assert (found.changed, found.deleted) == (("dags/team",), ("dags/team/stock.py",))


def test_a_force_push_is_compared_with_the_commit_that_it_replaces(
    repository: GitRepository,
) -> None:
    """The two have diverged; the files of the replaced commit alone are gone."""
    repository.commit({"dags/common.py": "1"})
    before = repository.commit({"dags/replaced.py": "1", "dags/sales.py": "sales 2"})
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    found = of(repository, push(before, repository.commit({"dags/new.py": "1"})))

    assert found.changed == ("dags/new.py", "dags/sales.py")
    assert found.deleted == ("dags/replaced.py",)


@pytest.mark.parametrize(
    ("ref", "kind"), [("refs/heads/feature/x", "branch"), ("refs/tags/v1", "tag")]
)
def test_a_new_branch_or_tag_is_compared_with_where_it_left_the_default_branch(
    repository: GitRepository, ref: str, kind: str
) -> None:
    """What the default branch got since is not its change."""
    left = repository.head
    repository.git("checkout", "--quiet", "-b", "feature/x")
    repository.commit({"dags/new.py": "1"})
    after = repository.commit({"dags/new.py": "2"})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"dags/sales.py": "sales 2"})
    found = of(repository, push(NULL, after, ref))

    assert found.changed == ("dags/new.py",)
    assert found.source == (
        f"{after[:12]} was compared with {left[:12]}, its merge base with main, because this push "
        f"created the {kind}."
    )


def test_the_default_branch_may_have_any_name(repository: GitRepository) -> None:
    repository.git("branch", "--move", "release/2.x")
    repository.git("checkout", "--quiet", "-b", "feature")
    after = repository.commit({"dags/new.py": "1"})
    payload = push(NULL, after, "refs/heads/feature")
    payload["repository"]["default_branch"] = "release/2.x"

    assert of(repository, payload).changed == ("dags/new.py",)


def test_of_an_annotated_tag_the_commit_counts(repository: GitRepository) -> None:
    repository.git("checkout", "--quiet", "-b", "release")
    commit = repository.commit({"dags/new.py": "1"})
    repository.git("tag", "--annotate", "v1", "--message", "v1")
    tag = repository.git("rev-parse", "v1")
    assert tag != commit

    assert of(repository, push(NULL, tag, "refs/tags/v1", commit)).changed == ("dags/new.py",)


def test_the_first_push_of_the_default_branch_changes_all_files(repository: GitRepository) -> None:
    found = of(repository, push(NULL, repository.head))

    assert found.changed == tuple(sorted(FIRST))
    assert found.source == f"All files of {repository.head[:12]} are new."


def test_all_files_of_a_branch_without_a_common_commit_are_new(repository: GitRepository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "site")
    repository.git("rm", "-r", "--quiet", "--cached", ".")
    after = repository.commit({"index.html": "1"})
    found = of(repository, push(NULL, after, "refs/heads/site"))

    assert "index.html" in found.changed
    assert found.source == "All files are new: main has no commit in common."


def test_without_the_commit_before_a_push_the_merge_base_counts(repository: GitRepository) -> None:
    """The text says so."""
    left = repository.head
    repository.git("checkout", "--quiet", "-b", "feature")
    before = repository.commit({"dags/replaced.py": "1"})
    repository.git("reset", "--quiet", "--hard", left)
    after = repository.commit({"dags/new.py": "1"})
    repository.lose(before)
    found = of(repository, push(before, after, "refs/heads/feature"))

    assert (found.changed, found.deleted) == (("dags/new.py",), ())
    assert found.source == (
        f"{after[:12]} was compared with {left[:12]}, its merge base with main, because GitHub no "
        f"longer has {before[:12]}, the commit before this push."
    )


def test_the_default_branch_without_the_commit_before_the_push_is_an_error(
    repository: GitRepository,
) -> None:
    """Its merge base with itself would mean that nothing changed."""
    before = repository.commit({"dags/replaced.py": "1"})
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    after = repository.commit({"dags/new.py": "1"})
    repository.lose(before)
    with pytest.raises(ActionError) as caught:
        of(repository, push(before, after))

    assert caught.value.title == "GitHub no longer has a commit of this event"
    assert before in caught.value.detail


def test_a_lost_new_commit_is_an_error_that_names_it(repository: GitRepository) -> None:
    before, after = repository.head, repository.commit({"dags/new.py": "1"})
    repository.lose(after)
    with pytest.raises(ActionError, match="no longer has a commit") as caught:
        of(repository, push(before, after))

    assert after in caught.value.detail


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target", "pull_request_review"])
def test_a_pull_request_is_compared_with_its_merge_base(
    repository: GitRepository, tmp_path: Path, event: str
) -> None:
    """It comes from a fork, and its base branch has moved on.

    GitHub serves the commits of a pull request from the base repository too.
    """
    left = repository.head
    fork = GitRepository(tmp_path / "fork")
    fork.git("pull", "--quiet", str(repository.folder), "main")
    head = fork.commit({"dags/new.py": "1", "dags/team/stock.py": None})
    base = repository.commit({"dags/sales.py": "sales 2"})
    repository.git("fetch", "--quiet", str(fork.folder), "HEAD:refs/pull/7/head")
    found = of(repository, pull_request(base, head), event)

    assert (found.changed, found.deleted) == (("dags/new.py",), ("dags/team/stock.py",))
    assert found.source == (
        f"{head[:12]} was compared with {left[:12]}, the merge base of this pull request and its "
        "base branch."
    )


def test_changes_that_a_pull_request_merged_from_its_base_branch_are_not_its_own(
    repository: GitRepository,
) -> None:
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit({"dags/new.py": "1"})
    repository.git("checkout", "--quiet", "main")
    base = repository.commit({"dags/sales.py": "sales 2"})
    repository.git("checkout", "--quiet", "feature")
    repository.git("merge", "--quiet", "main", "--message", "Merge main")

    assert of(repository, pull_request(base, repository.head)).changed == ("dags/new.py",)


def test_a_merge_group_is_compared_with_its_base(repository: GitRepository) -> None:
    base = repository.commit({"dags/sales.py": "sales 2"})
    head = repository.commit({"dags/new.py": "1"})
    payload = {
        "action": "checks_requested",
        "merge_group": {"base_ref": "refs/heads/main", "base_sha": base, "head_sha": head},
    }
    found = of(repository, payload, "merge_group")

    assert found.changed == ("dags/new.py",)
    assert found.source.endswith(f"with {base[:12]}, the commit before this merge group.")


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("schedule", {"schedule": "0 4 * * *", "repository": {"default_branch": "main"}}),
        ("workflow_dispatch", {"ref": "refs/heads/main", "inputs": None}),
        ("workflow_run", {"workflow_run": {"head_sha": "a" * 40, "pull_requests": []}}),
        ("push", {}),
        ("push", push("main", "v1")),
        ("push", push("a" * 40, NULL)),
        ("pull_request", {"pull_request": None}),
        ("pull_request", {"pull_request": {"head": {"sha": 7}, "base": {}}}),
        ("", {}),
    ],
)
def test_an_event_that_names_no_commits_is_an_error(
    repository: GitRepository, name: str, payload: dict[str, Any]
) -> None:
    """Nothing is sent. A payload that is not as documented names none either."""
    with GitHubApi(repository) as api, pytest.raises(ActionError) as caught:
        find(api, payload, name=name)

    assert caught.value.title == "The workflow's event changes no files"
    assert (name or "an unknown event") in caught.value.detail
    assert "push, pull_request or merge_group" in caught.value.hint
    assert len(api.record) == 0


def test_outside_github_no_file_is_known_to_have_changed() -> None:
    time = VirtualTime()
    with pytest.raises(ActionError, match="Only a GitHub workflow"):
        changed_files(
            None, Event("", {}), Retrier(time.clock, time.sleep, Console(time.clock, runner))
        )


def test_the_event_is_read_from_the_files_of_the_runner(
    repository: GitRepository, tmp_path: Path
) -> None:
    before, after = repository.head, repository.commit({"dags/new.py": "1"})
    path = tmp_path / "event.json"
    path.write_text(json.dumps(push(before, after)))
    names = ("SHA", "REPOSITORY", "RUN_ID", "JOB", "ACTION", "ACTOR")
    environment = dict.fromkeys((f"GITHUB_{name}" for name in names), "1")
    context = runner.read_context(
        environment | {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(path)}
    )
    event = runner.read_event(context)

    assert event.name == "push"
    assert of(repository, event.payload, event.name).changed == ("dags/new.py",)


# Size.


def test_more_files_are_found_than_a_comparison_lists(repository: GitRepository) -> None:
    before = repository.head
    names = [f"dags/generated/dag_{number:04}.py" for number in range(MAX_FILES * 3)]
    after = repository.commit(dict.fromkeys(names, "1"))
    with GitHubApi(repository) as api:
        assert find(api, push(before, after)).changed == tuple(names)

        assert len(api.record) == 4


def wide(repository: GitRepository) -> tuple[str, str]:
    """Return the ends of a push to a repository with 90 files in folders, of which two change."""
    before = repository.commit(
        {
            f"area_{area}/part_{part}/{name}.py": "1"
            for area in range(9)
            for part in range(5)
            for name in "ab"
        }
    )
    after = repository.commit(
        {
            "area_3/part_2/a.py": "2",
            "area_3/part_4/b.py": None,
            "area_new/part/c.py": "1",
            "top.py": "1",
        }
    )
    return before, after


@pytest.mark.parametrize("limit", [100, 60, 20])
def test_of_a_truncated_tree_only_folders_that_differ_are_listed(
    repository: GitRepository, limit: int
) -> None:
    """The result is that of a tree that GitHub lists at once, but not all files are known."""
    before, after = wide(repository)
    whole = of(repository, push(before, after))
    with GitHubApi(repository, max_tree_entries=limit) as api:
        found = find(api, push(before, after))

    assert found == whole._replace(namesakes=None)
    assert found.changed == ("area_3/part_2/a.py", "area_new/part/c.py", "top.py")
    assert found.deleted == ("area_3/part_4/b.py",)
    assert len(api.record) <= 9


def test_a_large_folder_that_was_deleted_is_listed_level_by_level(
    repository: GitRepository,
) -> None:
    before, _ = wide(repository)
    repository.git("reset", "--quiet", "--hard", before)
    repository.git("rm", "-r", "--quiet", "area_5")
    repository.commit({})
    with GitHubApi(repository, max_tree_entries=12) as api:
        found = find(api, push(before, repository.head))

    assert found.changed == ()
    assert len(found.deleted) == 10
    assert {path.split("/")[0] for path in found.deleted} == {"area_5"}


def test_a_folder_with_more_files_than_github_lists_is_an_error(
    repository: GitRepository,
) -> None:
    """A file that is missing in the list may be the changed one."""
    before = repository.commit({f"dags/{number}.py": "1" for number in range(30)})
    after = repository.commit({"dags/7.py": "2"})
    with (
        GitHubApi(repository, max_tree_entries=20) as api,
        pytest.raises(ActionError, match="does not tell which files changed") as caught,
    ):
        find(api, push(before, after))

    assert "The folder dags/ has more files" in caught.value.detail


@pytest.mark.parametrize("fault", [Fault.TRUNCATED_JSON, Fault.HTML_200, Fault.EMPTY_JSON])
def test_an_unreadable_list_of_all_files_counts_as_truncated(
    repository: GitRepository, fault: Fault
) -> None:
    before = repository.head
    after = repository.commit({"dags/sales.py": "sales 2"})
    with GitHubApi(repository) as api:
        api.fault(fault, on=("GET", "/git/trees/*"))
        found = find(api, push(before, after))

    assert (found.changed, found.namesakes) == (("dags/sales.py",), None)


class WideHistory(ScriptedHistory):
    """A repository with 28,000 files, one of which the second commit changes.

    GitHub lists at most 7 MB, which is about so many.
    """

    def entries(self, tree: str, *, recursive: bool) -> list[TreeEntry]:
        assert recursive
        changed = tree == self.tree(HEAD)
        files = [
            f"services/area_{n % 40}/part_{n // 400}/src/file_{n:06}.py" for n in range(28_000)
        ]
        entries = [
            TreeEntry("100644", "blob", f"{n:040x}", 1, path) for n, path in enumerate(files)
        ]
        return [*entries, TreeEntry("100644", "blob", f"{changed:040x}", 1, "dags/sales.py")]


BASE, HEAD = "a" * 40, "b" * 40


def test_the_changed_dags_of_a_large_repository_take_less_than_48_mebibytes(
    tmp_path: Path,
) -> None:
    commits = {BASE: None, HEAD: BASE}
    launcher = MeasuredProcess(tmp_path / "peak")
    sales = FakeDag("sales", file="sales.py")
    with FakeAirflow(dags=[sales]) as fake, GitHubApi(commits) as api:
        api._commits = WideHistory(commits)
        inputs = admin_inputs(fake) | {"dag_id": "", "dags": "changed", "github_token": api.token}
        context = RunnerContext(
            api_url=api.url, event=push(BASE, HEAD), sha=HEAD, repository=REPOSITORY
        )
        result = ActionStep(inputs, launcher=launcher, workspace=tmp_path, context=context).run()
        assert len(api.record) == 4
    assert [run["dag_id"] for run in json.loads(result.outputs["runs"])] == ["sales"]
    print(f"28,000 files: peak {launcher.mebibytes:.1f} MiB")
    assert launcher.mebibytes < 48


# Failures.


@pytest.mark.parametrize("payload_of", [push, pull_request])
def test_a_token_without_the_permission_is_an_error_that_names_it(
    repository: GitRepository, payload_of: Callable[[str, str], dict[str, Any]]
) -> None:
    before, after = repository.head, repository.commit({"dags/new.py": "1"})
    with (
        GitHubApi(repository, may_read=False) as api,
        pytest.raises(Forbidden, match="may not read the changed files") as caught,
    ):
        find(api, payload_of(before, after))

    assert "`contents: read`" in caught.value.hint
    assert len(api.record) == 1


def test_a_wrong_token_is_an_error_that_names_the_permission(repository: GitRepository) -> None:
    with GitHubApi(repository) as api, pytest.raises(Forbidden, match="Bad credentials"):
        find(api, push(NULL, repository.head), token="not-the-token-of-this-job")


@pytest.mark.parametrize("secondary", [True, False])
def test_a_rate_limit_is_waited_for(repository: GitRepository, secondary: bool) -> None:
    before, after = repository.head, repository.commit({"dags/new.py": "1"})
    time = VirtualTime()
    with GitHubApi(repository) as api:
        api.limit(2, secondary=secondary)

        assert find(api, push(before, after), time=time).changed == ("dags/new.py",)
    assert len(time.slept) == 2


def test_each_request_is_repeated_after_a_fault(repository: GitRepository) -> None:
    before, after = repository.head, repository.commit({"dags/new.py": "1"})
    with GitHubApi(repository) as api:
        for path in ("/commits/*", "/git/trees/*"):
            api.fault(Fault.HTML_502, on=("GET", path))

        assert find(api, push(before, after)).changed == ("dags/new.py",)


def test_a_lasting_outage_is_an_error_at_the_deadline(repository: GitRepository) -> None:
    time = VirtualTime()
    with GitHubApi(repository) as api:
        api.limit(1000)
        with pytest.raises(TransientError, match="rate limit"):
            find(api, push(NULL, repository.head), time=time)

    assert sum(time.slept) == pytest.approx(SECONDS)


def test_no_folder_is_listed_after_the_deadline(repository: GitRepository) -> None:
    """Otherwise the folders of a large repository would take any time."""
    before, after = wide(repository)
    time = VirtualTime()
    with GitHubApi(repository, max_tree_entries=20) as api:
        retrier = Retrier(time.clock, time.sleep, Console(time.clock, runner))
        deadline = Deadline(lambda: time.now + 10.0 * len(api.record), time.now + 45.0)
        client = GitHubRepository(api.url, REPOSITORY, Secret(api.token), HttpClient)
        with pytest.raises(TransientError, match="too slowly"):
            changed_files(client, Event("push", push(before, after)), retrier.within(deadline))

        assert len(api.record) == 5


# From the event to the DAGs.


def test_the_changed_dags_of_a_pull_request_with_a_dag_folder_below_a_prefix(
    tmp_path: Path,
) -> None:
    """A file with two DAGs, a helper module, a deleted DAG, and a file of the same name."""
    repository = GitRepository(tmp_path / "monorepo")
    base = repository.commit(
        {
            "airflow/dags/team/sales.py": "1",
            "airflow/dags/other/sales.py": "1",
            "airflow/dags/old.py": "1",
            "airflow/dags/helpers.py": "1",
        }
    )
    head = repository.commit(
        {
            "airflow/dags/team/sales.py": "2",
            "airflow/dags/old.py": None,
            "airflow/dags/helpers.py": "2",
        }
    )
    relative = {"sales_eu": "team/sales.py", "sales_us": "team/sales.py", "other": "other/sales.py"}
    three = [
        Dag(dag_id, False, True, False, file=file, fileloc=f"/opt/airflow/dags/{file}")
        for dag_id, file in {**relative, "old": "old.py"}.items()
    ]
    two = [dag._replace(file=dag.fileloc) for dag in three]
    for dags in (two, three):
        found = match_files(dags, of(repository, pull_request(base, head)))

        files = ("airflow/dags/team/sales.py",)
        assert found.files == {"sales_eu": files, "sales_us": files}
        assert found.other_files == ("airflow/dags/helpers.py",)
