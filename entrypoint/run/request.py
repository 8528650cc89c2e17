"""Build the request for this step's DAG run from the inputs and the workflow run.

It is pure: it sends nothing and does not know whether the run exists.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from entrypoint.models import RunRequest
from entrypoint.run.existing import COMPARED_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entrypoint.inputs.settings import Settings
    from entrypoint.models import DagRun, Json
    from entrypoint.runners.base import Context


_IDENTIFYING_FIELDS = ("conf", *COMPARED_FIELDS)
"""Fields of a request that the derived run id depends on."""


def build_request(settings: Settings, context: Context) -> RunRequest:
    """Return the request for this step's DAG run; its note is the input's, or None."""
    request = RunRequest(
        dag_id=settings.dag_id,
        run_id=settings.run_id or "",
        conf=settings.conf,
        logical_date=settings.logical_date,
        data_interval_start=settings.data_interval_start,
        data_interval_end=settings.data_interval_end,
        run_after=settings.run_after,
        partition_key=settings.partition_key,
        note=settings.note,
        commit=settings.expect_commit,
        drain=settings.trigger and settings.if_paused == "drain",
        xcoms=settings.xcom,
    )
    if settings.run_id:
        return request
    requested = {name: getattr(request, name) for name in _IDENTIFYING_FIELDS}
    return request._replace(run_id=derive_run_id(context, settings.matrix, requested))


def derive_run_id(context: Context, matrix: Json, requested: Mapping[str, object]) -> str:
    """Return the run id of this step, the same in each attempt of this workflow run.

    The attempt is not part of it, so that a re-run finds the DAG run of the attempt before.

    Args:
        context: commit, workflow run, repository, job and step.
        matrix: matrix leg as decoded JSON, None outside a matrix.
        requested: fields of the requested DAG run: conf, dates, partition key.
    """
    identity = [context.repository, context.job, context.step, matrix, requested]
    if context.job_path:
        identity.append(context.job_path)
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), default=_instant)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    return f"{context.system}__{context.sha[:12]}__{context.run_id}__{digest}"


def made_by(run: DagRun, chosen: str | None, context: Context) -> bool:
    """Return whether an attempt of this workflow run created the DAG run.

    A derived run id belongs to one workflow run only. If the user chose the id (`chosen`), only
    the run's note can show it: the derived note contains the URL of the workflow run. A note that
    the user wrote proves nothing.
    """
    if not chosen:
        return True
    return (
        bool(context.run_url)
        and re.search(rf"{re.escape(context.run_url)}(?![\w/])", run.note or "") is not None
    )


def _instant(value: object) -> str:
    """Return a datetime as text in UTC, so that its offset does not change the run id."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(type(value).__name__)


def derive_note(context: Context) -> str:
    """Return the default note: actor, commit and URL of the workflow run.

    Airflow stores at most 1000 characters.
    """
    what = f" for commit {context.sha[:12]} of {context.repository}" if context.sha else ""
    if context.commit_remark:
        what += " (the default branch)"
    where = f": {context.run_url}" if context.run_url else ""
    return f"Triggered by {context.actor or 'an unknown user'}{what}{where}"[:1000]
