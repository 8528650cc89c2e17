"""The history of a repository that nobody can be asked about."""

from __future__ import annotations

from entrypoint.models import Ancestry


class NoHistory:
    """Knows of no commit whether it is there, nor which one contains another: only the very same one counts."""

    def is_known(self, _commit: str) -> bool | None:
        """Return None: it cannot be found out."""
        return None

    def contains(self, _version: str, _commit: str) -> Ancestry:
        """Return that it cannot be found out."""
        return Ancestry(None, "Only in a GitHub workflow can be asked whether one commit contains another.")
