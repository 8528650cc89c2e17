"""An auth manager whose users may trigger a DAG, but not edit it: no role of the simple one can."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class NoEdits(SimpleAuthManager):
    """The simple auth manager without the permission to edit DAGs."""

    def is_authorized_dag(self, *, method: Any, access_entity: Any = None, **others: Any) -> bool:
        if method == "PUT" and access_entity is None:
            return False
        return super().is_authorized_dag(method=method, access_entity=access_entity, **others)
