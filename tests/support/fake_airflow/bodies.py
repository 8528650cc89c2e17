"""Answers that both versions word alike."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance
    from tests.support.fake_airflow.world import World


def health(world: World) -> dict[str, Any]:
    """GET of the health: 200 even when the scheduler is dead."""
    found: dict[str, Any] = {"metadatabase": {"status": "healthy"}}
    for name, (status, last_beat) in world.health.items():
        beat = world.now() if status == "healthy" else last_beat
        found[name] = {
            "status": status,
            f"latest_{name}_heartbeat": beat.isoformat() if beat else None,
        }
    return found


def token_of(file: str) -> str:
    """By what Airflow is asked to parse a file; a real one is signed."""
    return base64.urlsafe_b64encode(file.encode()).decode().rstrip("=")


def parse(world: World, token: str) -> bool:
    """PUT /parseDagFile/{token}: whether there is such a file; what is asked for happens at
    once.
    """
    found = [dag.dag_id for dag in world.dags.values() if token_of(dag.relative_file) == token]
    for dag_id in found:
        world.parse(dag_id)
    return bool(found)


def pool(world: World, name: str) -> dict[str, Any]:
    """GET /pools/{name}."""
    taken, slots, free = world.slots(name), world.pools[name], world.free_slots(name)
    return {
        **{f"{state}_slots": number for state, number in taken.items()},
        "description": "Default pool" if name == "default_pool" else None,
        "include_deferred": False,
        "name": name,
        "occupied_slots": slots - free,
        "open_slots": free,
        "slots": slots,
    }


def dependencies(world: World, run: FakeRun, instance: FakeTaskInstance) -> dict[str, Any]:
    """GET .../dependencies: why a task instance is not started; nothing about one that is."""
    found = sorted(world.why_not(run, instance)) if instance.state in {None, "scheduled"} else []
    return {"dependencies": [{"name": name, "reason": reason} for name, reason in found]}
