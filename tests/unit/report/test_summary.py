"""The job summary in Markdown, as its reader sees it."""

import re
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from dev.runner.files import MAX_SUMMARY_BYTES
from entrypoint.errors import ActionError, ExceptionInfo, StackFrame
from entrypoint.models import Blocker, Failure, Outcome, Result, TaskInstance
from entrypoint.report.gantt import MAX_BARS
from entrypoint.report.summary import summary
from entrypoint.runners.sanitize import CONTROL
from tests.support.factories import (
    RUN_URL,
    SHA,
    START,
    a_context,
    a_request,
    a_run,
    a_task,
    an_outcome,
)
from tests.support.markdown import HOSTILE_TEXTS, Page, hostile, read

COMMIT_URL = f"https://github.com/octo-org/sales/commit/{SHA}"
ERROR = ActionError("The DAG is paused", "Airflow would\nqueue it forever.", "Unpause it.")


def fold_titles(text: str) -> list[str]:
    """Return the titles of the folds; each must be closed, and no other HTML is allowed."""
    html = [
        token.content
        for token in MarkdownIt("commonmark", {"html": True}).parse(text)
        if token.type == "html_block"
    ]
    titles = [re.fullmatch(r"<details><summary>([^<>]+)</summary>\n", begin) for begin in html[::2]]
    assert all(end.strip() == "</details>" for end in html[1::2])
    assert len(html) % 2 == 0
    return [title[1] if title else "not a title" for title in titles]


def read_whole(text: str) -> Page:
    """Read a summary that must be below the size limit and completely closed."""
    seen = read(f"{text}\nThe end.\n")
    folded = fold_titles(text)
    assert len(f"{text}\n".encode(errors="backslashreplace")) < MAX_SUMMARY_BYTES
    assert seen.prose.pop() == "The end."
    assert [kind for kind in seen.markup if "bullet" not in kind] == ["html_block"] * 2 * len(
        folded
    )
    assert "not a title" not in folded
    return seen


def rendered(outcome: Outcome) -> Page:
    return read_whole(summary(outcome, a_context()))


def facts_table(seen: Page) -> dict[str, str]:
    return {name: value for name, value in seen.tables[0]}  # noqa: C416 - a row is a list


def one_line(text: str) -> str:
    return " ".join(re.sub(f"[{CONTROL}]", " ", text).split()) or "-"


def a_failure(text: str = "cannot join", **changes: Any) -> Failure:
    task = a_task(**{"task_id": "join", "state": "failed"} | changes)
    raised = (
        ExceptionInfo("SalesError", text, (StackFrame("/opt/airflow/dags/sales.py", 48, text),)),
    )
    return Failure(task, f"SalesError: {text}", raised, ("first", text, "last"), 7)


def failed_run(
    *failures: Failure, others: tuple[TaskInstance, ...] = (), **changes: Any
) -> Outcome:
    tasks = tuple(failure.task for failure in failures) + others
    return an_outcome(
        **{"result": "failed", "run": a_run(state="failed"), "tasks": tasks, "failures": failures}
        | changes
    )


def ran(task_id: str, begin: float, **changes: Any) -> TaskInstance:
    start = START + timedelta(seconds=begin)
    return a_task(task_id, start_date=start, end_date=start + timedelta(seconds=1), **changes)


def test_success_shows_result_link_facts_and_tasks() -> None:
    seen = rendered(an_outcome())

    assert seen.headings == ["✅ DAG run succeeded: nightly_sales", "Tasks: 1 of 1 succeeded"]
    assert seen.prose == [
        "Airflow ended the run of nightly_sales as success after 2 m 12 s.",
        "Open the DAG run in Airflow",
    ]
    assert facts_table(seen) == {
        "DAG": "nightly_sales",
        "DAG run": "r1",
        "State in Airflow": "success",
        "This step": "triggered by this step (attempt 1)",
        "Commit": "0123456789ab",
        "Started": "2026-01-31 09:30:15 UTC",
        "Took": "2 m 12 s",
        "Airflow": "3.3.2",
    }
    assert seen.tables[1] == [
        ["Task", "State", "Took", "Tries"],
        ["extract", "✅ success", "4.2 s", "1"],
    ]
    assert seen.links == [
        ("Open the DAG run in Airflow", RUN_URL),
        ("r1", RUN_URL),
        ("0123456789ab", COMMIT_URL),
        ("extract", f"{RUN_URL}/tasks/extract"),
    ]


@pytest.mark.parametrize(
    ("version", "row"), [(SHA, SHA), ("v|7`", "v|7`"), (None, None), ("", None)]
)
def test_bundle_version_is_a_fact_if_the_run_has_one(version: str | None, row: str | None) -> None:
    assert (
        facts_table(rendered(an_outcome(run=a_run(bundle_version=version)))).get("Bundle version")
        == row
    )


