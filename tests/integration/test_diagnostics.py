"""Diagnostics name causes, never change the result, and neutralise Airflow's text."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import pytest
from markdown_it import MarkdownIt

from dev.airflow_settings import password_of
from dev.runner import ActionStep
from entrypoint.report.summary import summary
from tests.support.fake_airflow import (
    FakeAirflow,
    FakeDag,
    FakeError,
    FakeQuestion,
    FakeTask,
    Fault,
    Version,
)
from tests.support.peak_memory import MeasuredProcess
from tests.support.step import CONTEXT, run_against
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.runner import StepResult

Denied = Literal["task_instances", "logs", "xcom", "run_list"]
VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")
LIMIT = 1_048_576
LOAD_ERROR = FakeError(
    "RuntimeError", "the sales cannot be loaded", cause=FakeError("ValueError", "no amount")
)
OPTIONAL_REQUESTS = {
    "the usual duration": ("GET", "/dagRuns"),
    "task instances": ("GET", "/taskInstances"),
    "a log": ("GET", "/logs/*"),
    "details": ("GET", "/details"),
}


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    chosen: Version = request.param
    return chosen


def failing(*tasks: FakeTask) -> FakeDag:
    return FakeDag(
        "sales",
        tasks=(
            FakeTask("extract"),
            *(tasks or (FakeTask("load", ends="failed", error=LOAD_ERROR),)),
        ),
        ends="failed",
    )


@pytest.mark.parametrize("what", OPTIONAL_REQUESTS)
@pytest.mark.parametrize("ends", ["success", "failed"])
def test_no_fault_of_an_optional_request_changes_the_result(
    version: Version, ends: str, what: str
) -> None:
    load = FakeTask("load", ends=ends, error=LOAD_ERROR)
    cases: tuple[tuple[Literal["before", "after"], int], ...] = (("before", 1000), ("after", 1))
    for fault, (when, times) in product(Fault, cases):
        with FakeAirflow(version, dags=[FakeDag("sales", tasks=(load,), ends=ends)]) as fake:
            fake.fault(fault, on=OPTIONAL_REQUESTS[what], when=when, times=times)
            outcome = run_against(fake, timeout="600", logs="all")
            assert outcome.result == ends, f"{fault.name} {when} x{times}"
            assert len(fake.runs("sales")) == 1


@pytest.mark.parametrize(
    ("feature", "permission"),
    [
        ("task_instances", "can read on Task Instances"),
        ("logs", "can read on Task Logs"),
        ("xcom", "can read on XComs"),
        ("run_list", "can read on DAG Runs"),
    ],
)
@pytest.mark.parametrize("ends", ["success", "failed"])
def test_a_missing_permission_disables_only_its_feature(
    version: Version,
    ends: str,
    feature: Denied,
    permission: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The log and the summary name the permission once each."""
    load = FakeTask("load", ends=ends, error=LOAD_ERROR, xcom={"return_value": 1})
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=(load,), ends=ends)]) as fake:
        fake.deny(feature)
        outcome = run_against(fake, xcom="load", logs="all")
    assert outcome.result == ends
    sentences = [sentence for sentence in outcome.disabled_features if permission in sentence]
    assert len(sentences) == 1
    assert capsys.readouterr().out.count(permission) == 1
    assert permission in summary(outcome, CONTEXT)
    if ends == "failed" and feature == "run_list":
        assert "the sales cannot be loaded" in outcome.failures[0].cause


def blocked_runs(version: Version) -> dict[str, tuple[FakeDag, str]]:
    """Return DAG runs that never move, each with the start of the notice that names why."""
    always_scheduled = {1: "scheduled"}
    runs = {
        "pool": (
            FakeDag(
                "sales",
                tasks=(FakeTask("load", states=always_scheduled, pool="tiny"),),
                polls=10**6,
            ),
            "The pool tiny is full",
        ),
        "max_active_runs": (
            FakeDag("sales", max_active_runs=1, polls=10**6),
            "Other runs of the DAG come first",
        ),
        "scheduler": (
            FakeDag("sales", polls=10**6, tasks=(FakeTask("load", states=always_scheduled),)),
            "Airflow's scheduler is not",
        ),
        "paused": (
            FakeDag("sales", polls=10**6, tasks=(FakeTask("load", states=always_scheduled),)),
            "The DAG is paused",
        ),
    }
    if version == "3.3.2":
        question = FakeTask(
            "approve", states={1: "awaiting_input"}, question=FakeQuestion("Publish?")
        )
        runs["human"] = (
            FakeDag("sales", polls=10**6, tasks=(question,)),
            "The task approve waits for a human",
        )
    return runs


