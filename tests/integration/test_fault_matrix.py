"""Every fault at every request, before and after its effect, and random schedules of faults."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoint.http import limits as bounded
from entrypoint.session import SETUP_SECONDS
from entrypoint.step_run import END_SECONDS
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.fake_airflow.faults import HUGE_SIZE, OF_THE_RESPONSE, REFUSALS, SLOW
from tests.support.step import run_against
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from entrypoint.models import Outcome
    from tests.support.fake_airflow.faults import Rule

VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")
TIMEOUT = 600.0
EXAMPLES = int(os.environ.get("FAULT_SCHEDULES", "1000"))
"""Random schedules for each version: always the same ones unless the variable is set."""


@dataclass(frozen=True)
class ApiRequest:
    """One request of a run's life cycle.

    Args:
        name: what it is for
        method: HTTP method
        path: end of the path
        skip: number of matching requests that come before it
        only: the version that gets it; both by default
        reads: whether it neither changes the fake Airflow nor lets its run move on
    """

    name: str
    method: str
    path: str
    skip: int = 0
    only: Version | None = None
    reads: bool = False


LIFECYCLE = (
    ApiRequest("version", "GET", "/version", reads=True),
    ApiRequest("login", "POST", "/auth/token", only="3.3.2", reads=True),
    ApiRequest("is there a run", "GET", "/dagRuns/*", reads=True),
    ApiRequest("dag", "GET", "/dags/*", reads=True),
    ApiRequest("trigger", "POST", "/dagRuns"),
    ApiRequest("usual duration", "GET", "/dagRuns", reads=True),
    ApiRequest("first stream", "GET", "/wait", only="3.3.2"),
    ApiRequest("last stream", "GET", "/wait", skip=1, only="3.3.2"),
    ApiRequest("confirmation", "GET", "/dagRuns/*", skip=1, only="3.3.2"),
    ApiRequest("first poll", "GET", "/dagRuns/*", skip=1, only="2.11.2"),
    ApiRequest("last poll", "GET", "/dagRuns/*", skip=3, only="2.11.2"),
    ApiRequest("tasks", "GET", "/taskInstances", reads=True),
    ApiRequest("tasks at the end", "GET", "/taskInstances", skip=1, reads=True),
)
RESUMING = (
    ApiRequest("failed tasks", "GET", "/taskInstances"),
    ApiRequest("clear tasks", "POST", "/clearTaskInstances"),
    ApiRequest("poll after the clear", "GET", "/dagRuns/*", skip=1),
)


def sent(requests: Iterable[ApiRequest]) -> list[Any]:
    """Return each version with each of these requests that a step sends to it."""
    return [
        pytest.param(version, request, id=f"{request.name}-{version}")
        for request, version in product(requests, VERSIONS)
        if request.only in {None, version}
    ]


def single_faults(request: ApiRequest) -> Iterator[tuple[Fault, Literal["before", "after"]]]:
    """Yield every fault, before and after the request takes effect.

    If it has no effect, these differ only for a fault that sends a part of the real response.
    """
    for fault in Fault:
        if fault is Fault.DRIP and request.path == "/wait":
            # Takes 16 real seconds: test_a_slow_stream_ends_at_its_total_timeout.
            continue
        yield fault, "before"
        if not request.reads or fault in OF_THE_RESPONSE:
            yield fault, "after"


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


@pytest.mark.parametrize(("version", "request_"), sent(LIFECYCLE))
@pytest.mark.parametrize("ends", ["success", "failed"])
def test_no_single_fault_breaks_an_invariant(
    version: Version, ends: str, request_: ApiRequest
) -> None:
    for fault, when in single_faults(request_):
        # If a step meets only one of three faults, one fault would be the same again.
        met = 0 if fault in SLOW else meet(version, ends, request_, fault, when, times=3)
        if met != 1:
            meet(version, ends, request_, fault, when, times=1)


def meet(
    version: Version,
    ends: str,
    request: ApiRequest,
    fault: Fault,
    when: Literal["before", "after"],
    *,
    times: int,
) -> int:
    """Run a step that meets these faults, and return how many it has met."""
    with FakeAirflow(version, dags=[dag(ends)]) as fake:
        rule = script(fake, request, fault, when, times)
        time = VirtualTime()
        outcome = run_against(fake, time=time, timeout=f"{TIMEOUT:.0f}")
        try:
            assert_invariants(outcome, fake, time, 1000.0)
            assert rule.times < times, "the step meets the fault"
        except AssertionError as error:
            raise AssertionError(f"{fault.name} {when} {request.name} x{times}: {error}") from None
        seen["single faults"] += 1
        return times - rule.times


def script(
    fake: FakeAirflow,
    request: ApiRequest,
    fault: Fault,
    when: Literal["before", "after"],
    times: int = 1,
) -> Rule:
    """Script the faults, and return their rule, which counts those that are left."""
    fake.fault(fault, on=(request.method, request.path), skip=request.skip, when=when, times=times)
    return fake._rules[-1]


@pytest.mark.parametrize(("version", "request_"), sent(RESUMING))
def test_no_fault_while_resuming_breaks_an_invariant(
    version: Version, request_: ApiRequest
) -> None:
    """The result is the resumed run's new final state, never its old one."""
    for fault, when in single_faults(request_):
        if fault in REFUSALS and (request_.method == "POST" or request_.name == "failed tasks"):
            continue  # the first request is not retried after a refusal
        again = FakeDag(
            "sales",
            tasks=(FakeTask("extract", ends=("failed", "success")),),
            ends=("failed", "success"),
        )
        with FakeAirflow(version, dags=[again]) as fake:
            assert run_against(fake).result == "failed"
            rule = script(fake, request_, fault, when)
            time = VirtualTime()
            outcome = run_against(fake, time=time, timeout=f"{TIMEOUT:.0f}")
            assert_invariants(outcome, fake, time, 1000.0)
            assert rule.times == 0, f"{fault.name} {when} {request_.name}: the step meets the fault"
            assert outcome.result == "success", f"{fault.name} {when} {request_.name}"
            seen["faults while resuming"] += 1


def schedules(version: Version) -> st.SearchStrategy[list[Any]]:
    requests = [request for request in LIFECYCLE if request.only in {None, version}]
    return st.lists(
        st.tuples(
            st.sampled_from([fault for fault in Fault if fault not in SLOW]),
            st.sampled_from((*requests, None)),
            st.sampled_from(("before", "after")),
            st.integers(1, 6),
            st.integers(0, 4),
        ),
        min_size=1,
        max_size=6,
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_no_schedule_of_faults_breaks_an_invariant(version: Version) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize="FAULT_SCHEDULES" not in os.environ,
    )
    @given(schedule=schedules(version), ends=st.sampled_from(("success", "failed")))
    def check(schedule: list[tuple[Fault, ApiRequest | None, str, int, int]], ends: str) -> None:
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
            left = sum(rule.times for rule in fake._rules)
            seen["faults of random schedules"] += sum(times for *_, times, _ in schedule) - left

    check()


def test_the_counts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty matrix must not pass unnoticed."""
    with capsys.disabled():
        sys.stdout.write(
            f"\nfault matrix: {len(Fault)} faults x {len(sent((*LIFECYCLE, *RESUMING)))} requests: "
            f"{dict(sorted(seen.items()))}\n"
        )
    assert seen["single faults"] >= len(Fault) * len(sent(LIFECYCLE)) * 2
    assert seen["random schedules"] >= 2 * EXAMPLES


def _when(when: str) -> Literal["before", "after"]:
    return "before" if when == "before" else "after"
