"""Which DAGs the lines of the input `dags` mean: by name, by tag, and by what changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from entrypoint.report.several import annotate_several, step_message
from entrypoint.runners import github as commands
from tests.integration.test_changed_files import push
from tests.support.fake_airflow import FakeAirflow, FakeDag, Version
from tests.support.runner_log import runner_log
from tests.support.services import GitHubApi, GitRepository
from tests.support.services.github import REPOSITORY
from tests.support.step import CONTEXT, run_dags
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from entrypoint.models import StepOutcome

SALES, STOCK, NIGHTLY, OFF = (
    FakeDag("sales", file="team/sales.py", tags=("smoke",)),
    FakeDag("stock", file="team/stock.py", tags=("smoke", "daily")),
    FakeDag("nightly", file="team/stock.py"),
    FakeDag("off", file="team/off.py", tags=("smoke", "unused"), paused=True),
)


@pytest.fixture(params=["3.3.2", "2.11.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[SALES, STOCK, NIGHTLY, OFF]) as running:
        yield running


def selected(step: StepOutcome) -> list[str]:
    return [run.request.dag_id for run in step.runs if run.request]


def after_push(
    fake: FakeAirflow,
    repository: GitRepository,
    tmp_path: Path,
    changes: dict[str, str],
    time: VirtualTime | None = None,
    **inputs: str,
) -> StepOutcome:
    """Run a step for the DAGs that a push with these changes changed."""
    before = repository.head
    event = tmp_path / "event.json"
    event.write_text(json.dumps(push(before, repository.commit(changes))))
    with GitHubApi(repository) as api:
        context = CONTEXT._replace(api_url=api.url, event=event, event_name="push")
        inputs["github_token"] = api.token
        return run_dags(fake, "changed", time=time, context=context, **inputs)


def test_a_tag_stands_for_its_active_dags_that_are_not_paused(fake: FakeAirflow) -> None:
    step = run_dags(fake, "tag:smoke", "stock")
    assert (selected(step), step.result) == (["sales", "stock"], "success")


def test_the_conf_of_a_line_wins_over_a_tag(fake: FakeAirflow) -> None:
    run_dags(fake, 'stock {"day": 1}', "tag:smoke", conf='{"day": 2}')
    assert [fake.runs(dag)[0].conf for dag in ("stock", "sales")] == [{"day": 1}, {"day": 2}]


@pytest.mark.parametrize("tag", ["unused", "unknown"])
def test_a_tag_without_a_dag_is_an_error(fake: FakeAirflow, tag: str) -> None:
    step = run_dags(fake, "sales", f"tag:{tag}")
    assert step.error is not None
    assert (step.result, step.error.title) == ("error", "No DAG has this tag")
    assert fake.runs("sales") == []


def test_the_first_dag_with_a_tag_is_waited_for(fake: FakeAirflow) -> None:
    time = after(40, lambda: fake.deploy(FakeDag("new", tags=("brand-new",))))
    step = run_dags(fake, "tag:brand-new", wait_for_dag="5m", wait="false", time=time)
    assert (selected(step), step.result) == (["new"], "triggered")
    assert step_message(step).title == "All DAGs were triggered"


LOST = FakeDag("lost", tags=("smoke",), broken="Traceback\nKeyError: 'x'")


@pytest.mark.parametrize("denied", [False, True])
def test_a_dag_with_the_tag_whose_file_does_not_import_is_an_error(
    fake: FakeAirflow, denied: bool
) -> None:
    """Airflow has deactivated it. Without its import errors, the DAG itself says so."""
    fake.deploy(LOST)
    if denied:
        fake.deny("import_errors")
    step = run_dags(fake, "tag:smoke", "tag:daily")
    assert step.error is not None
    assert "\nlost: " in step.error.detail
    assert ("KeyError: 'x'" in step.error.detail) is not denied
    assert [fake.runs(dag) for dag in ("sales", "stock")] == [[], []]


@pytest.mark.parametrize(
    "other",
    [
        replace(LOST, deleted=True),
        replace(LOST, broken="", stale=True),
        replace(LOST, paused=True),
        replace(LOST, tags=("daily",)),
    ],
)
def test_a_tag_does_not_stand_for_deleted_or_paused_dags(fake: FakeAirflow, other: FakeDag) -> None:
    fake.deploy(other)
    step = run_dags(fake, "tag:smoke")
    assert (selected(step), step.result) == (["sales", "stock"], "success")


def test_the_fix_of_a_dag_with_the_tag_is_waited_for(fake: FakeAirflow) -> None:
    fake.deploy(LOST)
    time = after(40, lambda: fake.deploy(replace(LOST, broken="")))

    def parse(_: float, fixed: Callable[[float], object] = time.on_sleep) -> None:
        fixed(0)
        for dag in ("sales", "stock"):
            fake.parse(dag)

    time.on_sleep = parse
    step = run_dags(fake, "tag:smoke", wait_for_dag="5m", time=time)
    assert (sorted(selected(step)), step.result) == (["lost", "sales", "stock"], "success")


def test_a_changed_file_of_which_only_one_dag_is_wrong_is_an_error(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path
) -> None:
    """Airflow 2 still has the other one."""
    fake.deploy(FakeDag("wrong", file="team/sales.py", broken="Traceback\nKeyError: 'x'"))
    step = after_push(fake, repository, tmp_path, {"dags/team/sales.py": "2"})
    assert step.error is not None
    assert step.error.title == "The DAG's file fails to import"
    assert fake.runs("sales") == []


def test_changed_stands_for_every_dag_of_a_changed_file(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path
) -> None:
    changes = {"dags/team/stock.py": "2", "helper.py": "2"}
    step = after_push(fake, repository, tmp_path, changes)
    assert sorted(selected(step)) == ["nightly", "stock"]
    assert (step.result, step.unmatched) == ("success", ("helper.py",))


def test_no_changed_dag_is_a_success_that_names_the_files(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path
) -> None:
    step = after_push(fake, repository, tmp_path, {"helper.py": "2"})
    assert (step.result, step.passes, step.runs) == ("success", True, ())
    assert step.unmatched == ("helper.py",)


@pytest.mark.parametrize("also", [{}, {"dags/team/sales.py": "2"}])
def test_a_new_dag_file_is_waited_for(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path, also: dict[str, str]
) -> None:
    """Also if another DAG is selected already."""
    time = after(40, lambda: fake.deploy(FakeDag("fresh", file="team/fresh.py")))
    changes = {"dags/team/fresh.py": "1"} | also
    step = after_push(fake, repository, tmp_path, changes, time, wait_for_dag="5m")
    assert set(selected(step)) >= {"fresh"}
    assert (step.result, step.new_files) == ("success", ())
    assert time.now >= 1040


def test_a_new_file_without_a_dag_is_a_warning_after_the_wait(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path
) -> None:
    """It may be a helper, or a DAG that never arrived."""
    time = VirtualTime()
    step = after_push(
        fake, repository, tmp_path, {"dags/team/new.py": "1"}, time, wait_for_dag="5m"
    )
    assert (step.result, step.new_files) == ("success", ("dags/team/new.py",))
    (note,) = runner_log(lambda: annotate_several(step, commands)).annotations
    assert (note.level, note.title) == ("warning", "No DAG was changed")
    assert "dags/team/new.py" in note.message
    assert time.now == 1300


def test_a_file_that_cannot_define_a_dag_is_not_waited_for(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path
) -> None:
    time = VirtualTime()
    changes = {"README.md": "1", "helper.py": "2"}
    step = after_push(fake, repository, tmp_path, changes, time, wait_for_dag="5m")
    assert (step.result, time.now) == ("success", 1000)


@pytest.mark.parametrize("wait_for_dag", ["0", "2m"])
def test_a_changed_file_that_does_not_import_is_an_error(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path, wait_for_dag: str
) -> None:
    broken = FakeDag(
        "broken", file="team/broken.py", broken="Traceback\nKeyError: 'x'", parsed_after=1000
    )
    fake.deploy(broken)
    changes = {"dags/team/broken.py": "1", "dags/team/sales.py": "2"}
    step = after_push(fake, repository, tmp_path, changes, wait_for_dag=wait_for_dag)
    assert step.error is not None
    assert (step.result, step.error.title) == ("error", "The DAG's file fails to import")
    assert "KeyError: 'x'" in step.error.detail
    assert fake.runs("sales") == []


RENAMED = FakeDag("inventory", file="team/stock.py")


def parsing(fake: FakeAirflow, file: str = "team/stock.py") -> VirtualTime:
    """Return a clock with which Airflow parses this file at each sleep."""
    time = VirtualTime()
    time.on_sleep = lambda _: fake.parse_file(file)
    return time


@pytest.mark.parametrize(
    "dags",
    [
        (STOCK,),
        (STOCK, NIGHTLY),
        (RENAMED,),
        (STOCK, RENAMED),
        (STOCK, NIGHTLY, RENAMED),
    ],
)
def test_changed_stands_for_the_dags_of_the_new_code(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path, dags: tuple[FakeDag, ...]
) -> None:
    """Until Airflow has parsed the file, it has the old ones; a removed DAG stays active."""
    fake.redefine("team/stock.py", *dags)
    time = parsing(fake)
    changes = {"dags/team/stock.py": "2"}
    step = after_push(fake, repository, tmp_path, changes, time, wait_for_dag="10m")
    assert (set(selected(step)), step.result) == ({dag.dag_id for dag in dags}, "success")
    counts = {name: len(fake.runs(name)) for name in ("stock", "nightly", "inventory")}
    assert counts == {name: name in selected(step) for name in counts}
    assert time.now < 1000 + 120


def test_a_dry_run_checks_the_dags_of_the_new_code_and_waits_for_all_at_once(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path
) -> None:
    """It asks Airflow for no parsing, so it sees one each 30 s."""
    others = [FakeDag(f"stock_{number}", file="team/stock.py") for number in range(4)]
    fake.redefine("team/stock.py", STOCK, RENAMED, *others)
    time, parsed = VirtualTime(), [1000.0]

    def parse(_: float) -> None:
        if time.now - parsed[-1] >= 30:
            parsed.append(time.now)
            fake.parse_file("team/stock.py")

    time.on_sleep = parse
    inputs = {"wait_for_dag": "4m", "dry_run": "true"}
    changes = {"dags/team/stock.py": "2"}
    step = after_push(fake, repository, tmp_path, changes, time, **inputs)
    assert set(selected(step)) == {"stock", "inventory", *(dag.dag_id for dag in others)}
    assert (step.result, fake.runs("stock")) == ("checked", [])
    assert all(request.method != "PUT" for request in fake.record)


@pytest.mark.parametrize("case", ["another file is parsed", "a line names it", "it is broken"])
def test_a_dag_whose_new_code_does_not_come_is_an_error(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path, case: str
) -> None:
    fake.redefine("team/stock.py", STOCK)
    fake.deny("parsing")
    time = parsing(fake, "team/sales.py" if case == "another file is parsed" else "team/stock.py")
    if case == "it is broken":
        fake.deny("import_errors")
        wrong = replace(NIGHTLY, broken="Traceback\nKeyError: 'x'", stale=False)
        deploy, parse = after(1, lambda: fake.deploy(wrong)), time.on_sleep

        def deploy_and_parse(seconds: float) -> None:
            deploy.sleep(seconds)
            parse(seconds)

        time.on_sleep = deploy_and_parse
    inputs = {"dags": "changed\nnightly"} if case == "a line names it" else {}
    changes = {"dags/team/stock.py": "2"}
    step = after_push(fake, repository, tmp_path, changes, time, wait_for_dag="5m", **inputs)
    assert step.error is not None
    assert "\nnightly: " in step.error.detail
    assert fake.runs("stock") == fake.runs("nightly") == []


def test_a_new_dag_of_the_new_code_runs_if_lines_name_all_others_of_its_file(
    fake: FakeAirflow, repository: GitRepository, tmp_path: Path
) -> None:
    fake.redefine("team/stock.py", STOCK, NIGHTLY, RENAMED)
    changes, time = {"dags/team/stock.py": "2"}, parsing(fake)
    inputs = {"wait_for_dag": "10m", "dags": "stock\nchanged\nnightly"}
    step = after_push(fake, repository, tmp_path, changes, time, **inputs)
    assert (selected(step), step.result) == (["stock", "nightly", "inventory"], "success")


def test_with_expect_commit_a_removed_dag_is_not_selected_either(
    repository: GitRepository, tmp_path: Path
) -> None:
    before = repository.head
    commit = repository.commit({"dags/team/stock.py": "2"})
    dags = [
        replace(STOCK, bundle_version=(before, before, commit)),
        replace(NIGHTLY, bundle_version=before),
    ]
    with FakeAirflow(dags=dags) as fake, GitHubApi(repository) as api:
        fake.redefine("team/stock.py", STOCK)
        event = tmp_path / "event.json"
        event.write_text(json.dumps(push(before, commit)))
        context = CONTEXT._replace(
            api_url=api.url, event=event, event_name="push", sha=commit, repository=REPOSITORY
        )
        time = parsing(fake)
        step = run_dags(
            fake,
            "changed",
            time=time,
            context=context,
            github_token=api.token,
            expect_commit=commit,
            wait_for_dag="10m",
        )
    assert (selected(step), step.result) == (["stock"], "success")


def test_changed_needs_an_event_that_changes_files(fake: FakeAirflow) -> None:
    step = run_dags(fake, "changed", context=CONTEXT._replace(event_name="schedule"))
    assert step.error is not None
    assert step.error.title == "The workflow's event changes no files"


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"])
def test_an_import_error_of_another_file_with_the_name_of_a_changed_one_is_no_error(
    version: Version, repository: GitRepository, tmp_path: Path
) -> None:
    """The changed file has a DAG, so it imports."""
    other = "sales.py" if version == "3.3.2" else "others/sales.py"
    broken = FakeDag("theirs", file=other, broken="Traceback\nKeyError: 'x'")
    with FakeAirflow(version, dags=[SALES, broken]) as fake:
        changes = {"dags/team/sales.py": "2", "README.md": "2"}
        step = after_push(fake, repository, tmp_path, changes)
    assert (selected(step), step.result) == (["sales"], "success")
