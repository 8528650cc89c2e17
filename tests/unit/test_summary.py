"""The job summary as its reader sees it, and that nothing from Airflow becomes markup in it."""

import re
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings

from dev.runner.files import MAX_SUMMARY_BYTES
from entrypoint.errors import ActionError
from entrypoint.models import Outcome, Result
from entrypoint.report.summary import summary
from tests.support.markdown import Page, hostile, read
from tests.support.nouns import RUN_URL, SHA, a_context, a_request, a_run, a_task, an_outcome

COMMIT_URL = f"https://github.com/octo-org/sales/commit/{SHA}"
ERROR = ActionError("The DAG is paused", "Airflow would\nqueue it for ever.", "Unpause it.")


def page(outcome: Outcome) -> Page:
    """The summary of an outcome, as read; it holds no markup but ours."""
    seen = read(summary(outcome, a_context()))
    assert seen.markup == []
    return seen


def facts(seen: Page) -> dict[str, str]:
    """The table of facts."""
    return {name: value for name, value in seen.tables[0]}  # noqa: C416 - a row is a list


def one_line(text: str) -> str:
    """The text as a reader of a code span sees it."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split()) or "-"


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
    assert seen.tables[1] == [["Task", "State", "Took", "Tries"], ["extract", "✅ success", "4.2 s", "1"]]
    assert seen.links == [
        ("Open the DAG run in Airflow", RUN_URL),
        ("r1", RUN_URL),
        ("0123456789ab", COMMIT_URL),
        ("extract", f"{RUN_URL}/tasks/extract"),
    ]


def test_failed_first() -> None:
    """Failed task instances come first, then what they kept from running, and the successes last."""
    states = ("success", "skipped", None, "running", "upstream_failed", "failed", "up_for_retry")
    tasks = tuple(a_task(f"t{n}", state=state, duration=None, try_number=0) for n, state in enumerate(states))
    seen = page(an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks))

    assert seen.headings == ["❌ DAG run failed: nightly_sales", "Tasks: 1 of 7 succeeded"]
    assert seen.tables[1][1:] == [
        ["t5", "❌ failed", "", ""],
        ["t4", "🚫 not started, a task before it failed", "", ""],
        ["t6", "▫️ failed, will be tried again", "", ""],
        ["t3", "🔵 running", "", ""],
        ["t2", "not started", "", ""],
        ["t1", "⏭️ skipped", "", ""],
        ["t0", "✅ success", "", ""],
    ]


def test_error_before_any_run() -> None:
    """An error shows evidence as it is and the next thing to do, and no table when nothing is known."""
    seen = read(summary(Outcome(result="error", error=ERROR), None))

    assert seen.headings == ["❌ The DAG is paused"]
    assert seen.blocks == ["Airflow would\nqueue it for ever.\n"]
    assert seen.prose == ["What to do next: Unpause it."]
    assert (seen.tables, seen.links, seen.markup) == ([], [], [])


def test_error_with_a_run() -> None:
    """An error after the trigger still links the run and shows the facts."""
    seen = page(an_outcome(result="error", error=ERROR, tasks=None, ridden_out=3))

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
    """Whatever DAGs, tasks and states are called, their names show as they are, each in its place."""
    seen = page(
        an_outcome(
            result="failed",
            request=a_request(dag_id=dag_id),
            run=a_run(dag_id=dag_id, state="failed"),
            tasks=(a_task(task_id, state="failed"), a_task(task_id, state=state, map_index=3)),
            airflow_version="3.3.2",
        )
    )

    assert seen.headings[0] == f"❌ DAG run failed: {one_line(dag_id)}"
    assert facts(seen)["DAG"] == one_line(dag_id)
    assert sorted(row[0] for row in seen.tables[1][1:]) == sorted((one_line(task_id), one_line(f"{task_id}[3]")))
    assert len(seen.tables) == 2
    assert [len(row) for row in seen.tables[1]] == [4, 4, 4]
    assert len(seen.links) == 5
    assert all(address.startswith(("https://airflow.example.com/", "https://github.com/")) for _, address in seen.links)
    assert len(seen.prose) == 3
    assert seen.prose[1].startswith("What to do next: ")


@given(hostile)
def test_hostile_evidence(text: str) -> None:
    """Whatever Airflow says about an error, it is one block, and the page goes on after it."""
    seen = page(an_outcome(result="error", error=ActionError("Title", text, "hint")))

    assert len(seen.blocks) == 1
    assert seen.prose == ["What to do next: hint", "Open the DAG run in Airflow"]
    assert len(seen.tables) == 2


@pytest.mark.parametrize(
    "name", ["@octocat", "a@b.example", "www.evil.example", "https://evil.example", "__main__", "a*b*"]
)
def test_sentences_hold_no_mention_or_link(name: str) -> None:
    """A name in a sentence mentions nobody and links nowhere, even with GitHub's own extensions to Markdown."""
    outcome = an_outcome(result="failed", run=a_run(dag_id=name, state="failed"), tasks=(a_task(name, state="failed"),))
    sentence = summary(outcome, None).splitlines()[2]

    assert not re.search(r"@\w|www\.|(?<!\\):/|(?<!\\)[_*]", sentence)
    assert read(sentence).prose == [
        f"Airflow ended the run of {name} as failed after 2 m 12 s. Failed: {name}.".replace("@", "@\u2060")
    ]


LONG = "任" * 250


@pytest.mark.parametrize(
    "name", ["t" * 250, LONG, "|" * 250, "`" * 250, "\ud800" * 250], ids=["ascii", "wide", "|", "`", "sur"]
)
def test_size(name: str) -> None:
    """With 5000 task instances and the longest names the summary stays below the runner's limit, failures on top."""
    url = f"https://airflow.example.com/dags/{name}/runs/{name}/tasks/{name}"
    states = ["success"] * 4990 + ["failed"] * 10
    tasks = tuple(a_task(f"{name}{n}", state=state, map_index=n, url=url) for n, state in enumerate(states))
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


def test_thousand_rows() -> None:
    """Of ordinary task instances a thousand are shown, and the rest is counted."""
    seen = page(an_outcome(tasks=tuple(a_task("t", map_index=n) for n in range(1001))))

    assert len(seen.tables[1]) == 1001
    assert seen.prose[-1] == "1 more task instances are not shown here; Airflow shows them all."


def test_all_rows() -> None:
    """When all task instances are shown nothing is said about more."""
    assert "more task instances" not in summary(an_outcome(), None)


def test_endless_evidence() -> None:
    """Evidence of any length leaves room for the rest."""
    text = summary(an_outcome(result="error", error=ActionError("Title", "🚀 \ud800 " * 500_000, "hint")), None)

    assert len(text.encode(errors="backslashreplace")) < MAX_SUMMARY_BYTES
    assert "What to do next:** hint" in text


@settings(max_examples=20)
@given(hostile)
def test_without_a_context(text: str) -> None:
    """Without a context, as when the runner's variables are missing, the summary lacks the commit and nothing else."""
    outcome = replace(an_outcome(), airflow_version=text or "x")

    assert "Commit" not in facts(read(summary(outcome, None)))
