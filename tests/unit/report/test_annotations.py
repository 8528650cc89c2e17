"""The annotations at the end of a step: one for the result, and some on lines of code."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from dev.runner import Annotation
from dev.runner.commands import StepLog
from entrypoint.errors import ActionError, ExceptionInfo, StackFrame
from entrypoint.models import Blocker, Failure, Outcome, RunState
from entrypoint.report.annotations import MAX_CODE_ANNOTATIONS, annotate, annotate_code
from entrypoint.report.console import Console
from entrypoint.report.publish import publish
from entrypoint.runners import github as commands
from entrypoint.runners.sanitize import one_safe_line
from tests.support.factories import RUN_URL, a_context, a_run, a_step, a_task, an_outcome
from tests.support.markdown import hostile
from tests.support.runner_log import runner_log

FAILED_TASK = (a_task("a", state="failed"),)
ERROR = ActionError("The DAG is paused", "Airflow would queue it forever.", "Unpause it.")
MAX_ANNOTATIONS = 10
"""GitHub shows ten of each level (docs/notes/runner.md#annotations)."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout with a DAG and its helper, of a hundred lines each."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("dags/sales.py", "dags/helpers.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("pass\n" * 100, encoding="utf-8")
    return folder


def result_annotation(outcome: Outcome) -> Annotation:
    log = runner_log(lambda: annotate(outcome, commands))
    (annotation,) = log.annotations
    assert only_annotated(log)
    return annotation


def shown_lines(text: str) -> str:
    """Return the text as the runner shows it, without terminal escapes and commands."""
    return "\n".join(one_safe_line(line) for line in text.split("\n"))


def only_annotated(log: StepLog) -> bool:
    return (log.masks, log.unexpected, log.outputs, log.state, log.failed) == (
        set(),
        [],
        {},
        {},
        False,
    )


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (an_outcome(), "notice"),
        (an_outcome(tasks=None), "notice"),
        (an_outcome(tasks=FAILED_TASK), "warning"),
        (an_outcome(tasks=()), "warning"),
        (an_outcome(result="triggered", tasks=None), "notice"),
        (an_outcome(result="failed", run=a_run(state="failed")), "error"),
        (
            an_outcome(result="timeout", run=a_run(state="running", end_date=None), tasks=None),
            "error",
        ),
        (an_outcome(result="error", error=ERROR), "error"),
        (an_outcome(result="cancelled"), "error"),
        (Outcome(result="error", error=ERROR), "error"),
    ],
    ids=lambda value: value.result if isinstance(value, Outcome) else value,
)
def test_level_is_error_warning_or_notice_by_result(outcome: Outcome, level: str) -> None:
    """A success with failed tasks, or in which nothing ran, is a warning."""
    assert result_annotation(outcome).level == level


def test_annotation_has_cause_evidence_hint_and_link() -> None:
    assert result_annotation(an_outcome(result="error", error=ERROR)) == Annotation(
        "error",
        f"Airflow would queue it forever.\nUnpause it.\nDAG run: {RUN_URL}",
        "The DAG is paused",
    )


def test_missing_hint_and_link_leave_no_empty_line() -> None:
    assert result_annotation(an_outcome()).message.splitlines()[1:] == [f"DAG run: {RUN_URL}"]
    assert result_annotation(Outcome(result="error", error=ERROR)).message.splitlines()[1:] == [
        "Unpause it."
    ]


def test_long_evidence_does_not_cut_off_hint_and_link() -> None:
    error = ActionError(
        "Airflow refused the parameters", "conf.region: not allowed; " * 1000, "Correct conf."
    )
    message = result_annotation(an_outcome(result="error", error=error)).message

    assert message.endswith(f"…\nCorrect conf.\nDAG run: {RUN_URL}")
    assert 3900 < len(message) <= 4000


@pytest.mark.parametrize("text", ["\ud800 ", "##[error] "])
def test_text_that_grows_when_escaped_does_not_cut_off_hint_and_link(text: str) -> None:
    message = result_annotation(
        an_outcome(result="error", error=ActionError("T", text * 3000, "Correct conf."))
    ).message

    assert message.endswith(f"\nCorrect conf.\nDAG run: {RUN_URL}")


