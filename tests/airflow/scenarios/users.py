"""Users of Airflow 2 without some permissions. The roles of Airflow 3 lack none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.airflow_settings import password_of
from tests.airflow.job import post

if TYPE_CHECKING:
    from dev.airflow import LocalAirflow

ONLY_RUNS = "only_runs"
ONLY_TASKS = "only_tasks"
NO_EDIT = "no_edit"
_TRIGGER = (("can_read", "DAGs"), ("can_read", "DAG Runs"), ("can_create", "DAG Runs"))
_ROLES = {
    NO_EDIT: _TRIGGER,
    ONLY_RUNS: (*_TRIGGER, ("can_edit", "DAGs")),
    ONLY_TASKS: (*_TRIGGER, ("can_edit", "DAGs"), ("can_read", "Task Instances")),
}
"""The permissions of each user."""


def make_users(airflow: LocalAirflow) -> None:
    """Create the users, each with its own role."""
    for name, permissions in _ROLES.items():
        actions = [
            {"action": {"name": action}, "resource": {"name": noun}} for action, noun in permissions
        ]
        person = {
            "username": name,
            "email": f"{name}@example.com",
            "first_name": name,
            "last_name": name,
        }
        post(airflow, "/roles", {"name": name, "actions": actions}, known=True)
        post(
            airflow,
            "/users",
            {**person, "password": password_of(name), "roles": [{"name": name}]},
            known=True,
        )
        airflow.users[name] = password_of(name)
