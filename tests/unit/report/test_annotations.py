"""The annotations at the end: the one verdict, whatever comes, and the lines of the checkout that
failed.
"""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from dev.runner import Annotation
from dev.runner.commands import StepLog
from entrypoint.errors import ActionError, ExceptionInfo, StackFrame
from entrypoint.models import Blocker, Failure, Outcome, RunState
from entrypoint.report.annotations import annotate, annotate_code
from entrypoint.report.console import Console
from entrypoint.runners import github as commands
from entrypoint.runners.sanitize import one_safe_line
from tests.support.factories import RUN_URL, a_run, a_task, an_outcome
from tests.support.listening import heard
from tests.support.markdown import hostile

FAILED_TASK = (a_task("a", state="failed"),)
ERROR = ActionError("The DAG is paused", "Airflow would queue it for ever.", "Unpause it.")
MOST = 10
"""What GitHub shows of a step, of each level (docs/notes/runner.md#annotations); the issue allows
as many in all.
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a DAG and its helper, of a hundred lines each."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("dags/sales.py", "dags/helpers.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("pass\n" * 100, encoding="utf-8")
    return folder


def verdict(outcome: Outcome) -> Annotation:
    """The one annotation for an outcome."""
    log = heard(lambda: annotate(outcome, commands))
    (annotation,) = log.annotations
    assert nothing_else(log)
    return annotation


def shown(text: str) -> str:
    """A text as it is shown: line by line without what terminals or the runner would take for
    commands.
    """
    return "\n".join(one_safe_line(line) for line in text.split("\n"))


def nothing_else(log: StepLog) -> bool:
    """Whether the runner was asked for nothing but annotations."""
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
def test_level(outcome: Outcome, level: str) -> None:
    """What does not pass is an error, a pass with failed tasks a warning, any other pass a
    notice.
    """
    assert verdict(outcome).level == level


def test_words() -> None:
    """The annotation says cause, evidence, remedy and where the run is."""
    assert verdict(an_outcome(result="error", error=ERROR)) == Annotation(
        "error",
        f"Airflow would queue it for ever.\nUnpause it.\nDAG run: {RUN_URL}",
        "The DAG is paused",
    )


def test_nothing_to_do() -> None:
    """Without a remedy and without a run there is no empty line."""
    assert verdict(an_outcome()).message.splitlines()[1:] == [f"DAG run: {RUN_URL}"]
    assert verdict(Outcome(result="error", error=ERROR)).message.splitlines()[1:] == ["Unpause it."]


def test_at_length() -> None:
    """However much Airflow says, the runner does not cut off the remedy and the link."""
    error = ActionError(
        "Airflow refused the parameters", "conf.region: not allowed; " * 1000, "Correct conf."
    )
    message = verdict(an_outcome(result="error", error=error)).message

    assert message.endswith(f"…\nCorrect conf.\nDAG run: {RUN_URL}")
    assert 3900 < len(message) <= 4000


@pytest.mark.parametrize("text", ["\ud800 ", "##[error] "])
def test_text_that_grows(text: str) -> None:
    """What is written in more characters than it has does not push out the remedy and the link
    either.
    """
    message = verdict(
        an_outcome(result="error", error=ActionError("T", text * 3000, "Correct conf."))
    ).message

    assert message.endswith(f"\nCorrect conf.\nDAG run: {RUN_URL}")


def test_reasons_first() -> None:
    """The verdict of a failure begins with the reason: a list of annotations shows the first lines
    only.
    """
    failure = Failure(FAILED_TASK[0], "ValueError: could not convert 'n/a'")
    message = verdict(a_failed_run(failure)).message

    assert "could not convert 'n/a'" in message.splitlines()[0]
    assert message.endswith(f"\nDAG run: {RUN_URL}")


def test_blockers_first() -> None:
    """The verdict of a timeout begins with what blocks the run."""
    blocker = Blocker("The pool reports is full", "All 4 slots are taken.", "Give it more slots.")
    run = a_run(state="running", end_date=None)
    message = verdict(an_outcome(result="timeout", run=run, tasks=(), blockers=(blocker,))).message

    assert "The pool reports is full" in message.splitlines()[0]
    assert "Give it more slots." in message


def test_very_many_failures() -> None:
    """With 5000 failures, each with an endless cause, the verdict still has its remedy and its
    link.
    """
    tasks = tuple(a_task(f"t{n}", state="failed") for n in range(5000))
    failures = tuple(Failure(task, "ValueError: " + "word " * 10_000) for task in tasks[:20])
    message = verdict(
        an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks, failures=failures)
    ).message

    assert len(message) <= 4000
    assert message.splitlines()[0].startswith("t0 failed")
    assert message.endswith(f"\nDAG run: {RUN_URL}")


@given(hostile)
def test_hostile_evidence(text: str) -> None:
    """Whatever Airflow says, it is the evidence in the one annotation, before the remedy and the
    link.
    """
    error = ActionError("Title", text, "hint")
    note = verdict(an_outcome(result="error", error=error))

    assert (note.level, note.title) == ("error", "Title")
    assert note.message == f"{shown(text)}\nhint\nDAG run: {RUN_URL}"


def a_failed_run(*failures: Failure, **changes: Any) -> Outcome:
    """A DAG run that failed for these reasons."""
    tasks = tuple(failure.task for failure in failures)
    return an_outcome(
        **{"result": "failed", "run": a_run(state="failed"), "tasks": tasks, "failures": failures}
        | changes
    )


def raised(
    *places: tuple[str, int], kind: str = "ValueError", text: str = "could not convert"
) -> ExceptionInfo:
    """An exception with these frames, the one that raised it last."""
    return ExceptionInfo(
        kind, text, tuple(StackFrame(f"/opt/airflow/{name}", line, "f") for name, line in places)
    )


def failure(task_id: str, *chain: ExceptionInfo) -> Failure:
    """A task instance that failed with an exception and its causes."""
    return Failure(a_task(task_id, state="failed"), str(chain[0]) if chain else "unknown", chain)


def on_code(outcome: Outcome, workspace: Path) -> list[Annotation]:
    """The annotations on the lines of the checkout."""
    log = heard(lambda: annotate_code(outcome, workspace, commands))
    assert nothing_else(log)
    return log.annotations


def places(outcome: Outcome, workspace: Path) -> list[tuple[str, int | None]]:
    """The lines of the checkout that are annotated."""
    return [(note.file, note.line) for note in on_code(outcome, workspace)]


def test_code(workspace: Path) -> None:
    """The line that raised says which task failed, with which exception, and where the run is."""
    (note,) = on_code(a_failed_run(failure("join", raised(("dags/sales.py", 48)))), workspace)

    assert (note.level, note.file, note.line) == ("error", "dags/sales.py", 48)
    assert "join" in note.title
    assert "ValueError" in note.title
    assert note.message.startswith("ValueError: could not convert\n")
    assert RUN_URL in note.message


def test_code_of_a_step_that_passes(workspace: Path) -> None:
    """Where the step passes all the same, failures on the code are warnings."""
    outcome = a_failed_run(
        failure("join", raised(("dags/sales.py", 48))), result="success", run=a_run()
    )

    assert [note.level for note in on_code(outcome, workspace)] == ["warning"]


SITE = "lib/python3.12/site-packages/dags/sales.py"


@pytest.mark.parametrize(
    ("frames", "place"),
    [
        # The innermost frame that lies in the checkout.
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
def test_place(
    workspace: Path, frames: tuple[tuple[str, int], ...], place: tuple[str, int] | None
) -> None:
    """An exception is put on the innermost line of it that the checkout has, if there is one."""
    assert places(a_failed_run(failure("join", raised(*frames))), workspace) == (
        [place] if place else []
    )


def test_by_turns(workspace: Path) -> None:
    """First each failure is put where it was raised, then where its causes were, so that none is
    crowded out.
    """
    chains = [[raised(("dags/sales.py", 10 * n + depth)) for depth in range(3)] for n in (1, 2, 3)]
    outcome = a_failed_run(*(failure(f"t{n}", *chain) for n, chain in enumerate(chains)))
    found = on_code(outcome, workspace)

    assert [note.line for note in found] == [10, 20, 30, 11, 21, 31, 12, 22, 32][: len(found)]
    assert len(found) > 3


def test_a_line_is_marked_once(workspace: Path) -> None:
    """Many task instances that fail at the same line make one annotation of it, and leave room for
    others.
    """
    same = [failure(f"t{n}", raised(("dags/sales.py", 48))) for n in range(20)]
    outcome = a_failed_run(*same, failure("other", raised(("dags/helpers.py", 7))))

    assert places(outcome, workspace) == [("dags/sales.py", 48), ("dags/helpers.py", 7)]


def test_import_error(workspace: Path) -> None:
    """The line at which the DAG's file fails to import is marked, though no task ran."""
    error = ActionError("The DAG's file fails to import", "why", "hint")
    error.raised = (raised(("dags/sales.py", 3), kind="ModuleNotFoundError"),)
    (note,) = on_code(Outcome(result="error", error=error), workspace)

    assert (note.file, note.line, note.level) == ("dags/sales.py", 3, "error")
    assert "fails to import" in note.title
    assert "ModuleNotFoundError" in note.title