def test_failure_begins_with_result_cause_hint_and_place() -> None:
    outcome = failed_run(
        a_failure("cannot join"),
        others=(ran("a", 0), ran("b", 1)),
        disabled_features=("Left out: pools.",),
    )
    text = summary(outcome, a_context())
    order = (
        *(
            "## ❌ DAG run failed",
            "SalesError: cannot join",
            "**What to do next:**",
            "Open the DAG run in Airflow",
            "| DAG |",
        ),
        *(
            "### Failed: 1 of 3 task instances",
            "<summary>Log of join",
            "```mermaid",
            "Tasks: 2 of 3",
            "Left out: pools.",
        ),
    )

    assert [text.index(one) for one in order] == sorted(text.index(one) for one in order)
    assert text.index("**What to do next:**") < 1000
    assert rendered(outcome).headings[0] == "❌ DAG run failed: nightly_sales"


def test_success_with_failed_tasks_has_its_own_sign_and_reason() -> None:
    outcome = failed_run(
        a_failure("cannot join"), result="success", run=a_run(), others=(a_task(),)
    )
    seen = rendered(outcome)

    assert seen.headings[0].startswith("⚠️ ")
    assert "cannot join" in seen.blocks[0]


def test_timeout_begins_with_its_blocker() -> None:
    blocker = Blocker("The pool reports is full", "All 4 slots are taken.", "Wait.")
    seen = rendered(
        an_outcome(
            result="timeout",
            run=a_run(state="running", end_date=None),
            tasks=(),
            blockers=(blocker,),
        )
    )

    assert "The pool reports is full" in seen.prose[0]
    assert "What to do next: Wait." in seen.prose


def test_two_tasks_give_a_gantt_chart_in_utc() -> None:
    seen = rendered(an_outcome(tasks=(ran("a", 0), ran("b", 1), a_task("c"))))

    assert [text.split("\n")[0] for text in seen.blocks] == ["gantt"]
    assert any("UTC" in heading for heading in seen.headings)
    assert [row[0] for row in seen.tables[1][1:]] == ["a", "b", "c"]


def test_tasks_without_times_give_no_gantt_chart() -> None:
    seen = rendered(an_outcome(tasks=(ran("a", 0), a_task("b"))))

    assert seen.blocks == []
    assert not any("UTC" in heading for heading in seen.headings)


@pytest.mark.parametrize(("count", "folded"), [(MAX_BARS, False), (MAX_BARS + 1, True)])
def test_large_gantt_chart_is_folded(count: int, folded: bool) -> None:
    text = summary(an_outcome(tasks=tuple(ran(f"t{n}", n) for n in range(count))), None)

    assert any("UTC" in title for title in fold_titles(text)) is folded
    assert (re.search("^#.*UTC", text, re.MULTILINE) is None) is folded


def test_unread_tasks_of_a_wide_run_are_counted_everywhere() -> None:
    tasks = tuple(ran(f"t{n}", n % 40, state="failed" if n < 5 else "success") for n in range(100))
    outcome = an_outcome(
        result="failed", run=a_run(state="failed"), tasks=tasks, unread=4900, unread_succeeded=4900
    )
    text = summary(outcome, None)

    assert "Failed: 5 of 5000 task instances" in text
    assert "Time line (UTC) of 100 of 5000 task instances" in text
    assert "Tasks: 4995 of 5000 succeeded" in text


@pytest.mark.parametrize(
    "outcome",
    [
        failed_run(
            run=a_run(state="failed", end_date=START + timedelta(hours=1)),
            dagrun_timeout_exceeded=3600.0,
        ),
        an_outcome(
            result="timeout",
            run=a_run(state="running", end_date=None),
            waited=3610.0,
            seconds_in_state=3600.0,
        ),
    ],
    ids=["dagrun_timeout", "timeout"],
)
def test_unfinished_task_is_the_longest_bar_of_a_timeout(outcome: Outcome) -> None:
    state = "skipped" if outcome.result == "failed" else "running"
    slow = a_task("slow", state=state, start_date=START + timedelta(seconds=5), duration=None)
    (chart,) = rendered(outcome._replace(tasks=(ran("quick", 0), ran("other", 2), slow))).blocks

    assert re.search(r"slow .*2026-01-31 10:[23]\d:\d\d", chart)


def test_disabled_features_are_named() -> None:
    seen = rendered(an_outcome(disabled_features=("Left out: logs.", "Left out: pools.")))

    assert seen.prose[-2:] == ["Left out: logs.", "Left out: pools."]


