"""Optional requests: a failure costs the explanation and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from entrypoint.deadline import OPTIONAL_TIMEOUT, Deadline
from entrypoint.diagnostics.optional import RETRY_SECONDS
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
from entrypoint.permissions import Feature
from tests.support.scripted import Harness, ScriptedCall

DOWN = TransientError("down", "", "")
BUSY = TransientError("busy", "", "", status=429, retry_after=30.0)
MISSING = Forbidden("missing", "", "")
GATEWAY = GatewayRefused("gateway", "", "")


def test_response_is_returned_unchanged() -> None:
    harness = Harness()
    optional = harness.optional(None)

    assert [
        optional.fetch(Feature.POOLS, ScriptedCall([answer]), "otherwise")
        for answer in ("answer", None, ())
    ] == [
        "answer",
        None,
        (),
    ]
    assert (harness.progress.optional_errors, harness.progress.sentences, harness.time.slept) == (
        [],
        [],
        [],
    )


@pytest.mark.parametrize(
    "kind",
    [
        UnexpectedResponse,
        Unauthorized,
        NotFound,
        ResponseTooLarge,
        ActionError,
        TransientError,
    ],
)
@pytest.mark.parametrize("retried", [False, True])
def test_failure_is_reported_once_with_its_feature(kind: type[ActionError], retried: bool) -> None:
    harness, error = Harness(), kind("title", "detail", "")

    assert (
        harness.optional(None).fetch(
            Feature.LOGS, ScriptedCall([error] * 9), "otherwise", retry=retried
        )
        == "otherwise"
    )
    assert harness.progress.optional_errors == [(Feature.LOGS.label, error)]
    assert harness.progress.sentences == []


@pytest.mark.parametrize("retried", [False, True])
def test_what_this_airflow_does_not_offer_is_one_sentence(retried: bool) -> None:
    """It disables no feature, because the next request of that feature may be possible."""
    harness, error = Harness(), NotSupported("no logs", "The UI shows them.", "")
    optional = harness.optional(None)
    call = ScriptedCall([error, error, NotSupported("no links", "None.", ""), "answer"])
    answers = [optional.fetch(Feature.LOGS, call, "-", retry=retried) for _ in range(4)]

    assert answers == ["-", "-", "-", "answer"]
    assert harness.progress.sentences == ["no logs: The UI shows them.", "no links: None."]
    assert optional.report_disabled() == tuple(harness.progress.sentences)
    assert (harness.progress.optional_errors, harness.time.slept) == ([], [])


@pytest.mark.parametrize("retried", [False, True])
def test_lasting_refusal_disables_only_its_feature(retried: bool) -> None:
    harness, call = Harness(), ScriptedCall([MISSING] * 9)
    optional = harness.optional(None)
    while harness.time.now < 1000 + 3 * REFUSAL_SECONDS:
        assert optional.fetch(Feature.POOLS, call, "otherwise", retry=retried) == "otherwise"
        assert (Feature.POOLS in optional.disabled_features) is (
            call.calls >= REFUSAL_RESPONSES and harness.time.now >= 1000 + REFUSAL_SECONDS
        )
        harness.time.sleep(5)

    assert call.calls <= 2 * REFUSAL_RESPONSES
    assert optional.fetch(Feature.LOGS, ScriptedCall(["answer"]), None) == "answer"
    (sentence,) = harness.progress.sentences
    assert Feature.POOLS.permission in sentence
    assert list(optional.disabled_features.items()) == [(Feature.POOLS, sentence)]
    assert harness.progress.optional_errors == []


@pytest.mark.parametrize("retried", [False, True])
@pytest.mark.parametrize("refusal", [MISSING, GATEWAY])
def test_single_refusals_between_responses_disable_nothing(
    retried: bool, refusal: Forbidden
) -> None:
    harness = Harness()
    optional = harness.optional(None)
    for _ in range(5):
        optional.fetch(Feature.TASKS, ScriptedCall([refusal, "answer"]), None, retry=retried)
        harness.time.sleep(RETRY_SECONDS)
        assert optional.fetch(Feature.TASKS, ScriptedCall(["answer"]), None) == "answer"
    optional.report_disabled()
    assert (
        optional.disabled_features,
        harness.progress.sentences,
        harness.progress.optional_errors,
    ) == (
        {},
        [],
        [],
    )


def test_refused_feature_is_not_requested_again_at_once() -> None:
    """The end of the run requests it again."""
    harness, call = Harness(), ScriptedCall([MISSING] * 9)
    optional = harness.optional(None)
    for _ in range(20):
        optional.fetch(Feature.LOGS, call, None)
    assert call.calls == 1
    assert optional.fetch(Feature.LOGS, ScriptedCall(["answer"]), None, retry=True) == "answer"


@pytest.mark.parametrize(
    ("refusal", "words"), [(MISSING, Feature.TASKS.permission), (GATEWAY, "A gateway")]
)
def test_final_refusal_is_reported_once(refusal: Forbidden, words: str) -> None:
    """A gateway's refusal is no missing permission."""
    harness = Harness()
    optional = harness.optional(None)
    optional.fetch(Feature.TASKS, ScriptedCall([refusal]), None)
    assert harness.progress.sentences == []
    optional.report_disabled()
    optional.report_disabled()
    (sentence,) = harness.progress.sentences
    assert words in sentence
    assert ("permission" in sentence) is (refusal is MISSING)


