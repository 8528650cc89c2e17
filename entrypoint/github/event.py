"""The event that started the workflow, as far as it says on which commit people look for a status."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrypoint.runner import Context

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def head_commit(context: Context) -> str:
    """Return the commit that branch protection looks at: of a pull request its head, else the workflow run's.

    In a pull request the runner's own SHA is that of a merge which GitHub only tries, and shows nowhere.
    """
    try:
        event = json.loads(context.event.read_text(encoding="utf-8")) if context.event else {}
        head = event["pull_request"]["head"]["sha"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return context.sha
    return head if isinstance(head, str) and _SHA.fullmatch(head) else context.sha
