"""Response bodies that both versions share."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tests.support.fake_airflow.database import Database
    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance

T = TypeVar("T")


def health(database: Database) -> dict[str, Any]:
    """Return the health; the status is 200 even when the scheduler is dead."""
    found: dict[str, Any] = {"metadatabase": {"status": "healthy"}}
    for name, (status, last_beat) in database.health.items():
        beat = database.now() if status == "healthy" else last_beat
        found[name] = {
            "status": status,
            f"latest_{name}_heartbeat": beat.isoformat() if beat else None,
        }
    return found


def token_of(file: str) -> str:
    """Return a file's token for the parse request; a real one is signed."""
    return base64.urlsafe_b64encode(file.encode()).decode().rstrip("=")


def parse(database: Database, token: str) -> bool:
    """Handle PUT /parseDagFile/{token}: parse at once; return whether there is such a file."""
    files = {dag.relative_file for dag in database.dags.values()}
    found = [file for file in files if token_of(file) == token]
    for file in found:
        database.parse_file(file)
    return bool(found)


def pool(database: Database, name: str) -> dict[str, Any]:
    """Return the body of GET /pools/{name}."""
    taken, slots, free = database.slots(name), database.pools[name], database.free_slots(name)
    return {
        **{f"{state}_slots": number for state, number in taken.items()},
        "description": "Default pool" if name == "default_pool" else None,
        "include_deferred": False,
        "name": name,
        "occupied_slots": slots - free,
        "open_slots": free,
        "slots": slots,
    }


def task_list(dag: FakeDag) -> dict[str, Any]:
    """Return the body of GET /dags/{dag_id}/tasks; a mapped task is one task."""
    names = sorted({task.task_id for task in dag.tasks})
    return {"tasks": [{"task_id": name} for name in names], "total_entries": len(names)}


def batch_page(rows: list[T], body: dict[str, Any]) -> list[T]:
    """Return the rows for page_limit and page_offset of a batch request."""
    offset = body.get("page_offset", 0)
    return rows[offset : offset + body.get("page_limit", 100)]


def dependencies(database: Database, run: FakeRun, instance: FakeTaskInstance) -> dict[str, Any]:
    """Return why a task instance does not start; empty once it has started."""
    found = (
        sorted(database.unmet_dependencies(run, instance))
        if instance.state in {None, "scheduled"}
        else []
    )
    return {"dependencies": [{"name": name, "reason": reason} for name, reason in found]}
