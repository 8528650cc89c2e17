"""The Gantt chart, read by Mermaid's rules."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.models import TaskInstance
from entrypoint.report.gantt import MAX_BARS, gantt
from tests.support.factories import START, a_task
from tests.support.markdown import hostile, read

LARGEST_CHART = 50_000
"""Mermaid's own limit of a chart's characters (docs/notes/runner.md#mermaid-charts)."""
WORDS = (
    *(
        "section",
        "title",
        "done",
        "crit",
        "active",
        "milestone",
        "vert",
        "gantt",
        "dateFormat",
        "click",
        "excludes",
    ),
    *(
        "accTitle",
        "accDescr {",
        "todayMarker off",
        "%%{init: {}}%%",
        "%% x",
        "after a",
        "```",
        ":",
        ";",
        "#",
        "#quot;",
    ),
    *(
        "a:b;c#d",
        "::error::x",
        "##[error]x",
        "\n",
        "\r",
        "\u2028",
        "\x1b[31m",
        "</details><script>",
        "@octocat",
        "\ud800",
    ),
    *("", " ", "任务", "a" * 300),
)
names = st.sampled_from(WORDS) | hostile


@dataclass(frozen=True)
class Bar:
    """A bar as Mermaid reads it."""

    name: str
    status: str
    start: datetime
    end: datetime


_BAR = re.compile(
    r"    (?P<name>[^:;#%`<>{}\"'\\@|\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]{1,60}) "
    r":(?P<status>crit|done|active), "
    r"(?P<start>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}), (?P<end>\d{4}-\d\d-\d\d "
    r"\d\d:\d\d:\d\d\.\d{3})"
)
_KEYWORD = re.compile(
    r"\s*(?:gantt|section|title|dateFormat|axisFormat|click|acc|excludes|includes|todayMarker"
    r"|tick|%%)",
    re.IGNORECASE,
)


def read_bars(tasks: list[TaskInstance] | tuple[TaskInstance, ...]) -> list[Bar]:
    """Read the chart, which must be one fence with nothing but bars."""
    text = gantt(tasks)
    page = read(f"before\n\n{text}\n\nafter")
    assert (page.prose, page.markup, len(page.blocks)) == (["before", "after"], [], 1)
    first, *lines, last = text.split("\n")
    assert (first, lines[0], last) == ("```mermaid", "gantt", "```")
    assert [line.split()[0] for line in lines[1:3]] == ["dateFormat", "axisFormat"]
    assert len(text) < LARGEST_CHART
    return [_bar(line) for line in lines[3:]]


def _bar(line: str) -> Bar:
    match = _BAR.fullmatch(line)
    assert match, f"{line!r} is no bar"
    assert not _KEYWORD.match(match["name"])
    start, end = (
        datetime.strptime(f"{match[which]}+0000", "%Y-%m-%d %H:%M:%S.%f%z")
        for which in ("start", "end")
    )
    assert start < end
    return Bar(match["name"], match["status"], start, end)


def ran(
    task_id: str = "t", begin: float = 0, end: float | None = 1, **changes: Any
) -> TaskInstance:
    """Return a task instance that ran between two offsets, in seconds."""
    until = None if end is None else START + timedelta(seconds=end)
    return a_task(task_id, start_date=START + timedelta(seconds=begin), end_date=until, **changes)


def test_each_started_task_is_a_bar_in_order_of_start() -> None:
    first, second = read_bars([ran("load", 2, 3.5), ran("extract", 0.25, 2)])

    assert "extract" in first.name
    assert "load" in second.name
    assert (first.start, first.end) == (
        START + timedelta(seconds=0.25),
        START + timedelta(seconds=2),
    )
    assert (second.start, second.end) == (
        START + timedelta(seconds=2),
        START + timedelta(seconds=3.5),
    )


@pytest.mark.parametrize(
    ("state", "status"),
    [("failed", "crit"), ("success", "done"), ("running", "active"), ("deferred", "active")],
)
def test_failed_and_succeeded_bars_differ_in_colour_and_name(state: str, status: str) -> None:
    bar, other = read_bars(
        [ran("a", state=state), ran("b", 1, state="success" if state == "failed" else "failed")]
    )

    assert bar.status == status
    assert bar.name.replace("a", "") != other.name.replace("b", "")


@pytest.mark.parametrize(
    "tasks",
    [
        [],
        [ran()],
        [ran(), a_task("b", start_date=None)],
        [ran(), ran("b", state="upstream_failed")],
        [a_task("a", state=None), a_task("b", state=None)],
    ],
)
def test_fewer_than_two_bars_give_no_chart(tasks: list[TaskInstance]) -> None:
    assert gantt(tasks) == ""


def test_times_are_converted_to_utc() -> None:
    """Mermaid knows only naive times."""
    east = datetime.fromisoformat("2026-01-31T15:00:15+05:30")

    drawn = read_bars([ran("a"), a_task("b", start_date=east, end_date=east + timedelta(hours=1))])

    assert [(bar.start, bar.name[-1]) for bar in drawn] == [(START, "a"), (START, "b")]


@pytest.mark.parametrize("end", [None, 7.0, 6.0, -50.0])
def test_missing_end_is_the_last_known_time_and_end_before_start_is_ignored(
    end: float | None,
) -> None:
    """A clear leaves such ends."""
    _, bar = read_bars([ran("a", 0, 9), ran("b", 7, end, state="running")])

    assert bar.start == START + timedelta(seconds=7)
    assert bar.end >= (START + timedelta(seconds=9) if end is None else bar.start)


@given(st.lists(st.tuples(names, st.integers(-1, 12)), min_size=2, max_size=70, unique=True))
def test_any_names_give_a_valid_chart_with_all_bars(called: list[tuple[str, int]]) -> None:
    tasks = [
        ran(name, number, number + 1, map_index=index)
        for number, (name, index) in enumerate(called)
    ]
    drawn = (
        len(called) if len(called) <= MAX_BARS else min(len({name for name, _ in called}), MAX_BARS)
    )

    assert len(read_bars(tasks)) == drawn


@pytest.mark.parametrize("name", WORDS)
def test_mermaid_keywords_and_signs_in_names_stay_text(name: str) -> None:
    assert len(read_bars([ran(name), ran(f"{name}x", 1), ran(f"x {name}", 2)])) == 3


def test_ordinary_names_are_unchanged() -> None:
    tasks = [ran("group.load-1_b", 0), ran("任务_é", 1), ran("load", 2, map_index=7)]

    assert [bar.name.partition(" ")[2] for bar in read_bars(tasks)] == [
        "group.load-1_b",
        "任务_é",
        "load[7]",
    ]


def test_up_to_sixty_bars_mapped_instances_are_separate() -> None:
    drawn = read_bars([ran("load", n, n + 1, map_index=n) for n in range(MAX_BARS)])

    assert len({bar.name for bar in drawn}) == MAX_BARS


def test_above_sixty_bars_mapped_instances_are_merged() -> None:
    load = [
        ran("load", n, n + 5, map_index=n, state="failed" if n == 17 else "success")
        for n in range(200)
    ]
    clean = [ran("clean", 300 + n, 301 + n, map_index=n) for n in range(100)]
    first, second = read_bars([*load, *clean])

    assert ("load" in first.name, first.status) == (True, "crit")
    assert (first.start, first.end) == (START, START + timedelta(seconds=204))
    assert ("clean" in second.name, second.status) == (True, "done")


@pytest.mark.parametrize("last", ["running", "failed"])
def test_merged_bar_is_done_only_if_all_succeeded(last: str) -> None:
    for place in (0, 30, 69):
        tasks = [
            ran("load", n, n + 1, map_index=n, state=last if n == place else "success")
            for n in range(70)
        ]
        (bar, _) = read_bars([*tasks, ran("z", 500)])
        assert bar.status == {"running": "active", "failed": "crit"}[last]


def test_merged_bar_with_a_failure_is_critical() -> None:
    for states in (("failed", "running"), ("running", "failed")):
        tasks = [ran("load", n, n + 1, map_index=n, state=states[n % 2]) for n in range(70)]
        assert read_bars([*tasks, ran("z", 500)])[0].status == "crit"


def test_too_many_bars_keep_failures_and_the_longest() -> None:
    tasks = [
        ran(f"t{n:03}", n, n + 1 + n % 90 / 10, state="failed" if n % 29 == 0 else "success")
        for n in range(300)
    ]
    drawn = read_bars(tasks)
    failed = {f"t{n:03}" for n in range(0, 300, 29)}
    shown = {bar.name.split()[-1] for bar in drawn}
    kept, dropped = (
        [task for task in tasks if (task.task_id in shown) is which] for which in (True, False)
    )

    assert len(drawn) == MAX_BARS
    assert failed <= shown
    assert {bar.name.split()[-1] for bar in drawn if bar.status == "crit"} == failed
    assert min(duration_of(task) for task in kept if task.task_id not in failed) >= max(
        duration_of(task) for task in dropped
    )
    assert [bar.start for bar in drawn] == sorted(bar.start for bar in drawn)


def duration_of(task: TaskInstance) -> timedelta:
    assert task.start_date is not None
    assert task.end_date is not None
    return task.end_date - task.start_date


def test_5000_tasks_stay_within_mermaids_text_limit() -> None:
    tasks = [ran(f"{n:04}{'任' * 246}", n, n + 1, state="failed") for n in range(5000)]

    assert len(read_bars(tasks)) == MAX_BARS


FIRST, LAST = "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"
ODD = (
    FIRST,
    "0001-01-01T00:00:00+14:00",
    "0987-06-05T00:00:00+00:00",
    LAST,
    "9999-12-31T23:59:59.999999-12:00",
)


@pytest.mark.parametrize("start", ODD)
@pytest.mark.parametrize("end", [None, "2026-01-31T15:00:15+05:30", *ODD])
@pytest.mark.parametrize("others", [1, MAX_BARS])
def test_extreme_dates_give_a_bar_for_each_task(start: str, end: str | None, others: int) -> None:
    dates = (datetime.fromisoformat(start), None if end is None else datetime.fromisoformat(end))
    tasks = [
        a_task("odd", start_date=dates[0], end_date=dates[1]),
        *(ran(f"t{n}", n) for n in range(others)),
    ]

    assert "odd" in " ".join(bar.name for bar in read_bars(tasks))
    for until in (datetime.fromisoformat(one) for one in ODD):
        assert gantt(tasks, until)
