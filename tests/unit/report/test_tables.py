"""The table of task instances in the summary."""

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
"""Airflow's states of a task instance that has not ended, and an unknown one.

Measured: docs/notes/airflow-3.md#task-states.
"""


def rendered(*tasks: TaskInstance) -> Page:
    """Render the table; following text must not become part of it."""
    seen = read(f"{task_table(tasks)}\n\nafter")
    assert seen.prose[-1] == "after"
    return seen


def table_rows(*tasks: TaskInstance) -> list[list[str]]:
    ((_, *found),) = rendered(*tasks).tables
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
def test_mapped_instances_are_written_as_ranges(indexes: list[int], written: str) -> None:
    assert names(a_task("load", map_index=index) for index in indexes) == [written]


def test_each_task_is_named_once_in_order() -> None:
    tasks = [
        a_task("b", map_index=1),
        a_task("a"),
        a_task("b", map_index=2),
        a_task("c.d", map_index=0),
    ]

    assert names(tasks) == ["b[1-2]", "a", "c.d[0]"]
    assert names([]) == []


@given(st.dictionaries(st.sampled_from(["load", "clean"]), st.sets(st.integers(0, 60), min_size=1)))
def test_ranges_name_exactly_the_given_indexes(mapped: dict[str, set[int]]) -> None:
    tasks = [a_task(name, map_index=index) for name, found in mapped.items() for index in found]
    read_back = {}
    for written in names(tasks):
        name, ranges = written.removesuffix("]").split("[")
        ends = [[int(end) for end in part.split("-")] for part in ranges.split(", ")]
        read_back[name] = {index for end in ends for index in range(end[0], end[-1] + 1)}

    assert read_back == mapped


def test_row_has_link_state_duration_and_tries() -> None:
    seen = rendered(a_task("load", map_index=3, state="failed", duration=132.4, try_number=2))

    assert seen.headings == ["Tasks: 0 of 1 succeeded"]
    ((header, (name, state, took, tries)),) = seen.tables
    assert header == ["Task", "State", "Took", "Tries"]
    assert (name, took, tries) == ("load[3]", "2 m 12 s", "2")
    assert "failed" in state
    assert seen.links == [("load[3]", a_task("load").url)]


@pytest.mark.parametrize(
    "state", ["success", "failed", "upstream_failed", "skipped", "removed", *OPEN_STATES]
)
def test_every_state_has_words_and_no_zero_duration(state: str | None) -> None:
    ((name, message, *rest),) = table_rows(a_task("a", state=state, duration=None, try_number=0))

    assert (name, rest) == ("a", ["", ""])
    assert re.search(r"[a-z]{4}", message)
    assert (
        state not in ("running", "deferred", "removed", "a_state_of_tomorrow")
        or str(state) in message
    )


def test_failed_tasks_come_first_and_successes_last() -> None:
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

    assert [row[0] for row in table_rows(*reversed(tasks))] == [
        f"t{place}" for place in range(len(ordered))
    ]


def test_tasks_of_one_state_keep_airflows_order() -> None:
    tasks = [a_task(f"t{(7 * n) % 10}", state="failed") for n in range(10)]

    assert [row[0] for row in table_rows(*tasks)] == [task.name for task in tasks]


@pytest.mark.parametrize(
    "state",
    ["deferred", "up_for_reschedule", "awaiting_input", "restarting", "a_state_of_tomorrow"],
)
def test_unfinished_tasks_come_before_successes(state: str) -> None:
    found = table_rows(
        a_task("s", state="success"), a_task("k", state="skipped"), a_task("w", state=state)
    )

    assert found[0][0] == "w"


@pytest.mark.parametrize(("count", "folds"), [(1, 0), (20, 0), (500, 1)])
def test_many_rows_are_folded_below_the_number_of_successes(count: int, folds: int) -> None:
    states = ["failed", *["success"] * (count - 1)]
    seen = rendered(*(a_task(f"t{n}", state=state) for n, state in enumerate(states)))
    title = f"Tasks: {count - 1} of {count} succeeded"

    assert seen.markup == ["html_block", "html_block"] * folds
    assert len(seen.headings) == 1 - folds
    assert title in task_table([a_task(f"t{n}", state=state) for n, state in enumerate(states)])
    assert len(seen.tables[0]) == count + 1


@given(hostile, hostile, hostile)
def test_hostile_names_keep_four_cells_and_one_link(task_id: str, state: str, path: str) -> None:
    url = f"https://airflow.example.com/dags/{path}"
    seen = rendered(a_task(task_id, state=state, url=url), a_task(task_id, map_index=3, url=url))

    assert [len(row) for row in seen.tables[0]] == [4, 4, 4]
    assert len(seen.links) == 2
    assert all(address.startswith("https://airflow.example.com/") for _, address in seen.links)
    assert (seen.markup, seen.prose) == ([], ["after"])


@pytest.mark.parametrize(
    "name",
    ["t" * 250, "任" * 250, "|" * 250, "`" * 250, "\ud800" * 250, "</details>" * 25, "t" * 3000],
    ids=["ascii", "wide", "|", "`", "surrogates", "tags", "endless"],
)
def test_table_of_any_size_fits_with_failures_first(name: str) -> None:
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


def test_complete_table_mentions_no_omission() -> None:
    text = task_table([a_task("t", map_index=n) for n in range(200)])

    assert len(re.findall(r"^\| \[`t", text, re.MULTILINE)) == 200
    assert "more task instance" not in text


def test_unread_tasks_are_counted_in_heading_and_sentence() -> None:
    tasks = [
        a_task("load", map_index=n, state="failed" if n < 3 else "success") for n in range(503)
    ]
    text = task_table(tasks, 4497, 4400)

    assert "Tasks: 4900 of 5000 succeeded" in text
    assert "4500 more task instances are not shown here" in text
    assert "not shown" not in task_table(tasks[:500])


def test_names_of_a_loop_have_their_iteration() -> None:
    """Indexes of different iterations are not joined."""
    tasks = [a_task("check", map_index=n, iteration=i) for i in (0, 1) for n in (0, 1, i + 2)]

    joined = ["check[0-2] (iteration 0)", "check[0-1, 3] (iteration 1)"]
    assert names([*tasks, a_task("load", iteration=4)]) == [*joined, "load (iteration 4)"]
