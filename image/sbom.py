"""`python sbom.py ROOTFS ENVIRONMENT`: print what the image contains, as SPDX 2.3 in JSON.

ROOTFS is the folder that rootfs.py has filled, and ENVIRONMENT the action's virtual environment. It
lists the distribution's packages of which the image has a file, Python with the libraries that are
compiled into it, and the packages of the environment. A scanner of images finds the first and the
last by itself; Python only this list names.
"""

from __future__ import annotations

import email.parser
import json
import os
import platform
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "SPDXRef-Image"
_UNKNOWN = "NOASSERTION"


def package(
    name: str, version: str, url: str, *, cpe: str | None = None, comment: str = ""
) -> dict[str, Any]:
    """Return a package of the list.

    Args:
        name: its name
        version: its version
        url: its package URL (purl)
        cpe: its name in the database of vulnerabilities of NIST, if that has it
        comment: what the reader should know
    """
    references = [("PACKAGE-MANAGER", "purl", url)] + (
        [("SECURITY", "cpe23Type", f"cpe:2.3:a:{cpe}:{version}:*:*:*:*:*:*:*")] if cpe else []
    )
    return {
        "SPDXID": f"SPDXRef-{re.sub('[^A-Za-z0-9.-]', '-', url)}",
        "name": name,
        "versionInfo": version,
        "supplier": _UNKNOWN,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "externalRefs": [
            {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}
            for category, kind, locator in references
        ],
        **({"comment": comment} if comment else {}),
    }


def of_distribution(rootfs: Path) -> Iterator[dict[str, Any]]:
    """Yield the distribution's packages that own a file of the image."""
    system = dict(
        line.replace('"', "").split("=", 1)
        for line in (rootfs / "usr/lib/os-release").read_text(encoding="utf-8").splitlines()
        if "=" in line
    )
    for file in sorted((rootfs / "var/lib/dpkg/status.d").iterdir()):
        if file.suffix == ".md5sums":
            continue
        status = email.parser.Parser().parsestr(file.read_text(encoding="utf-8"))
        name, version, source = status["Package"], status["Version"], status["Source"]
        qualifiers = {"arch": status["Architecture"]}
        # Advisories are about the source package. It may have another version: "gcc-14 (14.2)".
        if source:
            qualifiers["upstream"] = "@".join(re.findall(r"[^ ()]+", source))
        qualifiers["distro"] = f"{system['ID']}-{system['VERSION_ID']}"
        url = f"pkg:deb/{system['ID']}/{name}@{quote(version, safe='')}?"
        yield package(name, version, url + urlencode(qualifiers))


def of_python() -> Iterator[dict[str, Any]]:
    """Yield Python, and the libraries that are compiled into it and not linked."""
    version = platform.python_version()
    yield package(
        "python", version, f"pkg:generic/python@{version}", cpe="python:python", comment=sys.version
    )
    # Imported here, because only the interpreter of the image knows these versions.
    import _decimal  # noqa: PLC0415
    import pyexpat  # noqa: PLC0415

    inside = "compiled into Python"
    if not _links(pyexpat.__file__, "libexpat"):
        number = ".".join(map(str, pyexpat.version_info))
        yield package(
            "expat",
            number,
            f"pkg:generic/expat@{number}",
            cpe="libexpat_project:libexpat",
            comment=inside,
        )
    if not _links(_decimal.__file__, "libmpdec"):
        number = _decimal.__libmpdec_version__
        yield package("mpdecimal", number, f"pkg:generic/mpdecimal@{number}", comment=inside)


def of_environment(environment: Path) -> Iterator[dict[str, Any]]:
    """Yield the packages of the virtual environment."""
    (site,) = (environment / "lib").glob("python*/site-packages")
    found = sorted((one.name, one.version) for one in distributions(path=[str(site)]))
    for name, version in found:
        normal = re.sub(r"[-_.]+", "-", name).lower()
        yield package(name, version, f"pkg:pypi/{normal}@{version}")


def document(rootfs: Path, environment: Path) -> dict[str, Any]:
    """Return the whole list."""
    contents = [*of_distribution(rootfs), *of_python(), *of_environment(environment)]
    name = "airflow-dag-run"
    machine = platform.machine()
    content = json.dumps([machine, contents], sort_keys=True)
    image = package(name, _UNKNOWN, f"pkg:generic/{name}", comment=f"the image for {machine}")
    image["SPDXID"] = ROOT
    image["primaryPackagePurpose"] = "CONTAINER"
    created = int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.now(UTC).timestamp())
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)]
    relations += [(ROOT, "CONTAINS", one["SPDXID"]) for one in contents]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "creationInfo": {
            "created": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: {name}-image-sbom"],
        },
        "packages": [image, *contents],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }


def _links(module: str | None, library: str) -> bool:
    done = subprocess.run(["ldd", str(module)], check=True, capture_output=True, text=True)
    return library in done.stdout


if __name__ == "__main__":
    print(json.dumps(document(Path(sys.argv[1]), Path(sys.argv[2])), indent=1))
