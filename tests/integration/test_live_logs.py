"""`logs: live`: each line once, in order, soon, and with a limited number of requests."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint import masking
from entrypoint.diagnostics.progress import ProgressTracker
from entrypoint.http.client import HttpClient, Request
from entrypoint.report.console import Console
from entrypoint.run.polling import WORK_INTERVAL
from tests.support import known_secrets
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault
from tests.support.step import admin_inputs, run_dags, run_step
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from entrypoint.deadline import Deadline
    from entrypoint.models import DagRun, Outcome
    from tests.support.fake_airflow.messages import ReceivedRequest
    from tests.support.fake_airflow.models import Entry

VERSIONS = ("3.3.2", "3.1.8", "2.11.2", "2.4.3")
"""3.1 ignores a continuation token, and 2.4 has none."""
LINE = re.compile(r"(?<= - )line \d+\b")
PAUSE = 0.5
"""Seconds between two lines of a task."""
LOGS = ("GET", "/logs/*")
SECRET = "k9-Uq7/pass+word"

Spans = dict[str, tuple[tuple[float, float], ...]]


class Play:
    """A DAG run whose tasks write a line each PAUSE seconds, in virtual time.

    Args:
        version: version of the fake Airflow.
        spans: for each task the first and the last second of each try.
        ends: final state of the run and its tasks.
        change: function from the lines written so far, and the second, to the log.
    """

    def __init__(
        self,
        version: Any,
        spans: Spans,
        ends: str = "success",
        change: Callable[[list[str], float], Sequence[Entry]] = lambda lines, _: lines,
    ) -> None:
        self.time, self.spans, self._ends, self._change = VirtualTime(), spans, ends, change
        self.start = self.time.now
        self.time.on_sleep = self._move
        tasks = tuple(
            FakeTask(name, ends=ends, states={10**9: "running"}, retries=len(tries) - 1, log=log)
            for name, tries in spans.items()
            for log in (self._log(name),)
        )
        self.fake = FakeAirflow(
            version,
            dags=[FakeDag("sales", tasks=tasks, polls=10**9, starts=1)],
            clock=lambda: datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=self.time.now),
            accept=self._record,
        )
        self.sent: list[tuple[float, str]] = []
        """The second and the path of each request."""
        self.events: list[tuple[float, Callable[[], object]]] = [
            (at, partial(self._enter, name, state))
            for name, tries in spans.items()
            for number, (began, ended) in enumerate(tries, 1)
            for at, state in (
                (began, "running"),
                (ended, ends if number == len(tries) else "up_for_retry"),
            )
        ]
        self.lasts = max(at for at, _ in self.events) + 2
        self.events.append((self.lasts, lambda: self._enter(None, ends)))
        self.shown: dict[str, list[str]] = defaultdict(list)
        self.late: dict[str, float] = defaultdict(float)
        self.log = ""

    def _record(self, request: ReceivedRequest) -> None:
        sent = self.second, request.path
        if self.sent[-1:] != [sent]:  # a request may be checked twice
            self.sent.append(sent)

    def without_logs(self) -> None:
        """Let Airflow find no log of any task."""
        for run_dag in self.fake._database.dags.values():
            tasks = tuple(replace(task, log=None) for task in run_dag.tasks)
            self.fake.deploy(replace(run_dag, tasks=tasks))

    def _log(self, name: str) -> Callable[[int], Sequence[Entry]]:
        def written(number: int) -> Sequence[Entry]:
            return self._change(self.lines(name, number, self.second), self.second)

        return written

    @property
    def second(self) -> float:
        return self.time.now - self.start

    def lines(self, name: str, number: int, second: float) -> list[str]:
        """Return what a try has written at this second."""
        began, ended = self.spans[name][number - 1]
        count = int((min(second, ended) - began) / PAUSE) + 1
        return [f"line {n}" for n in range(count)]

    def _enter(self, name: str | None, state: str) -> None:
        for run in self.fake.runs("sales"):
            if name is None:
                self.fake.set_run_state("sales", run.run_id, state)
            else:
                self.fake.set_task_state("sales", run.run_id, name, state)

    def _move(self, _: float) -> None:
        due = sorted((one for one in self.events if one[0] <= self.second), key=lambda one: one[0])
        self.events = [one for one in self.events if one not in due]
        for _, happen in due:
            happen()

    def run(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        **inputs: str,
    ) -> Outcome:
        """Run a step with live logs."""
        show = Console.task_lines

        def task_lines(console: Console, name: str, lines: Sequence[str]) -> None:
            show(console, name, lines)
            number = int(name.partition("(try ")[2].rstrip(")") or 1)
            task = name.partition(" (")[0]
            found = [match[0] for line in lines if (match := LINE.search(line))]
            for line in found:
                written = self.spans[task][number - 1][0] + int(line.split()[1]) * PAUSE
                self.late[name] = max(self.late[name], self.second - written)
            self.shown[name] += found

        monkeypatch.setattr(Console, "task_lines", task_lines)
        given = admin_inputs(self.fake) | {"logs": "live", "timeout": "20m"} | inputs
        with self.fake:
            outcome = run_step(given, time=self.time)
        self.log = capsys.readouterr().out
        return outcome

    def expected(self) -> dict[str, list[str]]:
        return {
            name if number == 1 else f"{name} (try {number})": self.lines(name, number, 10**9)
            for name, tries in self.spans.items()
            for number in range(1, len(tries) + 1)
        }


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_task_that_writes_is_shown_within_six_seconds(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(version, {"load": ((1.0, 61.0),)})
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.shown == play.expected()
    # In virtual time the next states of a stream come while the log is read.
    artefact = 2 * WORK_INTERVAL if version.startswith("3") else 0.0
    assert max(play.late.values()) <= 6.0 + artefact, play.late


def most_per_minute(play: Play) -> int:
    """Return the most requests for logs and task instances in a minute before the run's end."""
    times = [
        at
        for at, path in play.sent
        if at < play.lasts and ("/logs/" in path or "Instances" in path)
    ]
    return max((sum(begin <= at < begin + 59.99 for at in times) for begin in times), default=0)