def test_error_before_any_run_shows_evidence_and_hint_only() -> None:
    seen = read(summary(Outcome(result="error", error=ERROR), None))

    assert seen.headings == ["❌ The DAG is paused"]
    assert seen.blocks == ["Airflow would\nqueue it forever.\n"]
    assert seen.prose == ["What to do next: Unpause it."]
    assert (seen.tables, seen.links, seen.markup) == ([], [], [])


def test_error_after_the_trigger_shows_link_and_facts() -> None:
    seen = rendered(an_outcome(result="error", error=ERROR, tasks=None, retries=3))

    assert seen.links[0][1] == RUN_URL
    assert facts_table(seen)["Retried requests"] == "3"


def test_refused_trigger_names_no_run() -> None:
    seen = rendered(
        Outcome(result="error", error=ERROR, request=a_request(), airflow_version="2.11.2")
    )

    assert facts_table(seen) == {
        "DAG": "nightly_sales",
        "Commit": "0123456789ab",
        "Airflow": "2.11.2",
    }


@pytest.mark.parametrize("result", get_args(Result))
def test_every_result_has_a_sign_and_a_link(result: Result) -> None:
    seen = rendered(an_outcome(result=result, error=ERROR if result == "error" else None))

    assert seen.headings[0][0] in "✅🚀❌⏳🛑"
    assert seen.links[0] == ("Open the DAG run in Airflow", RUN_URL)


@given(hostile, hostile, hostile)
def test_hostile_names_are_shown_in_their_place(dag_id: str, task_id: str, state: str) -> None:
    seen = rendered(
        an_outcome(
            result="failed",
            request=a_request(dag_id=dag_id),
            run=a_run(dag_id=dag_id, state="failed"),
            tasks=(ran(task_id, 0, state="failed"), ran(task_id, 1, state=state, map_index=3)),
        )
    )

    assert seen.headings[0] == f"❌ DAG run failed: {one_line(dag_id)}"
    assert facts_table(seen)["DAG"] == one_line(dag_id)
    assert sorted(row[0] for row in seen.tables[1][1:]) == sorted(
        (one_line(task_id), one_line(f"{task_id}[3]"))
    )
    assert len(seen.tables) == 2
    assert [len(row) for row in seen.tables[1]] == [4, 4, 4]
    assert len(seen.links) == 5
    assert all(
        address.startswith(("https://airflow.example.com/", "https://github.com/"))
        for _, address in seen.links
    )
    assert len(seen.blocks) == (state != "upstream_failed")
    assert seen.markup == []


@pytest.mark.parametrize("result", ["failed", "success"])
@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_failures_add_no_heading_table_or_link(text: str, result: Result) -> None:
    failures = [
        a_failure(text, task_id=f"t{text}", map_index=n, url=f"https://airflow.example.com/{text}")
        for n in range(5)
    ]
    outcome = failed_run(
        *failures,
        others=(ran(text, 0), ran(text, 1, map_index=1)),
        result=result,
        disabled_features=(text,),
    )
    seen = rendered(outcome)

    assert len(seen.headings) == 4
    assert len(seen.tables) == 2
    assert len(seen.blocks) == 5 + 5 + 1
    assert len(seen.links) == 3 + 5 + 7
    assert all(
        address.startswith(("https://airflow.example.com/", "https://github.com/"))
        for _, address in seen.links
    )
    assert not re.search(
        r"@\w", re.sub("|".join(map(re.escape, seen.code)), "", "\n".join(seen.prose))
    )


@given(hostile)
def test_hostile_evidence_is_one_block(text: str) -> None:
    seen = rendered(an_outcome(result="error", error=ActionError("Title", text, "hint")))

    assert len(seen.blocks) == 1
    assert seen.prose == ["What to do next: hint", "Open the DAG run in Airflow"]
    assert len(seen.tables) == 2


@pytest.mark.parametrize(
    "name",
    ["@octocat", "a@b.example", "www.evil.example", "https://evil.example", "__main__", "a*b*"],
)
def test_names_in_sentences_mention_and_link_nothing(name: str) -> None:
    outcome = an_outcome(
        result="failed",
        run=a_run(dag_id=name, state="failed"),
        tasks=(a_task(name, state="failed"),),
    )
    sentences = [one for one in summary(outcome, None).split("\n\n")[1:] if one[:1].isalpha()]

    assert sum(name.replace("@", "@\u2060") in " ".join(read(one).prose) for one in sentences) >= 2
    for one in sentences:
        assert not re.search(r"@\w|www\.|(?<!\\):/|(?<!\\)[_*]", one)


