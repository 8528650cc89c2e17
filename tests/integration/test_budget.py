"""What a gate costs the Airflow that it waits for: requests are counted, nothing is timed."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest

from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.step import run_gate
from tests.support.virtual_time import VirtualTime

Broken = tuple[Fault, Literal["before", "after"]]

TEN_MINUTES = 600.0
EVERY_FIVE_SECONDS = 123
"""Requests of a loop that looks every five seconds at such a run
(docs/notes/waiting.md#tools-in-use).
"""


class Waited:
    """A gate that waited ten minutes for a run of one task; `late` are the seconds after which it
    knew of the end.
    """

    def __init__(
        self, version: Version, *, past: int = 0, fault: Broken | None = None, logs: str = "failed"
    ) -> None:
        time = VirtualTime()
        start = time.now
        task = FakeTask("load", states={1: "running"})
        with FakeAirflow(version, dags=[FakeDag("long", tasks=(task,), looks=10_000)]) as fake:
            for number in range(past):
                fake.create_run("long", f"old{number}", state="success", took=TEN_MINUTES + number)
            if fault is not None:
                fake.fault(fault[0], on=("GET", "/wait"), when=fault[1], times=10_000)

            def end(_: float) -> None:
                if time.now >= start + TEN_MINUTES:
                    fake.states("long", ["success"])

            time.on_sleep = end
            self.outcome = run_gate(fake, time=time, dag_id="long", logs=logs)
            self.sent = Counter(f"{one.method} {_kind(one.path)}" for one in fake.record)
        self.late = time.now - start - TEN_MINUTES


def _kind(path: str) -> str:
    above, _, last = path.rpartition("/")
    return "the run" if above.endswith("/dagRuns") else last


@pytest.mark.parametrize(("logs", "most"), [("failed", 45), ("none", 18)])
def test_ten_minutes_of_an_airflow_that_tells(logs: str, most: int) -> None:
    """Airflow 3.3 is asked no more than a few times a minute, live progress included, and the end
    is known at once.
    """
    waited = Waited("3.3.2", logs=logs)

    assert waited.outcome.result == "success"
    assert waited.sent.total() <= most, waited.sent
    assert waited.late <= 2 * 2  # its interval, and the one in which the scripted run ends


def test_ten_minutes_of_polling() -> None:
    """An Airflow 2 whose past is known is asked at most 0.6 times as often as by a loop of five
    seconds, progress included.
    """
    waited = Waited("2.11.2", past=3)

    assert waited.outcome.result == "success"
    assert waited.sent.total() <= 0.6 * EVERY_FIVE_SECONDS, waited.sent
    assert waited.late <= 5


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
        ),  # in the middle: after its first line
    ],
)
def test_an_airflow_that_does_not_go_on_telling_is_polled(
    fault: Fault, when: Literal["before", "after"]
) -> None:
    """After two failures in a row nothing is listened to any more, and the run is looked at until
    its end.
    """
    waited = Waited("3.3.2", fault=(fault, when))

    assert waited.outcome.result == "success"
    assert waited.sent["GET wait"] == 2
    assert waited.sent["GET the run"] > 60


def test_lines_are_not_kept_back() -> None:
    """A stream is asked for uncompressed, since a gateway that compresses may wait for more; all
    else may be compressed.
    """
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        assert run_gate(fake).result == "success"
        asked = {
            one.path.rpartition("/")[2] == "wait": one.headers["Accept-Encoding"]
            for one in fake.record
        }

    assert asked[True] == "identity"
    assert "gzip" in asked[False]
