"""What a process of the action loads before its trigger."""

import subprocess
import sys


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )


def test_no_warning_about_the_missing_encoding_library_is_printed() -> None:
    """`requests` warns without charset_normalizer, which the image omits."""
    without_library = "import sys; sys.modules['charset_normalizer'] = None; "

    assert (
        "Unable to find acceptable character detection"
        in run_python(f"{without_library} import requests").stderr
    )
    assert (
        run_python(f"{without_library} import entrypoint.stages, entrypoint.http.client").stderr
        == ""
    )


def test_modules_that_few_steps_or_only_the_end_need_are_not_loaded_before_the_trigger() -> None:
    late = (
        "entrypoint.auth.github_oidc",
        "entrypoint.auth.mwaa",
        "entrypoint.auth.oauth",
        "entrypoint.auth.sigv4",
        "entrypoint.run.comparison",
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

    assert run_python(program).stdout == "[]\n"