LONG = "任" * 250
LOGS = {
    "ascii": (20, ("x" * 99,) * 2000),
    "wide": (20, ("任" * 99,) * 2000),
    "surrogates": (20, ("\ud800" * 99,) * 2000),
    "backticks": (20, ("`" * 99,) * 2000),
    "commands": (20, ("::error::x </details><script>", "```", "| a | b |") * 1000),
    "escapes": (20, ("\x1b[31mred ##[error]x",) * 5000),
    "one line": (3, ("x" * 5_000_000,)),
    "200,000 lines": (3, ("x",) * 200_000),
}


@pytest.mark.parametrize(("count", "log"), LOGS.values(), ids=LOGS)
def test_5000_failures_with_long_logs_fit_and_are_all_named(
    count: int, log: tuple[str, ...]
) -> None:
    indexes = [*range(4), 7, *range(100, 5095)]
    failures = [a_failure("word " * 1000, task_id="load", map_index=index) for index in indexes]
    read_ones = [failure._replace(log=log) for failure in failures[:count]]
    text = summary(
        failed_run(*read_ones, others=tuple(failure.task for failure in failures[count:])),
        a_context(),
    )

    assert "load[0-3, 7, 100-5094]" in read_whole(text).code
    assert re.search(r"^\d+ more .*(left out|not shown)", text, re.MULTILINE)
    assert len(fold_titles(text)) > 3


def test_logs_are_shown_while_there_is_room_and_then_counted() -> None:
    failures = [a_failure("x", task_id=f"t{n}")._replace(log=LOGS["ascii"][1]) for n in range(100)]
    others = tuple(a_task(f"t{n}", state="failed") for n in range(100, 5000))
    text = summary(failed_run(*failures, others=others), a_context())
    (lines_omitted,) = re.findall(r"^(\d+) .*left out", text, re.MULTILINE)

    assert ", ".join(f"t{n}" for n in range(5000)) in read_whole(text).code
    assert 100 - len(fold_titles(text)) <= int(lines_omitted) <= 100


@pytest.mark.parametrize(
    "name",
    ["t" * 250, LONG, "|" * 250, "`" * 250, "\ud800" * 250],
    ids=["ascii", "wide", "|", "`", "sur"],
)
def test_5000_tasks_with_long_names_fit(name: str) -> None:
    url = f"https://airflow.example.com/dags/{name}/runs/{name}/tasks/{name}"
    states = ["success"] * 4990 + ["failed"] * 10
    tasks = tuple(
        a_task(f"{name}{n}", state=state, map_index=n, url=url) for n, state in enumerate(states)
    )
    outcome = an_outcome(
        result="failed",
        request=a_request(dag_id=name, run_id="r" * 200),
        run=a_run(dag_id=name, run_id="r" * 200, state="failed"),
        run_url=url,
        tasks=tasks,
    )
    text = summary(outcome, a_context())
    rows = re.findall(r"^\| \[.*tasks/.*$", text, re.MULTILINE)

    assert len(f"{text}\n".encode(errors="backslashreplace")) < MAX_SUMMARY_BYTES
    assert all("❌" in row for row in rows[:10])
    assert f"{5000 - len(rows)} more task instances are not shown here" in text
    assert len(rows) >= 40


def test_300_tasks_are_shown_completely() -> None:
    failures = [a_failure(task_id=f"t{n}")._replace(log=LOGS["ascii"][1][:100]) for n in range(20)]
    text = summary(
        failed_run(*failures, others=tuple(ran(f"u{n}", n) for n in range(280))), a_context()
    )

    assert len(re.findall(r"^\| \[`[tu]\d+`\]", text, re.MULTILINE)) == 300
    assert len(fold_titles(text)) == 20 + 2
    assert not re.search("left out|not shown", text)


def test_long_evidence_leaves_room_for_the_rest() -> None:
    text = summary(
        an_outcome(result="error", error=ActionError("Title", "🚀 \ud800 " * 500_000, "hint")), None
    )

    assert len(text.encode(errors="backslashreplace")) < MAX_SUMMARY_BYTES
    assert "What to do next:** hint" in text


def test_long_blocker_comes_first_and_leaves_room() -> None:
    blocker = Blocker(
        "The task approve waits for a human",
        f"It asks: {'word ' * 500_000}",
        "Answer it in Airflow.",
    )
    outcome = an_outcome(
        result="timeout", run=a_run(state="running", end_date=None), tasks=(), blockers=(blocker,)
    )

    assert "The task approve waits for a human" in " ".join(rendered(outcome).prose)


@settings(max_examples=20)
@given(hostile)
def test_missing_context_hides_only_the_commit(text: str) -> None:
    outcome = an_outcome()._replace(airflow_version=text or "x")

    assert "Commit" not in facts_table(read(summary(outcome, None)))
