"""`python -m dev.release`: the checks and texts of a release, for release.yml.

docs/releasing.md describes the rest. It knows action.yml, CHANGELOG.md and the tags; it must not
know GitHub, git or a registry. It needs only the standard library, because it runs with the
runner's own Python.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent

_IMAGE = re.compile(r"ghcr\.io(/[a-z0-9]+([._-]+[a-z0-9]+)*){2}@sha256:[0-9a-f]{64}")
_SOURCE = re.compile(rf"^  image: (Dockerfile|docker://{_IMAGE.pattern})$", re.MULTILINE)
"""The line of action.yml on main, or that of a release, which a rebuild points at a new image."""
_VERSION = re.compile(r"v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_HEADING = re.compile(r"^## \[?([^]\s]+)\]?(.*)$", re.MULTILINE)


class ReleaseError(ValueError):
    """The release is not possible. The message says what is wrong and what would be right."""


def with_image(action: str, image: str) -> str:
    """Return action.yml with this image in place of the Dockerfile, or of a released image.

    Raises:
        ReleaseError: if `image` has no digest, or `action` has neither
    """
    if not _IMAGE.fullmatch(image):
        raise ReleaseError(
            f"{image!r} is not an image of GHCR with a digest: ghcr.io/owner/name@sha256: "
            "and 64 hex digits"
        )
    pointed, found = _SOURCE.subn(f"  image: docker://{image}", action)
    if found != 1:
        raise ReleaseError(
            "action.yml has no single line 'image: Dockerfile' that could be pointed at the image"
        )
    return pointed


def check(tag: str, changelog: str, tags: Iterable[str]) -> None:
    """Check that a release may have this tag.

    Raises:
        ReleaseError: if it is not a version, is not larger than each version in `tags`, or has no
            dated section in the changelog
    """
    version = _version(tag)
    if version is None:
        raise ReleaseError(f"{tag!r} is not a version like v1.2.3")
    before = max((found for found in map(_version, tags) if found), default=None)
    if before and version <= before:
        raise ReleaseError(
            f"{tag} is not larger than the version before, v{'.'.join(map(str, before))}"
        )
    rest, _ = _section(tag, changelog)
    day = rest.strip().removeprefix("-").strip()
    try:
        date.fromisoformat(day)
    except ValueError:
        raise ReleaseError(
            f"The section {tag[1:]} of CHANGELOG.md has no date like 2026-01-31, but {day!r}"
        ) from None


def next_patch(tags: Iterable[str]) -> tuple[str, str] | None:
    """Return the largest version and the next patch of it; None if no tag is a version."""
    released = max((found for found in map(_version, tags) if found), default=None)
    if not released:
        return None
    major, minor, patch = released
    return f"v{major}.{minor}.{patch}", f"v{major}.{minor}.{patch + 1}"


def check_rebuild(tag: str, released: str, tags: Iterable[str]) -> None:
    """Check that a rebuild of a release may have this tag. The changelog need not have it.

    Raises:
        ReleaseError: if `released` is not the largest version, or `tag` is not its next patch
    """
    possible = next_patch(tags)
    if possible != (released, tag):
        rule = "{} may be rebuilt, as {}".format(*possible) if possible else "there is no release"
        raise ReleaseError(f"{tag} cannot be a rebuild of {released}: {rule}")


def notes_of_rebuild(released: str) -> str:
    """Return the text for a release that has the code of another one on a newer base."""
    return (
        f"{released}, built again on the current `python:3.13-slim`, because that fixes "
        "vulnerabilities of the image. The code is the same."
    )


def notes(tag: str, changelog: str) -> str:
    """Return the text of this version's section in the changelog.

    Raises:
        ReleaseError: if there is none
    """
    return _section(tag, changelog)[1]


def _version(tag: str) -> tuple[int, ...] | None:
    found = _VERSION.fullmatch(tag.strip())
    return tuple(map(int, found.groups())) if found else None


def _section(tag: str, changelog: str) -> tuple[str, str]:
    """Return the text after the version in its heading, and the text below the heading."""
    headings = list(_HEADING.finditer(changelog))
    ends = [heading.start() for heading in headings[1:]] + [len(changelog)]
    found = [
        (heading[2], changelog[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=True)
        if heading[1] == tag.removeprefix("v")
    ]
    if len(found) != 1:
        raise ReleaseError(
            f"CHANGELOG.md has {len(found)} sections {tag.removeprefix('v')!r} in place of one"
        )
    return found[0]


def main(arguments: list[str], *, root: Path = ROOT) -> int:
    """Run one command; return 1, with the reason on stderr, if the release is not possible."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.release", description="The checks and texts of a release."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="check this tag; stdin has the existing tags")
    noting = commands.add_parser("notes", help="print the version's section of CHANGELOG.md")
    for command in (checking, noting):
        command.add_argument("tag")
        command.add_argument("--rebuilds", metavar="TAG", help="the release that it builds again")
    commands.add_parser("next", help="print the newest of stdin's tags and the next patch of it")
    commands.add_parser("point", help="point action.yml at this image").add_argument("image")
    given = parser.parse_args(arguments)
    action = root / "action.yml"
    try:
        if given.command == "point":
            action.write_text(
                with_image(action.read_text(encoding="utf-8"), given.image), encoding="utf-8"
            )
            return 0
        if given.command == "next":
            print(*(next_patch(sys.stdin) or ()))
        elif given.rebuilds:
            if given.command == "check":
                check_rebuild(given.tag, given.rebuilds, sys.stdin)
            else:
                print(notes_of_rebuild(given.rebuilds))
        elif given.command == "check":
            check(given.tag, _read(root / "CHANGELOG.md"), sys.stdin)
        else:
            print(notes(given.tag, _read(root / "CHANGELOG.md")))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _read(changelog: Path) -> str:
    try:
        return changelog.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReleaseError("There is no CHANGELOG.md") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