@pytest.mark.parametrize(
    "outcome",
    [
        an_outcome(),
        Outcome(result="error", error=ERROR),
        a_failed_run(failure("join")),
        a_failed_run(failure("join", raised(("dags/other.py", 3)))),
    ],
    ids=["success", "error", "no exception", "another file"],
)
def test_no_code(workspace: Path, outcome: Outcome) -> None:
    """Without an exception in the checkout nothing is marked."""
    assert on_code(outcome, workspace) == []


def test_no_checkout(tmp_path: Path) -> None:
    """Without a checkout nothing is marked."""
    outcome = a_failed_run(failure("join", raised(("dags/sales.py", 48))))

    assert on_code(outcome, tmp_path) == []
    assert on_code(outcome, tmp_path / "gone") == []


def story(workspace: Path, outcome: Outcome) -> StepLog:
    """Everything that a step may print, as the runner hears it: a plain connection, many blockers,
    the end.
    """
    console = Console(lambda: 0.0, commands)
    blockers = [Blocker(f"The pool {n} is full", "detail", "hint", RUN_URL) for n in range(12)]
    return heard(
        lambda: console.unencrypted("http://airflow:8080"),
        *(partial(console.blocked, blocker) for blocker in blockers),
        lambda: annotate_code(outcome, workspace, commands),
        lambda: annotate(outcome, commands),
    )


