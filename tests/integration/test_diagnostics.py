"""What only explains: it names causes, it never changes the verdict, and no text in it acts,
whatever the server does.
"""

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
from dev.runner import Step
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
from tests.support.measured import Measured
from tests.support.step import CONTEXT, run_gate
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.runner import StepResult

Denied = Literal["task_instances", "logs", "xcom", "run_list"]
VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")
LIMIT = 1_048_576
BOOM = FakeError(
    "RuntimeError", "the sales cannot be loaded", cause=FakeError("ValueError", "no amount")
)
EXPLAINING = {
    "the usual duration": ("GET", "/dagRuns"),
    "task instances": ("GET", "/taskInstances"),
    "a log": ("GET", "/logs/*"),
    "details": ("GET", "/details"),
}


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    """Each version."""
    chosen: Version = request.param
    return chosen


def failing(*tasks: FakeTask) -> FakeDag:
    """Return a DAG of which the task `load` fails with an exception and its cause."""
    return FakeDag(
        "sales",
        tasks=(FakeTask("extract"), *(tasks or (FakeTask("load", ends="failed", error=BOOM),))),
        ends="failed",
    )


@pytest.mark.parametrize("what", EXPLAINING)
@pytest.mark.parametrize("ends", ["success", "failed"])
def test_no_fault_in_what_explains_changes_the_verdict(
    version: Version, ends: str, what: str
) -> None:
    """Whatever goes wrong with a request that only explains, once or always: the verdict is the
    run's own.
    """
    load = FakeTask("load", ends=ends, error=BOOM)
    cases: tuple[tuple[Literal["before", "after"], int], ...] = (("before", 1000), ("after", 1))
    for fault, (when, times) in product(Fault, cases):
        with FakeAirflow(version, dags=[FakeDag("sales", tasks=(load,), ends=ends)]) as fake:
            fake.fault(fault, on=EXPLAINING[what], when=when, times=times)
            outcome = run_gate(fake, timeout="600", logs="all")
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
def test_a_missing_permission_costs_its_feature_only(
    version: Version,
    ends: str,
    feature: Denied,
    permission: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The verdict stands, the log and the summary name the permission once each, and every other
    feature works.
    """
    load = FakeTask("load", ends=ends, error=BOOM, xcom={"return_value": 1})
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=(load,), ends=ends)]) as fake:
        fake.deny(feature)
        outcome = run_gate(fake, xcom="load", logs="all")
    assert outcome.result == ends
    sentences = [sentence for sentence in outcome.disabled_features if permission in sentence]
    assert len(sentences) == 1
    assert capsys.readouterr().out.count(permission) == 1
    assert permission in summary(outcome, CONTEXT)
    if ends == "failed" and feature == "run_list":
        assert "the sales cannot be loaded" in outcome.failures[0].cause


def stalled(version: Version) -> dict[str, tuple[FakeDag, str]]:
    """Return runs that never move, each with the words that name why."""
    ever = {1: "scheduled"}
    runs = {
        "pool": (
            FakeDag("sales", tasks=(FakeTask("load", states=ever, pool="tiny"),), looks=10**6),
            "The pool tiny is full",
        ),
        "max_active_runs": (
            FakeDag("sales", max_active_runs=1, looks=10**6),
            "Other runs of the DAG come first",
        ),
        "scheduler": (
            FakeDag("sales", looks=10**6, tasks=(FakeTask("load", states=ever),)),
            "Airflow's scheduler is not",
        ),
        "paused": (
            FakeDag("sales", looks=10**6, tasks=(FakeTask("load", states=ever),)),
            "The DAG is paused",
        ),
    }
    if version == "3.3.2":
        question = FakeTask(
            "approve", states={1: "awaiting_input"}, question=FakeQuestion("Publish?")
        )
        runs["human"] = (
            FakeDag("sales", looks=10**6, tasks=(question,)),
            "The task approve waits for a human",
        )
    return runs


@pytest.mark.parametrize("why", ["pool", "max_active_runs", "scheduler", "paused", "human"])
def test_a_run_that_does_not_move_says_why(
    version: Version, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a notice while waiting, said once, and the first line of the verdict in the end."""
    if why not in stalled(version):
        return
    dag, words = stalled(version)[why]
    other = FakeDag(
        "other", tasks=(FakeTask("hog", pool="tiny", states={0: "running"}),), looks=10**6
    )
    with FakeAirflow(version, dags=[dag, other], pools={"tiny": 1}) as fake:
        if why == "max_active_runs":
            fake.create_run("sales", "the-other-one", state="running")
        if why == "pool":
            fake.create_run("other", "the-hog", state="running")
            fake.set_task_state("other", "the-hog", "hog", "running")
        if why == "scheduler":
            fake.health("scheduler", "unhealthy")
        time = VirtualTime()
        if why == "paused":
            time.on_sleep = lambda _: fake.pause("sales")
        outcome = run_gate(fake, time=time, timeout="5m")
    assert outcome.result == "timeout"
    assert outcome.blockers[0].title.startswith(words), outcome.blockers
    log = capsys.readouterr().out
    assert log.count(f"::notice title=Waiting%3A {words.replace(':', '%3A')}") == 1, log
    first_screen = summary(outcome, CONTEXT).splitlines()[:8]
    assert any(words.replace("_", r"\_") in line for line in first_screen), first_screen
    if why in ("max_active_runs", "pool"):
        assert (
            "the-other-one" in outcome.blockers[0].detail or "the-hog" in outcome.blockers[0].detail
        )


def test_progress_is_told_against_what_is_usual(
    version: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each change is a line, mapped tasks are counted, and progress is a part of the median of the
    last successful runs.
    """
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
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, looks=20)]) as fake:
        for name, seconds in (("a", 60.0), ("b", 100.0), ("c", 900.0)):
            fake.create_run("sales", name, state="success", took=seconds)
        assert run_gate(fake, poll_interval="5").result == "success"
    log = capsys.readouterr().out
    assert "took 1 m 40 s (median)" in log
    assert "% of the usual 1 m 40 s" in log
    assert "transform failed and will be tried again" in log
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
    """Yield the hostile lines before and after 200,000 others."""
    yield from HOSTILE
    yield from (f"Line {number} of a very long log" for number in range(200_000))
    yield from HOSTILE


def test_a_hostile_log_does_nothing(
    version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No command in it is obeyed, no markup in it acts, and the memory does not grow with its
    200,000 lines.
    """
    shout = FakeTask(
        "shout",
        ends="failed",
        log=hostile_lines,
        error=FakeError("RuntimeError", "\n".join(HOSTILE)),
    )
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=(shout,), ends="failed")]) as fake:
        result, peak = measured(fake, tmp_path, poll_interval="1")
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
    assert_whole(result.summary)
    assert peak < 80


