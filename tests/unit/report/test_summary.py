"""The job summary as its reader sees it: the cause first, whole whatever comes, and nothing from
Airflow becomes markup.
"""

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
from tests.support.markdown import Page, hostile, read

COMMIT_URL = f"https://github.com/octo-org/sales/commit/{SHA}"
ERROR = ActionError("The DAG is paused", "Airflow would\nqueue it for ever.", "Unpause it.")
HOSTILE = (
    *(
        "</details><script>alert(1)</script>",
        "</details>\n\n<img src=x onerror=y>",
        "<!--",
        "</summary>",
        "<details>",
    ),
    *(
        "```",
        "~~~",
        "``x`",
        "```\n\n# A heading\n\n```mermaid\ngantt",
        "| a | b |\n| --- | --- |\n| c | d |",
    ),
    *(
        "@octocat",
        "[x](https://evil.example)",
        "![x](https://evil.example)",
        "https://evil.example",
        "www.evil.example",
    ),
    *(
        "::error::x",
        "##[error]x",
        "::stop-commands::x",
        "\x1b[31mred\x1b[0m",
        "a\r```\r\rb",
        "a\u2028```\u2028b",
        "\ud800",
    ),
)


def folds(text: str) -> list[str]:
    """The titles of what is folded away in a page; each fold must be closed, and there must be no
    other HTML.
    """
    html = [
        token.content
        for token in MarkdownIt("commonmark", {"html": True}).parse(text)
        if token.type == "html_block"
    ]
    titles = [re.fullmatch(r"<details><summary>([^<>]+)</summary>\n", begin) for begin in html[::2]]
    assert all(end.strip() == "</details>" for end in html[1::2])
    assert len(html) % 2 == 0
    return [title[1] if title else "not a title" for title in titles]


def whole(text: str) -> Page:
    """A summary as read; it is below the runner's limit, nothing in it stays open, and it holds no
    markup but ours.
    """
    seen = read(f"{text}\nThe end.\n")
    folded = folds(text)
    assert len(f"{text}\n".encode(errors="backslashreplace")) < MAX_SUMMARY_BYTES
    assert seen.prose.pop() == "The end."
    assert [kind for kind in seen.markup if "bullet" not in kind] == ["html_block"] * 2 * len(
        folded
    )
    assert "not a title" not in folded
    return seen


def page(outcome: Outcome) -> Page:
    """The summary of an outcome as read, whole."""
    return whole(summary(outcome, a_context()))


def facts(seen: Page) -> dict[str, str]:
    """The table of facts."""
    return {name: value for name, value in seen.tables[0]}  # noqa: C416 - a row is a list


def one_line(text: str) -> str:
    """The text as a reader of a code span sees it."""
    return " ".join(re.sub(f"[{CONTROL}]", " ", text).split()) or "-"


def a_failure(text: str = "cannot join", **changes: Any) -> Failure:
    """A task instance that failed with an exception that says this."""
    task = a_task(**{"task_id": "join", "state": "failed"} | changes)
    raised = (
        ExceptionInfo("SalesError", text, (StackFrame("/opt/airflow/dags/sales.py", 48, text),)),
    )
    return Failure(task, f"SalesError: {text}", raised, ("first", text, "last"), 7)


def failed(*failures: Failure, others: tuple[TaskInstance, ...] = (), **changes: Any) -> Outcome:
    """A DAG run that failed for these reasons."""
    tasks = tuple(failure.task for failure in failures) + others
    return an_outcome(
        **{"result": "failed", "run": a_run(state="failed"), "tasks": tasks, "failures": failures}
        | changes
    )


def ran(task_id: str, begin: float, **changes: Any) -> TaskInstance:
    """A task instance that was at work for a second."""
    start = START + timedelta(seconds=begin)
    return a_task(task_id, start_date=start, end_date=start + timedelta(seconds=1), **changes)