@pytest.mark.parametrize("result", ["failed", "success"])
def test_at_most_ten(workspace: Path, result: RunState) -> None:
    """However much goes wrong, a step makes ten annotations at the most, the verdict among them, in
    red ones or green.
    """
    chains = [
        [raised(("dags/sales.py", 5 * n + depth)) for depth in range(1, 5)] for n in range(15)
    ]
    outcome = a_failed_run(*(failure(f"t{n}", *chain) for n, chain in enumerate(chains)))
    outcome = outcome._replace(
        result="success" if result == "success" else "failed", run=a_run(state=result)
    )
    log = story(workspace, outcome)

    assert len(log.annotations) <= MOST
    assert sum(line.startswith(("Error: ", "Warning: ", "Notice: ")) for line in log.lines) == len(
        log.annotations
    )
    assert sum(bool(note.file) for note in log.annotations) >= 3
    assert log.annotations[-1] == verdict(outcome)


@given(hostile, hostile)
def test_hostile_failures(workspace: Path, kind: str, text: str) -> None:
    """Whatever exceptions, tasks and files are called, there is one annotation on the code, and it
    is on the right line.
    """
    chain = raised(("dags/sales.py", 48), (text, 3), kind=f"E{kind}", text=text)
    (note,) = on_code(a_failed_run(failure(f"t{text}", chain)), workspace)

    assert (note.level, note.file, note.line) == ("error", "dags/sales.py", 48)
    assert note.message == f"{shown(str(chain))}\nDAG run: {RUN_URL}"


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
def test_endless_exceptions(workspace: Path, text: str) -> None:
    """An exception of any length is cut below the runner's limit, and the link to the run is not
    cut off.
    """
    (note,) = on_code(
        a_failed_run(failure("t", raised(("dags/sales.py", 48), text=text))), workspace
    )

    assert note.message.startswith("ValueError:")
    assert note.message.endswith(RUN_URL)
    assert len(note.message) <= 4000