def test_five_thousand_task_instances(
    version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All failures are named, the summary is whole and below 1 MiB, requests and memory are
    bounded.
    """
    count = 5_000
    failed = set(range(7, count, 100))
    tasks = tuple(
        FakeTask(
            "load",
            map_index=index,
            ends="failed" if index in failed else "success",
            log=("a line",) * 500,
            error=BOOM,
        )
        for index in range(count)
    )
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, looks=4, ends="failed")]) as fake:
        result, peak = measured(fake, tmp_path, poll_interval="1")
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
    assert_whole(result.summary)
    assert f"Tasks: {count - len(failed)} of {count} succeeded" in result.summary
    assert f"{count - len(failed)} of {count} tasks succeeded" in result.log
    assert sum(requests.values()) < 60
    assert peak < 60


@pytest.mark.parametrize("ends", ["success", "failed"])
def test_xcoms_of_a_wide_run(version: Version, ends: str) -> None:
    """Whatever of a wide run the report leaves out, an XCom that is asked for is found."""
    tasks = [
        FakeTask("load", map_index=index, ends="success" if index else ends) for index in range(600)
    ]
    tasks += [FakeTask("sum", map_index=index, xcom={"return_value": index}) for index in range(2)]
    tasks += [FakeTask("report", xcom={"return_value": "done"})]
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tuple(tasks), ends=ends)]) as fake:
        outcome = run_gate(fake, xcom="sum\nreport")

    assert outcome.result == ends
    assert outcome.xcom == {"sum": [0, 1], "report": "done"}
    assert outcome.unread == outcome.unread_succeeded > 0
    assert len(outcome.failed_tasks) == (ends == "failed")


@pytest.mark.parametrize(("red", "result"), [(True, "failed"), (False, "success")])
# A table's column
def test_failed_tasks_of_a_wide_run(version: Version, red: bool, result: str) -> None:
    """The last of very many task instances fails, and that decides if the user says so."""
    ends = ["success"] * 1500 + ["failed" if red else "success"]
    tasks = tuple(FakeTask("load", map_index=index, ends=end) for index, end in enumerate(ends))
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, ends="success")]) as fake:
        assert run_gate(fake, fail_on_failed_tasks="true").result == result
        assert run_gate(fake, run_id="again").result == "success"


def test_a_wide_run_whose_time_is_over(version: Version) -> None:
    """What it waits for is found among very many, and none of them is asked for alone but to find
    out why it waits.
    """
    tasks = [FakeTask("load", map_index=index, states={1: "success"}) for index in range(1000)]
    tasks += [FakeTask("late", states={1: "scheduled"}, pool="tiny")]
    with FakeAirflow(
        version, dags=[FakeDag("sales", tasks=tuple(tasks), looks=10**6)], pools={"tiny": 0}
    ) as fake:
        outcome = run_gate(fake, timeout="300")

    assert outcome.result == "timeout"
    assert [blocker.title for blocker in outcome.blockers] == ["The pool tiny has no slots"]
    assert "late" in outcome.blockers[0].detail


def assert_whole(markdown: str) -> None:
    """Every fold that is opened is closed, nothing else is HTML, and no fence is left open."""
    html = [
        token.content.strip()
        for token in MarkdownIt("commonmark").parse(markdown)
        if token.type == "html_block"
    ]
    opened = [one for one in html if re.fullmatch(r"<details><summary>[^<>]*</summary>", one)]
    assert sorted(html) == sorted([*opened, *["</details>"] * len(opened)])
    assert markdown.endswith("\n")


def measured(fake: FakeAirflow, workspace: Path, **inputs: str) -> tuple[StepResult, float]:
    """Run the step as a process of its own; return what it left behind, and its peak memory in
    MiB.
    """
    given = {
        "airflow_url": fake.url,
        "username": "admin",
        "password": password_of("admin"),
        "dag_id": "sales",
        **inputs,
    }
    with TemporaryDirectory() as folder:
        launcher = Measured(Path(folder, "usage"))
        result = Step(given, launcher=launcher, workspace=workspace).run(timeout=300)
        return result, launcher.mebibytes


@pytest.mark.parametrize("ends", ["success", "failed"])
@pytest.mark.parametrize(
    "place",
    [
        "diagnostics.progress.ProgressTracker.update",
        "diagnostics.progress.ProgressTracker.next_update",
        "diagnostics.collector.failures_of",
        "diagnostics.collector.dagrun_timeout_exceeded",
        "airflow.diagnostics.DiagnosticRequests.recent_durations",
    ],
)
def test_a_fault_of_ours_costs_the_explanation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str, ends: str
) -> None:
    """What breaks while a run is explained is told, once, and the verdict is Airflow's."""

    def broken(*_: Any, **__: Any) -> None:
        raise TypeError("s3cret")

    monkeypatch.setattr(f"entrypoint.{place}", broken)
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", ends=ends, looks=6)]) as fake:
        assert run_gate(fake).result == ends
    told = capsys.readouterr().out
    assert "s3cret" not in told
    assert told.count("The action itself failed: TypeError in ") <= 1