def test_success() -> None:
    """A success shows verdict, link, facts and tasks."""
    seen = page(an_outcome())

    assert seen.headings == ["✅ DAG run succeeded: nightly_sales", "Tasks: 1 of 1 succeeded"]
    assert seen.prose == [
        "Airflow ended the run of nightly_sales as success after 2 m 12 s.",
        "Open the DAG run in Airflow",
    ]
    assert facts(seen) == {
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
def test_bundle_version(version: str | None, row: str | None) -> None:
    """The version of the bundle with which a run runs is a fact of its own, where the run is bound
    to one.
    """
    assert facts(page(an_outcome(run=a_run(bundle_version=version)))).get("Bundle version") == row


def test_the_cause_is_on_the_first_screen() -> None:
    """Of a failure the verdict comes first, then its cause, what to do and where; the rest
    follows.
    """
    outcome = failed(
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
    assert page(outcome).headings[0] == "❌ DAG run failed: nightly_sales"


def test_a_green_run_with_red_tasks() -> None:
    """A success with failed tasks is no plain success: another sign, and the reason on top."""
    outcome = failed(a_failure("cannot join"), result="success", run=a_run(), others=(a_task(),))
    seen = page(outcome)

    assert seen.headings[0].startswith("⚠️ ")
    assert "cannot join" in seen.blocks[0]


def test_blockers() -> None:
    """Of a timeout the reason is on top, before anything else is said."""
    blocker = Blocker("The pool reports is full", "All 4 slots are taken.", "Wait.")
    seen = page(
        an_outcome(
            result="timeout",
            run=a_run(state="running", end_date=None),
            tasks=(),
            blockers=(blocker,),
        )
    )

    assert "The pool reports is full" in seen.prose[0]
    assert "What to do next: Wait." in seen.prose


def test_time_line() -> None:
    """Two task instances that ran make a time line, in UTC; the table says as much about them."""
    seen = page(an_outcome(tasks=(ran("a", 0), ran("b", 1), a_task("c"))))

    assert [text.split("\n")[0] for text in seen.blocks] == ["gantt"]
    assert any("UTC" in heading for heading in seen.headings)
    assert [row[0] for row in seen.tables[1][1:]] == ["a", "b", "c"]


def test_no_time_line() -> None:
    """Without times there is no empty chart, and no heading for one."""
    seen = page(an_outcome(tasks=(ran("a", 0), a_task("b"))))

    assert seen.blocks == []
    assert not any("UTC" in heading for heading in seen.headings)


@pytest.mark.parametrize(("count", "folded"), [(MAX_BARS, False), (MAX_BARS + 1, True)])
def test_time_line_of_many(count: int, folded: bool) -> None:
    """A time line that is readable is in sight, one of more task instances is folded away."""
    text = summary(an_outcome(tasks=tuple(ran(f"t{n}", n) for n in range(count))), None)

    assert any("UTC" in title for title in folds(text)) is folded
    assert (re.search("^#.*UTC", text, re.MULTILINE) is None) is folded


def test_a_wide_run() -> None:
    """What was not read of a wide run is counted wherever a number is given."""
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
        failed(
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
def test_time_line_of_what_took_the_time(outcome: Outcome) -> None:
    """What was still at work when the time was over is the longest bar: it began early, and has no
    end in Airflow.
    """
    state = "skipped" if outcome.result == "failed" else "running"
    slow = a_task("slow", state=state, start_date=START + timedelta(seconds=5), duration=None)
    (chart,) = page(outcome._replace(tasks=(ran("quick", 0), ran("other", 2), slow))).blocks

    assert re.search(r"slow .*2026-01-31 10:[23]\d:\d\d", chart)


def test_turned_off() -> None:
    """Each feature whose permission is missing is named."""
    seen = page(an_outcome(disabled_features=("Left out: logs.", "Left out: pools.")))

    assert seen.prose[-2:] == ["Left out: logs.", "Left out: pools."]


def test_error_before_any_run() -> None:
    """An error shows evidence as it is and the next thing to do, and no table when nothing is
    known.
    """
    seen = read(summary(Outcome(result="error", error=ERROR), None))

    assert seen.headings == ["❌ The DAG is paused"]
    assert seen.blocks == ["Airflow would\nqueue it for ever.\n"]
    assert seen.prose == ["What to do next: Unpause it."]
    assert (seen.tables, seen.links, seen.markup) == ([], [], [])


def test_error_with_a_run() -> None:
    """An error after the trigger still links the run and shows the facts."""
    seen = page(an_outcome(result="error", error=ERROR, tasks=None, retries=3))

    assert seen.links[0][1] == RUN_URL
    assert facts(seen)["Failed requests ridden out"] == "3"


def test_request_without_a_run() -> None:
    """When the trigger was refused, no DAG run is named: there is none."""
    seen = page(Outcome(result="error", error=ERROR, request=a_request(), airflow_version="2.11.2"))

    assert facts(seen) == {"DAG": "nightly_sales", "Commit": "0123456789ab", "Airflow": "2.11.2"}


@pytest.mark.parametrize("result", get_args(Result))
def test_every_result_has_a_summary(result: Result) -> None:
    """There is a summary for every result, with its own sign, and a way to the run."""
    seen = page(an_outcome(result=result, error=ERROR if result == "error" else None))

    assert seen.headings[0][0] in "✅🚀❌⏳🛑"
    assert seen.links[0] == ("Open the DAG run in Airflow", RUN_URL)


@given(hostile, hostile, hostile)
def test_hostile_names(dag_id: str, task_id: str, state: str) -> None:
    """Whatever DAGs, tasks and states are called, their names show as they are, each in its
    place.
    """
    seen = page(
        an_outcome(
            result="failed",
            request=a_request(dag_id=dag_id),
            run=a_run(dag_id=dag_id, state="failed"),
            tasks=(ran(task_id, 0, state="failed"), ran(task_id, 1, state=state, map_index=3)),
        )
    )

    assert seen.headings[0] == f"❌ DAG run failed: {one_line(dag_id)}"
    assert facts(seen)["DAG"] == one_line(dag_id)
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
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_failures(text: str, result: Result) -> None:
    """Whatever tasks, exceptions, logs and pages say: the page is whole, and no heading, table or
    link comes from them.
    """
    failures = [
        a_failure(text, task_id=f"t{text}", map_index=n, url=f"https://airflow.example.com/{text}")
        for n in range(5)
    ]
    outcome = failed(
        *failures,
        others=(ran(text, 0), ran(text, 1, map_index=1)),
        result=result,
        disabled_features=(text,),
    )
    seen = page(outcome)

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
def test_hostile_evidence(text: str) -> None:
    """Whatever Airflow says about an error, it is one block, and the page goes on after it."""
    seen = page(an_outcome(result="error", error=ActionError("Title", text, "hint")))

    assert len(seen.blocks) == 1
    assert seen.prose == ["What to do next: hint", "Open the DAG run in Airflow"]
    assert len(seen.tables) == 2


@pytest.mark.parametrize(
    "name",
    ["@octocat", "a@b.example", "www.evil.example", "https://evil.example", "__main__", "a*b*"],
)
def test_sentences_hold_no_mention_or_link(name: str) -> None:
    """A name in a sentence mentions nobody and links nowhere, even with GitHub's own extensions to
    Markdown.
    """
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
def test_size_with_logs(count: int, log: tuple[str, ...]) -> None:
    """All of 5000 task instances failed, some with long logs: the page is whole, names them all,
    and says what is cut.
    """
    indexes = [*range(4), 7, *range(100, 5095)]
    failures = [a_failure("word " * 1000, task_id="load", map_index=index) for index in indexes]
    read_ones = [failure._replace(log=log) for failure in failures[:count]]
    text = summary(
        failed(*read_ones, others=tuple(failure.task for failure in failures[count:])), a_context()
    )

    assert "load[0-3, 7, 100-5094]" in whole(text).code
    assert re.search(r"^\d+ more .*(left out|not shown)", text, re.MULTILINE)
    assert len(folds(text)) > 3


def test_size_with_many_logs() -> None:
    """However many failures come with their logs, as many as there is room for are shown, and the
    others are counted.
    """
    failures = [a_failure("x", task_id=f"t{n}")._replace(log=LOGS["ascii"][1]) for n in range(100)]
    others = tuple(a_task(f"t{n}", state="failed") for n in range(100, 5000))
    text = summary(failed(*failures, others=others), a_context())
    (lines_omitted,) = re.findall(r"^(\d+) .*left out", text, re.MULTILINE)

    assert ", ".join(f"t{n}" for n in range(5000)) in whole(text).code
    assert 100 - len(folds(text)) <= int(lines_omitted) <= 100


@pytest.mark.parametrize(
    "name",
    ["t" * 250, LONG, "|" * 250, "`" * 250, "\ud800" * 250],
    ids=["ascii", "wide", "|", "`", "sur"],
)
def test_size(name: str) -> None:
    """With 5000 task instances and the longest names the summary stays below the runner's limit,
    failures on top.
    """
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


def test_size_of_ordinary_runs() -> None:
    """Of 300 task instances nothing is left out, logs included."""
    failures = [a_failure(task_id=f"t{n}")._replace(log=LOGS["ascii"][1][:100]) for n in range(20)]
    text = summary(
        failed(*failures, others=tuple(ran(f"u{n}", n) for n in range(280))), a_context()
    )

    assert len(re.findall(r"^\| \[`[tu]\d+`\]", text, re.MULTILINE)) == 300
    assert len(folds(text)) == 20 + 2
    assert not re.search("left out|not shown", text)


def test_endless_evidence() -> None:
    """Evidence of any length leaves room for the rest."""
    text = summary(
        an_outcome(result="error", error=ActionError("Title", "🚀 \ud800 " * 500_000, "hint")), None
    )

    assert len(text.encode(errors="backslashreplace")) < MAX_SUMMARY_BYTES
    assert "What to do next:** hint" in text


def test_endless_blockers() -> None:
    """What blocks a run is on top, however much it says: a question to a human can be of any
    length.
    """
    blocker = Blocker(
        "The task approve waits for a human",
        f"It asks: {'word ' * 500_000}",
        "Answer it in Airflow.",
    )
    outcome = an_outcome(
        result="timeout", run=a_run(state="running", end_date=None), tasks=(), blockers=(blocker,)
    )

    assert "The task approve waits for a human" in " ".join(page(outcome).prose)


@settings(max_examples=20)
@given(hostile)
def test_without_a_context(text: str) -> None:
    """Without a context, as when the runner's variables are missing, the summary lacks the commit
    and nothing else.
    """
    outcome = an_outcome()._replace(airflow_version=text or "x")

    assert "Commit" not in facts(read(summary(outcome, None)))
