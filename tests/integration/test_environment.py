"""Nothing of the job's environment decides what the process loads, or where it writes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CIPHERS = (
    "import ssl; print([c['name'] for c in ssl.create_default_context().get_ciphers() if "
    "c['name'].startswith('TLS_')])"
)
KEYLOG = (
    "from urllib3.util import create_urllib3_context; "
    "print(create_urllib3_context().keylog_filename)"
)
FOLDER = "import tempfile; print(tempfile.gettempdir())"
CONFIGURATION = (
    "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nCiphersuites = "
    "TLS_AES_128_GCM_SHA256\n"
)


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("OPENSSL_CONF", CIPHERS),
        ("SSLKEYLOGFILE", KEYLOG),
        ("TMPDIR", FOLDER),
        ("TEMP", FOLDER),
        ("TMP", FOLDER),
    ],
)
def test_the_environment_takes_nothing_over(name: str, shows: str, tmp_path: Path) -> None:
    """A variable that changes what Python does has no effect on the action, from its first import
    on.
    """
    place = tmp_path if shows == FOLDER else tmp_path / "file"
    if shows != FOLDER:
        place.write_text(CONFIGURATION)

    def shown(code: str, **variables: str) -> str:
        env = {
            key: value for key, value in os.environ.items() if key not in ("TMPDIR", "TEMP", "TMP")
        } | variables
        ran = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        return ran.stdout

    plain = shown(shows)
    assert shown(shows, **{name: str(place)}) != plain, "the variable means nothing to this Python"
    assert shown(f"import entrypoint; {shows}", **{name: str(place)}) == plain
