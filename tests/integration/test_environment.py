"""No variable of the job's environment decides what the process loads or where it writes."""

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
TEMPORARY_FOLDER = "import tempfile; print(tempfile.gettempdir())"
CONFIGURATION = (
    "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nCiphersuites = "
    "TLS_AES_128_GCM_SHA256\n"
)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("OPENSSL_CONF", CIPHERS),
        ("SSLKEYLOGFILE", KEYLOG),
        ("TMPDIR", TEMPORARY_FOLDER),
        ("TEMP", TEMPORARY_FOLDER),
        ("TMP", TEMPORARY_FOLDER),
    ],
)
def test_variables_that_configure_python_have_no_effect(
    name: str, code: str, tmp_path: Path
) -> None:
    value = tmp_path if code == TEMPORARY_FOLDER else tmp_path / "file"
    if code != TEMPORARY_FOLDER:
        value.write_text(CONFIGURATION)

    def printed(code: str, **variables: str) -> str:
        env = {
            key: value for key, value in os.environ.items() if key not in ("TMPDIR", "TEMP", "TMP")
        } | variables
        ran = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        return ran.stdout

    plain = printed(code)
    assert printed(code, **{name: str(value)}) != plain, "the variable means nothing to this Python"
    assert printed(f"import entrypoint; {code}", **{name: str(value)}) == plain
