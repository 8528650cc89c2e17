"""Tell in which form the action runs: in its image, or from the file airflow-dag-run.pyz.

Only the file uses the CAs and the Kerberos tickets of the machine, because an image has neither.
"""

from __future__ import annotations

import os
from zipimport import zipimporter

FROM_FILE = isinstance(__spec__.loader, zipimporter)
"""Whether this process runs from the file, on the machine's own Python."""

ON_WINDOWS = os.name == "nt"

MAX_SAVED_CHARS = 15_000 if ON_WINDOWS else 60_000
"""Characters of each of the two largest values that the main stage saves for the post stage.

The runner passes them as environment variables, of which each may have at most 128 KiB on Linux and
32,767 characters on Windows.
"""
