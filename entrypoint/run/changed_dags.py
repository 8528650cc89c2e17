"""Match the changed files of the repository to the DAGs that are defined in them. No I/O.

Airflow knows a DAG file by its path on Airflow's machines, where the repository may be the DAG
folder, have the DAG folder somewhere below its root, or be a part of the DAG folder. So files are
compared from the end of their paths.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from entrypoint.models import ChangedDags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entrypoint.models import ChangedFiles, Dag

_Parts = tuple[str, ...]
"""A path as its parts, the last one first."""


class _Location(NamedTuple):
    """Where Airflow has a DAG file.

    Attributes:
        required: the end of the path with which a file of the repository must agree, as far as its
            own path goes.
        full: the whole path, which decides between several such files.
    """

    required: _Parts
    full: _Parts


def match_files(dags: Iterable[Dag], files: ChangedFiles) -> ChangedDags:
    """Return the DAGs that are defined in changed files, and the files that belong to none.

    Of several files of the repository that may be a DAG's file, those with the longest common end
    count, so that `other/sales.py` does not stand for `team/sales.py`. A deleted file belongs to no
    DAG.
    """
    by_name: dict[str, list[_Parts]] = defaultdict(list)
    for path in dict.fromkeys((*(files.namesakes or ()), *files.changed)):
        parts = _parts(path)
        by_name[parts[0]].append(parts)
    changed = set(files.changed)
    found: dict[str, tuple[str, ...]] = {}
    sources: dict[tuple[str, str], tuple[str, ...]] = {}
    for dag in dags:
        key = (dag.file, dag.fileloc)
        if key not in sources:
            sources[key] = tuple(sorted(changed.intersection(_sources(dag, by_name))))
        if sources[key]:
            found[dag.dag_id] = sources[key]
    matched = {path for paths in found.values() for path in paths}
    return ChangedDags(found, tuple(path for path in files.changed if path not in matched))


def _sources(dag: Dag, by_name: Mapping[str, list[_Parts]]) -> Iterable[str]:
    """Return the files of the repository that may define the DAG."""
    for location in _locations(dag):
        candidates = [
            parts
            for parts in by_name.get(location.required[0], ())
            if _common_end(parts, location.required) == min(len(parts), len(location.required))
        ]
        if candidates:
            longest = max(_common_end(parts, location.full) for parts in candidates)
            return [
                "/".join(reversed(parts))
                for parts in candidates
                if _common_end(parts, location.full) == longest
            ]
    return ()


def _locations(dag: Dag) -> Iterable[_Location]:
    """Yield where the DAG's file may come from, the best one first.

    Airflow names a DAG in a ZIP archive by the archive and the file in it. The archive counts if
    the repository has it; otherwise it was built from the repository, and the file in it counts.
    """
    parts = _parts(dag.file)
    if not parts:
        return
    full = _parts(dag.fileloc) or parts
    required = parts[:1] if dag.file.startswith("/") else parts
    archive = next((index for index, name in enumerate(full) if index and _is_zip(name)), 0)
    if not archive:
        yield _Location(required, full)
        return
    yield _Location(required[archive:] or full[archive : archive + 1], full[archive:])
    yield _Location(full[:archive][: len(required)], full[:archive])


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _parts(path: str) -> _Parts:
    return tuple(part for part in reversed(path.split("/")) if part)


def _common_end(one: _Parts, other: _Parts) -> int:
    """Return the number of parts in which two paths agree, from the end."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