def test_failure_begins_with_its_reason() -> None:
    """A list of annotations shows only the first lines."""
    failure = Failure(FAILED_TASK[0], "ValueError: could not convert 'n/a'")
    message = result_annotation(a_failed_run(failure)).message

    assert "could not convert 'n/a'" in message.splitlines()[0]
    assert message.endswith(f"\nDAG run: {RUN_URL}")


def test_timeout_begins_with_its_blockers() -> None:
    blocker = Blocker("The pool reports is full", "All 4 slots are taken.", "Give it more slots.")
    run = a_run(state="running", end_date=None)
    message = result_annotation(
        an_outcome(result="timeout", run=run, tasks=(), blockers=(blocker,))
    ).message

    assert "The pool reports is full" in message.splitlines()[0]
    assert "Give it more slots." in message


def test_5000_failures_leave_room_for_hint_and_link() -> None:
    tasks = tuple(a_task(f"t{n}", state="failed") for n in range(5000))
    failures = tuple(Failure(task, "ValueError: " + "word " * 10_000) for task in tasks[:20])
    message = result_annotation(
        an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks, failures=failures)
    ).message

    assert len(message) <= 4000
    assert message.splitlines()[0].startswith("t0 failed")
    assert message.endswith(f"\nDAG run: {RUN_URL}")


@given(hostile)
def test_hostile_evidence_stays_within_the_annotation(text: str) -> None:
    error = ActionError("Title", text, "hint")
    note = result_annotation(an_outcome(result="error", error=error))

    assert (note.level, note.title) == ("error", "Title")
    assert note.message == f"{shown_lines(text)}\nhint\nDAG run: {RUN_URL}"


def a_failed_run(*failures: Failure, **changes: Any) -> Outcome:
    tasks = tuple(failure.task for failure in failures)
    return an_outcome(
        **{"result": "failed", "run": a_run(state="failed"), "tasks": tasks, "failures": failures}
        | changes
    )


def an_exception(
    *places: tuple[str, int], kind: str = "ValueError", text: str = "could not convert"
) -> ExceptionInfo:
    """Return an exception with these frames; the last one raised it."""
    return ExceptionInfo(
        kind,
        text,
        tuple(StackFrame(f"/opt/airflow/{name}", line, "f") for name, line in places),
    )


def a_failure(task_id: str, *chain: ExceptionInfo) -> Failure:
    return Failure(a_task(task_id, state="failed"), str(chain[0]) if chain else "unknown", chain)


def code_annotations(outcome: Outcome, workspace: Path) -> list[Annotation]:
    log = runner_log(lambda: annotate_code(outcome, workspace, commands))
    assert only_annotated(log)
    return log.annotations


def annotated_places(outcome: Outcome, workspace: Path) -> list[tuple[str, int | None]]:
    return [(note.file, note.line) for note in code_annotations(outcome, workspace)]


def test_code_annotation_names_task_exception_and_link(workspace: Path) -> None:
    (note,) = code_annotations(
        a_failed_run(a_failure("join", an_exception(("dags/sales.py", 48)))), workspace
    )

    assert (note.level, note.file, note.line) == ("error", "dags/sales.py", 48)
    assert "join" in note.title
    assert "ValueError" in note.title
    assert note.message.startswith("ValueError: could not convert\n")
    assert RUN_URL in note.message


def test_code_annotation_is_a_warning_if_the_step_passes(workspace: Path) -> None:
    outcome = a_failed_run(
        a_failure("join", an_exception(("dags/sales.py", 48))), result="success", run=a_run()
    )

    assert [note.level for note in code_annotations(outcome, workspace)] == ["warning"]


SITE = "lib/python3.12/site-packages/dags/sales.py"


