"""Stand in for certifi in airflow-dag-run.pyz, which trusts the machine's own CAs.

certifi would unpack its CAs to a temporary file at each start. requests asks for their path when it
is imported; there is no file of this name, so a request that relied on it would fail.
"""

from __future__ import annotations

import os


def where() -> str:
    """Return a path without a file."""
    return os.path.join(os.path.dirname(__file__), "cacert.pem")  # noqa: PTH118, PTH120 - in a zip
