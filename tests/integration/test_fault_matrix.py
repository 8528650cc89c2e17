"""Every fault at every request of the life cycle, before and after it took effect, in both
dialects; and random schedules.

The properties are asserted against the server's own record: never two runs, never an orphan that
the step does not name, never green unless the run succeeded, always an end within the timeout.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoint.http import limits as bounded
from entrypoint.session import SETUP_SECONDS
from entrypoint.step import END_SECONDS
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.fake_airflow.faults import HUGE_SIZE, REFUSALS, SLOW
from tests.support.step import run_gate
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")
TIMEOUT = 600.0
EXAMPLES = int(os.environ.get("FAULT_SCHEDULES", "1000"))
"""Random schedules for each dialect: the same ones each time, others where the variable is set."""


@dataclass(frozen=True)
class ApiRequest:
    """One request of the life cycle: method, end of the path, and how many of its kind come before
    it.
    """

    name: str
    method: str
    path: str
    skip: int = 0


LIFE = (
    ApiRequest("version", "GET", "/version"),
    ApiRequest("login", "POST", "/auth/token"),
    ApiRequest("is there a run", "GET", "/dagRuns/*"),
    ApiRequest("dag", "GET", "/dags/*"),
    ApiRequest("trigger", "POST", "/dagRuns"),
    ApiRequest("first look", "GET", "/dagRuns/*", skip=1),
    ApiRequest("last look", "GET", "/dagRuns/*", skip=3),
    ApiRequest("tasks", "GET", "/taskInstances"),
    ApiRequest("confirmation", "GET", "/dagRuns/*", skip=4),
)
RESUMING = (
    ApiRequest("failed tasks", "GET", "/taskInstances"),
    ApiRequest("clear", "POST", "/clear"),
    ApiRequest("clear tasks", "POST", "/clearTaskInstances"),
    ApiRequest("look after the clear", "GET", "/dagRuns/*", skip=1),
)
CUTS = [
    (fault, request, when, times)
    for fault, request, when, times in product(Fault, LIFE, ("before", "after"), (1, 3))
    if not (fault in SLOW and times > 1)
]
seen: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large for this is quickly made, and quickly given up."""
    monkeypatch.setattr(bounded, "MAX_BODY_BYTES", HUGE_SIZE // 2)


@pytest.fixture(scope="module", autouse=True)
def _one_processor() -> Iterator[None]:
    """Keep a step and its Airflow on one processor: they take turns, and waking another each time
    costs half as much again.
    """
    if not hasattr(os, "sched_setaffinity"):  # not on macOS
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


def dag(ends: str) -> FakeDag:
    """Return the DAG, whose runs end so."""
    return FakeDag("sales", tasks=(FakeTask("extract", ends=ends), FakeTask("load")), ends=ends)


def hold(outcome: Outcome, fake: FakeAirflow, time: VirtualTime, began: float) -> None:
    """Assert the four properties."""
    runs = fake.runs("sales")
    assert len(runs) <= 1, "never two runs"
    if runs:
        assert outcome.request is not None
        assert outcome.request.run_id == runs[0].run_id
        assert outcome.run_url is not None, "never an orphan that the step does not name"
    if outcome.passes:
        assert runs, "never green without a run"
        assert runs[0].state == "success", "never green unless the run succeeded"
    assert time.now - began <= 2 * SETUP_SECONDS + TIMEOUT + END_SECONDS + 1, (
        "always an end within the timeout"
    )
    seen[f"{fake.version} {outcome.result}"] += 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("ends", ["success", "failed"])
@pytest.mark.parametrize("request_", LIFE, ids=lambda request: request.name)
def test_no_single_fault_breaks_the_promise(
    version: Version, ends: str, request_: ApiRequest
) -> None:
    """Whatever goes wrong with one kind of request, one to three times, the four properties
    hold.
    """
    for fault, request, when, times in CUTS:
        if request is not request_:
            continue
        with FakeAirflow(version, dags=[dag(ends)]) as fake:
            fake.fault(
                fault,
                on=(request.method, request.path),
                skip=request.skip,
                when=_when(when),
                times=times,
            )
            time = VirtualTime()
            outcome = run_gate(fake, time=time, timeout=f"{TIMEOUT:.0f}")
            try:
                hold(outcome, fake, time, 1000.0)
            except AssertionError as broken:
                raise AssertionError(
                    f"{fault.name} {when} {request.name} x{times}: {broken}"
                ) from None
            seen["single faults"] += 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("request_", RESUMING, ids=lambda request: request.name)
def test_no_fault_while_resuming_breaks_the_promise(version: Version, request_: ApiRequest) -> None:
    """Continuing a failed run through any single fault ends in that run's new end, never in its old
    one.
    """
    for fault, when in product(Fault, ("before", "after")):
        if fault in REFUSALS and (request_.method == "POST" or request_.name == "failed tasks"):
            continue  # what is refused when it is asked for the first time is refused
        again = FakeDag(
            "sales",
            tasks=(FakeTask("extract", ends=("failed", "success")),),
            ends=("failed", "success"),
        )
        with FakeAirflow(version, dags=[again]) as fake:
            assert run_gate(fake).result == "failed"
            fake.fault(
                fault, on=(request_.method, request_.path), skip=request_.skip, when=_when(when)
            )
            time = VirtualTime()
            outcome = run_gate(fake, time=time, timeout=f"{TIMEOUT:.0f}")
            hold(outcome, fake, time, 1000.0)
            assert outcome.result == "success", f"{fault.name} {when} {request_.name}"
            seen["faults while resuming"] += 1


SCHEDULE = st.lists(
    st.tuples(
        st.sampled_from([fault for fault in Fault if fault not in SLOW]),
        st.sampled_from((*LIFE, None)),
        st.sampled_from(("before", "after")),
        st.integers(1, 6),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("version", VERSIONS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    derandomize="FAULT_SCHEDULES" not in os.environ,
)
@given(schedule=SCHEDULE, ends=st.sampled_from(("success", "failed")))
def test_no_schedule_of_faults_breaks_the_promise(
    version: Version, schedule: list[tuple[Fault, ApiRequest | None, str, int, int]], ends: str
) -> None:
    """Whatever goes wrong together, at chosen requests or at any, the four properties hold."""
    # A refusal that a look confirms is believed: nothing tells it from a true one.
    confirmed = any(fault is Fault.CACHED_404 for fault, *_ in schedule)
    with FakeAirflow(version, dags=[dag(ends)]) as fake:
        for fault, request, chosen, times, skip in schedule:
            on = (request.method, request.path) if request else None
            when = "before" if confirmed and fault in REFUSALS else chosen
            fake.fault(fault, on=on, skip=skip, when=_when(when), times=times)
        time = VirtualTime()
        hold(run_gate(fake, time=time, timeout=f"{TIMEOUT:.0f}"), fake, time, 1000.0)
        seen["random schedules"] += 1


def test_the_counts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The matrix says how many cases it held, so that an empty one cannot pass unnoticed."""
    with capsys.disabled():
        sys.stdout.write(
            f"\nfault matrix: {len(Fault)} faults x {len(LIFE) + len(RESUMING)} requests: "
            f"{dict(sorted(seen.items()))}\n"
        )
    assert seen["single faults"] >= 12 * len(LIFE) * 2 * 2
    assert seen["random schedules"] >= 2 * EXAMPLES


def _when(when: str) -> Literal["before", "after"]:
    return "before" if when == "before" else "after"