@pytest.mark.parametrize(
    ("frames", "place"),
    [
        # The innermost frame in the checkout.
        ((("dags/sales.py", 3), ("dags/helpers.py", 17)), ("dags/helpers.py", 17)),
        ((("dags/sales.py", 3), (SITE, 5)), ("dags/sales.py", 3)),
        (
            (("dags/sales.py", 3), ("dags/sales.py", 9), (SITE, 5), ("lib/other.py", 1)),
            ("dags/sales.py", 9),
        ),
        # Another version of a file may have run.
        ((("dags/sales.py", 3), ("dags/helpers.py", 101)), ("dags/sales.py", 3)),
        ((("dags/sales.py", 100),), ("dags/sales.py", 100)),
        ((("dags/sales.py", 101),), None),
        ((("dags/sales.py", 0), ("dags/sales.py", -5)), None),
        # Nothing in the checkout.
        (((SITE, 5), ("lib/other.py", 1)), None),
        ((), None),
    ],
)
def test_code_annotation_is_on_the_innermost_line_of_the_checkout(
    workspace: Path, frames: tuple[tuple[str, int], ...], place: tuple[str, int] | None
) -> None:
    assert annotated_places(a_failed_run(a_failure("join", an_exception(*frames))), workspace) == (
        [place] if place else []
    )


@pytest.mark.parametrize(
    ("origin", "file"),
    [
        ("octo-org/sales", "dags/sales.py"),
        ("Octo-Org/Sales", "dags/sales.py"),
        ("mona/sales", "dags/sales.py"),
        ("octo-org/other", ""),
    ],
)
def test_file_is_named_relative_to_the_root_of_the_workflows_repository(
    tmp_path: Path, origin: str, file: str
) -> None:
    """That of a fork has the same files, and that of another repository has no annotation."""
    root = tmp_path / "a" / "src"
    for name, text in (
        ("dags/sales.py", "pass\n" * 9),
        (".git/config", f'[remote "origin"]\n\turl = https://github.com/{origin}\n'),
    ):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text, encoding="utf-8")
    (tmp_path / "event.json").write_text(
        '{"pull_request": {"head": {"repo": {"full_name": "mona/sales"}}}}'
    )
    outcome = a_failed_run(a_failure("join", an_exception(("dags/sales.py", 8))))
    context = a_context(workspace=tmp_path, event=tmp_path / "event.json")
    log = runner_log(lambda: publish(a_step(outcome), context, commands, write_summary=False))
    note = log.annotations[0]

    assert (note.file, note.line) == (file, 8 if file else None)
    assert ("In octo-org/other: dags/sales.py, line 8" in note.message) is (not file)


def test_raising_lines_come_before_lines_of_causes(workspace: Path) -> None:
    chains = [
        [an_exception(("dags/sales.py", 10 * n + depth)) for depth in range(3)] for n in (1, 2, 3)
    ]
    outcome = a_failed_run(*(a_failure(f"t{n}", *chain) for n, chain in enumerate(chains)))
    found = code_annotations(outcome, workspace)

    assert [note.line for note in found] == [10, 20, 30, 11, 21, 31, 12, 22, 32][: len(found)]
    assert len(found) > 3


@pytest.mark.parametrize("more", [0, 1])
def test_log_says_that_further_lines_are_not_annotated(workspace: Path, more: int) -> None:
    count = MAX_CODE_ANNOTATIONS + more
    chains = [an_exception(("dags/sales.py", line)) for line in range(1, count + 1)]
    outcome = a_failed_run(*(a_failure(f"t{n}", chain) for n, chain in enumerate(chains)))
    log = runner_log(lambda: annotate_code(outcome, workspace, commands))

    assert len(log.annotations) == MAX_CODE_ANNOTATIONS
    said = [line for line in log.lines if "The others are not annotated" in line]
    assert len(said) == more


def test_each_line_is_annotated_once(workspace: Path) -> None:
    same = [a_failure(f"t{n}", an_exception(("dags/sales.py", 48))) for n in range(20)]
    outcome = a_failed_run(*same, a_failure("other", an_exception(("dags/helpers.py", 7))))

    assert annotated_places(outcome, workspace) == [("dags/sales.py", 48), ("dags/helpers.py", 7)]


