"""The list of contents in the image is true: it names everything that is there, and no more."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dev.engine import docker
from dev.image import installed
from tests.container.test_image import probe

SBOM = "/opt/action/sbom.spdx.json"
FILES = """
import hashlib, json, os, pathlib, platform, pyexpat
found, status = {}, {}
for root in ("/usr/bin", "/usr/lib", "/usr/share", "/usr/lib64"):
    for path in pathlib.Path(root).rglob("*"):
        if path.is_file() and not path.is_symlink():
            found[str(path)[1:]] = hashlib.md5(path.read_bytes()).hexdigest()
for path in pathlib.Path("/var/lib/dpkg/status.d").iterdir():
    status[path.name] = path.read_text()
versions = [platform.python_version(), pyexpat.EXPAT_VERSION.removeprefix("expat_")]
print(json.dumps([found, status, versions]))
"""


@cache
def sbom(image: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        docker("run", "--rm", "--network=none", "--entrypoint=cat", image, SBOM)
    )
    return content


@cache
def content(image: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the MD5 sum of each file of the distribution, its index, and Python's versions."""
    files, index, versions = json.loads(probe(image, FILES))
    return files, index, versions


def packages(image: str, kind: str) -> dict[str, str]:
    """Return name and version of the listed packages whose purl has this type."""
    found = {}
    for package in sbom(image)["packages"]:
        if package["SPDXID"] == "SPDXRef-Image":
            continue
        url = package["externalRefs"][0]["referenceLocator"]
        name, _, version = urlsplit(url).path.rpartition("/")[2].partition("@")
        if url.startswith(f"pkg:{kind}/"):
            assert unquote(version) == package["versionInfo"]
            found[name] = package["versionInfo"]
    return found


def test_the_python_packages_are_the_installed_ones(image: str) -> None:
    assert packages(image, "pypi") == installed(image)


def test_python_and_what_is_compiled_into_it_have_their_versions(image: str) -> None:
    """Expat is listed unless the base links it."""
    _, index, (python, expat) = content(image)
    listed = packages(image, "generic")

    assert listed["python"] == python
    assert ("libexpat1" in index) or listed["expat"] == expat
    names = [one["externalRefs"] for one in sbom(image)["packages"] if one["name"] == "python"]
    assert f"cpe:2.3:a:python:python:{python}:" in str(names)


def test_every_file_of_the_distribution_is_from_a_listed_package(image: str) -> None:
    """With its MD5 sum, and each listed package has a file."""
    files, index, _ = content(image)
    owned = {
        path: (package, md5)
        for package, text in index.items()
        if package.endswith(".md5sums")
        for md5, path in re.findall(r"^(\w{32})  (.+)$", text, re.MULTILINE)
    }
    licences = {path for path in files if re.fullmatch(r"usr/share/doc/[^/]+/copyright", path)}

    assert "usr/bin/dash" in files
    assert {path: owned[path][1] for path in files.keys() - licences} == {
        path: files[path] for path in files.keys() - licences
    }
    listed = packages(image, "deb")
    assert {package.removesuffix(".md5sums") for package, _ in owned.values()} == listed.keys()
    assert listed == {
        name: re.findall(r"^Version: (.+)$", text, re.MULTILINE)[0]
        for name, text in index.items()
        if not name.endswith(".md5sums")
    }


def test_a_scanner_finds_the_distribution_of_each_package(image: str) -> None:
    """Advisories of Debian name the release and the source package."""
    release = docker("run", "--rm", "--entrypoint=cat", image, "/etc/os-release")
    found = re.findall(r'^VERSION_ID="(\d+)"$', release, re.MULTILINE)
    urls = [
        one["externalRefs"][0]["referenceLocator"]
        for one in sbom(image)["packages"]
        if one["externalRefs"][0]["referenceLocator"].startswith("pkg:deb/debian/")
    ]

    assert {parse_qs(urlsplit(url).query)["distro"][0] for url in urls} == {f"debian-{found[0]}"}
    assert any("upstream=glibc&" in url for url in urls)


def test_the_list_is_a_document_of_spdx_2_3(image: str) -> None:
    """The fields that the standard requires, unique ids, and relations between known ids."""
    document = sbom(image)
    ids = [one["SPDXID"] for one in document["packages"]]
    required = {"SPDXID", "name", "downloadLocation"}

    assert (document["spdxVersion"], document["dataLicense"]) == ("SPDX-2.3", "CC0-1.0")
    assert re.fullmatch(r"\d{4}(-\d\d){2}T(\d\d:){2}\d\dZ", document["creationInfo"]["created"])
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one) for one in ids)
    assert len(set(ids)) == len(ids) > 20
    assert all(required <= set(one) for one in document["packages"])
    related = [
        (one["spdxElementId"], one["relatedSpdxElement"]) for one in document["relationships"]
    ]
    assert [one for pair in related for one in pair if one not in {*ids, document["SPDXID"]}] == []
    assert {other for _, other in related} == set(ids)


def test_the_image_has_no_package_manager(image: str) -> None:
    code = """
import shutil
print([name for name in ("apt", "apt-get", "dpkg", "rpm", "pip", "uv") if shutil.which(name)])
"""
    assert probe(image, code).strip() == "[]"
