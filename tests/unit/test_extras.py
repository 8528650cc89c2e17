"""Asking for what only explains: whatever goes wrong costs the explanation and nothing else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.diagnostics.optional import AGAIN, Extras, Feature
from entrypoint.errors import (
    ActionError,
    AirflowUnreachable,
    Forbidden,
    GatewayRefused,
    NotSupported,
    NotThere,
    TooLarge,
    Unauthorized,
    UnexpectedAnswer,
)
from entrypoint.http.retry import BELIEVED, BELIEVED_LOOKS
from tests.support.scripted import Bench, Script

if TYPE_CHECKING:
    from collections.abc import Iterator

DOWN = AirflowUnreachable("down", "", "")
BUSY = AirflowUnreachable("busy", "", "", status=429, retry_after=30.0)
MISSING = Forbidden("missing", "", "")
GATEWAY = GatewayRefused("gateway", "", "")


def test_what_is_known_is_returned() -> None:
    """An answer is returned as it is, one that says nothing as well."""
    bench = Bench()
    extras = bench.extras(None)

    assert [extras.ask(Feature.POOLS, Script([answer]), "otherwise") for answer in ("answer", None, ())] == [
        "answer",
        None,
        (),
    ]
    assert (bench.told.untold, bench.told.sentences, bench.time.slept) == ([], [], [])


@pytest.mark.parametrize(
    "kind", [UnexpectedAnswer, Unauthorized, NotThere, TooLarge, NotSupported, ActionError, AirflowUnreachable]
)
@pytest.mark.parametrize("patient", [False, True])
def test_what_cannot_be_read_is_told_and_done_without(kind: type[ActionError], patient: bool) -> None:  # noqa: FBT001
    """Whatever keeps an explanation from being read is told once, with the feature it costs, and is no error."""
    bench, error = Bench(), kind("title", "detail", "")

    assert bench.extras(None).ask(Feature.LOGS, Script([error] * 9), "otherwise", patient=patient) == "otherwise"
    assert bench.told.untold == [(Feature.LOGS.gives, error)]
    assert bench.told.sentences == []


@pytest.mark.parametrize("patient", [False, True])
def test_a_missing_permission_turns_its_feature_off(patient: bool) -> None:  # noqa: FBT001
    """What stays refused is said once, with the permission by name, and never asked for again; other features go on."""
    bench, look = Bench(), Script([MISSING] * 9)
    extras = bench.extras(None)
    while bench.time.now < 1000 + 3 * BELIEVED:
        assert extras.ask(Feature.POOLS, look, "otherwise", patient=patient) == "otherwise"
        assert (Feature.POOLS in extras.turned_off) is (
            look.calls >= BELIEVED_LOOKS and bench.time.now >= 1000 + BELIEVED
        )
        bench.time.sleep(5)

    assert look.calls <= 2 * BELIEVED_LOOKS
    assert extras.ask(Feature.LOGS, Script(["answer"]), None) == "answer"
    (sentence,) = bench.told.sentences
    assert Feature.POOLS.permission in sentence
    assert list(extras.turned_off.items()) == [(Feature.POOLS, sentence)]
    assert bench.told.untold == []


@pytest.mark.parametrize("patient", [False, True])
@pytest.mark.parametrize("refusal", [MISSING, GATEWAY])
def test_a_refusal_that_passes_turns_nothing_off(patient: bool, refusal: Forbidden) -> None:  # noqa: FBT001
    """One refusal now and then is none: what was answered in between counts."""
    bench = Bench()
    extras = bench.extras(None)
    for _ in range(5):
        extras.ask(Feature.TASKS, Script([refusal, "answer"]), None, patient=patient)
        bench.time.sleep(AGAIN)
        assert extras.ask(Feature.TASKS, Script(["answer"]), None) == "answer"
    extras.settle()
    assert (extras.turned_off, bench.told.sentences, bench.told.untold) == ({}, [], [])


def test_what_is_refused_is_not_asked_for_at_once() -> None:
    """Many requests of one kind, as for the logs of many tasks, cost one refusal; the end of the run asks all the same."""
    bench, look = Bench(), Script([MISSING] * 9)
    extras = bench.extras(None)
    for _ in range(20):
        extras.ask(Feature.LOGS, look, None)
    assert look.calls == 1
    assert extras.ask(Feature.LOGS, Script(["answer"]), None, patient=True) == "answer"


@pytest.mark.parametrize(("refusal", "words"), [(MISSING, Feature.TASKS.permission), (GATEWAY, "A gateway")])
def test_a_refusal_that_was_the_last_word_is_told(refusal: Forbidden, words: str) -> None:
    """What is left out in the end is told once, and a gateway's refusal is no missing permission."""
    bench = Bench()
    extras = bench.extras(None)
    extras.ask(Feature.TASKS, Script([refusal]), None)
    assert bench.told.sentences == []
    extras.settle()
    extras.settle()
    (sentence,) = bench.told.sentences
    assert words in sentence
    assert ("permission" in sentence) is (refusal is MISSING)


def test_every_feature_names_its_permission() -> None:
    """Each feature can be turned off with a sentence of its own."""
    extras = Bench().extras(None)
    for feature in Feature:
        extras.turn_off(feature)

    assert list(extras.turned_off) == list(Feature)
    assert len(set(extras.turned_off.values())) == len(Feature)


@pytest.mark.parametrize(
    ("answers", "patient", "known", "slept"),
    [
        ([DOWN, "answer"], False, "otherwise", []),
        ([DOWN, "answer"], True, "answer", [2.0]),
        ([BUSY, "answer"], True, "answer", [30.0]),
        ([DOWN, MISSING], True, "otherwise", [2.0]),
        ([DOWN, UnexpectedAnswer("page", "", "")], True, "otherwise", [2.0]),
    ],
)
def test_failures_that_pass(answers: list[Any], patient: bool, known: str, slept: list[float]) -> None:  # noqa: FBT001
    """Only when there is time for it is an Airflow that fails in passing asked again, after a pause."""
    bench = Bench()

    assert bench.extras(None).ask(Feature.LOGS, Script(answers), "otherwise", patient=patient) == known
    assert bench.time.slept == slept


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_without_time_nothing_is_asked(left: float) -> None:
    """Once the time for explanations is over, no request is sent."""
    bench, look = Bench(), Script(["answer"])

    assert bench.extras(None, lambda: left).ask(Feature.LOGS, look, "otherwise", patient=True) == "otherwise"
    assert look.calls == 0


def test_a_pause_does_not_outlast_the_time_that_is_left() -> None:
    """Waiting for a second try ends with the time for explanations, and so does asking."""
    bench = Bench()
    end = bench.time.now + 10
    extras = bench.extras(None, lambda: end - bench.time.now)

    assert extras.ask(Feature.LOGS, Script([BUSY, "answer"]), "otherwise", patient=True) == "otherwise"
    assert bench.time.now == end


@pytest.mark.parametrize(("patient", "brief"), [(False, [True]), (True, [False])])
def test_an_answer_may_be_slow_only_when_there_is_time(patient: bool, brief: list[bool]) -> None:  # noqa: FBT001
    """While somebody has to look at the run, an answer has to be brief, and afterwards no longer; later it may be slow."""
    entered = [False]
    seen: list[bool] = []

    @contextmanager
    def limit() -> Iterator[None]:
        entered[0] = True
        yield
        entered[0] = False

    bench = Bench()
    airflow: Any = None
    extras = Extras(airflow, bench.patience, limit, lambda: 100.0)
    extras.ask(Feature.LOGS, lambda: seen.append(entered[0]), None, patient=patient)

    assert (seen, entered) == (brief, [False])