def test_import_error_is_annotated_on_its_line(workspace: Path) -> None:
    error = ActionError("The DAG's file fails to import", "why", "hint")
    error.raised = (an_exception(("dags/sales.py", 3), kind="ModuleNotFoundError"),)
    (note,) = code_annotations(Outcome(result="error", error=error), workspace)

    assert (note.file, note.line, note.level) == ("dags/sales.py", 3, "error")
    assert "fails to import" in note.title
    assert "ModuleNotFoundError" in note.title


@pytest.mark.parametrize(
    "outcome",
    [
        an_outcome(),
        Outcome(result="error", error=ERROR),
        a_failed_run(a_failure("join")),
        a_failed_run(a_failure("join", an_exception(("dags/other.py", 3)))),
    ],
    ids=["success", "error", "no exception", "another file"],
)
def test_exception_outside_the_checkout_is_not_annotated(workspace: Path, outcome: Outcome) -> None:
    assert code_annotations(outcome, workspace) == []


def test_missing_checkout_gives_no_code_annotations(tmp_path: Path) -> None:
    outcome = a_failed_run(a_failure("join", an_exception(("dags/sales.py", 48))))

    assert code_annotations(outcome, tmp_path) == []
    assert code_annotations(outcome, tmp_path / "gone") == []


def whole_step(workspace: Path, outcome: Outcome) -> StepLog:
    """Return everything that a step may print: plain HTTP, many blockers and the end."""
    console = Console(lambda: 0.0, commands)
    blockers = [Blocker(f"The pool {n} is full", "detail", "hint", RUN_URL) for n in range(12)]
    return runner_log(
        lambda: console.unencrypted("http://airflow:8080"),
        lambda: console.conf_is_large(100_000),
        *(partial(console.blocked, blocker) for blocker in blockers),
        lambda: annotate_code(outcome, workspace, commands),
        lambda: annotate(outcome, commands),
    )


@pytest.mark.parametrize("result", ["failed", "success"])
def test_step_makes_at_most_ten_annotations_of_a_level(workspace: Path, result: RunState) -> None:
    chains = [
        [an_exception(("dags/sales.py", 5 * n + depth)) for depth in range(1, 5)] for n in range(15)
    ]
    outcome = a_failed_run(*(a_failure(f"t{n}", *chain) for n, chain in enumerate(chains)))
    outcome = outcome._replace(
        result="success" if result == "success" else "failed", run=a_run(state=result)
    )
    log = whole_step(workspace, outcome)

    levels = Counter(note.level for note in log.annotations)
    assert max(levels.values()) <= MAX_ANNOTATIONS
    assert sum(line.startswith(("Error: ", "Warning: ", "Notice: ")) for line in log.lines) == len(
        log.annotations
    )
    assert sum(bool(note.file) for note in log.annotations) >= 3
    assert log.annotations[-1] == result_annotation(outcome)


@given(hostile, hostile)
def test_hostile_failure_makes_one_annotation_on_the_right_line(
    workspace: Path, kind: str, text: str
) -> None:
    chain = an_exception(("dags/sales.py", 48), (text, 3), kind=f"E{kind}", text=text)
    (note,) = code_annotations(a_failed_run(a_failure(f"t{text}", chain)), workspace)

    assert (note.level, note.file, note.line) == ("error", "dags/sales.py", 48)
    assert note.message == f"{shown_lines(str(chain))}\nDAG run: {RUN_URL}"


@pytest.mark.parametrize(
    "text",
    [
        "word " * 1_000_000,
        "x" * 5_000_000,
        "a\n" * 200_000,
        pytest.param("\ud800 " * 100_000),
    ],
    ids=["words", "one word", "lines", "surrogates"],
)
def test_long_exception_does_not_cut_off_the_link(workspace: Path, text: str) -> None:
    (note,) = code_annotations(
        a_failed_run(a_failure("t", an_exception(("dags/sales.py", 48), text=text))), workspace
    )

    assert note.message.startswith("ValueError:")
    assert note.message.endswith(RUN_URL)
    assert len(note.message) <= 4000
