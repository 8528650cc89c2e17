"""How many requests a waiting step sends to Airflow."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest

from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.step import run_against
from tests.support.virtual_time import VirtualTime

Broken = tuple[Fault, Literal["before", "after"]]

TEN_MINUTES = 600.0
REQUESTS_EVERY_FIVE_SECONDS = 123
"""Requests of a loop that polls such a run every five seconds
(docs/notes/waiting.md#tools-in-use).
"""


@pytest.fixture(autouse=True)
def _mean_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each pause its mean length. Nine short streams in a row would need a tenth."""
    monkeypatch.setattr("entrypoint.http.retry.random.uniform", lambda low, high: (low + high) / 2)


class WaitCost:
    """The requests of a step that waits ten minutes for a run of one task. `late` is how many
    seconds after the end the step noticed it.
    """

    def __init__(
        self, version: Version, *, past: int = 0, fault: Broken | None = None, logs: str = "failed"
    ) -> None:
        time = VirtualTime()
        start = time.now
        task = FakeTask("load", states={1: "running"})
        with FakeAirflow(version, dags=[FakeDag("long", tasks=(task,), polls=10_000)]) as fake:
            for number in range(past):
                fake.create_run("long", f"old{number}", state="success", took=TEN_MINUTES + number)
            if fault is not None:
                fake.fault(fault[0], on=("GET", "/wait"), when=fault[1], times=10_000)

            def end(_: float) -> None:
                if time.now >= start + TEN_MINUTES:
                    fake.states("long", ["success"])

            time.on_sleep = end
            self.outcome = run_against(fake, time=time, dag_id="long", logs=logs)
            self.sent = Counter(f"{one.method} {_kind(one.path)}" for one in fake.record)
        self.late = time.now - start - TEN_MINUTES


def _kind(path: str) -> str:
    above, _, last = path.rpartition("/")
    return "the run" if above.endswith("/dagRuns") else last


@pytest.mark.parametrize(("logs", "most"), [("failed", 45), ("none", 18)])
def test_ten_minutes_of_streaming_cost_few_requests(logs: str, most: int) -> None:
    """A few per minute, live progress included, and the step notices the end at once."""
    cost = WaitCost("3.3.2", logs=logs)

    assert cost.outcome.result == "success"
    assert cost.sent.total() <= most, cost.sent
    assert cost.late <= 2 * 2  # two intervals: the scripted run ends in the second


def test_polling_sends_fewer_requests_than_a_loop_of_five_seconds() -> None:
    """At most 0.6 times as many, progress included, for an Airflow 2 DAG with past runs."""
    cost = WaitCost("2.11.2", past=3)

    assert cost.outcome.result == "success"
    assert cost.sent.total() <= 0.6 * REQUESTS_EVERY_FIVE_SECONDS, cost.sent
    assert cost.late <= 5


@pytest.mark.parametrize(
    ("fault", "when"),
    [
        *(
            (fault, "before")
            for fault in (Fault.HTML_502, Fault.RESET, Fault.HANG, Fault.HTML_200, Fault.REDIRECT)
        ),
        *((fault, "before") for fault in (Fault.EMPTY_200, Fault.EMPTY_JSON, Fault.TRUNCATED_JSON)),
        *(
            (fault, "after") for fault in (Fault.RESET, Fault.CLOSE, Fault.HANG)
        ),  # "after" breaks the stream after its first line
    ],
)
def test_two_stream_failures_in_a_row_switch_to_polling(
    fault: Fault, when: Literal["before", "after"]
) -> None:
    cost = WaitCost("3.3.2", fault=(fault, when))

    assert cost.outcome.result == "success"
    assert cost.sent["GET wait"] == 2
    assert cost.sent["GET the run"] > 60


def test_only_a_stream_is_requested_uncompressed() -> None:
    """A compressing gateway may buffer the lines of a stream."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        assert run_against(fake).result == "success"
        encodings = {
            one.path.rpartition("/")[2] == "wait": one.headers["Accept-Encoding"]
            for one in fake.record
        }

    assert encodings[True] == "identity"
    assert "gzip" in encodings[False]
