"""`python -m dev.vulnerabilities RELEASED REBUILT`: print what building again would fix.

Both files are reports of Grype in JSON. It knows that format; it must not know GitHub, Docker or a
registry. It needs only the standard library, because it runs with the runner's own Python.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """A vulnerability of a package, whatever its version."""

    id: str
    package: str


class Report(NamedTuple):
    """The findings with their severity, and the versions of the packages that have one."""

    severities: dict[Finding, str]
    versions: dict[str, set[str]]


def read(report: dict[str, Any]) -> Report:
    """Read a report.

    Raises:
        KeyError: if it is not one
    """
    severities: dict[Finding, str] = {}
    versions: dict[str, set[str]] = {}
    for match in report["matches"]:
        package, vulnerability = match["artifact"], match["vulnerability"]
        severities[Finding(vulnerability["id"], package["name"])] = vulnerability["severity"]
        versions.setdefault(package["name"], set()).add(package["version"])
    return Report(severities, versions)


def fixed(released: dict[str, Any], rebuilt: dict[str, Any]) -> list[str]:
    """Return a line for each finding of the released image that the rebuilt one does not have."""
    before, after = read(released), read(rebuilt)
    return [
        f"{finding.id} ({severity}) in {finding.package} "
        f"{', '.join(sorted(before.versions[finding.package]))}"
        for finding, severity in sorted(before.severities.items())
        if finding not in after.severities
    ]


def main(released: str, rebuilt: str) -> None:
    """Print a line for each fixed finding."""
    reports = (json.loads(Path(name).read_text(encoding="utf-8")) for name in (released, rebuilt))
    for line in fixed(*reports):
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
