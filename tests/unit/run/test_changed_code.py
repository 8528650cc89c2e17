"""Which DAGs the new code of changed files has, as seen from the parsings of the files."""

from __future__ import annotations

from typing import Any, cast

import pytest

from entrypoint.models import Dag
from entrypoint.run.changed_code import ChangedCode
from entrypoint.run.code_wait import REPARSE_SECONDS


class Wait:
    """What is read of a `CodeWait`."""

    def __init__(
        self,
        dag_id: str,
        parsings: int,
        *,
        file: str = "a.py",
        active: bool = True,
        fails_to_import: bool = False,
    ) -> None:
        self.dag_id, self.parsings, self.fails_to_import = dag_id, parsings, fails_to_import
        self.dag = Dag(
            dag_id, is_paused=False, is_active=active, has_import_errors=False, file=file
        )

    def count_parsing(self) -> None:
        self.parsings += 1


def changed_code(*waits: Any, found: tuple[str, ...] = (), now: list[float] | None = None) -> Any:
    removable = [each.dag_id for each in waits if each.dag_id != "named"]
    moments, add = now or [0.0], cast("Any", lambda dag_id: Wait(dag_id, 0))
    return ChangedCode(waits, removable, lambda: found, add, lambda: moments[-1])


@pytest.mark.parametrize(
    ("pending", "sibling", "removed"),
    [
        (Wait("old", 0), Wait("new", 2), True),
        (Wait("old", 0, active=False), Wait("new", 2), True),
        (Wait("old", 0), Wait("new", 1), False),
        (Wait("old", 1), Wait("new", 5), False),
        (Wait("old", 0), Wait("new", 2, file="b.py"), False),
        (Wait("old", 0, fails_to_import=True), Wait("new", 2), False),
        (Wait("old", 0), Wait("new", 2, fails_to_import=True), False),
        (Wait("old", 0), Wait("new", 2, active=False), False),
        (Wait("named", 0), Wait("new", 2), False),
    ],
)
def test_a_dag_is_removed_once_another_one_of_its_file_was_parsed_twice(
    pending: Wait, sibling: Wait, removed: bool
) -> None:
    code = changed_code(pending, sibling)
    assert code.revise([pending]) == ([] if removed else [pending])
    assert code.removed == ([pending] if removed else [])


def test_the_parsings_of_a_dag_with_new_code_are_counted_for_its_file() -> None:
    """Only after the decision: a parsing in between may be one that the pending DAG has, too."""
    pending, done = Wait("old", 0), Wait("new", 1)
    code = changed_code(pending, done)
    assert code.revise([pending]) == [pending]
    assert code.revise([pending]) == []


@pytest.mark.parametrize(("seconds", "listed"), [(REPARSE_SECONDS - 1, False), (40.0, True)])
def test_new_dags_are_looked_for_while_one_is_not_parsed(seconds: float, listed: bool) -> None:
    now = [0.0]
    pending = Wait("old", 0)
    code = changed_code(pending, found=("old", "new"), now=now)
    now.append(seconds)
    assert [each.dag_id for each in code.revise([pending])] == ["old", *["new"] * listed]


def test_new_dags_are_looked_for_at_the_end() -> None:
    code = changed_code(Wait("a", 2), found=("a", "b"))
    assert [each.dag_id for each in code.revise([])] == ["b"]
    assert code.revise([]) == []
