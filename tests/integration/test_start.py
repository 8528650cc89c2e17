"""What a process of the action loads before its trigger."""

import subprocess
import sys


def test_nothing_is_said_of_what_is_left_out() -> None:
    """`requests` warns when it finds nothing to guess encodings with, as in the image; no user's log shows that."""
    program = "import sys; sys.modules['charset_normalizer'] = None; {}import entrypoint.stages, entrypoint.wire"
    says = [
        subprocess.run([sys.executable, "-c", program.format(first)], capture_output=True, check=True, text=True).stderr  # noqa: S603 - ours
        for first in ("", "import requests; ")
    ]
    assert "Unable to find acceptable character detection" in says.pop()
    assert says == [""]


def test_what_only_the_end_needs_is_not_loaded_before_the_trigger() -> None:
    """A step that starts loads neither the report nor what is slow to load and needed by few."""
    late = (
        "entrypoint.report.summary",
        "entrypoint.elsewhere.log",
        "dataclasses",
        "html",
        "statistics",
        "fractions",
        "jwt",
    )
    program = f"import sys, entrypoint.stages; print([name for name in {late} if name in sys.modules])"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)  # noqa: S603 - ours
    assert said.stdout == "[]\n"
