"""Task instances in the summary: what went wrong on top, as many as there is room for, and short
names for many.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.runner.files import MAX_SUMMARY_BYTES
from entrypoint.models import TaskInstance
from entrypoint.report.tables import names, task_table
from tests.support.factories import a_task
from tests.support.markdown import Page, hostile, read

OPEN_STATES = (
    *(
        "up_for_retry",
        "running",
        "queued",
        "scheduled",
        None,
        "deferred",
        "up_for_reschedule",
        "awaiting_input",
    ),
    *("restarting", "a_state_of_tomorrow"),
)
"""States of a task instance that has not ended, by Airflow's list, and one that nobody knows yet.

Measured: docs/notes/airflow-3.md#task-states.
"""


def page(*tasks: TaskInstance) -> Page:
    """The table as read; nothing that follows it is part of it."""
    seen = read(f"{task_table(tasks)}\n\nafter")
    assert seen.prose[-1] == "after"
    return seen


def rows(*tasks: TaskInstance) -> list[list[str]]:
    """The rows of the table."""
    ((_, *found),) = page(*tasks).tables
    return found


@pytest.mark.parametrize(
    ("indexes", "written"),
    [
        ([-1], "load"),
        ([0], "load[0]"),
        ([7], "load[7]"),
        ([0, 1], "load[0-1]"),
        ([3, 1, 0, 2, 7], "load[0-3, 7]"),
        ([5, 9, 7], "load[5, 7, 9]"),
        (list(range(5000)), "load[0-4999]"),
        ([*range(10), *range(20, 30), 40], "load[0-9, 20-29, 40]"),
    ],
)
def test_names(indexes: list[int], written: str) -> None:
    """The instances of a mapped task are written as ranges of their indexes, in their order."""
    assert names(a_task("load", map_index=index) for index in indexes) == [written]


def test_names_of_several_tasks() -> None:
    """Each task is named once, in the order in which the tasks come."""
    tasks = [
        a_task("b", map_index=1),
        a_task("a"),
        a_task("b", map_index=2),
        a_task("c.d", map_index=0),
    ]

    assert names(tasks) == ["b[1-2]", "a", "c.d[0]"]
    assert names([]) == []


@given(st.dictionaries(st.sampled_from(["load", "clean"]), st.sets(st.integers(0, 60), min_size=1)))
def test_names_lose_nothing(mapped: dict[str, set[int]]) -> None:
    """The ranges name exactly the indexes that there are."""
    tasks = [a_task(name, map_index=index) for name, found in mapped.items() for index in found]
    read_back = {}
    for written in names(tasks):
        name, ranges = written.removesuffix("]").split("[")
        ends = [[int(end) for end in part.split("-")] for part in ranges.split(", ")]
        read_back[name] = {index for end in ends for index in range(end[0], end[-1] + 1)}

    assert read_back == mapped


def test_a_row() -> None:
    """A row links the task instance and says its state, how long it took, and its tries."""
    seen = page(a_task("load", map_index=3, state="failed", duration=132.4, try_number=2))

    assert seen.headings == ["Tasks: 0 of 1 succeeded"]
    ((header, (name, state, took, tries)),) = seen.tables
    assert header == ["Task", "State", "Took", "Tries"]
    assert (name, took, tries) == ("load[3]", "2 m 12 s", "2")
    assert "failed" in state
    assert seen.links == [("load[3]", a_task("load").url)]


@pytest.mark.parametrize(
    "state", ["success", "failed", "upstream_failed", "skipped", "removed", *OPEN_STATES]
)
def test_every_state(state: str | None) -> None:
    """Every state is said in words or by its name, and a task instance that has not run shows no
    zero.
    """
    ((name, said, *rest),) = rows(a_task("a", state=state, duration=None, try_number=0))

    assert (name, rest) == ("a", ["", ""])
    assert re.search(r"[a-z]{4}", said)
    assert (
        state not in ("running", "deferred", "removed", "a_state_of_tomorrow") or str(state) in said
    )


def test_order() -> None:
    """Failed task instances come first, then what they kept from running, and the successes
    last.
    """
    ordered = (
        "failed",
        "upstream_failed",
        "up_for_retry",
        "running",
        "queued",
        "scheduled",
        None,
        "skipped",
        "success",
    )
    tasks = [a_task(f"t{place}", state=state) for place, state in enumerate(ordered)]

    assert [row[0] for row in rows(*reversed(tasks))] == [
        f"t{place}" for place in range(len(ordered))
    ]


def test_order_of_equals() -> None:
    """Task instances of one state stay in Airflow's order."""
    tasks = [a_task(f"t{(7 * n) % 10}", state="failed") for n in range(10)]

    assert [row[0] for row in rows(*tasks)] == [task.name for task in tasks]


