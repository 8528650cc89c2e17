"""What this step asks for: inputs and workflow run become the request for one DAG run. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from entrypoint.models import RunRequest

if TYPE_CHECKING:
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import DagRun
    from entrypoint.runners.base import Context


def build_request(settings: Settings, context: Context) -> RunRequest:
    """Return the DAG run that this step asks for; the note is the user's own, or None."""
    asked: dict[str, Any] = {
        name: getattr(settings, name)
        for name in (
            "conf",
            "logical_date",
            "data_interval_start",
            "data_interval_end",
            "run_after",
            "partition_key",
        )
    }
    run_id = settings.run_id or derive_run_id(context, settings.matrix, asked)
    return RunRequest(
        dag_id=settings.dag_id,
        run_id=run_id,
        note=settings.note,
        commit=settings.expect_commit,
        **asked,
    )


def derive_run_id(context: Context, matrix: Any, asked: dict[str, Any]) -> str:
    """Return the run id that this step, asking for this, has in every attempt of this workflow run.

    Args:
        context: commit, workflow run, repository, job and step.
        matrix: the matrix leg as decoded JSON, None outside a matrix.
        asked: what the DAG run is asked to be: conf, dates, partition key.

    The attempt is left out on purpose: a re-run must find the run of the attempt before.
    """
    told_apart = [context.repository, context.job, context.step, matrix, asked]
    if context.job_path:
        told_apart.append(context.job_path)
    canonical_url = json.dumps(told_apart, sort_keys=True, separators=(",", ":"), default=_instant)
    digest = hashlib.sha256(canonical_url.encode()).hexdigest()[:8]
    return f"{context.system}__{context.sha[:12]}__{context.run_id}__{digest}"


def made_by(run: DagRun, chosen: str | None, context: Context) -> bool:
    """Return whether this workflow run has made the DAG run, in this attempt or in an earlier one.

    A derived run id is that of this workflow run alone. For one that a user has chosen (`chosen`)
    only the run's note can
    tell: the derived one names the workflow run's page. With a note of the user's own nothing
    tells.
    """
    if not chosen:
        return True
    return (
        bool(context.run_url)
        and re.search(rf"{re.escape(context.run_url)}(?![\w/])", run.note or "") is not None
    )


def _instant(value: Any) -> str:
    """Write one moment always in the same way, whatever the offset it was given with."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(type(value).__name__)


def derive_note(context: Context) -> str:
    """Return who triggered the run, for which commit, and the URL of the workflow run; 1000
    characters at the most.
    """
    what = f" for commit {context.sha[:12]} of {context.repository}" if context.sha else ""
    where = f": {context.run_url}" if context.run_url else ""
    return f"Triggered by {context.actor or 'somebody'}{what}{where}"[:1000]
