"""Follow which DAGs the changed files define, while Airflow parses these files again.

A commit may remove a DAG from a file, add one, or rename one. Until Airflow has parsed the file, it
has the DAGs of the old code. It triggers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.run.code_wait import MIN_PARSINGS, REPARSE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from entrypoint.run.code_wait import CodeWait


class ChangedCode:
    """The waits for the DAGs of a step with the line `changed`.

    Args:
        waits: those for all DAGs of the step, which have begun.
        removable: ids of the DAGs that only `changed` selected.
        list_changed: returns the ids of the DAGs that the changed files define now.
        add: begins the wait for a DAG that such a file defines now.
        clock: returns monotonic seconds.

    Attributes:
        removed: waits for the DAGs that their files no longer define.
    """

    def __init__(
        self,
        waits: Iterable[CodeWait],
        removable: Collection[str],
        list_changed: Callable[[], Iterable[str]],
        add: Callable[[str], CodeWait],
        clock: Callable[[], float],
    ) -> None:
        self._waits = {each.dag_id: each for each in waits}
        self._removable = removable
        self._list_changed = list_changed
        self._add = add
        self._clock = clock
        self._listed_at = clock()
        self.removed: list[CodeWait] = []

    def revise(self, pending: Sequence[CodeWait]) -> list[CodeWait]:
        """Return which waits go on after a poll of each: without removed DAGs, with new ones."""
        removed = [each for each in pending if self._is_removed(each)]
        self.removed += removed
        left = [each for each in pending if each not in removed]
        unparsed = [each for each in left if self._may_be_removed(each)]
        # The new code of all others is there. A DAG that was renamed has its new name by now.
        overdue = unparsed and self._clock() - self._listed_at >= REPARSE_SECONDS
        if not left or overdue:
            self._listed_at = self._clock()
            new = [one for one in self._list_changed() if one not in self._waits]
            self._waits |= {dag_id: self._add(dag_id) for dag_id in new}
            left += [self._waits[dag_id] for dag_id in new]
        # Counted after the decision, because the count must be older than the polls of `pending`.
        siblings = {one for each in unparsed for one in self._siblings(each) if one not in left}
        for one in {(one.dag.file, one.dag.bundle): one for one in siblings if one.dag}.values():
            if one.parsings < MIN_PARSINGS:
                one.count_parsing()
        return left

    def _may_be_removed(self, each: CodeWait) -> bool:
        """Return whether Airflow has not parsed the DAG since this step began."""
        unparsed = not each.parsings and each.dag is not None and not each.fails_to_import
        return unparsed and each.dag_id in self._removable

    def _is_removed(self, each: CodeWait) -> bool:
        """Return whether the DAG's file no longer defines it.

        Airflow writes what it has found in a file in one transaction. So if it has written another
        DAG of the file twice, and this one not once, the first of these parsings lacked this one.
        Airflow itself marks the DAG only minutes later, after `stale_dag_threshold`.
        """
        parsed = any(one.parsings >= MIN_PARSINGS for one in self._siblings(each))
        return parsed and self._may_be_removed(each)

    def _siblings(self, each: CodeWait) -> list[CodeWait]:
        """Return the waits for the other DAGs of the same file that Airflow runs."""
        return [
            other
            for other in self._waits.values()
            if other is not each
            and other.dag is not None
            and each.dag is not None
            and other.dag.is_active
            and not other.fails_to_import
            and (other.dag.file, other.dag.bundle) == (each.dag.file, each.dag.bundle)
        ]
