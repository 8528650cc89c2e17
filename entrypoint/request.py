"""What this step asks for: inputs and workflow run become the request for one DAG run. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entrypoint.gate.identity import derive_run_id
from entrypoint.models import RunRequest

if TYPE_CHECKING:
    from entrypoint.runner import Context
    from entrypoint.settings import Settings


def request_of(settings: Settings, context: Context) -> RunRequest:
    """Return the DAG run that this step asks for; the note is the user's own, or None."""
    asked: dict[str, Any] = {
        name: getattr(settings, name)
        for name in ("conf", "logical_date", "data_interval_start", "data_interval_end", "run_after", "partition_key")
    }
    run_id = settings.run_id or derive_run_id(context, settings.matrix, asked)
    return RunRequest(dag_id=settings.dag_id, run_id=run_id, note=settings.note, commit=settings.expect_commit, **asked)
