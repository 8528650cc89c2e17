"""The one verdict annotation: its level, and that cause, remedy and link survive every length."""

import pytest
from hypothesis import given

from dev.runner import Annotation
from entrypoint.errors import ActionError
from entrypoint.models import Outcome
from entrypoint.report.annotations import annotate
from tests.support.listening import heard
from tests.support.markdown import hostile
from tests.support.nouns import RUN_URL, a_run, a_task, an_outcome

FAILED_TASK = (a_task("a", state="failed"),)
ERROR = ActionError("The DAG is paused", "Airflow would queue it for ever.", "Unpause it.")


def verdict(outcome: Outcome) -> Annotation:
    """The one annotation for an outcome."""
    log = heard(lambda: annotate(outcome))
    (annotation,) = log.annotations
    assert (log.masks, log.unexpected, log.failed) == (set(), [], False)
    return annotation


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (an_outcome(), "notice"),
        (an_outcome(tasks=None), "notice"),
        (an_outcome(tasks=FAILED_TASK), "warning"),
        (an_outcome(result="triggered", tasks=None), "notice"),
        (an_outcome(result="failed", run=a_run(state="failed")), "error"),
        (an_outcome(result="timeout", run=a_run(state="running", end_date=None), tasks=None), "error"),
        (an_outcome(result="error", error=ERROR), "error"),
        (an_outcome(result="cancelled"), "error"),
        (Outcome(result="error", error=ERROR), "error"),
    ],
    ids=lambda value: value.result if isinstance(value, Outcome) else value,
)
def test_level(outcome: Outcome, level: str) -> None:
    """What does not pass is an error, a pass with failed tasks a warning, any other pass a notice."""
    assert verdict(outcome).level == level


def test_words() -> None:
    """The annotation says cause, evidence, remedy and where the run is."""
    assert verdict(an_outcome(result="error", error=ERROR)) == Annotation(
        "error", f"Airflow would queue it for ever.\nUnpause it.\nDAG run: {RUN_URL}", "The DAG is paused"
    )


def test_nothing_to_do() -> None:
    """Without a remedy and without a run there is no empty line."""
    assert verdict(an_outcome()).message.splitlines()[1:] == [f"DAG run: {RUN_URL}"]
    assert verdict(Outcome(result="error", error=ERROR)).message.splitlines()[1:] == ["Unpause it."]


def test_at_length() -> None:
    """However much Airflow says, the runner does not cut off the remedy and the link."""
    error = ActionError("Airflow refused the parameters", "conf.region: not allowed; " * 1000, "Correct conf.")
    message = verdict(an_outcome(result="error", error=error)).message

    assert message.endswith(f"…\nCorrect conf.\nDAG run: {RUN_URL}")
    assert 3900 < len(message) <= 4000


@given(hostile)
def test_hostile_evidence(text: str) -> None:
    """Whatever Airflow says arrives as it is, in the one annotation."""
    error = ActionError("Title", text, "hint")

    assert verdict(an_outcome(result="error", error=error)).message == f"{text}\nhint\nDAG run: {RUN_URL}"
