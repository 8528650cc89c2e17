"""Comparing the vulnerabilities of a released image with those of a new build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dev.vulnerabilities import fixed, main

if TYPE_CHECKING:
    from pathlib import Path


def report(*findings: tuple[str, str, str]) -> dict[str, Any]:
    """Return a report of Grype with these ids, packages and versions."""
    return {
        "matches": [
            {
                "vulnerability": {"id": name, "severity": "High", "fix": {"state": "fixed"}},
                "artifact": {"name": package, "version": version, "type": "deb"},
            }
            for name, package, version in findings
        ],
        "source": {"type": "sbom-file"},
    }


OLD = ("CVE-2026-1", "libssl3t64", "3.5.4-1")


@pytest.mark.parametrize(
    ("released", "rebuilt", "lines"),
    [
        (report(), report(), []),
        (report(OLD), report(OLD), []),
        (report(OLD), report(), ["CVE-2026-1 (High) in libssl3t64 3.5.4-1"]),
        # A newer version that still has it fixes nothing.
        (report(OLD), report(("CVE-2026-1", "libssl3t64", "3.5.5-1")), []),
        # A new one is no reason for a release.
        (report(), report(OLD), []),
        (
            report(OLD, ("CVE-2026-1", "openssl", "3.5.4-1"), ("CVE-2026-0", "python", "3.13.1")),
            report(OLD),
            [
                "CVE-2026-0 (High) in python 3.13.1",
                "CVE-2026-1 (High) in openssl 3.5.4-1",
            ],
        ),
    ],
)
def test_fixed_is_what_only_the_released_image_has(
    released: dict[str, Any], rebuilt: dict[str, Any], lines: list[str]
) -> None:
    assert fixed(released, rebuilt) == lines


def test_the_command_prints_a_line_each_and_refuses_what_is_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("old", report(OLD)), ("new", report()), ("other", {})):
        (tmp_path / name).write_text(json.dumps(content))
    main(str(tmp_path / "old"), str(tmp_path / "new"))

    assert capsys.readouterr().out == "CVE-2026-1 (High) in libssl3t64 3.5.4-1\n"
    with pytest.raises(KeyError, match="matches"):
        main(str(tmp_path / "other"), str(tmp_path / "new"))