@pytest.mark.parametrize(
    "state",
    ["deferred", "up_for_reschedule", "awaiting_input", "restarting", "a_state_of_tomorrow"],
)
def test_what_has_not_ended_comes_before_what_has(state: str) -> None:
    """What the run still waits for is above what succeeded or was skipped."""
    found = rows(
        a_task("s", state="success"), a_task("k", state="skipped"), a_task("w", state=state)
    )

    assert found[0][0] == "w"


@pytest.mark.parametrize(("count", "folds"), [(1, 0), (20, 0), (500, 1)])
def test_folded(count: int, folds: int) -> None:
    """Few rows are in sight, many are folded away, with how many succeeded above them; all are
    there.
    """
    states = ["failed", *["success"] * (count - 1)]
    seen = page(*(a_task(f"t{n}", state=state) for n, state in enumerate(states)))
    title = f"Tasks: {count - 1} of {count} succeeded"

    assert seen.markup == ["html_block", "html_block"] * folds
    assert len(seen.headings) == 1 - folds
    assert title in task_table([a_task(f"t{n}", state=state) for n, state in enumerate(states)])
    assert len(seen.tables[0]) == count + 1


@given(hostile, hostile, hostile)
def test_hostile_names(task_id: str, state: str, path: str) -> None:
    """Whatever task instances, states and pages are called, each row has its four cells and one
    link.
    """
    url = f"https://airflow.example.com/dags/{path}"
    seen = page(a_task(task_id, state=state, url=url), a_task(task_id, map_index=3, url=url))

    assert [len(row) for row in seen.tables[0]] == [4, 4, 4]
    assert len(seen.links) == 2
    assert all(address.startswith("https://airflow.example.com/") for _, address in seen.links)
    assert (seen.markup, seen.prose) == ([], ["after"])


@pytest.mark.parametrize(
    "name",
    ["t" * 250, "任" * 250, "|" * 250, "`" * 250, "\ud800" * 250, "</details>" * 25, "t" * 3000],
    ids=["ascii", "wide", "|", "`", "surrogates", "tags", "endless"],
)
def test_size(name: str) -> None:
    """Of any number of task instances with the longest names as many are shown as there is room
    for, failed ones first.
    """
    states = ["success"] * 4990 + ["failed"] * 10
    url = f"https://airflow.example.com/dags/{name}"
    tasks = [
        a_task(f"{name}{n}", state=state, map_index=n, url=url) for n, state in enumerate(states)
    ]
    text = task_table(tasks)
    shown = re.findall(r"^\| \[.*$", text, re.MULTILINE)
    (missing,) = re.findall(r"^(\d+) more task instances are not shown", text, re.MULTILINE)

    assert len(text.encode(errors="backslashreplace")) < MAX_SUMMARY_BYTES * 0.7
    assert len(shown) + int(missing) == 5000
    assert all("❌" in row for row in shown[:10])
    assert len(shown) >= (40 if len(name) < 1000 else 1)


def test_nothing_is_missing() -> None:
    """When all task instances are shown nothing is said about more."""
    text = task_table([a_task("t", map_index=n) for n in range(200)])

    assert len(re.findall(r"^\| \[`t", text, re.MULTILINE)) == 200
    assert "more task instance" not in text


def test_what_was_not_read_is_counted() -> None:
    """The heading counts all task instances of a wide run, and a sentence says how many the table
    leaves out.
    """
    tasks = [
        a_task("load", map_index=n, state="failed" if n < 3 else "success") for n in range(503)
    ]
    text = task_table(tasks, 4497, 4400)

    assert "Tasks: 4900 of 5000 succeeded" in text
    assert "4500 more task instances are not shown here" in text
    assert "not shown" not in task_table(tasks[:500])