def test_every_line_of_many_tasks_and_tries_is_shown_once_and_in_order(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There are at most 12 more requests in any minute than without live logs."""
    spans: Spans = {f"load_{n}": ((1.0 + n, 30.0 + 3 * n),) for n in range(10)}
    spans["flaky"] = ((1.0, 2.0), (3.0, 12.0), (40.0, 125.0))
    play, other = Play(version, spans), Play(version, spans)
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.shown == play.expected()
    assert other.run(monkeypatch, capsys, logs="failed").result == "success"
    assert most_per_minute(play) <= most_per_minute(other) + 12
    assert play.lasts <= play.second <= play.lasts + 11  # the end is seen as soon


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
def test_the_end_of_a_try_is_shown_before_the_next_that_runs_already(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(version, {"flaky": ((1.0, 2.0), (3.0, 31.0), (32.0, 41.0))})
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.shown == play.expected()
    for end, beginning in (("flaky |", "flaky (try 2) |"), ("(try 2) |", "flaky (try 3) |")):
        assert play.log.rindex(f"{end} ") < play.log.index(beginning)


def test_a_long_run_of_short_tasks_is_followed(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each begins when another has ended, which the logs of the other tell."""
    spans: Spans = {f"load_{n}": ((30.0 * n + 1, 30.0 * n + 29),) for n in range(10)}
    play = Play(version, spans)
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.shown == play.expected()
    assert max(play.late.values()) <= 15, play.late


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
def test_the_log_of_a_failed_task_is_not_printed_again(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its cause is known without another request, and the summary has its last lines."""
    play = Play(version, {"load": ((1.0, 21.0),)}, ends="failed")
    outcome = play.run(monkeypatch, capsys, log_lines="7")
    assert outcome.result == "failed"
    assert play.shown == play.expected()
    assert "Log of load" not in play.log
    (failure,) = outcome.failures
    assert failure.cause == "ValueError: it broke"
    assert len(failure.log) == 7
    last = [path for at, path in play.sent if "/logs/" in path and at >= play.lasts]
    assert len(last) <= 2


FAULTS = (
    Fault.RESET,
    Fault.TRUNCATED,
    Fault.TRUNCATED_JSON,
    Fault.HTML_200,
    Fault.JSON_500,
    Fault.EMPTY_JSON,
    Fault.WRONG_JSON,
    Fault.CACHED_404,
    Fault.TOO_MANY,
    Fault.JSON_403,
)


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_or_odd_response_loses_and_repeats_no_line(
    version: Any,
    fault: Fault,
    when: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    play = Play(version, {"load": ((1.0, 91.0),)})
    play.fake.fault(fault, on=LOGS, when=when, skip=2, times=1)
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.shown == play.expected()


def test_a_token_that_airflow_no_longer_accepts_loses_and_repeats_no_line(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(version, {"load": ((1.0, 61.0),)})
    play.events += [(at, play.fake.forget_log_tokens) for at in (10.0, 20.0, 21.0, 61.5)]
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.shown == play.expected()


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
def test_a_log_that_becomes_shorter_is_said_once(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(
        version,
        {"load": ((1.0, 61.0),)},
        change=lambda lines, second: lines if second < 30 else lines[60:],
    )
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.log.count("has become shorter") == 1
    assert play.expected()["load"][-1] in play.shown["load"]


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
def test_a_line_that_airflow_reads_while_it_is_written_is_shown_whole(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line ends anywhere, also within a secret, which the guard would see."""
    known_secrets.add(SECRET)
    masking.add(SECRET)

    def cut(lines: list[str], second: float) -> Sequence[Entry]:
        *whole, last = [f"{line} has {SECRET} in it" for line in lines]
        if second >= 41:
            return [*whole, last]
        size = 3 + int(second * 7) % len(last)
        if version == "2.11.2":
            return [*whole, last[:size]]
        return [*whole, {"event": f'{{"timestamp":"2026-11-20T10:00:00Z","event":"{last}"'[:size]}]

    play = Play(version, {"load": ((1.0, 41.0),)}, change=cut)
    assert play.run(monkeypatch, capsys).result == "success"
    # Airflow 2 does not say whether its last line is complete; the rest of it is a line then.
    text = "".join(re.findall(r"^\u2060load \| (.*)$", play.log, re.MULTILINE))
    assert re.findall(r"(line \d+) has \*\*\* in it", text) == play.expected()["load"]


def test_a_line_cannot_act_as_a_command(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(
        version,
        {"load": ((1.0, 11.0),)},
        change=lambda lines, _: [f"::error::{line}\r::warning::{line}" for line in lines],
    )
    assert play.run(monkeypatch, capsys).result == "success"
    printed = [line for line in play.log.splitlines() if "::error::line" in line]
    assert printed
    assert not any(line.lstrip("\u2060 ").startswith("::") for line in printed)
    fenced = re.findall(r"::stop-commands::(\w+)\n.*?::\1::\n", play.log, re.DOTALL)
    assert len(fenced) == play.log.count("::stop-commands::")


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        (True, "Could not read served logs"),
        (False, "can read on Task Logs"),
    ],
)
def test_an_airflow_that_returns_no_logs_says_so_once(
    version: Any,
    lost: bool,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    play = Play(version, {"load": ((1.0, 300.0),), "other": ((1.0, 300.0),)})
    if lost:
        play.without_logs()
    else:
        play.fake.deny("logs")
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.log.count(sentence) == 1
    assert not play.shown
    assert len([path for _, path in play.sent if "/logs/" in path]) <= 20


def test_with_timeout_the_rest_is_read(
    version: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(version, {"load": ((1.0, 500.0),)})
    assert play.run(monkeypatch, capsys, timeout="38").result == "timeout"
    assert play.shown["load"] == play.lines("load", 1, play.second)


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
def test_the_lines_of_several_dags_have_their_names(
    version: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    time = VirtualTime()
    tasks = (FakeTask("load", map_index=3, log=("one", "two"), states={1: "running"}),)
    dags = [FakeDag(name, tasks=tasks, polls=12) for name in ("sales", "stock")]
    with FakeAirflow(version, dags=dags) as fake:
        assert run_dags(fake, "sales", "stock", time=time, logs="live").result == "success"
    log = capsys.readouterr().out
    for name in ("sales", "stock"):
        assert (
            len(re.findall(rf"^\u2060{name}: load\[3\] \| .*(?:one|two)$", log, re.MULTILINE)) == 2
        )


def test_a_log_that_is_read_while_a_stream_is_open_leaves_the_limits_of_the_stream() -> None:
    with FakeAirflow() as fake:
        client, url = HttpClient(), f"{fake.url}/api/v2/version"

        def read_other(_: object, until: float) -> float:
            client.send(Request("GET", url, "a log", max_seconds=900.0), lambda *_: None)
            return client._deadline.until - until

        stream = Request("GET", url, "a stream", max_seconds=30.0)
        assert client.send(stream, read_other) == 0


@pytest.mark.parametrize("poll_interval", ["", "1"])
@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
def test_several_dags_take_turns(
    version: Any, poll_interval: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share one pace, so each read of one delays the others."""
    time, shown = VirtualTime(), defaultdict[str, list[float]](list)

    def task_lines(console: Console, _: str, lines: Sequence[str]) -> None:
        shown[console._name] += [time.now] if lines else []

    def log(_: int) -> list[str]:
        return [f"line {n}" for n in range(int(time.now))]

    monkeypatch.setattr(Console, "task_lines", task_lines)
    tasks = (FakeTask("load", states={1: "running"}, log=log),)
    names = ("sales", "stock", "other")
    with FakeAirflow(version, dags=[FakeDag(name, tasks=tasks, polls=10**9) for name in names]) as (
        fake
    ):
        run_dags(fake, *names, time=time, logs="live", timeout="2m", poll_interval=poll_interval)
    assert min(len(shown[name]) for name in names) >= 6, shown


@pytest.mark.parametrize("version", ["3.3.2", "2.11.2"], indirect=True)
def test_a_task_that_a_wide_run_no_longer_lists_is_followed_to_its_end(
    version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others that come before it in the list are cleared, and fill the only page that is read."""
    time, shown = VirtualTime(), list[str]()
    begin, end = time.now, time.now + 150

    def task_lines(_: Console, __: str, lines: Sequence[str]) -> None:
        shown.extend(match[0] for line in lines if (match := LINE.search(line)))

    def log(_: int) -> list[str]:
        return [f"line {n}" for n in range(int(min(time.now, end) - begin))]

    def move(_: float) -> None:
        for run in fake.runs("sales"):
            state = "scheduled" if begin + 60 <= time.now < end else "success"
            if run.instances[0].state != state:
                for n in range(150):
                    fake.set_task_state("sales", run.run_id, "early", state, map_index=n)
            if time.now >= end and run.state == "running":
                fake.set_task_state("sales", run.run_id, "load", "success")
                fake.set_run_state("sales", run.run_id, "success")

    monkeypatch.setattr(Console, "task_lines", task_lines)
    early = (FakeTask("early", map_index=n, states={1: "success"}) for n in range(150))
    tasks = (*early, FakeTask("load", states={1: "running"}, log=log))
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, polls=10**9)]) as fake:
        time.on_sleep = move
        run_step(admin_inputs(fake) | {"logs": "live"}, time=time)
    assert shown == [f"line {n}" for n in range(150)]


def test_a_bug_in_the_progress_neither_stops_the_logs_nor_spins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play, sleeps = Play("2.11.2", {"load": ((1.0, 61.0),)}), list[float]()
    move, refresh = play.time.on_sleep, ProgressTracker.refresh

    def count(seconds: float) -> None:
        sleeps.append(seconds)
        assert len(sleeps) < 1000
        move(seconds)

    def fail(tracker: ProgressTracker, run: DagRun, deadline: Deadline) -> None:
        if play.second > 20:
            raise ValueError
        refresh(tracker, run, deadline)

    play.time.on_sleep = count
    monkeypatch.setattr(ProgressTracker, "refresh", fail)
    assert play.run(monkeypatch, capsys).result == "success"
    assert play.shown == play.expected()