def test_every_feature_has_its_own_sentence_about_the_permission() -> None:
    optional = Harness().optional(None)
    for feature in Feature:
        optional.disable(feature)

    assert list(optional.disabled_features) == list(Feature)
    assert len(set(optional.disabled_features.values())) == len(Feature)


@pytest.mark.parametrize(
    ("answers", "retried", "known", "slept"),
    [
        ([DOWN, "answer"], False, "otherwise", []),
        ([DOWN, "answer"], True, "answer", [2.0]),
        ([BUSY, "answer"], True, "answer", [30.0]),
        ([DOWN, MISSING], True, "otherwise", [2.0]),
        ([DOWN, UnexpectedResponse("page", "", "")], True, "otherwise", [2.0]),
    ],
)
def test_transient_errors_are_retried_only_if_there_is_time(
    answers: list[Any], retried: bool, known: str, slept: list[float]
) -> None:
    harness = Harness()

    assert (
        harness.optional(None).fetch(
            Feature.LOGS, ScriptedCall(answers), "otherwise", retry=retried
        )
        == known
    )
    assert harness.time.slept == slept


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_nothing_is_requested_after_the_deadline(left: float) -> None:
    harness, call = Harness(), ScriptedCall(["answer"])

    assert (
        harness.optional(None, harness.deadline(left)).fetch(
            Feature.LOGS, call, "otherwise", retry=True
        )
        == "otherwise"
    )
    assert call.calls == 0


def test_pause_before_a_retry_ends_at_the_deadline() -> None:
    harness = Harness()
    end = harness.time.now + 10
    optional = harness.optional(None, harness.deadline(10))

    assert (
        optional.fetch(Feature.LOGS, ScriptedCall([BUSY, "answer"]), "otherwise", retry=True)
        == "otherwise"
    )
    assert harness.time.now == end


@pytest.mark.parametrize(("retried", "seconds"), [(False, OPTIONAL_TIMEOUT), (True, 100.0)])
def test_read_timeout_is_short_while_the_run_is_polled(retried: bool, seconds: float) -> None:
    harness = Harness()
    limits: list[float] = []
    optional = harness.optional(None, harness.deadline(100))
    airflow: Any = optional.airflow

    def within(deadline: Deadline) -> Any:
        limits.append(deadline.request_seconds())
        return airflow

    airflow.within = within
    optional.fetch(Feature.LOGS, lambda _: None, None, retry=retried)

    assert limits == [seconds]
