"""Asking for what only explains: whatever goes wrong costs the explanation and nothing else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.diagnostics.optional import RETRY_SECONDS, Feature, OptionalRequests
from entrypoint.errors import (
    ActionError,
    Forbidden,
    GatewayRefused,
    NotFound,
    NotSupported,
    ResponseTooLarge,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import REFUSAL_RESPONSES, REFUSAL_SECONDS
from tests.support.scripted import Bench, Script

if TYPE_CHECKING:
    from collections.abc import Iterator

DOWN = TransientError("down", "", "")
BUSY = TransientError("busy", "", "", status=429, retry_after=30.0)
MISSING = Forbidden("missing", "", "")
GATEWAY = GatewayRefused("gateway", "", "")


def test_what_is_known_is_returned() -> None:
    """An answer is returned as it is, one that says nothing as well."""
    bench = Bench()
    optional = bench.optional(None)

    assert [
        optional.fetch(Feature.POOLS, Script([answer]), "otherwise")
        for answer in ("answer", None, ())
    ] == [
        "answer",
        None,
        (),
    ]
    assert (bench.told.unknown_fields, bench.told.sentences, bench.time.slept) == ([], [], [])


@pytest.mark.parametrize(
    "kind",
    [
        UnexpectedResponse,
        Unauthorized,
        NotFound,
        ResponseTooLarge,
        NotSupported,
        ActionError,
        TransientError,
    ],
)
@pytest.mark.parametrize("patient", [False, True])
def test_what_cannot_be_read_is_told_and_done_without(
    kind: type[ActionError], patient: bool
) -> None:
    """Whatever keeps an explanation from being read is told once, with the feature it costs, and is
    no error.
    """
    bench, error = Bench(), kind("title", "detail", "")

    assert (
        bench.optional(None).fetch(Feature.LOGS, Script([error] * 9), "otherwise", retry=patient)
        == "otherwise"
    )
    assert bench.told.unknown_fields == [(Feature.LOGS.gives, error)]
    assert bench.told.sentences == []


@pytest.mark.parametrize("patient", [False, True])
def test_a_missing_permission_turns_its_feature_off(patient: bool) -> None:
    """What stays refused is said once, with the permission by name, and never asked for again;
    other features go on.
    """
    bench, look = Bench(), Script([MISSING] * 9)
    optional = bench.optional(None)
    while bench.time.now < 1000 + 3 * REFUSAL_SECONDS:
        assert optional.fetch(Feature.POOLS, look, "otherwise", retry=patient) == "otherwise"
        assert (Feature.POOLS in optional.disabled_features) is (
            look.calls >= REFUSAL_RESPONSES and bench.time.now >= 1000 + REFUSAL_SECONDS
        )
        bench.time.sleep(5)

    assert look.calls <= 2 * REFUSAL_RESPONSES
    assert optional.fetch(Feature.LOGS, Script(["answer"]), None) == "answer"
    (sentence,) = bench.told.sentences
    assert Feature.POOLS.permission in sentence
    assert list(optional.disabled_features.items()) == [(Feature.POOLS, sentence)]
    assert bench.told.unknown_fields == []


@pytest.mark.parametrize("patient", [False, True])
@pytest.mark.parametrize("refusal", [MISSING, GATEWAY])
def test_a_refusal_that_passes_turns_nothing_off(patient: bool, refusal: Forbidden) -> None:
    """One refusal now and then is none: what was answered in between counts."""
    bench = Bench()
    optional = bench.optional(None)
    for _ in range(5):
        optional.fetch(Feature.TASKS, Script([refusal, "answer"]), None, retry=patient)
        bench.time.sleep(RETRY_SECONDS)
        assert optional.fetch(Feature.TASKS, Script(["answer"]), None) == "answer"
    optional.report_disabled()
    assert (optional.disabled_features, bench.told.sentences, bench.told.unknown_fields) == (
        {},
        [],
        [],
    )


def test_what_is_refused_is_not_asked_for_at_once() -> None:
    """Many requests of one kind, as for the logs of many tasks, cost one refusal; the end of the
    run asks all the same.
    """
    bench, look = Bench(), Script([MISSING] * 9)
    optional = bench.optional(None)
    for _ in range(20):
        optional.fetch(Feature.LOGS, look, None)
    assert look.calls == 1
    assert optional.fetch(Feature.LOGS, Script(["answer"]), None, retry=True) == "answer"


@pytest.mark.parametrize(
    ("refusal", "words"), [(MISSING, Feature.TASKS.permission), (GATEWAY, "A gateway")]
)
def test_a_refusal_that_was_the_last_word_is_told(refusal: Forbidden, words: str) -> None:
    """What is left out in the end is told once, and a gateway's refusal is no missing
    permission.
    """
    bench = Bench()
    optional = bench.optional(None)
    optional.fetch(Feature.TASKS, Script([refusal]), None)
    assert bench.told.sentences == []
    optional.report_disabled()
    optional.report_disabled()
    (sentence,) = bench.told.sentences
    assert words in sentence
    assert ("permission" in sentence) is (refusal is MISSING)


def test_every_feature_names_its_permission() -> None:
    """Each feature can be turned off with a sentence of its own."""
    optional = Bench().optional(None)
    for feature in Feature:
        optional.disable(feature)

    assert list(optional.disabled_features) == list(Feature)
    assert len(set(optional.disabled_features.values())) == len(Feature)


@pytest.mark.parametrize(
    ("answers", "patient", "known", "slept"),
    [
        ([DOWN, "answer"], False, "otherwise", []),
        ([DOWN, "answer"], True, "answer", [2.0]),
        ([BUSY, "answer"], True, "answer", [30.0]),
        ([DOWN, MISSING], True, "otherwise", [2.0]),
        ([DOWN, UnexpectedResponse("page", "", "")], True, "otherwise", [2.0]),
    ],
)
def test_failures_that_pass(
    answers: list[Any], patient: bool, known: str, slept: list[float]
) -> None:
    """Only when there is time for it is an Airflow that fails in passing asked again, after a
    pause.
    """
    bench = Bench()

    assert (
        bench.optional(None).fetch(Feature.LOGS, Script(answers), "otherwise", retry=patient)
        == known
    )
    assert bench.time.slept == slept


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_without_time_nothing_is_asked(left: float) -> None:
    """Once the time for explanations is over, no request is sent."""
    bench, look = Bench(), Script(["answer"])

    assert (
        bench.optional(None, lambda: left).fetch(Feature.LOGS, look, "otherwise", retry=True)
        == "otherwise"
    )
    assert look.calls == 0


def test_a_pause_does_not_outlast_the_time_that_is_left() -> None:
    """Waiting for a second try ends with the time for explanations, and so does asking."""
    bench = Bench()
    end = bench.time.now + 10
    optional = bench.optional(None, lambda: end - bench.time.now)

    assert (
        optional.fetch(Feature.LOGS, Script([BUSY, "answer"]), "otherwise", retry=True)
        == "otherwise"
    )
    assert bench.time.now == end


@pytest.mark.parametrize(("patient", "brief"), [(False, [True]), (True, [False])])
def test_an_answer_may_be_slow_only_when_there_is_time(patient: bool, brief: list[bool]) -> None:
    """While somebody has to look at the run, an answer has to be brief, and afterwards no longer;
    later it may be slow.
    """
    entered = [False]
    seen: list[bool] = []

    @contextmanager
    def limit() -> Iterator[None]:
        entered[0] = True
        yield
        entered[0] = False

    bench = Bench()
    airflow: Any = None
    optional = OptionalRequests(airflow, bench.retrier, limit, lambda: 100.0)
    optional.fetch(Feature.LOGS, lambda: seen.append(entered[0]), None, retry=patient)

    assert (seen, entered) == (brief, [False])
