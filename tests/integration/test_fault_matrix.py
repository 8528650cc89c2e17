"""Every fault at every request, before and after its effect, and random schedules of faults."""

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
from entrypoint.step_run import END_SECONDS
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.fake_airflow.faults import HUGE_SIZE, REFUSALS, SLOW
from tests.support.step import run_against
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")
TIMEOUT = 600.0
EXAMPLES = int(os.environ.get("FAULT_SCHEDULES", "1000"))
"""Random schedules for each version: always the same ones unless the variable is set."""


@dataclass(frozen=True)
class ApiRequest:
    """One request of a run's life cycle. `skip` is how many matching requests come before it."""

    name: str
    method: str
    path: str
    skip: int = 0


LIFECYCLE = (
    ApiRequest("version", "GET", "/version"),
    ApiRequest("login", "POST", "/auth/token"),
    ApiRequest("is there a run", "GET", "/dagRuns/*"),
    ApiRequest("dag", "GET", "/dags/*"),
    ApiRequest("trigger", "POST", "/dagRuns"),
    ApiRequest("first poll", "GET", "/dagRuns/*", skip=1),
    ApiRequest("last poll", "GET", "/dagRuns/*", skip=3),
    ApiRequest("tasks", "GET", "/taskInstances"),
    ApiRequest("confirmation", "GET", "/dagRuns/*", skip=4),
)
RESUMING = (
    ApiRequest("failed tasks", "GET", "/taskInstances"),
    ApiRequest("clear", "POST", "/clear"),
    ApiRequest("clear tasks", "POST", "/clearTaskInstances"),
    ApiRequest("poll after the clear", "GET", "/dagRuns/*", skip=1),
)
SINGLE_FAULTS = [
    (fault, request, when, times)
    for fault, request, when, times in product(Fault, LIFECYCLE, ("before", "after"), (1, 3))
    if not (fault in SLOW and times > 1)
]
seen: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _low_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the size limit, so that an oversized response is quick to build and to reject."""
    monkeypatch.setattr(bounded, "MAX_BODY_BYTES", HUGE_SIZE // 2)


@pytest.fixture(scope="module", autouse=True)
def _one_processor() -> Iterator[None]:
    """Keep the step and its Airflow on one processor. They take turns, and waking a second one
    makes each turn half as slow again.
    """
    if not hasattr(os, "sched_setaffinity"):  # not on macOS
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


def dag(ends: str) -> FakeDag:
    return FakeDag("sales", tasks=(FakeTask("extract", ends=ends), FakeTask("load")), ends=ends)


def assert_invariants(outcome: Outcome, fake: FakeAirflow, time: VirtualTime, start: float) -> None:
    """Assert at most one run, no unnamed run, no false success, and an end in time.

    The fake Airflow's own record decides.
    """
    runs = fake.runs("sales")
    assert len(runs) <= 1, "never two runs"
    if runs:
        assert outcome.request is not None
        assert outcome.request.run_id == runs[0].run_id
        assert outcome.run_url is not None, "never a run that the step does not name"
    if outcome.passes:
        assert runs, "never a success without a run"
        assert runs[0].state == "success", "never a success unless the run succeeded"
    assert time.now - start <= 2 * SETUP_SECONDS + TIMEOUT + END_SECONDS + 1, (
        "always an end within the timeout"
    )
    seen[f"{fake.version} {outcome.result}"] += 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("ends", ["success", "failed"])
@pytest.mark.parametrize("request_", LIFECYCLE, ids=lambda request: request.name)
def test_no_single_fault_breaks_an_invariant(
    version: Version, ends: str, request_: ApiRequest
) -> None:
    for fault, request, when, times in SINGLE_FAULTS:
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
            outcome = run_against(fake, time=time, timeout=f"{TIMEOUT:.0f}")
            try:
                assert_invariants(outcome, fake, time, 1000.0)
            except AssertionError as error:
                raise AssertionError(
                    f"{fault.name} {when} {request.name} x{times}: {error}"
                ) from None
            seen["single faults"] += 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("request_", RESUMING, ids=lambda request: request.name)
def test_no_fault_while_resuming_breaks_an_invariant(
    version: Version, request_: ApiRequest
) -> None:
    """The result is the resumed run's new final state, never its old one."""
    for fault, when in product(Fault, ("before", "after")):
        if fault in REFUSALS and (request_.method == "POST" or request_.name == "failed tasks"):
            continue  # the first request is not retried after a refusal
        again = FakeDag(
            "sales",
            tasks=(FakeTask("extract", ends=("failed", "success")),),
            ends=("failed", "success"),
        )
        with FakeAirflow(version, dags=[again]) as fake:
            assert run_against(fake).result == "failed"
            fake.fault(
                fault, on=(request_.method, request_.path), skip=request_.skip, when=_when(when)
            )
            time = VirtualTime()
            outcome = run_against(fake, time=time, timeout=f"{TIMEOUT:.0f}")
            assert_invariants(outcome, fake, time, 1000.0)
            assert outcome.result == "success", f"{fault.name} {when} {request_.name}"
            seen["faults while resuming"] += 1


SCHEDULE = st.lists(
    st.tuples(
        st.sampled_from([fault for fault in Fault if fault not in SLOW]),
        st.sampled_from((*LIFECYCLE, None)),
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
def test_no_schedule_of_faults_breaks_an_invariant(
    version: Version, schedule: list[tuple[Fault, ApiRequest | None, str, int, int]], ends: str
) -> None:
    # The step cannot tell a refusal that the next poll confirms from a permanent one.
    confirmed = any(fault is Fault.CACHED_404 for fault, *_ in schedule)
    with FakeAirflow(version, dags=[dag(ends)]) as fake:
        for fault, request, chosen, times, skip in schedule:
            on = (request.method, request.path) if request else None
            when = "before" if confirmed and fault in REFUSALS else chosen
            fake.fault(fault, on=on, skip=skip, when=_when(when), times=times)
        time = VirtualTime()
        assert_invariants(
            run_against(fake, time=time, timeout=f"{TIMEOUT:.0f}"), fake, time, 1000.0
        )
        seen["random schedules"] += 1


def test_the_counts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty matrix must not pass unnoticed."""
    with capsys.disabled():
        sys.stdout.write(
            f"\nfault matrix: {len(Fault)} faults x {len(LIFECYCLE) + len(RESUMING)} requests: "
            f"{dict(sorted(seen.items()))}\n"
        )
    assert seen["single faults"] >= 12 * len(LIFECYCLE) * 2 * 2
    assert seen["random schedules"] >= 2 * EXAMPLES


def _when(when: str) -> Literal["before", "after"]:
    return "before" if when == "before" else "after"
