"""What a process of the action loads before its trigger."""

import subprocess
import sys


def run(program: str) -> subprocess.CompletedProcess[str]:
    """What a Python of its own says that runs this."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )


def test_nothing_is_said_of_what_is_left_out() -> None:
    """`requests` warns when it finds nothing to guess encodings with, as in the image; no user's
    log shows that.
    """
    lines_omitted = "import sys; sys.modules['charset_normalizer'] = None; "

    assert (
        "Unable to find acceptable character detection"
        in run(f"{lines_omitted} import requests").stderr
    )
    assert run(f"{lines_omitted} import entrypoint.stages, entrypoint.http.client").stderr == ""


def test_what_only_the_end_needs_is_not_loaded_before_the_trigger() -> None:
    """A step that starts loads neither the report nor what is slow to load and needed by few."""
    late = (
        "entrypoint.report.summary",
        "entrypoint.runners.generic",
        "dataclasses",
        "html",
        "statistics",
        "fractions",
        "jwt",
    )
    program = (
        f"import sys, entrypoint.stages; print([name for name in {late} if name in sys.modules])"
    )

    assert run(program).stdout == "[]\n"