@pytest.mark.parametrize("cause", ["pool", "max_active_runs", "scheduler", "paused", "human"])
def test_a_blocked_run_is_explained_once_in_the_log_and_at_the_top_of_the_summary(
    version: Version, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if cause not in blocked_runs(version):
        return
    dag, notice = blocked_runs(version)[cause]
    other = FakeDag(
        "other", tasks=(FakeTask("hog", pool="tiny", states={0: "running"}),), polls=10**6
    )
    with FakeAirflow(version, dags=[dag, other], pools={"tiny": 1}) as fake:
        if cause == "max_active_runs":
            fake.create_run("sales", "the-other-one", state="running")
        if cause == "pool":
            fake.create_run("other", "the-hog", state="running")
            fake.set_task_state("other", "the-hog", "hog", "running")
        if cause == "scheduler":
            fake.health("scheduler", "unhealthy")
        time = VirtualTime()
        if cause == "paused":
            time.on_sleep = lambda _: fake.pause("sales")
        outcome = run_against(fake, time=time, timeout="5m")
    assert outcome.result == "timeout"
    assert outcome.blockers[0].title.startswith(notice), outcome.blockers
    log = capsys.readouterr().out
    assert log.count(f"::notice title=Waiting%3A {notice.replace(':', '%3A')}") == 1, log
    first_screen = summary(outcome, CONTEXT).splitlines()[:8]
    assert any(notice.replace("_", r"\_") in line for line in first_screen), first_screen
    if cause in ("max_active_runs", "pool"):
        assert (
            "the-other-one" in outcome.blockers[0].detail or "the-hog" in outcome.blockers[0].detail
        )


def test_progress_is_a_percentage_of_the_median_duration(
    version: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each change is one line, and mapped tasks are counted."""
    tasks = (
        FakeTask("extract", states={2: "running", 4: "success"}),
        FakeTask(
            "transform",
            states={4: "running", 6: "up_for_retry", 12: "running", 14: "success"},
            retries=1,
        ),
        *(
            FakeTask("load", map_index=index, states={14: "running", 18: "success"})
            for index in range(50)
        ),
    )
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, polls=20)]) as fake:
        for name, seconds in (("a", 60.0), ("b", 100.0), ("c", 900.0)):
            fake.create_run("sales", name, state="success", took=seconds)
        assert run_against(fake, poll_interval="5").result == "success"
    log = capsys.readouterr().out
    assert "took 1 m 40 s (median)" in log
    assert "% of the usual 1 m 40 s" in log
    assert "transform failed and will be retried" in log
    assert "load: 50 mapped, 50 success · 52 of 52 tasks" in log
    assert "load[7]" not in log


HOSTILE = (
    "::error::x",
    "##[error]x",
    "::set-output name=a::b",
    "::add-mask::e",
    "::stop-commands::x",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "</details><script>alert(1)</script>",
    "| a | b |",
    "|---|---|",
    "````` ``` ` ```",
    "<!-- @everyone ![x](https://example.com/x.png)",
    "carriage\r::error::return",
)


def hostile_lines(_: int) -> Iterator[str]:
    yield from HOSTILE
    yield from (f"Line {number} of a very long log" for number in range(200_000))
    yield from HOSTILE


def test_a_hostile_log_of_200_000_lines_neither_acts_nor_fills_the_memory(
    version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile_task = FakeTask(
        "shout",
        ends="failed",
        log=hostile_lines,
        error=FakeError("RuntimeError", "\n".join(HOSTILE)),
    )
    with FakeAirflow(
        version, dags=[FakeDag("sales", tasks=(hostile_task,), ends="failed")]
    ) as fake:
        result, peak = run_measured(fake, tmp_path, poll_interval="1")
    with capsys.disabled():
        sys.stdout.write(f"\n{version}: a log of 200,000 lines: peak {peak:.1f} MiB\n")
    assert (result.exit_code, result.outputs["result"]) == (1, "failed")
    assert result.unexpected_commands == ()
    assert {note.title for note in result.annotations} == {
        "The connection to Airflow is not encrypted",
        "DAG run failed",
    }
    assert set(result.outputs) >= {"run_id", "failed_tasks"}
    assert "a" not in result.outputs
    assert "\x1b" not in result.log
    assert_valid_markdown(result.summary)
    assert peak < 80


def test_five_thousand_task_instances_are_reported_with_bounded_requests_and_memory(
    version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 5_000
    failed = set(range(7, count, 100))
    tasks = tuple(
        FakeTask(
            "load",
            map_index=index,
            ends="failed" if index in failed else "success",
            log=("a line",) * 500,
            error=LOAD_ERROR,
        )
        for index in range(count)
    )
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, polls=4, ends="failed")]) as fake:
        result, peak = run_measured(fake, tmp_path, poll_interval="1")
        requests = Counter(
            request.path.rpartition("/")[2].partition("?")[0] for request in fake.record
        )
    size = len(result.summary.encode())
    figures = (
        f"{sum(requests.values())} requests, peak {peak:.1f} MiB, summary {size} bytes, "
        f"{dict(requests.most_common(4))}"
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{version}: {count} task instances: {figures}\n")
    assert result.exit_code == 1
    assert set(json.loads(result.outputs["failed_tasks"])) == {f"load[{index}]" for index in failed}
    assert all(f"{index}" in result.summary for index in failed)
    assert f"Failed: {len(failed)} of {count}" in result.summary
    assert size < LIMIT
    assert_valid_markdown(result.summary)
    assert f"Tasks: {count - len(failed)} of {count} succeeded" in result.summary
    assert f"{count - len(failed)} of {count} tasks succeeded" in result.log
    assert sum(requests.values()) < 60
    assert peak < 60


@pytest.mark.parametrize("ends", ["success", "failed"])
def test_a_requested_xcom_of_a_wide_run_is_found_although_the_report_omits_tasks(
    version: Version, ends: str
) -> None:
    tasks = [
        FakeTask("load", map_index=index, ends="success" if index else ends) for index in range(600)
    ]
    tasks += [FakeTask("sum", map_index=index, xcom={"return_value": index}) for index in range(2)]
    tasks += [FakeTask("report", xcom={"return_value": "done"})]
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tuple(tasks), ends=ends)]) as fake:
        outcome = run_against(fake, xcom="sum\nreport")

    assert outcome.result == ends
    assert outcome.xcom == {"sum": [0, 1], "report": "done"}
    assert outcome.unread == outcome.unread_succeeded > 0
    assert len(outcome.failed_tasks) == (ends == "failed")


@pytest.mark.parametrize(("last_fails", "result"), [(True, "failed"), (False, "success")])
def test_the_last_failed_task_of_a_wide_run_counts_for_fail_on_failed_tasks(
    version: Version, last_fails: bool, result: str
) -> None:
    ends = ["success"] * 1500 + ["failed" if last_fails else "success"]
    tasks = tuple(FakeTask("load", map_index=index, ends=end) for index, end in enumerate(ends))
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, ends="success")]) as fake:
        assert run_against(fake, fail_on_failed_tasks="true").result == result
        assert run_against(fake, run_id="again").result == "success"


def test_a_wide_run_that_times_out_names_its_blocked_task(version: Version) -> None:
    tasks = [FakeTask("load", map_index=index, states={1: "success"}) for index in range(1000)]
    tasks += [FakeTask("late", states={1: "scheduled"}, pool="tiny")]
    with FakeAirflow(
        version, dags=[FakeDag("sales", tasks=tuple(tasks), polls=10**6)], pools={"tiny": 0}
    ) as fake:
        outcome = run_against(fake, timeout="300")

    assert outcome.result == "timeout"
    assert [blocker.title for blocker in outcome.blockers] == ["The pool tiny has no slots"]
    assert "late" in outcome.blockers[0].detail


def assert_valid_markdown(markdown: str) -> None:
    """Assert that each fold is closed, no other HTML occurs, and no code fence is open."""
    html = [
        token.content.strip()
        for token in MarkdownIt("commonmark").parse(markdown)
        if token.type == "html_block"
    ]
    opened = [one for one in html if re.fullmatch(r"<details><summary>[^<>]*</summary>", one)]
    assert sorted(html) == sorted([*opened, *["</details>"] * len(opened)])
    assert markdown.endswith("\n")


def run_measured(fake: FakeAirflow, workspace: Path, **inputs: str) -> tuple[StepResult, float]:
    """Run the step as a process. Return its result and its peak memory in MiB."""
    action_inputs = {
        "airflow_url": fake.url,
        "username": "admin",
        "password": password_of("admin"),
        "dag_id": "sales",
        **inputs,
    }
    with TemporaryDirectory() as folder:
        launcher = MeasuredProcess(Path(folder, "usage"))
        result = ActionStep(action_inputs, launcher=launcher, workspace=workspace).run(timeout=300)
        return result, launcher.mebibytes


@pytest.mark.parametrize("ends", ["success", "failed"])
@pytest.mark.parametrize(
    "place",
    [
        "diagnostics.progress.ProgressTracker.update",
        "diagnostics.progress.ProgressTracker.next_update",
        "diagnostics.collector.failures_of",
        "diagnostics.collector.dagrun_timeout_exceeded",
        "airflow.rest.RestAirflow.recent_durations",
    ],
)
def test_a_bug_in_the_diagnostics_is_logged_once_and_leaves_the_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str, ends: str
) -> None:
    def raise_bug(*_: Any, **__: Any) -> None:
        raise TypeError("s3cret")

    monkeypatch.setattr(f"entrypoint.{place}", raise_bug)
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", ends=ends, polls=6)]) as fake:
        assert run_against(fake).result == ends
    output = capsys.readouterr().out
    assert "s3cret" not in output
    assert output.count("The action itself failed: TypeError in ") <= 1
