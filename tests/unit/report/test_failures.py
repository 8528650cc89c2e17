"""Failures in the summary."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import ActionError, ExceptionInfo, StackFrame
from entrypoint.models import Blocker, Failure, Outcome, TaskInstance
from entrypoint.report.failures import failed_tasks, reasons
from entrypoint.report.wording import outcome_message
from tests.support.factories import a_run, a_task, an_outcome
from tests.support.markdown import HOSTILE_TEXTS, Page, hostile, read

ROOT = ExceptionInfo(
    "ValueError",
    "could not convert 'n/a'",
    (StackFrame("/dags/sales.py", 48, "join"), StackFrame("/dags/h.py", 17, "f")),
)
CHAIN = (
    ExceptionInfo("SalesError", "cannot join", (StackFrame("/dags/sales.py", 48, "join"),)),
    ROOT,
)


def a_failure(task: TaskInstance | None = None, **changes: Any) -> Failure:
    """Return a task instance that failed at its second try with an exception and its cause."""
    task = task or a_task("join", state="failed", try_number=2, max_tries=1, duration=7.4)
    return Failure(
        task, "SalesError: cannot join", CHAIN, ("first line", "last line"), 1198
    )._replace(**changes)


def failed_run(
    *failures: Failure, others: tuple[TaskInstance, ...] = (), **changes: Any
) -> Outcome:
    """Return a DAG run that failed for these reasons; other reasons are unknown."""
    tasks = tuple(failure.task for failure in failures) + others
    return an_outcome(
        **{"result": "failed", "run": a_run(state="failed"), "tasks": tasks, "failures": failures}
        | changes
    )


def rendered(*parts: str) -> Page:
    """Render these parts of a summary; following text must not become part of them."""
    seen = read("\n\n".join([*parts, "after"]))
    assert seen.prose[-1] == "after"
    return seen


def first_screen(outcome: Outcome) -> Page:
    return rendered(*reasons(outcome, outcome_message(outcome)))


def failure_section(outcome: Outcome) -> Page:
    return rendered(*failed_tasks(outcome))


def test_exception_is_shown_with_its_place_and_its_causes() -> None:
    seen = first_screen(failed_run(a_failure()))
    (shown,) = seen.blocks

    assert re.search(
        r"SalesError: cannot join\n.*sales\.py.*48.*\n.*\nValueError: could not .*\n.*h\.py.*17",
        shown,
    )
    assert seen.prose[0] == "❌ join failed after 7.4 s (try 2 of 2):"
    assert seen.links == [("join", a_task("join").url)]


def test_cause_without_an_exception_is_one_line() -> None:
    assert first_screen(failed_run(a_failure(raised=(), cause="it never started"))).blocks == [
        "it never started\n"
    ]


def test_exception_without_frames_is_shown_by_name() -> None:
    assert first_screen(failed_run(a_failure(raised=(ExceptionInfo("KeyError", ""),)))).blocks == [
        "KeyError\n"
    ]


@pytest.mark.parametrize("count", [1, 3, 4, 20])
def test_first_screen_shows_some_reasons_and_counts_the_rest(count: int) -> None:
    failures = [a_failure(a_task(f"t{n}", state="failed")) for n in range(count)]
    seen = first_screen(failed_run(*failures, others=(a_task("x"),)))
    rest = count - len(seen.blocks)

    assert 1 <= len(seen.blocks) <= 3
    assert any(re.match(rf"{rest} more failed", text) for text in seen.prose) is (rest > 0)


def test_without_reasons_the_result_names_the_failed_tasks() -> None:
    tasks = (a_task("a", state="failed"), a_task("b"))
    outcome = an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks)

    assert any("a" in text for text in first_screen(outcome).prose[:-1])
    assert len(first_screen(outcome._replace(tasks=None)).prose) == 2
    assert len(first_screen(outcome._replace(tasks=(a_task(),))).prose) == 2


def test_error_of_the_action_shows_its_own_text() -> None:
    assert (
        list(
            reasons(
                failed_run(a_failure(), result="error", error=ActionError("T", "d", "h")),
                outcome_message(failed_run()),
            )
        )
        == []
    )


def test_blocker_is_shown_with_evidence_and_link() -> None:
    blockers = (
        Blocker("The DAG is paused", "Nothing runs.", "Unpause it."),
        Blocker("B", "d", "h", "https://x.example/r"),
    )
    seen = first_screen(
        an_outcome(result="timeout", run=a_run(state="running"), tasks=(), blockers=blockers)
    )

    assert "The DAG is paused" in seen.prose[0]
    assert "Nothing runs." in seen.prose[0]
    assert [address for _, address in seen.links] == ["https://x.example/r"]


def test_section_is_missing_without_failures() -> None:
    assert list(failed_tasks(an_outcome())) == []
    assert list(failed_tasks(an_outcome(tasks=None))) == []


def test_each_log_is_folded_with_task_try_and_length() -> None:
    outcome = failed_run(
        a_failure(), a_failure(a_task("x", state="failed"), lines_omitted=0), others=(a_task(),)
    )
    text = "\n\n".join(failed_tasks(outcome))
    titles = re.findall(r"^<details><summary>(.*)</summary>$", text, re.MULTILINE)
    seen = failure_section(outcome)

    assert seen.headings == ["Failed: 2 of 3 task instances"]
    assert seen.blocks == ["first line\nlast line\n"] * 2
    assert seen.markup == ["html_block"] * 4
    assert titles[0].startswith("Log of join (try 2 of 2)")
    assert "2 of 1200 lines" in titles[0]
    assert "lines" not in titles[1]


def test_missing_log_has_no_fold() -> None:
    assert failure_section(failed_run(a_failure(log=()))).markup == []


def test_each_reason_is_shown_once() -> None:
    failures = [
        a_failure(
            a_task(f"t{n}", state="failed"), raised=(), cause=f"cause-{n}.", log=(f"log-{n}.",)
        )
        for n in range(20)
    ]
    outcome = failed_run(*failures)
    blocks = first_screen(outcome).blocks + failure_section(outcome).blocks

    assert sorted(blocks) == sorted(
        f"{kind}-{n}.\n" for kind in ("cause", "log") for n in range(20)
    )


def test_number_of_unread_logs_is_shown() -> None:
    others = tuple(a_task("load", state="failed", map_index=n) for n in range(80))
    (text,) = [
        text
        for text in failure_section(failed_run(a_failure(), others=others)).prose
        if "not read" in text
    ]

    assert re.search(r"\b80\b", text)


def test_mapped_task_instances_are_named_as_ranges() -> None:
    tasks = [a_task("load", state="failed", map_index=n) for n in (0, 1, 2, 3, 7)]
    outcome = failed_run(
        *(a_failure(task) for task in tasks), others=(a_task("clean", state="failed"), a_task("x"))
    )

    assert "load[0-3, 7], clean" in failure_section(outcome).code


def test_5000_failed_mapped_instances_are_all_named() -> None:
    mapped = tuple(a_task("load", state="failed", map_index=n) for n in range(4000))
    single = tuple(a_task(f"t{n}", state="failed") for n in range(1000))

    assert (
        f"load[0-3999], {', '.join(task.name for task in single)}"
        in failure_section(failed_run(others=mapped + single)).code
    )


def test_5000_failed_tasks_with_ordinary_names_are_all_named() -> None:
    names = [f"transform_customer_orders_{n:04}" for n in range(5000)]
    outcome = failed_run(others=tuple(a_task(name, state="failed") for name in names))

    assert set(names) <= set(re.findall(r"transform_\w+", " ".join(failure_section(outcome).code)))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5_000_000,
        "word " * 1_000_000,
        "a\n" * 200_000,
        "\ud800 " * 100_000,
        "\x1b[31m" * 100_000,
        "`" * 100_000,
    ],
    ids=["one word", "words", "lines", "surrogates", "colours", "backticks"],
)
def test_long_cause_and_log_are_cut_within_their_blocks(text: str) -> None:
    raised = (ExceptionInfo("ValueError", text, (StackFrame(text, 1, text),)),) * 20
    failures = [a_failure(raised=raised), a_failure(raised=(), cause=text), a_failure(log=(text,))]
    top = "\n\n".join(reasons(failed_run(*failures), outcome_message(failed_run(*failures))))
    below = "\n\n".join(failed_tasks(failed_run(*failures)))

    assert len(top) < 20_000
    assert len(below) < 100_000
    assert (len(rendered(top).blocks), rendered(top).markup) == (3, [])
    assert (len(rendered(below).blocks), rendered(below).markup) == (3, ["html_block"] * 6)


def test_long_log_keeps_its_end_from_a_line_start() -> None:
    lines = [f"line {n:06} {'.' * 80}" for n in range(20_000)]
    (shown,) = failure_section(failed_run(a_failure(log=tuple(lines)))).blocks
    note, *rest = shown.removesuffix("\n").split("\n")

    assert "cut" in note
    assert rest == lines[-len(rest) :]
    assert len(rest) > 100


def test_root_exception_is_shown_for_a_long_chain() -> None:
    long = tuple(
        ExceptionInfo("E", "word " * 400, (StackFrame("/dags/a.py", n, "f"),)) for n in range(5)
    )
    (shown,) = first_screen(failed_run(a_failure(raised=(*long, ROOT)))).blocks

    assert str(ROOT) in shown
    assert "/dags/h.py" in shown


def failure_saying(text: str) -> Failure:
    """Return a failure with this text in every field."""
    raised = (
        ExceptionInfo(text, text, (StackFrame(text, 1, text),)),
        ExceptionInfo(text, text, (StackFrame(text, 2, text),)),
    )
    return Failure(
        a_task(text, state="failed", map_index=3, max_tries=1), text, raised, (text, text), 7
    )


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_text_adds_no_markup(text: str) -> None:
    outcome = failed_run(failure_saying(text), failure_saying(text), others=(a_task("x"),))
    top, below = first_screen(outcome), failure_section(outcome)

    assert (len(top.blocks), top.markup, top.headings, top.tables) == (2, [], [], [])
    assert [address.startswith("https://airflow.example.com/") for _, address in top.links] == [
        True,
        True,
    ]
    assert (len(below.blocks), below.markup) == (2, ["html_block"] * 4)
    assert (below.headings, below.tables, below.links) == (
        ["Failed: 2 of 3 task instances"],
        [],
        [],
    )


@given(st.lists(hostile.filter(lambda text: "\x1b" not in text), min_size=1, max_size=5))
def test_any_markup_characters_stay_text(texts: list[str]) -> None:
    outcome = failed_run(*(failure_saying(text) for text in texts), others=(a_task("x"),))
    top, below = first_screen(outcome), failure_section(outcome)
    shown = min(len(texts), 3)

    assert (len(top.blocks), top.markup, top.headings, len(top.links)) == (shown, [], [], shown)
    assert len(below.blocks) == 2 * len(texts) - shown
    assert below.markup == ["html_block"] * 2 * len(texts)
    assert len(below.links) == len(texts) - shown
    assert all(
        address.startswith("https://airflow.example.com/") for _, address in top.links + below.links
    )


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_blocker_is_one_sentence_with_one_link(text: str) -> None:
    blocker = Blocker(
        f"The pool {text} is full", f"It asks: {text}", text, f"https://airflow.example.com/{text}"
    )
    outcome = an_outcome(
        result="timeout", run=a_run(state="running"), tasks=(), blockers=(blocker, blocker)
    )
    seen = first_screen(outcome)

    assert (seen.markup, seen.blocks, seen.tables, seen.headings) == ([], [], [], [])
    assert len(seen.prose) == 3
    assert [address.startswith("https://airflow.example.com/") for _, address in seen.links] == [
        True,
        True,
    ]
    assert not any(re.search(r"@\w", shown) for shown in seen.prose)
